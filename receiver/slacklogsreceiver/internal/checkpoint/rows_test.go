// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// keepRows saves document and rows as a log type does.
func keepRows(t *testing.T, s *Store, rows *Rows, step int) error {
	t.Helper()
	return s.Save(t.Context(), docKey, document{Version: Version, Step: step, Rows: rows.Index()}, rows)
}

// reloadRows does what a restart does.
func reloadRows(t *testing.T, m *memory) (document, *Rows) {
	t.Helper()
	var doc document
	s := m.clone().store()
	_, err := s.Load(t.Context(), docKey, &doc)
	require.NoError(t, err)
	rows, err := s.LoadRows(t.Context(), prefix, doc.Rows)
	require.NoError(t, err)
	return doc, rows
}

func held(rows *Rows) map[Key]Row {
	all := map[Key]Row{}
	for i := range rows.shards {
		maps.Copy(all, rows.shards[i].rows)
	}
	return all
}

func cloneRows(rows *Rows) *Rows {
	c := *rows
	for i := range c.shards {
		c.shards[i].rows = maps.Clone(c.shards[i].rows)
	}
	c.open = slices.Clone(c.open)
	c.dead = slices.Clone(c.dead)
	return &c
}

// chunkNames are the names that index speaks of.
func chunkNames(index RowIndex) []string {
	var names []string
	for n := range index.Chunks {
		names = append(names, fmt.Sprintf("%s%d.%d", prefix, index.Generation, n))
	}
	slices.Sort(names)
	return names
}

// sizes are how many lines each chunk that index names has.
func sizes(t *testing.T, m *memory, index RowIndex) []int {
	t.Helper()
	var all []int
	for n := range index.Chunks {
		content, ok := unseal(m.values[fmt.Sprintf("%s%d.%d", prefix, index.Generation, n)], lineSize)
		require.True(t, ok)
		all = append(all, len(content)/lineSize)
	}
	return all
}

func TestRows(t *testing.T) {
	t.Parallel()
	rows := NewRows(prefix)
	_, ok := rows.Get(key(1))
	assert.False(t, ok)
	assert.Zero(t, rows.Len())
	assert.Equal(t, RowIndex{}, rows.Index())
	rows.Forget(math.MaxUint32)

	rows.Set(key(1), Row{Date: 100, Count: 1})
	rows.Set(key(2), Row{Date: 200, Count: 2})
	rows.Set(key(1), Row{Date: 300, Count: 7})
	row, ok := rows.Get(key(1))
	assert.True(t, ok)
	assert.Equal(t, Row{Date: 300, Count: 7}, row)
	assert.Equal(t, 2, rows.Len())
	assert.Equal(t, RowIndex{0, 1}, rows.Index())

	rows.Forget(200)
	assert.Equal(t, 2, rows.Len())
	rows.Forget(201)
	_, ok = rows.Get(key(2))
	assert.False(t, ok)
	assert.Equal(t, 1, rows.Len())
}

// The format on disk, byte for byte.
func TestRowsOnDisk(t *testing.T) {
	t.Parallel()
	m, rows := newMemory(), NewRows(prefix)
	rows.Set(Key{0: 0xaa, 15: 0xbb}, Row{Date: 0x01020304, Count: 0xfffefdfc})
	require.NoError(t, keepRows(t, m.store(), rows, 0))
	chunk := m.values[prefix+"0.0"]
	require.Len(t, chunk, chunkHeader+lineSize)
	assert.Equal(t, []byte{0, 0, 0, 1}, chunk[:4])
	assert.Equal(t, "aa0000000000000000000000000000bb01020304fffefdfc", hex.EncodeToString(chunk[chunkHeader:]))
	index, err := json.Marshal(rows.Index())
	require.NoError(t, err)
	assert.JSONEq(t, `{"generation":0,"chunks":1}`, string(index))
}

func TestJournalGrows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// add is how many rows each save brings, and sizes how many lines the
		// chunks hold after it.
		add   []int
		sizes [][]int
	}{
		{name: "nothing new", add: []int{1, 0, 0}, sizes: [][]int{{1}, {1}, {1}}},
		{name: "a small chunk is written again", add: []int{1, 1, 5}, sizes: [][]int{{1}, {2}, {7}}},
		{name: "until it is large", add: []int{127, 1, 1}, sizes: [][]int{{127}, {128}, {128, 1}}},
		{name: "it may jump over the size", add: []int{127, 500, 1}, sizes: [][]int{{127}, {627}, {627, 1}}},
		{name: "large ones are written once", add: []int{1000, 1000, 1}, sizes: [][]int{{1000}, {1000, 1000}, {1000, 1000, 1}}},
		{name: "more than is kept open", add: []int{maxUnsaved + 1, 1}, sizes: [][]int{{rewriteLines, 1}, {rewriteLines, 2}}},
		{name: "exactly a chunk", add: []int{maxUnsaved, 1}, sizes: [][]int{{maxUnsaved}, {maxUnsaved, 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, restart := range []bool{false, true} {
				m, rows := newMemory(), NewRows(prefix)
				n := uint32(0)
				for i, add := range tt.add {
					for range add {
						rows.Set(key(uint64(n)), Row{n, n})
						n++
					}
					require.NoError(t, keepRows(t, m.store(), rows, i))
					doc, again := reloadRows(t, m)
					assert.Equal(t, tt.sizes[i], sizes(t, m, doc.Rows))
					assert.Equal(t, chunkNames(doc.Rows), m.chunks())
					assert.Equal(t, held(rows), held(again))
					if restart {
						rows = again
					}
				}
			}
		})
	}
}

func TestSetOfTheSameIsNotSaved(t *testing.T) {
	t.Parallel()
	m, rows := newMemory(), NewRows(prefix)
	rows.Set(key(1), Row{1, 1})
	require.NoError(t, keepRows(t, m.store(), rows, 0))
	for range 10_000 {
		rows.Set(key(1), Row{1, 1})
	}
	require.NoError(t, keepRows(t, m.store(), rows, 1))
	assert.Equal(t, []int{1}, sizes(t, m, rows.Index()))
}

func TestJournalIsWrittenAnew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rows int
		// change makes waste before each of the saves.
		change func(rows *Rows, save int)
		saves  int
		want   RowIndex
		sizes  []int
	}{
		{
			name: "just not", rows: 10, saves: 2,
			change: func(rows *Rows, save int) {
				for n := range 1000 {
					rows.Set(key(1), Row{uint32(save + 2), uint32(n)})
				}
			},
			want: RowIndex{0, 2}, sizes: []int{10 + 1000, 1000},
		},
		{
			name: "later lines", rows: 10, saves: 3,
			change: func(rows *Rows, save int) {
				for n := range 1000 {
					rows.Set(key(1), Row{uint32(save + 2), uint32(n)})
				}
			},
			want: RowIndex{1, 1}, sizes: []int{10},
		},
		{
			name: "forgotten rows", rows: 3 * rewriteLines, saves: 1,
			change: func(rows *Rows, _ int) { rows.Forget(maxUnsaved + 10) },
			want:   RowIndex{1, 2}, sizes: []int{rewriteLines, 3*rewriteLines - maxUnsaved - 10 - rewriteLines},
		},
		{
			name: "all forgotten", rows: rewriteLines + 100, saves: 2,
			change: func(rows *Rows, _ int) { rows.Forget(math.MaxUint32) },
			want:   RowIndex{1, 0},
		},
		{
			name: "many small chunks", rows: 0, saves: 900,
			change: func(rows *Rows, save int) {
				for n := range openChunk {
					rows.Set(key(uint64(save*openChunk+n)), Row{1, 1})
				}
			},
			want: RowIndex{1, 131},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, restart := range []bool{false, true} {
				m, rows := newMemory(), NewRows(prefix)
				for n := range tt.rows {
					rows.Set(key(uint64(n)), Row{uint32(n), 1})
					if n%1000 == 999 || n == tt.rows-1 {
						require.NoError(t, keepRows(t, m.store(), rows, 0))
					}
				}
				for save := range tt.saves {
					tt.change(rows, save)
					require.NoError(t, keepRows(t, m.store(), rows, 1))
					if restart && save%100 == 0 {
						_, rows = reloadRows(t, m)
					}
				}
				doc, again := reloadRows(t, m)
				assert.Equal(t, tt.want, doc.Rows)
				assert.Equal(t, held(rows), held(again))
				assert.Equal(t, chunkNames(doc.Rows), m.chunks(), "the old generation is gone")
				if tt.sizes != nil {
					assert.Equal(t, tt.sizes, sizes(t, m, doc.Rows))
				}
				// What is new follows after it.
				again.Set(key(math.MaxUint64), Row{math.MaxUint32, 3})
				require.NoError(t, keepRows(t, m.store(), again, 2))
				_, third := reloadRows(t, m)
				assert.Equal(t, held(again), held(third))
			}
		})
	}
}

// change is what happens between two saves.
func change(rng *rand.Rand, rows *Rows, date uint32) {
	for range rng.IntN(1000) {
		n := rng.Uint64N(4000)
		if rng.IntN(2) == 0 {
			n %= 200 // some are active all the time
		}
		rows.Set(key(n), Row{date, rng.Uint32()})
	}
	if rng.IntN(5) == 0 {
		rows.Forget(date - min(date, 5+rng.Uint32N(20)))
	}
}

// A storage may fail, or the collector die, at any operation. What is then held
// must be a state: each row that was saved and is still wanted is there as it
// was before or as it is, and nothing is invented. Trying again mends it, also
// when that breaks off as well, and nothing is left behind.
func TestRowsSurviveAnyEnd(t *testing.T) {
	t.Parallel()
	const endless = 1 << 30
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 11))
			m, rows := newMemory(), NewRows(prefix)
			require.NoError(t, keepRows(t, m.store(), rows, 0))
			generations := map[int]bool{}
			for step := 1; step <= 30; step++ {
				saved := held(rows)
				change(rng, rows, uint32(step))
				// A row that was forgotten counts no more, also when it comes back.
				maps.DeleteFunc(saved, func(key Key, _ Row) bool { _, ok := rows.Get(key); return !ok })
				whole := m.clone()
				whole.limit(endless)
				require.NoError(t, keepRows(t, whole.store(), cloneRows(rows), step))
				ops := endless - whole.allowed
				for cut := range ops {
					broken, trial := m.clone(), cloneRows(rows)
					broken.atomic = rng.IntN(2) == 0
					check := func(from, to int) *Rows {
						doc, again := reloadRows(t, broken)
						require.GreaterOrEqual(t, doc.Step, from)
						require.LessOrEqual(t, doc.Step, to)
						now, got := held(trial), held(again)
						wrong := 0
						for key, row := range now {
							before, known := saved[key]
							switch back, found := got[key]; {
							case doc.Step == to && row != back,
								known && (!found || back.Date < before.Date),
								found && back.Date > row.Date:
								wrong++
							}
						}
						for key, row := range got {
							// Only what was forgotten may be back.
							if _, ok := now[key]; !ok && row.Date >= uint32(step) {
								wrong++
							}
						}
						require.Zero(t, wrong, "seed %d, step %d, cut %d", seed, step, cut)
						return again
					}

					broken.limit(cut)
					require.ErrorIs(t, keepRows(t, broken.store(), trial, step), errDisk)
					check(step-1, step)
					// It fails a second time, with more changes or without.
					if rng.IntN(2) == 0 {
						change(rng, trial, uint32(step))
					}
					broken.limit(rng.IntN(1 + ops))
					last := step + 1
					if keepRows(t, broken.store(), trial, last) != nil {
						// Which of the three documents it is tells nothing of the rows.
						check(step-1, last+1)
					}
					broken.limited = false

					// Either the collector dies now, or it tries again.
					if rng.IntN(2) == 0 {
						trial = check(step-1, last+1)
					}
					require.NoError(t, keepRows(t, broken.store(), trial, last))
					doc, mended := reloadRows(t, broken)
					got := held(mended)
					for key, row := range held(trial) {
						if got[key] != row {
							require.Fail(t, "a row is not as it was")
						}
					}
					// The chunk that comes next may be there already.
					require.Subset(t, chunkNames(RowIndex{doc.Rows.Generation, doc.Rows.Chunks + 1}), broken.chunks())
					// And it goes on from there.
					mended.Set(key(9999), Row{uint32(step), 1})
					require.NoError(t, keepRows(t, broken.store(), mended, last))
					_, further := reloadRows(t, broken)
					require.True(t, maps.Equal(held(mended), held(further)))
				}
				require.NoError(t, keepRows(t, m.store(), rows, step))
				generations[rows.generation] = true
				if rng.IntN(6) == 0 {
					_, rows = reloadRows(t, m)
				}
			}
			require.Greater(t, len(generations), 3, "the journal was written anew a few times")
		})
	}
}

// While saving fails for long, memory does not grow beyond the rows, and the
// storage is not filled with what nobody needs.
func TestSavingFailsForLong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// allowed is how many operations of a save come through.
		allowed int
	}{
		{"nothing can be written", 0},
		{"a chunk", 1},
		{"some chunks", 3},
		{"chunks but no document", 5},
		{"no deletion", 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const count = 5 * rewriteLines
			m, rows := newMemory(), NewRows(prefix)
			for n := range uint64(count) {
				rows.Set(key(n), Row{1, 1})
			}
			require.NoError(t, keepRows(t, m.store(), rows, 0))
			most := 0
			for step := uint32(1); step <= 60; step++ {
				for n := range uint64(500) {
					rows.Set(key(n), Row{step, 1})
				}
				m.limit(tt.allowed)
				if keepRows(t, m.store(), rows, int(step)) == nil {
					continue
				}
				assert.LessOrEqual(t, cap(rows.open), 2*maxUnsaved)
				most = max(most, len(m.values))
				_, again := reloadRows(t, m)
				assert.Equal(t, count, again.Len())
			}
			assert.LessOrEqual(t, most, 100)
			m.limited = false
			require.NoError(t, keepRows(t, m.store(), rows, 99))
			doc, again := reloadRows(t, m)
			assert.Equal(t, held(rows), held(again))
			assert.Equal(t, chunkNames(doc.Rows), m.chunks())
		})
	}
}

// An attempt to write anew may have got further than the one that succeeds.
func TestShorterSecondAttempt(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		m, rows := newMemory(), NewRows(prefix)
		for n := range uint32(4 * rewriteLines) {
			rows.Set(key(uint64(n)), Row{n, 1})
		}
		require.NoError(t, keepRows(t, m.store(), rows, 0))
		rows.Forget(maxUnsaved + 1)
		m.limit(3)
		require.ErrorIs(t, keepRows(t, m.store(), rows, 1), errDisk)
		require.Len(t, m.chunks(), 4+3)
		m.limited = false
		if restart {
			_, rows = reloadRows(t, m)
		}
		rows.Forget(3*rewriteLines + 5)
		require.NoError(t, keepRows(t, m.store(), rows, 2))
		doc, again := reloadRows(t, m)
		assert.Equal(t, held(rows), held(again))
		assert.Equal(t, 1, doc.Rows.Chunks)
		assert.Equal(t, chunkNames(doc.Rows), m.chunks())
	}
}

func TestLoadRowsRefuses(t *testing.T) {
	t.Parallel()
	const advice = `; restore the storage from a backup, or delete it to start from initial_lookback (entries may then come twice or, if older, not at all)`
	const name = prefix + "0.1"
	for _, tt := range []struct {
		name  string
		spoil func(m *memory)
		index RowIndex
		want  string
	}{
		{name: "missing", spoil: func(m *memory) { delete(m.values, name) }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "empty", spoil: func(m *memory) { m.values[name] = []byte{} }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "only a header", spoil: func(m *memory) { m.values[name] = encodeLines(nil) }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "a bit", spoil: func(m *memory) { m.values[name][chunkHeader+20] ^= 1 }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "checksum", spoil: func(m *memory) { m.values[name][5] ^= 1 }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "version", spoil: func(m *memory) { m.values[name][3]++ }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "cut inside a line", spoil: func(m *memory) { m.values[name] = m.values[name][:len(m.values[name])-keySize] }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "cut between lines", spoil: func(m *memory) { m.values[name] = m.values[name][:len(m.values[name])-lineSize] }, want: `the state "audit.ids.0.1" is missing or broken`},
		{name: "storage fails", spoil: func(m *memory) { m.getErr = errDisk }, want: `the state "audit.ids.0.0" can't be read: the disk is full`},
		{name: "storage fails later", spoil: func(m *memory) { m.getErr = errDisk }, index: RowIndex{5, 0}, want: `the state "audit.ids.4.0" can't be read: the disk is full`},
		{name: "more chunks than there are", index: RowIndex{0, 3}, want: `the state "audit.ids.0.2" is missing or broken`},
		{name: "negative", index: RowIndex{0, -1}, want: `the state "audit.ids." has an impossible number of parts`},
		{name: "too many", index: RowIndex{0, maxChunks + 1}, want: `the state "audit.ids." has an impossible number of parts`},
		{name: "negative generation", index: RowIndex{-1, 0}, want: `the state "audit.ids." has an impossible number of parts`},
		{name: "a generation that is not there", index: RowIndex{1, 1}, want: `the state "audit.ids.1.0" is missing or broken`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, rows := newMemory(), NewRows(prefix)
			for n := range uint32(openChunk + 2) {
				rows.Set(key(uint64(n)), Row{n, n})
				if n >= openChunk-1 {
					require.NoError(t, keepRows(t, m.store(), rows, 0))
				}
			}
			require.Len(t, m.chunks(), 2)
			if tt.spoil != nil {
				tt.spoil(m)
			}
			index := tt.index
			if index == (RowIndex{}) {
				index = rows.Index()
			}
			_, err := m.store().LoadRows(t.Context(), prefix, index)
			require.EqualError(t, err, "storage file_storage: "+tt.want+advice)
		})
	}
}

// The storage holds 24 B for each row and 64 KiB beside.
func TestRowsSavedSize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		saves, change, rows int
		window              uint32
	}{
		{name: "many new rows", saves: 100, change: 1000, rows: math.MaxInt, window: math.MaxUint32},
		{name: "new rows in a window", saves: 150, change: 1000, rows: math.MaxInt, window: 50},
		{name: "few rows that change all the time", saves: 300, change: 1000, rows: 300, window: math.MaxUint32},
		{name: "many rows that change all the time", saves: 100, change: 1000, rows: 10_000, window: math.MaxUint32},
		{name: "quiet", saves: 4000, change: 1, rows: 100, window: 1000},
		{name: "small chunks", saves: 900, change: openChunk, rows: math.MaxInt, window: math.MaxUint32},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 1))
			m, rows := newMemory(), NewRows(prefix)
			for save := range tt.saves {
				date := uint32(save)
				for range tt.change {
					rows.Set(key(rng.Uint64N(uint64(tt.rows))), Row{date, rng.Uint32()})
				}
				rows.Forget(date - min(date, tt.window))
				require.NoError(t, keepRows(t, m.store(), rows, save))
				require.LessOrEqual(t, m.size(), lineSize*rows.Len()+64<<10)
				require.LessOrEqual(t, m.most, lineSize*tt.change+64<<10, "never all rows at once")
			}
			doc, again := reloadRows(t, m)
			again.Forget(uint32(tt.saves-1) - min(uint32(tt.saves-1), tt.window))
			assert.Equal(t, held(rows), held(again))
			assert.Equal(t, chunkNames(doc.Rows), m.chunks())
			t.Logf("%d rows, %d generations", rows.Len(), rows.generation)
		})
	}
}

// At most 64 B in memory for each row, whatever their number and history. Not
// parallel, because it measures the heap.
func TestMemoryPerRow(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	set := func(rows *Rows, n uint64, date uint32) {
		var k Key
		binary.BigEndian.PutUint64(k[:], n*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(k[8:], n)
		rows.Set(k, Row{date, 1})
	}
	store := &Store{client: storage.NewNopClient()}
	for _, tt := range []struct {
		name string
		fill func(save func(), rows *Rows)
	}{
		{"1 000 000", func(save func(), rows *Rows) {
			for n := range uint64(1_000_000) {
				set(rows, n, 1)
				if n%1000 == 999 {
					save()
				}
			}
		}},
		{"at each number", nil},
		{"a window that moves", func(save func(), rows *Rows) {
			for n := range uint64(500_000) {
				set(rows, n, uint32(n/1000))
				if n%5000 == 4999 {
					rows.Forget(uint32(max(n/1000, 100)) - 100)
				}
				if n%20_000 == 19_999 {
					save()
				}
			}
		}},
		{"a rush that is over", func(save func(), rows *Rows) {
			for n := range uint64(1_000_000) {
				set(rows, n, uint32(n/1000))
			}
			rows.Forget(980)
			save()
		}},
		{"forgetting little by little", func(save func(), rows *Rows) {
			for n := range uint64(100_000) {
				set(rows, n, uint32(n/1000))
			}
			for date := range uint32(90) {
				rows.Forget(date)
			}
			save()
		}},
		{"saving fails", func(_ func(), rows *Rows) {
			for date := range uint32(20) {
				for n := range uint64(100_000) {
					set(rows, n, date)
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, rows := heap(), NewRows(prefix)
			save := func() { require.NoError(t, keepRows(t, store, rows, 0)) }
			measure := func() float64 {
				return (float64(heap()) - float64(before) - 64<<10) / float64(rows.Len())
			}
			if tt.fill != nil {
				tt.fill(save, rows)
				perRow := measure()
				assert.LessOrEqual(t, perRow, 64.0)
				t.Logf("%.1f B in memory for each of %d rows", perRow, rows.Len())
				return
			}
			worst, at := 0.0, 0
			for n := 0; n < 600_000; {
				for range 1 + n/32 {
					set(rows, uint64(n), 1)
					n++
				}
				if perRow := measure(); perRow > worst {
					worst, at = perRow, n
				}
			}
			assert.LessOrEqual(t, worst, 64.0)
			t.Logf("%.1f B in memory for each of %d rows at worst", worst, at)
		})
	}
}

// Whatever the storage holds: an error, or rows that can be saved again and are
// the same afterwards.
func FuzzLoadRows(f *testing.F) {
	chunkOf := func(count int) []byte {
		var lines []line
		for n := range count {
			lines = append(lines, line{key(uint64(n)), Row{uint32(n), 1}})
		}
		return encodeLines(lines)
	}
	f.Add([]byte(`{"version":1,"rows":{"generation":5,"chunks":1}}`), chunkOf(1), chunkOf(2))
	f.Add([]byte(`{"version":1,"rows":{"generation":5,"chunks":2}}`), chunkOf(openChunk), chunkOf(3))
	f.Add([]byte(`{"version":1,"rows":{"generation":6,"chunks":0}}`), chunkOf(1), chunkOf(1))
	f.Add([]byte(`{"version":1,"rows":{"generation":5,"chunks":-1}}`), chunkOf(1), []byte("x"))
	f.Add([]byte(`{"version":1,"rows":[]}`), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, data, first, second []byte) {
		m := newMemory()
		m.values = map[string][]byte{docKey: data, prefix + "5.0": first, prefix + "5.1": second}
		s := m.store()
		var doc document
		found, err := s.Load(t.Context(), docKey, &doc)
		if err != nil || !found || doc.Rows.Generation > 1<<30 {
			return
		}
		rows, err := s.LoadRows(t.Context(), prefix, doc.Rows)
		if err != nil {
			return
		}
		rows.Set(key(12345), Row{1, 2})
		require.NoError(t, keepRows(t, s, rows, 0))
		_, again := reloadRows(t, m)
		require.Equal(t, held(rows), held(again))
	})
}

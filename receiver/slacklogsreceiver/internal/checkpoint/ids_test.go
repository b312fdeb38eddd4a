// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// key is the n-th id, looking as random as a hash.
func key(n uint64) (k Key) {
	rng := rand.New(rand.NewPCG(n, 7))
	binary.BigEndian.PutUint64(k[:], rng.Uint64())
	binary.BigEndian.PutUint64(k[8:], n)
	return k
}

// keep saves document and ids as a log type does.
func keep(t *testing.T, s *Store, ids *IDs, step int) error {
	t.Helper()
	return s.Save(t.Context(), docKey, document{Version: Version, Step: step, IDs: ids.Index()}, ids)
}

// reload does what a restart does.
func reload(t *testing.T, m *memory) (document, *IDs) {
	t.Helper()
	var doc document
	s := m.clone().store()
	_, err := s.Load(t.Context(), docKey, &doc)
	require.NoError(t, err)
	ids, err := s.LoadIDs(t.Context(), prefix, doc.IDs)
	require.NoError(t, err)
	return doc, ids
}

// contents are the ids by bucket.
func contents(ids *IDs) map[int64]map[Key]struct{} {
	all := map[int64]map[Key]struct{}{}
	for number, b := range ids.buckets {
		all[number] = maps.Clone(b.keys)
		for _, content := range b.read {
			for _, key := range decodeKeys(content) {
				all[number][key] = struct{}{}
			}
		}
	}
	return all
}

func TestIDs(t *testing.T) {
	t.Parallel()
	ids := NewIDs(prefix)
	assert.False(t, ids.Has(1, key(1)))
	anywhere := func(int64) bool { return true }
	assert.False(t, ids.HasAny(key(1), anywhere))
	assert.Zero(t, ids.Len())
	ids.Add(1, key(1))
	ids.Add(1, key(1))
	ids.Add(-1_700_000_000, key(2))
	assert.True(t, ids.Has(1, key(1)))
	assert.False(t, ids.Has(2, key(1)))
	assert.True(t, ids.HasAny(key(2), anywhere))
	assert.False(t, ids.HasAny(key(2), func(bucket int64) bool { return bucket > 0 }))
	assert.Equal(t, 2, ids.Len())
	assert.Equal(t, Index{1: 1, -1_700_000_000: 1}, ids.Index())
	ids.Drop(func(bucket int64) bool { return bucket > 0 })
	assert.False(t, ids.HasAny(key(2), anywhere))
	assert.Equal(t, 1, ids.Len())
	assert.Equal(t, Index{1: 1}, ids.Index())
}

func TestChunksGrow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// add is how many ids each save brings, and chunks how many ids the
		// bucket's chunks hold after it.
		add    []int
		chunks [][]int
	}{
		{name: "nothing new", add: []int{1, 0, 0}, chunks: [][]int{{1}, {1}, {1}}},
		{name: "a small chunk is written again", add: []int{1, 1, 5}, chunks: [][]int{{1}, {2}, {7}}},
		{name: "until it is large", add: []int{127, 1, 1}, chunks: [][]int{{127}, {128}, {128, 1}}},
		{name: "it may jump over the size", add: []int{127, 500, 1}, chunks: [][]int{{127}, {627}, {627, 1}}},
		{name: "large ones are written once", add: []int{1000, 1000, 1}, chunks: [][]int{{1000}, {1000, 1000}, {1000, 1000, 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, restart := range []bool{false, true} {
				m, ids := newMemory(), NewIDs(prefix)
				n := uint64(0)
				for i, add := range tt.add {
					for range add {
						ids.Add(5, key(n))
						n++
					}
					require.NoError(t, keep(t, m.store(), ids, i))
					var sizes []int
					for part := range tt.chunks[i] {
						content, ok := unseal(m.values[fmt.Sprintf("%s5.%d", prefix, part)], keySize)
						require.True(t, ok)
						sizes = append(sizes, len(content)/keySize)
					}
					assert.Equal(t, tt.chunks[i], sizes)
					assert.Len(t, m.chunks(), len(tt.chunks[i]))
					doc, again := reload(t, m)
					assert.Equal(t, Index{5: len(sizes)}, doc.IDs)
					assert.Equal(t, contents(ids), contents(again))
					if restart {
						ids = again
					}
				}
			}
		})
	}
}

func TestDropDeletesChunks(t *testing.T) {
	t.Parallel()
	m, ids := newMemory(), NewIDs(prefix)
	for n := range uint64(300) {
		ids.Add(int64(n%3), key(n))
		if n%150 == 149 {
			require.NoError(t, keep(t, m.store(), ids, 0))
		}
	}
	ids.Drop(func(bucket int64) bool { return bucket == 2 })
	require.NoError(t, keep(t, m.store(), ids, 1))
	assert.Equal(t, []string{prefix + "2.0"}, m.chunks())
	ids.Drop(func(int64) bool { return false })
	require.NoError(t, keep(t, m.store(), ids, 2))
	assert.Empty(t, m.chunks())
	doc, again := reload(t, m)
	assert.Empty(t, doc.IDs)
	assert.Zero(t, again.Len())
}

// A bucket that was dropped may come back before the deletion was saved. The
// deletion must not take its new chunks along.
func TestDroppedBucketComesBack(t *testing.T) {
	t.Parallel()
	for _, failing := range []bool{false, true} {
		m, ids := newMemory(), NewIDs(prefix)
		for n := range uint64(3 * openChunk) {
			ids.Add(5, key(n))
			require.NoError(t, keep(t, m.store(), ids, 0))
		}
		require.Len(t, m.chunks(), 3)
		ids.Drop(func(int64) bool { return false })
		if failing {
			m.limit(0)
			require.ErrorIs(t, keep(t, m.store(), ids, 1), errDisk)
			m.limited = false
		}
		ids.Add(5, key(1000))
		require.NoError(t, keep(t, m.store(), ids, 2))
		assert.Equal(t, []string{prefix + "5.0"}, m.chunks())
		_, again := reload(t, m)
		assert.Equal(t, contents(ids), contents(again))
	}
}

func TestFailedSaveKeepsEverything(t *testing.T) {
	t.Parallel()
	for _, atomic := range []bool{false, true} {
		m, ids := newMemory(), NewIDs(prefix)
		m.atomic = atomic
		ids.Add(1, key(1))
		ids.Add(2, key(2))
		require.NoError(t, keep(t, m.store(), ids, 0))
		ids.Drop(func(bucket int64) bool { return bucket == 1 })
		for n := range uint64(5) {
			ids.Add(1, key(100+n))
			ids.Add(3, key(200+n))
			m.limit(int(n))
			require.ErrorIs(t, keep(t, m.store(), ids, 1), errDisk)
		}
		m.limited = false
		require.NoError(t, keep(t, m.store(), ids, 2))
		assert.Equal(t, []string{prefix + "1.0", prefix + "3.0"}, m.chunks())
		doc, again := reload(t, m)
		assert.Equal(t, 2, doc.Step)
		assert.Equal(t, contents(ids), contents(again))
	}
}

// A storage whose batches are not atomic may break off after any operation.
// What it then holds must be a state: the document names no chunk that is not
// there, and no id is held that was not delivered.
func TestBatchThatIsNotAtomic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m, ids := newMemory(), NewIDs(prefix)
		n := uint64(0)
		require.NoError(t, keep(t, m.store(), ids, 0))
		saved := contents(ids)
		for step := 1; step <= 15; step++ {
			saved = contents(ids)
			if rng.IntN(3) == 0 {
				gone := rng.Int64N(6)
				ids.Drop(func(bucket int64) bool { return bucket != gone })
				delete(saved, gone)
			}
			for range rng.IntN(3) {
				bucket := rng.Int64N(6)
				for range 1 + rng.IntN(2*openChunk) {
					ids.Add(bucket, key(n))
					n++
				}
			}
			writes, deletions := ids.operations()
			for cut := range len(writes) + 1 + len(deletions) {
				broken := m.clone()
				broken.limit(cut)
				trial := *ids // the save fails, so it changes nothing
				require.ErrorIs(t, keep(t, broken.store(), &trial, step), errDisk)
				broken.limited = false
				doc, again := reload(t, broken)
				require.Contains(t, []int{step - 1, step}, doc.Step)
				if cut > len(writes) {
					require.Equal(t, step, doc.Step)
					require.Equal(t, contents(ids), contents(again))
				}
				// Nothing that is still wanted is lost, and nothing is invented.
				for number, keys := range saved {
					for k := range keys {
						require.True(t, again.Has(number, k), "seed %d, step %d, cut at %d", seed, step, cut)
					}
				}
				// After such an end the next save mends all.
				require.NoError(t, keep(t, broken.store(), again, step))
				_, mended := reload(t, broken)
				require.Equal(t, contents(again), contents(mended))
			}
			require.NoError(t, keep(t, m.store(), ids, step))
		}
		require.NotEmpty(t, saved)
	}
}

func TestLoadIDsRefuses(t *testing.T) {
	t.Parallel()
	const advice = `; restore the storage from a backup, or delete it to start from initial_lookback (entries may then come twice or, if older, not at all)`
	name := prefix + "5.1"
	for _, tt := range []struct {
		name  string
		spoil func(m *memory)
		index Index
		want  string
	}{
		{name: "missing", spoil: func(m *memory) { delete(m.values, name) }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "empty", spoil: func(m *memory) { m.values[name] = []byte{} }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "only a header", spoil: func(m *memory) { m.values[name] = encodeChunk(nil) }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "a bit", spoil: func(m *memory) { m.values[name][chunkHeader+3] ^= 1 }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "checksum", spoil: func(m *memory) { m.values[name][5] ^= 1 }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "version", spoil: func(m *memory) { m.values[name][3]++ }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "cut inside a key", spoil: func(m *memory) { m.values[name] = m.values[name][:len(m.values[name])-1] }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "cut between keys", spoil: func(m *memory) { m.values[name] = m.values[name][:len(m.values[name])-keySize] }, want: `the state "audit.ids.5.1" is missing or broken`},
		{name: "storage fails", spoil: func(m *memory) { m.getErr = errDisk }, want: `the state "audit.ids.5.0" can't be read: the disk is full`},
		{name: "more chunks than there are", index: Index{5: 3}, want: `the state "audit.ids.5.2" is missing or broken`},
		{name: "negative", index: Index{5: -1}, want: `the state "audit.ids." has an impossible number of parts`},
		{name: "too many in all", index: Index{5: 1, 6: maxChunks}, want: `the state "audit.ids." has an impossible number of parts`},
		{name: "too many", index: Index{5: maxChunks + 1}, want: `the state "audit.ids." has an impossible number of parts`},
		{name: "a bucket that is not there", index: Index{6: 1}, want: `the state "audit.ids.6.0" is missing or broken`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ids := newMemory(), NewIDs(prefix)
			for n := range uint64(openChunk + 2) {
				ids.Add(5, key(n))
				if n >= openChunk-1 {
					require.NoError(t, keep(t, m.store(), ids, 0))
				}
			}
			require.Len(t, m.chunks(), 2)
			if tt.spoil != nil {
				tt.spoil(m)
			}
			index := tt.index
			if index == nil {
				index = ids.Index()
			}
			_, err := m.store().LoadIDs(t.Context(), prefix, index)
			require.EqualError(t, err, "storage file_storage: "+tt.want+advice)
		})
	}
}

// Chunks are read some at once. That must not hide which one is broken.
func TestLoadIDsInBatches(t *testing.T) {
	t.Parallel()
	m, ids := newMemory(), NewIDs(prefix)
	const buckets, chunks = 3, readAtOnce - 10
	n := uint64(0)
	for range chunks {
		for number := range int64(buckets) {
			for range openChunk {
				ids.Add(number, key(n))
				n++
			}
		}
		require.NoError(t, keep(t, m.store(), ids, 0))
	}
	require.Len(t, m.chunks(), buckets*chunks)

	whole := m.clone()
	again, err := whole.store().LoadIDs(t.Context(), prefix, ids.Index())
	require.NoError(t, err)
	assert.Equal(t, contents(ids), contents(again))
	assert.Equal(t, 3, whole.reads)

	for _, name := range []string{"0.0", "1.9", "1.10", "1.11", "2.19", "2.20", "2.117"} {
		for _, spoilt := range [][]byte{nil, m.values[prefix+name][:chunkHeader+keySize]} {
			broken := m.clone()
			broken.values[prefix+name] = spoilt
			_, err := broken.store().LoadIDs(t.Context(), prefix, ids.Index())
			require.ErrorContains(t, err, fmt.Sprintf("the state %q is missing or broken; restore", prefix+name))
		}
	}
}

// What was loaded stays as it was read until it is asked for, bucket by
// bucket, and answers the same before and after.
func TestLoadedBuckets(t *testing.T) {
	t.Parallel()
	const number, other = 5, 6
	odd := func(ids *IDs) { ids.HasAny(key(9999), func(int64) bool { return true }) }
	for _, tt := range []struct {
		name string
		ask  func(ids *IDs)
		// read are the buckets that stay as they were read.
		read []int64
	}{
		{name: "not asked for", ask: func(*IDs) {}, read: []int64{number, other}},
		{name: "an odd entry", ask: odd, read: []int64{number, other}},
		{name: "a bucket that no poll needs", ask: func(ids *IDs) {
			for range 10 * maxSearches {
				ids.HasAny(key(9999), func(bucket int64) bool { return bucket < 0 })
				ids.Has(number+100, key(1))
			}
		}, read: []int64{number, other}},
		{name: "new entries", ask: func(ids *IDs) {
			for n := range uint64(maxSearches + 1) {
				ids.Add(number, key(1000+n))
			}
		}, read: []int64{other}},
		{name: "known entries", ask: func(ids *IDs) {
			for range maxSearches + 1 {
				ids.Has(number, key(1))
			}
		}, read: []int64{other}},
		{name: "many odd entries", ask: func(ids *IDs) {
			for range maxSearches + 1 {
				odd(ids)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ids := newMemory(), NewIDs(prefix)
			for n := range uint64(3 * openChunk) {
				ids.Add(number+int64(n%2), key(n))
				if n%150 == 149 {
					require.NoError(t, keep(t, m.store(), ids, 0))
				}
			}
			require.NoError(t, keep(t, m.store(), ids, 0))
			tt.ask(ids)
			_, again := reload(t, m)
			tt.ask(again)
			var read []int64
			for number, b := range again.buckets {
				if b.read != nil {
					read = append(read, number)
				}
			}
			assert.ElementsMatch(t, tt.read, read)
			assert.Equal(t, contents(ids), contents(again))
			assert.Equal(t, ids.Len(), again.Len())
			assert.Equal(t, ids.Index(), again.Index())
			for _, b := range []int64{number, other, number + 100, -1} {
				for n := range uint64(4 * openChunk) {
					require.Equal(t, ids.Has(b, key(n)), again.Has(b, key(n)), "id %d in %d", n, b)
				}
			}
			require.NoError(t, keep(t, m.store(), again, 1))
			_, again = reload(t, m)
			assert.Equal(t, contents(ids), contents(again))
		})
	}
}

// Whatever is done with the set, with restarts in between, it is as a plain
// one that is all in memory.
func TestIDsAgainstPlainSet(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		m, ids := newMemory(), NewIDs(prefix)
		plain := map[int64]map[Key]struct{}{}
		has := func(number int64, k Key) bool {
			_, ok := plain[number][k]
			return ok
		}
		// Negative buckets are there as well, and ids are few enough to come again.
		bucket := func() int64 { return rng.Int64N(5) - 2 }
		id := func() Key { return key(rng.Uint64N(600)) }
		for step := range 400 {
			switch rng.IntN(20) {
			case 0:
				limit := bucket()
				ids.Drop(func(number int64) bool { return number != limit })
				delete(plain, limit)
			case 1, 2:
				require.NoError(t, keep(t, m.store(), ids, step))
				_, ids = reload(t, m)
			case 3:
				require.NoError(t, keep(t, m.store(), ids, step))
			case 4, 5, 6:
				number := bucket()
				for range 1 + rng.IntN(2*openChunk) {
					k := id()
					ids.Add(number, k)
					if plain[number] == nil {
						plain[number] = map[Key]struct{}{}
					}
					plain[number][k] = struct{}{}
				}
			case 7, 8:
				k, from := id(), bucket()
				want := false
				for number := range plain {
					want = want || number >= from && has(number, k)
				}
				require.Equal(t, want, ids.HasAny(k, func(number int64) bool { return number >= from }))
			default:
				number, k := bucket(), id()
				require.Equal(t, has(number, k), ids.Has(number, k))
			}
			want := 0
			for _, keys := range plain {
				want += len(keys)
			}
			require.Equal(t, want, ids.Len(), "seed %d, step %d", seed, step)
		}
		require.Equal(t, plain, contents(ids))
	}
}

// A save writes 64 KiB and 16 B for each new id at most, and the storage holds
// 16 B for each id and little beside.
func TestSavedSize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		saves, add, window int
		hours              int64 // the newest ones that are kept
	}{
		{name: "busy", saves: 300, add: 1000, window: 1, hours: 36},
		{name: "quiet", saves: 2000, add: 1, window: 1, hours: 36},
		{name: "a batch over many hours", saves: 200, add: 1000, window: 36, hours: 36},
		{name: "single entries over many hours", saves: 2000, add: 36, window: 36, hours: 36},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 1))
			m, ids := newMemory(), NewIDs(prefix)
			n := uint64(0)
			for save := range tt.saves {
				hour := int64(480_000 + save/60)
				for range tt.add {
					ids.Add(hour-rng.Int64N(int64(tt.window)), key(n))
					n++
				}
				ids.Drop(func(bucket int64) bool { return bucket > hour-tt.hours })
				require.NoError(t, keep(t, m.store(), ids, save))
				require.LessOrEqual(t, m.written, 64<<10+keySize*tt.add)
				require.LessOrEqual(t, m.size(), 64<<10+keySize*ids.Len())
			}
			_, again := reload(t, m)
			assert.Equal(t, contents(ids), contents(again))
		})
	}
}

// Not parallel, because it measures the heap.
func TestMemoryPerID(t *testing.T) {
	const count = 1_000_000
	heap := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	for _, hours := range []int64{1, 37, 1110} {
		t.Run(fmt.Sprintf("%d hours", hours), func(t *testing.T) {
			m, ids := newMemory(), NewIDs(prefix)
			var k Key
			for n := range int64(count) {
				binary.BigEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
				ids.Add(n%hours, k)
				if n%100_000 == 99_999 {
					require.NoError(t, keep(t, m.store(), ids, 0))
				}
			}
			full := heap()
			assert.Equal(t, count, ids.Len())
			index := ids.Index()
			empty := heap() // the ids are not held any more
			perID := float64(full-empty) / count
			assert.LessOrEqual(t, perID, 45.0)

			// After a start it is less, and no more while that becomes the same.
			ids, err := m.store().LoadIDs(t.Context(), prefix, index)
			require.NoError(t, err)
			loaded := float64(heap()-empty) / count
			assert.LessOrEqual(t, loaded, 20.0)
			most := 0.0
			for number := range hours {
				for range maxSearches + 1 {
					ids.Has(number, Key{})
				}
				if number%(hours/10+1) == 0 || number == hours-1 {
					most = max(most, float64(heap()-empty)/count)
				}
			}
			assert.LessOrEqual(t, most, 45.0)
			assert.Equal(t, count, ids.Len())
			runtime.KeepAlive(m)
			t.Logf("%.1f B in memory for each id; %.1f B after a start, then at most %.1f B", perID, loaded, most)
		})
	}
}

// Whatever the storage holds: an error, or a set that can be saved again and
// is the same afterwards.
func FuzzLoad(f *testing.F) {
	chunkOf := func(count int) []byte {
		var keys []Key
		for n := range count {
			keys = append(keys, key(uint64(n)))
		}
		return encodeChunk(keys)
	}
	f.Add([]byte(`{"version":1,"ids":{"5":1}}`), chunkOf(1), chunkOf(2))
	f.Add([]byte(`{"version":1,"ids":{"5":2,"-9":0}}`), chunkOf(openChunk), chunkOf(3))
	f.Add([]byte(`{"version":2}`), []byte(nil), []byte(nil))
	f.Add([]byte(`{"version":1,"ids":{"5":-1}}`), chunkOf(1), []byte("x"))
	f.Add([]byte(`{"version":1,"ids":{"99999999999999999999":1}}`), chunkOf(1), chunkOf(1))
	f.Fuzz(func(t *testing.T, data, first, second []byte) {
		m := newMemory()
		m.values = map[string][]byte{docKey: data, prefix + "5.0": first, prefix + "5.1": second}
		s := m.store()
		var doc document
		found, err := s.Load(t.Context(), docKey, &doc)
		if err != nil || !found {
			return
		}
		require.GreaterOrEqual(t, doc.Version, 1)
		require.LessOrEqual(t, doc.Version, Version)
		if len(doc.IDs) > 1000 {
			return
		}
		ids, err := s.LoadIDs(t.Context(), prefix, doc.IDs)
		if err != nil {
			return
		}
		ids.Add(5, key(12345))
		require.NoError(t, keep(t, s, ids, 0))
		_, again := reload(t, m)
		for number, keys := range contents(ids) {
			if len(keys) > 0 {
				require.Equal(t, keys, contents(again)[number])
			}
		}
		_, err = json.Marshal(doc)
		require.NoError(t, err)
	})
}

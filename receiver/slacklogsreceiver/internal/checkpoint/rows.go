// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const (
	lineSize = keySize + 8
	// rewriteLines is how many lines a chunk of a new generation holds.
	rewriteLines = 2048
	// maxWaste is by how many bytes the journal may be longer than one that
	// was just written anew, and chunkCost what a chunk costs beside its lines.
	maxWaste  = 48 << 10
	chunkCost = 64
	// maxUnsaved is how many lines are kept while saving fails. Beyond, the
	// next save writes all rows anew.
	maxUnsaved = 2048
	// rowShards keeps small what is copied when forgotten rows are given back.
	rowShards = 64
)

// Row is what was delivered last of a row.
type Row struct{ Date, Count uint32 }

// Rows is what was delivered last of each row. It is saved as a journal in
// which later lines win. When too much of that is of no use any more, it is
// written anew under the next generation. It is used by one goroutine.
type Rows struct {
	prefix string
	shards [rowShards]rowShard

	// The journal of the current generation, and how many lines its chunks hold.
	chunked[line]

	generation, lines int
	// next is the generation that follows, above all that the storage may hold,
	// and tried how many of its chunks a save that failed may have written.
	next, tried int
	// all means that the journal lacks lines, so that it has to be written anew.
	all bool
	// dead are generations whose deletion is not saved yet.
	dead []RowIndex
}

type rowShard struct {
	rows map[Key]Row
	// deleted is how many rows the map has room for without holding them.
	deleted int
}

// line is one change.
type line struct {
	key Key
	row Row
}

// RowIndex says which chunks the storage holds. It stands in the document, so
// that a chunk that is missing is noticed.
type RowIndex struct {
	Generation int `json:"generation"`
	Chunks     int `json:"chunks"`
}

// NewRows returns no rows, with chunks saved under keys that begin with prefix.
func NewRows(prefix string) *Rows { return &Rows{prefix: prefix, next: 1} }

func (r *Rows) shard(key Key) *rowShard { return &r.shards[key[0]%rowShards] }

// Get returns what was delivered last of the row, if anything.
func (r *Rows) Get(key Key) (Row, bool) {
	row, ok := r.shard(key).rows[key]
	return row, ok
}

// Set notes what was delivered last of the row.
func (r *Rows) Set(key Key, row Row) {
	if old, ok := r.Get(key); ok && old == row {
		return
	}
	r.shard(key).set(key, row)
	switch {
	case r.all:
	case len(r.open)-r.written < maxUnsaved:
		r.open = append(r.open, line{key, row})
	default:
		r.all = true
		r.open, r.written = nil, 0
	}
}

func (s *rowShard) set(key Key, row Row) {
	if s.rows == nil {
		s.rows = map[Key]Row{}
	}
	s.rows[key] = row
}

// Len is how many rows are held.
func (r *Rows) Len() int {
	n := 0
	for i := range r.shards {
		n += len(r.shards[i].rows)
	}
	return n
}

// Forget drops the rows dated before the given time. Their lines stay in the
// journal until it is written anew, so they may be back after a restart.
func (r *Rows) Forget(before uint32) {
	for i := range r.shards {
		r.shards[i].forget(before)
	}
}

func (s *rowShard) forget(before uint32) {
	held := len(s.rows)
	maps.DeleteFunc(s.rows, func(_ Key, row Row) bool { return row.Date < before })
	s.deleted += held - len(s.rows)
	// A map never shrinks, and one with many changes may grow without need.
	if s.deleted*32 > len(s.rows) {
		rows := make(map[Key]Row, len(s.rows))
		maps.Copy(rows, s.rows)
		s.rows, s.deleted = rows, 0
	}
}

// Index is what the storage holds once the next save has succeeded.
func (r *Rows) Index() RowIndex {
	if r.rewriteDue() {
		return RowIndex{r.next, chunksFor(r.Len())}
	}
	return RowIndex{r.generation, r.chunksAfterSave()}
}

// rewriteDue reports whether the next save writes all rows anew.
func (r *Rows) rewriteDue() bool {
	if r.all {
		return true
	}
	held := r.Len()
	lines := r.lines + len(r.open) - r.written
	return (lines-held)*lineSize+(r.chunksAfterSave()-chunksFor(held))*chunkCost > maxWaste
}

// chunksFor is how many chunks a new generation has.
func chunksFor(rows int) int { return (rows + rewriteLines - 1) / rewriteLines }

// prepare writes the next generation when that is due: chunk by chunk, because
// all at once would be a second copy of all rows. From then on it is the
// current one for whatever follows: should the document not be saved, or should
// that not be known, its chunks may no more be touched.
func (r *Rows) prepare(do func(*storage.Operation) error) error {
	if !r.rewriteDue() {
		return nil
	}
	var chunk []byte
	n := 0
	write := func() error {
		r.tried = max(r.tried, n+1)
		err := do(storage.SetOperation(r.chunkName(r.next, n), seal(chunk)))
		n++
		return err
	}
	for i := range r.shards {
		for key, row := range r.shards[i].rows {
			if len(chunk) == chunkHeader+lineSize*rewriteLines {
				if err := write(); err != nil {
					return err
				}
				chunk = nil
			}
			if chunk == nil {
				chunk = newChunk(lineSize * rewriteLines)
			}
			chunk = line{key, row}.appendTo(chunk)
		}
	}
	var last []line
	if chunk != nil {
		if err := write(); err != nil {
			return err
		}
		last = decodeLines(chunk[chunkHeader:])
	}
	for extra := r.tried - 1; extra >= n; extra-- {
		if err := do(storage.DeleteOperation(r.chunkName(r.next, extra))); err != nil {
			return err
		}
	}

	// One more than is known: a save that broke off may have written it.
	r.dead = append(r.dead, RowIndex{r.generation, r.chunks + 1})
	r.generation, r.next, r.tried, r.all = r.next, r.next+1, 0, false
	r.chunks, r.lines = n, r.Len()
	r.wrote(last)
	return nil
}

func (r *Rows) operations() (writes, deletions []*storage.Operation) {
	if r.dirty() {
		writes = append(writes, storage.SetOperation(r.chunkName(r.generation, r.chunksAfterSave()-1), encodeLines(r.open)))
	}
	// The generations furthest away and the last chunks go first: what a crash
	// leaves can then be found by counting from the current generation on.
	distance := func(d RowIndex) int { return max(d.Generation-r.generation, r.generation-d.Generation) }
	slices.SortFunc(r.dead, func(a, b RowIndex) int { return cmp.Compare(distance(b), distance(a)) })
	for _, d := range r.dead {
		for n := d.Chunks - 1; n >= 0; n-- {
			deletions = append(deletions, storage.DeleteOperation(r.chunkName(d.Generation, n)))
		}
	}
	return writes, deletions
}

func (r *Rows) saved() {
	if r.dirty() {
		r.lines += len(r.open) - r.written
		r.chunked.saved()
	}
	r.dead = nil
}

func (r *Rows) chunkName(generation, n int) string {
	return fmt.Sprintf("%s%d.%d", r.prefix, generation, n)
}

// LoadRows reads the rows whose chunks index names. A chunk that is missing or
// broken is an error (promise 8).
func (s *Store) LoadRows(ctx context.Context, prefix string, index RowIndex) (*Rows, error) {
	if index.Generation < 0 || index.Chunks < 0 || index.Chunks > maxChunks {
		return nil, s.broken(prefix, "has an impossible number of parts")
	}
	r := NewRows(prefix)
	r.generation, r.chunks = index.Generation, index.Chunks
	name := func(n int) string { return r.chunkName(index.Generation, n) }
	err := s.readChunks(ctx, index.Chunks, name, lineSize, func(n int, content []byte) {
		lines := decodeLines(content)
		for _, l := range lines {
			r.shard(l.key).set(l.key, l.row)
		}
		r.lines += len(lines)
		if n == index.Chunks-1 {
			r.wrote(lines)
		}
	})
	if err != nil {
		return nil, err
	}
	return r, s.findDead(ctx, r)
}

// findDead finds what a crash left of the generations before and after.
func (s *Store) findDead(ctx context.Context, r *Rows) error {
	for _, step := range []int{-1, 1} {
		r.next = r.generation
		for found := true; found; {
			r.next += step
			dead := RowIndex{Generation: r.next}
			for {
				name := r.chunkName(dead.Generation, dead.Chunks)
				data, err := s.client.Get(ctx, name)
				if err != nil {
					return s.broken(name, fmt.Sprintf("can't be read: %v", err))
				}
				if len(data) == 0 {
					break
				}
				dead.Chunks++
			}
			if found = dead.Chunks > 0; found {
				r.dead = append(r.dead, dead)
			}
		}
	}
	return nil
}

func encodeLines(lines []line) []byte {
	chunk := newChunk(lineSize * len(lines))
	for _, l := range lines {
		chunk = l.appendTo(chunk)
	}
	return seal(chunk)
}

func (l line) appendTo(chunk []byte) []byte {
	chunk = append(chunk, l.key[:]...)
	chunk = binary.BigEndian.AppendUint32(chunk, l.row.Date)
	return binary.BigEndian.AppendUint32(chunk, l.row.Count)
}

func decodeLines(content []byte) []line {
	lines := make([]line, 0, len(content)/lineSize)
	for ; len(content) > 0; content = content[lineSize:] {
		lines = append(lines, line{Key(content[:keySize]), Row{
			binary.BigEndian.Uint32(content[keySize:]), binary.BigEndian.Uint32(content[keySize+4:]),
		}})
	}
	return lines
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Key is what is kept of one entry's id.
type Key [16]byte

const (
	keySize = len(Key{})
	// maxSearches is how often the chunks of a bucket are searched from end to
	// end: that takes a sixth of the time in which they become a map. So an
	// entry with an odd date, which is looked for everywhere, does not make maps
	// of all buckets.
	maxSearches = 16
)

// IDs is the set of ids that were delivered, in buckets that are dropped
// whole. It is saved in chunks that are written once, apart from a small last
// one. It is used by one goroutine.
type IDs struct {
	prefix  string
	buckets map[int64]*bucket
	// negative is how many buckets have a number below zero.
	negative int
	// dropped are chunks whose deletion is not saved yet.
	dropped []chunk
}

// chunk names the n-th chunk of a bucket.
type chunk struct {
	bucket int64
	n      int
}

type bucket struct {
	chunked[Key]

	keys map[Key]struct{}
	// read is what a start found in the storage, by chunk. It goes into keys
	// when it was searched often enough: the first poll would wait long for the
	// keys of a whole sweep window, and asks for few of them.
	read     [][]byte
	searches int
}

func (b *bucket) has(key Key) bool {
	if len(b.read) > 0 {
		if b.searches < maxSearches {
			b.searches++
			return b.inKeys(key) || b.inRead(key)
		}
		b.unpack()
	}
	return b.inKeys(key)
}

func (b *bucket) inKeys(key Key) bool {
	_, ok := b.keys[key]
	return ok
}

func (b *bucket) inRead(key Key) bool {
	for _, content := range b.read {
		for ; len(content) > 0; content = content[keySize:] {
			if Key(content[:keySize]) == key {
				return true
			}
		}
	}
	return false
}

// unpack puts what was read into keys. These grow while the chunks go: with
// room for all from the start, both together would break promise 5.
func (b *bucket) unpack() {
	for i, content := range b.read {
		for ; len(content) > 0; content = content[keySize:] {
			b.keys[Key(content[:keySize])] = struct{}{}
		}
		b.read[i] = nil
	}
	b.read = nil
}

// len is how many ids the bucket holds. None is in keys and read.
func (b *bucket) len() int {
	n := len(b.keys)
	for _, content := range b.read {
		n += len(content) / keySize
	}
	return n
}

// Index says which chunks each bucket has in the storage. It stands in the
// document, so that a chunk that is missing is noticed.
type Index map[int64]int

// NewIDs returns an empty set whose chunks are saved under keys that begin
// with prefix.
func NewIDs(prefix string) *IDs {
	return &IDs{prefix: prefix, buckets: map[int64]*bucket{}}
}

// Has reports whether the bucket holds key.
func (ids *IDs) Has(bucket int64, key Key) bool {
	b, ok := ids.buckets[bucket]
	return ok && b.has(key)
}

// HasAny reports whether any of the buckets that match holds key.
func (ids *IDs) HasAny(key Key, match func(bucket int64) bool) bool {
	for number, b := range ids.buckets {
		if match(number) && b.has(key) {
			return true
		}
	}
	return false
}

// Negative reports whether there are buckets with a number below zero.
func (ids *IDs) Negative() bool { return ids.negative > 0 }

func (ids *IDs) newBucket(number int64) *bucket {
	b := &bucket{keys: map[Key]struct{}{}}
	ids.buckets[number] = b
	if number < 0 {
		ids.negative++
	}
	return b
}

// Add puts key into the bucket.
func (ids *IDs) Add(number int64, key Key) {
	b, ok := ids.buckets[number]
	if !ok {
		b = ids.newBucket(number)
	}
	if b.has(key) {
		return
	}
	b.keys[key] = struct{}{}
	b.open = append(b.open, key)
}

// Len is how many ids are held.
func (ids *IDs) Len() int {
	n := 0
	for _, b := range ids.buckets {
		n += b.len()
	}
	return n
}

// Drop forgets the buckets that keep refuses. Their chunks go with the next
// save.
func (ids *IDs) Drop(keep func(bucket int64) bool) {
	for number, b := range ids.buckets {
		if keep(number) {
			continue
		}
		// One more than is known: a save that broke off may have written it.
		for n := range b.chunks + 1 {
			ids.dropped = append(ids.dropped, chunk{number, n})
		}
		delete(ids.buckets, number)
		if number < 0 {
			ids.negative--
		}
	}
}

// Index is what the storage holds once the next save has succeeded.
func (ids *IDs) Index() Index {
	index := make(Index, len(ids.buckets))
	for number, b := range ids.buckets {
		if n := b.chunksAfterSave(); n > 0 {
			index[number] = n
		}
	}
	return index
}

func (*IDs) prepare(func(*storage.Operation) error) error { return nil }

func (ids *IDs) operations() (writes, deletions []*storage.Operation) {
	for _, number := range slices.Sorted(maps.Keys(ids.buckets)) {
		if b := ids.buckets[number]; b.dirty() {
			name := ids.chunkName(number, b.chunksAfterSave()-1)
			writes = append(writes, storage.SetOperation(name, encodeChunk(b.open)))
		}
	}
	for _, c := range ids.dropped {
		// The bucket may have come back since.
		if b, ok := ids.buckets[c.bucket]; ok && c.n < b.chunksAfterSave() {
			continue
		}
		deletions = append(deletions, storage.DeleteOperation(ids.chunkName(c.bucket, c.n)))
	}
	return writes, deletions
}

func (ids *IDs) saved() {
	for _, b := range ids.buckets {
		if b.dirty() {
			b.saved()
		}
	}
	ids.dropped = nil
}

func (ids *IDs) chunkName(bucket int64, n int) string {
	return fmt.Sprintf("%s%d.%d", ids.prefix, bucket, n)
}

// LoadIDs reads the set whose chunks index names. A chunk that is missing or
// broken is an error (promise 8).
func (s *Store) LoadIDs(ctx context.Context, prefix string, index Index) (*IDs, error) {
	ids := NewIDs(prefix)
	var all []chunk
	for _, number := range slices.Sorted(maps.Keys(index)) {
		chunks := index[number]
		if chunks < 0 || chunks > maxChunks-len(all) {
			return nil, s.broken(prefix, "has an impossible number of parts")
		}
		ids.newBucket(number).chunks = chunks
		for n := range chunks {
			all = append(all, chunk{number, n})
		}
	}
	name := func(i int) string { return ids.chunkName(all[i].bucket, all[i].n) }
	err := s.readChunks(ctx, len(all), name, keySize, func(i int, content []byte) {
		b := ids.buckets[all[i].bucket]
		b.read = append(b.read, content)
		if len(b.read) == b.chunks {
			b.wrote(decodeKeys(content))
		}
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func encodeChunk(keys []Key) []byte {
	chunk := newChunk(keySize * len(keys))
	for i := range keys {
		chunk = append(chunk, keys[i][:]...)
	}
	return seal(chunk)
}

func decodeKeys(content []byte) []Key {
	keys := make([]Key, 0, len(content)/keySize)
	for ; len(content) > 0; content = content[keySize:] {
		keys = append(keys, Key(content[:keySize]))
	}
	return keys
}

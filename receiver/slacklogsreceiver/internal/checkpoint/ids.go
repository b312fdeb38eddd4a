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

const keySize = len(Key{})

// IDs is the set of ids that were delivered, in buckets that are dropped
// whole. It is saved in chunks that are written once, apart from a small last
// one. It is used by one goroutine.
type IDs struct {
	prefix  string
	buckets map[int64]*bucket
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
	if !ok {
		return false
	}
	_, ok = b.keys[key]
	return ok
}

// HasAny reports whether any of the buckets that match holds key.
func (ids *IDs) HasAny(key Key, match func(bucket int64) bool) bool {
	for number := range ids.buckets {
		if match(number) && ids.Has(number, key) {
			return true
		}
	}
	return false
}

// Add puts key into the bucket.
func (ids *IDs) Add(number int64, key Key) {
	b, ok := ids.buckets[number]
	if !ok {
		b = &bucket{keys: map[Key]struct{}{}}
		ids.buckets[number] = b
	}
	if _, ok := b.keys[key]; ok {
		return
	}
	b.keys[key] = struct{}{}
	b.open = append(b.open, key)
}

// Len is how many ids are held.
func (ids *IDs) Len() int {
	n := 0
	for _, b := range ids.buckets {
		n += len(b.keys)
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
	for number, chunks := range index {
		if chunks < 0 || chunks > maxChunks {
			return nil, s.broken(prefix, "has an impossible number of parts")
		}
		b := &bucket{keys: map[Key]struct{}{}}
		b.chunks = chunks
		ids.buckets[number] = b
		for n := range chunks {
			name := ids.chunkName(number, n)
			data, err := s.client.Get(ctx, name)
			if err != nil {
				return nil, s.broken(name, fmt.Sprintf("can't be read: %v", err))
			}
			keys, ok := decodeChunk(data)
			if !ok {
				return nil, s.broken(name, "is missing or broken")
			}
			for _, key := range keys {
				b.keys[key] = struct{}{}
			}
			if n == chunks-1 {
				b.wrote(keys)
			}
		}
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

func decodeChunk(chunk []byte) (keys []Key, ok bool) {
	content, ok := unseal(chunk, keySize)
	if !ok {
		return nil, false
	}
	keys = make([]Key, 0, len(content)/keySize)
	for ; len(content) > 0; content = content[keySize:] {
		keys = append(keys, Key(content[:keySize]))
	}
	return keys, true
}

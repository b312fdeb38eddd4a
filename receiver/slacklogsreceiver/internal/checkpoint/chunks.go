// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const (
	// A chunk begins with a version and the checksum of what it holds.
	chunkVersion = 1
	chunkHeader  = 8
	// openChunk is the size below which the last chunk of a list is written
	// again with what is new, so that quiet hours don't leave a chunk a minute.
	openChunk = 128
	maxChunks = 1 << 20
	// readAtOnce is how many chunks are read in one batch. For file_storage
	// each is a transaction that writes, and with fsync waits for the disk.
	readAtOnce = 128
)

// parts are what is saved in chunks around a document: IDs or Rows.
type parts interface {
	// prepare writes, one operation after the other, what neither the document
	// in the storage nor an earlier one speaks of.
	prepare(do func(*storage.Operation) error) error
	// operations are what has to be written before and deleted after the
	// document.
	operations() (writes, deletions []*storage.Operation)
	// saved notes that the operations have been carried out.
	saved()
}

// chunked is a growing list of which the storage holds chunks that are written
// once, apart from a small last one.
type chunked[T any] struct {
	// chunks is how many chunks the storage holds.
	chunks int
	// open is what came since the last full chunk; the first `written` of it
	// are already in the storage's last chunk.
	open    []T
	written int
}

func (c *chunked[T]) dirty() bool { return len(c.open) > c.written }

func (c *chunked[T]) chunksAfterSave() int {
	if c.dirty() && c.written == 0 {
		return c.chunks + 1
	}
	return c.chunks
}

// saved notes that open has become the last chunk.
func (c *chunked[T]) saved() {
	c.chunks = c.chunksAfterSave()
	c.wrote(c.open)
}

// wrote notes what the last chunk holds.
func (c *chunked[T]) wrote(last []T) {
	c.open, c.written = nil, 0
	if len(last) < openChunk {
		c.open, c.written = last, len(last)
	}
}

// newChunk is a chunk without content, with room for size bytes.
func newChunk(size int) []byte { return make([]byte, chunkHeader, chunkHeader+size) }

// seal writes the header of a chunk.
func seal(chunk []byte) []byte {
	binary.BigEndian.PutUint32(chunk, chunkVersion)
	binary.BigEndian.PutUint32(chunk[4:], crc32.ChecksumIEEE(chunk[chunkHeader:]))
	return chunk
}

// unseal returns the content of a chunk, one or more parts of size bytes.
func unseal(chunk []byte, size int) (content []byte, ok bool) {
	if len(chunk) < chunkHeader+size || (len(chunk)-chunkHeader)%size != 0 ||
		binary.BigEndian.Uint32(chunk) != chunkVersion ||
		binary.BigEndian.Uint32(chunk[4:]) != crc32.ChecksumIEEE(chunk[chunkHeader:]) {
		return nil, false
	}
	return chunk[chunkHeader:], true
}

// readChunks reads as many chunks, and has each taken in their order: the
// content, one or more parts of size bytes, which may be kept. One that is
// missing or broken is an error (promise 8).
func (s *Store) readChunks(ctx context.Context, count int, name func(i int) string, size int, take func(i int, content []byte)) error {
	for first := 0; first < count; first += readAtOnce {
		ops := make([]*storage.Operation, min(readAtOnce, count-first))
		for i := range ops {
			ops[i] = storage.GetOperation(name(first + i))
		}
		if err := s.client.Batch(ctx, ops...); err != nil {
			return s.broken(ops[0].Key, fmt.Sprintf("can't be read: %v", err))
		}
		for i, op := range ops {
			content, ok := unseal(op.Value, size)
			if !ok {
				return s.broken(op.Key, "is missing or broken")
			}
			take(first+i, content)
		}
	}
	return nil
}

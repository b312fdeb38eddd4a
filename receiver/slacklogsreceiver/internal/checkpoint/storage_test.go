// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

var errDisk = errors.New("the disk is full")

// memory is a storage whose batches are not atomic: they end after `allowed`
// more writes, or at once where atomic is set.
type memory struct {
	values  map[string][]byte
	limited bool
	allowed int
	atomic  bool
	closed  int
	// written is what the last batch wrote, keys included, and most what the
	// largest did.
	written, most int
	// reads is how many batches got something.
	reads  int
	getErr error
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	return bytes.Clone(m.values[key]), m.getErr
}

func (m *memory) Set(ctx context.Context, key string, value []byte) error {
	return m.Batch(ctx, storage.SetOperation(key, value))
}

func (m *memory) Delete(ctx context.Context, key string) error {
	return m.Batch(ctx, storage.DeleteOperation(key))
}

func (m *memory) Batch(_ context.Context, ops ...*storage.Operation) error {
	var before map[string][]byte
	if m.atomic {
		before = maps.Clone(m.values)
	}
	m.written = 0
	if slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Get }) {
		m.reads++
		if m.getErr != nil {
			return m.getErr
		}
	}
	for _, op := range ops {
		if op.Type == storage.Get {
			op.Value = bytes.Clone(m.values[op.Key])
			continue
		}
		if m.limited && m.allowed == 0 {
			if m.atomic {
				m.values = before
			}
			return errDisk
		}
		m.allowed--
		m.written += len(op.Key) + len(op.Value)
		m.most = max(m.most, m.written)
		if op.Type == storage.Set {
			m.values[op.Key] = bytes.Clone(op.Value)
		} else {
			delete(m.values, op.Key)
		}
	}
	return nil
}

func (m *memory) Close(context.Context) error {
	m.closed++
	return nil
}

// limit lets n more writes through.
func (m *memory) limit(n int) { m.limited, m.allowed = true, n }

func (m *memory) clone() *memory { return &memory{values: maps.Clone(m.values)} }

func (m *memory) chunks() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for key := range m.values {
			if strings.HasPrefix(key, prefix) && !yield(key) {
				return
			}
		}
	})
}

func (m *memory) size() int {
	n := 0
	for key, value := range m.values {
		n += len(key) + len(value)
	}
	return n
}

func (m *memory) store() *Store { return &Store{client: m, name: "file_storage"} }

// extension hands out one client, as a storage extension.
type extension struct {
	component.StartFunc
	component.ShutdownFunc

	client storage.Client
	err    error
	panics string
	asked  []string
}

func (e *extension) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	e.asked = append(e.asked, kind.String()+" "+id.String()+" "+name)
	if e.panics != "" {
		panic(e.panics)
	}
	return e.client, e.err
}

// noStorage is an extension of another kind.
type noStorage struct {
	component.StartFunc
	component.ShutdownFunc
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// blocking is a storage that hangs in a batch until it may leave.
type blocking struct {
	*memory
	entered, leave chan struct{}
}

func (b *blocking) Batch(ctx context.Context, ops ...*storage.Operation) error {
	close(b.entered)
	<-b.leave
	return b.memory.Batch(ctx, ops...)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// claimed is a store that has claimed the state in m.
func claimed(t *testing.T, m *memory) *Store {
	t.Helper()
	s := m.store()
	require.NoError(t, s.Claim(t.Context()))
	return s
}

func TestCheck(t *testing.T) {
	t.Parallel()
	id := component.MustNewID("file_storage")
	require.NoError(t, Check(host{}, nil))
	require.ErrorContains(t, Check(host{}, &id), "is not there")
	require.ErrorContains(t, Check(host{id: noStorage{}}, &id), "is not a storage extension")
	ext := &extension{}
	require.NoError(t, Check(host{id: ext}, &id))
	assert.Empty(t, ext.asked, "nothing is opened")
}

// Whoever claimed last writes, and nobody else, be it ids or rows.
func TestClaim(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.values[docKey] = []byte(`{"version":1}`) // of a receiver that made no claims
	doc := document{Version: Version}
	save := func(s *Store, n uint64) error {
		ids, rows := NewIDs(prefix), NewRows("audit.rows.")
		ids.Add(1, key(n))
		rows.Set(key(n), Row{1, 1})
		rows.all = true // so that they are written anew, chunk by chunk
		return errors.Join(s.Save(t.Context(), docKey, doc, ids), s.Save(t.Context(), "rows", doc, rows))
	}
	first := claimed(t, m)
	require.NoError(t, save(first, 1))
	second := claimed(t, m)
	require.NoError(t, save(second, 2))
	after := maps.Clone(m.values)
	for range 2 {
		require.ErrorIs(t, save(first, 3), ErrTakenOver)
		require.ErrorIs(t, first.Save(t.Context(), docKey, doc, nil), ErrTakenOver)
		require.ErrorIs(t, first.Begin(t.Context(), docKey, doc), ErrTakenOver)
		assert.Equal(t, after, m.values)
		require.NoError(t, save(second, 2))
		delete(m.values, holderKey) // it has expired; the first has nothing from that
		delete(after, holderKey)
	}

	// Led by the first again.
	third := claimed(t, m)
	require.NoError(t, save(third, 4))
	require.ErrorIs(t, save(second, 5), ErrTakenOver)
	require.NoError(t, third.Close(t.Context()))
	require.NoError(t, save(claimed(t, m), 6), "after a restart")
}

// A save that another's claim overtakes in the middle writes no more of it.
func TestClaimDuringSave(t *testing.T) {
	t.Parallel()
	m := newMemory()
	interrupted := &interrupting{memory: m}
	s := &Store{client: interrupted, name: "file_storage"}
	require.NoError(t, s.Claim(t.Context()))
	rows := NewRows("audit.rows.")
	for n := range uint64(3 * rewriteLines) {
		rows.Set(key(n), Row{1, 1})
	}
	rows.all = true
	interrupted.after, interrupted.do = 2, func() { claimed(t, m) }
	require.ErrorIs(t, s.Save(t.Context(), docKey, document{Version: Version}, rows), ErrTakenOver)
	assert.Len(t, m.values, 3, "two chunks and the claim")
	assert.NotContains(t, m.values, docKey)
}

// interrupting does something after some batches.
type interrupting struct {
	*memory
	after int
	do    func()
}

func (i *interrupting) Batch(ctx context.Context, ops ...*storage.Operation) error {
	err := i.memory.Batch(ctx, ops...)
	if i.after--; i.after == 0 {
		i.do()
	}
	return err
}

// A claim that can't be written is written with the first save that can.
func TestLateClaim(t *testing.T) {
	t.Parallel()
	m := newMemory()
	first := claimed(t, m)
	m.limit(0)
	second := m.store()
	require.ErrorIs(t, second.Claim(t.Context()), errDisk)
	require.ErrorIs(t, second.Save(t.Context(), docKey, document{Version: Version}, nil), errDisk)
	m.limited = false
	require.NoError(t, first.Save(t.Context(), docKey, document{Version: Version}, nil))
	m.getErr = errDisk
	require.ErrorIs(t, first.Save(t.Context(), docKey, document{Version: Version}, nil), errDisk, "whose it is has to be known")
	require.ErrorIs(t, second.Save(t.Context(), docKey, document{Version: Version}, nil), errDisk)
	m.getErr = nil
	require.NoError(t, second.Save(t.Context(), docKey, document{Version: Version}, nil))
	require.ErrorIs(t, first.Save(t.Context(), docKey, document{Version: Version}, nil), ErrTakenOver)
}

// A store that was not used leaves no trace.
func TestAbandon(t *testing.T) {
	t.Parallel()
	m := newMemory()
	doc := document{Version: Version}
	require.NoError(t, claimed(t, m).Abandon(t.Context()))
	assert.Empty(t, m.values)

	first := claimed(t, m)
	second := claimed(t, m)
	require.ErrorIs(t, first.Save(t.Context(), docKey, doc, nil), ErrTakenOver)
	require.NoError(t, second.Abandon(t.Context()))
	require.NoError(t, first.Save(t.Context(), docKey, doc, nil), "it is the first one's again")

	third, fourth := claimed(t, m), claimed(t, m)
	require.NoError(t, third.Abandon(t.Context()))
	require.NoError(t, fourth.Save(t.Context(), docKey, doc, nil), "what is another's by now is left alone")

	fifth := claimed(t, m)
	m.getErr = errDisk
	require.ErrorIs(t, fifth.Abandon(t.Context()), errDisk)
	m.getErr = nil
	assert.Equal(t, 4, m.closed, "each is closed")
	require.ErrorIs(t, fifth.Claim(t.Context()), ErrClosed)
	require.NoError(t, fifth.Abandon(t.Context()))

	sixth := m.store()
	m.limit(0)
	require.ErrorIs(t, sixth.Claim(t.Context()), errDisk)
	require.NoError(t, sixth.Abandon(t.Context()))
}

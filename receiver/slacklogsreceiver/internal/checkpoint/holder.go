// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"context"
	"crypto/rand"
	"errors"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// holderKey is whose the state is. A storage without locks, such as a
// database, lets two collectors write: one that still polls when another takes
// over must not delete or overwrite what the other's documents speak of.
const holderKey = "holder"

// ErrTakenOver is returned by saves once another store has claimed the state.
var ErrTakenOver = errors.New("another collector has taken over the state; this one goes on from memory and saves nothing, and records repeat while both poll; check the leader election, or that no other collector uses this storage")

// claim is a store's claim to the state in its storage.
type claim struct {
	// id is this store's, empty if it makes no claim, and before whose the
	// state was.
	id     string
	before []byte
	// made is set once the claim is written, and lost while another's stands
	// in its place.
	made, lost bool
}

// Claim makes the state this store's, so that the saves of all others fail. It
// comes before the first Load. A claim that can't be written is written with
// the first save that can.
func (s *Store) Claim(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return ErrClosed
	}
	s.claim = claim{id: rand.Text()}
	return s.writeClaim(ctx)
}

func (s *Store) writeClaim(ctx context.Context) error {
	before, err := s.client.Get(ctx, holderKey)
	if err != nil {
		return err
	}
	if err := s.client.Set(ctx, holderKey, []byte(s.claim.id)); err != nil {
		return err
	}
	if string(before) != s.claim.id { // a claim that seemed to fail may have been written
		s.claim.before = before
	}
	s.claim.made = true
	return nil
}

// batch writes, if the state is still this store's.
func (s *Store) batch(ctx context.Context, ops ...*storage.Operation) error {
	switch {
	case s.claim.id == "":
	case !s.claim.made:
		if err := s.writeClaim(ctx); err != nil {
			return err
		}
	default:
		holder, err := s.client.Get(ctx, holderKey)
		if err != nil {
			return err
		}
		// A mark that is gone, say because it has expired, is nobody's claim.
		if len(holder) > 0 {
			s.claim.lost = string(holder) != s.claim.id
		}
		if s.claim.lost {
			return ErrTakenOver
		}
	}
	return s.client.Batch(ctx, ops...)
}

// Abandon is Close for a store that could not be used, or was not: whoever had
// the state before goes on.
func (s *Store) Abandon(ctx context.Context) error {
	return errors.Join(s.giveBack(ctx), s.Close(ctx))
}

func (s *Store) giveBack(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil || !s.claim.made {
		return nil
	}
	holder, err := s.client.Get(ctx, holderKey)
	switch {
	case err != nil:
		return err
	case string(holder) != s.claim.id:
		return nil
	case len(s.claim.before) == 0:
		return s.client.Delete(ctx, holderKey)
	default:
		return s.client.Set(ctx, holderKey, s.claim.before)
	}
}

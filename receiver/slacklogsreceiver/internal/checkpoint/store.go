// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package checkpoint keeps what a restart needs in the collector's storage
// extension: one small versioned document per log type, and append-only chunks
// of the ids or rows that were delivered.
package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Version is written into each document. A higher one is from a newer receiver.
const Version = 1

// begunSuffix marks that a document was once saved.
const begunSuffix = ".begun"

const (
	// afresh is what deleting the state means.
	afresh = "to start from initial_lookback (entries may then come twice or, if older, not at all)"

	sumName   = `,"crc":"`
	sumMember = sumName + `%08x"}`
	sumLength = len(sumName) + 8 + len(`"}`)
)

// ErrClosed is returned after Close: a poller that outlived the shutdown may
// not write any more.
var ErrClosed = errors.New("the storage is closed")

// Store is the storage of one receiver. Without a storage extension it keeps
// nothing, and callers live from their memory.
type Store struct {
	mu     sync.Mutex
	client storage.Client
	name   string
	claim  claim
}

// Check looks for the named storage extension, and opens nothing.
func Check(host component.Host, id *component.ID) error {
	if id == nil {
		return nil
	}
	_, err := find(host, id)
	return err
}

// find returns the named storage extension, or an error that says what to do.
func find(host component.Host, id *component.ID) (storage.Extension, error) {
	ext, ok := host.GetExtensions()[*id]
	if !ok {
		return nil, fmt.Errorf("storage: extension %q is not there; define it under extensions and list it in service::extensions", id)
	}
	storageExt, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q is not a storage extension; name one such as file_storage", id)
	}
	return storageExt, nil
}

// Open returns the receiver's store in the named extension, or one that keeps
// nothing when id is nil. A missing or failing extension is an error that says
// what to do.
func Open(ctx context.Context, host component.Host, id *component.ID, receiver component.ID) (*Store, error) {
	if id == nil {
		return &Store{client: storage.NewNopClient()}, nil
	}
	storageExt, err := find(host, id)
	if err != nil {
		return nil, err
	}
	client, err := getClient(ctx, storageExt, receiver)
	if err != nil {
		return nil, fmt.Errorf("storage: %q can't be opened (%w); check that its folder is writable and has space, and that no other collector uses it; if its file is damaged, restore it from a backup, or delete it %s",
			id, err, afresh)
	}
	return &Store{client: client, name: id.String()}, nil
}

// getClient has a storage that panics return an error: bbolt, on which
// file_storage is built, does so when it meets a page that makes no sense.
func getClient(ctx context.Context, ext storage.Extension, receiver component.ID) (client storage.Client, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			client, err = nil, fmt.Errorf("%v", reason)
		}
	}()
	return ext.GetClient(ctx, component.KindReceiver, receiver, "")
}

// Load reads the document under key into doc and reports whether there is one.
// A document that can't be used, or lacks one of the members named, is an
// error: starting afresh in silence would lose or repeat what it stands for
// (promise 8).
func (s *Store) Load(ctx context.Context, key string, doc any, members ...string) (bool, error) {
	data, err := s.client.Get(ctx, key)
	if err != nil {
		return false, s.broken(key, fmt.Sprintf("can't be read: %v", err))
	}
	// Some storages return an empty value where there was none.
	if len(data) == 0 {
		begun, err := s.client.Get(ctx, key+begunSuffix)
		if err != nil || len(begun) > 0 {
			return false, s.broken(key, "is gone")
		}
		return false, nil
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Version < 1 {
		return false, s.broken(key, "is not a state of this receiver")
	}
	if head.Version > Version {
		return false, fmt.Errorf("storage %s: the state %q has version %d, this receiver knows up to %d; run the newer receiver again, or delete the state to start from initial_lookback",
			s.name, key, head.Version, Version)
	}
	if !sound(data) {
		return false, s.broken(key, "is damaged")
	}
	if err := json.Unmarshal(data, doc); err != nil {
		return false, s.broken(key, "has parts of the wrong type")
	}
	var parts map[string]json.RawMessage
	_ = json.Unmarshal(data, &parts)
	for _, name := range members {
		if _, ok := parts[name]; !ok {
			return false, s.broken(key, "lacks a part")
		}
	}
	return true, nil
}

// Begin saves the first document under key, and a mark that there is one, so
// that its loss is noticed.
func (s *Store) Begin(ctx context.Context, key string, doc any) error {
	err := s.Save(ctx, key, doc, nil)
	if err == nil {
		err = s.client.Set(ctx, key+begunSuffix, []byte{Version})
	}
	if err != nil {
		return fmt.Errorf("%w; check the storage's space and rights", err)
	}
	return nil
}

// Invalid is the error for a document whose parts contradict each other.
func (s *Store) Invalid(key, what string) error { return s.broken(key, what) }

func (s *Store) broken(key, what string) error {
	return fmt.Errorf("storage %s: the state %q %s; restore the storage from a backup, or delete it %s", s.name, key, what, afresh)
}

// withSum adds the checksum of a document as its last member. A digit that is
// another one is still a number, and could have entries skipped.
func withSum(data []byte) []byte {
	return fmt.Appendf(data[:len(data)-1], sumMember, crc32.ChecksumIEEE(data))
}

// sound reports whether a document is as it was written. One without a
// checksum is taken as it is.
func sound(data []byte) bool {
	at := len(data) - sumLength
	if at < 0 || !bytes.HasPrefix(data[at:], []byte(sumName)) {
		return true
	}
	return bytes.Equal(data, withSum(append(bytes.Clone(data[:at]), '}')))
}

// Save writes doc under key, with the changes of ids or rows, if any, around
// it: chunks first and deletions last, so that the document never speaks of a
// chunk that is not there, also where a batch is not atomic. It writes nothing
// once another has claimed the state.
func (s *Store) Save(ctx context.Context, key string, doc any, p parts) error {
	data, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	data = withSum(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return ErrClosed
	}
	var ops, deletions []*storage.Operation
	if p != nil {
		err := p.prepare(func(op *storage.Operation) error { return s.batch(ctx, op) })
		if err != nil {
			return err
		}
		ops, deletions = p.operations()
	}
	ops = append(ops, storage.SetOperation(key, data))
	ops = append(ops, deletions...)
	if err := s.batch(ctx, ops...); err != nil {
		return err
	}
	if p != nil {
		p.saved()
	}
	return nil
}

// Close releases the storage. Later saves fail with ErrClosed.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	client := s.client
	s.client = nil
	return client.Close(ctx)
}

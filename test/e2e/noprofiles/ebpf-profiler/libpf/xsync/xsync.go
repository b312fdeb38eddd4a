// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package xsync is like its parent.
package xsync // import "go.opentelemetry.io/ebpf-profiler/libpf/xsync"

import "sync"

// RWMutex keeps what it locks.
type RWMutex[T any] struct {
	mu     sync.Mutex
	locked T
}

// NewRWMutex makes one.
func NewRWMutex[T any](locked T) RWMutex[T] { return RWMutex[T]{locked: locked} }

// WLock locks it.
func (m *RWMutex[T]) WLock() *T {
	m.mu.Lock()
	return &m.locked
}

// WUnlock unlocks it.
func (m *RWMutex[T]) WUnlock(to **T) {
	*to = nil
	m.mu.Unlock()
}

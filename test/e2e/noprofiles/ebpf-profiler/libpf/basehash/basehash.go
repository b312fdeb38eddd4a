// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package basehash is like its parent.
package basehash // import "go.opentelemetry.io/ebpf-profiler/libpf/basehash"

import "errors"

// Hash128 is an id.
type Hash128 struct{ hi, lo uint64 }

// New128 makes one.
func New128(hi, lo uint64) Hash128 { return Hash128{hi, lo} }

// New128FromBytes is not needed for logs.
func New128FromBytes([]byte) (Hash128, error) { return Hash128{}, errors.ErrUnsupported }

// Bytes is not needed for logs.
func (Hash128) Bytes() []byte { return nil }

// Base64 is not needed for logs.
func (Hash128) Base64() string { return "" }

// IsZero tells whether there is none.
func (h Hash128) IsZero() bool { return h == Hash128{} }

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package libpf stands in for what elasticsearchexporter needs of a module for profiles only, which can't be had from
// every module proxy. Logs never come here.
package libpf // import "go.opentelemetry.io/ebpf-profiler/libpf"

import (
	"errors"

	"go.opentelemetry.io/ebpf-profiler/libpf/basehash"
)

// FileID names a program.
type FileID struct{ basehash.Hash128 }

// FrameType is a language.
type FrameType int

// AddressOrLineno is a place in a program.
type AddressOrLineno uint64

// FrameTypeFromString is not needed for logs.
func FrameTypeFromString(string) FrameType { return 0 }

// NewFileID is not needed for logs.
func NewFileID(hi, lo uint64) FileID { return FileID{basehash.New128(hi, lo)} }

// FileIDFromString is not needed for logs.
func FileIDFromString(string) (FileID, error) { return FileID{}, errors.ErrUnsupported }

// FileIDFromBytes is not needed for logs.
func FileIDFromBytes([]byte) (FileID, error) { return FileID{}, errors.ErrUnsupported }

// IsError is not needed for logs.
func (FrameType) IsError() bool { return false }

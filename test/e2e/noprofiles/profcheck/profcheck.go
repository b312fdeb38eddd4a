// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package profcheck stands in for what only tests of a dependency of splunkhecexporter need, so that go mod tidy works
// where the real module can't be had.
package profcheck // import "github.com/open-telemetry/sig-profiling/profcheck"

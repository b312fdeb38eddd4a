// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package schemas tests examples/schemas with the real transform processor.
// It is a module of its own, so that nobody else has to build that processor.
package schemas // import "github.com/slacklogs/otelcol-slacklogs/test/schemas"

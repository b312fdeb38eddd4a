// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package detect judges records by the detection pack: it loads the pack's documents and the lists that tune them, says
// which rules an event matches, and which findings a set of events makes. It is the pack's meaning: what is compiled for
// a collector or a SIEM is held against it.
//
// It judges by the time of the events alone. In which order they come, and how often, changes nothing.
package detect // import "github.com/slacklogs/otelcol-slacklogs/internal/detect"

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"nothing", nil, 2, "", "Usage: slacklogs VERB"},
		{"help", []string{"help"}, 0, "simulate", ""},
		{"version", []string{"version"}, 0, verb.Version, ""},
		{"unknown verb", []string{"emulate"}, 2, "", `there is no verb "emulate"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			assert.Equal(t, tt.code, run(t.Context(), tt.args, &stdout, &stderr))
			assert.Contains(t, stdout.String(), tt.stdout)
			assert.Contains(t, stderr.String(), tt.stderr)
		})
	}
}

// Each verb explains itself where it was asked to, and calls wrong usage wrong usage.
func TestVerbs(t *testing.T) {
	t.Parallel()
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			assert.Zero(t, run(t.Context(), []string{v.name, "--help"}, &stdout, &stderr))
			assert.Regexp(t, "^Usage: slacklogs "+v.name, stdout.String())
			assert.Empty(t, stderr.String())
			stdout.Reset()
			assert.Equal(t, 2, run(t.Context(), []string{v.name, "--nope"}, &stdout, &stderr))
			assert.Equal(t, 2, run(t.Context(), []string{v.name, "now"}, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Contains(t, stderr.String(), "slacklogs "+v.name+": ")
		})
	}
}

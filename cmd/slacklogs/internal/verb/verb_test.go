// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package verb

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{flag.ErrHelp, 0, ""},
		{ErrUsage, 2, ""},
		{fmt.Errorf("it is: %w", ErrAttention), 1, ""},
		{errors.New("the disk is full"), 1, "slacklogs count: the disk is full\n"},
		{errors.New("one\x1b[31m\ntwo\a"), 1, "slacklogs count: one?[31m\ntwo?\n"},
	} {
		var stderr bytes.Buffer
		count := Func(func(_ context.Context, args []string, _, _ io.Writer) error {
			assert.Equal(t, []string{"sheep"}, args)
			return tt.err
		})
		assert.Equal(t, tt.code, count.Exit(t.Context(), "count", []string{"sheep"}, io.Discard, &stderr))
		assert.Equal(t, tt.stderr, stderr.String())
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		args           []string
		err            error
		stdout, stderr string
	}{
		{"fine", []string{"--far"}, nil, "", ""},
		{"help", []string{"--help"}, flag.ErrHelp, "Usage: slacklogs count\n  -far\n    \tbeyond ten\n", ""},
		{"mistyped", []string{"--fra"}, ErrUsage, "", "slacklogs count: flag provided but not defined: -fra\nslacklogs count --help says more.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			set := NewFlags("count", "Usage: slacklogs count", &stdout, &stderr)
			far := set.Bool("far", false, "beyond ten")
			require.ErrorIs(t, set.Parse(tt.args), tt.err)
			assert.Equal(t, tt.err == nil, *far)
			assert.Equal(t, tt.stdout, stdout.String())
			assert.Equal(t, tt.stderr, stderr.String())
		})
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "Ada ?[31m Ünë 東?", Printable("Ada \x1b[31m Ünë 東\n"))
}

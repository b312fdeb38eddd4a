// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package verb is how each verb of slacklogs begins and ends.
package verb // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// Version is set by the linker.
var Version = "dev"

var (
	// ErrUsage is for wrong arguments whose explanation has been printed.
	ErrUsage = errors.New("wrong usage")
	// ErrAttention is for what a verb has found, and printed, that somebody has to mend.
	ErrAttention = errors.New("something needs attention")
)

// Func is a verb: it takes the arguments behind its name.
type Func func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Exit runs the verb of this name and returns the exit code: 0, 1 when it failed or found what needs attention, 2 when
// the arguments are wrong.
func (f Func) Exit(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	err := f(ctx, args, stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	case errors.Is(err, ErrAttention):
		return 1
	}
	fmt.Fprintf(stderr, "slacklogs %s: %s\n", name, printableLines(err.Error()))
	return 1
}

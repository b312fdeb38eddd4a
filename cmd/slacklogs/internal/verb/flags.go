// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package verb // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Flags are the flags of a verb.
type Flags struct {
	*flag.FlagSet

	about          string
	stdout, stderr io.Writer
}

// NewFlags returns the flags of a verb, which its help shows below about: how it is called, and what it is for.
func NewFlags(name, about string, stdout, stderr io.Writer) *Flags {
	return &Flags{flag.NewFlagSet(name, flag.ContinueOnError), about, stdout, stderr}
}

// Parse reads the arguments. Help that was asked for goes to stdout; to a mistake it would be too long an answer.
func (f *Flags) Parse(args []string) error {
	f.SetOutput(io.Discard)
	err := f.FlagSet.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(f.stdout, "%s\n", f.about)
		f.SetOutput(f.stdout)
		f.PrintDefaults()
		return err
	case err != nil:
		return f.Wrong(err.Error())
	}
	return nil
}

// Wrong tells what is wrong with the arguments, and returns ErrUsage.
func (f *Flags) Wrong(problem string) error {
	fmt.Fprintf(f.stderr, "slacklogs %s: %s\nslacklogs %s --help says more.\n", f.Name(), printableLines(problem), f.Name())
	return ErrUsage
}

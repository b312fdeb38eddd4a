// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Command slacklogs helps those who run the slacklogs receiver: each verb is one such help.
package main // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// verb is one thing that the command can do.
type verb struct {
	name, summary string
	run           func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

var verbs = []verb{
	{"simulate", "serve a made-up Slack organisation on loopback, to try the receiver without Slack", simulate},
	{"status", "say how a running collector's log types stand, and what to do about those that do not work", status},
	{"readable", "say which log types the token in SLACK_TOKEN can read", readable},
}

// errUsage is for wrong arguments whose explanation has been printed.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 0, 1 when the verb failed, 2 when the arguments are wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return 0
	}
	for _, v := range verbs {
		if v.name != args[0] {
			continue
		}
		err := v.run(ctx, args[1:], stdout, stderr)
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			return 2
		case errors.Is(err, errAttention):
			return 1
		}
		fmt.Fprintf(stderr, "slacklogs %s: %v\n", v.name, err)
		return 1
	}
	fmt.Fprintf(stderr, "slacklogs: there is no verb %q\n\n", args[0])
	usage(stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: slacklogs VERB [flags]\n\n")
	for _, v := range verbs {
		fmt.Fprintf(w, "  %-10s %s\n", v.name, v.summary)
	}
	fmt.Fprintf(w, "  %-10s %s\n", "help", "show this")
	fmt.Fprint(w, "\nslacklogs VERB --help lists the verb's flags.\n")
}

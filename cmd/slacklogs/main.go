// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Command slacklogs helps those who run the slacklogs receiver: each verb is one such help.
package main // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs"

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/rules"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/simulate"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/status"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
)

// verbs are what the command can do.
var verbs = []struct {
	name, summary string
	run           verb.Func
}{
	{"authorize", "install the Slack app and keep its token in a file", authorize.Run},
	{"check", "ask Slack what a configuration or a token needs, and say what mends what fails", check.Run},
	{"status", "say how a running collector's log types stand, and what to do about those that do not work", status.Run},
	{"rules", "list, compile and check the detection rules", rules.Run},
	{"backtest", "say what the detection rules find in exported records", backtest.Run},
	{"simulate", "serve a made-up Slack organisation on loopback, to try the receiver without Slack", simulate.Run},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not hear the first
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return 0
	case "version", "--version":
		fmt.Fprintln(stdout, verb.Version)
		return 0
	}
	for _, v := range verbs {
		if v.name == args[0] {
			return v.run.Exit(ctx, v.name, args[1:], stdout, stderr)
		}
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
	fmt.Fprintf(w, "  %-10s %s\n", "version", "show the version")
	fmt.Fprintf(w, "  %-10s %s\n", "help", "show this")
	fmt.Fprint(w, "\nslacklogs VERB --help lists the verb's flags.\n")
}

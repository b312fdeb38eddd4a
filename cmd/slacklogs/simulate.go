// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

type simulateFlags struct {
	listen, entries, token string
	history                time.Duration
	backlog, faults, limit int
	rate                   float64
	burst, late, control   bool
	seed                   uint64
}

func parseSimulate(args []string, stderr io.Writer) (simulateFlags, error) {
	var f simulateFlags
	set := flag.NewFlagSet("slacklogs simulate", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.listen, "listen", "127.0.0.1:8765", "loopback `address` to serve on; port 0 = any free one")
	set.StringVar(&f.entries, "entries", "", "serve the entries of this JSONL `file` instead of made-up ones")
	set.DurationVar(&f.history, "history", 24*time.Hour, "how far back made-up entries go")
	set.IntVar(&f.backlog, "backlog", 2000, "made-up entries spread over the history")
	set.Float64Var(&f.rate, "rate", 60, "made-up entries a minute from now on; 0 = none")
	set.BoolVar(&f.burst, "burst", false, "once a minute 500 entries in one second")
	set.BoolVar(&f.late, "late", false, "show each tenth entry late, by up to 20 minutes")
	set.IntVar(&f.faults, "faults", 0, "make each n-th answer faulty, with one fault after the other; 0 = none")
	set.IntVar(&f.limit, "limit", 50, "audit calls a minute for the whole organisation; 0 = no limit")
	set.Uint64Var(&f.seed, "seed", 1, "the same seed makes up the same company")
	set.StringVar(&f.token, "token", "any", "the token that is accepted; any = every one")
	set.BoolVar(&f.control, "control", false, "let tests steer the simulation under /control/")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return f, err
		}
		return f, errUsage
	}
	if problem := f.problem(set.Args()); problem != "" {
		fmt.Fprintf(stderr, "slacklogs simulate: %s\n", problem)
		return f, errUsage
	}
	return f, nil
}

// problem says in a sentence what is wrong with the flags, if anything is.
func (f simulateFlags) problem(rest []string) string {
	switch {
	case len(rest) > 0:
		return fmt.Sprintf("%q is no flag", rest[0])
	case f.history <= 0:
		return "--history must be more than 0"
	case f.backlog < 0 || f.rate < 0 || f.faults < 0 || f.limit < 0:
		return "--backlog, --rate, --faults and --limit must not be below 0"
	case f.token == "":
		return "--token must not be empty; any accepts every token"
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return fmt.Sprintf("--listen must be an address with a port, such as 127.0.0.1:8765: %v", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return fmt.Sprintf("--listen must be a loopback address such as 127.0.0.1:8765, not %q: the simulator guards nothing, so nobody else may reach it", f.listen)
	}
	return ""
}

// simulate serves until ctx ends.
func simulate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseSimulate(args, stderr)
	if err != nil {
		return err
	}
	w := newWorld(f, time.Now)
	defer w.slack.Close()
	if f.entries == "" {
		w.past(f.backlog, f.history)
	} else {
		entries, err := readEntries(f.entries, time.Now())
		if err != nil {
			return err
		}
		w.slack.Add(entries...)
		f.rate, f.burst = 0, false
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", w.slack)
	if f.control {
		mux.Handle("/control/", w.control(tokenName(f.token)))
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Close()

	printSetup(stdout, "http://"+listener.Addr().String(), f.token, w.oldest())
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-ticker.C:
			w.live(f.rate, f.burst)
		}
	}
}

// printSetup shows what to put into the collector's configuration. The start is named only if the receiver's
// own lookback would miss it.
func printSetup(w io.Writer, url, token string, oldest time.Time) {
	if token == "any" {
		token = "any-text-will-do"
	}
	fmt.Fprintf(w, `listening on %[1]s

receivers:
  slacklogs:
    token: %[2]q
    endpoint: %[1]s/api
    audit_endpoint: %[1]s/audit/v1
`, url, token)
	if time.Since(oldest) > 23*time.Hour {
		fmt.Fprintf(w, "    audit_logs:\n      start_time: %q\n", oldest.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintln(w, "    audit_logs: {}")
	}
}

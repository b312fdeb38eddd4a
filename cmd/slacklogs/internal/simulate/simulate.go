// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package simulate is the verb simulate: a made-up company with a Slack on loopback, to try the receiver on.
package simulate // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/simulate"

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

type simulateFlags struct {
	listen, token                        string
	entriesFile, loginsFile, changesFile string
	accessOrder                          string
	history                              time.Duration
	backlog, logins, changes             int
	workspaces, refused                  int
	faults, limit, webLimit              int
	rate                                 float64
	burst, late, control, measure        bool
	seed                                 uint64
	app                                  slacktest.App
	redirectURL                          string
}

const about = `Usage: slacklogs simulate [flags]

Plays Slack on loopback until Ctrl-C: the logs of a made-up organisation, and the installation of an app, as
slacklogs authorize --endpoint http://127.0.0.1:8765/api sees it. It first prints a receiver that reads from it.
`

func parseSimulate(args []string, stdout, stderr io.Writer) (simulateFlags, error) {
	var f simulateFlags
	set := verb.NewFlags("simulate", about, stdout, stderr)
	set.StringVar(&f.listen, "listen", "127.0.0.1:8765", "loopback `address` to serve on; port 0 = any free one")
	set.StringVar(&f.entriesFile, "entries", "", "serve the audit entries of this JSONL `file`, and nothing made-up")
	set.StringVar(&f.loginsFile, "logins-file", "", "serve the access log rows of this JSONL `file`, and nothing made-up")
	set.StringVar(&f.changesFile, "changes-file", "", "serve the integration log rows of this JSONL `file`, and nothing made-up")
	set.DurationVar(&f.history, "history", 24*time.Hour, "how far back what is made up goes")
	set.IntVar(&f.backlog, "backlog", 2000, "made-up audit entries spread over the history")
	set.IntVar(&f.logins, "logins", 60, "made-up access log rows spread over the history")
	set.IntVar(&f.changes, "changes", 12, "made-up integration log rows spread over the history")
	set.Float64Var(&f.rate, "rate", 60, "made-up audit entries a minute from now on; beside them a quarter as many access log rows, new or active\nagain, and a twentieth as many integration changes; 0 = none")
	set.StringVar(&f.accessOrder, "access-order", "last", "`order` of the access logs: last or first = by date_last or date_first, none = by neither")
	set.IntVar(&f.workspaces, "workspaces", 2, "workspaces of the organisation, 1 to 3")
	set.IntVar(&f.refused, "refused", 0, "refuse the access and integration logs of the `n`-th workspace; 0 = of none")
	set.BoolVar(&f.burst, "burst", false, "once a minute 500 entries in one second")
	set.BoolVar(&f.late, "late", false, "show each tenth entry late, by up to 20 minutes")
	set.IntVar(&f.faults, "faults", 0, "make each n-th answer faulty, with one fault after the other; 0 = none")
	set.IntVar(&f.limit, "limit", 50, "audit calls a minute for the whole organisation; 0 = no limit")
	set.IntVar(&f.webLimit, "web-limit", 20, "calls a minute of each other method for each workspace; 0 = no limit")
	set.Uint64Var(&f.seed, "seed", 1, "the same seed makes up the same company")
	set.StringVar(&f.token, "token", "any", "the token that is accepted; any = every one")
	set.StringVar(&f.app.ClientID, "client-id", "111.222", "client `id` of the app that Slack knows, for /oauth/v2/authorize and oauth.v2.access")
	set.StringVar(&f.app.ClientSecret, "client-secret", "simulator-secret", "client `secret` of the app; empty = a public client, which needs PKCE")
	set.StringVar(&f.redirectURL, "redirect-url", "", "the `URL` that the app may redirect to, or below; empty = any that is https, or on loopback for a public client")
	set.BoolVar(&f.app.Rotation, "rotation", false, "let the tokens that the app is given expire, and come with refresh tokens")
	set.DurationVar(&f.app.TokenLife, "token-life", 12*time.Hour, "how long such a token lasts")
	set.DurationVar(&f.app.Grace, "grace", 30*time.Second, "how long a used refresh token still works; 0 = not at all")
	set.BoolVar(&f.control, "control", false, "let tests steer the simulation under /control/")
	set.BoolVar(&f.measure, "measure", false, "print how much an organisation of 1000 users logs in a day, and end")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if problem := f.problem(set.Args()); problem != "" {
		return f, set.Wrong(problem)
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
	case f.rate < 0 || min(f.backlog, f.logins, f.changes, f.faults, f.limit, f.webLimit) < 0:
		return "--backlog, --logins, --changes, --rate, --faults, --limit and --web-limit must not be below 0"
	case f.workspaces < 1 || f.workspaces > 3:
		return "--workspaces must be 1, 2 or 3"
	case f.refused < 0 || f.refused > f.workspaces:
		return "--refused must be 0 or the number of a workspace, 1 to --workspaces"
	case !isAccessOrder(f.accessOrder):
		return fmt.Sprintf("--access-order must be last, first or none, not %q", f.accessOrder)
	case f.app.ClientID == "":
		return "--client-id must not be empty"
	case f.app.TokenLife < time.Second || f.app.Grace < 0:
		return "--token-life must be at least 1s, and --grace not below 0"
	case f.token == "":
		return "--token must not be empty; any accepts every token"
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return fmt.Sprintf("--listen must be an address with a port, such as 127.0.0.1:8765: %v", err)
	}
	if !slack.IsLoopback(host) {
		return fmt.Sprintf("--listen must be a loopback address such as 127.0.0.1:8765, not %q: the simulator guards nothing, so nobody else may reach it", f.listen)
	}
	return ""
}

// Run serves until ctx ends.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseSimulate(args, stdout, stderr)
	if err != nil {
		return err
	}
	if f.measure {
		measure(stdout, f.seed)
		return nil
	}
	w := newWorld(f, time.Now)
	defer w.slack.Close()
	if f.entriesFile+f.loginsFile+f.changesFile == "" {
		w.past(f.backlog, f.logins, f.changes, f.history)
	} else {
		if err := w.load(f); err != nil {
			return err
		}
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

	printSetup(stdout, "http://"+listener.Addr().String(), f.token, w.oldest(), w.oldestRow())
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

// lookback is the receiver's own; what is older it has to be told of.
const lookback = 24 * time.Hour

// printSetup shows what to put into the collector's configuration. How far to look back is named only if the
// receiver's own lookback would miss something.
func printSetup(w io.Writer, url, token string, entry, row time.Time) {
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
	if time.Since(entry) > lookback-time.Hour {
		fmt.Fprintf(w, "    audit_logs:\n      start_time: %q\n", entry.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintln(w, "    audit_logs: {}")
	}
	for _, section := range []string{"access_logs", "integration_logs"} {
		fmt.Fprintf(w, "    %s:\n", section)
		if age := time.Since(row); age > lookback-time.Hour {
			fmt.Fprintf(w, "      initial_lookback: %dh\n", age/time.Hour+2)
		}
		fmt.Fprintln(w, `      team_ids: ["*"]`)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package status is the verb status: it tells from a running collector's metrics how its log types stand.
package status // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/status"

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
)

const pageTimeout = 5 * time.Second

// statusFlags are the verb's flags.
type statusFlags struct {
	page         *url.URL
	watch        bool
	interval     time.Duration
	stalledAfter time.Duration
	output       string
}

// Run tells from a collector's metrics whether its log types work. Its error is nil only if all do.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseStatus(args, stdout, stderr)
	if err != nil {
		return err
	}
	w := watcher{
		statusFlags: f,
		client: &http.Client{
			Timeout:       pageTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock: clock.Real{}, to: stdout, terminal: isTerminal(stdout),
	}
	defer w.client.CloseIdleConnections()
	if f.watch {
		return w.run(ctx)
	}
	return w.once(ctx)
}

const about = `Usage: slacklogs status [flags]

Reads a running collector's metrics, and prints a line for each log type and workspace: its state, how old the newest
entry is, up to when all was read, and what has failed. For each that does not work it says what to do. The exit code is
0 while all works, 1 when something needs attention, the first poll has not ended or there is no collector.
`

func parseStatus(args []string, stdout, stderr io.Writer) (f statusFlags, err error) {
	var address string
	set := verb.NewFlags("status", about, stdout, stderr)
	set.StringVar(&address, "metrics-url", "http://127.0.0.1:8888/metrics", "`address` of the collector's Prometheus page")
	set.BoolVar(&f.watch, "watch", false, "go on until Ctrl-C")
	set.DurationVar(&f.interval, "interval", 2*time.Second, "time between two looks of --watch")
	set.DurationVar(&f.stalledAfter, "stalled-after", 15*time.Minute, "how old the last poll may get; more than poll_interval")
	set.StringVar(&f.output, "output", "table", "`form`: table, or json with one object a line")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	f.page, err = url.Parse(address)
	problem := ""
	switch {
	case set.NArg() > 0:
		problem = fmt.Sprintf("%q is no flag", set.Arg(0))
	case err != nil || f.page.Scheme != "http" && f.page.Scheme != "https" || f.page.Host == "":
		problem = "--metrics-url must be an address such as http://127.0.0.1:8888/metrics"
	case f.interval <= 0 || f.stalledAfter <= 0:
		problem = "--interval and --stalled-after must be more than 0"
	case f.output != "table" && f.output != "json":
		problem = fmt.Sprintf("--output must be table or json, not %q", f.output)
	}
	if problem != "" {
		return f, set.Wrong(problem)
	}
	if f.page.Path == "" {
		f.page.Path = "/metrics"
	}
	return f, nil
}

// watcher looks at a collector's metrics and prints what they say.
type watcher struct {
	statusFlags
	client   *http.Client
	clock    clock.Clock
	to       io.Writer
	terminal bool
}

func (w *watcher) once(ctx context.Context) error {
	r := w.look(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.print(&r); err != nil {
		return err
	}
	if !r.OK {
		return verb.ErrAttention
	}
	return nil
}

// run looks again and again, also while the collector is down, until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	for {
		r := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := w.print(&r); err != nil {
			return err
		}
		if w.clock.Sleep(ctx, w.interval) != nil {
			return nil
		}
	}
}

// look reports what the page says, or why there is none.
func (w *watcher) look(ctx context.Context) statusReport {
	m, err := w.readPage(ctx)
	if err != nil {
		return statusReport{Time: w.clock.Now().UTC(), Summary: err.Error(), Lines: []statusLine{}}
	}
	return newReport(w.clock.Now().UTC(), m, w.stalledAfter)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package backtest is the verb backtest: it says what the detection pack would have found in records that were kept.
package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/pack"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

const about = `Usage: slacklogs backtest FILE… [flags]

Judges records by the detection pack, as if it had been there, and shows the findings of each rule by day. A file holds
lines: requests of OTLP logs as JSON, as the collector's file exporter writes them, or Slack's own entries and rows.
Packed files (gzip, zstd) are unpacked; - is stdin. Order and repetitions do not matter, and nothing is sent anywhere.

  slacklogs backtest --since 30d /var/log/slack/*.json                 findings by rule and day
  slacklogs backtest --findings --tier page FILE                       each finding
  slacklogs backtest --context W012ABCDEF3 FILE                        what a person did around their findings
  slacklogs backtest --suggest-lists FILE > lists.yml                  a first lists.yml, to be read by a person

Times and days are UTC. The exit code is 1 if nothing could be judged; findings do not change it.
`

type backtestFlags struct {
	pack.Flags
	input
	findings, asJSON bool
	context          string
	around           time.Duration
	suggest          bool
	ownApps          []string
}

// Run judges the records of files.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	now := time.Now()
	f, err := parse(args, now, stdout, stderr)
	if err != nil {
		return err
	}
	f.stdin = os.Stdin
	return f.run(ctx, now, stdout, stderr)
}

func parse(args []string, now time.Time, stdout, stderr io.Writer) (*backtestFlags, error) {
	var f backtestFlags
	set := verb.NewFlags("backtest", about, stdout, stderr)
	f.AddLists(set)
	f.AddRules(set)
	f.AddTiers(set)
	set.Func("since", "leave out what was before this `time`: 2026-11-02, 2026-11-02T15:04:05Z, or 30d for so long ago", point(&f.since, now))
	set.Func("until", "leave out what was at this `time` or later", point(&f.until, now))
	set.BoolVar(&f.findings, "findings", false, "show each finding")
	set.BoolVar(&f.asJSON, "json", false, "JSON in place of tables")
	set.StringVar(&f.context, "context", "", "show the records of this `user` (id or e-mail address) around each finding that concerns them")
	set.DurationVar(&f.around, "around", 24*time.Hour, "how much --context shows before and after a finding")
	set.BoolVar(&f.suggest, "suggest-lists", false, "propose a file of lists from the records, with reasons; a person has to read it")
	set.Func("own-app", "`id` of the app that the collector uses, for --suggest-lists; may be repeated", func(id string) error {
		if !appID.MatchString(id) {
			return errors.New("an app's id begins with A")
		}
		f.ownApps = append(f.ownApps, id)
		return nil
	})
	// Flags may also stand behind files.
	for rest := args; ; rest = set.Args()[1:] {
		if err := set.Parse(rest); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			break
		}
		f.files = append(f.files, set.Arg(0))
	}
	twice := ""
	switch {
	case f.context != "":
		twice = "--context"
	case f.suggest:
		twice = "--suggest-lists"
	}
	switch {
	case len(f.files) == 0:
		return nil, set.Wrong("name the files to read; - is stdin")
	case f.context != "" && f.suggest:
		return nil, set.Wrong("--context and --suggest-lists are two things")
	case len(f.ownApps) > 0 && !f.suggest:
		return nil, set.Wrong("--own-app goes with --suggest-lists")
	case f.suggest && len(f.Tiers) > 0:
		return nil, set.Wrong("--suggest-lists looks at its own tiers")
	case f.suggest && f.asJSON:
		return nil, set.Wrong("--suggest-lists writes YAML, no JSON")
	case f.around <= 0:
		return nil, set.Wrong("--around must be more than 0")
	case twice != "" && slices.Contains(f.files, "-"):
		return nil, set.Wrong(twice + " reads twice, which stdin can't be")
	}
	for _, name := range f.files {
		if name == "-" {
			continue
		}
		if info, err := os.Stat(name); err != nil {
			return nil, set.Wrong(err.Error())
		} else if info.IsDir() {
			return nil, set.Wrong(name + " is a folder; name the files in it")
		} else if twice != "" && !info.Mode().IsRegular() {
			return nil, set.Wrong(twice + " reads twice, which " + name + " can't be")
		}
	}
	return &f, nil
}

var appID = regexp.MustCompile(`^A[A-Z0-9]+$`)

// point reads a day, a time, or how long ago.
func point(to *time.Time, now time.Time) func(string) error {
	return func(text string) error {
		for _, form := range []string{time.DateOnly, time.RFC3339} {
			if at, err := time.Parse(form, text); err == nil {
				*to = at
				return nil
			}
		}
		ago, err := sigma.Duration(text)
		if err != nil {
			return errors.New("neither a day such as 2026-11-02, nor a time such as 2026-11-02T15:04:05Z, nor so long ago such as 30d")
		}
		*to = now.Add(-ago)
		return nil
	}
}

func (f *backtestFlags) run(ctx context.Context, now time.Time, stdout, stderr io.Writer) error {
	_, tuned, lists, err := f.Load(now)
	if err != nil {
		return err
	}
	tiers := f.Wanted()
	if f.suggest {
		tiers = []detect.Tier{detect.Page, detect.Review} // whose findings make a value doubtful
	}
	only(tuned, tiers)
	return f.judge(ctx, tuned, lists, stdout, stderr)
}

// judge reads the files, and prints what was asked for.
func (f *backtestFlags) judge(ctx context.Context, tuned *detect.Tuned, lists *detect.Lists, stdout, stderr io.Writer) error {
	j, err := judgeAll(ctx, &f.input, tuned, f.context)
	if err != nil {
		return err
	}
	if j.Unreadable > 0 {
		fmt.Fprintf(stderr, "%d lines could not be read; the first: %s\n", j.Unreadable, verb.Printable(j.First))
	}
	if j.Records == 0 {
		fmt.Fprintf(stderr, "no record was judged: %d outside of the time asked for, %d not of the receiver\n", j.Outside, j.Foreign)
		if j.Unreadable > 0 {
			return verb.ErrAttention
		}
	}
	out := bufio.NewWriter(stdout) // it keeps the first error: a full disk must not look like a report
	if err := f.print(ctx, j, lists, out, stderr); err != nil {
		return err
	}
	return out.Flush()
}

func (f *backtestFlags) print(ctx context.Context, j *judged, lists *detect.Lists, stdout, stderr io.Writer) error {
	switch {
	case f.suggest:
		return f.suggestLists(ctx, j, lists, stdout, stderr)
	case f.context != "":
		return f.printContext(ctx, j, stdout)
	case f.asJSON:
		return j.json(stdout, f.findings)
	}
	if f.findings && len(j.findings) > 0 {
		if err := j.printFindings(stdout); err != nil {
			return err
		}
		fmt.Fprintln(stdout)
	}
	j.table(stdout)
	return nil
}

// only takes the rules of other tiers away. Those that a correlation needs stay as building blocks.
func only(tuned *detect.Tuned, tiers []detect.Tier) {
	needed := map[string]bool{}
	var need func(c *detect.Correlation)
	need = func(c *detect.Correlation) {
		needed[c.Name] = true
		for _, member := range c.Members {
			needed[member.Name()] = true
			if member.Correlation != nil {
				need(member.Correlation)
			}
		}
	}
	for _, c := range tuned.Correlations {
		if !slices.Contains(tiers, c.Tier) {
			c.Tier = ""
		} else {
			need(c)
		}
	}
	for _, r := range tuned.Rules {
		if !slices.Contains(tiers, r.Tier) {
			r.Tier = ""
		}
	}
	tuned.Correlations = slices.DeleteFunc(tuned.Correlations, func(c *detect.Correlation) bool { return !needed[c.Name] })
	tuned.Rules = slices.DeleteFunc(tuned.Rules, func(r *detect.Rule) bool { return r.Tier == "" && !needed[r.Name] })
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package rules is the verb rules: it lists, compiles and checks the detection pack.
package rules // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/rules"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

const about = `Usage: slacklogs rules list|compile|check [flags]

  list     show the rules: name, level, tier, log, threshold, title
  compile  write the rules for a collector
  check    say whether rules, lists and exceptions are in order

The rules are built in; --rules adds some of your own. slacklogs rules list --help, … list the flags.
`

var actions = map[string]verb.Func{"list": list, "compile": compile, "check": check}

// Run does what the first argument says.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if action, ok := actions[args[0]]; ok {
			return named(ctx, action, args, stdout, stderr)
		}
	}
	set := verb.NewFlags("rules", about, stdout, stderr)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return set.Wrong("say what to do: list, compile or check")
	}
	return set.Wrong(fmt.Sprintf("%q is none of list, compile, check", set.Arg(0)))
}

// named says which action it was that failed.
func named(ctx context.Context, action verb.Func, args []string, stdout, stderr io.Writer) error {
	err := action(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp), errors.Is(err, verb.ErrUsage), errors.Is(err, verb.ErrAttention):
		return err
	}
	return fmt.Errorf("%s: %w", args[0], err)
}

// inert names the rules and correlations of some tiers that can't find anything.
func inert(tuned *detect.Tuned, tiers []detect.Tier) []string {
	tier := map[string]detect.Tier{}
	for _, r := range tuned.Rules {
		tier[r.Name] = r.Tier
	}
	for _, c := range tuned.Correlations {
		tier[c.Name] = c.Tier
	}
	var named []string
	for _, name := range slices.Sorted(maps.Keys(tuned.Inert)) {
		if !slices.Contains(tiers, tier[name]) {
			continue
		}
		empty := slices.Compact(slices.Sorted(slices.Values(tuned.Inert[name])))
		words := "is empty"
		if len(empty) > 1 {
			words = "are empty"
		}
		named = append(named, fmt.Sprintf("%s finds nothing: %s %s", name, strings.Join(empty, ", "), words))
	}
	return named
}

// expired names the exceptions that hold no more.
func expired(lists *detect.Lists, now time.Time) []string {
	var named []string
	for _, e := range lists.Expired(now) {
		if e.Owner != "" { // what lacks one is no exception
			named = append(named, fmt.Sprintf("the exception for %s ended on %s; ask %s: %s", strings.Join(e.Rules, ", "), e.Expires, e.Owner, e.Reason))
		}
	}
	return named
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rules // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/rules"

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/pack"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/packdoc"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

const aboutList = `Usage: slacklogs rules list [flags]

Shows the rules and correlations, the most severe first. Those without a tier are building blocks of correlations, and
find nothing by themselves.
`

// listed is a line of the list.
type listed struct {
	Name      string      `json:"name"`
	Level     sigma.Level `json:"level"`
	Tier      detect.Tier `json:"tier,omitempty"`
	Logs      []string    `json:"logs"`
	Kind      string      `json:"kind"` // rule or correlation
	Threshold string      `json:"threshold"`
	Title     string      `json:"title"`
	ID        string      `json:"id"`
	Tags      []string    `json:"tags,omitempty"`
}

func list(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		f      pack.Flags
		asJSON bool
	)
	set := verb.NewFlags("rules list", aboutList, stdout, stderr)
	f.AddTiers(set)
	f.AddRules(set)
	set.BoolVar(&asJSON, "json", false, "one JSON object a line in place of the table")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return set.Wrong(fmt.Sprintf("%q is no flag", set.Arg(0)))
	}
	p, err := f.Pack()
	if err != nil {
		return err
	}
	var lines []listed
	for _, r := range p.Rules {
		lines = append(lines, line(&r.Header, r.Tier, "rule", []string{r.LogType()}, "each"))
	}
	for _, c := range p.Correlations {
		lines = append(lines, line(&c.Header, c.Tier, "correlation", packdoc.LogTypes(c), packdoc.Threshold(c)))
	}
	if len(f.Tiers) > 0 {
		lines = slices.DeleteFunc(lines, func(l listed) bool { return !slices.Contains(f.Tiers, l.Tier) })
	}
	slices.SortStableFunc(lines, func(a, b listed) int {
		return cmp.Or(cmp.Compare(b.Level.Rank(), a.Level.Rank()), strings.Compare(a.Name, b.Name))
	})
	if asJSON {
		to := json.NewEncoder(stdout)
		to.SetEscapeHTML(false)
		for _, l := range lines {
			if err := to.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	rows := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "NAME\tLEVEL\tTIER\tLOG\tKIND\tTHRESHOLD\tTITLE")
	for _, l := range lines {
		tier := string(l.Tier)
		if tier == "" {
			tier = "-"
		}
		fmt.Fprintln(rows, strings.Join([]string{
			l.Name, string(l.Level), tier, strings.Join(l.Logs, "+"), l.Kind, l.Threshold, verb.Printable(l.Title),
		}, "\t"))
	}
	return rows.Flush()
}

func line(h *sigma.Header, tier detect.Tier, kind string, logs []string, threshold string) listed {
	return listed{h.Name, h.Level, tier, logs, kind, threshold, h.Title, h.ID, h.Tags}
}

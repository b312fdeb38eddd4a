// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// check is one test of the pack, with what a search engine has to answer.
type check struct {
	Rule      string           `json:"rule"`
	Name      string           `json:"name"`
	Search    *elastic.Rule    `json:"search"`
	Group     []string         `json:"group"` // the fields of a correlation's groups, where they are the same in all events
	Documents []map[string]any `json:"documents"`
	// Matches are the uids of the records that a rule matches, or the groups of a correlation with a finding.
	Matches []string `json:"matches"`
	// Allowed are the groups with a finding if the correlation had as much time as the search says that it gives.
	Allowed []string `json:"allowed"`
}

// TestWriteChecks puts the tests of the pack beside their searches, and what these must find: for make siem-check, into
// the file that SIEM_CHECKS names.
func TestWriteChecks(t *testing.T) {
	t.Parallel()
	path := os.Getenv("SIEM_CHECKS")
	pack, lists := load(t)
	cases, err := detecttest.Load(os.DirFS("../../../detections/tests"), pack, start)
	require.NoError(t, err)
	// Each once more with lists that hold nobody where the test has empty ones: what leaves them out leaves nothing out.
	for _, c := range slices.Clone(cases) {
		if path == "" {
			break // it is the engines that may tell them apart
		}
		c.Lists, c.Name = maps.Clone(c.Lists), c.Name+" (lists of nobody)"
		for name, list := range lists.Lists {
			switch {
			case len(c.Lists[name]) > 0:
			case list.Kind == detect.Networks:
				c.Lists[name] = []string{"100.64.99.0/24"}
			default:
				c.Lists[name] = []string{"X0NOBODY001"}
			}
		}
		cases = append(cases, c)
	}
	var checks []check
	for _, c := range cases {
		tuned, err := c.Tune(pack, lists)
		require.NoError(t, err)
		rules, err := elastic.Make(tuned, detect.Tiers)
		require.NoError(t, err)
		i := slices.IndexFunc(rules, func(r *elastic.Rule) bool { return r.Source == c.Rule })
		if i < 0 {
			continue // inert, or a building block
		}
		one := check{Rule: c.Rule, Name: c.Name, Search: rules[i], Documents: documents(&c), Matches: []string{}, Allowed: []string{}}
		events := c.Events()
		for j := range tuned.Correlations {
			if correlation := tuned.Correlations[j]; correlation.Name == c.Rule {
				for _, name := range correlation.GroupFields(correlation.Members[0].Name()) {
					field, err := detect.FieldOf(sourceOf(correlation), name)
					require.NoError(t, err)
					one.Group = append(one.Group, "attributes."+field.Attribute)
				}
				one.Matches = groups(tuned, c.Rule, events)
				widen(correlation)
				one.Allowed = groups(tuned, c.Rule, events)
			}
		}
		if one.Group == nil {
			evaluator := tuned.NewEvaluator()
			found := map[string]bool{}
			for _, event := range events {
				if slices.ContainsFunc(evaluator.Add(event), func(r *detect.Rule) bool { return r.Name == c.Rule }) {
					found[event.UID] = true
				}
			}
			one.Matches = slices.AppendSeq(one.Matches, maps.Keys(found))
			slices.Sort(one.Matches)
		}
		assert.Equal(t, c.Finds > 0, len(one.Matches) > 0, "%s: %s", c.Rule, c.Name)
		if one.Group != nil {
			assert.Subset(t, one.Allowed, one.Matches, "%s: %s", c.Rule, c.Name)
		}
		checks = append(checks, one)
	}
	require.NotEmpty(t, checks)
	if path == "" {
		return
	}
	text, err := json.Marshal(map[string]any{"checks": checks, "rules": made(t, pack, lists), "filled": made(t, pack, filled(lists))})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// groups are those with a finding.
func groups(tuned *detect.Tuned, rule string, events []detect.Event) []string {
	evaluator := tuned.NewEvaluator()
	for _, event := range events {
		evaluator.Add(event)
	}
	found := map[string]bool{}
	for _, finding := range evaluator.Findings() {
		if finding.Rule == rule {
			found[strings.Join(finding.Values, " ")] = true
		}
	}
	all := slices.AppendSeq([]string{}, maps.Keys(found))
	slices.Sort(all)
	return all
}

func sourceOf(c *detect.Correlation) string {
	if c.Members[0].Rule != nil {
		return c.Members[0].Rule.LogType()
	}
	return sourceOf(c.Members[0].Correlation)
}

// widen gives a correlation the time that its search gives it.
func widen(c *detect.Correlation) {
	total := c.Timespan
	for _, member := range c.Members {
		if member.Correlation != nil {
			total += member.Correlation.Timespan
		}
	}
	if c.Type != sigma.TemporalOrdered {
		total += max(total/10, time.Second)
	}
	replace := func(c *detect.Correlation) {
		inner := *c.Correlation
		inner.Timespan = total
		c.Correlation = &inner
	}
	replace(c)
	for _, member := range c.Members {
		if member.Correlation != nil {
			replace(member.Correlation)
		}
	}
}

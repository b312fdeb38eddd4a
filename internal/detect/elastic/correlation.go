// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// memberMatch is what an event must be for a member, less what the exceptions of the correlations around it take away.
func memberMatch(tuned *detect.Tuned, rule *detect.Rule, around ...*detect.Correlation) sigma.Expr {
	parts := sigma.And{rule.Match}
	for _, c := range around {
		if c == nil {
			continue
		}
		if excepted := tuned.Except(c.Name); excepted != nil {
			parts = append(parts, sigma.Not{Expr: excepted})
		}
	}
	return sigma.Map(parts, func(t *sigma.Test) sigma.Expr { return t })
}

// longest is how far apart the first and last event of a finding can be.
func longest(c *detect.Correlation) time.Duration {
	var inner time.Duration
	for _, member := range c.Members {
		if member.Correlation != nil {
			inner += longest(member.Correlation)
		}
	}
	return c.Timespan + inner
}

// logTypes are those of the events of a correlation.
func logTypes(c *detect.Correlation) (all []string) {
	for _, member := range c.Members {
		types := []string{""}
		if member.Rule != nil {
			types[0] = member.Rule.LogType()
		} else {
			types = logTypes(member.Correlation)
		}
		for _, name := range types {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// summary says a correlation in few words.
func summary(c *detect.Correlation) string {
	by := " by " + strings.Join(c.GroupBy, ", ")
	names := strings.Join(c.Rules, " or ")
	switch c.Type {
	case sigma.EventCount:
		return fmt.Sprintf("%s times %s within %s%s", atLeast(c), names, timespan(c.Timespan), by)
	case sigma.ValueCount:
		return fmt.Sprintf("%s different %s of %s within %s%s", atLeast(c), c.Field, names, timespan(c.Timespan), by)
	case sigma.TemporalOrdered:
		return fmt.Sprintf("%s within %s%s", strings.Join(c.Rules, ", then "), timespan(c.Timespan), by)
	}
	return fmt.Sprintf("%s within %s%s, in any order", strings.Join(c.Rules, " and "), timespan(c.Timespan), by)
}

func atLeast(c *detect.Correlation) string {
	if c.Compare == "gt" {
		return fmt.Sprintf("more than %d", c.Count)
	}
	return fmt.Sprintf("%d or more", c.Count)
}

// patterns are the index patterns of log types.
func patterns(logTypes []string) []string {
	all := make([]string, len(logTypes))
	for i, name := range logTypes {
		all[i] = "logs-slack." + name + ".otel-*"
	}
	return all
}

const (
	// late is how long after its run an entry that arrived before it may become visible to a search.
	late = 15 * time.Minute
	// apart is how far apart the entries of one finding may arrive, beside the time between them.
	apart = time.Hour
)

// interval is how often a search that looks back so far is run.
func interval(span time.Duration) time.Duration {
	switch {
	case span > 24*time.Hour:
		return time.Hour
	case span > time.Hour:
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

// timespan writes whole units, as Elastic's languages and Kibana read them.
func timespan(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// human writes a time for people.
func human(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

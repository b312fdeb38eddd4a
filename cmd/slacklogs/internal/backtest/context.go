// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// episode is a time in which there are findings of a person, with the time around them.
type episode struct {
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Findings []findingReport `json:"findings"`
	Records  []deed          `json:"records"`

	uids map[string]bool // of the findings
	seen map[deed]bool
}

// deed is a record in a line.
type deed struct {
	Time    time.Time `json:"time"`
	Found   bool      `json:"found"` // it is part of a finding
	Action  string    `json:"action"`
	Actor   string    `json:"actor,omitempty"` // who did it, if it was somebody else
	Entity  string    `json:"entity,omitempty"`
	Address string    `json:"address,omitempty"`
	Agent   string    `json:"user_agent,omitempty"`
	Session string    `json:"session,omitempty"`
	UID     string    `json:"uid"`
}

// episodes are made of the findings about the person; those whose times overlap are one.
func (f *backtestFlags) episodes(j *judged) []*episode {
	var own []*detect.Finding
	for i := range j.findings {
		if j.whom.found(&j.findings[i]) {
			own = append(own, &j.findings[i])
		}
	}
	slices.SortStableFunc(own, func(a, b *detect.Finding) int { return a.First.Compare(b.First) })
	var all []*episode
	for _, finding := range own {
		from, to := finding.First.Add(-f.around).UTC(), finding.Last.Add(f.around).UTC()
		if len(all) == 0 || all[len(all)-1].To.Before(from) {
			all = append(all, &episode{From: from, To: to, Records: []deed{}, uids: map[string]bool{}, seen: map[deed]bool{}})
		}
		last := all[len(all)-1]
		if to.After(last.To) {
			last.To = to
		}
		last.Findings = append(last.Findings, newFindingReport(finding))
		for _, uid := range finding.UIDs {
			last.uids[uid] = true
		}
	}
	return all
}

// printContext reads the records once more, and shows the person's around the findings about them.
func (f *backtestFlags) printContext(ctx context.Context, j *judged, to io.Writer) error {
	episodes := f.episodes(j)
	if len(episodes) > 0 {
		if _, err := f.each(ctx, func(s *seen) {
			if !j.whom.concerned(s) {
				return
			}
			for _, e := range episodes {
				e.add(s, &j.whom)
			}
		}); err != nil {
			return err
		}
	}
	for _, e := range episodes {
		slices.SortFunc(e.Records, func(a, b deed) int {
			return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.UID, b.UID))
		})
	}
	if f.asJSON {
		encoder := json.NewEncoder(to)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			User     string     `json:"user"`
			Episodes []*episode `json:"episodes"`
		}{f.context, append([]*episode{}, episodes...)})
	}
	if len(episodes) == 0 {
		_, err := fmt.Fprintf(to, "No finding is about %s.\n", verb.Printable(f.context))
		return err
	}
	for i, e := range episodes {
		if i > 0 {
			fmt.Fprintln(to)
		}
		for _, finding := range e.Findings {
			fmt.Fprintf(to, "%s  %s  %s  %s\n", finding.Time.Format(time.RFC3339), finding.Level, finding.Rule, finding.Tier)
		}
		fmt.Fprintf(to, "Records from %s to %s; * marks those of the findings.\n\n", e.From.Format(time.RFC3339), e.To.Format(time.RFC3339))
		rows := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		fmt.Fprintln(rows, " \tTIME\tACTION\tENTITY\tADDRESS\tUSER AGENT\tSESSION")
		for _, d := range e.Records {
			mark := " "
			if d.Found {
				mark = "*"
			}
			action := d.Action
			if d.Actor != "" {
				action += " by " + d.Actor
			}
			cells := []string{mark, d.Time.Format(time.RFC3339)}
			for _, text := range []string{action, d.Entity, d.Address, short(d.Agent), d.Session} {
				cells = append(cells, verb.Printable(cmp.Or(text, "-")))
			}
			fmt.Fprintln(rows, strings.Join(cells, "\t"))
		}
		if err := rows.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (e *episode) add(s *seen, w *whom) {
	if s.Time.Before(e.From) || s.Time.After(e.To) {
		return
	}
	d := deed{
		Time: s.Time.UTC(), Found: e.uids[s.UID], UID: strings.Clone(s.UID), Address: s.str("client.address"), Agent: s.str("user_agent.original"),
		Session: s.str("session.id"),
	}
	if !w.acted(s) {
		d.Actor = cmp.Or(s.str("user.id"), "Slack")
	}
	switch s.LogType {
	case "access":
		d.Action = "access " + s.str("slack.access.change")
		d.Address = cmp.Or(d.Address, s.str("slack.ip"))
		d.Agent = cmp.Or(d.Agent, s.str("slack.user_agent"))
		d.Entity = strings.TrimSpace(s.str("slack.isp") + " " + s.str("slack.country"))
	case "integration":
		d.Action = "integration " + s.str("slack.change_type")
		d.Entity = strings.TrimSpace(s.str("slack.integration.id") + " " + cmp.Or(s.str("slack.app_type"), s.str("slack.service_type")))
	default:
		d.Action = s.str("slack.action")
		d.Address = cmp.Or(d.Address, s.str("slack.context.ip_address"))
		d.Entity = strings.TrimSpace(strings.Join([]string{s.str("slack.entity.type"), s.str("slack.entity.id"), s.str("slack.entity.name")}, " "))
	}
	if !e.seen[d] {
		e.seen[d] = true
		e.Records = append(e.Records, d)
	}
}

// short keeps a line of the table to a line of a terminal.
func short(agent string) string {
	const most = 60
	runes := []rune(agent)
	if len(runes) <= most {
		return agent
	}
	return string(runes[:most-1]) + "…"
}

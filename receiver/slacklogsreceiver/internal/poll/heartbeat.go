// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// healthBody is the body of a health record, as JSON. Times are RFC 3339,
// durations seconds; watermark and gaps are by Slack's clock.
type healthBody struct {
	Event    string `json:"event"`
	Receiver string `json:"receiver"`
	LogType  string `json:"log_type"`
	Time     string `json:"time"`

	// TeamID, Gap, Outcome, From and Problem are an event's.
	TeamID  string     `json:"team_id,omitempty"`
	Gap     *gapReport `json:"gap,omitempty"`
	Outcome string     `json:"outcome,omitempty"`
	From    string     `json:"recovered_from,omitempty"`
	Problem string     `json:"problem,omitempty"`

	// Since and what follows are a heartbeat's. Since is the time of the one
	// before.
	Since string `json:"since,omitempty"`
	*sourceReport
	Gaps       *[]gapReport   `json:"gaps,omitempty"`
	Workspaces []sourceReport `json:"workspaces,omitempty"`
}

// sourceReport is how a log type, or one workspace of it, stands. Of several
// workspaces a log type has the worst figures, but for the newest entry, and
// the sum of the entries.
type sourceReport struct {
	TeamID       string  `json:"team_id,omitempty"`
	Watermark    string  `json:"watermark"`
	WatermarkLag float64 `json:"watermark_lag"`
	// EventStaleness is null until the first poll has ended.
	EventStaleness *float64 `json:"event_staleness"`
	PollStaleness  float64  `json:"poll_staleness"`
	Stale          bool     `json:"stale"`
	// EntriesDelivered is since the heartbeat before; the totals are since the
	// state began.
	EntriesDelivered      int64 `json:"entries_delivered"`
	EntriesDeliveredTotal int64 `json:"entries_delivered_total"`
	EntriesDroppedTotal   int64 `json:"entries_dropped_total"`
	GapsTotal             int   `json:"gaps_total"`

	watermark int64
	gaps      []gapReport
}

type gapReport struct {
	TeamID string `json:"team_id,omitempty"`
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
	Since  string `json:"since"`
}

// counted makes whole numbers of those that count, which JSON does not tell
// from the others.
func counted(parsed map[string]any) map[string]any {
	for key, value := range parsed {
		switch v := value.(type) {
		case float64:
			if strings.HasPrefix(key, "entries_") || key == "gaps_total" {
				parsed[key] = int64(v)
			}
		case []any:
			for _, one := range v {
				if inner, ok := one.(map[string]any); ok {
					counted(inner)
				}
			}
		}
	}
	return parsed
}

// describe writes into the body how the log type stands, and each of its
// workspaces if there are several. before is what was reported of each source
// the last time; now takes what is.
func (p *Poller) describe(body *healthBody, before, now map[string]int64) {
	p.sourcesMu.Lock()
	sources := slices.Clone(p.sources)
	body.Problem = p.problem
	p.sourcesMu.Unlock()
	var all sourceReport
	for i, s := range sources {
		one, total := s.report()
		one.EntriesDelivered = max(0, total-before[s.key()])
		now[s.key()] = total
		if i == 0 {
			all = one
			all.TeamID = ""
		} else {
			all.merge(&one)
		}
		if len(sources) > 1 {
			body.Workspaces = append(body.Workspaces, one)
		}
	}
	body.sourceReport = &all
	gaps := append([]gapReport{}, all.gaps[:min(len(all.gaps), maxTold)]...)
	body.Gaps = &gaps
	if len(body.Workspaces) > maxTold {
		slices.SortStableFunc(body.Workspaces, func(a, b sourceReport) int { return cmp.Compare(b.PollStaleness, a.PollStaleness) })
		body.Workspaces = body.Workspaces[:maxTold]
	}
}

func (all *sourceReport) merge(one *sourceReport) {
	if one.watermark < all.watermark {
		all.watermark, all.Watermark = one.watermark, one.Watermark
	}
	all.WatermarkLag = max(all.WatermarkLag, one.WatermarkLag)
	all.PollStaleness = max(all.PollStaleness, one.PollStaleness)
	switch {
	case one.EventStaleness == nil:
		all.EventStaleness = nil
	case all.EventStaleness != nil && *one.EventStaleness < *all.EventStaleness:
		// One quiet workspace is no sign; all are.
		all.EventStaleness = one.EventStaleness
	}
	all.Stale = all.Stale || one.Stale
	all.EntriesDelivered += one.EntriesDelivered
	all.EntriesDeliveredTotal += one.EntriesDeliveredTotal
	all.EntriesDroppedTotal += one.EntriesDroppedTotal
	all.GapsTotal += one.GapsTotal
	all.gaps = append(all.gaps, one.gaps...)
}

// report is how the source stands, and how many entries were delivered since
// the state began.
func (s *source) report() (r sourceReport, delivered int64) {
	f := s.figures()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := &s.standing
	r = sourceReport{
		TeamID: s.team, watermark: at.watermark, Watermark: stamp(time.Unix(at.watermark, 0)), WatermarkLag: tenth(f.WatermarkLag),
		PollStaleness: tenth(f.PollStaleness), Stale: f.Stale,
		EntriesDeliveredTotal: at.Delivered, EntriesDroppedTotal: at.Dropped, GapsTotal: len(at.gaps),
	}
	if f.Polled {
		staleness := tenth(f.EventStaleness)
		r.EventStaleness = &staleness
	}
	for _, g := range at.gaps {
		r.gaps = append(r.gaps, g.report(s.team))
	}
	return r, at.Delivered
}

func (g gap) report(team string) gapReport {
	return gapReport{
		TeamID: team, From: stamp(time.Unix(g.Oldest, 0)), To: stamp(time.Unix(g.Latest, 0)),
		Reason: g.Reason, Since: stamp(time.Unix(g.Since, 0)),
	}
}

// tenth rounds seconds to tenths.
func tenth(seconds float64) float64 { return math.Round(seconds*10) / 10 }

// moment is when a record was made, to the millisecond.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

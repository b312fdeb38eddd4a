// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"cmp"
	"slices"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// maxSecond is the last second that a record's timestamp can hold (year 2262).
const maxSecond = 9_223_372_036

// auditState is the saved document of the audit logs. All times are Unix
// seconds by Slack's clock, unless said otherwise.
type auditState struct {
	Version int `json:"version"`
	// Org is the organisation or workspace that the state belongs to.
	Org string `json:"org,omitempty"`
	// Start is the second before which entries are read past. Until the first
	// answer it is by the local clock, and Anchored is false.
	Start    int64  `json:"start"`
	Anchored bool   `json:"anchored"`
	Setting  string `json:"setting"`
	// High is the end of the last tail that was read to its end, and Whole
	// that of the last one which read the whole overlap.
	High  int64 `json:"high"`
	Whole int64 `json:"whole"`
	// Watermark is the second before which all that Slack showed was delivered,
	// but for the gaps.
	Watermark int64 `json:"watermark"`
	// Backlog is what lies between the start and the tail and was not read
	// yet, oldest first. Width is how many seconds of it are read at once.
	Backlog []span `json:"backlog,omitempty"`
	Width   int64  `json:"width,omitempty"`
	// The walks under way.
	Tail    *walk `json:"tail,omitempty"`
	CatchUp *walk `json:"catch_up,omitempty"`
	Sweep   *walk `json:"sweep,omitempty"`
	// LastSweep is when the last sweep began; 0 = never.
	LastSweep int64 `json:"last_sweep,omitempty"`
	// IDsSince is the second from which on the ids of all delivered entries
	// are kept. Nothing older is read again without them.
	IDsSince int64            `json:"ids_since"`
	IDs      checkpoint.Index `json:"ids"`
	// Own is up to which second the buckets reach that walks left behind.
	Own map[int64]int64 `json:"own_ids,omitempty"`
	// Newest is the date of the newest entry delivered.
	Newest int64  `json:"newest,omitempty"`
	Gaps   ledger `json:"gaps,omitempty"`
	pauses
	accepted
}

// pauses are Slack's Retry-After, by the local clock: of the log type, and of
// auth.test, which others ask as well.
type pauses struct {
	NotBefore     int64 `json:"not_before,omitempty"`
	AuthNotBefore int64 `json:"auth_not_before,omitempty"`
}

func (p *pauses) pause(method string, until time.Time) {
	// A part of a second more is none too early.
	if second := until.Unix() + 1; method == slack.MethodAuthTest {
		p.AuthNotBefore = second
	} else {
		p.NotBefore = second
	}
}

// accepted counts the records that the pipeline took, or refused for good,
// since the state began.
type accepted struct {
	Delivered int64 `json:"delivered,omitempty"`
	Dropped   int64 `json:"dropped,omitempty"`
}

func (a *accepted) add(n int, dropped bool) {
	if dropped {
		a.Dropped += int64(n)
		return
	}
	a.Delivered += int64(n)
}

// begin sets the start, which is also all that is known of progress.
func (s *auditState) begin(start int64) {
	s.Start, s.High, s.Whole, s.Watermark, s.IDsSince = start, start, start, start, start
}

// valid reports whether the parts fit together. A document that does not must
// not be used, or entries could be skipped.
func (s *auditState) valid() bool {
	for _, t := range []int64{s.Start, s.High, s.Whole, s.Watermark, s.LastSweep, s.IDsSince, s.Newest, s.NotBefore, s.AuthNotBefore, s.Width} {
		if t < 0 || t > maxSecond {
			return false
		}
	}
	last := int64(-1)
	for _, b := range s.Backlog {
		if !b.valid() || b.Oldest <= last {
			return false
		}
		last = b.Latest
	}
	if !s.Gaps.valid() {
		return false
	}
	if s.CatchUp != nil && !slices.ContainsFunc(s.Backlog, func(b span) bool {
		return b.Oldest <= s.CatchUp.Window.Oldest && s.CatchUp.Window.Latest <= b.Latest
	}) {
		return false
	}
	return s.Tail.valid() && s.CatchUp.valid() && s.Sweep.valid() &&
		s.High >= s.Whole && s.Whole >= s.Start
}

// raise moves the watermark. A backlog does not lower it: that begins with an
// overlap that was delivered before.
func (s *auditState) raise() {
	all := s.High
	if len(s.Backlog) > 0 {
		all = min(all, s.Backlog[0].Oldest)
	}
	s.Watermark = max(s.Watermark, all)
}

// addBacklog puts a span among the others. Spans that touch become one.
func (s *auditState) addBacklog(add span) {
	if add.Oldest > add.Latest {
		return
	}
	var spans []span
	for _, b := range s.Backlog {
		switch {
		case b.Latest+1 < add.Oldest:
			spans = append(spans, b)
		case add.Latest+1 < b.Oldest:
			spans = append(spans, add)
			add = b
		default:
			add = span{min(add.Oldest, b.Oldest), max(add.Latest, b.Latest)}
		}
	}
	spans = append(spans, add)
	s.Backlog = spans
}

// takeBacklog takes out what was read.
func (s *auditState) takeBacklog(read span) {
	var spans []span
	for _, b := range s.Backlog {
		for _, rest := range []span{{b.Oldest, min(b.Latest, read.Oldest-1)}, {max(b.Oldest, read.Latest+1), b.Latest}} {
			if rest.valid() {
				spans = append(spans, rest)
			}
		}
	}
	s.Backlog = spans
}

// wasRead is the window without the backlog, newest first.
func (s *auditState) wasRead(window span) (parts []span) {
	for _, b := range slices.Backward(s.Backlog) {
		if b.Latest < window.Latest {
			if newer := (span{max(window.Oldest, b.Latest+1), window.Latest}); newer.valid() {
				parts = append(parts, newer)
			}
		}
		window.Latest = min(window.Latest, b.Oldest-1)
	}
	if window.valid() {
		parts = append(parts, window)
	}
	return parts
}

// meetsGap and inGap speak of what can't be read.
func (s *auditState) meetsGap(in span) bool { return s.Gaps.meets(in, gapUnreadable) }

func (s *auditState) inGap(in span) bool { return s.Gaps.covers(in, gapUnreadable) }

// joined makes one span of those that touch.
func joined(spans []span) (all []span) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.Oldest, b.Oldest) })
	for _, s := range spans {
		if last := len(all) - 1; last >= 0 && s.Oldest <= all[last].Latest+1 {
			all[last].Latest = max(all[last].Latest, s.Latest)
			continue
		}
		all = append(all, s)
	}
	return all
}

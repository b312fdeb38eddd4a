// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Why an interval is not known to be complete.
const (
	// gapUnreadable: what Slack answers for it can't be read, while the rest can
	// (promise 7).
	gapUnreadable = "unreadable_answer"
	// gapSweep: a sweep that should have read it again was not finished within
	// two intervals, so what Slack showed late may be missing.
	gapSweep = "sweep_unfinished"
	// gapPageLimit: Slack's limit of pages hides a part of the list.
	gapPageLimit = "page_limit"
	// gapEqualRows: a second holds more equal rows than one answer shows.
	gapEqualRows = "equal_rows"
)

var gapText = map[string]string{
	gapUnreadable: "A time can't be read and is left out; each sweep asks for it again",
	gapSweep:      "A sweep was not finished within two intervals, so what Slack showed late may be missing; raise requests_per_minute or sweep_interval",
	gapPageLimit:  "Slack's limit of pages hides older rows of the list; a smaller sweep_window (integration logs: overlap) may keep within it",
	gapEqualRows:  "Equal rows of one second could not be seen in one answer; some may be missing",
}

// overdue is after how many intervals a sweep that was not finished is a gap.
const overdue = 2

// gap is an interval known not to be complete.
type gap struct {
	span
	Reason string `json:"reason"`
	// Since is when it was found, by Slack's clock.
	Since int64 `json:"since"`
}

// ledger holds the gaps of a source. It is saved with its state.
type ledger []gap

func (l ledger) valid() bool {
	return !slices.ContainsFunc(l, func(g gap) bool { return !g.valid() })
}

func (l ledger) has(reason string) bool {
	return slices.ContainsFunc(l, func(g gap) bool { return g.Reason == reason })
}

// covers reports whether one gap of that reason holds all of the range.
func (l ledger) covers(in span, reason string) bool {
	return slices.ContainsFunc(l, func(g gap) bool { return g.Reason == reason && in.within(g.span) })
}

// meets reports whether a gap of that reason lies in the range, at least in
// part.
func (l ledger) meets(in span, reason string) bool {
	return slices.ContainsFunc(l, func(g gap) bool { return g.Reason == reason && in.meets(g.span) })
}

// seconds is how much time the gaps cover.
func (l ledger) seconds() (n int64) {
	spans := make([]span, len(l))
	for i, g := range l {
		spans[i] = g.span
	}
	for _, s := range joined(spans) {
		n += s.Latest - s.Oldest + 1
	}
	return n
}

// open notes a gap. What is known already becomes wider at most, which is no
// news; otherwise the gap is returned.
func (l *ledger) open(s span, reason string, now int64) (news []gap) {
	if l.covers(s, reason) {
		return nil
	}
	added := gap{span: s, Reason: reason, Since: now}
	fresh := true
	*l = slices.DeleteFunc(*l, func(g gap) bool {
		if g.Reason != reason || g.Latest+1 < added.Oldest || added.Latest+1 < g.Oldest {
			return false
		}
		fresh = false
		added.Oldest, added.Latest = min(added.Oldest, g.Oldest), max(added.Latest, g.Latest)
		added.Since = min(added.Since, g.Since)
		return true
	})
	*l = append(*l, added)
	slices.SortStableFunc(*l, func(a, b gap) int { return cmp.Compare(a.Oldest, b.Oldest) })
	if fresh {
		news = append(news, added)
	}
	return news
}

// complete takes out what is complete now, and returns the gaps of which
// nothing is left.
func (l *ledger) complete(read span, reasons ...string) (closed []gap) {
	var left ledger
	for _, g := range *l {
		if !slices.Contains(reasons, g.Reason) || !g.meets(read) {
			left = append(left, g)
			continue
		}
		gone := true
		for _, rest := range []span{{g.Oldest, read.Oldest - 1}, {read.Latest + 1, g.Latest}} {
			if rest.Oldest <= rest.Latest {
				left = append(left, gap{rest, g.Reason, g.Since})
				gone = false
			}
		}
		if gone {
			closed = append(closed, g)
		}
	}
	*l = left
	return closed
}

// take removes the gaps that is says and returns them.
func (l *ledger) take(is func(gap) bool) (taken []gap) {
	*l = slices.DeleteFunc(*l, func(g gap) bool {
		if is(g) {
			taken = append(taken, g)
			return true
		}
		return false
	})
	return taken
}

// gapsOpened says which times are not complete.
func (s *source) gapsOpened(gaps []gap) {
	for _, g := range gaps {
		s.logger.Error("Gap: "+gapText[g.Reason], g.fields()...)
		s.happened(event{name: eventGapOpened, gap: &g})
	}
}

// gapsClosed says which times are complete now.
func (s *source) gapsClosed(gaps []gap) {
	for _, g := range gaps {
		s.logger.Info("Gap closed: the time is complete now", g.fields()...)
		s.happened(event{name: eventGapClosed, gap: &g, outcome: outcomeComplete})
	}
}

// gapsGivenUp says which times will never be complete.
func (s *source) gapsGivenUp(gaps []gap) {
	for _, g := range gaps {
		s.logger.Warn("Gap given up: no reading reaches back to that time any more; what it lacks stays missing", g.fields()...)
		s.happened(event{name: eventGapClosed, gap: &g, outcome: outcomeGivenUp})
	}
}

func (g gap) fields() []zap.Field {
	return []zap.Field{
		zap.String("reason", g.Reason),
		zap.Time("from", time.Unix(g.Oldest, 0).UTC()), zap.Time("to", time.Unix(g.Latest, 0).UTC()),
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"slices"
)

// settleGaps closes what the reading has completed, and gives up what none
// will look at again.
func (l *lists) settleGaps(w *workspace, r *reading) {
	gaps := &w.state.Gaps
	unordered := w.state.RisesFirst && w.state.RisesLast // all of the list is read each time
	if (r.whole || unordered) && !r.gap && !r.limited {
		from := r.bound
		if unordered {
			from = min(from, l.list.floor(w))
		}
		// What came after it began it may not have met: others read meanwhile.
		w.gapsClosed(gaps.complete(span{from, r.began}, gapUnreadable, gapPageLimit))
		w.gapsClosed(gaps.take(func(g gap) bool {
			// Where no page's edge split the second, one answer has shown it whole.
			return g.Reason == gapEqualRows && g.Oldest >= r.bound &&
				!slices.ContainsFunc(r.unseen, func(second int64) bool { return g.meets(span{second, second}) })
		}))
	}
	unfinished := func(g gap) bool { return g.Reason == gapSweep }
	switch {
	case r.sweep || unordered:
		w.gapsClosed(gaps.take(unfinished))
	case l.cfg.SweepInterval == 0:
		w.gapsGivenUp(gaps.take(unfinished))
	}
	floor := l.list.floor(w)
	w.gapsGivenUp(gaps.complete(span{0, floor - 1}, gapUnreadable, gapPageLimit, gapEqualRows, gapSweep))
}

// watchSweep opens a gap when a sweep is not finished within two intervals,
// though calls go well.
func (l *lists) watchSweep(w *workspace) {
	now, interval := l.now().Unix(), int64(l.cfg.SweepInterval.Seconds())
	since := w.wellSince(now, l.callErr != nil || w.poll != nil && w.poll.err != nil)
	if interval == 0 || w.state.Swept == 0 || w.state.Gaps.has(gapSweep) {
		return
	}
	begun := w.state.Swept + interval
	if w.sweep != nil {
		begun = w.sweep.began
	}
	if late := (span{l.list.floor(w), now}); now-max(begun, since) >= overdue*interval && late.valid() {
		w.gapsOpened(w.state.Gaps.open(late, gapSweep, now))
	}
}

// tellSkipped notes that a part of the list could not be read while what is
// behind it can.
func (l *lists) tellSkipped(w *workspace, r *reading) {
	if r.skipped == 0 {
		return
	}
	left := span{r.bound, r.began}
	if !w.state.RisesLast && !r.order.risesLast {
		// In a list by date it lies between what was read before and behind it.
		left = span{max(r.bound, min(r.order.lowestLast, r.lostDate)), min(r.began, r.lostDate)}
	}
	l.openGap(w, r, left, gapUnreadable)
	r.skipped, r.gap = 0, true
}

// openGap notes that a part of the list is missing. What is older than the
// reading looks back is none, unless it was an odd date that made it so.
func (l *lists) openGap(w *workspace, r *reading, missing span, reason string) {
	if !missing.valid() {
		if !r.order.any || r.order.pastLast || r.began < r.bound {
			return
		}
		missing = span{r.bound, r.began}
	}
	w.gapsOpened(w.state.Gaps.open(missing, reason, l.now().Unix()))
}

func (w *workspace) gapOf(r *reading) *bool {
	if r.sweep {
		return &w.sweepGap
	}
	return &w.pollGap
}

// unreachable ends a reading behind which Slack gives no more pages.
func (l *lists) unreachable(w *workspace, r *reading) {
	if r.twins.ask {
		l.twinsGap(w, r, gapEqualRows)
		return
	}
	if l.list.further(w, r) {
		return
	}
	if r.total == 0 || r.pos < r.total {
		r.limited = true
		hidden := span{r.bound, r.began}
		if !w.state.RisesLast && !r.order.risesLast && r.order.lowestLast > 0 {
			hidden.Latest = min(hidden.Latest, r.order.lowestLast)
		}
		l.openGap(w, r, hidden, gapPageLimit)
	}
	l.finish(w, r)
}

// twinsGap gives up on a second that no answer shows whole.
func (l *lists) twinsGap(w *workspace, r *reading, reason string) {
	if at := (span{r.twins.second, r.twins.second}); at.valid() {
		w.gapsOpened(w.state.Gaps.open(at, reason, l.now().Unix()))
	}
	if reason == gapUnreadable {
		r.gap = true
	} else {
		r.unseen = append(r.unseen, r.twins.second)
	}
	r.twins.give()
}

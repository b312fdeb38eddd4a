// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"math"
	"slices"
)

// tailSeconds is how much of the newest is read first.
func (a *audit) tailSeconds() int64 {
	return int64(max(a.cfg.Overlap, a.cfg.PollInterval, shortTail).Seconds())
}

// overlapFrom is the second from which on entries may still come late.
func (a *audit) overlapFrom() int64 {
	return max(a.state.Whole-int64(a.cfg.Overlap.Seconds()), a.state.Start, a.state.IDsSince)
}

// openTail begins a poll at Slack's time now. After an outage, or at the first
// poll, what lies before the tail becomes backlog.
func (a *audit) openTail(now int64) {
	if now < a.state.Start {
		return // It lies in the future; there is nothing to read yet.
	}
	// A date far ahead was believed for a while: what came since was not read,
	// and to hold on to it would skip that. Records may come twice then.
	if ahead := a.state.High - now; ahead > 60 && ahead > int64(a.cfg.Overlap.Seconds()) {
		a.state.High = now
		a.state.Whole = min(a.state.Whole, now)
		a.state.Watermark = min(a.state.Watermark, now)
		a.state.IDsSince = min(a.state.IDsSince, max(a.state.Start, a.rereadFrom()))
	}
	// Should Slack's clock step back a little, what was read last is asked for
	// again, so that answers keep telling the time.
	now = max(now, a.state.High)
	window := span{a.overlapFrom(), now}
	a.steady = a.unbroken
	a.sinceWhole++
	a.wholeTail = a.sinceWhole >= a.wholeEvery() && !a.catchingUp(now)
	switch {
	case now-a.state.High > 2*a.tailSeconds():
		a.state.addBacklog(span{window.Oldest, now - a.tailSeconds() - 1})
		window.Oldest = max(window.Oldest, now-a.tailSeconds())
		a.steady, a.wholeTail = false, true
	case !a.wholeTail:
		window.Oldest = max(window.Oldest, a.state.High-int64(shortTail.Seconds()))
	}
	a.state.Tail = newWalk(window, a.cfg.PageSize)
}

// catchingUp reports whether a backlog needs the calls more than the overlap
// does. That is still read whole every few minutes.
func (a *audit) catchingUp(now int64) bool {
	return len(a.state.Backlog) > 0 && now-a.state.Whole < int64(min(a.cfg.Overlap, lateTail).Seconds())
}

// wholeEvery is n where every n-th poll reads the whole overlap, the smallest
// that leaves half of the budget (promise 3).
func (a *audit) wholeEvery() int {
	if a.wholePages <= 1 {
		return 1
	}
	callsPerPoll := max(1, a.cfg.RequestsPerMinute*a.cfg.PollInterval.Minutes())
	return int(math.Ceil(float64(a.wholePages) / (callsPerPoll / 2)))
}

// shelveTail turns a tail that did not end in time into backlog, so that what
// is new comes first again.
func (a *audit) shelveTail() {
	tail := a.state.Tail
	for _, s := range tail.Segments {
		a.state.addBacklog(s.span)
	}
	for _, b := range tail.Bad {
		a.state.addBacklog(b)
	}
	a.closeTail()
	a.unbroken = false
}

func (a *audit) closeTail() {
	tail := a.state.Tail
	high := tail.Window.Latest
	if tail.date > 0 {
		// Never beyond what Slack's own clock said (promise 4).
		high = min(high, tail.date)
	}
	a.state.High = max(a.state.High, high)
	if a.wholeTail {
		a.state.Whole = a.state.High
	}
	a.state.Tail = nil
}

// openCatchUp takes the next window of the backlog.
func (a *audit) openCatchUp(now int64) {
	// A sweep that is due can't begin in the middle of a window, so the next one
	// waits for it.
	if a.state.CatchUp != nil || len(a.state.Backlog) == 0 || a.sweepDue(now) {
		return
	}
	if a.state.Width == 0 {
		a.state.Width = a.tailSeconds()
	}
	oldest := a.state.Backlog[0]
	a.state.CatchUp = newWalk(span{oldest.Oldest, min(oldest.Oldest+a.state.Width-1, oldest.Latest)}, a.cfg.PageSize)
}

func (a *audit) sweepDue(now int64) bool {
	return a.cfg.SweepInterval > 0 && a.state.Sweep == nil && a.state.LastSweep > 0 &&
		now-a.state.LastSweep >= int64(a.cfg.SweepInterval.Seconds())
}

// openSweep begins a sweep when one is due. It covers what was read before,
// back to the sweep window before the last sweep began: an entry that was
// shown since then can't be older (promise 3). Gaps are asked again as well.
func (a *audit) openSweep(now int64) {
	if a.cfg.SweepInterval == 0 {
		a.state.Sweep = nil
		return
	}
	if a.state.LastSweep == 0 || a.state.LastSweep > now {
		a.state.LastSweep = now
	}
	if !a.sweepDue(now) {
		return
	}
	for _, w := range a.walks() {
		if w.Begun {
			// A window that is read in part is in neither the one sweep nor the other.
			return
		}
	}
	window := span{a.sweepFrom(), a.state.High}
	a.state.LastSweep = now
	parts := a.state.wasRead(window)
	for _, g := range slices.Backward(a.state.Gaps) {
		if g.Reason == gapUnreadable && g.Oldest < window.Oldest {
			parts = append(parts, g.span)
		}
	}
	if len(parts) == 0 {
		return
	}
	for _, p := range parts {
		window.Oldest = min(window.Oldest, p.Oldest)
	}
	a.state.Sweep = newWalk(window, a.cfg.PageSize, parts...)
}

// finishSweep says what a sweep found that the polls had missed: the user
// learns what overlap his Slack needs.
func (a *audit) finishSweep(w *walk) {
	a.state.Sweep = nil
	a.from.gapsClosed(a.state.Gaps.take(func(g gap) bool { return g.Reason == gapSweep }))
	a.from.missed(w.Missed, w.LateBy, a.cfg.Overlap)
}

// watchSweep opens a gap when a sweep is not finished within two intervals, or
// not even begun so long after it was due, though calls go well.
func (a *audit) watchSweep(now int64) {
	if a.cfg.SweepInterval == 0 {
		a.from.gapsGivenUp(a.state.Gaps.take(func(g gap) bool { return g.Reason == gapSweep }))
		return
	}
	interval := int64(a.cfg.SweepInterval.Seconds())
	since := a.from.wellSince(now, a.callErr != nil || a.state.Tail != nil && a.state.Tail.err != nil)
	if a.state.LastSweep == 0 || a.state.Gaps.has(gapSweep) {
		return
	}
	begun, late := a.state.LastSweep+interval, span{a.sweepFrom(), a.state.High}
	if w := a.state.Sweep; w != nil {
		begun, late = a.state.LastSweep, w.left()
	}
	if now-max(begun, since) >= overdue*interval && late.valid() {
		a.from.gapsOpened(a.state.Gaps.open(late, gapSweep, now))
	}
}

// sweepFrom is the second back to which the next sweep looks.
func (a *audit) sweepFrom() int64 {
	return max(a.state.LastSweep-int64(a.cfg.SweepWindow.Seconds()), a.state.IDsSince, a.state.Start)
}

// finishWalk takes the end of a window into the state.
func (a *audit) finishWalk(w *walk) {
	bad, over := w.settle(a.readableSince(w), a.state.inGap)
	if !over {
		return
	}
	for _, b := range joined(bad) {
		a.from.gapsOpened(a.state.Gaps.open(b, gapUnreadable, a.now().Unix()))
	}
	switch w {
	case a.state.Tail:
		if a.wholeTail {
			a.wholePages, a.sinceWhole = w.pages, 0
		}
		a.closeTail()
		a.polled, a.unbroken = true, true
	case a.state.CatchUp:
		a.finishCatchUp(w)
	case a.state.Sweep:
		a.finishSweep(w)
	}
	a.state.raise()
	a.keepOwn(w)
	a.forget()
}

// finishCatchUp takes a window off the backlog and fits the next one's width.
func (a *audit) finishCatchUp(w *walk) {
	a.state.takeBacklog(w.Window)
	switch {
	case w.pages <= manyPages/2:
		a.state.Width = min(a.state.Width*2, maxSecond)
	case w.pages > manyPages:
		a.state.Width = max(a.state.Width/2, 1)
	}
	if len(a.state.Backlog) == 0 {
		a.state.Width = 0
	}
	a.state.CatchUp = nil
}

// cutCatchUp ends a window that turned out too large (promise 5). What was not
// read stays in the backlog.
func (a *audit) cutCatchUp(w *walk) {
	low := w.Segments[0].Latest
	if len(w.Segments) != 1 || len(w.Bad) > 0 || low >= w.Window.Latest {
		return
	}
	read := span{low + 1, w.Window.Latest}
	a.state.takeBacklog(read)
	a.from.gapsClosed(a.state.Gaps.complete(read, gapUnreadable))
	a.state.Width = max(a.state.Width/2, 1)
	a.state.CatchUp = nil
	own := windowBucket(w)
	if w.edgeAt == low && low < w.edgeFrom && a.state.Own[own] == 0 {
		// Of its own ids only those of the second that is left are needed.
		a.state.IDsSince = max(a.state.IDsSince, w.OwnIDs+1)
		a.ids.Drop(func(bucket int64) bool { return bucket != own })
		for _, key := range w.edge {
			a.ids.Add(ownBucket(low), key)
		}
		a.setOwn(ownBucket(low), low)
	} else {
		a.keepOwn(w)
	}
	a.forget()
}

// keepOwn notes up to which second the walk's own bucket of ids reaches.
func (a *audit) keepOwn(w *walk) {
	if w.OwnIDs > 0 {
		a.state.IDsSince = max(a.state.IDsSince, w.OwnIDs+1)
		a.setOwn(windowBucket(w), w.OwnIDs)
	}
}

func (a *audit) setOwn(bucket, to int64) {
	if a.state.Own == nil {
		a.state.Own = map[int64]int64{}
	}
	a.state.Own[bucket] = max(a.state.Own[bucket], to)
}

// readableSince reports whether anything could be read since the walk began to
// read around a bad part.
func (a *audit) readableSince(w *walk) bool {
	return w.read || a.lastRead.After(w.splitSince)
}

// rereadFrom is the second from which on tail and sweeps still read what was
// delivered before.
func (a *audit) rereadFrom() int64 {
	from := a.state.Whole - int64(a.cfg.Overlap.Seconds())
	if a.cfg.SweepInterval > 0 {
		from = min(from, a.state.LastSweep-int64(a.cfg.SweepWindow.Seconds()))
	}
	return from
}

// readAgain reports whether another walk than this may read the second again.
func (a *audit) readAgain(w *walk, second int64) bool {
	return second >= a.rereadFrom() ||
		w != a.state.CatchUp && slices.ContainsFunc(a.state.Backlog, span{second, second}.meets) || slices.ContainsFunc(a.walks(), func(other *walk) bool {
		return other != w && other.Window.Oldest <= second && second <= other.Window.Latest
	})
}

// forget drops the ids that no window can meet again (promise 5).
func (a *audit) forget() {
	since := a.rereadFrom()
	if a.state.Tail != nil {
		// It may have to become backlog.
		since = min(since, a.state.Tail.Window.Oldest)
	}
	a.state.IDsSince = max(a.state.IDsSince, since)
	a.ids.Drop(func(bucket int64) bool {
		covers := span{bucket * bucketSeconds, (bucket+1)*bucketSeconds - 1}
		if bucket < 0 {
			covers = span{-1 - bucket, a.state.Own[bucket]}
		} else if covers.Latest >= since {
			return true
		}
		// Sweeps ask for gaps, also once they are switched on again.
		kept := a.state.meetsGap(covers) ||
			slices.ContainsFunc(a.walks(), func(w *walk) bool { return bucket == windowBucket(w) || w.Window.meets(covers) }) ||
			slices.ContainsFunc(a.state.Backlog, covers.meets)
		if !kept {
			delete(a.state.Own, bucket)
		}
		return kept
	})
}

// windowBucket is where a walk keeps the ids that no other one needs: they go
// with its window. Buckets of an hour are not negative.
func windowBucket(w *walk) int64 { return ownBucket(w.Window.Oldest) }

func ownBucket(from int64) int64 { return -1 - from }

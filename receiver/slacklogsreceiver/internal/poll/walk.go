// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"slices"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// A poison answer is given up after so many failures over so much time
// (promise 7).
const (
	poisonFailures = 10
	poisonTime     = 10 * time.Minute
	poisonTries    = 3
)

// span is a range of whole seconds, both inclusive.
type span struct {
	Oldest int64 `json:"oldest"`
	Latest int64 `json:"latest"`
}

func (s span) meets(o span) bool { return s.Oldest <= o.Latest && o.Oldest <= s.Latest }

func (s span) within(o span) bool { return o.Oldest <= s.Oldest && s.Latest <= o.Latest }

func (s span) valid() bool { return s.Oldest >= 0 && s.Oldest <= s.Latest && s.Latest <= maxSecond }

// segment is a part of a walk's window that is still to be read. Slack answers
// newest first, so Latest falls as entries are accepted: what is left is always
// [Oldest, Latest].
type segment struct {
	span
	// Top is where the segment began.
	Top int64 `json:"top"`
}

// walk reads one frozen window newest first, page after page. What is exported
// is saved; a walk that broke off goes on as a new one over what remains
// (promise 4).
type walk struct {
	Window span `json:"window"`
	// Segments are what remains, in the order of reading. There is one, unless
	// a part of the window can't be read and the rest has to be read around it.
	Segments []segment `json:"segments"`
	// Bad is what was given up so far.
	Bad []span `json:"bad,omitempty"`
	// Begun is set once a part of the window was read.
	Begun bool `json:"begun,omitempty"`
	// OwnIDs is the newest second whose ids are kept only as long as the walk.
	OwnIDs int64 `json:"own_ids,omitempty"`
	// Missed is how many entries a sweep found that the polls had missed, and
	// LateBy by how many seconds the latest of them came late at most.
	Missed int64 `json:"missed,omitempty"`
	LateBy int64 `json:"late_by,omitempty"`
	// edge are the own ids of the oldest second that was read. They are whole
	// only below edgeFrom, where this process began to read.
	edge             []checkpoint.Key
	edgeAt, edgeFrom int64

	// limit is the page size now: smaller after failures.
	limit, fullLimit int
	cursor           string
	// cursors are those met since the last restart: one that comes again leads
	// in a circle.
	cursors map[string]struct{}
	// latest is the upper end that the running cursor repeats, lowest the oldest
	// second read with it, and pageTop what that was before the page.
	latest, lowest, pageTop int64
	// unordered is set when Slack's order can't be trusted in this segment.
	unordered bool
	// date is Slack's time at the first answer; 0 = not known.
	date int64
	// progress is set when the running cursor has brought anything forward, and
	// passed when anything was since the last failure.
	progress, passed bool
	// read is set when any segment of the walk was read to its end.
	read  bool
	pages int
	// empty counts the pages since the last one with an entry, older the entries
	// since the last page with one that is not older than the window.
	empty, older int

	// err is why the walk does not go on before retryAt.
	err      error
	retryAt  time.Time
	failures int
	// unreadable counts those failures that poison can explain.
	unreadable   int
	failingSince time.Time
	// splitting is set while halves are tried around a part that can't be read.
	splitting   bool
	splitSince  time.Time
	beforeSplit []segment
	tries       int
	secondRound bool
}

// newWalk reads the spans, newest first, or the whole window if there are none.
func newWalk(window span, pageSize int, spans ...span) *walk {
	if len(spans) == 0 {
		spans = []span{window}
	}
	w := &walk{Window: window}
	for _, s := range spans {
		w.Segments = append(w.Segments, segment{span: s, Top: s.Latest})
	}
	w.resume(pageSize)
	w.edgeFrom++
	return w
}

// resume makes a walk that was just made or loaded ready to read.
func (w *walk) resume(pageSize int) {
	w.limit, w.fullLimit = pageSize, pageSize
	w.edgeFrom = w.Segments[0].Latest
	w.splitting = len(w.Bad) > 0
	w.beforeSplit = slices.Clone(w.Segments)
	for _, b := range w.Bad {
		w.beforeSplit = append(w.beforeSplit, segment{span: b, Top: b.Latest})
	}
	w.restart()
}

func (w *walk) valid() bool {
	if w == nil {
		return true
	}
	if !w.Window.valid() || len(w.Segments) == 0 {
		return false
	}
	for _, b := range w.Bad {
		if !b.valid() {
			return false
		}
	}
	for _, s := range w.Segments {
		if !s.valid() || s.Top < s.Latest || s.Top > maxSecond {
			return false
		}
	}
	return true
}

// restart begins a new walk over what remains of the first segment.
func (w *walk) restart() {
	w.cursor, w.progress, w.unordered, w.older = "", false, false, 0
	w.cursors = nil
	if len(w.Segments) > 0 {
		w.latest = w.Segments[0].Latest
		w.lowest, w.pageTop = w.latest, w.latest
	}
}

// query is what to ask next: the page after the last one that was read to its
// end.
func (w *walk) query() slack.AuditQuery {
	w.lowest = w.pageTop
	return slack.AuditQuery{Oldest: w.Segments[0].Oldest, Latest: w.latest, Limit: w.limit, Cursor: w.cursor}
}

// covers reports whether the window asked for holds the second.
func (w *walk) covers(second int64) bool {
	return second >= w.Segments[0].Oldest && second <= w.latest
}

// pass notes that an entry of a covered second was read.
func (w *walk) pass(second int64) {
	// Entries come newest first. Where they do not, a break may not skip
	// anything, so this segment starts from its top again.
	w.unordered = w.unordered || second > w.lowest
	w.lowest = min(w.lowest, second)
}

// accepted notes that everything read so far was delivered or known.
func (w *walk) accepted() {
	w.Begun = true
	s := &w.Segments[0]
	switch {
	case w.unordered:
		s.Latest = w.latest
	case w.lowest < s.Latest:
		s.Latest = w.lowest
		w.forward()
		w.limit = min(w.limit, w.fullLimit)
	}
}

// forward notes that something was gained.
func (w *walk) forward() { w.progress, w.passed = true, true }

// succeeded notes a page that was read to its end.
func (w *walk) succeeded(next string) {
	w.pages++
	w.err = nil
	if w.passed || next == "" {
		// A page before the one that fails proves nothing.
		w.failures, w.unreadable, w.tries = 0, 0, 0
	}
	if w.limit < w.fullLimit {
		w.limit = min(w.fullLimit, w.limit*2)
	}
	if next != "" {
		w.cursor, w.pageTop = next, w.lowest
		if w.cursors == nil {
			w.cursors = map[string]struct{}{}
		}
		w.cursors[next] = struct{}{}
		return
	}
	w.endSegment()
	w.read = true
}

// circles reports whether the cursor was met before, or there were too many.
func (w *walk) circles(next string) bool {
	_, met := w.cursors[next]
	return met || len(w.cursors) >= maxCursors
}

func (w *walk) endSegment() {
	w.Segments = slices.Delete(w.Segments, 0, 1)
	w.restart()
}

// left is the time that is not read yet.
func (w *walk) left() span {
	if w.done() {
		return w.Window
	}
	all := w.Segments[0].span
	for _, s := range w.Segments {
		all = span{min(all.Oldest, s.Oldest), max(all.Latest, s.Latest)}
	}
	return all
}

func (w *walk) done() bool { return len(w.Segments) == 0 }

// failed notes a call that did not bring the walk forward.
func (w *walk) failed(smaller bool) {
	w.failures++
	w.passed = false
	if smaller && w.failures >= 2 {
		// Deep or large pages are what Slack fails at.
		w.limit = max(1, w.limit/2)
	}
	if w.failures >= 3 {
		w.restart()
	}
}

// stuck notes a failure that may be the page's own. It is asked for again,
// until it has failed for too long, and it is this page alone: then the walk
// reads around it. That is done at once where a gap is known, and what lies in
// one is given up whole.
func (w *walk) stuck(now time.Time, smaller, alone, meetsGap, inGap bool) {
	if w.unreadable == 0 {
		w.failingSince = now
	}
	w.unreadable++
	w.failed(smaller)
	lasting := w.unreadable >= poisonFailures && now.Sub(w.failingSince) >= poisonTime
	if w.splitting || alone && (meetsGap || lasting) {
		w.split(now, inGap)
	}
}

// staleCursor goes on without the cursor, and reports whether that is
// promising. When nothing was gained since the last start, a larger page is
// asked for: one second may hold more than a page.
func (w *walk) staleCursor() bool {
	progress := w.progress
	if !progress {
		w.failures++
		w.limit = min(maxPage, w.limit*2)
	}
	w.restart()
	return progress
}

// split halves the segment that can't be read, down to one second, which is
// given up after a few tries. The newer half comes first.
func (w *walk) split(now time.Time, inGap bool) {
	if !w.splitting {
		w.splitting, w.splitSince, w.read = true, now, false
		w.beforeSplit = slices.Clone(w.Segments)
		w.limit, w.tries = w.fullLimit, 0
	}
	s := w.Segments[0]
	if inGap {
		w.Bad = append(w.Bad, s.span)
		w.endSegment()
		return
	}
	if s.Oldest < s.Latest {
		middle := s.Oldest + (s.Latest-s.Oldest)/2
		w.Segments = slices.Insert(w.Segments, 1, segment{span: span{s.Oldest, middle}, Top: middle})
		w.Segments[0].Oldest = middle + 1
		w.restart()
		return
	}
	w.tries++
	w.limit = 1
	w.restart()
	if w.tries >= poisonTries {
		w.tries = 0
		w.limit = w.fullLimit
		w.Bad = append(w.Bad, s.span)
		w.endSegment()
	}
}

// outOfRange handles invalid_range for a segment that lies in the past: it
// begins before Slack's history does. The history's beginning is searched by
// halves; everything before it is empty.
func (w *walk) outOfRange() {
	s := w.Segments[0]
	switch {
	case s.Oldest == s.Latest:
		// The newest second is too old already, so the older ones are as well.
		w.Segments = slices.DeleteFunc(w.Segments, func(o segment) bool { return o.Latest <= s.Latest })
	case !w.read:
		// Most often the whole window is too old: its newest second tells.
		w.Segments = slices.Insert(w.Segments, 1, segment{span: span{s.Oldest, s.Latest - 1}, Top: s.Latest - 1})
		w.Segments[0].Oldest = s.Latest
	default:
		middle := s.Oldest + (s.Latest-s.Oldest)/2
		w.Segments = slices.DeleteFunc(w.Segments, func(o segment) bool { return o.Latest < s.Oldest })
		w.Segments = slices.Insert(w.Segments, 1, segment{span: span{s.Oldest, middle}, Top: middle})
		w.Segments[0].Oldest = middle + 1
	}
	w.restart()
}

// settle decides what becomes of what was given up, once the rest is read.
// It returns them if they are a gap, and whether the walk is over. They are
// one only if a part could be read; otherwise Slack was down, and all is asked
// for again. What no gap holds yet gets a second round, as an outage may have
// ended meanwhile.
func (w *walk) settle(readable bool, known func(span) bool) (gaps []span, over bool) {
	bad := w.Bad
	switch {
	case !slices.ContainsFunc(bad, func(b span) bool { return !known(b) }):
		// What a gap holds already has been asked for once more; that is all.
		return nil, true
	case !readable:
		w.Segments = w.beforeSplit
		w.splitting, w.secondRound, w.unreadable, w.limit = false, false, 0, w.fullLimit
	case !w.secondRound:
		w.secondRound = true
		w.Bad = nil
		for _, b := range bad {
			if known(b) {
				w.Bad = append(w.Bad, b)
				continue
			}
			w.Segments = append(w.Segments, segment{span: b, Top: b.Latest})
		}
		w.restart()
		return nil, w.done()
	default:
		return bad, true
	}
	w.Bad = nil
	w.restart()
	return nil, false
}

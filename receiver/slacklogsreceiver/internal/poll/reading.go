// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"math"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	// maxCount and maxNumber are Slack's limits for pages that are asked for by
	// number.
	maxCount  = 1000
	maxNumber = 100
	// maxCursors is how many cursors a reading follows.
	maxCursors = 10_000
	// manyOlder rows in a row tell that a reading has come to older times; one
	// may have an odd date.
	manyOlder = 3
	// surelyOlder rows at the end of a page tell it also where the page began
	// with newer ones.
	surelyOlder = 20
	// fewRows is the smallest page that a poll of access logs begins with, but
	// each fullEvery-th.
	fewRows   = 100
	fullEvery = 10
	// maxRestarts is how often a list may shrink under a reading before it is
	// taken as it is.
	maxRestarts = 3
	// maxSkips ends the search for a readable part: Slack is down.
	maxSkips = 16
)

// reading is one walk over a list, from its newest row on, page after page. It
// is not saved: what counts is which rows were delivered.
//
// Pages are asked for by cursor where Slack gives one. Pages by number are
// places in a list that may shift meanwhile; as rows are added at the top and
// move there, a row that was not read can only shift down, into what is still
// to be read. A list that shrank is read anew.
type reading struct {
	// whole is set when it is to reach the end of what matters, first when
	// nothing was read before, sweep when it is a second reading.
	whole, first, sweep bool
	// began is Slack's time at the start; rows older than bound end it.
	began, bound int64

	cursor   string
	cursors  map[string]struct{}
	numbered bool
	// cursorless is set for a list that knows no cursors.
	cursorless bool
	// before cuts off what is newer; by date_first if byFirst, which is proved
	// once a row shows that was active later.
	before          int64
	byFirst, proved bool
	// limit is how many rows are asked for now, and size when all is well.
	limit, size int
	// pos is how many rows of the list were passed. A page by number must not
	// begin before from, and should end before bad.
	pos, from, bad int
	// start and count are the page by number that was asked for last.
	start, count int
	pages, empty int
	total        int
	restarts     int

	// Of the answer that is being read:
	rows int
	// above is the last good date that was read: where a row without one stands.
	above int64
	order order
	twins twins
	// over is set once nothing but the twins has to be looked at again.
	over bool

	err          error
	retryAt      time.Time
	failures     int
	failingSince time.Time
	refused      int // in a row, of the same cursor
	// probing asks for a row at the top of the list, to see whether Slack answers
	// at all.
	probing, alone bool
	// aside is set while that page is read, which is not the next one.
	aside bool
	// searching is set once a part was left out: others are not waited for.
	searching      bool
	skips, skipped int
	// lost is where the part begins that was left out last, with its from. It
	// is asked for again once something behind it could be read: it may be that
	// Slack was down.
	lost, lostFrom int
	// lostDate is the last date before that.
	lostDate int64
	again    bool
	// gap is set when a part was left out, limited when Slack's limit of pages
	// hid one.
	gap, limited bool
	// unseen are the seconds whose equal rows no answer showed together.
	unseen []int64

	// missed is how many rows a sweep found that the polls had missed, lateBy by
	// how many seconds the latest of them came late at most.
	missed, lateBy int64
}

func newReading(size int, began, bound int64) *reading {
	return &reading{size: size, limit: size, began: began, bound: bound, above: began, cursors: map[string]struct{}{}}
}

// restart begins at the top again. Rows that were delivered are known.
func (r *reading) restart() {
	r.cursor, r.pos, r.from, r.bad, r.total, r.before = "", 0, 0, 0, 0, 0
	r.numbered, r.probing = r.cursorless, false
	r.start, r.skipped, r.again = 0, 0, false
	r.above, r.over = r.began, false
	// Rows that were counted before do not tell where the list is now: an empty
	// page would end the reading.
	r.order.olderFirst, r.order.olderLast = 0, 0
	clear(r.cursors)
	r.twins = twins{}
}

func (r *reading) unproved() bool { return r.byFirst && !r.proved }

// query is what to ask next.
func (r *reading) query() (q slack.ListQuery, ok bool) {
	r.aside = r.probing
	switch {
	case r.probing:
		r.start, r.count = 0, 1
		if r.pos == 0 {
			r.start = 1 // The row after the one that fails.
		}
	case r.twins.ask:
		r.start, r.count, ok = showing(r.twins.from, r.twins.to)
		if !ok {
			return q, false
		}
	case !r.numbered:
		return slack.ListQuery{Limit: r.limit, Cursor: r.cursor}, true
	default:
		end := math.MaxInt
		if r.bad > r.pos {
			end = r.pos + max(1, (r.bad-r.pos)/2)
		}
		r.start, r.count, ok = covering(r.pos, r.from, end, r.limit)
		for ; !ok && end < r.bad-1; end++ {
			// No page ends so early; a later end is better than none.
			r.start, r.count, ok = covering(r.pos, r.from, end+1, r.limit)
		}
		if !ok {
			r.start, r.count, ok = covering(r.pos, r.from, math.MaxInt, r.limit)
		}
		if !ok {
			return q, false
		}
	}
	return slack.ListQuery{Limit: r.count, Page: r.start/r.count + 1, Before: r.before}, true
}

// covering is the page by number that holds the row at pos, does not begin
// before from nor end behind end, and reaches furthest; with more rows than
// limit only where Slack's limit of pages leaves nothing else.
func covering(pos, from, end, limit int) (start, count int, ok bool) {
	for c := 1; c <= maxCount; c++ {
		if c > limit && ok {
			break
		}
		number := pos / c
		if number >= maxNumber || number*c < from || number*c+c > end {
			continue
		}
		if !ok || number*c+c > start+count || number*c+c == start+count && number*c > start {
			start, count, ok = number*c, c, true
		}
	}
	return start, count, ok
}

// showing is the page by number that holds the rows from…to-1 and most of what
// is around them.
func showing(from, to int) (start, count int, ok bool) {
	best := 0
	for c := maxCount; c > 0; c-- {
		number := max(0, from-1) / c
		margin := min(from-number*c, number*c+c-to)
		if number == 0 {
			margin = c - to
		}
		if number < maxNumber && margin > best {
			start, count, ok, best = number*c, c, true, margin
		}
	}
	return start, count, ok
}

// firstStart is the first row from pos on at which a page by number can begin.
func firstStart(pos int) (start int, ok bool) {
	for c := 1; c <= maxCount; c++ {
		number := (pos + c - 1) / c
		if number < maxNumber && (!ok || number*c < start) {
			start, ok = number*c, true
		}
	}
	return start, ok
}

// answered begins with a new answer.
func (r *reading) answered() {
	r.rows = 0
	r.order.next()
	r.twins.next()
}

// passed takes a page that was read well, and reports whether the list has
// ended.
func (r *reading) passed(next string, p slack.Paging) (ended bool) {
	r.pages++
	if r.aside {
		r.probing, r.alone = false, true
		return false
	}
	r.err, r.failures, r.refused, r.skips = nil, 0, 0, 0
	if r.twins.ask {
		return false
	}
	if r.skipped > 0 && !r.again {
		r.again = true
		r.pos, r.from, r.bad = r.lost, r.lostFrom, 0
		r.skipped, r.limit, r.failingSince = 0, 1, time.Time{}
		// What was read just now lies behind what is read next.
		r.order.olderFirst, r.order.olderLast, r.above = 0, 0, r.began
		return false
	}
	r.again = false
	defer r.widen()
	r.empty++
	if r.rows > 0 {
		r.empty = 0
	}
	if !r.numbered {
		first := r.cursor == ""
		r.cursor = next
		r.cursors[next] = struct{}{}
		r.pos += r.rows
		if next != "" {
			return false
		}
		if !first || r.rows == 0 || r.rows < r.limit && (!p.Known || p.Total <= r.rows) {
			return true
		}
		// There is more, or may be, but no cursor: Slack gives it by number.
		r.numbered, r.total = true, p.Total
		return false
	}
	if p.Known && r.restarts < maxRestarts {
		switch less := r.rows > 0 && r.rows < r.count && p.Pages > (p.Total+r.count-1)/r.count; {
		case p.Total < r.total, less:
			// Rows have gone, so that others may have shifted up, past the reading;
			// or Slack's pages are smaller than what was asked for.
			if less {
				r.size = min(r.size, r.rows)
				r.limit = r.size
			}
			r.restarts++
			r.restart()
			r.numbered = true
			return false
		case r.rows == 0 && p.Total > r.start:
			// An empty page where there should be rows is asked for again.
			r.restarts++
			return false
		}
	}
	end := r.start + r.count
	r.pos = max(r.pos, end)
	if r.rows == 0 {
		return true
	}
	if !p.Known {
		return false
	}
	r.total = p.Total
	// Slack may name a smaller number than there are, so a full page is not the
	// last, unless it is one that was not asked for.
	return end >= p.Total && (r.rows < r.count || p.Page < r.start/r.count+1)
}

// widen asks for larger pages again, but not for what failed as a whole.
func (r *reading) widen() {
	if r.bad > r.pos {
		r.limit = max(1, (r.bad-r.pos)/2)
		return
	}
	r.bad, r.alone, r.failingSince = 0, false, time.Time{}
	r.limit = min(2*r.limit, r.size)
}

// stale notes that the cursor was refused: it is tried once more, as a server
// may not know it yet. Then the reading goes on by number, or from the top.
func (r *reading) stale() {
	r.refused++
	if r.refused < 2 {
		return
	}
	r.refused = 0
	if _, _, ok := covering(r.pos, 0, math.MaxInt, r.size); !ok && r.restarts < maxRestarts {
		r.restarts++
		r.restart()
		return
	}
	r.numbered, r.cursor = true, ""
}

// stuck takes a failure that may be the page's own (promise 7): smaller pages
// are asked for, and what can't be read at last is left out. others tells when
// another page could last be read; impatient that this part was waited for
// before.
func (r *reading) stuck(failed *slack.Error, now, others time.Time, impatient bool) {
	if r.failingSince.IsZero() {
		r.failingSince = now
	}
	r.failures++
	long := now.Sub(r.failingSince) >= poisonTime
	pause := walkPause(r.failures)
	if r.searching || impatient || long {
		pause = time.Second
	}
	r.err, r.retryAt = failed, now.Add(pause)
	lasting := r.failures >= poisonFailures && (long || r.searching || impatient)
	switch {
	case r.aside:
		// Not even the top can be read: Slack is down.
		r.probing, r.failures, r.failingSince = false, 1, now
		r.retryAt = now.Add(refusedPause)
		return
	case r.twins.ask:
		r.twins.hopeless = lasting
		return
	}
	if r.failures >= 2 {
		r.narrow()
	}
	alone := failed.Class == slack.Unreadable || r.alone || others.After(r.failingSince)
	switch {
	case !lasting || !r.narrowest():
	case !alone:
		r.probing = true
	case r.skips >= maxSkips:
		// Slack is down; the reading begins anew.
		r.searching, r.skips, r.skipped, r.failures, r.failingSince = false, 0, 0, 0, time.Time{}
		r.limit = r.size
		r.restart()
	default:
		r.skip()
	}
}

// narrow asks for less than what failed.
func (r *reading) narrow() {
	if r.numbered {
		r.bad = r.start + r.count
		return
	}
	r.bad = r.pos + r.limit
	r.limit = max(1, r.limit/2)
}

// narrowest reports whether nothing smaller can be asked for.
func (r *reading) narrowest() bool {
	if !r.numbered {
		return r.bad == r.pos+1
	}
	if r.bad-1 <= r.pos {
		return true
	}
	_, _, ok := covering(r.pos, r.from, r.bad-1, maxCount)
	return !ok
}

// skip leaves out what can't be read.
func (r *reading) skip() {
	r.searching, r.alone, r.failures = true, false, 0
	r.skips++
	if r.skipped == 0 {
		r.lost, r.lostFrom = r.pos, r.from
		if !r.again {
			r.lostDate = r.began
			if r.order.last > 0 {
				r.lostDate = r.order.last
			}
		}
	}
	start, ok := firstStart(r.pos + 1)
	if !ok {
		// Slack gives no page behind it.
		r.restart()
		return
	}
	r.skipped += start - r.pos
	r.numbered, r.cursor = true, ""
	r.pos, r.from, r.bad = start, start, 0
}

// order is what the answers show of the list's order.
type order struct {
	// Of the last row with both dates, and the least of the last answer:
	first, last             int64
	lowestFirst, lowestLast int64
	any                     bool
	// risesFirst and risesLast are set when date_first, date_last was seen
	// rising inside one answer, so that the list is not sorted by it.
	risesFirst, risesLast bool
	// pastFirst and pastLast are set while all rows of the answer have dates
	// before the reading's bound, olderFirst and olderLast count such rows since
	// the last other one.
	pastFirst, pastLast   bool
	olderFirst, olderLast int
}

func (o *order) next() { o.any, o.pastFirst, o.pastLast = false, false, false }

func (o *order) row(first, last, bound int64) {
	if o.any {
		o.risesFirst = o.risesFirst || first > o.first
		o.risesLast = o.risesLast || last > o.last
		o.lowestFirst, o.lowestLast = min(o.lowestFirst, first), min(o.lowestLast, last)
	} else {
		o.pastFirst, o.pastLast = true, true
		o.lowestFirst, o.lowestLast = first, last
	}
	o.any, o.first, o.last = true, first, last
	older(first < bound, &o.pastFirst, &o.olderFirst)
	older(last < bound, &o.pastLast, &o.olderLast)
}

func older(is bool, past *bool, count *int) {
	if *count++; !is {
		*past, *count = false, 0
	}
}

// beyondFirst (beyondLast) reports whether the reading has come to rows whose
// date_first (date_last) are all before its bound. One odd row is not enough.
func (o *order) beyondFirst() bool { return beyond(o.pastFirst, o.olderFirst) }
func (o *order) beyondLast() bool  { return beyond(o.pastLast, o.olderLast) }

func beyond(past bool, older int) bool {
	return past && older >= manyOlder || older >= surelyOlder
}

// twins watches for equal rows in one second that a page's edge splits: only
// an answer that shows the whole second tells them from a row that shifted
// between two answers.
type twins struct {
	// The second at the bottom of what was read, where its rows begin in the
	// list, and how many there are of each over all answers.
	date   int64
	at     int
	counts map[checkpoint.Key]int
	// split is set when the second goes over an edge; suspect when it ended
	// after that.
	split, any bool
	suspects   []suspect
	// ask is set while the rows from…to-1, those of the second, are asked for in
	// one answer.
	ask      bool
	from, to int
	second   int64
	tries    int
	// hopeless is set when the second can't be read at all.
	hopeless bool
	// Of the answer that is being read:
	begun, inside, behind bool
	seenAt, seenRows      int
}

// suspect is a second that was split by an edge.
type suspect struct {
	date   int64
	at, to int
	counts map[checkpoint.Key]int
}

func (t *twins) next() { t.begun, t.inside, t.behind, t.seenRows = false, false, false, 0 }

// row takes the n-th row of the answer.
func (t *twins) row(n, pos int, key checkpoint.Key, date int64) {
	if t.ask {
		switch {
		case date == t.second:
			if !t.inside {
				t.inside, t.seenAt = true, n
			}
			t.seenRows = n - t.seenAt + 1
		case t.inside:
			t.behind = true
		}
		return
	}
	fresh := !t.begun
	t.begun = true
	if !t.any || date != t.date {
		t.end(pos)
		t.any, t.date, t.at, t.split = true, date, pos, false
		t.counts = map[checkpoint.Key]int{}
	} else if fresh {
		t.split = true
	}
	t.counts[key]++
}

// end closes the second at the bottom.
func (t *twins) end(pos int) {
	if t.any && t.split {
		t.suspects = append(t.suspects, suspect{date: t.date, at: t.at, to: max(pos, t.at+1), counts: t.counts})
	}
	t.any = false
}

// suspect asks for the next suspect that is one, if there is any.
func (t *twins) suspect(is func(suspect) bool) {
	t.ask = false
	for len(t.suspects) > 0 && !t.ask {
		s := t.suspects[0]
		t.suspects = t.suspects[1:]
		if is(s) {
			t.ask, t.from, t.to, t.second, t.tries = true, s.at, s.to, s.date, 0
		}
	}
}

// give gives up on the second that is asked for.
func (t *twins) give() { t.ask, t.hopeless = false, false }

// shown reports whether the answer showed the whole second, and corrects where
// it is looked for if not.
func (t *twins) shown(r *reading) bool {
	if t.inside && (t.seenAt > 0 || r.start == 0) && (t.behind || r.rows < r.count) {
		return true
	}
	if t.inside {
		t.from, t.to = r.start+t.seenAt, r.start+t.seenAt+max(t.seenRows, t.to-t.from)
	}
	t.tries++
	return false
}

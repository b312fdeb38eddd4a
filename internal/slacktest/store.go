// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// Entry is one line of Slack's audit log.
type Entry struct {
	// Date is Slack's position of the entry in time, in unix seconds.
	Date int64
	// Shown is when the entry becomes visible; zero = at once. A late entry is shown well after its date.
	Shown time.Time
	// JSON is the text as it is sent; the Server never looks into it.
	JSON []byte
}

func (e Entry) visible(now time.Time) bool { return !e.Shown.After(now) }

// store keeps entries by date; those of one second stay in the order in which they came.
type store struct {
	all []Entry
}

// add merges from the back, so that a late entry moves only what is newer than itself.
func (s *store) add(more []Entry) {
	more = slices.Clone(more)
	slices.SortStableFunc(more, func(a, b Entry) int { return cmp.Compare(a.Date, b.Date) })
	have := len(s.all)
	s.all = append(s.all, more...)
	for to := len(s.all) - 1; len(more) > 0; to-- {
		if last := len(more) - 1; have > 0 && s.all[have-1].Date > more[last].Date {
			have--
			s.all[to] = s.all[have]
		} else {
			s.all[to] = more[last]
			more = more[:last]
		}
	}
}

// first is the index of the first entry of this second or later.
func (s *store) first(date int64) int {
	return sort.Search(len(s.all), func(i int) bool { return s.all[i].Date >= date })
}

// position is a place in the log: below is the number of entries of the second that are still to be read.
// Counted from the second's start it stays right while entries are added.
type position struct {
	date  int64
	below int
}

// page reads newest first from a position down to the second oldest. more tells whether anything visible is left
// in the range, and next where.
func (s *store) page(from position, oldest int64, limit int, wholeSeconds bool, now time.Time) (page []Entry, next position, more bool) {
	start := s.first(from.date)
	end := start + min(from.below, s.first(from.date+1)-start)
	for i := end - 1; i >= 0 && s.all[i].Date >= oldest; i-- {
		e := s.all[i]
		if !e.visible(now) {
			continue
		}
		if len(page) >= limit && !(wholeSeconds && page[len(page)-1].Date == e.Date) {
			return page, position{e.Date, i - s.first(e.Date) + 1}, true
		}
		page = append(page, e)
	}
	return page, position{}, false
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// access reads team.accessLogs. A row is an aggregate that Slack rewrites as
// long as it is active; it goes on when it is new or has moved on from what was
// delivered of it.
//
// By which date Slack sorts the rows is not known, so it is watched: inside one
// answer a date that rises is not the one. By date_last, a poll ends where all
// rows were active before the last reading; by date_first, where all are older
// than it, and rows that were seen again wait for the sweep; by neither, it
// reads the whole list.
type access struct {
	*lists
}

// NewAccess loads or begins the state and returns the poller of the access
// logs. It asks Slack nothing.
func NewAccess(ctx context.Context, set Settings, cfg ListSettings) (*Poller, error) {
	l, err := newLists(ctx, set, "access", cfg)
	if err != nil {
		return nil, err
	}
	a := &access{lists: l}
	l.list = a
	l.batch.write = func(i int, e jsonstream.Element, to plog.LogRecordSlice) {
		a.convert.ParseAccess(a.at.id, e)
		a.convert.AppendAccess(to, set.Clock.Now(), a.changes[i])
	}
	l.measure()
	return l.Poller, nil
}

func (a *access) ask(ctx context.Context, q slack.ListQuery) (*slack.Page, error) {
	return a.client.AccessLogs(ctx, q)
}

func (a *access) remembered() time.Duration { return a.cfg.SweepWindow }

// floor leaves out rows that were inactive for a window before the last time
// that all was read: what was delivered of them is forgotten.
func (a *access) floor(w *workspace) int64 {
	all := w.state.Swept
	if a.cfg.SweepInterval == 0 {
		all = w.state.Read
	}
	return max(a.state.Start, w.state.Forgotten, all-int64(a.cfg.SweepWindow.Seconds()))
}

func (a *access) due(w *workspace, poll bool) {
	now := a.now().Unix()
	if poll {
		// A second back, as Slack's servers may differ in what second it is.
		w.poll = newReading(a.cfg.PageSize, now, w.state.Read-1)
		if w.state.Read == 0 {
			w.poll.whole, w.poll.first, w.poll.bound = true, true, a.floor(w)
		} else {
			a.narrow(w)
		}
	}
	if a.cfg.SweepInterval > 0 && w.sweep == nil && w.state.Read > 0 && now-w.state.Swept >= int64(a.cfg.SweepInterval.Seconds()) {
		w.sweep = newReading(a.cfg.PageSize, now, a.floor(w))
		w.sweep.whole, w.sweep.sweep = true, true
	}
}

// narrow begins a poll with a smaller page than the largest: most of its rows
// would be known. If more are new than the last time, the pages grow. A full
// page also shows rows that came late, so each fullEvery-th poll asks for one;
// all do where no sweep would find such rows, or where the list is not by
// date_last, so that these are the rows that moved on.
func (a *access) narrow(w *workspace) {
	w.sinceFull++
	if !w.polled || w.sinceFull >= fullEvery || a.cfg.SweepInterval == 0 || w.state.RisesLast {
		w.sinceFull = 0
		return
	}
	w.poll.limit = min(w.poll.size, max(fewRows, 2*w.fresh))
}

func (a *access) take(w *workspace, r *reading, e jsonstream.Element) {
	row := a.convert.ParseAccess(w.id, e)
	if row.FirstOK && row.LastOK {
		r.proved = r.proved || row.Last > r.before
		r.order.row(row.First, row.Last, r.bound)
	}
	now := a.now().Unix()
	is := checkpoint.Row{Date: uint32Of(row.Last), Count: uint32Of(row.Count)}
	if !row.CountOK {
		is.Count = 0
	}
	floor := a.floor(w)
	switch {
	case !row.LastOK:
		// A row without a date is known as long as Slack shows it.
		is.Date = uint32Of(now)
	case row.Last < floor:
		if row.Last >= a.state.Start {
			a.duplicates++
		}
		return
	}
	key := checkpoint.Key(row.Key)
	was, known := a.last(w, key)
	if known && !row.LastOK {
		if int64(was.Date) < now-int64(a.cfg.SweepWindow.Seconds())/4 {
			w.rows.Set(key, is)
		}
		a.duplicates++
		return
	}
	if known && !(is.Date > was.Date || is.Date == was.Date && is.Count > was.Count) {
		a.duplicates++
		return
	}
	change := record.Change{New: !known && row.FirstOK && row.First >= floor}
	switch {
	case change.New:
		change.Delta, change.DeltaOK = row.Count, row.CountOK
	case known && row.CountOK && was.Count > 0 && is.Count < math.MaxUint32 && is.Count >= was.Count:
		change.Delta, change.DeltaOK = int64(is.Count-was.Count), true
	}
	s := seen{}
	if row.LastOK {
		s.date, s.late = row.Last, !r.first && row.Last < w.state.Read-1
	}
	a.changes = append(a.changes, change)
	s.malformed = a.convert.AppendAccess(a.batch.add(e.Text, row.UID), a.set.Clock.Now(), change)
	a.seen = append(a.seen, s)
	a.pending[key] = is
}

func (*access) enough(w *workspace, r *reading, ended bool) bool {
	w.state.RisesFirst = w.state.RisesFirst || r.order.risesFirst
	w.state.RisesLast = w.state.RisesLast || r.order.risesLast
	switch {
	case ended:
		return true
	case w.state.RisesLast:
		return !r.whole && !w.state.RisesFirst && r.order.beyondFirst()
	case r.whole:
		// To end early, it must be sure that the list is sorted by date_last.
		return w.state.RisesFirst && r.order.olderLast >= surelyOlder
	default:
		return r.order.beyondLast()
	}
}

// further goes on behind Slack's limit of pages: with what is older than what
// was read, by the date that the list is sorted by. Whether Slack cuts on the
// same date is not known. In a list by date_last it does not matter; by
// date_first, a row that was active later proves it.
func (a *access) further(w *workspace, r *reading) bool {
	before, byFirst := int64(0), false
	switch {
	case w.state.RisesFirst && !w.state.RisesLast:
		before = r.order.lowestLast
	case w.state.RisesLast && !w.state.RisesFirst:
		before, byFirst = r.order.lowestFirst, true
	}
	if before == 0 || r.before != 0 && before >= r.before || r.unproved() {
		return false
	}
	r.restart()
	r.numbered, r.before, r.byFirst, r.proved = true, before, byFirst, false
	return true
}

func (a *access) finish(w *workspace, r *reading) {
	if r.unproved() {
		// It may hide rows that were active later; they can't be told apart.
		r.limited = true
		a.openGap(w, r, span{r.bound, r.began}, gapPageLimit)
	}
	if w.state.Read = max(w.state.Read, r.began); !r.sweep {
		w.fresh = r.pos - r.order.olderLast
	}
	unordered := w.state.RisesFirst && w.state.RisesLast
	if r.whole || unordered {
		w.state.Swept = max(w.state.Swept, r.began)
	}
	if r.sweep && !w.state.RisesLast {
		// In a list by date_first, to see what moved is the sweep's own job.
		w.missed(r.missed, r.lateBy, 0)
	}
	if r.sweep || unordered {
		// Slack may have changed the order since.
		w.state.RisesFirst, w.state.RisesLast = r.order.risesFirst, r.order.risesLast
	}
	a.forget(w)
}

// watermark is the last poll; in a list by date_first polls don't see rows
// that moved on, so it is the last sweep.
func (*access) watermark(w *workspace) int64 {
	if w.state.RisesLast && !w.state.RisesFirst {
		return w.state.Swept
	}
	return w.state.Read
}

// uint32Of is a date or count as it is kept: up to the year 2106.
func uint32Of(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

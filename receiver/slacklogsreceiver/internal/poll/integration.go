// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// maxTwinTries is how often the whole second is asked for when the list shifts
// meanwhile.
const maxTwinTries = 5

// integration reads team.integrationLogs. A row has no id, and equal rows in
// one second are events of their own; how many there are is the most that one
// answer showed. Counting over answers would take a row that shifted between
// two of them for two.
type integration struct {
	*lists
	// shown counts the rows of the answer that is being read.
	shown map[checkpoint.Key]int
}

// NewIntegration loads or begins the state and returns the poller of the
// integration logs. It asks Slack nothing.
func NewIntegration(ctx context.Context, set Settings, cfg ListSettings) (*Poller, error) {
	l, err := newLists(ctx, set, "integration", cfg)
	if err != nil {
		return nil, err
	}
	g := &integration{lists: l, shown: map[checkpoint.Key]int{}}
	l.list = g
	l.batch.write = func(i int, e jsonstream.Element, to plog.LogRecordSlice) {
		g.convert.ParseIntegration(g.at.id, e)
		g.convert.AppendIntegration(to, set.Clock.Now(), g.batch.uids[i])
	}
	l.measure()
	return l.Poller, nil
}

func (g *integration) ask(ctx context.Context, q slack.ListQuery) (*slack.Page, error) {
	clear(g.shown)
	return g.client.IntegrationLogs(ctx, q)
}

func (g *integration) remembered() time.Duration { return g.cfg.Overlap }

// floor is an overlap before the last reading of the whole overlap.
func (g *integration) floor(w *workspace) int64 {
	return max(g.state.Start, w.state.Forgotten, w.state.Swept-int64(g.cfg.Overlap.Seconds()))
}

func (g *integration) due(w *workspace, poll bool) {
	if !poll {
		return
	}
	now := g.now().Unix()
	r := newReading(g.cfg.PageSize, now, g.floor(w))
	r.numbered, r.cursorless, r.first = true, true, w.state.Read == 0
	w.sinceWhole++
	callsPerPoll := max(1, g.cfg.RequestsPerMinute*g.cfg.PollInterval.Minutes()/float64(len(g.ring)))
	if r.whole = r.first || w.wholePages <= 1 || float64(w.sinceWhole) >= float64(w.wholePages)/(callsPerPoll/2); !r.whole {
		// The whole overlap is too dear for each poll (promise 3).
		r.bound = max(r.bound, w.state.Read-int64(shortTail.Seconds()))
	}
	w.poll = r
}

func (g *integration) take(w *workspace, r *reading, e jsonstream.Element) {
	row := g.convert.ParseIntegration(w.id, e)
	key := checkpoint.Key(row.Key)
	// A row without a date is known as long as Slack shows it.
	at, kept := r.above, r.began
	if row.DateOK {
		at, kept = row.Date, row.Date
		r.order.row(row.Date, row.Date, r.bound)
		// Not where an odd date leads.
		if !r.aside && at <= r.began+daySeconds && (at >= r.bound || r.order.olderLast >= manyOlder) {
			r.above = at
		}
	}
	// A page by number may begin with rows that were passed; they count once.
	if !r.aside && (r.twins.ask || r.start+r.rows >= r.pos) {
		r.twins.row(r.rows, r.start+r.rows, key, at)
	}
	if at < r.bound {
		if at >= g.state.Start {
			g.duplicates++
		}
		return
	}
	g.shown[key]++
	k := g.shown[key]
	if was, _ := g.last(w, key); k <= int(was.Count) {
		if !row.DateOK && int64(was.Date) < kept-int64(g.cfg.Overlap.Seconds())/4 {
			w.rows.Set(key, checkpoint.Row{Date: uint32Of(kept), Count: was.Count})
		}
		g.duplicates++
		return
	}
	s := seen{}
	if row.DateOK {
		s.date, s.late = row.Date, !r.first && row.Date < w.state.Read
	}
	uid := g.convert.IntegrationUID(k)
	s.malformed = g.convert.AppendIntegration(g.batch.add(e.Text, uid), g.set.Clock.Now(), uid)
	g.seen = append(g.seen, s)
	g.pending[key] = checkpoint.Row{Date: uint32Of(kept), Count: uint32Of(int64(k))}
}

// enough also sees to it that seconds which an edge split were seen whole.
func (g *integration) enough(w *workspace, r *reading, ended bool) bool {
	t := &r.twins
	switch {
	case !t.ask:
		r.over = ended || r.order.olderLast >= manyOlder
		if r.over {
			t.end(r.start + r.rows)
		}
	case t.shown(r):
		w.gapsClosed(w.state.Gaps.complete(span{t.second, t.second}, gapEqualRows))
	case t.tries < maxTwinTries:
		return false
	default:
		g.twinsGap(w, r, gapEqualRows)
	}
	t.suspect(func(s suspect) bool {
		if s.date < r.bound {
			return false
		}
		for key, n := range s.counts {
			if was, _ := g.last(w, key); n > 1 && n > int(was.Count) {
				return true
			}
		}
		return false
	})
	return r.over && !t.ask
}

func (*integration) further(*workspace, *reading) bool { return false }

func (g *integration) finish(w *workspace, r *reading) {
	w.state.Read = max(w.state.Read, r.began)
	if r.whole {
		w.state.Swept = w.state.Read
		w.wholePages, w.sinceWhole = r.pages, 0
	}
	g.forget(w)
}

func (*integration) watermark(w *workspace) int64 { return w.state.Read }

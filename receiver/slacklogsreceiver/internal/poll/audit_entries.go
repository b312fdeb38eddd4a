// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// read asks for one page of the walk and takes in what came of it.
func (a *audit) read(ctx context.Context, w *walk) error {
	page, err := a.client.AuditLogs(ctx, w.query())
	next := ""
	if err == nil {
		next, err = a.readAuditPage(ctx, w, page)
	}
	if err == nil && w.date == 0 && !page.Date().IsZero() {
		w.date = page.Date().Unix()
	}
	if err == nil && w.circles(next) {
		err = slack.StuckCursor("audit.logs")
	}
	if err != nil {
		return a.failed(ctx, w, err)
	}
	a.lastRead = a.set.Clock.Now()
	if next == "" {
		s := w.Segments[0]
		a.from.gapsClosed(a.state.Gaps.complete(span{s.Oldest, s.Top}, gapUnreadable))
	}
	w.succeeded(next)
	if w.empty >= maxEmptyPages {
		w.empty = 0
		return a.failed(ctx, w, slack.EndlessPages("audit.logs"))
	}
	switch {
	case w.done():
		a.finishWalk(w)
	case w == a.state.CatchUp && w.pages > manyPages:
		a.cutCatchUp(w)
	}
	a.pageRead(ctx)
	return nil
}

// failed decides how the walk goes on after a failure. It returns the error if
// that is not the walk's own matter.
func (a *audit) failed(ctx context.Context, w *walk, err error) error {
	local := a.set.Clock.Now()
	var failed *slack.Error
	switch {
	case !errors.As(err, &failed):
		// The pipeline refused, or the receiver stops: what was not accepted is
		// read again.
		clear(a.pending)
		w.restart()
		return err
	case ctx.Err() != nil, failed.RetryAfter > 0:
		return err
	case failed.Class == slack.StaleCursor && w.cursor != "" && w.staleCursor():
		return nil
	case failed.Class == slack.StaleCursor && w.limit < maxPage:
		w.err, w.retryAt = err, local.Add(walkPause(w.failures))
		return nil
	case failed.Class == slack.BadRange && w == a.state.Tail && w.failures < 2:
		// The server that answers may be a little behind the one that told the time.
		w.failed(false)
		w.retryAt = local.Add(walkPause(w.failures))
		return nil
	case failed.Class == slack.StaleCursor, failed.Class == slack.Unreadable, failed.Class == slack.Heals:
		a.stuck(w, failed, local)
	case failed.Class == slack.BadRange && w != a.state.Tail && w.latest < a.now().Unix()-longPast:
		if !a.rangeLogged {
			a.rangeLogged = true
			a.set.Logger.Warn("Slack's audit logs do not reach back to the start; what lies before their beginning is taken as empty", zap.Error(err))
		}
		if s := w.Segments[0]; s.Oldest == s.Latest {
			// Slack has nothing so old any more.
			a.from.gapsGivenUp(a.state.Gaps.complete(span{0, s.Latest}, gapUnreadable))
		}
		w.outOfRange()
	default:
		// It stays this walk's trouble until the walk goes on, whatever others do.
		w.failed(false)
		w.err, w.retryAt = err, local.Add(walkPause(w.failures))
		return err
	}
	if w.done() {
		a.finishWalk(w)
	}
	a.saveState(ctx)
	return nil
}

// stuck takes a failure that may be the page's own, so that one bad page does
// not stall what lies behind it (promise 7). An answer that can't be parsed is;
// an error of Slack or the network only if other pages can be read meanwhile.
func (a *audit) stuck(w *walk, failed *slack.Error, local time.Time) {
	w.err, w.retryAt = failed, local.Add(walkPause(w.failures+1))
	at := w.Segments[0].span
	alone := failed.Class == slack.Unreadable || a.lastRead.After(w.failingSince)
	w.stuck(local, failed.Class != slack.StaleCursor, alone, a.state.meetsGap(at), a.state.inGap(at))
	switch {
	case !w.splitting:
	case len(w.Bad) >= maxBadUnread && !a.readableSince(w):
		// Slack is down; the walk starts the window anew.
		w.Segments = nil
	default:
		w.retryAt = local
	}
}

// readAuditPage delivers what is fresh on the page and returns its cursor.
func (a *audit) readAuditPage(ctx context.Context, w *walk, page *slack.Page) (string, error) {
	read, older := 0, 0
	next, err := a.readPage(ctx, page, func(e jsonstream.Element) {
		read++
		if a.take(w, e) {
			older++
		}
	}, func(dropped bool) {
		a.remember(ctx, w, dropped)
		w.accepted()
	})
	w.empty++
	if read > 0 {
		w.empty = 0
	}
	w.older += older
	if older < read {
		w.older = 0
	}
	if read > 0 && older == read && w.older >= manyOlder {
		// The walk has left its window, whatever the cursor says. One entry with
		// an odd date does not prove it.
		next = ""
	}
	return next, err
}

// take puts an entry into the batch unless it is known. It reports whether the
// entry is older than the window.
func (a *audit) take(w *walk, e jsonstream.Element) (older bool) {
	entry := a.convert.ParseAudit(e)
	covered := entry.DateOK && w.covers(entry.Date)
	// A date from before Slack's audit logs is no date but an oddity.
	older = entry.DateOK && entry.Date < w.Segments[0].Oldest && entry.Date >= auditEpoch
	if older && entry.Date < a.state.Start {
		return true
	}
	// An entry whose date is none, or not in the window, stands where Slack put
	// it; unless it is newer, then a later window meets it where it belongs.
	at := w.lowest
	if covered || entry.DateOK && entry.Date > w.latest && entry.Date <= w.latest+daySeconds {
		at = entry.Date
	}
	bucket := at / bucketSeconds
	key := checkpoint.Key(entry.Key)
	_, known := a.pending[key]
	known = known || a.ids.Has(bucket, key) ||
		(!covered || a.ids.Negative()) && a.ids.HasAny(key, func(other int64) bool { return other < 0 || !covered })
	if covered {
		w.pass(entry.Date)
	}
	if known {
		a.duplicates++
		return older
	}
	if !a.readAgain(w, at) {
		bucket = windowBucket(w)
	}
	p := pendingEntry{bucket: bucket, at: at}
	if entry.DateOK {
		p.date = entry.Date
		// What could not be read before is not late.
		p.late = (w == a.state.Sweep || w == a.state.Tail && entry.Date < a.state.High) && !a.state.inGap(span{entry.Date, entry.Date})
	}
	p.malformed = a.convert.AppendAudit(a.batch.add(e.Text, entry.UID), a.set.Clock.Now())
	a.pending[key] = p
	return older
}

// remember takes the entries of an accepted batch into state and metrics.
func (a *audit) remember(ctx context.Context, w *walk, dropped bool) {
	if len(a.pending) > 0 {
		w.forward()
	}
	t := tally{measured: w == a.state.Sweep || w == a.state.Tail && a.steady}
	for key, e := range a.pending {
		a.ids.Add(e.bucket, key)
		if e.bucket == windowBucket(w) {
			w.OwnIDs = max(w.OwnIDs, e.at)
			if w.edgeAt == 0 || e.at < w.edgeAt {
				w.edge, w.edgeAt = w.edge[:0], e.at
			}
			if e.at == w.edgeAt {
				w.edge = append(w.edge, key)
			}
		}
		a.tally(ctx, &t, e.seen)
	}
	a.state.add(len(a.pending), dropped)
	if w == a.state.Sweep {
		w.Missed += t.late
		w.LateBy = max(w.LateBy, t.lateBy)
	}
	if a.tallied(ctx, &t); !dropped {
		a.state.Newest = max(a.state.Newest, t.newest)
	}
	clear(a.pending)
}

// walkPause is the pause of a walk after its n-th failure in a row.
func walkPause(n int) time.Duration {
	return min(time.Second<<min(n, 10), refusedPause)
}

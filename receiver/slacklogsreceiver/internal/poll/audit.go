// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	auditKey    = "audit"
	auditPrefix = "audit.ids."

	// maxPage is the largest page that Slack gives.
	maxPage = 9999
	// A catch-up window that took more pages is halved (promise 5).
	manyPages = 20
	// shortTail is what a poll reads again when the whole overlap is too dear.
	shortTail = time.Minute

	// The shares of the calls that backlog and sweep have even while the tail
	// has work (promise 6).
	backlogShare = 0.25
	sweepShare   = 0.1

	// auditEpoch is when Slack's audit logs begin: March 2018.
	auditEpoch = 1_519_862_400

	bucketSeconds = 3600
	daySeconds    = 24 * 3600
	// maxBadUnread ends the search for a readable part: Slack is down.
	maxBadUnread = 16
)

// AuditSettings are those of the audit logs section.
type AuditSettings struct {
	PollInterval      time.Duration
	InitialLookback   time.Duration
	StartTime         time.Time // zero = InitialLookback counts
	PageSize          int
	RequestsPerMinute float64
	Overlap           time.Duration
	SweepInterval     time.Duration // 0 = no sweeps
	SweepWindow       time.Duration
	StaleAfter        time.Duration // 0 = never
	Record            record.Options

	_ struct{}
}

// audit reads the audit logs: newest first, in whole seconds, in frozen
// windows. There are three walks, each with its window: the tail, which is
// what came since the last poll and the overlap before it; the catch-up of the
// backlog, oldest first; and the sweep, which reads again what was read, for
// entries that Slack showed late.
type audit struct {
	*Poller
	cfg     AuditSettings
	state   auditState
	ids     *checkpoint.IDs
	convert *record.Converter
	batch   batch
	// pending are the entries of the batch, not accepted yet.
	pending    map[checkpoint.Key]pendingEntry
	duplicates int64

	nextPoll time.Time
	// polled is set once a tail was read to its end, and unbroken unless the
	// last one was not; steady while the tail follows on such a one, so that
	// lateness is Slack's.
	polled, unbroken, steady, stale bool
	// wholeTail tells whether the tail reads the whole overlap, which took
	// wholePages the last time, sinceWhole polls ago.
	wholeTail              bool
	wholePages, sinceWhole int
	// What backlog and sweep have saved up of their shares.
	backlogCredit, sweepCredit float64
	lastRead                   time.Time
	rangeLogged                bool
}

// pendingEntry is what is remembered of an entry once it is accepted.
type pendingEntry struct {
	bucket, at, date int64
	late, malformed  bool
}

// NewAudit loads or begins the state and returns the poller of the audit logs.
// It asks Slack nothing.
func NewAudit(ctx context.Context, set Settings, cfg AuditSettings) (*Poller, error) {
	p := newPoller(set, "audit", cfg.RequestsPerMinute)
	a := &audit{Poller: p, cfg: cfg, convert: record.New(cfg.Record), pending: map[checkpoint.Key]pendingEntry{}}
	p.logType = a
	a.batch.scope = set.Scope
	a.batch.write = func(text []byte, to plog.LogRecordSlice) {
		a.convert.ParseAudit(text)
		a.convert.AppendAudit(to, set.Clock.Now())
	}
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	p.health.update(a.standing(), p.now())
	return p, nil
}

func (a *audit) load(ctx context.Context) error {
	setting := "initial_lookback " + a.cfg.InitialLookback.String()
	if !a.cfg.StartTime.IsZero() {
		setting = "start_time " + a.cfg.StartTime.UTC().Format(time.RFC3339)
	}
	found, err := a.set.Store.Load(ctx, auditKey, &a.state)
	if err != nil {
		return err
	}
	now := a.set.Clock.Now()
	if !found {
		start := now.Add(-a.cfg.InitialLookback)
		if !a.cfg.StartTime.IsZero() {
			start = a.cfg.StartTime
		}
		a.state = auditState{Version: checkpoint.Version, Setting: setting, Anchored: !a.cfg.StartTime.IsZero()}
		a.state.begin(start.Unix())
		a.ids = checkpoint.NewIDs(auditPrefix)
		// Saved before the first call, so that a first start which never
		// reaches Slack keeps its start.
		if err := a.save(ctx); err != nil {
			return fmt.Errorf("storage: the first state can't be saved: %w", err)
		}
		return nil
	}
	if !a.state.valid() {
		return a.set.Store.Invalid(auditKey, "has parts that contradict each other")
	}
	if a.ids, err = a.set.Store.LoadIDs(ctx, auditPrefix, a.state.IDs); err != nil {
		return err
	}
	for _, w := range a.walks() {
		w.resume(a.cfg.PageSize)
	}
	if a.state.Setting != setting {
		a.set.Logger.Info("The start of the logs is kept in the storage; initial_lookback and start_time have no effect any more",
			zap.Time("start", time.Unix(a.state.Start, 0).UTC()))
	}
	a.budget.Pause(time.Unix(a.state.NotBefore, 0), now)
	return nil
}

func (a *audit) save(ctx context.Context) error {
	a.state.IDs = a.ids.Index()
	return a.set.Store.Save(ctx, auditKey, &a.state, a.ids)
}

func (a *audit) paused(until time.Time) { a.state.NotBefore = until.Unix() + 1 }

// identified ties the state to the organisation, and sets the start by Slack's
// clock: a local clock that is wrong must not lose the first entries.
func (a *audit) identified(id slack.Identity) error {
	org := id.Org()
	if a.state.Org != "" && a.state.Org != org {
		return fmt.Errorf("the token belongs to %s but the saved state to %s; use a token of %s, or a receiver of another name (slacklogs/other) for %s",
			org, a.state.Org, a.state.Org, org)
	}
	a.state.Org = org
	if !a.state.Anchored {
		ahead := a.set.Clock.Now().Sub(a.now())
		a.state.begin(a.state.Start - int64(math.Round(ahead.Seconds())))
		a.state.Anchored = true
	}
	return nil
}

// walks are those under way, in the order of their importance.
func (a *audit) walks() []*walk {
	var walks []*walk
	for _, w := range []*walk{a.state.Tail, a.state.CatchUp, a.state.Sweep} {
		if w != nil {
			walks = append(walks, w)
		}
	}
	return walks
}

func (a *audit) trouble() error {
	for _, w := range a.walks() {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

func (a *audit) standing() standing {
	now := a.now()
	newest := a.state.Newest
	if newest == 0 {
		newest = a.state.Start
	}
	quiet := now.Sub(time.Unix(newest, 0))
	judged := a.polled && len(a.state.Backlog) == 0 && a.callErr == nil && a.refusedErr == nil && a.trouble() == nil
	stale := judged && a.cfg.StaleAfter > 0 && quiet > a.cfg.StaleAfter
	switch {
	case stale && !a.stale:
		a.set.Logger.Warn("Slack shows no new entries though it answers; check the token's installation if the organisation is not just quiet",
			zap.Duration("since", quiet.Round(time.Second)))
	case !stale && a.stale && judged:
		a.set.Logger.Info("New entries arrive again")
	case !stale && a.stale:
		a.set.Logger.Info("Whether new entries arrive can't be judged while polls fail or a backlog is read")
	}
	a.stale = stale
	return standing{newest: newest, watermark: a.state.watermark(), polled: a.polled, stale: stale}
}

// next chooses the next call. The tail goes first, but backlog and sweep get
// their shares of the calls (promise 6).
func (a *audit) next() (func(ctx context.Context) error, time.Duration) {
	local, now := a.set.Clock.Now(), a.now().Unix()
	if tail := a.state.Tail; tail != nil && now-tail.Window.Latest > a.tailSeconds() {
		a.shelveTail()
	}
	if a.state.Tail == nil && !local.Before(a.nextPoll) {
		a.openTail(now)
		a.nextPoll = local.Add(a.cfg.PollInterval)
	}
	a.openSweep(now)
	a.openCatchUp()

	ready := func(w *walk) bool { return w != nil && !w.retryAt.After(local) }
	tail, catchUp, sweep := ready(a.state.Tail), ready(a.state.CatchUp), ready(a.state.Sweep)
	var chosen *walk
	switch {
	case sweep && a.sweepCredit >= 1:
		chosen = a.state.Sweep
	case catchUp && a.backlogCredit >= 1:
		chosen = a.state.CatchUp
	case tail:
		chosen = a.state.Tail
	case catchUp:
		chosen = a.state.CatchUp
	case sweep:
		chosen = a.state.Sweep
	default:
		return nil, a.idle(local)
	}
	return func(ctx context.Context) error {
		if catchUp {
			a.backlogCredit = min(a.backlogCredit+backlogShare, 2)
		}
		if sweep {
			a.sweepCredit = min(a.sweepCredit+sweepShare, 2)
		}
		switch chosen {
		case a.state.CatchUp:
			a.backlogCredit = max(a.backlogCredit-1, 0)
		case a.state.Sweep:
			a.sweepCredit = max(a.sweepCredit-1, 0)
		}
		return a.read(ctx, chosen)
	}, 0
}

// idle is how long there is nothing to ask.
func (a *audit) idle(local time.Time) time.Duration {
	wait := a.cfg.PollInterval
	if a.state.Tail == nil {
		wait = a.nextPoll.Sub(local)
	}
	for _, w := range a.walks() {
		wait = min(wait, w.retryAt.Sub(local))
	}
	return max(wait, time.Millisecond)
}

// tailSeconds is how much of the newest is read first.
func (a *audit) tailSeconds() int64 {
	return max(1, int64(max(a.cfg.Overlap, a.cfg.PollInterval).Seconds()))
}

// overlapFrom is the second from which on entries may still come late.
func (a *audit) overlapFrom() int64 {
	return max(a.state.Whole-int64(a.cfg.Overlap.Seconds()), a.state.Start, a.state.IDsSince)
}

// openTail begins a poll at Slack's time now. After an outage, or at the first
// poll, what lies before the tail becomes backlog.
func (a *audit) openTail(now int64) {
	window := span{a.overlapFrom(), now}
	a.steady = a.unbroken
	a.sinceWhole++
	a.wholeTail = a.sinceWhole >= a.wholeEvery()
	switch {
	case now-a.state.High > 2*a.tailSeconds():
		a.state.addBacklog(span{window.Oldest, now - a.tailSeconds() - 1})
		window.Oldest = max(window.Oldest, now-a.tailSeconds())
		a.steady, a.wholeTail = false, true
	case !a.wholeTail:
		window.Oldest = max(window.Oldest, a.state.High-int64(shortTail.Seconds()))
	}
	// Slack's clock may step back; then there is nothing to read yet.
	if window.valid() {
		a.state.Tail = newWalk(window, a.cfg.PageSize)
	}
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
	for _, second := range tail.Bad {
		a.state.addBacklog(span{second, second})
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
func (a *audit) openCatchUp() {
	if a.state.CatchUp != nil || len(a.state.Backlog) == 0 {
		return
	}
	if a.state.Width == 0 {
		a.state.Width = a.tailSeconds()
	}
	oldest := a.state.Backlog[0]
	a.state.CatchUp = newWalk(span{oldest.Oldest, min(oldest.Oldest+a.state.Width-1, oldest.Latest)}, a.cfg.PageSize)
}

// openSweep begins a sweep when one is due. It covers what was read before,
// back to the sweep window before the last sweep began: an entry that was
// shown since then can't be older (promise 3). Gaps are asked again as well.
func (a *audit) openSweep(now int64) {
	if a.cfg.SweepInterval == 0 {
		a.state.Sweep = nil
		return
	}
	if a.state.LastSweep == 0 {
		a.state.LastSweep = now
	}
	if a.state.Sweep != nil || now-a.state.LastSweep < int64(a.cfg.SweepInterval.Seconds()) {
		return
	}
	for _, w := range a.walks() {
		if w.Begun {
			// A window that is read in part is in neither the one sweep nor the other.
			return
		}
	}
	window := span{
		max(a.state.LastSweep-int64(a.cfg.SweepWindow.Seconds()), a.state.IDsSince, a.state.Start),
		a.state.High,
	}
	a.state.LastSweep = now
	parts := a.state.wasRead(window)
	for _, g := range slices.Backward(a.state.Gaps) {
		if g.Latest < window.Oldest {
			parts = append(parts, g.span)
		}
	}
	if len(parts) > 0 {
		a.state.Sweep = newWalk(span{min(window.Oldest, window.Latest), window.Latest}, a.cfg.PageSize, parts...)
	}
}

// read asks for one page of the walk and takes in what came of it.
func (a *audit) read(ctx context.Context, w *walk) error {
	a.batch.resource = a.resource()
	page, err := a.set.Client.AuditLogs(ctx, w.query())
	next := ""
	if err == nil {
		if w.date == 0 && !page.Date().IsZero() {
			w.date = page.Date().Unix()
		}
		next, err = a.readPage(ctx, w, page)
	}
	if err == nil && next != "" && next == w.cursor {
		err = slack.StuckCursor("audit.logs")
	}
	local := a.set.Clock.Now()
	var failed *slack.Error
	switch {
	case err == nil:
		a.lastRead = local
		if next == "" {
			s := w.Segments[0]
			if closed := a.state.closeGaps(span{s.Oldest, s.Top}); closed > 0 {
				a.set.Logger.Info("Seconds that could not be read have been read now", zap.Int("gaps", closed))
			}
		}
		w.succeeded(next)
	case !errors.As(err, &failed):
		// The pipeline refused, or the receiver stops.
		return err
	case failed.Class == slack.StaleCursor && w.cursor != "":
		if w.staleCursor() {
			return nil
		}
		w.err, w.retryAt = err, local.Add(walkPause(w.failures))
		return nil
	case failed.Class == slack.Unreadable:
		w.err, w.retryAt = err, local.Add(walkPause(w.failures+1))
		w.unreadableAnswer(local, w == a.state.Sweep && a.state.hasGap(w.Segments[0].span))
		if w.splitting {
			w.retryAt = local
			if len(w.Bad) >= maxBadUnread && !a.readableSince(w) {
				w.Segments = nil // Slack is down: settle starts the window anew.
				w.retryAt = local.Add(walkPause(w.failures))
			}
		}
	case failed.Class == slack.BadRange && w.latest < a.now().Unix():
		if !a.rangeLogged {
			a.rangeLogged = true
			a.set.Logger.Warn("Slack's audit logs do not reach back to the start; what lies before their beginning is taken as empty", zap.Error(err))
		}
		w.outOfRange()
	default:
		if failed.Class == slack.Heals {
			w.failed()
		}
		return err
	}
	if w.done() {
		a.finishWalk(w)
	}
	if err == nil {
		a.pageRead(ctx)
	} else {
		a.saveState(ctx)
	}
	return nil
}

// readPage delivers what is fresh on the page and returns its cursor.
func (a *audit) readPage(ctx context.Context, w *walk, page *slack.Page) (string, error) {
	read, older := 0, 0
	next, err := page.Each(ctx, func(text []byte) error {
		read++
		if a.take(w, text) {
			older++
		}
		if a.batch.full() {
			return a.deliver(ctx, w)
		}
		return nil
	})
	// What came before an answer broke is good.
	if derr := a.deliver(ctx, w); derr != nil {
		return "", derr
	}
	if read > 0 && older == read {
		// The walk has left its window, whatever the cursor says.
		next = ""
	}
	return next, err
}

// take puts an entry into the batch unless it is known. It reports whether the
// entry is older than the window.
func (a *audit) take(w *walk, text []byte) (older bool) {
	e := a.convert.ParseAudit(text)
	covered := e.DateOK && w.covers(e.Date)
	// A date from before Slack's audit logs is no date but an oddity.
	older = e.DateOK && e.Date < w.Segments[0].Oldest && e.Date >= auditEpoch
	if older && e.Date < a.state.Start {
		return true
	}
	// An entry whose date is none, or not in the window, stands where Slack put
	// it; unless it is newer, then a later window meets it where it belongs.
	at := w.lowest
	if covered || e.DateOK && e.Date > w.latest && e.Date <= w.latest+daySeconds {
		at = e.Date
	}
	bucket := at / bucketSeconds
	key := checkpoint.Key(e.Key)
	_, known := a.pending[key]
	known = known || a.ids.Has(bucket, key) ||
		a.ids.HasAny(key, func(other int64) bool { return other < 0 || !covered })
	if covered {
		w.pass(e.Date)
	}
	if known {
		a.duplicates++
		return older
	}
	if !a.readAgain(w, at) {
		bucket = windowBucket(w)
	}
	p := pendingEntry{bucket: bucket, at: at}
	if e.DateOK {
		p.date = e.Date
		p.late = w == a.state.Sweep || w == a.state.Tail && e.Date < a.state.High
	}
	p.malformed = a.convert.AppendAudit(a.batch.add(text, e.UID), a.set.Clock.Now())
	a.pending[key] = p
	return older
}

// deliver offers the batch and, once it is accepted, saves that.
func (a *audit) deliver(ctx context.Context, w *walk) error {
	a.count(ctx, "duplicate", a.duplicates)
	a.duplicates = 0
	if a.batch.len() == 0 {
		w.accepted()
		return nil
	}
	dropped, err := a.out.send(ctx, &a.batch)
	if err != nil {
		w.restart()
	} else {
		a.refusedErr = nil
		a.remember(ctx, w, dropped)
		w.forward()
		w.accepted()
		a.saveState(ctx)
	}
	clear(a.pending)
	a.batch.reset()
	return err
}

// remember takes the entries of an accepted batch into state and metrics.
func (a *audit) remember(ctx context.Context, w *walk, dropped bool) {
	now := a.now()
	measured := w == a.state.Sweep || w == a.state.Tail && a.steady
	var late, malformed int64
	for key, e := range a.pending {
		a.ids.Add(e.bucket, key)
		if e.bucket == windowBucket(w) {
			w.OwnIDs = max(w.OwnIDs, e.at)
		}
		if e.malformed {
			malformed++
		}
		if e.date == 0 {
			continue
		}
		if e.late {
			late++
		}
		if age := now.Sub(time.Unix(e.date, 0)); age >= -futureDate {
			if !dropped {
				a.state.Newest = max(a.state.Newest, e.date)
			}
			if measured {
				a.set.Telemetry.SlacklogsEventLateness.Record(ctx, max(0, age.Seconds()), a.attrs)
			}
		}
	}
	outcome := "delivered"
	if dropped {
		outcome = "dropped"
	}
	a.count(ctx, outcome, int64(a.batch.len()))
	if late > 0 {
		a.set.Telemetry.SlacklogsEntriesLate.Add(ctx, late, a.attrs)
	}
	if malformed > 0 {
		a.set.Telemetry.SlacklogsEntriesMalformed.Add(ctx, malformed, a.attrs)
	}
}

func (a *audit) count(ctx context.Context, outcome string, n int64) {
	if n > 0 {
		a.set.Telemetry.SlacklogsEntries.Add(ctx, n, a.attrs, metric.WithAttributes(attribute.String("outcome", outcome)))
	}
}

// finishWalk takes the end of a window into the state.
func (a *audit) finishWalk(w *walk) {
	bad, over := w.settle(a.readableSince(w))
	if !over {
		return
	}
	for _, second := range bad {
		if !a.state.hasGap(span{second, second}) {
			a.state.Gaps = append(a.state.Gaps, gap{span: span{second, second}, Reason: slack.CodeUnreadable, Since: a.now().Unix()})
			a.set.Logger.Error("A second can't be read and is left out; each sweep asks for it again",
				zap.Time("second", time.Unix(second, 0).UTC()), zap.Error(w.err))
		}
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
		a.state.Sweep = nil
	}
	if w.OwnIDs > 0 {
		a.state.IDsSince = max(a.state.IDsSince, w.OwnIDs+1)
	}
	a.forget()
}

// finishCatchUp takes a window off the backlog and fits the next one's width.
func (a *audit) finishCatchUp(w *walk) {
	a.state.takeBacklog(w.Window)
	switch {
	case w.pages <= 1:
		a.state.Width = min(a.state.Width*2, maxSecond)
	case w.pages > manyPages:
		a.state.Width = max(a.state.Width/2, 1)
	}
	if len(a.state.Backlog) == 0 {
		a.state.Width = 0
	}
	a.state.CatchUp = nil
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
	return second >= a.rereadFrom() || slices.ContainsFunc(a.walks(), func(other *walk) bool {
		return other != w && other.Window.Oldest <= second && second <= other.Window.Latest
	})
}

// forget drops the ids that no window can meet again (promise 5).
func (a *audit) forget() {
	since := a.rereadFrom()
	if len(a.state.Backlog) > 0 {
		// It begins with an overlap, which was delivered in part.
		since = min(since, a.state.Backlog[0].Oldest)
	}
	if a.state.Tail != nil {
		// It may have to become backlog.
		since = min(since, a.state.Tail.Window.Oldest)
	}
	a.state.IDsSince = max(a.state.IDsSince, since)
	a.ids.Drop(func(bucket int64) bool {
		first, last := bucket*bucketSeconds, (bucket+1)*bucketSeconds-1
		if bucket >= 0 && last >= since {
			return true
		}
		if bucket < 0 {
			// What a walk kept for itself another may still meet, below IDsSince.
			first, last = -1-bucket, a.state.IDsSince-1
			if slices.ContainsFunc(a.state.Backlog, func(b span) bool { return first <= b.Latest && last >= b.Oldest }) {
				return true
			}
		}
		return slices.ContainsFunc(a.walks(), func(w *walk) bool {
			return bucket == windowBucket(w) || first <= w.Window.Latest && last >= w.Window.Oldest
		})
	})
}

// windowBucket is where a walk keeps the ids that no other one needs: they go
// with its window. Buckets of an hour are not negative.
func windowBucket(w *walk) int64 { return -1 - w.Window.Oldest }

// walkPause is the pause of a walk after its n-th failure in a row.
func walkPause(n int) time.Duration {
	return min(time.Second<<min(n, 10), refusedPause)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	auditKey    = "audit"
	auditPrefix = "audit.ids."

	// maxPage is the largest page that Slack gives.
	maxPage = 9999
	// A catch-up window that took more pages is halved (promise 5). One that took
	// half as many or fewer is doubled: the last page of each is not full, so
	// small windows waste calls.
	manyPages = 20
	// shortTail is what a poll reads again when the whole overlap is too dear.
	shortTail = time.Minute
	// lateTail is how long the whole overlap is not read while there is a backlog.
	lateTail = 5 * time.Minute

	// The shares of the calls that backlog and sweep have even while the tail
	// has work (promise 6).
	backlogShare = 0.25
	sweepShare   = 0.1

	// auditEpoch is when Slack's audit logs begin: March 2018.
	auditEpoch = 1_519_862_400

	// longPast is how old a range has to be before invalid_range means that
	// Slack has nothing there, and not that it is not there yet.
	longPast = 3600

	bucketSeconds = 3600
	daySeconds    = 24 * 3600
	// maxBadUnread ends the search for a readable part: Slack is down.
	maxBadUnread = 16
	// maxEmptyPages in a row are no way to read a window.
	maxEmptyPages = 100
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
	// pending are the entries of the batch, not accepted yet.
	pending map[checkpoint.Key]pendingEntry

	nextPoll time.Time
	// polled is set once a tail was read to its end, and unbroken unless the
	// last one was not; steady while the tail follows on such a one, so that
	// lateness is Slack's.
	polled, unbroken, steady bool
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
	bucket, at int64
	seen
}

// NewAudit loads or begins the state and returns the poller of the audit logs.
// It asks Slack nothing.
func NewAudit(ctx context.Context, set Settings, cfg AuditSettings) (*Poller, error) {
	p := newPoller(set, "audit", cfg.RequestsPerMinute)
	a := &audit{Poller: p, cfg: cfg, convert: p.converter(cfg.Record), pending: map[checkpoint.Key]pendingEntry{}}
	p.logType = a
	p.batch.write = func(_ int, e jsonstream.Element, to plog.LogRecordSlice) {
		a.convert.ParseAudit(e)
		a.convert.AppendAudit(to, set.Clock.Now())
	}
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	a.measure()
	return p, nil
}

func (a *audit) load(ctx context.Context) error {
	setting := startSetting(a.cfg.InitialLookback, a.cfg.StartTime)
	found, err := a.set.Store.Load(ctx, auditKey, &a.state,
		"start", "anchored", "setting", "high", "whole", "watermark", "ids_since", "ids")
	if err != nil {
		return err
	}
	now := a.set.Clock.Now()
	if !found {
		a.state = auditState{Version: checkpoint.Version, Setting: setting, Anchored: !a.cfg.StartTime.IsZero()}
		a.state.begin(firstSecond(a.set.Logger, now, a.cfg.InitialLookback, a.cfg.StartTime))
		a.ids = checkpoint.NewIDs(auditPrefix)
		// Saved before the first call, so that a first start which never
		// reaches Slack keeps its start.
		a.state.IDs = a.ids.Index()
		if err := a.set.Store.Begin(ctx, auditKey, &a.state); err != nil {
			return fmt.Errorf("storage: the first state can't be saved: %w", err)
		}
		logFirstStart(a.set.Logger, a.state.Start)
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
		logKeptStart(a.set.Logger, a.state.Start)
	}
	a.budget.Pause(time.Unix(a.state.NotBefore, 0), now)
	a.set.Pauses.Note(slack.MethodAuthTest, time.Unix(a.state.AuthNotBefore, 0), now)
	return nil
}

func (a *audit) save(ctx context.Context) error {
	a.state.IDs = a.ids.Index()
	return a.set.Store.Save(ctx, auditKey, &a.state, a.ids)
}

func (a *audit) paused(method string, until time.Time) { a.state.pause(method, until) }

// identified ties the state to the organisation, and sets the start by Slack's
// clock: a local clock that is wrong must not lose the first entries.
func (a *audit) identified(id slack.Identity) error {
	if err := sameOrg(a.state.Org, id.Org()); err != nil {
		return err
	}
	a.state.Org = id.Org()
	if !a.state.Anchored {
		a.state.begin(bySlack(a.state.Start, a.set.Clock.Now(), a.now()))
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

func (a *audit) measure() {
	newest := a.state.Newest
	if newest == 0 {
		newest = a.state.Start
	}
	a.from.update(standing{
		newest: newest, watermark: a.state.Watermark, seen: a.state.High, polled: a.polled, gaps: a.state.Gaps, accepted: a.state.accepted,
		judged: a.polled && len(a.state.Backlog) == 0 && a.callErr == nil && a.refusedErr == nil && a.trouble() == nil,
	}, a.cfg.StaleAfter, a.now())
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
	a.openCatchUp(now)
	a.watchSweep(now)

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
	if a.cfg.SweepInterval > 0 && a.state.Sweep == nil {
		due := time.Unix(a.state.LastSweep, 0).Add(a.cfg.SweepInterval).Sub(a.now())
		wait = min(wait, max(due, time.Second))
	}
	return max(wait, time.Millisecond)
}

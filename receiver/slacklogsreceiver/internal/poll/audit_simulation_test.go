// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// auditDay is a day of audit logs.
type auditDay struct {
	*simulation

	start time.Time
	// toggled is set when sweeps are switched off and on.
	toggled bool
	swept   bool
	// entries are all there will be, by date. Those that Slack shows at once,
	// wanted, are expected below the watermark; next is the first of them that
	// is not.
	entries []simEntry
	next    int
	high    int64
}

// simEntry is an entry of Slack's.
type simEntry struct {
	date           int64
	uid            string
	onTime, wanted bool
}

func newAuditDay(t *testing.T, s *simulation) *auditDay {
	t.Helper()
	r := s.r
	s.world = newWorld(t, slacktest.Options{
		Overshoot:      r.IntN(2) == 0,
		EmptyPages:     choose(r, 0, 0, 3, 7),
		CursorAge:      choose(r, 0, 0, 5*time.Second, time.Minute),
		StaleEvery:     choose(r, 0, 0, 2, 3, 10),
		LimitPerMinute: choose(r, 0, 0, 50),
		RejectFuture:   r.IntN(2) == 0,
		CallLog:        1,
	})
	s.identity = orgToken(testTeams...)
	d := &auditDay{simulation: s}
	s.skew = choose(r, 0, 0, -20*time.Minute, 20*time.Minute, within(r, time.Hour))
	cfg := &s.cfg
	cfg.PageSize = choose(r, 5, 20, 100, 1000)
	cfg.RequestsPerMinute = choose(r, 20.0, 30, 300)
	cfg.PollInterval = choose(r, 10*time.Second, time.Minute, 3*time.Minute)
	cfg.Overlap = choose(r, time.Minute, 5*time.Minute, 15*time.Minute)
	cfg.SweepInterval = choose(r, 0, 30*time.Minute, 2*time.Hour)
	cfg.SweepWindow = choose(r, time.Hour, 4*time.Hour)
	cfg.InitialLookback = choose(r, 0, 10*time.Minute, 5*time.Hour)
	d.toggled = cfg.SweepInterval > 0 && r.IntN(5) == 0
	d.start = noon.Add(-cfg.InitialLookback)
	d.schedule()
	if r.IntN(4) == 0 {
		// Some seconds can't be read for a while.
		for range 1 + r.IntN(3) {
			second := noon.Add(within(r, s.evening.Sub(noon)) - cfg.InitialLookback/2).Unix()
			s.slack.Poison(second, second+r.Int64N(3), choose(r, slacktest.FaultTruncated, slacktest.FaultHTML, slacktest.FaultEntriesObject))
		}
	}
	return d
}

// schedule lays out the entries of the day.
func (d *auditDay) schedule() {
	r, cfg := d.r, &d.cfg
	n := choose(r, 50, 300, 1500)
	span := d.evening.Sub(d.start)
	// Only sweeps find what comes later than the overlap.
	latest := cfg.Overlap
	if cfg.SweepInterval > 0 && !d.toggled {
		latest = cfg.SweepWindow
	}
	var entries []slacktest.Entry
	add := func(date time.Time) {
		e := entry(fmt.Sprintf("e%d", len(entries)), date.Unix())
		e.Shown = date
		is := simEntry{date: e.Date, uid: fmt.Sprintf("e%d", len(entries)), onTime: true}
		if r.IntN(10) == 0 {
			e.Shown, is.onTime = time.Unix(date.Unix(), 0).Add(within(r, latest)), false
		}
		// Before the first start nothing is promised for its very second.
		is.wanted = date.Unix() >= d.start.Unix()+1
		entries, d.entries = append(entries, e), append(d.entries, is)
	}
	for range n {
		add(d.start.Add(time.Second + within(r, span)))
	}
	for range r.IntN(5) {
		burst := d.start.Add(time.Second + within(r, span))
		for range choose(r, 10, cfg.PageSize, cfg.PageSize+3, min(3*cfg.PageSize+1, 1500)) {
			add(burst)
		}
	}
	slices.SortStableFunc(d.entries, func(a, b simEntry) int { return int(a.date - b.date) })
	// These are older than the start and must not come.
	for range 20 {
		date := d.start.Add(-time.Minute - within(r, time.Hour)).Unix()
		entries = append(entries, entry(fmt.Sprintf("old%d", len(entries)), date))
	}
	d.slack.Add(entries...)
}

func (d *auditDay) open(set Settings) (*Poller, error) {
	return NewAudit(context.Background(), set, d.cfg)
}

func (*auditDay) anchored(p *Poller) bool    { return p.logType.(*audit).state.Anchored }
func (d *auditDay) settings() any            { return d.cfg }
func (d *auditDay) perMinute() float64       { return d.cfg.RequestsPerMinute }
func (d *auditDay) count(from, to int64) int { return max(0, d.below(to+1)-d.below(from)) }
func (d *auditDay) below(second int64) (n int) {
	return sort.Search(len(d.entries), func(i int) bool { return d.entries[i].date >= second })
}

func (d *auditDay) began(p *Poller) {
	d.audit = p.logType.(*audit)
	sweeps := d.cfg.SweepInterval > 0
	if sweeps && !d.swept {
		// Without sweeps, nobody asks for a gap again, and what was delivered in it
		// is forgotten. Once they are switched on, it comes again.
		for _, g := range d.audit.state.Gaps {
			d.mayRepeat += d.count(g.Oldest, g.Latest)
		}
	}
	d.swept = sweeps
}

func (d *auditDay) change() {
	r, cfg := d.r, &d.cfg
	cfg.PageSize = choose(r, 5, 100)
	cfg.Overlap = max(cfg.Overlap, choose(r, time.Minute, 20*time.Minute))
	cfg.SweepWindow = max(cfg.SweepWindow, choose(r, time.Hour, 6*time.Hour))
	if d.toggled {
		cfg.SweepInterval = choose(r, 0, 30*time.Minute)
	}
}

func (d *auditDay) settle() {
	cfg := &d.cfg
	// Nothing new comes in the night.
	cfg.PollInterval = max(cfg.PollInterval, 5*time.Minute)
	if d.toggled {
		cfg.SweepInterval = 30 * time.Minute
	}
}

// saved checks what a process has just written: its watermark is not ahead of
// what was delivered, and it holds no more ids than it needs.
func (d *auditDay) saved(p *Poller) {
	a := p.logType.(*audit)
	if !a.state.Anchored {
		return // The start is not Slack's time yet.
	}
	for ; d.next < len(d.entries) && d.entries[d.next].date < a.state.Watermark; d.next++ {
		e := d.entries[d.next]
		if e.wanted && e.onTime && !d.has(e.uid) && !a.state.inGap(span{e.date, e.date}) {
			d.fail("the watermark %d is ahead of %s, dated %d", a.state.Watermark, e.uid, e.date)
		}
	}
	if now := d.now.Unix(); a.state.Watermark > now {
		d.fail("the watermark %d is ahead of Slack's clock, %d", a.state.Watermark, now)
	}
	// At the end of a poll, what is not needed was forgotten. A sweep that has
	// begun moves the bound before that.
	if a.polled && a.state.High > d.high && len(a.walks()) == 0 {
		d.fits(a, a.rereadFrom(), "after a poll")
	}
	d.high = a.state.High
}

// fits checks the size of the state (promise 5): ids are held for the seconds
// from since on, for open windows and for gaps; buckets are an hour wide.
func (d *auditDay) fits(a *audit, since int64, when string) {
	spans := append([]span{{since, maxSecond}}, a.state.Backlog...)
	for _, w := range a.walks() {
		spans = append(spans, w.Window)
	}
	for _, g := range a.state.Gaps {
		spans = append(spans, g.span)
	}
	most := 0
	for _, s := range spans {
		most += d.count(s.Oldest/bucketSeconds*bucketSeconds, min(s.Latest, maxSecond-bucketSeconds)/bucketSeconds*bucketSeconds+bucketSeconds-1)
	}
	for bucket, to := range a.state.Own {
		most += d.count(-1-bucket, to)
	}
	if held := a.ids.Len(); held > most {
		d.fail("%s, %d ids are held for %d entries", when, held, most)
	}
	if limit := 16*most + 64<<10; d.diskBytes > limit {
		d.fail("%s, the state has %d bytes for %d entries", when, d.diskBytes, most)
	}
}

// quiet lets all be read that can be.
func (d *auditDay) quiet() {
	cfg := d.cfg
	// A backlog of small pages may take its time.
	for range 40 {
		if d.run(time.Hour); len(d.audit.state.Backlog) == 0 && d.audit.state.CatchUp == nil {
			break
		}
	}
	require.False(d.t, d.run(cfg.SweepWindow+cfg.Overlap+2*cfg.SweepInterval+time.Hour))
}

func (d *auditDay) judge() {
	t, cfg, s := d.t, d.cfg, &d.audit.state
	missing, unwanted := 0, len(d.delivered)
	for _, e := range d.entries {
		if d.delivered[e.uid] > 0 && e.wanted {
			unwanted--
		}
		if e.wanted && !d.has(e.uid) && !s.inGap(span{e.date, e.date}) {
			if missing++; missing < 5 {
				t.Errorf("%s is missing: %s, sweep interval %s, start %d", e.uid, d.describe(e.uid), cfg.SweepInterval, s.Start)
			}
		}
	}
	assert.Zero(t, missing, "of %d", len(d.entries))
	assert.Zero(t, unwanted, "entries from before the start, or made up")
	assert.True(t, s.valid(), "the state contradicts itself")
	assert.Empty(t, s.Backlog)
	if cfg.SweepInterval > 0 {
		assert.Empty(t, s.Gaps)
	}
	assert.Less(t, d.now.Unix()-s.Watermark, int64(2*cfg.PollInterval.Seconds())+120)

	// Promise 5: ids are bounded by the window.
	since := d.now.Add(-cfg.Overlap - 2*cfg.PollInterval - time.Hour)
	if cfg.SweepInterval > 0 {
		since = d.now.Add(-cfg.SweepWindow - 2*cfg.SweepInterval - time.Hour)
	}
	d.fits(d.audit, since.Unix(), "at the end")
}

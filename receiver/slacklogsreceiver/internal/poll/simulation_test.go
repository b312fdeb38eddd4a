// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// TestSimulation lets the real engine live through a random bad day, seed by
// seed: crashes between any two steps, faults on every call, refusals, full
// storage, late entries, bursts, wrong clocks, changed settings. Then all is
// quiet, and the promises have to hold. SEED=n runs one seed.
func TestSimulation(t *testing.T) {
	seeds := uint64(30) // make sim runs more
	if s, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		seeds = s
	}
	first := uint64(0)
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		first, seeds = s, 1
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed_%d", seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed)
		})
	}
}

func choose[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func within(r *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d)))
}

func simulate(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, slacktest.Options{
		Overshoot:      r.IntN(2) == 0,
		EmptyPages:     choose(r, 0, 0, 3, 7),
		CursorAge:      choose(r, 0, 0, 5*time.Second, time.Minute),
		StaleEvery:     choose(r, 0, 0, 2, 3, 10),
		LimitPerMinute: choose(r, 0, 0, 50),
		RejectFuture:   r.IntN(2) == 0,
	})
	w.skew = choose(r, 0, 0, -20*time.Minute, 20*time.Minute, within(r, time.Hour))
	w.cfg.PageSize = choose(r, 5, 20, 100, 1000)
	w.cfg.RequestsPerMinute = choose(r, 20.0, 30, 300)
	w.cfg.PollInterval = choose(r, 10*time.Second, time.Minute, 3*time.Minute)
	w.cfg.Overlap = choose(r, time.Minute, 5*time.Minute, 15*time.Minute)
	w.cfg.SweepInterval = choose(r, 0, 30*time.Minute, 2*time.Hour)
	w.cfg.SweepWindow = choose(r, time.Hour, 4*time.Hour)
	w.cfg.InitialLookback = choose(r, 0, 10*time.Minute, 5*time.Hour)

	const day = 4 * time.Hour
	evening := noon.Add(day)
	start := noon.Add(-w.cfg.InitialLookback)
	uids := w.schedule(r, start, evening)

	chaos := newChaos(r, w, evening)
	require.NoError(t, w.start())
	chaos.on = true
	for w.now.Before(evening) {
		before := len(w.calls())
		crashed := w.run(within(r, 2*time.Hour))
		chaos.ended(crashed)
		assert.LessOrEqual(t, mostPerMinute(w.calls()[before:]), int(w.cfg.RequestsPerMinute)+5)
		// What happens to a process that is not there: time goes by.
		w.stop = nil
		w.pass(within(r, choose(r, time.Second, time.Minute, 90*time.Minute)))
		if r.IntN(4) == 0 {
			w.cfg.PageSize = choose(r, 5, 100)
			w.cfg.Overlap = max(w.cfg.Overlap, choose(r, time.Minute, 20*time.Minute))
			w.cfg.SweepWindow = max(w.cfg.SweepWindow, choose(r, time.Hour, 6*time.Hour))
		}
		require.NoError(t, w.start())
	}
	chaos.stop()
	// A backlog of small pages may take its time.
	for range 40 {
		if w.run(time.Hour); len(w.audit.state.Backlog) == 0 && w.audit.state.CatchUp == nil {
			break
		}
	}
	require.False(t, w.run(w.cfg.SweepWindow+w.cfg.Overlap+2*w.cfg.SweepInterval+time.Hour))

	missing := 0
	for _, uid := range uids {
		if w.delivered[uid] == 0 && !w.inGap(uid) {
			if missing++; missing < 5 {
				t.Errorf("%s is missing: %s, sweep interval %s, start %d", uid, w.describe(uid), w.cfg.SweepInterval, w.audit.state.Start)
			}
		}
	}
	assert.Zero(t, missing, "of %d", len(uids))
	wanted := map[string]bool{}
	for _, uid := range uids {
		wanted[uid] = true
	}
	repeats, unwanted := 0, 0
	for uid, n := range w.delivered {
		repeats += n - 1
		if !wanted[uid] {
			unwanted++
		}
	}
	assert.Zero(t, unwanted, "entries from before the start, or made up")
	if !assert.LessOrEqual(t, repeats, chaos.mayRepeat, "repeats") || missing > 0 {
		t.Logf("faults %v refusals %v save errors %v crashing %v crashes %d restarts %d cfg %+v", chaos.faults, chaos.refusals, chaos.saveErrors, chaos.crashing, chaos.crashes, chaos.restarts, w.cfg)
	}
	for _, n := range w.batches {
		require.LessOrEqual(t, n, maxBatch)
	}
	if chaos.crashes == 0 && chaos.saveErrors == 0 {
		// What is not saved, a Retry-After too, is forgotten with the process.
		assert.Empty(t, w.slack.Violations())
	}
	s := &w.audit.state
	assert.True(t, s.valid(), "the state contradicts itself")
	assert.Empty(t, s.Backlog)
	if w.cfg.SweepInterval > 0 {
		assert.Empty(t, s.Gaps)
	}
	assert.LessOrEqual(t, s.Watermark, w.now.Unix(), "the watermark is ahead of Slack's clock")
	assert.Less(t, w.now.Unix()-s.Watermark, int64(2*w.cfg.PollInterval.Seconds())+120)

	// Promise 5: ids are bounded by the window.
	horizon := w.now.Add(-w.cfg.Overlap - 2*w.cfg.PollInterval - 2*time.Hour)
	if w.cfg.SweepInterval > 0 {
		horizon = w.now.Add(-w.cfg.SweepWindow - 2*w.cfg.SweepInterval - 2*time.Hour)
	}
	young := 0
	for _, e := range w.slack.Shown() {
		if e.Date >= horizon.Unix() {
			young++
		}
	}
	assert.LessOrEqual(t, w.audit.ids.Len(), young, "ids held")
}

// mostPerMinute is the most calls in any 60 s.
func mostPerMinute(calls []slacktest.CallRecord) (most int) {
	first := 0
	for i, c := range calls {
		for c.Time.Sub(calls[first].Time) >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// schedule lays out the entries of the day and returns the uids of those that
// have to be delivered.
func (w *world) schedule(r *rand.Rand, start, evening time.Time) (uids []string) {
	n := choose(r, 50, 300, 1500)
	span := evening.Sub(start)
	latest := w.cfg.Overlap
	if w.cfg.SweepInterval > 0 {
		latest = w.cfg.SweepWindow
	}
	var entries []slacktest.Entry
	add := func(date time.Time) {
		e := entry(fmt.Sprintf("e%d", len(entries)), date.Unix())
		e.Shown = date
		if r.IntN(10) == 0 {
			e.Shown = time.Unix(date.Unix(), 0).Add(within(r, latest))
		}
		entries = append(entries, e)
		// Before the first start nothing is promised for its very second.
		if date.Unix() >= start.Unix()+1 {
			uids = append(uids, fmt.Sprintf("e%d", len(entries)-1))
		}
	}
	for range n {
		add(start.Add(time.Second + within(r, span)))
	}
	for range r.IntN(4) {
		burst := start.Add(time.Second + within(r, span))
		for range choose(r, 10, w.cfg.PageSize, w.cfg.PageSize+3, 2*w.cfg.PageSize) {
			add(burst)
		}
	}
	// These are older than the start and must not come.
	for range 20 {
		e := entry(fmt.Sprintf("old%d", len(entries)), start.Add(-time.Minute-within(r, time.Hour)).Unix())
		entries = append(entries, e)
	}
	w.slack.Add(entries...)
	return uids
}

// chaos is what goes wrong on one day, and how much of it may be repeated.
type chaos struct {
	r *rand.Rand
	w *world
	// on is false once all is quiet.
	on                bool
	faults, refusals  float64
	saveErrors        float64
	crashing          float64
	unsaved           int
	mayRepeat         int
	crashes, restarts int
}

var errBackend = errors.New("backend down")

func newChaos(r *rand.Rand, w *world, evening time.Time) *chaos {
	c := &chaos{
		r: r, w: w,
		faults:     choose(r, 0, 0, 0.05, 0.3),
		refusals:   choose(r, 0, 0, 0.1, 0.5),
		saveErrors: choose(r, 0, 0, 0.05),
		crashing:   choose(r, 0, 0.001, 0.01),
	}
	all := slacktest.Faults()
	var cheap []slacktest.Fault
	for _, f := range all {
		if f != slacktest.FaultEndless && f != slacktest.FaultGzipBomb {
			cheap = append(cheap, f)
		}
	}
	w.slack.SetFault(func(slacktest.Call) slacktest.Fault {
		if c.happens(c.faults) {
			return choose(r, cheap...)
		}
		return slacktest.FaultNone
	})
	w.onCall = func() {
		c.mayCrash()
		if c.happens(0.02) {
			w.slack.Others(r.IntN(30))
		}
	}
	w.onConsume = func(uids []string) error {
		c.mayCrash()
		switch {
		case c.happens(c.refusals):
			if r.IntN(2) == 0 {
				// Another pipeline of the fan-out took it.
				w.accept(uids)
				c.mayRepeat += len(uids)
			}
			return errBackend
		default:
			c.unsaved += len(uids)
			return nil
		}
	}
	w.onSave = func(write func()) error {
		c.mayCrash()
		if c.happens(c.saveErrors) {
			if r.IntN(2) == 0 {
				write()
				c.unsaved = 0
			}
			return errFull
		}
		write()
		c.unsaved = 0
		c.mayCrash()
		return nil
	}
	if r.IntN(3) == 0 {
		down := noon.Add(within(r, evening.Sub(noon)))
		w.at(down, func() { w.slack.Down(true) })
		w.at(down.Add(within(r, 2*time.Hour)), func() { w.slack.Down(false) })
	}
	if r.IntN(3) == 0 {
		revoked := noon.Add(within(r, evening.Sub(noon)))
		w.at(revoked, func() { w.slack.Revoke(testToken) })
		w.at(revoked.Add(within(r, 2*time.Hour)), func() { w.slack.Restore(testToken) })
	}
	if r.IntN(4) == 0 {
		// Some seconds can't be read for a while.
		for range 1 + r.IntN(3) {
			second := noon.Add(within(r, evening.Sub(noon)) - w.cfg.InitialLookback/2).Unix()
			w.slack.Poison(second, second+r.Int64N(3), choose(r, slacktest.FaultTruncated, slacktest.FaultHTML, slacktest.FaultEntriesObject))
		}
	}
	return c
}

func (c *chaos) happens(p float64) bool { return c.on && c.r.Float64() < p }

func (c *chaos) mayCrash() {
	if c.happens(c.crashing) {
		panic(crash{})
	}
}

func (c *chaos) ended(crashed bool) {
	if crashed {
		c.crashes++
	} else {
		c.restarts++
	}
	c.mayRepeat += c.unsaved
	c.unsaved = 0
}

func (c *chaos) stop() {
	c.on = false
	c.w.slack.Down(false)
	c.w.slack.Unpoison()
	c.w.slack.Restore(testToken)
}

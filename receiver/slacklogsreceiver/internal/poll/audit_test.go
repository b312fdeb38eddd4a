// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/multierr"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

func TestFirstPollReadsTailThenBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("old", 50, noon.Add(-48*time.Hour), noon.Add(-25*time.Hour))
	w.fill("back", 3000, noon.Add(-23*time.Hour), noon.Add(-time.Hour))
	w.fill("tail", 30, noon.Add(-14*time.Minute), noon)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)

	w.requireAll("back", 3000)
	w.requireAll("tail", 30)
	require.Zero(t, w.delivered["old49"])
	require.Equal(t, noon.Add(-15*time.Minute).Unix(), mustInt(t, w.calls()[0].Query.Get("oldest")))
	require.Empty(t, w.slack.Violations())
	require.Less(t, w.poller.whole.figures().WatermarkLag, 61.0)
	require.True(t, w.poller.whole.figures().Polled)
}

// A restart in a backlog goes on where it was and does not begin again.
func TestRestartReadsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 20_000, noon.Add(-20*time.Hour), noon.Add(-time.Hour))
	require.NoError(t, w.start())
	w.run(3 * time.Minute)
	before, seen := w.audit.state.Watermark, len(w.calls())
	require.Greater(t, before, noon.Add(-20*time.Hour).Unix())

	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	w.requireAll("e", 20_000)
	for _, c := range w.calls()[seen:] {
		require.GreaterOrEqual(t, mustInt(t, c.Query.Get("latest")), before)
	}
}

// A second with more entries than a page, with cursors that are all stale.
func TestBurstWithStaleCursors(t *testing.T) {
	t.Parallel()
	for _, overshoot := range []bool{false, true} {
		t.Run(fmt.Sprintf("overshoot_%t", overshoot), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{StaleEvery: 1, Overshoot: overshoot})
			burst := noon.Add(-3 * time.Hour)
			for i := range 450 {
				w.slack.Add(entry(fmt.Sprintf("b%d", i), burst.Unix()))
			}
			w.fill("e", 2000, noon.Add(-4*time.Hour), noon.Add(-2*time.Hour))
			require.NoError(t, w.start())
			w.run(2 * time.Hour)
			w.requireAll("b", 450)
			w.requireAll("e", 2000)
		})
	}
}

func TestPoisonSecondBecomesAGapAndIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, where := range []time.Duration{-5 * time.Minute, -5 * time.Hour} {
		t.Run(where.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{})
			w.fill("e", 3000, noon.Add(-8*time.Hour), noon)
			bad := noon.Add(where).Unix()
			w.slack.Add(entry("bad", bad))
			w.slack.Poison(bad, bad, slacktest.FaultHTML)
			require.NoError(t, w.start())
			w.run(10 * time.Minute)
			require.Empty(t, w.audit.state.Gaps, "given up too early")
			w.run(50 * time.Minute)

			for i := range 3000 {
				uid := fmt.Sprintf("e%d", i)
				if !w.inGap(uid) {
					require.Equal(t, 1, w.delivered[uid], uid)
				}
			}
			require.Equal(t, []span{{bad, bad}}, spans(w.audit.state.Gaps))
			require.Less(t, w.poller.whole.figures().WatermarkLag, 61.0, "reading went on behind the gap")
			require.NoError(t, w.status[len(w.status)-1], "a gap is no lasting failure")
			require.Equal(t, 1, w.logs.FilterMessageSnippet("can't be read and is left out").Len())

			require.NoError(t, w.start())
			w.run(7 * time.Hour)
			require.NotEmpty(t, w.audit.state.Gaps, "asked again in vain")
			w.slack.Unpoison()
			w.run(7 * time.Hour)
			w.requireAll("e", 3000)
			require.Equal(t, 1, w.delivered["bad"])
			require.Empty(t, w.audit.state.Gaps)
			require.Equal(t, 1, w.logs.FilterMessageSnippet("can't be read and is left out").Len(), "logged once")
		})
	}
}

func spans(gaps []gap) (spans []span) {
	for _, g := range gaps {
		spans = append(spans, g.span)
	}
	return spans
}

// Many seconds that can't be read are one gap, and cost a sweep few calls.
func TestPoisonMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 3000, noon.Add(-8*time.Hour), noon)
	from := noon.Add(-5 * time.Hour).Unix()
	w.slack.Poison(from, from+59, slacktest.FaultHTML)
	for i := range int64(60) {
		w.slack.Add(entry(fmt.Sprintf("bad%d", i), from+i))
	}
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	require.Equal(t, []span{{from, from + 59}}, spans(w.audit.state.Gaps))
	before := len(w.calls())
	w.run(6 * time.Hour)
	require.Less(t, len(w.calls())-before, 6*60+120, "a sweep asks for the gap, not for each of its seconds")
	w.slack.Unpoison()
	w.run(7 * time.Hour)
	w.requireAll("e", 3000)
	w.requireAll("bad", 60)
	require.Empty(t, w.audit.state.Gaps)
}

// What can be read of a gap's seconds comes once, not with each sweep.
func TestGapDoesNotRepeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 300, noon.Add(-8*time.Hour), noon)
	bad := noon.Add(-5 * time.Hour).Unix()
	for i := range 20 {
		w.slack.Add(entry(fmt.Sprintf("bad%d", i), bad))
	}
	w.slack.Poison(bad, bad, slacktest.FaultTruncated)
	require.NoError(t, w.start())
	w.run(5 * 24 * time.Hour)
	for uid, n := range w.delivered {
		require.Equal(t, 1, n, uid)
	}
}

// An outage that answers with web pages is no gap, however long it lasts.
func TestOutageWithPagesIsNoGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 1000, noon.Add(-2*time.Hour), noon.Add(6*time.Hour))
	down := false
	w.at(noon.Add(30*time.Minute), func() { down = true })
	w.at(noon.Add(4*time.Hour), func() { down = false })
	w.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault {
		if down {
			return slacktest.FaultHTML
		}
		return slacktest.FaultNone
	}, slacktest.PathAudit))
	require.NoError(t, w.start())
	w.run(3 * time.Hour)
	require.Error(t, w.status[len(w.status)-1])
	require.Contains(t, w.status[len(w.status)-1].Error(), "not Slack's JSON")
	w.run(5 * time.Hour)
	w.requireAll("e", 1000)
	require.Empty(t, w.audit.state.Gaps)
	require.NoError(t, w.status[len(w.status)-1])
}

func TestRangeBeforeTheOrganisationIsEmpty(t *testing.T) {
	t.Parallel()
	born := noon.Add(-50 * time.Hour)
	w := newWorld(t, slacktest.Options{OrgStart: born, RejectFuture: true})
	w.cfg.InitialLookback = 30 * 24 * time.Hour
	w.fill("e", 500, born, noon)
	require.NoError(t, w.start())
	w.run(time.Hour)
	w.requireAll("e", 500)
	require.Equal(t, 1, w.logs.FilterMessageSnippet("do not reach back").Len(), "logged once")
	require.Less(t, len(w.calls()), 200, "found by halves, not second by second")
}

func TestRetryAfterOutlivesARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{RetryAfter: 20 * time.Minute})
	w.fill("e", 100, noon.Add(-time.Hour), noon)
	limited := true
	w.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault {
		if limited {
			limited = false
			return slacktest.FaultRateLimit
		}
		return slacktest.FaultNone
	}, slacktest.PathAudit))
	require.NoError(t, w.start())
	w.run(time.Minute)
	require.Len(t, w.calls(), 1)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	require.Len(t, w.calls(), 1)
	w.run(15 * time.Minute)
	w.requireAll("e", 100)
	require.Empty(t, w.slack.Violations())
	require.Empty(t, w.status, "a 429 now and then is no failure")
}

func TestStateOfAnotherOrganisation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 10, noon.Add(-time.Hour), noon)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	calls := len(w.calls())

	own := slacktest.Identity{TeamID: "E0BRIGHT", Team: "Brightwater", EnterpriseID: "E0BRIGHT", Scopes: []string{"auditlogs:read"}, IsEnterpriseInstall: true}
	w.slack.SetToken(testToken, slacktest.Identity{TeamID: "E0OTHER", Team: "Other", EnterpriseID: "E0OTHER", Scopes: own.Scopes, IsEnterpriseInstall: true})
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	require.Len(t, w.calls(), calls, "nothing is asked with another organisation's token")
	require.ErrorContains(t, w.status[len(w.status)-1], "the token belongs to E0OTHER but the saved state to E0BRIGHT")

	w.slack.SetToken(testToken, own)
	w.fill("late", 10, noon.Add(15*time.Minute), noon.Add(20*time.Minute))
	w.run(10 * time.Minute)
	w.requireAll("late", 10)
	require.NoError(t, w.status[len(w.status)-1], "it heals without a restart")
}

// A token that was refused may come back as another organisation's.
func TestTokenOfAnotherOrganisationTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 10, noon.Add(-time.Hour), noon)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	w.slack.SetToken(testToken, slacktest.Identity{TeamID: "E0OTHER", Team: "Other", EnterpriseID: "E0OTHER", IsEnterpriseInstall: true})
	w.run(10 * time.Minute) // the scope is missing
	w.slack.SetToken(testToken, slacktest.Identity{TeamID: "E0OTHER", Team: "Other", EnterpriseID: "E0OTHER", IsEnterpriseInstall: true, Scopes: []string{"auditlogs:read"}})
	w.fill("other", 10, noon.Add(21*time.Minute), noon.Add(25*time.Minute))
	w.run(20 * time.Minute)
	w.requireAll("e", 10)
	require.Len(t, w.delivered, 10)
	require.ErrorContains(t, w.status[len(w.status)-1], "the token belongs to E0OTHER")
}

// What is late within the overlap comes with the next poll, what is later with
// the next sweep.
func TestLateEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	overlap, sweep := entry("overlap", noon.Add(time.Hour).Unix()), entry("sweep", noon.Add(time.Hour+time.Second).Unix())
	overlap.Shown, sweep.Shown = noon.Add(74*time.Minute), noon.Add(24*time.Hour+50*time.Minute)
	w.slack.Add(overlap, sweep)
	require.NoError(t, w.start())
	w.run(76 * time.Minute)
	require.Equal(t, 1, w.delivered["overlap"])
	w.run(24 * time.Hour)
	require.Zero(t, w.delivered["sweep"])
	w.run(7 * time.Hour)
	require.Equal(t, 1, w.delivered["sweep"])
	require.Equal(t, 1, w.delivered["overlap"])

	// How late it came at most is said once: the sweep began up to 6 hours later.
	said := w.logs.FilterMessageSnippet("shown too late for the polls").All()
	require.Len(t, said, 1)
	fields := said[0].ContextMap()
	assert.Equal(t, int64(1), fields["entries"])
	assert.Equal(t, w.cfg.Overlap, fields["overlap"])
	assert.GreaterOrEqual(t, fields["latest_by"], 23*time.Hour+49*time.Minute)
	assert.LessOrEqual(t, fields["latest_by"], 30*time.Hour)
}

// When the overlap takes more than half of the budget, only some polls read it.
func TestDearOverlapIsReadNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.PageSize, w.cfg.RequestsPerMinute, w.cfg.SweepInterval = 10, 20, 0
	// 20 calls a minute; the overlap of 15 minutes takes 22 pages.
	w.fill("e", 15*120, noon.Add(-15*time.Minute), noon.Add(105*time.Minute))
	late := entry("late", noon.Add(80*time.Minute).Unix())
	late.Shown = noon.Add(90 * time.Minute)
	w.slack.Add(late)
	require.NoError(t, w.start())
	w.run(110 * time.Minute)
	w.requireAll("e", 15*120)
	require.Equal(t, 1, w.delivered["late"])

	whole, short := 0, 0
	for _, c := range w.calls() {
		if c.Query.Get("cursor") != "" || c.Time.Before(noon.Add(30*time.Minute)) {
			continue
		}
		if mustInt(t, c.Query.Get("latest"))-mustInt(t, c.Query.Get("oldest")) > 600 {
			whole++
		} else {
			short++
		}
	}
	assert.Greater(t, short, whole)
	assert.Greater(t, whole, 10)
	require.LessOrEqual(t, w.slack.MaxPerMinute(slacktest.PathAudit), 25)
}

// While the tail has more work than the budget, backlog and sweep get theirs.
func TestShares(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.PageSize, w.cfg.RequestsPerMinute = 10, 60
	w.cfg.SweepInterval, w.cfg.SweepWindow = 30*time.Minute, 6*time.Hour
	w.fill("back", 60_000, noon.Add(-23*time.Hour), noon.Add(-20*time.Minute))
	w.fill("tail", 80_000, noon.Add(-10*time.Minute), noon.Add(2*time.Hour))
	require.NoError(t, w.start())
	w.run(90 * time.Minute)

	of := map[string]int{}
	calls := w.calls()
	for _, c := range calls {
		oldest, latest := mustInt(t, c.Query.Get("oldest")), mustInt(t, c.Query.Get("latest"))
		switch {
		case latest >= c.Time.Add(-20*time.Minute).Unix() && latest-oldest < 3600:
			of["tail"]++
		default:
			of["other"]++
		}
	}
	require.GreaterOrEqual(t, float64(of["other"])/float64(len(calls)), 0.24)
	require.Greater(t, float64(of["tail"])/float64(len(calls)), 0.5)
	require.Greater(t, w.audit.state.LastSweep, noon.Add(20*time.Minute).Unix(), "sweeps begin all the same")
}

func TestRefusedBatchIsOfferedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		refuse  func(n int) error
		setup   func(w *world)
		dropped bool
	}{
		{name: "until it is taken", refuse: func(n int) error {
			if n < 6 {
				return errBackend
			}
			return nil
		}},
		{name: "a limit ends the attempt, not the entry", setup: func(w *world) { w.retry.MaxElapsedTime = 2 * time.Second }, refuse: func(n int) error {
			if n < 30 {
				return errBackend
			}
			return nil
		}},
		{name: "no retries end the attempt, not the entry", setup: func(w *world) { w.retry.Enabled = false }, refuse: func(n int) error {
			if n < 10 {
				return errBackend
			}
			return nil
		}},
		{name: "one part of a fan-out refuses for good, the other does not", refuse: func(n int) error {
			if n < 6 {
				return multierr.Combine(consumererror.NewPermanent(errBackend), errBackend)
			}
			return nil
		}},
		{name: "all parts refuse for good", dropped: true, refuse: func(int) error {
			return multierr.Combine(consumererror.NewPermanent(errBackend), fmt.Errorf("wrapped: %w", consumererror.NewPermanent(errFull)))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{})
			if tt.setup != nil {
				tt.setup(w)
			}
			w.fill("e", 250, noon.Add(-time.Hour), noon.Add(-time.Minute))
			n := 0
			w.onConsume = func([]string) error {
				n++
				return tt.refuse(n)
			}
			require.NoError(t, w.start())
			w.run(time.Hour)
			if tt.dropped {
				require.Empty(t, w.delivered)
				dropped := w.logs.FilterMessageSnippet("dropped").All()
				require.NotEmpty(t, dropped)
				require.Contains(t, fmt.Sprint(dropped[0].ContextMap()["uids"]), "e")
				require.Less(t, w.poller.whole.figures().WatermarkLag, 61.0)
				return
			}
			w.requireAll("e", 250)
			require.ErrorContains(t, w.status[0], "the pipeline refused a batch")
			require.NoError(t, w.status[len(w.status)-1])
			require.Len(t, w.status, 2, "reported on change only")
		})
	}
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	permanentErr := consumererror.NewPermanent(errBackend)
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"plain":                 {errBackend, false},
		"permanent":             {permanentErr, true},
		"wrapped":               {fmt.Errorf("x: %w", permanentErr), true},
		"all of a fan-out":      {multierr.Combine(permanentErr, permanentErr), true},
		"one of a fan-out":      {multierr.Combine(permanentErr, errBackend), false},
		"one of joined":         {errors.Join(errBackend, permanentErr), false},
		"joined below a wrap":   {fmt.Errorf("x: %w", errors.Join(errBackend, permanentErr)), false},
		"permanent over joined": {consumererror.NewPermanent(errors.Join(errBackend, errFull)), true},
	} {
		require.Equal(t, tt.want, permanent(tt.err), name)
	}
}

func TestWrongLocalClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-20 * time.Minute, 20 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{RejectFuture: true})
			w.skew = skew
			w.cfg.InitialLookback = 0
			w.fill("before", 100, noon.Add(-time.Hour), noon.Add(-5*time.Second))
			w.fill("e", 600, noon.Add(2*time.Second), noon.Add(time.Hour))
			require.NoError(t, w.start())
			w.run(61 * time.Minute)
			w.requireAll("e", 600)
			require.Len(t, w.delivered, 600)
			for _, c := range w.calls() {
				require.LessOrEqual(t, mustInt(t, c.Query.Get("latest")), c.Time.Unix(), "never beyond Slack's clock")
			}
			require.InDelta(t, 60, w.poller.whole.figures().EventStaleness, 70)
		})
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 10, noon.Add(-time.Hour), noon)
	w.fill("new", 10, noon.Add(30*time.Hour), noon.Add(30*time.Hour+time.Minute))
	w.at(noon.Add(25*time.Hour), func() { w.slack.Down(true) })
	w.at(noon.Add(26*time.Hour), func() { w.slack.Down(false) })
	require.NoError(t, w.start())
	stale := func() bool { return w.poller.whole.figures().Stale }
	w.run(23 * time.Hour)
	require.False(t, stale())
	w.run(90 * time.Minute)
	require.True(t, stale())
	require.Equal(t, 1, w.logs.FilterMessageSnippet("shows no new entries").Len())
	w.run(time.Hour)
	require.False(t, stale(), "not while polls fail")
	require.Greater(t, w.poller.whole.figures().PollStaleness, 1500.0)
	w.run(time.Hour)
	require.True(t, stale())
	require.Less(t, w.poller.whole.figures().PollStaleness, 61.0)
	w.run(6 * time.Hour)
	require.False(t, stale())
	require.NotEmpty(t, w.logs.FilterMessageSnippet("New entries arrive again").All())
	for _, err := range w.status {
		if err != nil {
			require.NotContains(t, err.Error(), "new entries", "staleness is never a status")
		}
	}
}

// Entries in odd shapes pass once each, whatever their date looks like.
func TestOddEntriesPassOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.SweepInterval, w.cfg.SweepWindow = time.Hour, 2*time.Hour
	w.cfg.StartTime = time.Date(2023, 10, 1, 0, 0, 0, 0, time.UTC) // some claim to be that old
	org := slacktest.NewOrganisation(3)
	texts := map[string]bool{}
	for i := range 400 {
		e := org.Odd(noon.Add(time.Duration(i) * 15 * time.Second).Unix())
		if i%5 == 0 {
			e = slacktest.Entry{Date: e.Date, JSON: fmt.Appendf(nil, `{"id":"d%d","date_create":%s}`, i,
				[]string{"null", `"x"`, "9223372036854775808", "-1", "1.5", "[]", fmt.Sprintf(`"%d"`, e.Date)}[i/5%7])}
		}
		texts[string(e.JSON)] = true
		e.Shown = time.Unix(e.Date, 0)
		w.slack.Add(e)
	}
	require.NoError(t, w.start())
	w.run(6 * time.Hour)
	total := 0
	for _, n := range w.delivered {
		total += n
	}
	// By number: ids that were no UTF-8 look the same once they are mended.
	require.Equal(t, len(texts), total)
}

// The same id with another date is another entry.
func TestSameIDOtherDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.slack.Add(entry("twice", noon.Add(-time.Minute).Unix()), entry("twice", noon.Add(-2*time.Minute).Unix()))
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	require.Equal(t, 2, w.delivered["twice"])
}

func TestChangedStartIsNamedAndHasNoEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("old", 10, noon.Add(-40*time.Hour), noon.Add(-30*time.Hour))
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	w.cfg.InitialLookback = 48 * time.Hour
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	require.Empty(t, w.delivered)
	require.Equal(t, 1, w.logs.FilterMessageSnippet("have no effect any more").Len())
}

// Polling goes on from memory while the storage fails, and what was not saved
// is saved as soon as it can be.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 500, noon.Add(-time.Hour), noon.Add(3*time.Hour))
	require.NoError(t, w.start())
	broken := true
	w.onSave = func(write func()) error {
		if broken {
			return errFull
		}
		write()
		return nil
	}
	w.run(time.Hour)
	require.ErrorContains(t, w.status[0], "can't be saved (no space left)")
	require.Greater(t, w.poller.whole.figures().PollStaleness, 3000.0, "a page counts once it is saved")
	broken = false
	w.run(time.Hour)
	require.NoError(t, w.status[len(w.status)-1])
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	w.requireAll("e", 500)
}

func TestStateThatCannotBeUsedFailsTheStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(disk map[string][]byte)
		want  string
	}{
		{"garbage", func(d map[string][]byte) { d[auditKey] = []byte("{") }, "is not a state of this receiver"},
		{"newer", func(d map[string][]byte) { d[auditKey] = []byte(`{"version":99}`) }, "has version 99"},
		{"wrong types", func(d map[string][]byte) { d[auditKey] = []byte(`{"version":1,"high":"x"}`) }, "wrong type"},
		{"contradiction", func(d map[string][]byte) {
			d[auditKey] = []byte(`{"version":1,"start":9,"whole":5,"high":3,"watermark":1,"anchored":true,"setting":"","ids_since":0,"ids":{}}`)
		}, "contradict"},
		{"a part is missing", func(d map[string][]byte) { d[auditKey] = []byte(`{"version":1,"start":9,"whole":9,"high":9}`) }, "lacks a part"},
		{"the document is missing", func(d map[string][]byte) { delete(d, auditKey) }, "is gone"},
		{"missing ids", func(d map[string][]byte) {
			for key := range d {
				if strings.HasPrefix(key, auditPrefix) {
					delete(d, key)
				}
			}
		}, "missing or broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{})
			w.fill("e", 10, noon.Add(-10*time.Minute), noon)
			require.NoError(t, w.start())
			w.run(10 * time.Minute)
			tt.spoil(w.disk)
			err := w.start()
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "delete")
		})
	}
}

// FuzzState feeds any document to the start: it is refused, or polling works.
func FuzzState(f *testing.F) {
	w := newWorld(f, slacktest.Options{})
	w.fill("e", 300, noon.Add(-20*time.Hour), noon)
	require.NoError(f, w.start())
	w.run(time.Minute)
	f.Add(w.disk[auditKey])
	w.run(7 * time.Hour)
	f.Add(w.disk[auditKey])
	f.Add([]byte(`{"version":1,"start":1,"whole":1,"high":1,"watermark":1,"anchored":true,"setting":"","ids_since":1,"ids":{},"backlog":[{"oldest":1,"latest":9}],"catch_up":{"window":{"oldest":1,"latest":9},"segments":[{"oldest":1,"latest":5,"top":9}],"bad":[{"oldest":7,"latest":7}]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		w := newWorld(t, slacktest.Options{})
		w.cfg.RequestsPerMinute = 6000
		w.disk[auditKey] = doc
		if w.start() != nil {
			return
		}
		w.run(3 * time.Minute)
		if !w.audit.state.valid() {
			saved, _ := json.Marshal(&w.audit.state)
			t.Fatalf("the state contradicts itself: %s", saved)
		}
	})
}

// Dates that do not fit, once, change nothing; the time goes on.
func TestDateGoneAstray(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-365 * 24 * time.Hour, -24 * time.Hour, 24 * time.Hour, 365 * 24 * time.Hour} {
		for _, at := range []int{1, 2, 50} {
			t.Run(fmt.Sprintf("%s_at_call_%d", by, at), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, slacktest.Options{})
				w.fill("e", 600, noon.Add(-time.Hour), noon.Add(10*time.Hour))
				n := 0
				w.onAnswer = func(header http.Header) {
					if n++; n == at {
						header.Set("Date", w.now.Add(by).UTC().Format(http.TimeFormat))
					}
				}
				require.NoError(t, w.start())
				w.run(10*time.Hour + 2*time.Minute)
				w.requireAll("e", 600)
				require.LessOrEqual(t, w.audit.state.LastSweep, w.now.Unix())
				require.LessOrEqual(t, w.audit.state.High, w.now.Unix())
			})
		}
	}
}

// A range that Slack does not have yet is not taken for empty.
func TestFutureRangeIsNotEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{RejectFuture: true})
	w.cfg.SweepInterval = 0
	w.fill("e", 1000, noon.Add(-time.Hour), noon.Add(5*time.Hour))
	// The servers that answer are behind the one that tells the time.
	w.onAnswer = func(header http.Header) {
		header.Set("Date", w.now.Add(10*time.Second).UTC().Format(http.TimeFormat))
	}
	require.NoError(t, w.start())
	w.run(5*time.Hour + 5*time.Minute)
	w.requireAll("e", 1000)
}

// Windows over quiet years may meet a busy one: it is read in parts.
func TestLargeWindowIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.StartTime, w.cfg.RequestsPerMinute = noon.AddDate(-6, 0, 0), 600
	w.fill("e", 40_000, noon.AddDate(-1, 0, 0), noon)
	require.NoError(t, w.start())
	most := 0
	for range 60 {
		w.run(10 * time.Second)
		most = max(most, w.audit.ids.Len())
	}
	w.requireAll("e", 40_000)
	require.Less(t, most, 100*(manyPages+2)+1000)
}

// A walk whose cursor Slack refuses in some other way goes on without it.
func TestRefusedCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 3000, noon.Add(-20*time.Hour), noon)
	refused := ""
	w.onRequest = func(r *http.Request) *http.Response {
		cursor := r.URL.Query().Get("cursor")
		if refused == "" && cursor != "" {
			refused = cursor
		}
		if cursor == "" || cursor != refused {
			return nil
		}
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"ok":false,"error":"invalid_arguments"}`)), Request: r}
	}
	require.NoError(t, w.start())
	w.run(3 * time.Hour)
	w.requireAll("e", 3000)
	require.LessOrEqual(t, len(w.status), 2, "one trouble is reported once")
}

func TestBatchStaysSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.PageSize = 1000
	for i := range 100 {
		w.slack.Add(slacktest.Entry{Date: noon.Unix() - 60, JSON: fmt.Appendf(nil, `{"id":"e%d","date_create":%d,"x":%q}`, i, noon.Unix()-60, strings.Repeat("x", 50_000))})
	}
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	w.requireAll("e", 100)
	for _, n := range w.batches {
		require.LessOrEqual(t, n, maxBatchBytes/50_000+1)
	}
}

// Where the order is not Slack's promise, a break must not skip anything.
func TestWalkOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWalk(span{100, 200}, 10)
	for _, second := range []int64{190, 150, 170} {
		require.True(t, w.covers(second))
		w.pass(second)
		w.accepted()
	}
	w.restart()
	require.Equal(t, int64(200), w.query().Latest)
	w.pass(180)
	w.accepted()
	w.restart()
	require.Equal(t, int64(180), w.query().Latest)
	require.False(t, w.covers(181))
}

// A page that always fails stalls neither what lies behind it nor the sweeps.
func TestPageThatAlwaysFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []slacktest.Fault{slacktest.FaultInternal, slacktest.FaultFatalError, slacktest.FaultReset} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{})
			w.fill("e", 1000, noon.Add(-8*time.Hour), noon)
			bad := noon.Add(-5 * time.Hour).Unix()
			w.slack.Add(entry("bad", bad))
			w.slack.Poison(bad, bad, kind)
			require.NoError(t, w.start())
			w.run(2 * time.Hour)
			require.Len(t, w.audit.state.Gaps, 1)
			require.Empty(t, w.audit.state.Backlog)
			w.slack.Unpoison()
			w.run(7 * time.Hour)
			w.requireAll("e", 1000)
			require.Equal(t, 1, w.delivered["bad"])
			require.Empty(t, w.audit.state.Gaps)
		})
	}
}

// Slack down is no gap, whatever it answers.
func TestOutageIsNoGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 1000, noon.Add(-8*time.Hour), noon.Add(10*time.Hour))
	w.at(noon.Add(30*time.Second), func() { w.slack.Down(true) })
	w.at(noon.Add(5*time.Hour), func() { w.slack.Down(false) })
	require.NoError(t, w.start())
	w.run(10*time.Hour + 2*time.Minute)
	w.requireAll("e", 1000)
	require.Empty(t, w.audit.state.Gaps)
	require.Zero(t, w.logs.FilterMessageSnippet("left out").Len())
}

// Empty pages with ever new cursors are no way to read a window.
func TestEmptyPagesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 500, noon.Add(-8*time.Hour), noon.Add(3*time.Hour))
	from := noon.Add(-5 * time.Hour).Unix()
	n := 0
	w.onRequest = func(r *http.Request) *http.Response {
		q := r.URL.Query()
		oldest, _ := strconv.ParseInt(q.Get("oldest"), 10, 64)
		latest, _ := strconv.ParseInt(q.Get("latest"), 10, 64)
		if oldest > from || latest < from {
			return nil
		}
		n++
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"entries":[],"response_metadata":{"next_cursor":"c%d"}}`, n))),
		}
	}
	require.NoError(t, w.start())
	w.run(30 * time.Hour)
	require.Empty(t, w.audit.state.Backlog)
	require.Len(t, w.audit.state.Gaps, 1)
	require.True(t, w.audit.state.Gaps[0].Oldest <= from && from <= w.audit.state.Gaps[0].Latest)
}

// A gap that is older than any sweep's window costs each sweep a call or two.
func TestLastingGapDoesNotStallSweeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 500, noon.Add(-23*time.Hour), noon)
	bad := noon.Add(-20 * time.Hour).Unix()
	w.slack.Add(entry("bad", bad))
	w.slack.Poison(bad, bad, slacktest.FaultHTML)
	require.NoError(t, w.start())
	w.run(48 * time.Hour)
	before := len(w.calls())
	w.run(12 * time.Hour)
	require.Less(t, len(w.calls())-before, 12*60+60)
	require.Less(t, w.now.Unix()-w.audit.state.LastSweep, int64(7*3600))
}

// One entry with an odd date does not show that the window was left, also
// where it has a page to itself.
func TestOddDateOnSmallPage(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 5} {
		w := newWorld(t, slacktest.Options{})
		w.cfg.PageSize, w.cfg.RequestsPerMinute = size, 600
		w.fill("e", 200, noon.Add(-4*time.Hour), noon.Add(4*time.Hour))
		for i, at := range []time.Time{noon.Add(time.Hour), noon.Add(-2 * time.Hour)} {
			odd := entry(fmt.Sprintf("odd%d", i), at.Unix())
			odd.JSON = []byte(`{"id":"odd","date_create":1600000000,"action":"user_login"}`)
			odd.Shown = at
			w.slack.Add(odd)
		}
		require.NoError(t, w.start())
		require.False(t, w.run(5*time.Hour))
		w.requireAll("e", 200)
	}
}

// TestLateEntriesWhileCatchingUp says that a backlog holds entries up that Slack shows late, but for minutes only.
func TestLateEntriesWhileCatchingUp(t *testing.T) {
	for _, overlap := range []time.Duration{15 * time.Minute, 4 * time.Hour} {
		w := newWorld(t, slacktest.Options{})
		w.cfg.PageSize, w.cfg.Overlap = 20, overlap
		w.fill("E", 60_000, noon.Add(-23*time.Hour), noon.Add(-5*time.Hour))
		require.NoError(t, w.start())
		w.run(30 * time.Minute)
		for i := range 5 {
			at := w.now.Add(-8 * time.Minute)
			w.slack.Add(entry(fmt.Sprintf("late%d", i), at.Unix()))
			w.run(lateTail + time.Minute)
			require.Equal(t, 1, w.delivered[fmt.Sprintf("late%d", i)], "overlap %v", overlap)
		}
		require.NotEmpty(t, w.audit.state.Backlog, "it still catches up")
	}
}

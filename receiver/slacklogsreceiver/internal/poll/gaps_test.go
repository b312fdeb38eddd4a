// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	at := func(spans ...span) (l ledger) {
		for _, s := range spans {
			l = append(l, gap{s, gapUnreadable, 7})
		}
		return l
	}
	for _, tt := range []struct {
		name         string
		is           ledger
		opens, reads span
		want         ledger
		news, closed int
		seconds      int64
	}{
		{name: "a first gap", opens: span{10, 19}, want: at(span{10, 19}), news: 1, seconds: 10},
		{name: "known already", is: at(span{10, 19}), opens: span{12, 12}, want: at(span{10, 19}), seconds: 10},
		{name: "grows", is: at(span{10, 19}), opens: span{15, 25}, want: at(span{10, 25}), seconds: 16},
		{name: "touches", is: at(span{10, 19}), opens: span{20, 21}, want: at(span{10, 21}), seconds: 12},
		{name: "joins two", is: at(span{10, 19}, span{30, 39}), opens: span{18, 31}, want: at(span{10, 39}), seconds: 30},
		{name: "another one, older", is: at(span{10, 19}), opens: span{1, 2}, want: at(span{1, 2}, span{10, 19}), news: 1, seconds: 12},
		{name: "read", is: at(span{10, 19}), reads: span{5, 25}, closed: 1},
		{name: "read from its middle", is: at(span{10, 19}), reads: span{15, 25}, want: at(span{10, 14}), seconds: 5},
		{name: "read in its middle", is: at(span{10, 19}), reads: span{12, 13}, want: at(span{10, 11}, span{14, 19}), seconds: 8},
		{name: "read elsewhere", is: at(span{10, 19}), reads: span{20, 30}, want: at(span{10, 19}), seconds: 10},
		{
			name: "covered by two reasons", is: ledger{{span{10, 19}, gapSweep, 7}}, opens: span{15, 24},
			want: ledger{{span{10, 19}, gapSweep, 7}, {span{15, 24}, gapUnreadable, 7}}, news: 1, seconds: 15,
		},
		{name: "of another reason", is: ledger{{span{10, 19}, gapSweep, 7}}, reads: span{5, 25}, want: ledger{{span{10, 19}, gapSweep, 7}}, seconds: 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := tt.is
			if tt.opens != (span{}) {
				assert.Len(t, l.open(tt.opens, gapUnreadable, 7), tt.news)
			}
			if tt.reads != (span{}) {
				assert.Len(t, l.complete(tt.reads, gapUnreadable), tt.closed)
			}
			assert.Equal(t, tt.want, l)
			assert.Equal(t, tt.seconds, l.seconds())
			assert.True(t, l.valid())
		})
	}
	assert.False(t, at(span{5, 4}).valid())
}

// A budget too small for the sweeps: what they should have looked at again is
// a gap, also over restarts, until one is finished.
func TestSweepThatIsNotFinishedIsAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.PageSize, w.cfg.SweepInterval, w.cfg.SweepWindow = 5, 30*time.Minute, 4*time.Hour
	w.cfg.RequestsPerMinute, w.cfg.Overlap = 300, time.Minute
	w.fill("e", 3000, noon.Add(-4*time.Hour), noon.Add(2*time.Hour))
	require.NoError(t, w.start())
	w.run(65 * time.Minute)
	require.Empty(t, w.audit.state.Gaps)
	assert.Zero(t, w.poller.whole.figures().Gaps)

	w.cfg.RequestsPerMinute = 6
	require.NoError(t, w.start())
	w.run(100 * time.Minute)
	require.True(t, w.audit.state.Gaps.has(gapSweep))
	require.NoError(t, w.start())
	f := w.poller.whole.figures()
	assert.Equal(t, int64(1), f.Gaps)
	assert.InDelta(t, 4*3600, f.GapTime, 2*3600)
	w.run(30 * time.Minute)
	opened := w.logs.FilterMessageSnippet("Gap: A sweep was not finished")
	require.Equal(t, 1, opened.Len(), "one line")
	require.Empty(t, w.status, "a gap is no failure")

	w.cfg.RequestsPerMinute = 300
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	assert.Empty(t, w.audit.state.Gaps)
	assert.Zero(t, w.poller.whole.figures().GapTime)
	assert.Equal(t, 1, w.logs.FilterMessageSnippet("Gap closed").Len())
	w.requireAll("e", 3000)
}

// newSweptWorld has an access list that only sweeps see whole, and a sweep done.
func newSweptWorld(t *testing.T) *listWorld {
	t.Helper()
	w := newListWorld(t, "access", slacktest.Options{AccessOrder: slacktest.ByFirst})
	w.cfg.PageSize, w.cfg.SweepInterval, w.cfg.SweepWindow = 5, 30*time.Minute, 5*time.Hour
	w.cfg.RequestsPerMinute = 300
	w.fillLogins("T0PIER", 600, 20*time.Second, noon)
	require.NoError(t, w.start())
	w.run(65 * time.Minute)
	return w
}

// The same for access logs, and a gap that no reading reaches any more.
func TestAccessSweepThatIsNotFinishedIsAGap(t *testing.T) {
	t.Parallel()
	w := newSweptWorld(t)
	require.Empty(t, w.gaps())

	w.cfg.RequestsPerMinute = 1
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	require.True(t, w.gaps().has(gapSweep), "%+v", w.gaps())
	require.Equal(t, 1, w.logs.FilterMessageSnippet("Gap: A sweep was not finished").Len())
	assert.Equal(t, int64(1), w.lists.ring[0].figures().Gaps)

	w.cfg.RequestsPerMinute = 300
	require.NoError(t, w.start())
	w.run(31 * time.Minute)
	assert.Empty(t, w.gaps())
	assert.Equal(t, 1, w.logs.FilterMessageSnippet("Gap closed").Len())
}

// A row that can't be read for longer than the window looks back is given up,
// with a word; an access list without its sweeps likewise.
func TestGapIsGivenUpWhenNothingReachesItAnyMore(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{})
			w.cfg.Overlap, w.cfg.SweepWindow = 5*time.Hour, 5*time.Hour
			uids := w.fillRows(100, time.Minute, noon)
			w.slack.PoisonText(`"F77"`, slacktest.FaultHTML)
			require.NoError(t, w.start())
			w.run(3 * time.Hour)
			require.Len(t, w.gaps(), 1)
			require.Zero(t, w.logs.FilterMessageSnippet("Gap given up").Len())
			for i := range 50 {
				w.at(w.now.Add(time.Duration(i)*10*time.Minute), func() { w.add("T0PIER", fmt.Sprintf("LATER%d", i)) })
			}
			w.run(8 * time.Hour)
			require.Empty(t, w.gaps())
			require.Equal(t, 1, w.logs.FilterMessageSnippet("Gap given up").Len())
			require.Equal(t, 1, w.missing(uids))
		})
	}
}

// When Slack's limit is used up by others, calls become fewer, the newest
// entries still come first, and it goes fast again once the others have gone.
func TestTailGoesOnUnderPressure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{LimitPerMinute: 50, RetryAfter: 20 * time.Second})
	w.cfg.PageSize, w.cfg.SweepInterval = 20, time.Hour
	w.fill("back", 20_000, noon.Add(-23*time.Hour), noon.Add(-20*time.Minute))
	w.fill("tail", 240, noon, noon.Add(2*time.Hour))
	// For an hour others use it up, all but a few calls.
	for s := 0; s < 3600; s += 10 {
		w.at(noon.Add(time.Duration(s)*time.Second), func() { w.slack.Others(8) })
	}
	worst := 0.0
	for s := 300; s < 7200; s += 10 {
		w.at(noon.Add(time.Duration(s)*time.Second), func() {
			newest := w.audit.state.Newest
			worst = max(worst, w.now.Sub(time.Unix(newest, 0)).Seconds())
		})
	}
	require.NoError(t, w.start())
	w.run(time.Hour)
	refused, calls := 0, w.calls()
	for _, c := range calls {
		if c.Status == 429 {
			refused++
		}
	}
	t.Logf("%d calls, %d refused, the newest entry %.0f s old at most", len(calls), refused, worst)
	assert.Less(t, worst, 300.0, "the tail comes first")
	assert.Less(t, refused, 100, "it backs off beyond Retry-After")
	assert.Empty(t, w.slack.Violations(), "nothing is asked inside Retry-After")
	assert.Equal(t, 1, w.logs.FilterMessageSnippet("Slack's limit is used up").Len())

	before := len(calls)
	w.run(time.Hour)
	assert.Greater(t, len(w.calls())-before, 1000, "the way up again")
	w.run(10 * time.Hour)
	w.requireAll("back", 20_000)
	w.requireAll("tail", 240)
}

// A circle of cursors in which everything is known already is no progress: the
// window goes on behind it.
func TestAuditCursorsInACircle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.fill("e", 500, noon.Add(-10*time.Hour), noon)
	previous := map[string]string{}
	w.onRequest = func(r *http.Request) *http.Response {
		if r.URL.Path != slacktest.PathAudit {
			return nil
		}
		cursor := r.URL.Query().Get("cursor")
		return w.rewritten(r, func(m map[string]json.RawMessage) {
			var meta struct {
				Next string `json:"next_cursor"`
			}
			_ = json.Unmarshal(m["response_metadata"], &meta) // the last page has none
			if cursor != "" {
				// From page two on it leads back to page two.
				m["response_metadata"], _ = json.Marshal(map[string]string{"next_cursor": cmp.Or(previous[cursor], meta.Next)})
			}
			if meta.Next != "" {
				previous[meta.Next] = cursor
			}
		})
	}
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	w.fill("new", 1, w.now, w.now)
	w.run(5 * time.Minute)
	w.requireAll("e", 500)
	w.requireAll("new", 1)
	assert.Less(t, w.poller.whole.figures().WatermarkLag, 61.0)
}

// More equal rows in one second than an answer holds: how many there are can't
// be known, and that is a gap until no reading looks at the second any more.
func TestTooManyEqualRowsAreAGap(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.RequestsPerMinute, w.cfg.Overlap = 300, 5*time.Hour
	row := change("T0PIER", "MANY", noon.Add(-2*time.Hour))
	w.slack.AddChange(slices.Repeat([]slacktest.Change{row}, 1500)...)
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	second := noon.Add(-2 * time.Hour).Unix()
	require.Equal(t, ledger{{span{second, second}, gapEqualRows, w.gaps()[0].Since}}, w.gaps())
	require.Equal(t, 1, w.logs.FilterMessageSnippet("Gap: Equal rows").Len())
	require.Less(t, w.lists.ring[0].figures().PollStaleness, 120.0, "polls go on")

	require.NoError(t, w.start())
	w.run(5 * time.Hour)
	require.Empty(t, w.gaps())
	require.Equal(t, 1, w.logs.FilterMessageSnippet("Gap given up").Len())
}

// That a sweep could not be finished because the collector or Slack was down
// is no news.
func TestSweepAfterAnOutageIsNoGap(t *testing.T) {
	t.Parallel()
	outages := map[string]func(w *world, start func() error){
		"collector": func(w *world, start func() error) {
			w.stop = nil
			w.pass(20 * time.Hour)
			require.NoError(w.t, start())
		},
		"slack": func(w *world, _ func() error) {
			w.slack.Down(true)
			w.run(20 * time.Hour)
			w.slack.Down(false)
		},
	}
	for name, outage := range outages {
		t.Run("audit "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{})
			w.cfg.SweepInterval, w.cfg.PageSize = 2*time.Hour, 10
			w.fill("e", 3000, noon.Add(-20*time.Hour), noon.Add(30*time.Hour))
			require.NoError(t, w.start())
			w.run(122 * time.Minute) // in the middle of a sweep
			require.NotNil(t, w.audit.state.Sweep)
			outage(w, w.start)
			w.run(6 * time.Hour)
			assert.Zero(t, w.logs.FilterMessageSnippet("Gap").Len())
		})
		t.Run("access "+name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: slacktest.ByFirst})
			w.cfg.PageSize = 10
			w.fillLogins("T0PIER", 1000, 20*time.Second, noon)
			require.NoError(t, w.start())
			w.run(70 * time.Minute)
			outage(w.world, w.start)
			w.run(6 * time.Hour)
			assert.Zero(t, w.logs.FilterMessageSnippet("Gap").Len())
		})
	}
}

// Without sweeps nobody closes what a sweep left: it is given up.
func TestSweepsSwitchedOffGiveTheirGapUp(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"audit", "access"} {
		w := newListWorld(t, "access", slacktest.Options{})
		start, gaps := w.start, w.gaps
		if kind == "audit" {
			start, gaps = w.world.start, func() ledger { return w.audit.state.Gaps }
		}
		require.NoError(t, start())
		w.run(time.Minute)
		open := ledger{{span{noon.Unix() - 100, noon.Unix() - 50}, gapSweep, noon.Unix()}}
		if kind == "audit" {
			w.audit.state.Gaps = open
		} else {
			w.lists.ring[0].state.Gaps = open
		}
		w.run(3 * time.Minute)
		require.NotEmpty(t, gaps())
		w.cfg.SweepInterval, w.world.cfg.SweepInterval = 0, 0
		require.NoError(t, start())
		w.run(3 * time.Minute)
		require.Empty(t, gaps(), kind)
		require.Equal(t, 1, w.logs.FilterMessageSnippet("Gap given up").Len(), kind)
	}
}

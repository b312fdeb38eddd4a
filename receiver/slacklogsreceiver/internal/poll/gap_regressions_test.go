// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// A collector that was not there for long has its sweep at once; that is no gap.
func TestDowntimeIsNoUnfinishedSweep(t *testing.T) {
	t.Parallel()
	t.Run("audit", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, slacktest.Options{})
		w.cfg.SweepInterval = time.Hour
		w.cfg.PageSize = 10
		w.fill("e", 3000, noon.Add(-10*time.Hour), noon)
		require.NoError(t, w.start())
		w.run(61 * time.Minute)
		for i := 0; w.audit.state.Sweep == nil || !w.audit.state.Sweep.Begun; i++ {
			require.Less(t, i, 200)
			w.run(5 * time.Second)
		}
		w.pass(14 * time.Hour)
		require.NoError(t, w.start())
		w.run(time.Hour)
		assert.Zero(t, w.logs.FilterMessageSnippet("Gap").Len())
		assert.Empty(t, w.audit.state.Gaps)
	})
	t.Run("access", func(t *testing.T) {
		t.Parallel()
		w := newListWorld(t, "access", slacktest.Options{})
		w.fillLogins("T0PIER", 30, time.Minute, noon)
		require.NoError(t, w.start())
		w.run(2 * time.Hour)
		w.pass(8 * time.Hour)
		require.NoError(t, w.start())
		w.run(time.Hour)
		assert.Zero(t, w.logs.FilterMessageSnippet("Gap").Len())
		assert.Empty(t, w.gaps())
	})
}

// A gap that lies before the begin of Slack's history is never read again.
func TestGapBeforeSlacksHistoryIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.SweepInterval, w.cfg.SweepWindow = time.Hour, 2*time.Hour
	w.fill("e", 600, noon.Add(-10*time.Hour), noon.Add(time.Hour))
	bad := noon.Add(-5 * time.Hour).Unix()
	w.slack.Add(entry("bad", bad))
	w.slack.Poison(bad, bad, slacktest.FaultHTML)
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	require.Len(t, w.audit.state.Gaps, 1)
	from := noon.Add(-3 * time.Hour).Unix()
	w.onRequest = func(r *http.Request) *http.Response {
		if r.URL.Path == slacktest.PathAudit && mustInt(t, r.URL.Query().Get("latest")) < from {
			return (&listWorld{world: w}).says(`{"error":"invalid_range","ok":false}`)
		}
		return nil
	}
	w.run(10 * time.Hour)
	assert.Empty(t, w.audit.state.Gaps)
	assert.Equal(t, 1, w.logs.FilterMessageSnippet("Gap given up").Len())
}

// newTwinsWorld has eight equal rows in one second, over the edge of a page.
func newTwinsWorld(t *testing.T) (w *listWorld, twins []slacktest.Change) {
	t.Helper()
	w = newListWorld(t, "integration", slacktest.Options{})
	w.cfg.PageSize, w.cfg.Overlap = 10, 20*time.Hour
	w.fillChanges("T0PIER", 5, time.Second, noon)
	twins = slices.Repeat([]slacktest.Change{change("T0PIER", "TWIN", noon.Add(-time.Hour))}, 8)
	w.slack.AddChange(twins...)
	w.fillChanges("T0PIER", 30, time.Minute, noon.Add(-2*time.Hour))
	return w, twins
}

// A second that no answer shows whole since the one that would can't be read:
// that reading does not say that it is complete.
func TestTwinsThatCannotBeReadStayAGap(t *testing.T) {
	t.Parallel()
	w, twins := newTwinsWorld(t)
	// Only pages of the usual size can be read.
	w.onRequest = func(r *http.Request) *http.Response {
		if isList(r) && r.URL.Query().Get("count") != "10" {
			return w.says("<html>")
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(3 * time.Hour)
	second := noon.Add(-time.Hour).Unix()
	require.Len(t, w.gaps(), 1)
	require.Equal(t, span{second, second}, w.gaps()[0].span)
	require.Zero(t, w.logs.FilterMessageSnippet("Gap closed").Len())
	require.LessOrEqual(t, w.logs.FilterMessageSnippet("Gap:").Len(), 1)

	w.onRequest = nil
	w.run(30 * time.Minute)
	require.Empty(t, w.gaps())
	w.requireOnce(changeUIDs(twins))
}

// Equal rows that no answer showed whole while the list kept shifting; later no
// page's edge splits them any more, so all were seen.
func TestGapOfEqualRowsClosesWhenTheyAreSeen(t *testing.T) {
	t.Parallel()
	w, twins := newTwinsWorld(t)
	n := 0
	// The list shifts so much that the place asked for never holds the second.
	w.onRequest = func(r *http.Request) *http.Response {
		if isList(r) && r.URL.Query().Get("count") != "10" && n < 40 {
			n++
			r = r.Clone(r.Context())
			q := r.URL.Query()
			q.Set("page", strconv.Itoa(30))
			r.URL.RawQuery = q.Encode()
			answer, err := w.slack.Transport().RoundTrip(r)
			require.NoError(t, err)
			return answer
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(90 * time.Second)
	require.Len(t, w.gaps(), 1)
	n = 1000
	for i := range 5 {
		w.add("T0PIER", "SHIFT"+strconv.Itoa(i))
	}
	w.run(3 * time.Hour)
	require.Empty(t, w.gaps())
	w.requireOnce(changeUIDs(twins))
}

// Sweeps that are switched off do not complete what they did not read.
func TestSweepsSwitchedOffWithAGap(t *testing.T) {
	t.Parallel()
	w := newSweptWorld(t)
	w.cfg.RequestsPerMinute = 1
	require.NoError(t, w.start())
	w.run(3 * time.Hour)
	require.True(t, w.gaps().has(gapSweep))
	w.cfg.SweepInterval, w.cfg.RequestsPerMinute = 0, 300
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	assert.Empty(t, w.gaps())
	assert.Zero(t, w.logs.FilterMessageSnippet("Gap closed").Len())
	assert.Equal(t, 1, w.logs.FilterMessageSnippet("Gap given up").Len())
}

// A gap outlives sweeps being off for a while, and what was read of its second
// is known when they are on again.
func TestGapWhileSweepsAreOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.SweepInterval, w.cfg.SweepWindow = time.Hour, 2*time.Hour
	w.cfg.PageSize = 20
	bad := noon.Add(-5 * time.Hour).Unix()
	for _, id := range []string{"x1", "x2", "poison", "x3", "x4"} {
		w.slack.Add(entry(id, bad))
	}
	w.fill("e", 600, noon.Add(-10*time.Hour), noon.Add(time.Hour))
	w.slack.PoisonText(`"poison"`, slacktest.FaultHTML)
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	require.Len(t, w.audit.state.Gaps, 1)
	w.cfg.SweepInterval = 0
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	w.cfg.SweepInterval = time.Hour
	w.slack.Unpoison()
	require.NoError(t, w.start())
	w.run(3 * time.Hour)
	assert.Empty(t, w.audit.state.Gaps)
	for _, id := range []string{"x1", "x2", "x3", "x4", "poison"} {
		assert.Equal(t, 1, w.delivered[id], id)
	}
	w.requireAll("e", 600)
}

// A catch-up reads a gap well and is then cut, as its window is too large: the
// gap is closed, and waits for no sweep.
func TestGapInACatchUpThatIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	w.cfg.SweepInterval, w.cfg.SweepWindow, w.cfg.PageSize = time.Hour, 2*time.Hour, 5
	w.cfg.RequestsPerMinute = 300
	w.fill("old", 1000, noon.Add(-4*time.Hour), noon)
	require.NoError(t, w.start())
	w.run(70 * time.Minute)
	bad := w.now.Add(8 * time.Minute)
	w.fill("a", 300, w.now, bad)
	w.at(bad, func() { w.slack.Add(entry("g1", bad.Unix())) })
	w.slack.PoisonText(`"g1"`, slacktest.FaultHTML)
	w.run(20 * time.Minute)
	require.Len(t, w.audit.state.Gaps, 1)
	w.slack.Unpoison()
	w.pass(10 * time.Hour)
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	assert.Empty(t, w.audit.state.Gaps)
	w.run(3 * time.Hour)
	assert.Empty(t, w.audit.state.Gaps)
	assert.Equal(t, 1, w.delivered["g1"])
	w.requireAll("a", 300)
	w.requireAll("old", 1000)
}

// A row with an odd date before the part that can't be read: that it is missing
// stands in the ledger all the same.
func TestGapBehindAnOddDate(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	at := noon.Add(-time.Hour)
	w.fillChanges("T0PIER", 50, time.Minute, noon.Add(-2*time.Hour))
	w.slack.AddChange(change("T0PIER", "POISON", at))
	w.slack.AddChange(slacktest.Change{Team: "T0PIER", Date: at.Unix(), JSON: []byte(`{"user_id":"W0ODD","date":"5","change_type":"added","app_id":"ODD"}`)})
	w.fillChanges("T0PIER", 20, time.Minute, noon)
	w.slack.PoisonText(`"POISON"`, slacktest.FaultHTML)
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	require.Len(t, w.gaps(), 1)
	g := w.gaps()[0]
	require.LessOrEqual(t, g.Oldest, at.Unix())
	require.GreaterOrEqual(t, g.Latest, at.Unix())
	w.slack.Unpoison()
	w.run(10 * time.Minute)
	require.Empty(t, w.gaps())
}

// A row that came, and could not be read, after a sweep had passed its place is
// not complete when that sweep ends.
func TestSweepDoesNotCloseWhatItDidNotMeet(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{AccessOrder: slacktest.ByLast})
	w.cfg.PageSize, w.cfg.SweepInterval, w.cfg.RequestsPerMinute = 5, 2*time.Hour, 10
	uids := w.fillLogins("T0PIER", 1000, time.Minute, noon)
	require.NoError(t, w.start())
	w.run(121 * time.Minute)
	for i := 0; w.lists.ring[0].sweep == nil || w.lists.ring[0].sweep.pages < 3; i++ {
		require.Less(t, i, 100)
		w.run(10 * time.Second)
	}
	l := login("T0PIER", "WPOISON", w.now, w.now, 1)
	w.slack.SetLogin(l)
	w.slack.PoisonText("WPOISON", slacktest.FaultHTML)
	for i := 0; len(w.gaps()) == 0; i++ {
		require.Less(t, i, 1000)
		w.run(10 * time.Second)
	}
	require.NotNil(t, w.lists.ring[0].sweep, "the sweep that had passed goes on")
	w.run(6 * time.Hour)
	assert.NotEmpty(t, w.gaps())
	assert.Zero(t, w.logs.FilterMessageSnippet("Gap closed").Len())
	w.slack.Unpoison()
	w.run(4 * time.Hour)
	assert.Empty(t, w.gaps())
	w.requireOnce(append(uids, loginUID(l)))
}

// In a list without order each poll reads all of it, and so closes gaps.
func TestGapClosesInEachOrder(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.PageSize = 20
			for i := range 100 {
				first := noon.Add(-time.Duration(i*7919%1000) * time.Minute)
				w.slack.SetLogin(login("T0PIER", fmt.Sprintf("W%03d", i), first, first.Add(time.Duration(i%7)*time.Minute), 1))
			}
			require.NoError(t, w.start())
			w.run(10 * time.Minute)
			l := login("T0PIER", "WPOISON", w.now, w.now, 1)
			w.slack.SetLogin(l)
			w.slack.PoisonText("WPOISON", slacktest.FaultHTML)
			w.run(3 * time.Hour)
			require.NotEmpty(t, w.gaps())
			w.slack.Unpoison()
			w.run(130 * time.Minute)
			assert.Equal(t, 1, w.delivered[loginUID(l)])
			assert.Empty(t, w.gaps())
			assert.Equal(t, 1, w.logs.FilterMessageSnippet("Gap:").Len())
			assert.Equal(t, 1, w.logs.FilterMessageSnippet("Gap closed").Len())
		})
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// What the simulations found, in small.

// A batch was refused, so that the reading began anew; its first page was an
// empty one. The old rows of the page before ended the reading.
func TestRefusedThenEmptyPage(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.cfg.SweepInterval = 0
	w.fillLogins("T0PIER", 40, time.Minute, noon)
	require.NoError(t, w.start())
	require.False(t, w.run(10*time.Second))

	w.retry.Enabled = false
	require.NoError(t, w.start())
	l := login("T0PIER", "WNEW", w.now, w.now, 1)
	w.slack.SetLogin(l)
	refused := false
	w.onConsume = func([]string) error {
		if refused {
			return nil
		}
		refused = true
		w.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultEmptyPage), slacktest.PathAccess))
		w.onResponse = func(*http.Request, *http.Response, error) { w.slack.SetFault(nil) }
		return errBackend
	}
	require.False(t, w.run(50*time.Second))
	require.True(t, refused)
	require.Equal(t, 1, w.delivered[loginUID(l)])
}

// Rows that were forgotten come back with the journal, and stayed when a
// larger window let nothing be forgotten for long.
func TestForgottenRowsStayForgotten(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.cfg.SweepWindow, w.cfg.InitialLookback = time.Hour, 10*time.Hour
	w.fillLogins("T0PIER", 100, time.Minute, noon)
	require.NoError(t, w.start())
	require.False(t, w.run(5*time.Hour))
	held := w.lists.ring[0].rows.Len()
	w.cfg.SweepWindow = 30 * time.Hour
	require.NoError(t, w.start())
	require.False(t, w.run(time.Minute))
	require.LessOrEqual(t, w.lists.ring[0].rows.Len(), held)
}

// When auth.test is asked again within the hour, Slack may want to be left
// alone, also by the next process.
func TestRetryAfterOfConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	require.NoError(t, w.start())
	require.False(t, w.run(59*time.Minute+30*time.Second))
	w.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultRateLimit), slacktest.PathAuthTest))
	require.False(t, w.run(40*time.Second))
	w.slack.SetFault(nil)
	w.poller, _ = NewAudit(context.Background(), w.settings(), w.cfg)
	require.False(t, w.run(time.Minute))
	require.Empty(t, w.slack.Violations())
}

// What Slack says of auth.test holds for all log types of the token.
func TestRetryAfterIsShared(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{RetryAfter: 40 * time.Second})
	set := w.settings()
	audit, err := NewAudit(context.Background(), set, w.world.cfg)
	require.NoError(t, err)
	access, err := NewAccess(context.Background(), set, w.cfg)
	require.NoError(t, err)
	w.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultRateLimit), slacktest.PathAuthTest))
	audit.step(context.Background())
	w.slack.SetFault(nil)
	wait, throttled := access.step(context.Background())
	require.True(t, throttled)
	require.InDelta(t, 40, wait.Seconds(), 1)

	// A restart knows it too.
	access, err = NewAccess(context.Background(), w.settings(), w.cfg)
	require.NoError(t, err)
	set = w.settings()
	_, err = NewAudit(context.Background(), set, w.world.cfg)
	require.NoError(t, err)
	access.set.Pauses = set.Pauses
	wait, _ = access.step(context.Background())
	require.InDelta(t, 40, wait.Seconds(), 2)
	w.pass(wait)
	wait, _ = access.step(context.Background())
	require.Zero(t, wait)
	require.Empty(t, w.slack.Violations())
}

// A proxy may take Slack's Date header out: then the local clock has to do, but
// not because of one answer.
func TestNoDateAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{OmitDate: true})
	w.fill("e", 50, noon.Add(-time.Hour), noon)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	w.requireAll("e", 50)
	require.Len(t, w.slack.Calls()[:enoughUndated], enoughUndated)
	require.Equal(t, slacktest.PathAuthTest, w.slack.Calls()[enoughUndated-1].Path)
	require.Equal(t, 1, w.logs.FilterMessageSnippet("without a Date header").Len())
}

// Answers that each tell another time, far from the local clock's: nothing can
// be read by such a time, but Slack is not asked without end.
func TestDatesThatNeverAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacktest.Options{})
	n := 0
	w.onAnswer = func(header http.Header) {
		n++
		header.Set("Date", w.now.Add(time.Duration(n)*3*time.Hour).UTC().Format(http.TimeFormat))
	}
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	require.Less(t, len(w.slack.Calls()), 60)
	require.ErrorContains(t, w.status[len(w.status)-1], "another time")
	w.onAnswer = nil
	w.fill("e", 5, w.now.Add(-time.Hour), w.now)
	w.run(5 * time.Minute)
	w.requireAll("e", 5)
	require.NoError(t, w.status[len(w.status)-1])
}

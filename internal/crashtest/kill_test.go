// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	// maxBatch is the most that one death may repeat.
	maxBatch = 1000
	bigPage  = 2500
)

// bigPages hold more than a batch. The short tail is what each start reads again, and has to be told from a backlog
// that is begun anew.
const bigPages = `
receivers:
  slacklogs:
    audit_logs:
      page_size: 2500
      overlap: 1m
`

// Killed in the middle of a backlog again and again, most often while a batch is with the backend.
func TestKilledAgainAndAgain(t *testing.T) {
	const (
		backlog = 30_000
		kills   = 12
	)
	slack := newSlack(t, slacktest.Options{Overshoot: true})
	began := time.Now()
	slack.past(backlog, began.Add(-23*time.Hour), began)
	to := newBackend(t)
	c := newCollector(t, slack, to, bigPages)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	for range kills {
		reached, dead := make(chan struct{}), make(chan struct{})
		at := 1 + random.IntN(2)
		taken, answered := random.IntN(2) == 0, random.IntN(3) == 0
		to.setDecide(func(_ *http.Request, n int) verdict {
			if n == at {
				close(reached)
			}
			if n > at || n == at && !answered {
				<-dead // the collector never learns the answer
				return verdict{lose: n > at || !taken}
			}
			return verdict{}
		})
		c.start()
		select {
		case <-reached:
			time.Sleep(time.Duration(random.IntN(10_000)) * time.Microsecond) // any moment will do
		case <-c.ended:
			close(dead)
			t.Fatal("the collector ended by itself")
		case <-time.After(patience):
			close(dead)
			t.Fatal("the backlog came to its end before the last kill")
		}
		c.kill()
		close(dead)
	}
	to.setDecide(nil)
	require.Less(t, to.distinct(), backlog-2*maxBatch, "there is a backlog left after the last kill")
	c.start()
	to.waitForAll(c, slack)
	slack.waitForCalls(c, 3)
	t.Logf("%d records came again after %d kills", to.repeats(), kills)
	require.LessOrEqual(t, to.repeats(), kills*maxBatch)
	requireReadsOn(t, slack, began.Add(-2*time.Minute).Unix(), backlog+kills*bigPage)
	slack.requireNoViolations(t)
	c.stop()
}

// Killed at any time while new entries come, some late, sweeps run, cursors go stale and answers fail.
func TestKilledAmongTroubles(t *testing.T) {
	t.Parallel()
	const (
		page  = 100
		kills = 12
	)
	slack := newSlack(t, slacktest.Options{StaleEvery: 5, EmptyPages: 9})
	slack.past(6000, time.Now().Add(-3*time.Hour), time.Now())
	slack.happen(450, time.Now().Add(-2*time.Hour))
	// No 429: a kill in the moment in which one comes leaves nobody who could know of it.
	slack.SetFault(slacktest.EveryNth(20, slacktest.FaultTruncated, slacktest.FaultInternal, slacktest.FaultBrokenTransfer,
		slacktest.FaultReset, slacktest.FaultNoBody))
	to := newBackend(t)
	to.setDecide(func(_ *http.Request, n int) verdict {
		if n%11 == 0 {
			return refuse(http.StatusServiceUnavailable)
		}
		return verdict{}
	})
	c := newCollector(t, slack, to, `
receivers:
  slacklogs:
    audit_logs:
      page_size: 100
      overlap: 1m
      sweep_interval: 2s
      sweep_window: 2h
`)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		c.start()
		slack.waitForCalls(c, 1+random.IntN(20))
		for range 10 {
			late := slack.org.Entry(time.Now().Add(-time.Duration(random.IntN(20)) * time.Minute).Unix())
			slack.Add(late, slack.org.Entry(time.Now().Unix()))
		}
		slack.waitForCalls(c, 1+random.IntN(5))
		time.Sleep(time.Duration(random.IntN(10_000)) * time.Microsecond) // any moment will do
		c.kill()
	}
	c.start()
	to.waitForAll(c, slack)
	slack.waitForCalls(c, 30)
	t.Logf("%d records came again after %d kills", to.repeats(), kills)
	require.LessOrEqual(t, to.repeats(), kills*page)
	slack.requireNoViolations(t)
	c.stop()
}

// requireReadsOn: no window of the backlog is asked for again once the next one was, and what was read of a window
// is not read again but for the page that a kill broke.
func requireReadsOn(t *testing.T, slack *fakeSlack, backlogEnd int64, most int) {
	t.Helper()
	reached, read := int64(0), 0
	for _, call := range slack.Calls() {
		if call.Path != slacktest.PathAudit {
			continue
		}
		oldest, err := strconv.ParseInt(call.Query.Get("oldest"), 10, 64)
		require.NoError(t, err)
		latest, err := strconv.ParseInt(call.Query.Get("latest"), 10, 64)
		require.NoError(t, err)
		if latest > backlogEnd {
			continue // a tail
		}
		require.GreaterOrEqual(t, oldest, reached, "call %d asks again for a window that was read", call.Seq)
		reached = oldest
		read += call.Entries
	}
	t.Logf("%d entries were read in the backlog, %d at most", read, most)
	require.LessOrEqual(t, read, most)
}

// SIGTERM in the middle of a backlog, with everything around the collector in a state that could hold it up.
func TestTerminatedInTheMiddle(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for name, prepare := range map[string]func(slack *fakeSlack, to *backend, middle func()){
		"all is well": func(_ *fakeSlack, to *backend, middle func()) {
			to.setDecide(func(_ *http.Request, n int) verdict {
				if n == 8 {
					middle()
				}
				return verdict{}
			})
		},
		"the backend hangs": func(_ *fakeSlack, to *backend, middle func()) {
			to.setDecide(func(r *http.Request, n int) verdict {
				if n < 8 {
					return verdict{}
				}
				middle()
				return hang(r, over)
			})
		},
		"the backend is slow": func(_ *fakeSlack, to *backend, middle func()) {
			to.setDecide(func(_ *http.Request, n int) verdict {
				if n < 8 {
					return verdict{}
				}
				middle()
				time.Sleep(time.Second)
				return verdict{}
			})
		},
		"the backend refuses": func(_ *fakeSlack, to *backend, middle func()) {
			to.setDecide(func(_ *http.Request, n int) verdict {
				if n < 8 {
					return verdict{}
				}
				middle()
				return refuse(http.StatusServiceUnavailable)
			})
		},
		"Slack hangs": func(slack *fakeSlack, _ *backend, middle func()) {
			slack.SetFault(func(call slacktest.Call) slacktest.Fault {
				if call.Seq < 8 {
					return slacktest.FaultNone
				}
				middle()
				return slacktest.FaultHang
			})
		},
		"Slack wants to be left alone": func(slack *fakeSlack, _ *backend, middle func()) {
			slack.SetFault(func(call slacktest.Call) slacktest.Fault {
				if call.Seq < 8 {
					return slacktest.FaultNone
				}
				middle()
				return slacktest.FaultRateLimit
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, slacktest.Options{RetryAfter: 2 * time.Second})
			slack.past(15_000, time.Now().Add(-23*time.Hour), time.Now())
			to := newBackend(t)
			c := newCollector(t, slack, to, bigPages, "receivers: {slacklogs: {timeout: 30s}}")
			middle := make(chan struct{}, 1)
			prepare(slack, to, func() {
				select {
				case middle <- struct{}{}:
				default:
				}
			})
			c.start()
			c.waitFor("the middle of the backlog", func() bool { return len(middle) > 0 })
			t.Logf("it took %s", c.terminate())
			require.Less(t, to.distinct(), slack.Len(), "there is a backlog left")

			to.setDecide(nil)
			slack.SetFault(nil)
			c.start()
			to.waitForAll(c, slack)
			slack.waitForCalls(c, 3)
			t.Logf("%d records came again", to.repeats())
			require.LessOrEqual(t, to.repeats(), maxBatch)
			c.stop()
		})
	}
}

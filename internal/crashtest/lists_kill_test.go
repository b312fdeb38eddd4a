// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Killed in the middle of the first reading again and again, most often while batches are with the backend.
func TestListsKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const (
		logins  = 20_000
		changes = 5000
		kills   = 10
	)
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	g.past(harbour, logins, changes)
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start, "page_size: 300"), integrationConfig(start, "page_size: 100"))

	for range kills {
		reached, dead := make(chan struct{}), make(chan struct{})
		at := 1 + g.dice(7) // that many batches may be lost if none is saved
		taken, answered := g.dice(2) == 0, g.dice(3) == 0
		to.setDecide(func(_ *http.Request, n int) verdict {
			if n == at {
				close(reached)
			}
			if n > at || n == at && !answered {
				<-dead // the collector never learns the answer
				return verdict{lose: !taken}
			}
			return verdict{}
		})
		c.start()
		select {
		case <-reached:
			time.Sleep(time.Duration(g.dice(10_000)) * time.Microsecond) // any moment will do
		case <-c.ended:
			close(dead)
			t.Fatal("the collector ended by itself")
		case <-time.After(patience):
			close(dead)
			t.Fatal("the first reading came to its end before the last kill")
		}
		c.kill()
		close(dead)
	}
	to.setDecide(nil)
	t.Logf("after the last kill %d of %d rows have arrived", to.allRows(), len(g.due()))
	require.Less(t, to.allRows(), len(g.due())-2*maxBatch, "there is something left after the last kill")
	c.start()
	g.waitForAll(c, to)
	slack.waitForCallsTo(c, 5, listPaths...)
	g.requireTrue(t, to)
	to.requireOnlyLastBatches(t)
	g.requireSteps(t, to)
	slack.requireNoViolations(t)
	c.stop()
}

// Killed at any time during the first reading, while every third answer fails, the backend refuses, and rows come and
// move.
func TestListsKilledAmongTroubles(t *testing.T) {
	t.Parallel()
	const kills = 8
	slack := newSlack(t, slacktest.Options{StaleEvery: 7, EmptyPages: 9})
	slack.ofOneWorkspace()
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	g.past(harbour, 20_000, 5000)
	// No 429: a kill in the moment in which one comes leaves nobody who could know of it.
	fault := slacktest.EveryNth(3, slacktest.FaultTruncated, slacktest.FaultInternal, slacktest.FaultBrokenTransfer,
		slacktest.FaultReset, slacktest.FaultNoBody, slacktest.FaultFatalError, slacktest.FaultHTML)
	everything := []string{"access", "integration"}
	slack.SetFault(slacktest.Only(func(call slacktest.Call) slacktest.Fault {
		g.moment(everything, harbour)
		return fault(call)
	}, listPaths...))
	to := newBackend(t)
	to.setDecide(func(_ *http.Request, n int) verdict {
		if n%3 == 0 {
			return refuse(http.StatusServiceUnavailable)
		}
		return verdict{}
	})
	c := prepare(t, slack, to, accessConfig(start, "page_size: 999", "sweep_interval: 1s"), integrationConfig(start, "page_size: 250"))
	for range kills {
		c.start()
		slack.waitForCallsTo(c, 1+g.dice(3), listPaths[g.dice(2)])
		time.Sleep(time.Duration(g.dice(10_000)) * time.Microsecond) // any moment will do
		c.kill()
	}
	t.Logf("after the last kill %d of %d rows have arrived", to.allRows(), len(g.due()))
	c.start()
	slack.waitForCallsTo(c, 3, listPaths...)
	slack.SetFault(nil)
	g.waitForAll(c, to)
	slack.waitForCallsTo(c, 30, listPaths...)
	g.requireTrue(t, to)
	to.requireOnlyLastBatches(t)
	slack.requireNoViolations(t)
	c.stop()
}

// SIGTERM in the middle of the first reading, while someone holds the collector up.
func TestListsTerminatedInTheMiddle(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for name, slackHangs := range map[string]bool{"the backend hangs": false, "Slack hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, slacktest.Options{})
			slack.ofOneWorkspace()
			start := hoursAgo(24)
			g := newLedger(t, slack, start)
			g.past(harbour, 8000, 3000)
			to := newBackend(t)
			c := prepare(t, slack, to, accessConfig(start, "page_size: 300"), integrationConfig(start, "page_size: 100"),
				"receivers: {slacklogs: {timeout: 30s}}")
			middle := make(chan struct{}, 100)
			if slackHangs {
				slack.SetFault(func(call slacktest.Call) slacktest.Fault {
					if call.Seq < 14 {
						return slacktest.FaultNone
					}
					middle <- struct{}{}
					return slacktest.FaultHang
				})
			} else {
				to.setDecide(func(r *http.Request, n int) verdict {
					if n < 10 {
						return verdict{}
					}
					middle <- struct{}{}
					return hang(r, over)
				})
			}
			c.start()
			c.waitFor("both are held up", func() bool { return len(middle) == 2 })
			t.Logf("it took %s", c.terminate())
			require.Less(t, to.allRows(), len(g.due()), "there is something left")

			to.setDecide(nil)
			slack.SetFault(nil)
			c.start()
			g.waitForAll(c, to)
			slack.waitForCallsTo(c, 3, listPaths...)
			g.requireTrue(t, to)
			to.requireOnlyLastBatches(t)
			g.requireSteps(t, to)
			slack.requireNoViolations(t)
			c.stop()
		})
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// More entries in one second than fit on a page, whether or not Slack stretches its pages over them, and entries of
// which each part is wrong in each way.
func TestEachEntryArrivesOnceByteForByte(t *testing.T) {
	for name, overshoot := range map[string]bool{"pages end inside a second": false, "pages end with a second": true} {
		t.Run(name, func(t *testing.T) {
			slack := newSlack(t, slacktest.Options{Overshoot: overshoot, EmptyPages: 7})
			now := time.Now()
			slack.past(7300, now.Add(-6*time.Hour), now)
			for i := range 5 {
				slack.happen(450, now.Add(-5*time.Hour+time.Duration(i)*72*time.Minute))
			}
			slack.happen(450, now.Add(-30*time.Second))
			for i := range 2000 {
				slack.Add(slack.org.Odd(now.Add(-time.Duration(i) * 10 * time.Second).Unix()))
			}
			require.Equal(t, 12_000, slack.Len())

			to := newBackend(t)
			// From the beginning of time: an odd entry may say that it is of 1970.
			c := newCollector(t, slack, to, `
receivers:
  slacklogs:
    audit_logs:
      start_time: "1970-01-01T00:00:00Z"
      page_size: 100
`)
			c.start()
			to.waitForAll(c, slack)
			to.requireOnce(c, slack)
			to.requireOneTypePerName(t)
			slack.requireNoViolations(t)
			c.stop()
		})
	}
}

// A batch that the backend refuses for a while is offered again until it is taken.
func TestBackendRefusesForAWhile(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(6000, time.Now().Add(-6*time.Hour), time.Now())
	to := newBackend(t)
	over := make(chan struct{})
	defer close(over)
	to.setDecide(func(r *http.Request, n int) verdict {
		// The first ones all fail, later ones now and then.
		ways := []func() verdict{
			func() verdict { return refuse(http.StatusServiceUnavailable) },
			func() verdict {
				return verdict{status: http.StatusTooManyRequests, lose: true, header: http.Header{"Retry-After": {"1"}}}
			},
			func() verdict { return refuse(http.StatusBadGateway) },
			func() verdict { return hang(r, over) },
			func() verdict { panic(http.ErrAbortHandler) }, // the connection breaks
		}
		switch {
		case n <= len(ways):
			return ways[n-1]()
		case n < 30 && n%3 == 0:
			return ways[n/3%len(ways)]()
		default:
			return verdict{}
		}
	})
	c := newCollector(t, slack, to, `
exporters:
  otlp_http:
    timeout: 1s
`)
	c.start()
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	slack.requireNoViolations(t)
	dropped, _ := c.metrics().value("otelcol_slacklogs_entries", `outcome="dropped"`)
	require.Zero(t, dropped)
	c.stop()
}

// A batch that the backend refuses for good is dropped, counted and named; what comes after it goes on.
func TestBackendRefusesForGood(t *testing.T) {
	slack := newSlack(t, slacktest.Options{})
	slack.past(3000, time.Now().Add(-6*time.Hour), time.Now())
	to := newBackend(t)
	to.setDecide(func(_ *http.Request, n int) verdict {
		if n == 2 {
			return refuse(http.StatusBadRequest)
		}
		return verdict{}
	})
	c := newCollector(t, slack, to, "receivers: {slacklogs: {audit_logs: {page_size: 100}}}")
	c.start()
	dropped := 0.0
	c.waitFor("what is not dropped arrives", func() bool {
		dropped, _ = c.metrics().value("otelcol_slacklogs_entries", `outcome="dropped"`)
		return dropped > 0 && to.distinct()+int(dropped) == slack.Len()
	})
	require.LessOrEqual(t, dropped, 100.0)
	delivered, _ := c.metrics().value("otelcol_slacklogs_entries", `outcome="delivered"`)
	assert.Equal(t, float64(to.distinct()), delivered)

	for hash, text := range bodies(slack.Shown()) {
		if to.arrived[hash] == nil {
			_, id, _ := strings.Cut(text, `{"id":"`)
			id, _, _ = strings.Cut(id, `"`)
			assert.Contains(t, c.out.String(), id, "the uid of a dropped entry stands in the log")
		}
	}
	c.stop()
}

// Rows of which each part is wrong in each way.
func TestEachOddRowArrivesOnceByteForByte(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := time.Unix(0, 0) // an odd row may say that it is of 1970
	g := newLedger(t, slack, start)
	now := time.Now()
	for i := range 700 {
		g.odd(harbour, now.Add(-time.Duration(i)*10*time.Second))
	}
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start, "page_size: 100", "sweep_interval: 1s"), integrationConfig(start, "page_size: 100"))
	c.start()
	g.waitForAll(c, to)
	g.requireOnce(c, to, listPaths...)
	to.requireOneTypePerName(t)
	malformed, _ := c.metrics().value("otelcol_slacklogs_entries_malformed")
	t.Logf("%d rows of the access and %d of the integration logs, %.0f malformed", to.arrivedRows("access"), to.arrivedRows("integration"), malformed)
	assert.Positive(t, malformed)
	c.stop()
}

// A batch that the backend refuses for good is dropped, counted and named.
func TestRowsRefusedForGood(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	g.past(harbour, 1000, 1000)
	to := newBackend(t)
	to.setDecide(func(_ *http.Request, n int) verdict {
		if n == 3 {
			return refuse(http.StatusBadRequest)
		}
		return verdict{}
	})
	c := prepare(t, slack, to, accessConfig(start, "page_size: 100"), integrationConfig(start, "page_size: 100"))
	c.start()
	due := g.due()
	c.waitFor("what is not dropped arrives", func() bool {
		dropped, _ := c.metrics().value("otelcol_slacklogs_entries", `outcome="dropped"`)
		return dropped > 0 && dropped <= 100 && to.allRows()+int(dropped) == len(due)
	})
	slack.waitForCallsTo(c, 3, listPaths...)
	g.requireTrue(t, to)
	to.mu.Lock()
	defer to.mu.Unlock()
	for _, uid := range due {
		if to.rows[uid] == nil {
			assert.Contains(t, c.out.String(), uid, "the uid of a dropped row stands in the log")
		}
	}
	c.stop()
}

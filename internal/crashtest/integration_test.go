// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Each row once, and each of its twins: 1,400 at first, then those that come while pages are read, some late, some
// as one more twin.
func TestIntegrationRowsAndTwins(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	for range 40 {
		g.change(harbour, start.Add(-time.Duration(g.random.IntN(5000))*time.Second-time.Second), 2) // before the start
	}
	g.past(harbour, 0, 1130)
	for range 90 {
		g.change(harbour, start.Add(10*time.Hour), 3) // a second that no page holds
	}
	assert.Len(t, g.due(), 1400)

	to := newBackend(t)
	c := prepare(t, slack, to, integrationConfig(start, "page_size: 100"))
	c.start()
	g.waitForAll(c, to)
	g.requireOnce(c, to, slacktest.PathIntegration)
	assert.Equal(t, 1400, to.arrivedRows("integration"))

	g.live(c, []string{"integration"}, 10*time.Second, harbour)
	g.waitForAll(c, to)
	g.requireOnce(c, to, slacktest.PathIntegration)
	to.requireOneTypePerName(t)
	t.Logf("%d records, %d calls", to.arrivedRows("integration"), slack.answered(slacktest.PathIntegration))
	c.stop()
}

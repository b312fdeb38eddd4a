// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Whatever the order of the list: first each row of the span, then each that is new or active again, while rows move
// between and within the pages.
func TestAccessRowsMoveOn(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]slacktest.Options{
		"by date_last":                   {AccessOrder: slacktest.ByLast},
		"by date_last, offsets":          {AccessOrder: slacktest.ByLast, AccessOffsetCursor: true, EmptyPages: 7},
		"by date_first":                  {AccessOrder: slacktest.ByFirst},
		"by date_first, numbered pages":  {AccessOrder: slacktest.ByFirst, AccessPagesOnly: true},
		"by neither":                     {AccessOrder: slacktest.Unordered, StaleEvery: 5},
		"by neither, offsets, few pages": {AccessOrder: slacktest.Unordered, AccessOffsetCursor: true, EmptyPages: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, opt)
			slack.ofOneWorkspace()
			start := hoursAgo(24)
			g := newLedger(t, slack, start)
			g.past(harbour, 2000, 0)
			due := len(g.due())
			require.Greater(t, due, 1000)
			require.Less(t, due, 1900, "some have not been active since the start")

			to := newBackend(t)
			size, sweeps := "page_size: 100", "sweep_interval: 0"
			switch opt.AccessOrder {
			case slacktest.ByFirst:
				sweeps = "sweep_interval: 1s" // only they see there what is active again
			case slacktest.Unordered:
				size = "page_size: 20" // on many pages nothing has moved, but polls must not stop there
			}
			c := prepare(t, slack, to, accessConfig(start, size, sweeps))
			c.start()
			g.waitForAll(c, to)
			g.requireOnce(c, to, slacktest.PathAccess)
			assert.Equal(t, due, to.arrivedRows("access"))

			g.live(c, []string{"access"}, 12*time.Second, harbour)
			g.waitForAll(c, to)
			g.requireOnce(c, to, slacktest.PathAccess)
			to.requireOneTypePerName(t)
			t.Logf("%d records, %d calls", to.arrivedRows("access"), slack.answered(slacktest.PathAccess))
			c.stop()
		})
	}
}

// Polls and sweeps side by side, from the first reading on, which goes on while rows move.
func TestAccessRowsMoveFromTheStart(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	g.past(harbour, 1500, 0)
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start, "page_size: 20", "sweep_interval: 1s"))
	c.start()
	g.live(c, []string{"access"}, 5*time.Second, harbour)
	g.waitForAll(c, to)
	g.requireOnce(c, to, slacktest.PathAccess)
	c.stop()
}

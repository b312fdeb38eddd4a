// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Ten times the backlog takes no more memory. Without sweeps nothing has to be remembered of what is older than the
// overlap.
func TestMemoryIsBounded(t *testing.T) {
	peak := func(backlog int) float64 {
		slack := newSlack(t, slacktest.Options{CallLog: 10})
		now := time.Now()
		start := now.Add(-time.Duration(backlog) * 5 * time.Second) // the same density
		slack.past(backlog, start, now)
		to := newBackend(t)
		c := newCollector(t, slack, to, fmt.Sprintf(`
receivers:
  slacklogs:
    audit_logs:
      start_time: %q
      sweep_interval: 0
`, start.Add(-time.Hour).UTC().Format(time.RFC3339)))
		c.start()
		to.waitForAll(c, slack)
		kib := peakMemory(t, c.cmd.Process.Pid)
		require.Zero(t, to.repeats())
		c.stop()
		return kib / 1024
	}
	small := peak(20_000)
	large := peak(200_000)
	t.Logf("peak of memory: %.0f MiB with 20,000 entries, %.0f MiB with 200,000: %.2f times", small, large, large/small)
	require.LessOrEqual(t, large/small, 1.2)
}

// peakMemory is the most memory in KiB that the process has ever had.
func peakMemory(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if os.IsNotExist(err) {
		t.Skip("there is no /proc here to tell a process's memory")
	}
	require.NoError(t, err)
	_, text, found := strings.Cut(string(status), "VmHWM:")
	require.True(t, found)
	kib, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
	require.NoError(t, err)
	return kib
}

// Each row of the access logs takes a few bytes, and the list may have more pages than Slack gives by number.
func TestMemoryOfAccessRowsIsBounded(t *testing.T) {
	const (
		margin = 20 << 20
		a      = 10_000
		b      = 101_000
	)
	for name, opt := range map[string]slacktest.Options{
		"by cursor": {CallLog: 1000}, "by number": {CallLog: 1000, AccessPagesOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			peak := func(rows int) float64 {
				slack := newSlack(t, opt)
				slack.ofOneWorkspace()
				start := hoursAgo(24)
				g := newLedger(t, slack, start)
				for i := range rows {
					last := time.Unix(g.start+int64(i)*86_000/int64(rows), 0)
					g.login(harbour, last.Add(-time.Duration(g.random.IntN(10_000))*time.Second), last)
				}
				to := newBackend(t)
				c := prepare(t, slack, to, accessConfig(start, "page_size: 999"))
				c.start()
				began := time.Now()
				g.waitForAll(c, to)
				took := time.Since(began)
				bytes := 1024 * peakMemory(t, c.cmd.Process.Pid)
				slack.waitForCallsTo(c, 3, slacktest.PathAccess)
				require.Zero(t, to.rowRepeats("access"))
				slack.requireNoViolations(t)
				t.Logf("%d rows in %s: %.1f MiB", rows, took.Round(time.Millisecond), bytes/(1<<20))
				c.stop()
				return bytes
			}
			small := peak(a)
			large := peak(b)
			t.Logf("%.2f times the memory, %.0f bytes more for each row", large/small, (large-small)/(b-a))
			require.LessOrEqual(t, large-small, 64.0*(b-a)+margin)
		})
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Every third answer is wrong, in every way that doesn't end the test's patience: without a usable Retry-After, a
// 429 means a minute.
func TestEveryThirdAnswerIsFaulty(t *testing.T) {
	t.Parallel()
	var faults []slacktest.Fault
	for _, f := range slacktest.Faults() {
		if f != slacktest.FaultRateLimitMissing && f != slacktest.FaultRateLimitNonsense {
			faults = append(faults, f)
		}
	}
	elsewhere := newSlack(t, slacktest.Options{})
	slack := newSlack(t, slacktest.Options{RetryAfter: time.Second, RedirectTo: elsewhere.url + slacktest.PathAudit})
	slack.past(6000, time.Now().Add(-6*time.Hour), time.Now())
	slack.SetFault(slacktest.EveryNth(3, faults...))
	to := newBackend(t)
	c := newCollector(t, slack, to, `
receivers:
  slacklogs:
    timeout: 3s
    audit_logs:
      page_size: 100
`)
	c.start()
	to.waitForAll(c, slack)
	c.waitFor("each fault has happened", func() bool {
		return len(slack.Calls()) >= 3*len(faults)
	})
	to.requireOnce(c, slack)
	slack.requireNoViolations(t)

	happened := map[slacktest.Fault]bool{}
	for _, call := range slack.Calls() {
		happened[call.Fault] = true
	}
	delete(happened, slacktest.FaultNone)
	t.Logf("%d kinds of faults in %d calls", len(happened), slack.CallCount())
	assert.GreaterOrEqual(t, len(happened), 10)
	assert.Zero(t, elsewhere.CallCount(), "calls that followed a redirect")
	c.stop()
}

// Cursors that are stale more often than not, and a second that holds more than a page.
func TestStaleCursors(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{StaleEvery: 2})
	slack.past(5000, time.Now().Add(-6*time.Hour), time.Now())
	slack.happen(450, time.Now().Add(-3*time.Hour))
	slack.happen(450, time.Now().Add(-10*time.Second))
	to := newBackend(t)
	c := newCollector(t, slack, to, "receivers: {slacklogs: {audit_logs: {page_size: 100}}}")
	c.start()
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	slack.requireNoViolations(t)
	c.stop()
}

// Entries that Slack shows after their time has been read: within the overlap the next poll brings them, later ones
// a sweep.
func TestLateEntries(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(2000, time.Now().Add(-2*time.Hour), time.Now())
	to := newBackend(t)
	c := newCollector(t, slack, to, `
receivers:
  slacklogs:
    audit_logs:
      overlap: 1m
      sweep_interval: 5s
      sweep_window: 1h
`)
	c.start()
	to.waitForAll(c, slack)
	slack.waitForCalls(c, 3)

	now := time.Now()
	late := func(n int, date, shown time.Time) {
		for range n {
			e := slack.org.Entry(date.Unix())
			e.Shown = shown
			slack.Add(e)
		}
	}
	for i := range 40 {
		late(2, now.Add(-time.Duration(i)*time.Second), now.Add(time.Duration(i*100)*time.Millisecond))
	}
	late(30, now.Add(-10*time.Minute), now.Add(time.Second))
	late(30, now.Add(-50*time.Minute), now.Add(3*time.Second))
	c.waitFor("the last one is shown", func() bool { return len(slack.Shown()) == slack.Len() })
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	counted, _ := c.metrics().value("otelcol_slacklogs_entries_late")
	assert.GreaterOrEqual(t, counted, 100.0)
	c.stop()
}

// Slack's clock runs apart from the collector's: what happens is dated by Slack's, and so is a Retry-After.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"Slack ahead": 20 * time.Minute, "Slack behind": -20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slackNow := func() time.Time { return time.Now().Add(ahead) }
			slack := newSlack(t, slacktest.Options{Now: slackNow, RetryAfter: 2 * time.Second, RejectFuture: true})
			slack.SetFault(slacktest.EveryNth(10, slacktest.FaultRateLimitDate, slacktest.FaultRateLimit))
			slack.past(2000, slackNow().Add(-2*time.Hour), slackNow())
			to := newBackend(t)
			c := newCollector(t, slack, to, "receivers: {slacklogs: {audit_logs: {overlap: 1m, initial_lookback: 3h}}}")
			c.start()
			for range 5 {
				to.waitForAll(c, slack)
				slack.happen(20, slackNow())
				slack.waitForCalls(c, 2)
			}
			to.waitForAll(c, slack)
			to.requireOnce(c, slack)
			slack.requireNoViolations(t)
			staleness, found := c.metrics().value("otelcol_slacklogs_event_staleness")
			assert.True(t, found)
			assert.Less(t, staleness, 600.0, "by Slack's clock the newest entry is young")
			c.stop()
		})
	}
}

// What Slack asked to wait is waited for also by the process that comes after a kill -9.
func TestRetryAfterOutlivesAKill(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{RetryAfter: 4 * time.Second})
	slack.past(500, time.Now().Add(-2*time.Hour), time.Now())
	refused := 0
	slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault {
		if refused++; refused <= 3 {
			return slacktest.FaultRateLimit
		}
		return slacktest.FaultNone
	}, slacktest.PathAudit))
	to := newBackend(t)
	c := newCollector(t, slack, to)
	c.start()
	// The third time in a row it is logged, after it was saved.
	c.waitFor("the collector has noticed", func() bool { return strings.Contains(c.out.String(), "rate_limited") })
	c.kill()
	c.start()
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	slack.requireNoViolations(t)
	c.stop()
}

// A token that is revoked and given back heals without a restart.
func TestTokenRevokedAndGivenBack(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(2000, time.Now().Add(-6*time.Hour), time.Now())
	to := newBackend(t)
	c := newCollector(t, slack, to)
	c.start()
	to.waitForAll(c, slack)

	slack.Revoke(token)
	slack.happen(50, time.Now())
	slack.waitForRefusals(c, 2)
	slack.Restore(token)
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	c.stop()
}

// A token that stands in a file is replaced by another one, whichever way the file is written. Until then status and
// metrics say that it is refused.
func TestTokenFileChanged(t *testing.T) {
	t.Parallel()
	const next, third = token + "-2", token + "-3" // so that the search for the first one finds these too
	slack := newSlack(t, slacktest.Options{})
	slack.past(2000, time.Now().Add(-6*time.Hour), time.Now())
	to := newBackend(t)
	file := filepath.Join(t.TempDir(), "slack-token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	c := newCollector(t, slack, to, fmt.Sprintf(`
extensions:
  bearertokenauth/slack:
    filename: %s
receivers:
  slacklogs:
    token: ""
    auth:
      authenticator: bearertokenauth/slack
`, file), healthConfig, `
service:
  extensions: [file_storage, health_check, bearertokenauth/slack]
`)
	c.args = append(c.args, "--feature-gates=+extension.healthcheck.useComponentStatus")
	c.env["HEALTH_PORT"] = freePort(t)
	c.start()
	to.waitForAll(c, slack)
	is := func(status, problem string) func() bool {
		return func() bool {
			h := c.health()
			return h.receiver().Status == status && h.Healthy == (problem == "") && strings.Contains(h.receiver().Error, problem)
		}
	}
	refused := func() float64 {
		n, _ := c.metrics().value("otelcol_slacklogs_request_duration_count", `error_type="invalid_authentication"`)
		return n
	}

	slack.SetToken(next, slack.org.Identity())
	slack.Revoke(token)
	slack.happen(50, time.Now())
	c.waitFor("the token is refused", is("StatusRecoverableError", "audit logs: "))
	require.Positive(t, refused())
	require.NoError(t, os.WriteFile(file, []byte(next+"\n"), 0o600))
	to.waitForAll(c, slack)
	c.waitFor("the next token is taken", is("StatusOK", ""))

	before := refused()
	slack.SetToken(third, slack.org.Identity())
	slack.Revoke(next)
	slack.happen(50, time.Now())
	c.waitFor("the next token is refused", is("StatusRecoverableError", "audit logs: "))
	require.Greater(t, refused(), before)
	require.NoError(t, os.WriteFile(file+".new", []byte(third+"\n"), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
	to.waitForAll(c, slack)
	c.waitFor("the third token is taken", is("StatusOK", ""))
	to.requireOnce(c, slack)
	c.stop()
}

// waitForRefusals waits until Slack has refused a token n more times.
func (s *fakeSlack) waitForRefusals(c *collector, n int) {
	c.t.Helper()
	refusals := func() (n int) {
		for _, call := range s.Calls() {
			if !call.AuthOK && call.Status != 0 && call.Status != http.StatusTooManyRequests {
				n++
			}
		}
		return n
	}
	until := refusals() + n
	c.waitFor("Slack refuses the token", func() bool { return refusals() >= until })
}

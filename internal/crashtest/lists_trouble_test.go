// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Every third answer is wrong, in every way that doesn't end the test's patience, and the list of workspaces comes in
// pieces.
func TestListsEveryThirdAnswerIsFaulty(t *testing.T) {
	t.Parallel()
	var faults []slacktest.Fault
	for _, f := range slacktest.Faults() {
		if f != slacktest.FaultRateLimitMissing && f != slacktest.FaultRateLimitNonsense {
			faults = append(faults, f)
		}
	}
	elsewhere := newSlack(t, slacktest.Options{})
	slack := newSlack(t, slacktest.Options{
		RetryAfter: time.Second, SlowFor: 200 * time.Millisecond, TeamsPerPage: 1, RedirectTo: elsewhere.url + slacktest.PathAccess,
	})
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	for _, team := range []string{harbour, labs, field} {
		g.past(team, 1500, 600)
	}
	hooks := map[string]func(slacktest.Call) slacktest.Fault{}
	for _, path := range append(listPaths, slacktest.PathTeams) {
		hooks[path] = slacktest.EveryNth(3, faults...)
	}
	slack.SetFault(func(call slacktest.Call) slacktest.Fault {
		if hook := hooks[call.Path]; hook != nil {
			return hook(call)
		}
		return slacktest.FaultNone
	})
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start, "page_size: 200", `team_ids: ["*"]`),
		integrationConfig(start, "page_size: 100", `team_ids: ["*"]`), "receivers: {slacklogs: {timeout: 1s}}")
	c.start()
	g.waitForAll(c, to)
	c.waitFor("each fault has happened", func() bool {
		return slices.IndexFunc(listPaths, func(path string) bool { return len(slack.faults(path)) < 15 }) < 0
	})
	slack.SetFault(nil)
	g.requireOnce(c, to, listPaths...)
	for _, path := range append(listPaths, slacktest.PathTeams) {
		t.Logf("%s: %d kinds of faults", path, len(slack.faults(path)))
	}
	assert.Zero(t, elsewhere.CallCount(), "calls that followed a redirect")
	c.stop()
}

// faults are the kinds that calls to a path have met.
func (s *fakeSlack) faults(path string) map[slacktest.Fault]int {
	happened := map[slacktest.Fault]int{}
	for _, call := range s.Calls() {
		if call.Path == path && call.Fault != slacktest.FaultNone {
			happened[call.Fault]++
		}
	}
	return happened
}

// A first reading that needs more calls than a minute has.
func TestListsLimitOfCalls(t *testing.T) {
	t.Parallel()
	const perMinute = 25
	slack := newSlack(t, slacktest.Options{WebLimitPerMinute: perMinute})
	slack.ofOneWorkspace()
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	g.past(harbour, 4000, 3500)
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start, "page_size: 100"), integrationConfig(start, "page_size: 100"))
	c.start()
	g.waitForAll(c, to)
	g.requireTrue(t, to)
	assert.Zero(t, to.rowRepeats("access")+to.rowRepeats("integration"))
	slack.requireNoViolations(t)
	for _, path := range listPaths {
		refused := 0
		for _, call := range slack.Calls() {
			if call.Path == path && call.Status == http.StatusTooManyRequests {
				refused++
			}
		}
		t.Logf("%s: %d calls were refused", path, refused)
		assert.Positive(t, refused)
		assert.LessOrEqual(t, refused, 3, "a refusal is for the rest of the minute")
	}
	waited, _ := c.metrics().value("otelcol_slacklogs_throttled_time", `log_type="access"`)
	assert.Greater(t, waited, 30.0)
	c.stop()
}

// What Slack asked to wait is waited for also by the process that comes after a kill -9.
func TestListsRetryAfterOutlivesAKill(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{RetryAfter: 3 * time.Second})
	slack.ofOneWorkspace()
	start := hoursAgo(2)
	g := newLedger(t, slack, start)
	g.past(harbour, 300, 300)
	limited := func(path string) bool { return slack.faults(path)[slacktest.FaultRateLimit] >= 3 }
	slack.SetFault(slacktest.Only(func(call slacktest.Call) slacktest.Fault {
		if limited(call.Path) {
			return slacktest.FaultNone
		}
		return slacktest.FaultRateLimit
	}, listPaths...))
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start), integrationConfig(start))
	c.start()
	// The third time in a row it is logged, after it was saved.
	c.waitFor("the collector has noticed", func() bool {
		said := c.out.String()
		return strings.Count(said, "Polling is in trouble") >= 2 && strings.Contains(said, "team.accessLogs") &&
			strings.Contains(said, "team.integrationLogs")
	})
	c.kill()
	c.start()
	g.waitForAll(c, to)
	g.requireOnce(c, to, listPaths...)
	c.stop()
}

// A token that is revoked and given back heals without a restart.
func TestListsTokenRevokedAndGivenBack(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := hoursAgo(12)
	g := newLedger(t, slack, start)
	g.past(harbour, 2000, 500)
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start, "sweep_interval: 1s"), integrationConfig(start))
	c.start()
	g.waitForAll(c, to)

	slack.Revoke(token)
	for range 100 {
		g.moment([]string{"access", "integration"}, harbour)
	}
	slack.waitForRefusals(c, 4)
	slack.Restore(token)
	g.waitForAll(c, to)
	g.requireOnce(c, to, listPaths...)
	c.stop()
}

// A backend that refuses each of the first batches and later ones now and then, hangs, and breaks connections.
func TestListsBackendRefusesForAWhile(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	start := hoursAgo(12)
	g := newLedger(t, slack, start)
	g.past(harbour, 6000, 2000)
	to := newBackend(t)
	over := make(chan struct{})
	defer close(over)
	to.setDecide(func(r *http.Request, n int) verdict {
		switch {
		case n <= 6, n < 60 && n%3 == 0:
			switch n % 4 {
			case 0:
				return hang(r, over)
			case 1:
				panic(http.ErrAbortHandler) // the connection breaks
			case 2:
				return verdict{status: http.StatusTooManyRequests, lose: true, header: http.Header{"Retry-After": {"1"}}}
			}
			return refuse(http.StatusServiceUnavailable)
		default:
			return verdict{}
		}
	})
	c := prepare(t, slack, to, accessConfig(start, "page_size: 200"), integrationConfig(start, "page_size: 200"),
		"exporters: {otlp_http: {timeout: 1s}}")
	c.start()
	g.waitForAll(c, to)
	g.requireOnce(c, to, listPaths...)
	dropped, _ := c.metrics().value("otelcol_slacklogs_entries", `outcome="dropped"`)
	assert.Zero(t, dropped)
	c.stop()
}

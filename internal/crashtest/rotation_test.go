// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	appID     = "404.1007"
	appSecret = "app-secret-that-nobody-may-print"
)

const rotationConfig = `
receivers:
  slacklogs:
    token: ""
    token_rotation:
      client_id: "404.1007"
      client_secret: ${env:SLACK_CLIENT_SECRET}
      refresh_token: ${env:SLACK_REFRESH_TOKEN}
`

// rotatingSlack is a fakeSlack with an app whose tokens expire.
type rotatingSlack struct {
	*fakeSlack

	// onRefresh, if set, is called once when Slack has given new tokens, in place of sending them.
	onRefresh atomic.Pointer[func()]
}

func newRotatingSlack(t *testing.T, life, grace time.Duration) *rotatingSlack {
	t.Helper()
	s := &rotatingSlack{fakeSlack: newSlack(t, slacktest.Options{})}
	s.SetApp(slacktest.App{
		ID: "A0ROTATES", ClientID: appID, ClientSecret: appSecret, Scopes: []string{"auditlogs:read"},
		Rotation: true, TokenLife: life, Grace: grace, Installer: s.org.Identity(),
	})
	front := httptest.NewServer(http.HandlerFunc(s.serve))
	s.url = front.URL
	t.Cleanup(func() {
		s.Close()
		front.CloseClientConnections()
		front.Close()
	})
	return s
}

func (s *rotatingSlack) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == slacktest.PathExchange {
		if lose := s.onRefresh.Swap(nil); lose != nil {
			s.ServeHTTP(httptest.NewRecorder(), r)
			(*lose)()
			panic(http.ErrAbortHandler)
		}
	}
	s.ServeHTTP(w, r)
}

// killAtRefresh kills the collector when Slack has answered its next refresh, and before it hears of that.
func (s *rotatingSlack) killAtRefresh(c *collector) (dead chan struct{}) {
	dead = make(chan struct{})
	kill := func() {
		c.kill()
		close(dead)
	}
	s.onRefresh.Store(&kill)
	return dead
}

func await(t *testing.T, dead chan struct{}) {
	t.Helper()
	select {
	case <-dead:
	case <-time.After(patience):
		t.Fatal("nothing was refreshed")
	}
}

// refreshes are the calls that asked for new tokens.
func (s *rotatingSlack) refreshes() (n int) {
	for _, call := range s.Calls() {
		if call.Path == slacktest.PathExchange {
			n++
		}
	}
	return n
}

// newRotating prepares a Slack with a past, and a collector that refreshes its token, and may print no part of that.
func newRotating(t *testing.T, life, grace time.Duration, settings ...string) (*rotatingSlack, *backend, *collector) {
	t.Helper()
	s, to := newRotatingSlack(t, life, grace), newBackend(t)
	s.past(500, time.Now().Add(-2*time.Hour), time.Now())
	c := newCollector(t, s.fakeSlack, to, append([]string{rotationConfig}, settings...)...)
	c.env["SLACK_CLIENT_SECRET"] = appSecret
	_, c.env["SLACK_REFRESH_TOKEN"] = s.InstallApp(appID)
	t.Cleanup(func() {
		for _, secret := range []string{appSecret, "xoxe-1-", "xoxp-1-"} {
			assert.NotContains(t, c.out.String(), secret)
		}
	})
	return s, to, c
}

// Over several lives of a token nothing is lost, nothing comes twice, and nothing is said.
func TestTokensRotate(t *testing.T) {
	t.Parallel()
	slack, to, c := newRotating(t, 3*time.Second, 30*time.Second)
	c.start()
	for run := range 2 {
		until := slack.refreshes() + 4
		for slack.refreshes() < until {
			slack.happen(5, time.Now())
			slack.waitForCalls(c, 1)
		}
		to.waitForAll(c, slack.fakeSlack)
		if run == 0 {
			c.stop()
			c.start()
		}
	}
	page := c.metrics()
	calls, _ := page.value("otelcol_slacklogs_request_duration_count", `method="oauth.v2.access"`)
	assert.Positive(t, calls)
	_, found := page.value("otelcol_slacklogs_request_duration_count", `method="oauth.v2.access"`, "error_type=")
	assert.False(t, found, "a refresh that failed")
	to.requireOnce(c, slack.fakeSlack)
	slack.requireNoViolations(t)
	c.stop()
	for _, said := range []string{"in trouble", "can't be refreshed", "Slack refuses"} {
		assert.NotContains(t, c.out.String(), said)
	}
	info, err := os.Stat(c.stateFile())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the storage holds secrets")
}

// Killed when Slack has given new tokens and nobody has heard of it, again and again, from the first time on: the next
// start asks with the old refresh token, which Slack takes a while longer.
func TestKilledWhileRefreshing(t *testing.T) {
	t.Parallel()
	slack, to, c := newRotating(t, 3*time.Second, 10*time.Minute)
	for range 3 {
		dead := slack.killAtRefresh(c)
		c.start()
		await(t, dead)
		slack.happen(20, time.Now())
		c.start()
		to.waitForAll(c, slack.fakeSlack)
		c.stop() // a kill here would let the last batch come again
	}
	c.start()
	to.waitForAll(c, slack.fakeSlack)
	to.requireOnce(c, slack.fakeSlack)
	slack.requireNoViolations(t)
	require.NotContains(t, c.out.String(), "can't be refreshed")
	c.stop()
}

// The same when Slack's patience is over: status and log say what happened and what to do, and what they say helps.
func TestKilledWhileRefreshingForTooLong(t *testing.T) {
	t.Parallel()
	slack, to, c := newRotating(t, 3*time.Second, -1, healthConfig)
	c.args = append(c.args, "--feature-gates=+extension.healthcheck.useComponentStatus")
	c.env["HEALTH_PORT"] = freePort(t)
	c.start()
	to.waitForAll(c, slack.fakeSlack)
	await(t, slack.killAtRefresh(c))
	slack.happen(20, time.Now())
	const advice = "A refresh was cut short by a crash or a lost answer"
	c.start()
	c.waitFor("the receiver is in trouble", func() bool {
		h := c.health().receiver()
		return h.Status == "StatusRecoverableError" && strings.Contains(h.Error, advice)
	})
	require.Contains(t, c.out.String(), advice)
	c.stop()

	_, c.env["SLACK_REFRESH_TOKEN"] = slack.InstallApp(appID)
	c.start()
	to.waitForAll(c, slack.fakeSlack)
	require.Contains(t, c.out.String(), "The configured refresh_token is another than the saved tokens came from")
	to.requireOnce(c, slack.fakeSlack)
	c.stop()
}

// A refresh_token that was changed in the configuration beats the saved one, also where that is good.
func TestChangedRefreshToken(t *testing.T) {
	t.Parallel()
	slack, to, c := newRotating(t, 12*time.Hour, 30*time.Second)
	for run, refreshes := range []int{1, 1, 2, 2} {
		if run == 2 {
			_, c.env["SLACK_REFRESH_TOKEN"] = slack.InstallApp(appID)
		}
		slack.happen(20, time.Now())
		c.start()
		to.waitForAll(c, slack.fakeSlack)
		to.requireOnce(c, slack.fakeSlack)
		require.Equal(t, refreshes, slack.refreshes(), "run %d", run)
		c.stop()
	}
	require.Equal(t, 1, strings.Count(c.out.String(), "The configured refresh_token is another than the saved tokens came from"))
	slack.requireNoViolations(t)
}

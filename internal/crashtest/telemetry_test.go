// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const healthConfig = `
extensions:
  health_check:
    endpoint: 127.0.0.1:${env:HEALTH_PORT}
    component_health:
      include_recoverable_errors: true
      recovery_duration: 1s
service:
  extensions: [file_storage, health_check]
`

// While Slack is down, metrics and status say so, and they take it back when it is over.
func TestOutageShows(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(500, time.Now().Add(-2*time.Hour), time.Now())
	to := newBackend(t)
	c := newCollector(t, slack, to, healthConfig)
	c.args = append(c.args, "--feature-gates=+extension.healthcheck.useComponentStatus")
	c.env["HEALTH_PORT"] = freePort(t)
	c.start()
	to.waitForAll(c, slack)

	c.waitFor("the receiver is well", func() bool { return c.health().receiver().Status == "StatusOK" })
	page := c.metrics()
	_, found := page.value("otelcol_slacklogs_event_staleness", `receiver="slacklogs"`, `log_type="audit"`)
	assert.True(t, found, "event_staleness")
	calls, _ := page.value("otelcol_slacklogs_request_duration_count", `method="audit.logs"`)
	assert.Positive(t, calls, "request_duration")
	_, found = page.value("otelcol_slacklogs_request_duration_count", "error_type=")
	assert.False(t, found, "error_type while all is well")
	delivered, _ := page.value("otelcol_slacklogs_entries", `outcome="delivered"`)
	assert.Equal(t, float64(slack.Len()), delivered)

	slack.Down(true)
	slack.happen(20, time.Now())
	peak := 0.0
	c.waitFor("poll_staleness grows", func() bool {
		peak, _ = c.metrics().value("otelcol_slacklogs_poll_staleness")
		return peak > 3
	})
	failed, _ := c.metrics().value("otelcol_slacklogs_request_duration_count", `method="audit.logs"`, `error_type="503"`)
	assert.Positive(t, failed, "calls that failed")
	c.waitFor("the receiver is in trouble", func() bool {
		h := c.health()
		return h.receiver().Status == "StatusRecoverableError" && !h.Healthy && h.code == 500
	})
	assert.Contains(t, c.health().receiver().Error, "audit", "which log type fails")
	t.Logf("status while Slack is down: %s", c.health().receiver().Error)

	slack.Down(false)
	to.waitForAll(c, slack)
	c.waitFor("poll_staleness falls back", func() bool {
		staleness, _ := c.metrics().value("otelcol_slacklogs_poll_staleness")
		return staleness < peak/2
	})
	c.waitFor("the receiver is well again", func() bool {
		h := c.health()
		return h.receiver().Status == "StatusOK" && h.Healthy && h.code == 200
	})
	to.requireOnce(c, slack)
	c.stop()
}

// health is what the health_check extension answers.
type health struct {
	code       int
	Healthy    bool              `json:"healthy"`
	Status     string            `json:"status"`
	Error      string            `json:"error"`
	Components map[string]health `json:"components"`
}

func (c *collector) health() health {
	c.t.Helper()
	var h health
	c.waitFor("the health page is there", func() bool {
		code, text, err := get("http://127.0.0.1:" + c.env["HEALTH_PORT"] + "/?verbose")
		if err != nil {
			return false
		}
		require.NotContains(c.t, text, token)
		h = health{code: code}
		return json.Unmarshal([]byte(text), &h) == nil
	})
	return h
}

func (h health) receiver() health {
	return h.Components["pipeline:logs"].Components["receiver:slacklogs"]
}

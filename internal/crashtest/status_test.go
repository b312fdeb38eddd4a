// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// slacklogs status is what a person looks at: it says that all works, what is wrong with a token as soon as Slack has
// refused it, and takes that back. With --watch it lives through a collector that is gone for a while.
func TestStatusVerb(t *testing.T) {
	t.Parallel()
	helper := binary(t, "SLACKLOGS_HELPER")
	fake := newSlack(t, slacktest.Options{})
	fake.past(500, time.Now().Add(-time.Hour), time.Now())
	to := newBackend(t)
	c := newCollector(t, fake, to)
	c.start()
	to.waitForAll(c, fake)
	address := "http://127.0.0.1:" + c.env["METRICS_PORT"] + "/metrics"

	look := func() (said string, code int) {
		cmd := exec.Command(helper, "status", "--metrics-url", address)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		out, _ := cmd.CombinedOutput() // the exit code tells
		require.NotContains(t, string(out), token)
		return string(out), cmd.ProcessState.ExitCode()
	}
	says := func(what string, wantCode int, want ...string) {
		t.Helper()
		said := ""
		c.waitFor(what, func() bool {
			text, code := look()
			said = text
			for _, part := range want {
				if !strings.Contains(text, part) {
					return false
				}
			}
			return code == wantCode
		})
		t.Logf("%s:\n%s", what, said)
	}

	watching := process{t: t, path: helper, dir: t.TempDir(), args: []string{"status", "--watch", "--interval", "100ms", "--output", "json", "--metrics-url", address}}
	watching.run()
	t.Cleanup(watching.kill)

	says("status says that all works", 0, "The audit logs work; newest entry ")

	before := fake.CallCount()
	fake.Revoke(token)
	c.waitFor("Slack refuses a call", func() bool {
		for _, call := range fake.Calls()[before:] {
			if call.Path == slacktest.PathAuthTest {
				return true // the second refusal: asked because of the first
			}
		}
		return false
	})
	says("status says what to do about the token", 1,
		"It needs attention: audit FAILING (invalid_auth)", slack.Codes["invalid_auth"].Advice)

	fake.Restore(token)
	says("status takes it back", 0, "The audit logs work; newest entry ")

	c.kill()
	said, code := look()
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "is the collector running?")
	watching.waitFor("the watch says that the collector is gone", func() bool {
		return strings.Contains(watching.out.String(), "is the collector running?")
	})
	c.run() // on the same port
	says("status says that the new one works", 0, "The audit logs work; newest entry ")
	gone := len(watching.out.String())
	watching.waitFor("the watch says so too", func() bool {
		return strings.Contains(watching.out.String()[gone:], "The audit logs work")
	})
	watching.terminate()
	for text := range strings.Lines(watching.out.String()) {
		var one struct{ Summary string }
		require.NoError(t, json.Unmarshal([]byte(text), &one), "an object a line: %s", text)
		require.NotEmpty(t, one.Summary)
	}
	require.NotContains(t, watching.out.String(), token)
	c.stop()
}

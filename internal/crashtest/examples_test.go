// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	examples   = "../../examples"
	statusGate = "--feature-gates=+extension.healthcheck.useComponentStatus"
)

func example(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(examples, name))
	require.NoError(t, err)
	require.FileExists(t, path)
	return path
}

func TestExamplesAreValid(t *testing.T) {
	collector := binary(t, "SLACKLOGS_COLLECTOR")
	files, err := filepath.Glob(examples + "/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		for _, gate := range []string{"", statusGate} {
			t.Run(filepath.Base(file)+gate, func(t *testing.T) {
				args := []string{"validate", "--config", file}
				if gate != "" {
					args = append(args, gate)
				}
				cmd := exec.Command(collector, args...)
				cmd.Env = []string{
					"SLACK_TOKEN=" + token, "OTLP_ENDPOINT=http://127.0.0.1:4318", "SIMULATOR_URL=http://127.0.0.1:8080",
					"STATE_DIR=" + t.TempDir(),
				}
				said, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", said)
			})
		}
	}
}

// What a person writes into the configuration by hand is understood, quoted or not.
func TestStartTimeNeedsNoQuotes(t *testing.T) {
	collector := binary(t, "SLACKLOGS_COLLECTOR")
	for _, value := range []string{`2026-01-31T00:00:00Z`, `"2026-01-31T00:00:00Z"`, `2026-01-31T00:00:00+01:00`} {
		cmd := exec.Command(collector, "validate", "--config", example(t, "audit-logs.yaml"),
			"--config", "yaml:receivers::slacklogs::audit_logs::start_time: "+value)
		cmd.Env = []string{"SLACK_TOKEN=" + token, "OTLP_ENDPOINT=http://127.0.0.1:4318"}
		said, err := cmd.CombinedOutput()
		assert.NoError(t, err, "start_time: %s: %s", value, said)
	}
}

// The example for production keeps what it has read while the backend is down, also over a kill -9.
func TestAuditLogsExampleLosesNothing(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(3000, time.Now().Add(-23*time.Hour), time.Now())
	to, open := newLateBackend(t)
	c := newCollector(t, slack, to)
	// The example as it stands, but for where Slack is, the ports, and Slack's limits.
	rest := filepath.Join(c.dir, "rest.yaml")
	require.NoError(t, os.WriteFile(rest, []byte(`
extensions:
  health_check:
    endpoint: 127.0.0.1:${env:HEALTH_PORT}
receivers:
  slacklogs:
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    audit_logs:
      poll_interval: 1s
      requests_per_minute: 600
service:`+telemetryConfig), 0o600))
	c.args = []string{"--config", example(t, "audit-logs.yaml"), "--config", rest, statusGate}
	c.env["HEALTH_PORT"] = freePort(t)

	c.start()
	c.waitFor("half of the backlog is in the queue", func() bool {
		delivered, _ := c.metrics().value("otelcol_slacklogs_entries", `outcome="delivered"`)
		return delivered > 1500
	})
	c.kill()
	assert.Zero(t, to.distinct())
	c.start()
	c.waitFor("the backlog is read", func() bool {
		size, _ := c.metrics().value("otelcol_exporter_queue_size")
		return size >= 1500 && c.health().Components != nil
	})
	open()
	to.waitForAll(c, slack)

	// Down once more, but this time the collector is stopped and started as it should be.
	to.setDecide(func(*http.Request, int) verdict { return refuse(http.StatusServiceUnavailable) })
	slack.happen(50, time.Now())
	slack.waitForCalls(c, 3)
	c.stop()
	to.setDecide(nil)
	c.start()
	to.waitForAll(c, slack)
	t.Logf("%d records came again after a kill", to.repeats())
	assert.LessOrEqual(t, to.repeats(), maxBatch)
	c.stop()
}

// What `make run` does without a token: the simulator's records on the terminal.
func TestSimulatorExampleShowsRecords(t *testing.T) {
	t.Parallel()
	helper := &process{t: t, path: binary(t, "SLACKLOGS_HELPER"), dir: t.TempDir(), args: []string{"simulate", "--listen", "127.0.0.1:0"}}
	t.Cleanup(helper.kill)
	helper.run()
	listening := regexp.MustCompile(`(?m)^listening on (http://\S+)$`)
	url := ""
	helper.waitFor("the simulator listens", func() bool {
		if found := listening.FindStringSubmatch(helper.out.String()); found != nil {
			url = found[1]
		}
		return url != ""
	})

	dir := t.TempDir()
	c := &collector{process{
		t: t, path: binary(t, "SLACKLOGS_COLLECTOR"), dir: dir,
		args: []string{"--config", example(t, "simulator.yaml")},
		env:  map[string]string{"SIMULATOR_URL": url},
	}}
	t.Cleanup(c.kill)
	began := time.Now()
	c.start()
	line := regexp.MustCompile(`(?m)^.*slack\.log\.type=audit.*$`)
	c.waitFor("a hundred records on the terminal", func() bool {
		return len(line.FindAllStringIndex(c.out.String(), -1)) >= 100
	})
	first := line.FindString(c.out.String())
	t.Logf("after %s there are a hundred lines such as: %s", time.Since(began).Round(time.Millisecond), first)
	assert.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d slack\.audit\.\w+ `, first, "time and event come first")
	require.DirExists(t, filepath.Join(dir, ".run", "simulator"))
	c.stop()
	helper.terminate()
	assert.NotContains(t, strings.ToLower(helper.out.String()), "panic")
}

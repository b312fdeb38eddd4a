// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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
					"SLACK_TOKEN=" + token, "SLACK_ADMIN_TOKEN=" + token, "OTLP_ENDPOINT=http://127.0.0.1:4318",
					"SIMULATOR_URL=http://127.0.0.1:8080", "STATE_DIR=" + t.TempDir(),
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

// simulator runs the helper's simulator until the test ends, and returns its address.
func simulator(t *testing.T, flags ...string) (helper *process, url string) {
	t.Helper()
	helper = &process{
		t: t, path: binary(t, "SLACKLOGS_HELPER"), dir: t.TempDir(),
		args: append([]string{"simulate", "--listen", "127.0.0.1:0"}, flags...),
	}
	t.Cleanup(helper.kill)
	helper.run()
	listening := regexp.MustCompile(`(?m)^listening on (http://\S+)$`)
	helper.waitFor("the simulator listens", func() bool {
		if found := listening.FindStringSubmatch(helper.out.String()); found != nil {
			url = found[1]
		}
		return url != ""
	})
	return helper, url
}

// The simulator's records of all log types on the terminal.
func TestSimulatorExampleShowsRecords(t *testing.T) {
	t.Parallel()
	helper, url := simulator(t)
	dir := t.TempDir()
	c := &collector{process: process{
		t: t, path: binary(t, "SLACKLOGS_COLLECTOR"), dir: dir,
		args: []string{"--config", example(t, "simulator.yaml")},
		env:  map[string]string{"SIMULATOR_URL": url},
	}}
	t.Cleanup(c.kill)
	began := time.Now()
	c.start()
	waitForRecords(&c.process)
	t.Logf("it took %s", time.Since(began).Round(time.Millisecond))
	require.DirExists(t, filepath.Join(dir, ".run", "simulator"))
	c.stop()
	helper.terminate()
	assert.NotContains(t, strings.ToLower(helper.out.String()), "panic")
}

// waitForRecords waits until the process has shown some records of each log type.
func waitForRecords(p *process) {
	p.t.Helper()
	for kind, least := range map[string]int{"audit": 100, "access": 20, "integration": 6} {
		line := regexp.MustCompile(`(?m)^.*slack\.log\.type=` + kind + `\b.*$`)
		p.waitFor(fmt.Sprintf("%d records of the %s logs on the terminal", least, kind), func() bool {
			return len(line.FindAllStringIndex(p.out.String(), -1)) >= least
		})
		first := line.FindString(p.out.String())
		p.t.Logf("%d lines or more such as: %s", least, first)
		assert.Regexp(p.t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d slack\.`+kind+`\.\w+ `, first, "time and event come first")
	}
}

// What `make run` does without a token.
func TestRunScriptShowsRecords(t *testing.T) {
	t.Parallel()
	collector, helper := binary(t, "SLACKLOGS_COLLECTOR"), binary(t, "SLACKLOGS_HELPER")
	dir := t.TempDir()
	for name, target := range map[string]string{
		"bin/otelcol-slacklogs": collector, "bin/slacklogs": helper, "examples": examples,
	} {
		path, err := filepath.Abs(target)
		require.NoError(t, err)
		link := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
		require.NoError(t, os.Symlink(path, link))
	}
	// A copy, as a link would lead it back to the repository.
	script := filepath.Join(dir, "scripts", "run.sh")
	require.NoError(t, os.Mkdir(filepath.Dir(script), 0o700))
	require.NoError(t, os.WriteFile(script, []byte(readText(t, "scripts/run.sh")), 0o700))

	run := &process{t: t, path: script, dir: dir, env: map[string]string{"METRICS_PORT": freePort(t)}}
	t.Cleanup(func() {
		if run.cmd != nil {
			_ = run.cmd.Process.Signal(syscall.SIGTERM) // it ends what it started
			<-run.ended
		}
	})
	run.run()
	waitForRecords(run)
	for _, kind := range []string{"audit", "access", "integration"} {
		assert.Contains(t, run.out.String(), kind+" logs: on")
	}
	require.DirExists(t, filepath.Join(dir, ".run", "simulator"))
	require.NoError(t, run.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-run.ended:
	case <-time.After(patience):
		t.Fatal("SIGTERM did not end the script")
	}
	assert.NotContains(t, run.out.String(), "panic")
}

// The rows of testdata, as the simulator serves them, arrive byte for byte. SLACKLOGS_ROWS names another folder with an
// access.jsonl and an integration.jsonl.
func TestTestdataArrivesByteForByte(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("SLACKLOGS_ROWS")
	if folder == "" {
		folder = root + "testdata"
	}
	want := map[bodyHash]string{}
	twins := map[string]int{}
	var flags []string
	for flag, name := range map[string]string{"--logins-file": "access.jsonl", "--changes-file": "integration.jsonl"} {
		file, err := filepath.Abs(filepath.Join(folder, name))
		require.NoError(t, err)
		flags = append(flags, flag, file)
		rows, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(rows) {
			line = bytes.TrimSpace(line)
			var wrapped struct{ Event json.RawMessage }
			if json.Unmarshal(line, &wrapped) == nil && wrapped.Event != nil {
				line = wrapped.Event
			}
			want[sha256.Sum256(line)] = string(line)
			twins[string(line)]++
		}
	}
	_, url := simulator(t, append(flags, "--web-limit", "0")...)
	to := newBackend(t)
	start := time.Unix(0, 0)
	c := prepare(t, &fakeSlack{url: url}, to, accessConfig(start, `team_ids: ["*"]`), integrationConfig(start, `team_ids: ["*"]`))
	c.start()
	total := 0
	for _, n := range twins {
		total += n
	}
	c.waitFor(fmt.Sprintf("%d rows arrive", total), func() bool { return to.allRows() >= total })
	time.Sleep(2 * time.Second) // some more polls
	c.stop()
	arrived := map[string]int{}
	for uid, a := range to.rows {
		assert.Equal(t, 1, a.times, uid)
		arrived[want[a.body]]++
	}
	assert.Equal(t, twins, arrived)
	to.requireOneTypePerName(t)
	t.Logf("%d rows of the access and %d of the integration logs", to.arrivedRows("access"), to.arrivedRows("integration"))
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
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

const unitFile = "deploy/systemd/otelcol-slacklogs.service"

func deployConfig(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(root + "deploy/config.yaml")
	require.NoError(t, err)
	require.FileExists(t, path)
	return path
}

// With the environment that the unit gives, that of the pod, and the least.
func TestDeployConfigIsValid(t *testing.T) {
	collector := binary(t, "SLACKLOGS_COLLECTOR")
	for name, env := range map[string][]string{
		"image": nil,
		"unit":  {"SLACK_TOKEN_FILE=/run/credentials/otelcol-slacklogs.service/slack-token"},
		"pod":   {"SLACK_TOKEN_FILE=/run/secrets/slack/slack-token", "LISTEN_HOST=0.0.0.0"},
	} {
		for _, gate := range [][]string{nil, {statusGate}} {
			cmd := exec.Command(collector, append([]string{"validate", "--config", deployConfig(t)}, gate...)...)
			cmd.Env = append([]string{"OTLP_ENDPOINT=https://otlp.example.com", "STATE_DIR=" + t.TempDir()}, env...)
			said, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s %s: %s", name, gate, said)
		}
	}
}

// secretVolume is a folder with the token as the kubelet fills it: the file is a link to a link, and a new content is a
// new folder that the second link is switched to.
type secretVolume struct {
	t       *testing.T
	dir     string
	version int
}

func (v *secretVolume) put(content string) {
	v.t.Helper()
	data := filepath.Join(v.dir, "..data")
	before, _ := os.Readlink(data)
	v.version++
	folder := fmt.Sprintf("..version_%d", v.version)
	require.NoError(v.t, os.Mkdir(filepath.Join(v.dir, folder), 0o700))
	require.NoError(v.t, os.WriteFile(filepath.Join(v.dir, folder, "slack-token"), []byte(content), 0o400))
	require.NoError(v.t, os.Symlink(folder, data+"_tmp"))
	require.NoError(v.t, os.Rename(data+"_tmp", data))
	if before == "" {
		require.NoError(v.t, os.Symlink(filepath.Join("..data", "slack-token"), v.file()))
		return
	}
	require.NoError(v.t, os.RemoveAll(filepath.Join(v.dir, before)))
}

func (v *secretVolume) file() string { return filepath.Join(v.dir, "slack-token") }

// With a wrong token the collector is not ready but alive, and needs no restart once the Secret is put right. When it is
// told to end while the backend hangs, it does so within the grace that unit and pod give, and loses nothing.
func TestDeployedCollector(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(1000, time.Now().Add(-time.Hour), time.Now())
	to := newBackend(t)
	volume := &secretVolume{t: t, dir: t.TempDir()}
	volume.put("xoxp-wrong")
	c := newCollector(t, slack, to)
	// As it stands, but for where Slack is, the ports, and that a failure counts at once.
	rest := write(t, `
extensions:
  health_check:
    endpoint: ${env:LISTEN_HOST}:${env:HEALTH_PORT}
    component_health:
      recovery_duration: 1ms
  health_check/live:
    endpoint: ${env:LISTEN_HOST}:${env:LIVE_PORT}
receivers:
  slacklogs:
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    audit_logs:
      poll_interval: 1s
      requests_per_minute: 600
service:`+telemetryConfig)
	c.args = []string{"--config", deployConfig(t), "--config", rest, statusGate}
	c.env["SLACK_TOKEN_FILE"] = volume.file()
	c.env["LISTEN_HOST"] = "127.0.0.1"
	c.env["HEALTH_PORT"], c.env["LIVE_PORT"] = freePort(t), freePort(t)
	delete(c.env, "SLACK_TOKEN")
	alive := func() int {
		code, _, err := get("http://127.0.0.1:" + c.env["LIVE_PORT"])
		require.NoError(t, err)
		return code
	}
	isReady := func() bool { return c.health().code == http.StatusOK }

	c.start()
	c.waitFor("the collector is not ready", func() bool { return c.health().code == http.StatusInternalServerError })
	assert.Equal(t, http.StatusOK, alive())
	assert.Contains(t, c.health().receiver().Error, "invalid_auth")
	volume.put(token)
	c.waitFor("the collector is ready", isReady)
	to.waitForAll(c, slack)
	assert.Equal(t, http.StatusOK, alive())

	// The backend takes the connection and says nothing.
	hangs := make(chan struct{})
	to.setDecide(func(r *http.Request, n int) verdict {
		if n == 1 {
			close(hangs)
		}
		<-r.Context().Done()
		return verdict{lose: true}
	})
	slack.happen(50, time.Now())
	select {
	case <-hangs:
	case <-time.After(patience):
		t.Fatal("nothing was sent to the backend")
	}
	began := time.Now()
	c.killed.Store(true)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-c.ended:
	case <-time.After(grace(t)):
		t.Fatal("SIGTERM did not end the collector within its grace")
	}
	t.Logf("it ended %s after SIGTERM", time.Since(began).Round(100*time.Millisecond))
	assert.Equal(t, 0, c.cmd.ProcessState.ExitCode())

	to.setDecide(nil)
	c.start()
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	c.stop()
}

// grace is how long systemd waits for the collector's end.
func grace(t *testing.T) time.Duration {
	t.Helper()
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(\S+)$`).FindStringSubmatch(readText(t, unitFile))
	require.NotNil(t, found)
	d, err := time.ParseDuration(found[1])
	require.NoError(t, err)
	return d
}

// systemd understands the unit, misses nothing that it names, and finds little to harden. Its own score: 0 is best, 10
// worst.
func TestSystemdUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		require.Empty(t, os.Getenv("CI"), "systemd-analyze is not installed; it is in Debian's package systemd")
		t.Skip("systemd-analyze is not installed")
	}
	collector, err := filepath.Abs(binary(t, "SLACKLOGS_COLLECTOR"))
	require.NoError(t, err)
	unit := strings.Replace(readText(t, unitFile), "ExecStart=/usr/local/bin/otelcol-slacklogs ", "ExecStart="+collector+" ", 1)
	file := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	require.NoError(t, os.WriteFile(file, []byte(unit), 0o600))
	for _, args := range [][]string{{"verify"}, {"security", "--offline=true", "--threshold=15"}} {
		said, err := exec.Command(analyze, append(args, file)...).CombinedOutput()
		require.NoError(t, err, "%s: %s", args, said)
		if args[0] == "verify" {
			assert.Empty(t, string(said))
		}
	}
}

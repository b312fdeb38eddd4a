// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package crashtest tests the collector as it is built: as a process that is killed, starved and lied to, between a
// fake Slack and a fake backend that both live in the test. `make crash` runs it.
package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	// patience is how long a test waits for what has to happen; generous, as it only matters when a test fails.
	patience = 90 * time.Second
	// shutdownTime is the promise, and what a slow machine may need around it to notice and to end the process.
	shutdownTime = 5*time.Second + 3*time.Second

	token = "xoxp-404-crash-token-that-nobody-may-print"
)

// baseConfig delivers straight to the backend: what the exporter accepts has arrived, and only the receiver retries.
const baseConfig = `
extensions:
  file_storage:
    directory: ${env:STATE_DIR}
    create_directory: true
receivers:
  slacklogs:
    token: ${env:SLACK_TOKEN}
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    storage: file_storage
    timeout: 5s
    retry_on_failure:
      initial_interval: 50ms
      max_interval: 500ms
exporters:
  otlp_http:
    endpoint: ${env:OTLP_ENDPOINT}
    headers:
      X-Run: ${env:RUN}
    compression: none
    timeout: 30s
    sending_queue:
      enabled: false
    retry_on_failure:
      enabled: false
service:
  extensions: [file_storage]
  pipelines:
    logs:
      receivers: [slacklogs]
      exporters: [otlp_http]
` + telemetryConfig

// auditConfig switches the audit logs on.
const auditConfig = `
receivers:
  slacklogs:
    audit_logs:
      poll_interval: 500ms
      requests_per_minute: 60000
`

// telemetryConfig lets the collector say all that it ever says.
const telemetryConfig = `
  telemetry:
    logs:
      level: debug
      disable_zap_resource: true` + metricsConfig

// metricsConfig has the collector show its metrics.
const metricsConfig = `
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: ${env:METRICS_PORT}
                without_scope_info: true
                without_type_suffix: true
                without_units: true
`

// binary is the path that the variable names. Without it the test is skipped.
func binary(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s does not name a binary; run `make crash`", variable)
	}
	require.FileExists(t, path)
	return path
}

// process is one program that a test runs, ends and runs again.
type process struct {
	t    *testing.T
	path string
	args []string
	env  map[string]string
	dir  string
	out  output

	cmd    *exec.Cmd
	ended  chan struct{} // closed once the running one has ended
	killed atomic.Bool   // by the test, on purpose
}

// collector is a process with its own telemetry, status and rules.
type collector struct {
	process
	runs int
}

// newCollector prepares a collector of audit logs between Slack and backend. Each text of settings is laid over that.
func newCollector(t *testing.T, slack *fakeSlack, to *backend, settings ...string) *collector {
	t.Helper()
	return prepare(t, slack, to, append([]string{auditConfig}, settings...)...)
}

// prepare makes a collector whose settings say which log types are on.
func prepare(t *testing.T, slack *fakeSlack, to *backend, settings ...string) *collector {
	t.Helper()
	dir := t.TempDir()
	c := &collector{process: process{t: t, path: binary(t, "SLACKLOGS_COLLECTOR"), dir: dir, env: map[string]string{
		"SLACK_TOKEN":   token,
		"SLACK_URL":     slack.url,
		"OTLP_ENDPOINT": to.url,
		"STATE_DIR":     filepath.Join(dir, "state"),
	}}}
	for i, text := range append([]string{baseConfig}, settings...) {
		file := filepath.Join(dir, fmt.Sprintf("config%d.yaml", i))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		c.args = append(c.args, "--config", file)
	}
	c.supervise()
	return c
}

// supervise ends the collector with the test, shows what it said if the test failed, and holds it to its silence.
func (c *collector) supervise() {
	c.t.Cleanup(func() {
		c.kill()
		said := c.out.String()
		if c.t.Failed() {
			c.t.Logf("the collector's last words:\n%s", last(said, 6000))
		}
		for forbidden, what := range map[string]string{
			token: "the token", "panic:": "a panic", "@brightwater.example": "a part of an audit entry",
			rowUser: "a user of an access row", "Harbour Broadband": "a part of an access row",
			"Incoming WebHooks": "a part of an integration row", "W04BW0": "a user of a row",
		} {
			if strings.Contains(said, forbidden) {
				c.t.Errorf("%s stands in the collector's output", what)
			}
		}
	})
}

// start runs the collector with telemetry on a port of its own.
func (c *collector) start() {
	c.t.Helper()
	c.env["METRICS_PORT"] = freePort(c.t)
	c.runs++
	c.env["RUN"] = strconv.Itoa(c.runs)
	c.run()
}

func (p *process) run() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Dir = p.dir
	// An environment of the test's own: neither a proxy nor a token of the developer's may slip in.
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		p.cmd.Env = append(p.cmd.Env, name+"="+p.env[name])
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.killed.Store(false)
	require.NoError(p.t, p.cmd.Start())
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		_ = cmd.Wait() // its state tells
		close(ended)
	}()
}

// kill is kill -9. It may be called at any time, also from a handler.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.killed.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// terminate sends SIGTERM, holds the process to its promise and returns how long it took.
func (p *process) terminate() time.Duration {
	p.t.Helper()
	p.killed.Store(true)
	began := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("SIGTERM did not end the process")
	}
	took := time.Since(began)
	require.Equal(p.t, 0, p.cmd.ProcessState.ExitCode(), "exit code after SIGTERM")
	require.Less(p.t, took, shutdownTime, "time that SIGTERM took")
	return took
}

// stop looks at the metrics page for the token, and ends the collector well.
func (c *collector) stop() {
	c.t.Helper()
	c.metrics()
	c.terminate()
}

// waitFor waits until the condition holds, unless the process ends before.
func (p *process) waitFor(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-p.ended:
			if !p.killed.Load() {
				p.t.Fatalf("the process ended by itself (%s) before: %s", p.cmd.ProcessState, what)
			}
			time.Sleep(10 * time.Millisecond)
		case <-deadline:
			p.t.Fatalf("in %s it did not happen: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// metricsPage is the collector's Prometheus page.
type metricsPage string

func (c *collector) metrics() metricsPage {
	c.t.Helper()
	var page string
	c.waitFor("the metrics page is there", func() bool {
		_, text, err := get("http://127.0.0.1:" + c.env["METRICS_PORT"] + "/metrics")
		page = text
		return err == nil && text != ""
	})
	require.NotContains(c.t, page, token)
	return metricsPage(page)
}

// value sums the series of the name that have all the labels, such as `error_type="503"`.
func (m metricsPage) value(name string, labels ...string) (sum float64, found bool) {
	all := m.values(name, labels...)
	for _, v := range all {
		sum += v
	}
	return sum, len(all) > 0
}

// values are those of the series that value sums.
func (m metricsPage) values(name string, labels ...string) (all []float64) {
	for line := range strings.Lines(string(m)) {
		at := strings.LastIndexByte(line, ' ')
		rest, ok := strings.CutPrefix(line, name)
		if at < 0 || !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		if slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(line[:at], label) }) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			continue
		}
		all = append(all, v)
	}
	return all
}

func get(url string) (status int, body string, err error) {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// output keeps what a process says, over all its runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

var nextPort atomic.Int64

// freePort is a port below those that the kernel gives to outgoing connections: one of these could take it again
// before the collector listens.
func freePort(t *testing.T) string {
	t.Helper()
	nextPort.CompareAndSwap(0, 20000+rand.Int64N(8000))
	for range 100 {
		port := strconv.FormatInt(nextPort.Add(1), 10)
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return port
	}
	t.Fatal("no free port")
	return ""
}

// fakeSlack is slacktest over a socket.
type fakeSlack struct {
	*slacktest.Server
	url string
	org *slacktest.Organisation
}

func newSlack(t *testing.T, opt slacktest.Options) *fakeSlack {
	t.Helper()
	s := &fakeSlack{Server: slacktest.New(opt), org: slacktest.NewOrganisation(1)}
	s.SetToken(token, s.org.Identity())
	served := httptest.NewServer(s.Server)
	s.url = served.URL
	t.Cleanup(func() {
		s.Close()
		served.CloseClientConnections()
		served.Close()
	})
	return s
}

// past spreads n entries evenly over the time from…to.
func (s *fakeSlack) past(n int, from, to time.Time) {
	entries := make([]slacktest.Entry, n)
	for i := range entries {
		entries[i] = s.org.Entry(from.Unix() + int64(i)*(to.Unix()-from.Unix())/int64(n))
	}
	s.Add(entries...)
}

// happen adds n entries of one second.
func (s *fakeSlack) happen(n int, at time.Time) {
	entries := make([]slacktest.Entry, n)
	for i := range entries {
		entries[i] = s.org.Entry(at.Unix())
	}
	s.Add(entries...)
}

// answered are the calls to a path that were answered with entries, or could have been.
func (s *fakeSlack) answered(path string) int {
	n := 0
	for _, call := range s.Calls() {
		if call.Path == path && call.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// waitForCalls waits until Slack has answered n more audit calls.
func (s *fakeSlack) waitForCalls(c *collector, n int) {
	c.t.Helper()
	s.waitForCallsTo(c, n, slacktest.PathAudit)
}

// waitForCallsTo waits until Slack has answered n more calls to each of the paths.
func (s *fakeSlack) waitForCallsTo(c *collector, n int, paths ...string) {
	c.t.Helper()
	until := map[string]int{}
	for _, path := range paths {
		until[path] = s.answered(path) + n
	}
	for _, path := range paths {
		c.waitFor(fmt.Sprintf("%d more calls to %s", n, path), func() bool { return s.answered(path) >= until[path] })
	}
}

// requireNoViolations: no call before Retry-After was over, and no cursor with another window than its own.
func (s *fakeSlack) requireNoViolations(t *testing.T) {
	t.Helper()
	require.Empty(t, s.Violations())
}

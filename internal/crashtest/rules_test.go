// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const detectionsReadme = "detections/README.md"

// suspicious is an entry that a rule of the pack matches.
func suspicious(id, action string, at time.Time, entity string) slacktest.Entry {
	return slacktest.Entry{Date: at.Unix(), JSON: fmt.Appendf(nil,
		`{"id":%q,"date_create":%d,"action":%q,"actor":{"type":"user","user":{"id":"W0ACTOR","name":"Dana","email":"dana@brightwater.example","team":"E04BRIGHTWA"}},`+
			`"entity":%s,"context":{"location":{"type":"enterprise","id":"E04BRIGHTWA"},"ua":"Mozilla/5.0","ip_address":"198.51.100.7","session_id":1}}`,
		id, at.Unix(), action, entity)}
}

// suspiciousEntries make findings of three levels, and a correlation of rules complete.
func suspiciousEntries(now time.Time) []slacktest.Entry {
	user := `{"type":"user","user":{"id":"W0TARGET","name":"Bea","email":"bea@brightwater.example"}}`
	entries := []slacktest.Entry{
		suspicious("sus-role", "role_change_to_owner", now.Add(-30*time.Minute), user),
		suspicious("sus-owner", "service_owner_transferred", now.Add(-29*time.Minute), user),
		suspicious("sus-harmless", "user_channel_leave", now.Add(-28*time.Minute), user),
	}
	for i := range 6 {
		file := fmt.Sprintf(`{"type":"file","file":{"id":"F0LINK%d","name":"plan.txt","filetype":"text/plain"}}`, i)
		entries = append(entries, suspicious(fmt.Sprintf("sus-link-%d", i), "file_public_link_created", now.Add(-20*time.Minute+time.Duration(i)*time.Second), file))
	}
	return entries
}

// sink keeps the attributes of the records that come over OTLP, by uid.
type sink struct {
	url string

	mu      sync.Mutex
	records map[string]map[string]any
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{records: map[string]map[string]any{}}
	server := httptest.NewServer(s)
	s.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	logs, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				attributes := rec.Attributes().AsRaw()
				s.records[fmt.Sprint(attributes["log.record.uid"])] = attributes
			}
		}
	}
}

func (s *sink) all() map[string]map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.records)
}

// The example sends what a rule matches to a place of its own, and all to the archive.
func TestDetectionsExampleRoutesTaggedRecords(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(300, time.Now().Add(-6*time.Hour), time.Now())
	slack.Add(suspiciousEntries(time.Now())...)
	archive, alerts := newSink(t), newSink(t)
	dir := t.TempDir()
	c := &collector{process: process{t: t, path: binary(t, "SLACKLOGS_COLLECTOR"), dir: dir, env: map[string]string{
		"SLACK_TOKEN": token, "SLACK_URL": slack.url, "OTLP_ENDPOINT": archive.url, "ALERTS_ENDPOINT": alerts.url,
		"STATE_DIR": filepath.Join(dir, "state"),
	}}}
	rest := filepath.Join(dir, "rest.yaml")
	require.NoError(t, os.WriteFile(rest, []byte(`
receivers:
  slacklogs:
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    audit_logs: {poll_interval: 1s, requests_per_minute: 600}
# Not at the level debug, at which the transform processor prints whole records.
service:
  telemetry:`+metricsConfig), 0o600))
	c.args = []string{"--config", example(t, "detections/routing.yaml"), "--config", example(t, "detections/tags.yaml"), "--config", rest}
	c.supervise()
	c.start()
	c.waitFor("all entries are in the archive", func() bool { return len(archive.all()) >= slack.Len() })
	tagged := map[string]map[string]any{}
	for uid, attributes := range archive.all() {
		if attributes["slack.detections"] != nil {
			tagged[uid] = attributes
		}
	}
	c.waitFor("all that is tagged has come to its own place", func() bool { return len(alerts.all()) >= len(tagged) })
	c.stop()
	assert.Equal(t, tagged, alerts.all(), "these and no others, and the same in both places")
	assert.NotContains(t, tagged, "sus-harmless")
	for uid, want := range map[string][2]string{
		"sus-role":   {"role_to_admin", "high"},
		"sus-owner":  {"primary_owner_transferred", "critical"},
		"sus-link-0": {"public_link_created", "low"},
	} {
		record := tagged[uid]
		require.NotNil(t, record, uid)
		assert.Equal(t, want[0], record["slack.detections"].([]any)[0])
		assert.Equal(t, want[1], record["slack.detection.level"])
		assert.Equal(t, want[0], record["security_rule.name"])
		assert.Equal(t, "slacklogs", record["security_rule.ruleset.name"])
		assert.Regexp(t, `^[0-9a-f-]{36}$`, record["security_rule.uuid"])
		assert.Regexp(t, `^\d{4}-\d\d-\d\d$`, record["security_rule.version"])
	}
	t.Logf("%d of %d records are tagged", len(tagged), len(archive.all()))
}

// helperSays runs the helper to its end, and returns what it printed.
func helperSays(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary(t, "SLACKLOGS_HELPER"), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	require.NoError(t, err, "%v: %s", args, stderr.String())
	return string(said)
}

// What the collector's file exporter writes, whole and in part, plain and packed, gives the findings of Slack's own
// entries.
func TestBacktestReadsWhatTheCollectorWrote(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	entries := suspiciousEntries(time.Now())
	slack.past(300, time.Now().Add(-6*time.Hour), time.Now())
	slack.Add(entries...)
	dir := t.TempDir()
	var config, names, pipelines []string
	for _, kind := range []struct{ name, settings, export string }{
		{"all", "attributes: all", ""},
		{"without_body", "{attributes: all, body: none}", ""},
		{"core", "attributes: core", "compression: zstd"},
		{"none", "attributes: none", ""},
		{"map", "{attributes: core, body: map}", ""},
	} {
		var settings []string
		for setting := range strings.SplitSeq(strings.Trim(kind.settings, "{}"), ", ") {
			settings = append(settings, "    "+setting)
		}
		config = append(config, fmt.Sprintf("receivers:\n  slacklogs/%[1]s:\n    token: ${env:SLACK_TOKEN}\n    endpoint: ${env:SLACK_URL}/api\n"+
			"    audit_endpoint: ${env:SLACK_URL}/audit/v1\n    audit_logs: {poll_interval: 1s, requests_per_minute: 600}\n%[2]s\n"+
			"exporters:\n  file/%[1]s:\n    path: %[1]s.json\n    %[3]s\n", kind.name, strings.Join(settings, "\n"), kind.export))
		pipelines = append(pipelines, fmt.Sprintf("    logs/%[1]s:\n      receivers: [slacklogs/%[1]s]\n      exporters: [file/%[1]s]\n", kind.name))
		names = append(names, kind.name)
	}
	c := &collector{process: process{t: t, path: binary(t, "SLACKLOGS_COLLECTOR"), dir: dir, env: map[string]string{
		"SLACK_TOKEN": token, "SLACK_URL": slack.url,
	}}}
	for _, text := range append(config, "service:\n  pipelines:\n"+strings.Join(pipelines, "")+strings.TrimPrefix(telemetryConfig, "\n")) {
		c.args = append(c.args, "--config", write(t, text))
	}
	c.supervise()
	c.start()
	c.waitFor("all receivers have delivered all", func() bool {
		delivered, _ := c.metrics().value("otelcol_slacklogs_entries", `outcome="delivered"`)
		return int(delivered) >= len(names)*slack.Len()
	})
	c.stop()

	type report struct {
		Records  int
		Findings []map[string]any
	}
	judge := func(files ...string) (r report) {
		require.NoError(t, json.Unmarshal([]byte(helperSays(t, append([]string{"backtest", "--json", "--findings"}, files...)...)), &r))
		return r
	}
	want := judge(filepath.Join(dir, "all.json"))
	assert.Equal(t, want.Records, slack.Len())
	var rules []string
	for _, finding := range want.Findings {
		if group, ok := finding["group"].(map[string]any); ok && group["actor.user.id"] == "W0ACTOR" {
			rules = append(rules, fmt.Sprint(finding["rule"]))
		}
	}
	assert.Subset(t, rules, []string{"role_to_admin", "primary_owner_transferred", "public_link_created", "public_link_burst"})
	for _, name := range names {
		assert.Equal(t, want, judge(filepath.Join(dir, name+".json")), name)
	}
	both := judge(filepath.Join(dir, "core.json"), filepath.Join(dir, "all.json"))
	assert.Equal(t, want.Findings, both.Findings, "twice the same")

	var lines []byte
	for _, entry := range entries {
		lines = append(append(lines, entry.JSON...), '\n')
	}
	raw := judge(write(t, string(lines)))
	assert.Equal(t, len(entries), raw.Records)
	assert.Len(t, raw.Findings, len(rules))

	context := helperSays(t, "backtest", "--context", "dana@brightwater.example", filepath.Join(dir, "core.json"))
	assert.Regexp(t, `(?m)^\*  \S+  role_change_to_owner +user W0TARGET Bea +198\.51\.100\.7 +Mozilla/5\.0 +1$`, context)
	assert.Regexp(t, `(?m)^   \S+  user_channel_leave `, context)
}

// shellBlocks are the blocks of a document that a reader may paste into a shell.
func shellBlocks(t *testing.T, file string) []string {
	t.Helper()
	var blocks []string
	for _, found := range regexp.MustCompile("(?ms)^( *)```sh\n(.*?)^ *```$").FindAllStringSubmatch(readText(t, file), -1) {
		blocks = append(blocks, strings.ReplaceAll("\n"+found[2], "\n"+found[1], "\n"))
	}
	return blocks
}

// Each command of the pack's README works as it stands there.
func TestDetectionsREADME(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, target := range map[string]string{
		"bin/otelcol-slacklogs": binary(t, "SLACKLOGS_COLLECTOR"), "bin/slacklogs": binary(t, "SLACKLOGS_HELPER"),
		"examples": examples, "detections": root + "detections",
	} {
		path, err := filepath.Abs(target)
		require.NoError(t, err)
		link := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
		require.NoError(t, os.Symlink(path, link))
	}
	rule := readText(t, "detections/rules/audit/role_to_admin.yml")
	rule = regexp.MustCompile(`(?m)^id: .*$`).ReplaceAllString(rule, "id: 3f0f4a5e-7d8b-4a53-9d8f-0f3f6a7f9a01")
	rule = strings.Replace(rule, "name: role_to_admin", "name: my_role_to_admin", 1)
	tests := `{rule: my_role_to_admin, tests: [{name: one, finds: 1, entries: [{action: role_change_to_admin, actor.user.id: W0A, entity.user.id: W0B}]}]}`
	records := readText(t, "testdata/audit.jsonl") + readText(t, "testdata/access.jsonl") + readText(t, "testdata/integration.jsonl")
	for name, text := range map[string]string{
		"my-rules/my_role_to_admin.yml": rule, "my-tests/my_role_to_admin.yml": tests, "records.json": records,
		"tools/make": "#!/bin/sh\n", // both binaries are there already
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o700)) // make is run
	}
	env := []string{
		"PATH=" + filepath.Join(dir, "tools") + ":" + os.Getenv("PATH"), "HOME=" + dir, "STATE_DIR=" + filepath.Join(dir, "state"),
		"METRICS_PORT=" + freePort(t),
	}
	blocks := shellBlocks(t, detectionsReadme)
	require.NotEmpty(t, blocks)
	simulated := 0
	for _, block := range blocks {
		if strings.Contains(block, "slacklogs simulate") {
			simulated++
			seeTaggedRecord(t, dir, env, strings.ReplaceAll(block, "8080", freePort(t)))
			continue
		}
		// Whatever would go on until Ctrl-C is only looked at.
		block = strings.ReplaceAll(block, "bin/otelcol-slacklogs --config", "bin/otelcol-slacklogs validate --config")
		cmd := exec.Command("sh", "-e", "-c", block)
		cmd.Dir, cmd.Env = dir, env
		said, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s\n%s", block, said)
	}
	assert.Equal(t, 1, simulated)
	assert.FileExists(t, filepath.Join(dir, "tags.yaml"))
	assert.Contains(t, readAll(t, filepath.Join(dir, "tags.yaml")), "my_role_to_admin")
	assert.Contains(t, readAll(t, filepath.Join(dir, "proposed.yml")), "own_apps: [A012ABCDEF3]")
	assert.Contains(t, readAll(t, filepath.Join(dir, "backtest.json")), "role_to_admin")
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(path))
	require.NoError(t, err)
	return string(text)
}

// seeTaggedRecord runs a block that goes on for ever, until it has shown a tag.
func seeTaggedRecord(t *testing.T, dir string, env []string, block string) {
	t.Helper()
	var out output
	cmd := exec.Command("sh", "-c", block)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end what it starts too
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}()
	tag := regexp.MustCompile(`(?m)^slack\.detections=\["?\w+`)
	require.Eventually(t, func() bool { return tag.MatchString(out.String()) }, patience, 50*time.Millisecond, "no tag: %s", &lastWords{&out})
	t.Logf("such as %s", tag.FindString(out.String()))
}

// lastWords are what was said by the time at which they are printed.
type lastWords struct{ *output }

func (w *lastWords) String() string { return last(w.output.String(), 3000) }

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package e2e // import "github.com/slacklogs/otelcol-slacklogs/test/e2e"

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/elasticsearchexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/splunkhecexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"
)

const (
	examples = "../../examples/"
	patience = 30 * time.Second

	harbour = "T04BWHARBOR"
	day     = 1772452800 // that of the entries
)

var update = flag.Bool("update", false, "write what arrives into testdata")

// wanted are the audit entries that are sent on, by action: one of each kind of entity and form that matters to a backend.
var wanted = []string{"user_login", "user_login_failed", "file_downloaded", "app_scopes_expanded", "message_tombstoned", "anomaly", "pref.session_duration_changed"}

// auditEntries are the first of each of them in the project's samples.
func auditEntries(t *testing.T) []slacktest.Entry {
	t.Helper()
	file, err := os.Open("../../testdata/audit.jsonl")
	require.NoError(t, err)
	defer file.Close()
	var entries []slacktest.Entry
	missing := slices.Clone(wanted)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var entry struct {
			Action string `json:"action"`
			Date   int64  `json:"date_create"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &entry))
		if i := slices.Index(missing, entry.Action); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
			entries = append(entries, slacktest.Entry{Date: entry.Date, JSON: bytes.Clone(lines.Bytes())})
		}
	}
	require.NoError(t, lines.Err())
	require.Empty(t, missing)
	return entries
}

// slack is a fake Slack with some entries of each log type.
type slack struct {
	*slacktest.Server

	url  string
	sent int // records that these make
	// texts are Slack's own, by log type.
	texts map[string][]string
}

func newSlack(t *testing.T) *slack {
	t.Helper()
	s := &slack{Server: slacktest.New(slacktest.Options{}), texts: map[string][]string{}}
	company := slacktest.NewOrganisation(1)
	identity := company.Identity()
	identity.Teams = slices.DeleteFunc(identity.Teams, func(team slacktest.Team) bool { return team.ID != harbour })
	s.SetToken(slacktest.AnyToken, identity)
	s.Add(auditEntries(t)...)
	s.SetLogin(company.Login(harbour, day+100))
	s.AddChange(company.Change(harbour, day+200))
	for _, entry := range s.Shown() {
		s.texts["audit"] = append(s.texts["audit"], string(entry.JSON))
	}
	for _, login := range s.Logins(harbour) {
		s.texts["access"] = append(s.texts["access"], string(login.Text()))
	}
	for _, change := range s.Changes(harbour) {
		s.texts["integration"] = append(s.texts["integration"], string(change.JSON))
	}
	s.sent = len(s.texts["audit"]) + 2
	server := httptest.NewServer(s)
	s.url = server.URL
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	return s
}

// overlay is what a test changes of an example: where Slack is, since when, and the ports.
const overlay = `
extensions:
  health_check: {endpoint: "127.0.0.1:0"}
receivers:
  slacklogs:
    endpoint: %[1]s/api
    audit_endpoint: %[1]s/audit/v1
    audit_logs: {start_time: "2026-03-01T00:00:00Z", poll_interval: 1s, requests_per_minute: 60000}
service:
  telemetry:
    metrics: {level: none, readers: []}
`

const lists = `
receivers:
  slacklogs:
    access_logs: {start_time: "2026-03-01T00:00:00Z", poll_interval: 1s, requests_per_minute: 60000}
    integration_logs: {start_time: "2026-03-01T00:00:00Z", poll_interval: 1s, requests_per_minute: 60000}
`

func factories() (otelcol.Factories, error) {
	f := otelcol.Factories{Telemetry: otelconftelemetry.NewFactory()}
	var err error
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](slacklogsreceiver.NewFactory()); err != nil {
		return f, err
	}
	if f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](memorylimiterprocessor.NewFactory(), transformprocessor.NewFactory()); err != nil {
		return f, err
	}
	if f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory(), healthcheckextension.NewFactory()); err != nil {
		return f, err
	}
	f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](
		awss3exporter.NewFactory(), clickhouseexporter.NewFactory(), elasticsearchexporter.NewFactory(), fileexporter.NewFactory(),
		kafkaexporter.NewFactory(), otlpexporter.NewFactory(), otlphttpexporter.NewFactory(), splunkhecexporter.NewFactory(),
	)
	return f, err
}

func settings(uris ...string) otelcol.CollectorSettings {
	return otelcol.CollectorSettings{
		Factories:               factories,
		BuildInfo:               component.BuildInfo{Command: "otelcol-slacklogs", Version: "test"},
		DisableGracefulShutdown: true,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs: uris,
			ProviderFactories: []confmap.ProviderFactory{
				envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory(),
			},
		}},
	}
}

// setEnv sets what all examples ask for.
func setEnv(t *testing.T) {
	t.Helper()
	t.Setenv("SLACK_TOKEN", "xoxp-brightwater")
	t.Setenv("STATE_DIR", t.TempDir())
}

// collector is an example that runs in this process.
type collector struct {
	col  *otelcol.Collector
	done chan error
	logs *syncBuffer
}

// start runs an example against a Slack, until the test ends. more is configuration that a test adds.
func start(t *testing.T, slack *slack, example string, more ...string) *collector {
	t.Helper()
	uris := []string{"file:" + examples + example, "yaml:" + fmt.Sprintf(overlay, slack.url)}
	text, err := os.ReadFile(examples + example)
	require.NoError(t, err)
	if bytes.Contains(text, []byte("access_logs")) {
		uris = append(uris, "yaml:"+lists)
	}
	for _, m := range more {
		uris = append(uris, "yaml:"+m)
	}
	c := &collector{done: make(chan error, 1), logs: &syncBuffer{}}
	set := settings(uris...)
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	set.LoggingOptions = []zap.Option{zap.WrapCore(func(zapcore.Core) zapcore.Core { return zapcore.NewCore(encoder, c.logs, zap.WarnLevel) })}
	c.col, err = otelcol.NewCollector(set)
	require.NoError(t, err)
	ctx := context.WithoutCancel(t.Context())
	go func() { c.done <- c.col.Run(ctx) }()
	t.Cleanup(func() {
		c.stop(t)
		if t.Failed() {
			t.Logf("the collector said:\n%s", c.logs)
		}
	})
	require.Eventually(t, func() bool { return c.col.GetState() != otelcol.StateStarting }, patience, 5*time.Millisecond)
	return c
}

// stop shuts the collector down, once.
func (c *collector) stop(t *testing.T) {
	t.Helper()
	if c.col == nil {
		return
	}
	c.col.Shutdown()
	select {
	case err := <-c.done:
		assert.NoError(t, err)
	case <-time.After(patience):
		t.Error("the collector does not end")
	}
	c.col = nil
}

// syncBuffer takes the collector's log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (*syncBuffer) Sync() error { return nil }

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// nopHost has no extensions.
var nopHost = componenttest.NewNopHost()

// peer starts a receiver of the collector's, with its configuration, and returns what it gets.
func peer(t *testing.T, factory receiver.Factory, config map[string]any) *consumertest.LogsSink {
	t.Helper()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(config).Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	sink := &consumertest.LogsSink{}
	r, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), nopHost))
	t.Cleanup(func() { assert.NoError(t, r.Shutdown(context.WithoutCancel(t.Context()))) })
	return sink
}

// arrived waits for n records and returns them in a plain form, the times of arrival left out.
func arrived(t *testing.T, sink *consumertest.LogsSink, n int) []any {
	t.Helper()
	records := atLeast(t, sink, n)
	require.Len(t, records, n)
	return records
}

func atLeast(t *testing.T, sink *consumertest.LogsSink, n int) (records []any) {
	t.Helper()
	require.Eventually(t, func() bool { return sink.LogRecordCount() >= n }, patience, 10*time.Millisecond)
	for _, logs := range sink.AllLogs() {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					records = append(records, plain(rl, rec))
				}
			}
		}
	}
	return records
}

func plain(rl plog.ResourceLogs, rec plog.LogRecord) map[string]any {
	return map[string]any{
		"time": rec.Timestamp().AsTime(), "event_name": rec.EventName(), "severity": rec.SeverityNumber().String(),
		"resource": rl.Resource().Attributes().AsRaw(), "attributes": rec.Attributes().AsRaw(), "body": rec.Body().AsRaw(),
	}
}

// golden compares what arrived, in whatever order, with a file of testdata.
func golden(t *testing.T, name string, arrived []any) {
	t.Helper()
	var lines []string
	for _, a := range arrived {
		lines = append(lines, string(indented(t, a)))
	}
	slices.Sort(lines)
	var all []json.RawMessage
	for _, line := range lines {
		all = append(all, json.RawMessage(line))
	}
	got := append(indented(t, all), '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o600))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "to take it as it is: go test ./... -update")
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(v))
	return bytes.TrimSpace(b.Bytes())
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package schemas // import "github.com/slacklogs/otelcol-slacklogs/test/schemas"

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

const (
	examples = "../../examples/schemas"
	team     = "T04BWHARBOR"
	ecs      = "transform/slack_ecs"
	ocsf     = "transform/slack_ocsf"
	ocsfBody = "transform/slack_ocsf_body"
)

var (
	update   = flag.Bool("update", false, "write the golden files anew")
	observed = time.Unix(1772600767, 0)
	defaults = record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll}
	presets  = map[string]string{ecs: "ecs.yaml", ocsf: "ocsf.yaml", ocsfBody: "ocsf.yaml"}
)

// transform is the real processor with an example's configuration. An error of a statement fails the test.
func transform(t *testing.T, name string) func(plog.Logs) plog.Logs {
	t.Helper()
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"file:" + filepath.Join(examples, presets[name])},
		ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(t.Context())
	require.NoError(t, err)
	conf, err = conf.Sub("processors::" + name)
	require.NoError(t, err)
	require.Equal(t, "ignore", conf.Get("error_mode"))
	require.NoError(t, conf.Merge(confmap.NewFromStringMap(map[string]any{"error_mode": "propagate"})))

	factory := transformprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	sink := new(consumertest.LogsSink)
	var p processor.Logs
	p, err = factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, p.Shutdown(t.Context())) })
	return func(logs plog.Logs) plog.Logs {
		sink.Reset()
		require.NoError(t, p.ConsumeLogs(t.Context(), logs))
		require.Len(t, sink.AllLogs(), 1)
		return sink.AllLogs()[0]
	}
}

// newLogs are no records yet, of the organisation's workspace.
func newLogs() (plog.Logs, plog.LogRecordSlice) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("slack.enterprise.id", "E04BRIGHTWA")
	resource.Resource().Attributes().PutStr("slack.enterprise.name", "Brightwater")
	resource.Resource().Attributes().PutStr("slack.team.id", team)
	return logs, resource.ScopeLogs().AppendEmpty().LogRecords()
}

func recordsOf(logs plog.Logs) plog.LogRecordSlice {
	return logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
}

// appendRecord makes a record of an entry as the receiver does.
func appendRecord(c *record.Converter, logType string, text []byte, change record.Change, to plog.LogRecordSlice) {
	switch logType {
	case "access":
		c.ParseAccess(team, jsonstream.NewElement(text))
		c.AppendAccess(to, observed, change)
	case "integration":
		c.ParseIntegration(team, jsonstream.NewElement(text))
		c.AppendIntegration(to, observed, c.IntegrationUID(1))
	default:
		c.ParseAudit(jsonstream.NewElement(text))
		c.AppendAudit(to, observed)
	}
}

// entry is an audit entry of this action, with what each has.
func entry(t *testing.T, action string) []byte {
	t.Helper()
	type object = map[string]any
	text, err := json.Marshal(object{
		"id": "b7e0c3d2-0000-4000-8000-000000000001", "date_create": 1772600001, "action": action,
		"actor": object{"type": "user", "user": object{
			"id": "W04BW000003", "name": "Ada Ashdown", "email": "ada@brightwater.example", "team": "E04BRIGHTWA",
		}},
		"entity": object{"type": "user", "user": object{
			"id": "W04BW000004", "name": "Bram Eze", "email": "bram@brightwater.example", "team": "E04BRIGHTWA",
		}},
		"context": object{
			"location": object{"type": "workspace", "id": team, "name": "Brightwater Harbour", "domain": "brightwater-harbour"},
			"ua":       "okhttp/4.12.0", "ip_address": "198.51.100.7",
		},
	})
	require.NoError(t, err)
	return text
}

// actions are all that Slack's /audit/v1/actions named in August 2026, as its SDK keeps the answer:
// github.com/slackapi/java-slack-sdk (MIT), branch api, json-logs/raw/audit/v1/actions.json.
func actions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/actions.txt")
	require.NoError(t, err)
	names := strings.Fields(string(text))
	require.Len(t, names, 763)
	return names
}

// kinds are a record of each action, and of each kind of row of the other logs.
func kinds(t *testing.T) (names []string, logs plog.Logs) {
	t.Helper()
	logs, records := newLogs()
	c := record.New(defaults)
	for _, action := range actions(t) {
		names = append(names, action)
		appendRecord(c, "audit", entry(t, action), record.Change{}, records)
	}
	const login = `{"user_id":"W04BW000003","username":"ada.ashdown","date_first":1772500000,"date_last":1772600001,` +
		`"count":42,"ip":"198.51.100.7","user_agent":"okhttp/4.12.0","isp":"Harbour Fibre","country":"GB","region":"ENG"}`
	for _, change := range []record.Change{{New: true, Delta: 42, DeltaOK: true}, {Delta: 3, DeltaOK: true}} {
		appendRecord(c, "access", []byte(login), change, records)
		names = append(names, "access: "+strings.TrimPrefix(records.At(records.Len()-1).EventName(), "slack.access."))
	}
	for _, change := range []string{"added", "disabled", "enabled", "expanded", "removed", "reissued", "updated"} {
		names = append(names, "integration: "+change)
		appendRecord(c, "integration", fmt.Appendf(nil, `{"app_id":"A05TIDETABL","app_type":"Tide Table",`+
			`"user_id":"W04BW000003","user_name":"Ada Ashdown","date":"1772600001","change_type":%q}`, change), record.Change{}, records)
	}
	require.Equal(t, len(names), records.Len())
	return names, logs
}

// compare compares a text with a golden file, or writes it.
func compare(t *testing.T, file, text string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text, "-update writes it anew; then read what has changed")
}

func strs(v pcommon.Value) string {
	var all []string
	for _, s := range v.Slice().All() {
		all = append(all, s.Str())
	}
	return strings.Join(all, "+")
}

func get(t *testing.T, rec plog.LogRecord, name string) pcommon.Value {
	t.Helper()
	v, ok := rec.Attributes().Get(name)
	require.True(t, ok, "%s of %s", name, rec.EventName())
	return v
}

// table is what a line of a table says of each kind of record.
func table(t *testing.T, header string, line func(rec plog.LogRecord) string, name string) string {
	t.Helper()
	names, logs := kinds(t)
	records := recordsOf(transform(t, name)(logs))
	var out bytes.Buffer
	fmt.Fprintln(&out, header)
	for i, rec := range records.All() {
		fmt.Fprintf(&out, "%s\t%s\n", names[i], line(rec))
	}
	return out.String()
}

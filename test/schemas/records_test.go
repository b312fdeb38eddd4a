// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package schemas // import "github.com/slacklogs/otelcol-slacklogs/test/schemas"

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// fixtures are the entries that internal/record and testdata have of a log type, odd ones too, and made-up ones.
func fixtures(t *testing.T, logType string) (texts [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../internal/record/testdata", logType, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range append(files, filepath.Join("../../testdata", logType+".jsonl")) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			texts = append(texts, bytes.TrimSpace(line))
		}
	}
	if logType == "audit" {
		made := slacktest.NewOrganisation(1)
		for i := range int64(300) {
			texts = append(texts, made.Entry(1772600001+i).JSON)
		}
	}
	return append(texts, []byte(`{}`), []byte(`null`), []byte(`no JSON`),
		[]byte(`{"id":7,"action":["a"],"actor":3,"entity":"e","context":[],"details":{"target_user":{"a":1},"previous_ip_address":7}}`),
		[]byte(`{"id":"x","date_create":1,"action":"an action!","details":{"previous_ip_address":["1.2.3.4"],"target_user_id":[]}}`))
}

// allRecords are the records of all fixtures with these settings.
func allRecords(t *testing.T, opts record.Options) plog.Logs {
	t.Helper()
	logs, records := newLogs()
	c := record.New(opts)
	for _, logType := range []string{"audit", "access", "integration"} {
		for i, text := range fixtures(t, logType) {
			appendRecord(c, logType, text, record.Change{New: i%2 == 0, Delta: 3, DeltaOK: i%3 == 0}, records)
		}
	}
	return logs
}

// settings are all that the receiver can be set to.
func settings() (all []record.Options) {
	for _, body := range []record.Body{record.BodyRaw, record.BodyMap, record.BodyNone} {
		for _, attributes := range []record.Attributes{record.AttributesAll, record.AttributesCore, record.AttributesNone} {
			all = append(all, record.Options{Body: body, Attributes: attributes})
		}
	}
	return all
}

// No record of any kind, with any setting, makes a statement fail; each gets its class; nothing of the receiver's is lost.
func TestEachRecordGetsItsClass(t *testing.T) {
	for name, wanted := range map[string][]string{
		ecs:  {"event.kind", "event.category", "event.type", "event.outcome", "event.action", "event.dataset"},
		ocsf: {"class_uid", "category_uid", "activity_id", "type_uid", "severity_id", "status_id", "time", "metadata.version"},
	} {
		to := transform(t, name)
		for _, opts := range settings() {
			before, logs := allRecords(t, opts), allRecords(t, opts)
			after := recordsOf(to(logs))
			require.Equal(t, recordsOf(before).Len(), after.Len())
			for i, was := range recordsOf(before).All() {
				is := after.At(i)
				for _, attribute := range wanted {
					get(t, is, attribute)
				}
				for attribute, value := range was.Attributes().All() {
					assert.Equal(t, value.AsRaw(), get(t, is, attribute).AsRaw(), "%s %v: %s", name, opts, attribute)
				}
				assert.Equal(t, was.Body().AsRaw(), is.Body().AsRaw())
				assert.Equal(t, was.EventName(), is.EventName())
			}
		}
	}
}

// With everything that is added too, no name has two types, and none is both a value and the parent of others.
func TestNamesHaveOneType(t *testing.T) {
	for _, name := range []string{ecs, ocsf} {
		to, types := transform(t, name), map[string]pcommon.ValueType{}
		_, each := kinds(t)
		for _, logs := range []plog.Logs{each, allRecords(t, defaults)} {
			for _, rec := range recordsOf(to(logs)).All() {
				for attribute, value := range rec.Attributes().All() {
					typ := value.Type()
					if strings.HasPrefix(attribute, "slack.") && typ == pcommon.ValueTypeSlice {
						typ = pcommon.ValueTypeStr // the receiver's own: a string or a list of strings
					}
					if seen, ok := types[attribute]; ok {
						assert.Equal(t, seen, typ, attribute)
					}
					types[attribute] = typ
				}
			}
		}
		for attribute := range types {
			for end, c := range attribute {
				if c == '.' {
					assert.NotContains(t, types, attribute[:end], "parent of %s", attribute)
				}
			}
		}
	}
}

// Actions that Slack may add one day.
func TestUnknownActions(t *testing.T) {
	toECS, toOCSF := transform(t, ecs), transform(t, ocsf)
	for action, want := range map[string][2]string{
		"hologram_created":               {"configuration creation success", "3004 1"},
		"hologram_deleted":               {"configuration deletion success", "3004 4"},
		"hologram_teleported":            {"configuration change success", "3004 3"},
		"user_promoted":                  {"iam user+change success", "3001 99"},
		"user_login_by_hologram_failed":  {"authentication start failure", "3002 1"},
		"guest_sessions_revoked":         {"authentication end success", "3002 2"},
		"app_auto_uninstalled":           {"package deletion success", "6002 2"},
		"file_previewed":                 {"file access success", "6006 14"},
		"hologram_token_created":         {"iam creation success", "3004 1"},
		"role_hologram_updated":          {"iam change+admin success", "3004 3"},
		"malicious_link_detected":        {"malware info success", "2004 1"},
		"pref.hologram_login_allowed":    {"configuration change success", "3004 3"},
		"mcp_slack_delete_tool_called":   {"api deletion success", "6003 4"},
		"hologram_export_failed":         {"file creation failure", "6001 7"},
		"xyzzy":                          {"configuration info success", "3004 99"},
		"no action at all (really)":      {"configuration info unknown", "3004 99"},
		"user_added_to_usergroup_failed": {"iam group+change failure", "3006 3"},
	} {
		logs, records := newLogs()
		appendRecord(record.New(defaults), "audit", entry(t, action), record.Change{}, records)
		rec := recordsOf(toECS(logs)).At(0)
		got := strings.Join([]string{strs(get(t, rec, "event.category")), strs(get(t, rec, "event.type")), get(t, rec, "event.outcome").Str()}, " ")
		assert.Equal(t, want[0], got, action)
		assert.Equal(t, action, get(t, rec, "event.action").Str())
		rec = recordsOf(toOCSF(logs)).At(0)
		assert.Equal(t, want[1], get(t, rec, "class_uid").AsString()+" "+get(t, rec, "activity_id").AsString(), action)
		assert.Equal(t, action, get(t, rec, "metadata.event_code").Str())
	}
}

// The receiver's health records, and what others send down the pipeline, stay as they are.
func TestOtherRecordsAreLeftAlone(t *testing.T) {
	for _, name := range []string{ecs, ocsf, ocsfBody} {
		to := transform(t, name)
		for _, event := range []string{"slack.collection.heartbeat", "user_login", ""} {
			logs, records := newLogs()
			records.AppendEmpty().SetEventName(event)
			records.At(0).Attributes().PutStr("slack.log.type", "collection")
			records.At(0).Body().SetStr("text")
			rec := recordsOf(to(logs)).At(0)
			assert.Equal(t, 1, rec.Attributes().Len(), event)
			assert.Equal(t, "text", rec.Body().Str())
		}
	}
}

// Both presets read an action in the same way.
func TestPresetsShareTheirRules(t *testing.T) {
	rules := func(file string) string {
		text, err := os.ReadFile(filepath.Join(examples, file))
		require.NoError(t, err)
		found := regexp.MustCompile(`(?s)# 1\. .*?# 5\. `).Find(text)
		require.NotEmpty(t, found)
		return string(found)
	}
	assert.Equal(t, rules("ecs.yaml"), rules("ocsf.yaml"))
}

// examplesOf are the entries whose records a reader has looked at whole.
func examplesOf(t *testing.T) plog.Logs {
	t.Helper()
	logs, records := newLogs()
	c := record.New(defaults)
	for _, file := range []string{
		"audit/anomaly", "audit/app_scopes_expanded", "audit/file_downloaded_by_bot", "audit/message_tombstoned",
		"audit/pref_changed", "audit/role_assigned", "audit/session_reset_by_slack", "audit/user_channel_join", "audit/user_login",
		"access/laptop", "integration/app_scopes_expanded", "integration/service_enabled",
	} {
		text, err := os.ReadFile(filepath.Join("../../internal/record/testdata", file+".json"))
		require.NoError(t, err)
		appendRecord(c, filepath.Dir(file), bytes.TrimSpace(text), record.Change{New: true, Delta: 42, DeltaOK: true}, records)
	}
	for _, text := range [][]byte{
		entry(t, "user_email_updated"),
		// Whom, only the details tell.
		[]byte(`{"id":"b7e0c3d2-0000-4000-8000-000000000021","date_create":1772600021,"action":"role_assigned",` +
			`"actor":{"type":"user","user":{"id":"W04BW000003","name":"Ada Ashdown","email":"ada@brightwater.example"}},` +
			`"entity":{"type":"role","role":{"id":"Rl0A","name":"Compliance Admin","type":"0"}},` +
			`"context":{"ip_address":"2001:db8::7"},"details":{"target_user":"W04BW000005","target_entity":"E04BRIGHTWA"}}`),
		[]byte(`{"id":"b7e0c3d2-0000-4000-8000-000000000022","date_create":1772600022,"action":"anomaly",` +
			`"actor":{"type":"user","user":{"id":"W04BW000003","name":"Ada Ashdown","email":"ada@brightwater.example"}},` +
			`"entity":{"type":"user","user":{"id":"W04BW000003","name":"Ada Ashdown","email":"ada@brightwater.example"}},` +
			`"context":{"ip_address":"198.51.100.7"},"details":{"previous_ip_address":"203.0.113.9","reason":["ip_address"]}}`),
	} {
		appendRecord(c, "audit", text, record.Change{}, records)
	}
	return logs
}

// What is added to some records, as a reader has found it right.
func TestWhatIsAdded(t *testing.T) {
	for name, file := range map[string]string{ecs: "ecs.json", ocsf: "ocsf.json"} {
		before, after := recordsOf(examplesOf(t)), recordsOf(transform(t, name)(examplesOf(t)))
		var out bytes.Buffer
		for i, rec := range after.All() {
			was := before.At(i).Attributes()
			rec.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool {
				_, ok := was.Get(name)
				return ok
			})
			writeJSON(t, &out, rec.EventName(), rec.Attributes().AsRaw())
		}
		compare(t, file, out.String())
	}
}

func writeJSON(t *testing.T, to *bytes.Buffer, name string, fields map[string]any) {
	t.Helper()
	text, err := json.MarshalIndent(map[string]any{name: fields}, "", "  ")
	require.NoError(t, err)
	to.Write(text)
	to.WriteByte('\n')
}

// The body is an event as OCSF has it: with the objects that its class requires, if Slack gives what they hold.
func TestOCSFBody(t *testing.T) {
	attributes, body := transform(t, ocsf), transform(t, ocsfBody)
	logs := body(attributes(examplesOf(t)))
	var out bytes.Buffer
	for i, rec := range recordsOf(logs).All() {
		require.Equal(t, pcommon.ValueTypeMap, rec.Body().Type(), rec.EventName())
		event := rec.Body().Map().AsRaw()
		assert.Equal(t, recordsOf(examplesOf(t)).At(i).Body().Str(), event["raw_data"], "Slack's own text")
		class := ocsfClasses[event["class_uid"].(int64)]
		for _, required := range append(slices.Clone(class.required), "metadata", "severity_id", "time", "type_uid", "activity_id", "category_uid") {
			if _, ok := rec.Attributes().Get("client.address"); required == "src_endpoint" && !ok {
				continue
			}
			assert.Contains(t, event, required, "%s: %s", rec.EventName(), class.name)
		}
		delete(event, "raw_data")
		writeJSON(t, &out, rec.EventName(), event)
	}
	compare(t, "ocsf_body.json", out.String())
	for _, opts := range settings() {
		before := allRecords(t, opts)
		after := recordsOf(body(attributes(allRecords(t, opts))))
		for i, rec := range recordsOf(before).All() {
			raw, ok := after.At(i).Body().Map().Get("raw_data")
			require.Equal(t, rec.Body().Type() == pcommon.ValueTypeStr, ok, rec.EventName())
			if ok {
				assert.Equal(t, rec.Body().Str(), raw.Str())
			}
		}
	}
}

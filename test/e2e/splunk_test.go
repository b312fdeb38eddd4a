// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package e2e // import "github.com/slacklogs/otelcol-slacklogs/test/e2e"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// conf reads a .conf file of Splunk's: stanzas with their settings.
func conf(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(examples + "splunk/TA-slacklogs/" + name)
	require.NoError(t, err)
	stanzas := map[string]map[string]string{}
	in := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			in = strings.Trim(line, "[]")
			require.NotContains(t, stanzas, in, name)
			stanzas[in] = map[string]string{}
		default:
			key, value, ok := strings.Cut(line, " = ")
			require.True(t, ok, "%s: %s", name, line)
			stanzas[in][key] = value
		}
	}
	return stanzas
}

// TestSplunkHost leaves the organisation's domain out.
func TestSplunkHost(t *testing.T) {
	address := unused(t)
	sink := peer(t, splunkhecreceiver.NewFactory(), map[string]any{"endpoint": address})
	setEnv(t)
	t.Setenv("SPLUNK_HEC_URL", "http://"+address+"/services/collector")
	t.Setenv("SPLUNK_HEC_TOKEN", "00000000-0000-0000-0000-000000000000")
	slack := newSlack(t)
	start(t, slack, "splunk/splunk-hec.yaml", "receivers: {slacklogs: {resource_attributes: {slack.enterprise.domain: {enabled: false}}}}")
	for _, r := range arrived(t, sink, slack.sent) {
		assert.Equal(t, "slack.com", r.(map[string]any)["resource"].(map[string]any)["host.name"])
	}
}

// spl evaluates as much of Splunk's eval language as props.conf uses. null is "", and so is what is false.
type spl struct {
	tokens []string
	fields map[string]string
}

var token = regexp.MustCompile(`"[^"]*"|'[^']*'|[a-z_]+|OR|==|[(),.]`)

func calculate(t *testing.T, expression string, fields map[string]string) string {
	t.Helper()
	require.Empty(t, strings.TrimSpace(token.ReplaceAllString(expression, "")), expression)
	s := &spl{tokens: token.FindAllString(expression, -1), fields: fields}
	value := s.or(t)
	require.Empty(t, s.tokens, expression)
	return value
}

// take takes the next token, if it is that one.
func (s *spl) take(token string) bool {
	ok := len(s.tokens) > 0 && s.tokens[0] == token
	if ok {
		s.tokens = s.tokens[1:]
	}
	return ok
}

func truth(is bool) string {
	if is {
		return "true"
	}
	return ""
}

func (s *spl) or(t *testing.T) string {
	t.Helper()
	value := s.equals(t)
	for s.take("OR") {
		other := s.equals(t)
		value = truth(value != "" || other != "")
	}
	return value
}

func (s *spl) equals(t *testing.T) string {
	t.Helper()
	value := s.joined(t)
	if s.take("==") {
		other := s.joined(t)
		value = truth(value != "" && value == other)
	}
	return value
}

func (s *spl) joined(t *testing.T) string {
	t.Helper()
	value := s.term(t)
	for s.take(".") {
		other := s.term(t)
		if value == "" || other == "" {
			value = ""
			continue
		}
		value += other
	}
	return value
}

func (s *spl) term(t *testing.T) string {
	t.Helper()
	require.NotEmpty(t, s.tokens)
	word := s.tokens[0]
	s.tokens = s.tokens[1:]
	switch {
	case word[0] == '"':
		return strings.Trim(word, `"`)
	case !s.take("("):
		return s.fields[strings.Trim(word, "'")]
	}
	var args []string
	for !s.take(")") {
		args = append(args, s.or(t))
		s.take(",")
	}
	switch {
	case word == "true" && len(args) == 0:
		return "true"
	case word == "match" && len(args) == 2:
		return truth(args[0] != "" && regexp.MustCompile(args[1]).MatchString(args[0]))
	case word == "coalesce":
		return args[slices.IndexFunc(append(args, "last"), func(a string) bool { return a != "" })%len(args)]
	case word == "if" && len(args) == 3, word == "case" && len(args)%2 == 0:
		for ; len(args) > 1; args = args[2:] {
			if args[0] != "" {
				return args[1]
			}
		}
		return strings.Join(args, "") // what is left of an if
	}
	require.Fail(t, "what is "+word+"?")
	return ""
}

// extract makes fields of JSON as KV_MODE = json does.
func extract(to map[string]string, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			extract(to, strings.TrimPrefix(name+"."+key, "."), member)
		}
	case []any:
		for _, element := range slices.Backward(v) { // of several values the first
			extract(to, name+"{}", element)
		}
	case nil:
		to[name] = "null"
	default:
		to[name] = fmt.Sprint(v)
	}
}

// indexed are the events of the golden, as they are in Splunk's index.
func indexed(t *testing.T) (events []struct {
	Attributes map[string]any
	Resource   map[string]string
	Body       string
},
) {
	t.Helper()
	text, err := os.ReadFile("testdata/splunk.json")
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&events))
	require.NotEmpty(t, events)
	return events
}

// TestSplunkConf checks that the .conf files fit each other, as far as it goes without Splunk.
func TestSplunkConf(t *testing.T) {
	props, tags := conf(t, "default/props.conf"), conf(t, "default/tags.conf")
	for _, sourcetype := range []string{"slack:audit", "slack:access", "slack:integration"} {
		require.Contains(t, props, sourcetype)
		// What the data models Authentication and Change ask for.
		for _, field := range []string{"action", "app", "dest", "user", "vendor_product"} {
			assert.Contains(t, props[sourcetype], "EVAL-"+field, sourcetype)
		}
	}
	eventtypes := conf(t, "default/eventtypes.conf")
	var searches []string
	for eventtype, settings := range eventtypes {
		assert.NotEmpty(t, tags["eventtype="+eventtype], eventtype)
		searches = append(searches, settings["search"])
	}
	for sourcetype := range props {
		if sourcetype == "slack:collection" {
			continue // health records belong to no data model
		}
		assert.Contains(t, strings.Join(searches, " "), `sourcetype="`+sourcetype+`"`)
	}
	assert.Len(t, tags, len(eventtypes))
	assert.Equal(t, "system", conf(t, "metadata/default.meta")[""]["export"])
	assert.Equal(t, "TA-slacklogs", conf(t, "default/app.conf")["package"]["id"])
}

// TestSplunkFields compares fields.conf with what is indexed: what the exporter adds, what the receiver can put into
// attributes, and what arrived.
func TestSplunkFields(t *testing.T) {
	listed := conf(t, "default/fields.conf")
	for field, settings := range listed {
		assert.Equal(t, map[string]string{"INDEXED": "true"}, settings, field)
	}
	want := map[string]bool{
		"otel.log.name": true, "otel.log.severity.number": true, "otel.log.severity.text": true,
		"slack.action": true, "slack.change_type": true, "slack.entity.type": true,
		// Of health records, and of what the detection rules have tagged.
		"slack.log.about": true, "slack.log.event": true, "slack.detections": true, "slack.detection.level": true,
		"security_rule.name": true, "security_rule.uuid": true, "security_rule.version": true, "security_rule.ruleset.name": true,
	}
	for _, attribute := range record.ResourceAttributes {
		want[attribute.Name] = true
	}
	for _, logType := range record.LogTypes() {
		for _, attribute := range logType.Attributes {
			want[attribute.Name] = true
		}
	}
	delete(want, record.DetailsOverflow.Name) // not in core
	assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(listed)))
	for _, event := range indexed(t) {
		assert.Subset(t, listed, slices.Collect(maps.Keys(event.Attributes)))
	}
}

// TestSplunkCIM evaluates all of props.conf over what arrived.
func TestSplunkCIM(t *testing.T) {
	props := conf(t, "default/props.conf")
	var all []any
	for _, event := range indexed(t) {
		fields := map[string]string{}
		var body any
		decoder := json.NewDecoder(strings.NewReader(event.Body))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&body))
		extract(fields, "", body)
		for name, value := range event.Attributes {
			assert.NotContains(t, fields, name, "an indexed field must not have the name of one in the event")
			extract(fields, name, value)
		}
		sourcetype := event.Resource["com.splunk.sourcetype"]
		cim := map[string]string{"sourcetype": sourcetype, "log.record.uid": fields["log.record.uid"]}
		for setting, expression := range props[sourcetype] {
			if field, ok := strings.CutPrefix(setting, "EVAL-"); ok {
				if value := calculate(t, expression, fields); value != "" {
					cim[field] = value
				}
			}
		}
		all = append(all, cim)
	}
	golden(t, "splunk_cim", all)
}

// TestSplunkActions evaluates the rules over names of actions.
func TestSplunkActions(t *testing.T) {
	audit := conf(t, "default/props.conf")["slack:audit"]
	of := func(field, action string) string {
		return calculate(t, audit["EVAL-"+field], map[string]string{"slack.action": action})
	}
	for action, want := range map[string][3]string{ // class, status, action; the last matters in logins and changes
		"user_login":                                    {"authentication", "success", "success"},
		"user_login_failed":                             {"authentication", "failure", "failure"},
		"cli_login":                                     {"authentication", "success", "success"},
		"ip_allowlist_access_denied":                    {"authentication", "failure", "failure"},
		"user_logout":                                   {"activity", "success"},
		"file_downloaded":                               {"activity", "success"},
		"file_downloaded_blocked":                       {"activity", "failure"},
		"anomaly":                                       {"activity", "success"},
		"mcp_slack_send_message_tool_called":            {"activity", "success"},
		"huddle_started":                                {"activity", "success"},
		"user_created":                                  {"change", "success", "created"},
		"app_installed":                                 {"change", "success", "created"},
		"guest_deactivated":                             {"change", "success", "deleted"},
		"external_shared_channel_disconnected":          {"change", "success", "deleted"},
		"role_change_to_owner":                          {"change", "success", "modified"},
		"pref.two_factor_auth_changed":                  {"change", "success", "modified"},
		"user_session_reset_by_admin":                   {"change", "success", "modified"},
		"user_add_to_usergroup_failed":                  {"change", "failure", "modified"},
		"file_upload_blocked_by_type":                   {"change", "failure", "modified"},
		"team.unsupportedVersions.start.failure":        {"change", "failure", "modified"},
		"child_app_auto_install_denied":                 {"change", "failure", "modified"},
		"external_shared_channel_invite_request_denied": {"change", "success", "modified"},
		"workspace_declined_migration":                  {"change", "success", "modified"},
		// Of no list.
		"tide_pool_drained":        {"change", "success", "modified"},
		"tide_pool_access_denied":  {"authentication", "failure", "failure"},
		"tide_pool_request_denied": {"change", "success", "modified"},
		// Near misses.
		"user_login_failed_reset":              {"change", "failure", "modified"},
		"pref.user_login":                      {"change", "success", "modified"},
		"user_logins":                          {"change", "success", "modified"},
		"unfailed":                             {"change", "success", "modified"},
		"failed_login":                         {"change", "failure", "modified"},
		"pref.unblocked_apps":                  {"change", "success", "modified"},
		"pref.block_download":                  {"change", "success", "modified"},
		"external_channel_request_denied_undo": {"change", "failure", "modified"},
		"huddles":                              {"change", "success", "modified"},
		"app_downloaded_by":                    {"change", "success", "modified"},
		"user_createds":                        {"change", "success", "modified"},
	} {
		assert.Equal(t, want[0], of("slack_class", action), action)
		assert.Equal(t, want[1], of("status", action), action)
		if want[0] != "activity" {
			assert.Equal(t, want[2], of("action", action), action)
		}
	}

	// All known actions end as they do in ECS, and the same ones are logins.
	text, err := os.ReadFile("../schemas/testdata/ecs.tsv")
	require.NoError(t, err)
	known := 0
	for line := range strings.Lines(string(text)) { // action, kind, category, type, outcome
		ecs := strings.Split(strings.TrimSpace(line), "\t")
		if len(ecs) < 5 || ecs[0] == "action" || strings.Contains(ecs[0], ":") {
			continue
		}
		known++
		assert.Equal(t, ecs[4] == "failure", of("status", ecs[0]) == "failure", ecs[0])
		assert.Equal(t, ecs[2] == "authentication" && ecs[3] == "start", of("slack_class", ecs[0]) == "authentication", ecs[0])
	}
	assert.Greater(t, known, 700)
}

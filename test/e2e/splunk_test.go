// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package e2e // import "github.com/slacklogs/otelcol-slacklogs/test/e2e"

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conf reads a .conf file of Splunk's: stanzas with their settings.
func conf(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(examples + "splunk/" + name)
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

var condition = regexp.MustCompile(`(?:match\('slack\.action', "([^"]*)"\)|(true\(\))), "(\w+)"`)

// firstOf evaluates a case() over the action.
func firstOf(t *testing.T, expression, action string) string {
	t.Helper()
	for _, c := range condition.FindAllStringSubmatch(expression, -1) {
		if c[2] != "" || regexp.MustCompile(c[1]).MatchString(action) {
			return c[3]
		}
	}
	t.Fatalf("nothing is said of %s", action)
	return ""
}

// TestSplunkConf checks the .conf files as far as it goes without Splunk: that they fit each other, and what the rules
// over names make of actions.
func TestSplunkConf(t *testing.T) {
	props, tags := conf(t, "props.conf"), conf(t, "tags.conf")
	for _, sourcetype := range []string{"slack:audit", "slack:access", "slack:integration"} {
		require.Contains(t, props, sourcetype)
		// What the data models Authentication and Change ask for.
		for _, field := range []string{"action", "app", "dest", "user", "vendor_product"} {
			assert.Contains(t, props[sourcetype], "EVAL-"+field, sourcetype)
		}
	}
	var searches []string
	for eventtype, settings := range conf(t, "eventtypes.conf") {
		assert.NotEmpty(t, tags["eventtype="+eventtype], eventtype)
		searches = append(searches, settings["search"])
	}
	for sourcetype := range props {
		assert.Contains(t, strings.Join(searches, " "), `sourcetype="`+sourcetype+`"`)
	}
	assert.Len(t, tags, len(conf(t, "eventtypes.conf")))
	assert.Contains(t, conf(t, "fields.conf"), "slack.access.change", "an eventtype searches for it, and the event does not hold it")

	for action, want := range map[string][2]string{
		"user_login":                           {"authentication", "success"},
		"user_login_failed":                    {"authentication", "failure"},
		"cli_login":                            {"authentication", "success"},
		"user_logout":                          {"activity", ""},
		"file_downloaded":                      {"activity", ""},
		"anomaly":                              {"activity", ""},
		"mcp_slack_send_message_tool_called":   {"activity", ""},
		"huddle_started":                       {"activity", ""},
		"user_created":                         {"change", "created"},
		"app_installed":                        {"change", "created"},
		"guest_deactivated":                    {"change", "deleted"},
		"external_shared_channel_disconnected": {"change", "deleted"},
		"role_change_to_owner":                 {"change", "modified"},
		"pref.two_factor_auth_changed":         {"change", "modified"},
		"user_session_reset_by_admin":          {"change", "modified"},
		"tide_pool_drained":                    {"change", "modified"}, // of no list
	} {
		assert.Equal(t, want[0], firstOf(t, props["slack:audit"]["EVAL-slack_class"], action), action)
		if want[1] != "" {
			assert.Equal(t, want[1], firstOf(t, props["slack:audit"]["EVAL-action"], action), action)
		}
	}
}

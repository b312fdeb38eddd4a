// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// TestLuceneRegexps runs what was written as a pattern that covers the whole value, as Lucene does: for these patterns both
// languages have the same form.
func TestLuceneRegexps(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`tor`, `(?i)tor`, `^tor`, `tor$`, `^tor$`, `^$`, `(^|[^a-z])tor([^a-z]|exit|$)`, `(?i)(^|[,\s])admin(\.[a-z_.]+)?(:[a-z_]+)?([,\s]|$)`,
		`a.b`, `(?s)a.b`, `a{2}`, `a{2,}b`, `^a{1,3}$`, `[^x]y`, `a|^b|c$`, `\.(zip|tar)(\.[0-9]{3})?$`, `()`, `a*`, `x(ab)+y`, `(?i)straße`, `#@&<>~"`, `[\]\^-]`,
	} {
		want := regexp.MustCompile(pattern)
		texts, err := luceneRegexps(pattern)
		require.NoError(t, err, pattern)
		for _, value := range []string{
			"", "tor", "Tor", "TOR", "xtorx", "x tor", "tor x", "torexit", "actor", "doctors", "admin", "Admin.users:read,chat:write", "chat:write, admin.x",
			"administer", "a\nb", "axb", "aab", "aaab", "aa", "a", "aaaa", "xy", "ay", "b", "ba", "ab", "c", "ca", "file.zip", "file.ZIP", "file.tar.001", "xzip",
			"xababy", "xy", "STRASSE", "STRAẞE", "straße", `#@&<>~"`, "]", "^", "-",
		} {
			got := false
			for _, text := range texts {
				// Lucene's own escapes of what RE2 takes as it stands.
				got = got || regexp.MustCompile(`(?s)^(?:`+regexp.MustCompile(`\\([#@&<>~",:!%';=/ \x60])`).ReplaceAllString(text, "$1")+`)$`).MatchString(value)
			}
			assert.Equal(t, want.MatchString(value), got, "%s as %q for %q", pattern, texts, value)
		}
	}
	for _, pattern := range []string{`a^b`, `a$b`, `\bword\b`, `(?m)^a$`, `a(^b)*`} {
		_, err := luceneRegexps(pattern)
		assert.Error(t, err, pattern)
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	test := func(field string, op sigma.Op, cased bool, values ...string) *sigma.Test {
		return &sigma.Test{Field: field, Op: op, Cased: cased, Values: values}
	}
	for _, c := range []struct {
		expr           sigma.Expr
		dsl, eql, esql string
	}{
		{
			test("action", sigma.Equal, false, "user_Login"),
			`{"term":{"attributes.slack.action":{"case_insensitive":true,"value":"user_Login"}}}`,
			`?attributes.slack.action : ("user_Login")`,
			`TO_LOWER(attributes.slack.action) == "user_login"`,
		},
		{
			test("actor.user.id", sigma.Equal, true, "W1", "W2"),
			`{"terms":{"attributes.slack.actor.user.id":["W1","W2"]}}`,
			`?attributes.slack.actor.user.id in ("W1", "W2")`,
			`attributes.slack.actor.user.id IN ("W1", "W2")`,
		},
		{ // a missing field takes nothing away
			sigma.Not{Expr: test("actor.user.id", sigma.Equal, true, "W1")},
			`{"bool":{"must_not":[{"terms":{"attributes.slack.actor.user.id":["W1"]}}]}}`,
			`not (?attributes.slack.actor.user.id != null and ?attributes.slack.actor.user.id in ("W1"))`,
			`NOT COALESCE(attributes.slack.actor.user.id == "W1", false)`,
		},
		{ // any value of a list
			test("details.new_value", sigma.Contains, false, `it"s *\`),
			`{"wildcard":{"attributes.slack.details.new_value":{"case_insensitive":true,"value":"*it\"s \\*\\\\*"}}}`,
			`?attributes.slack.details.new_value regex (".*[Ii][Tt]\\\"[Ssſ] \\*\\\\.*")`,
			"CONCAT(\"\u001f\", MV_CONCAT(TO_LOWER(attributes.slack.details.new_value), \"\u001f\"), \"\u001f\") LIKE \"*it\\\"s \\\\*\\\\\\\\*\"",
		},
		{
			test("details.new_value", sigma.Equal, true, "on"),
			`{"terms":{"attributes.slack.details.new_value":["on"]}}`,
			`?attributes.slack.details.new_value in ("on")`,
			"CONCAT(\"\u001f\", MV_CONCAT(attributes.slack.details.new_value, \"\u001f\"), \"\u001f\") LIKE \"*\u001fon\u001f*\"",
		},
		{
			test("entity.app.is_distributed", sigma.Equal, false, "true"),
			`{"terms":{"attributes.slack.entity.app.is_distributed":["true"]}}`,
			`?attributes.slack.entity.app.is_distributed == true`,
			`attributes.slack.entity.app.is_distributed == true`,
		},
		{
			test("context.session_id", sigma.Exists, false),
			`{"exists":{"field":"attributes.slack.context.session_id"}}`,
			`?attributes.slack.context.session_id != null`,
			`attributes.slack.context.session_id IS NOT NULL`,
		},
		{
			sigma.Not{Expr: test("context.session_id", sigma.Null, false)},
			`{"bool":{"must_not":[{"bool":{"must_not":[{"exists":{"field":"attributes.slack.context.session_id"}}]}}]}}`,
			`not (?attributes.slack.context.session_id == null)`,
			`NOT COALESCE(attributes.slack.context.session_id IS NULL, false)`,
		},
		{
			test("context.ip_address", sigma.CIDR, false, "192.0.2.0/24", "2001:db8::1"),
			`{"terms":{"attributes.slack.context.ip_address.ip":["192.0.2.0/24","2001:db8::1/128"]}}`,
			`cidrMatch(?attributes.slack.context.ip_address.ip, "192.0.2.0/24", "2001:db8::1/128")`,
			`CIDR_MATCH(attributes.slack.context.ip_address.ip, "192.0.2.0/24", "2001:db8::1/128")`,
		},
		{
			sigma.And{test("action", sigma.StartsWith, false, "mcp_"), sigma.Or{test("entity.name", sigma.EndsWith, true, ".pem"), test("entity.name", sigma.Regexp, false, `^x`)}},
			`{"bool":{"filter":[{"prefix":{"attributes.slack.action":{"case_insensitive":true,"value":"mcp_"}}},` +
				`{"bool":{"minimum_should_match":1,"should":[{"wildcard":{"attributes.slack.entity.name":{"case_insensitive":false,"value":"*.pem"}}},` +
				`{"regexp":{"attributes.slack.entity.name":{"value":"x.*"}}}]}}]}}`,
			`(?attributes.slack.action : ("mcp_*") and (?attributes.slack.entity.name like ("*.pem") or ?attributes.slack.entity.name regex ("x.*")))`,
			`(STARTS_WITH(TO_LOWER(attributes.slack.action), "mcp_") AND (ENDS_WITH(attributes.slack.entity.name, ".pem") OR attributes.slack.entity.name RLIKE "x.*"))`,
		},
		{ // only ASCII is compared without its case
			test("entity.name", sigma.Equal, false, "Ä"),
			`{"regexp":{"attributes.slack.entity.name":{"value":"[Ää]"}}}`,
			`?attributes.slack.entity.name regex ("[Ää]")`,
			`TO_LOWER(attributes.slack.entity.name) == "ä"`,
		},
	} {
		w := writer{"audit", fields{}}
		query, err := w.query(c.expr)
		require.NoError(t, err)
		text, err := json.Marshal(query)
		require.NoError(t, err)
		assert.JSONEq(t, c.dsl, string(text))
		eql, err := w.eql(c.expr, false)
		require.NoError(t, err)
		assert.Equal(t, c.eql, eql)
		esql, err := w.esql(c.expr)
		require.NoError(t, err)
		assert.Equal(t, c.esql, esql)
		assert.NotEmpty(t, w.fields)
	}

	w := writer{"audit", fields{}}
	same := test("actor.user.id", sigma.FieldRef, false, "entity.user.id")
	esql, err := w.esql(same)
	require.NoError(t, err)
	assert.Equal(t, "attributes.slack.actor.user.id == attributes.slack.entity.user.id", esql)
	_, err = w.eql(same, false)
	assert.ErrorContains(t, err, "not covered in a sequence")
	_, err = w.query(test("entity.name", sigma.CIDR, false, "192.0.2.0/24"))
	assert.ErrorContains(t, err, "no address")
	_, err = w.esql(test("details.x", sigma.Regexp, false, "a"))
	assert.ErrorContains(t, err, "may be a list")
}

// TestColumns has a member of any order be a column of its own.
func TestColumns(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{"other": true, "_5": true, "5_failed": false, "began": false, "window": false} {
		member := func(name string) detect.Member {
			return detect.Member{Rule: &detect.Rule{
				Rule:  &sigma.Rule{Header: sigma.Header{Name: name}, Logsource: sigma.Logsource{Product: "slack", Service: "audit"}},
				Match: &sigma.Test{Field: "action", Op: sigma.Equal, Values: []string{"a"}},
			}}
		}
		c := &detect.Correlation{
			Correlation: &sigma.Correlation{Type: sigma.Temporal, GroupBy: []string{"actor.user.id"}, Timespan: time.Hour},
			Members:     []detect.Member{member("first"), member(name)},
		}
		query, _, err := counting(&detect.Tuned{}, c, fields{})
		if ok {
			require.NoError(t, err)
			assert.Contains(t, query, "    "+name+" = COUNT_DISTINCT(")
		} else {
			assert.ErrorContains(t, err, name+": no column")
		}
	}
}

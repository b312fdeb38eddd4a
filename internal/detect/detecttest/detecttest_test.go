// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detecttest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
)

const rule = `title: %[1]s
id: 00000000-0000-4000-8000-00000000000%[2]d
name: %[1]s
status: experimental
date: 2026-11-22
level: high
logsource: {product: slack, service: %[1]s}
detection: {s: {%[3]s: x}, condition: s}
slacklogs: {tier: review, suppress: {by: [%[3]s], for: 1h}, playbooks: [contact-actor]}
`

var start = time.Unix(1772600000, 0)

func load(t *testing.T, text string) ([]detecttest.Case, error) {
	t.Helper()
	files := fstest.MapFS{}
	for i, logType := range []string{"audit", "access", "integration"} {
		field := []string{"action", "user_id", "app_id"}[i]
		files[logType+".yml"] = &fstest.MapFile{Data: fmt.Appendf(nil, rule, logType, i, field)}
	}
	pack, err := detect.Load(files)
	require.NoError(t, err)
	name, _, _ := strings.Cut(strings.TrimPrefix(text, "rule: "), "\n")
	return detecttest.Load(fstest.MapFS{name + ".yml": &fstest.MapFile{Data: []byte(text)}}, pack, start)
}

func TestEntries(t *testing.T) {
	t.Parallel()
	cases, err := load(t, `rule: audit
lists: {a: [x], b: [y]}
tests:
  - name: all that can be written
    finds: 2
    order: reversed
    lists: {b: [z]}
    entries:
      - {action: a, entity.file.name: n, details: {k: v}, details.l: [v, w], context.ua: null, user.roles: [owner], at: 90s, uid: mine}
      - {each: {count: 2, every: 1m, at: 1h, action: "a{n}", details.l: ["{n}"]}}
      - {log: access, user_id: u, country: null, access.change: seen_again}
      - {log: integration, change_type: removed}
`)
	require.NoError(t, err)
	require.Len(t, cases, 1)
	c := cases[0]
	assert.Equal(t, map[string][]string{"a": {"x"}, "b": {"z"}}, c.Lists)
	assert.Equal(t, 2, c.Finds)
	events := c.Events()
	require.Len(t, events, 5)
	value := func(n int, field string) string { return strings.Join(events[n].Values(field), ",") }
	assert.Equal(t, []string{"removed", "u", "", "seen_again", "a2", "2", "a1", "1"}, []string{
		value(0, "change_type"), value(1, "user_id"), value(1, "country"), value(1, "access.change"),
		value(2, "action"), value(2, "details.l"), value(3, "action"), value(3, "details.l"),
	})
	assert.Equal(t, []string{"a", "file", "n", "v", "v,w", "", "owner", "W0DETECT001"}, []string{
		value(4, "action"), value(4, "entity.type"), value(4, "entity.name"), value(4, "details.k"), value(4, "details.l"),
		value(4, "context.ua"), value(4, "user.roles"), value(4, "actor.user.id"),
	})
	assert.Equal(t, "mine", events[4].UID)
	for i, seconds := range []int64{0, 0, 3660, 3600, 90} {
		assert.Equal(t, start.Unix()+seconds, events[i].Time.Unix(), i)
	}
}

func TestTestsThatAreRefused(t *testing.T) {
	t.Parallel()
	for entry, says := range map[string]string{
		"{acton: x}":                    "acton",
		"{actor.usr.id: x}":             "actor.usr.id",
		"{user_id: x}":                  "audit records have no such field",
		"{log: access, action: x}":      "access records have no such field",
		"{log: other, action: x}":       "other",
		"{actor_kind: bot}":             "derived",
		"{details.scopes_added: [a]}":   "derived",
		"{user.roles: owner}":           "is a list",
		"{at: soon}":                    "at: ",
		"{each: {action: x}}":           "count",
		"{each: {count: 2, every: x}}":  "every",
		"{each: {count: 2}, action: x}": "beside",
		"{each: [1]}":                   "is a map",
		"{each: {count: 2, acton: x}}":  "acton",
	} {
		_, err := load(t, "rule: audit\ntests: [{name: n, finds: 0, entries: ["+entry+"]}]")
		assert.ErrorContains(t, err, says, entry)
	}
	const good = "rule: audit\ntests: [{name: n, finds: 0, entries: [{action: x}]}]\n"
	_, err := load(t, good)
	require.NoError(t, err)
	for change, says := range map[string]string{
		"rule: audit=>rule: nobody":    "no rule nobody",
		"name: n, =>":                  "has a name",
		"finds: 0, =>":                 "finds",
		"[{action: x}]=>[]":            "entries",
		"finds: 0=>finds: 0, order: x": "order",
		"finds: 0=>found: 0":           "found",
		"]\n=>]\n---\nrule: audit\n":   "second document",
	} {
		from, to, _ := strings.Cut(change, "=>")
		_, err := load(t, strings.Replace(good, from, to, 1))
		assert.ErrorContains(t, err, says, change)
	}
}

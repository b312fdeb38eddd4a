// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/detections"
)

var update = flag.Bool("update", false, "write examples/detections/tags.yaml anew")

// ownRule is one that a user might write; ownBurst counts what it matches.
const (
	ownRule = `
title: Coffee channel renamed
id: 3f0f4a5e-7d8b-4a53-9d8f-0f3f6a7f9a01
name: own_coffee
status: experimental
description: Somebody touched the coffee channel.
author: Somebody
date: 2026-11-22
tags: [attack.impact, attack.t1485]
logsource: {product: slack, service: audit}
detection:
  selection: {action: channel_renamed, actor.user.id|expand: '%security_team%'}
  condition: selection
falsepositives: [tea]
level: critical
slacklogs:
  tier: review
  suppress: {by: [actor.user.id], for: 1h}
  playbooks: [contact-actor]
`
	ownBurst = `
title: Coffee burst
id: 3f0f4a5e-7d8b-4a53-9d8f-0f3f6a7f9a02
name: own_burst
status: experimental
description: Again and again.
author: Somebody
date: 2026-11-22
tags: [attack.impact, attack.t1485]
correlation:
  type: event_count
  rules: [own_coffee]
  group-by: [actor.user.id]
  timespan: 10m
  condition: {gte: 3}
falsepositives: [tea]
level: critical
slacklogs:
  tier: page
  suppress: {by: [actor.user.id], for: 1h}
  playbooks: [contact-actor]
`
)

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = verb.Func(Run).Exit(t.Context(), "rules", args, &out, &errs)
	return code, out.String(), errs.String()
}

// folder holds files by name.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func ownRules(t *testing.T) string {
	t.Helper()
	return folder(t, map[string]string{"own_coffee.yml": ownRule, "own_burst.yml": ownBurst})
}

// lists is a file of the built-in lists with some changes to the text.
func lists(t *testing.T, replacements ...string) string {
	t.Helper()
	text := string(detections.Lists())
	for i := 0; i < len(replacements); i += 2 {
		require.Contains(t, text, replacements[i])
		text = strings.Replace(text, replacements[i], replacements[i+1], 1)
	}
	file := filepath.Join(t.TempDir(), "lists.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const (
	heldYAML    = "exceptions:\n- {rules: [role_to_admin], match: {actor.user.id: W1}, owner: ops, reason: merger, expires: 2999-01-01}\n"
	expiredYAML = "exceptions:\n- {rules: [role_to_admin, mfa_disabled], match: {actor.user.id: W1}, owner: ops@example.com, reason: merger, expires: 2020-01-01}\n"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{nil, 2, "", "slacklogs rules: say what to do"},
		{[]string{"--help"}, 0, "Usage: slacklogs rules list|compile|check", ""},
		{[]string{"burn"}, 2, "", `slacklogs rules: "burn" is none of list, compile, check`},
		{[]string{"list", "--help"}, 0, "Usage: slacklogs rules list", ""},
		{[]string{"compile", "--help"}, 0, "Usage: slacklogs rules compile", ""},
		{[]string{"check", "--help"}, 0, "Usage: slacklogs rules check", ""},
		{[]string{"list", "all"}, 2, "", `slacklogs rules list: "all" is no flag`},
		{[]string{"check", "all"}, 2, "", `slacklogs rules check: "all" is no flag`},
		{[]string{"list", "--tier", "page,urgent"}, 2, "", `"urgent" is none of page, review, hunt`},
		{[]string{"compile"}, 2, "", "--to must be one of: "},
		{[]string{"compile", "--to", "paper"}, 2, "", "--to must be one of: "},
		{[]string{"compile", "--to", "ottl", "now"}, 2, "", `"now" is no flag`},
		{[]string{"compile", "--to", "ottl", "--lists", "nowhere.yml"}, 1, "", "slacklogs rules: compile: open nowhere.yml"},
		{[]string{"list", "--rules", "nowhere"}, 1, "", "slacklogs rules: list: stat nowhere"},
	} {
		code, stdout, stderr := run(t, tt.args...)
		assert.Equal(t, tt.code, code, "%v", tt.args)
		assert.Contains(t, stdout, tt.stdout, "%v", tt.args)
		assert.Contains(t, stderr, tt.stderr, "%v", tt.args)
		assert.Equal(t, tt.stdout == "", stdout == "", "%v: %s", tt.args, stdout)
		assert.Equal(t, tt.stderr == "", stderr == "", "%v: %s", tt.args, stderr)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	dir := ownRules(t)
	code, all, stderr := run(t, "list", "--rules", dir)
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	assert.Regexp(t, `^NAME +LEVEL +TIER +LOG +KIND +THRESHOLD +TITLE\n`, all)
	assert.Regexp(t, `(?m)^own_burst +critical +page +audit +correlation +>= 3 in 10m by actor\.user\.id +Coffee burst$`, all)
	assert.Regexp(t, `(?m)^own_coffee +critical +review +audit +rule +each +Coffee channel renamed$`, all)
	assert.Regexp(t, `(?m)^\w+ +informational +- +audit +rule +each `, all, "building blocks have no tier")
	_, again, _ := run(t, "list", "--rules", dir)
	assert.Equal(t, all, again)

	_, paged, _ := run(t, "list", "--rules", dir, "--tier", "page")
	assert.Contains(t, paged, "own_burst")
	assert.NotContains(t, paged, "own_coffee")
	assert.NotContains(t, paged, "informational")
	_, some, _ := run(t, "list", "--tier", "page", "--tier", "review")
	_, same, _ := run(t, "list", "--tier", "review,page")
	assert.Equal(t, some, same)

	_, text, _ := run(t, "list", "--rules", dir, "--json")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	assert.Len(t, lines, strings.Count(all, "\n")-1)
	last := 5
	levels := map[string]int{"informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}
	for _, line := range lines {
		var l listed
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		rank, ok := levels[string(l.Level)]
		require.True(t, ok, line)
		assert.LessOrEqual(t, rank, last, "the most severe come first")
		last = rank
		assert.Contains(t, []string{"rule", "correlation"}, l.Kind)
		assert.NotEmpty(t, l.Logs)
	}
}

// examples/detections/tags.yaml is what compiling gives. -update writes it.
func TestCompiledExample(t *testing.T) {
	t.Parallel()
	const file = "../../../../examples/detections/tags.yaml"
	code, want, stderr := run(t, "compile", "--to", "ottl")
	require.Zero(t, code)
	assert.Regexp(t, `(?m)^not in it are the correlations, which need more than one record: \w+`, stderr)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
		return
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	// Not Equal: what it would show is too long to be read.
	fresh := want == string(got)
	assert.True(t, fresh, "%s is stale; run: go test ./cmd/slacklogs/internal/rules -run TestCompiledExample -update", file)
}

func TestCompile(t *testing.T) {
	t.Parallel()
	dir := ownRules(t)
	code, text, stderr := run(t, "compile", "--to", "ottl", "--rules", dir, "--lists", lists(t, "exceptions: []", expiredYAML), "--tier", "review")
	assert.Zero(t, code)
	assert.Contains(t, stderr, "own_coffee finds nothing: security_team is empty\n")
	assert.NotContains(t, stderr, "own_burst finds nothing", "it is of another tier")
	assert.Contains(t, stderr, "the exception for role_to_admin, mfa_disabled ended on 2020-01-01; ask ops@example.com: merger\n")
	assert.NotContains(t, regexp.MustCompile(`(?m)^not in it.*$`).FindString(stderr), "own_burst", "it is of another tier")
	assert.NotContains(t, text, `"own_coffee"`)
	assert.NotContains(t, text, `"mfa_disabled"`, "it is of another tier")
	assert.Contains(t, text, `"role_to_admin"`)

	security := regexp.MustCompile(`(?s)security_team:.*?values: \[\]`).FindString(string(detections.Lists()))
	filled := lists(t, security, strings.Replace(security, "values: []", "values: [W0SEC]", 1), "exceptions: []", heldYAML)
	output := filepath.Join(t.TempDir(), "tags.yaml")
	code, stdout, stderr := run(t, "compile", "--to", "ottl", "--rules", dir, "--lists", filled, "--output", output)
	assert.Zero(t, code)
	assert.Empty(t, stdout)
	assert.NotContains(t, stderr, "finds nothing: security_team")
	assert.NotContains(t, stderr, "ended on")
	assert.Contains(t, stderr, "own_burst")
	written, err := os.ReadFile(output)
	require.NoError(t, err)
	assert.Contains(t, string(written), `"own_coffee"`)
	assert.Contains(t, string(written), "W0SEC")
	_, again, _ := run(t, "compile", "--to", "ottl", "--rules", dir, "--lists", filled)
	assert.Equal(t, string(written), again)
}

// What can't be compiled leaves the old file as it was, and nothing beside it.
func TestOutputIsWholeOrAsBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	output := filepath.Join(dir, "tags.yaml")
	require.NoError(t, os.WriteFile(output, []byte("as before"), 0o640))
	broken := folder(t, map[string]string{"x.yml": "title: x\n"})
	code, _, stderr := run(t, "compile", "--to", "ottl", "--rules", broken, "--output", output)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "x.yml")
	text, err := os.ReadFile(output)
	require.NoError(t, err)
	assert.Equal(t, "as before", string(text))

	link := filepath.Join(t.TempDir(), "link.yaml")
	require.NoError(t, os.Symlink(output, link))
	code, _, _ = run(t, "compile", "--to", "ottl", "--output", link)
	assert.Zero(t, code)
	text, err = os.ReadFile(output)
	require.NoError(t, err)
	assert.Contains(t, string(text), "transform/slack_detections")
	info, err := os.Stat(output)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 1, "%v", files)

	for _, output := range []string{dir, filepath.Join(dir, "nowhere", "tags.yaml")} {
		code, _, _ := run(t, "compile", "--to", "ottl", "--output", output)
		assert.Equal(t, 1, code)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	networks := regexp.MustCompile(`(?s)corp_egress:.*?values: \[\]`).FindString(string(detections.Lists()))
	critical := regexp.MustCompile(`(?s)critical_apps:.*?values: \[\]`).FindString(string(detections.Lists()))
	partners := regexp.MustCompile(`(?s)  partner_orgs:.*?values: \[\]\n`).FindString(string(detections.Lists()))
	filled := strings.Replace(critical, "values: []", "values: [A0OWN]", 1)
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		says   []string
		silent []string
	}{
		{"the built-in pack", nil, 0, []string{"own_apps is empty", "api.slack.com/apps", ": all is well\n"}, nil},
		{"an exception that holds", []string{"--lists", lists(t, "exceptions: []", heldYAML)}, 0, []string{": all is well\n"}, []string{"ended on"}},
		{
			"one that has ended",
			[]string{"--lists", lists(t, "exceptions: []", expiredYAML)},
			1,
			[]string{"the exception for role_to_admin, mfa_disabled ended on 2020-01-01; ask ops@example.com: merger\n", ": 1 problem\n"},
			nil,
		},
		{
			"one without an owner and one without a reason",
			[]string{"--lists", lists(t, "exceptions: []",
				"exceptions:\n- {rules: [a], match: {action: b}, reason: r, expires: 2999-01-01}\n- {rules: [a], match: {action: b}, owner: o, expires: 2999-01-01}\n")},
			1,
			[]string{"exceptions: number 1: owner: ", "exceptions: number 2: reason: "},
			nil,
		},
		{
			"one for a rule that is not there",
			[]string{"--lists", lists(t, "exceptions: []", strings.Replace(heldYAML, "role_to_admin", "role_to_king", 1))},
			1,
			[]string{"an exception names the rule role_to_king, which is not there"},
			nil,
		},
		{
			"a list is missing, another holds nonsense",
			[]string{"--lists", lists(t, partners, "", networks, strings.Replace(networks, "values: []", "values: [home]", 1))},
			1,
			[]string{"lists.yml: partner_orgs is missing; `partner_orgs: {kind: org, values: []}` would do\n", `lists.yml: lists: corp_egress: "home" is no address`, ": 2 problems\n"},
			[]string{"needs the list"},
		},
		{
			"the wrong kind",
			[]string{"--lists", lists(t, networks, strings.Replace(networks, "kind: network", "kind: user", 1))},
			1,
			[]string{"corp_egress: kind is network, not user"},
			nil,
		},
		{"own app", []string{"--lists", lists(t, critical, filled), "--own-app", "A0OWN"}, 0, []string{"all is well"}, []string{"critical_apps"}},
		{"another's", []string{"--lists", lists(t, critical, filled), "--own-app", "A0OTHER"}, 1, []string{"critical_apps lacks A0OTHER, the collector's own app"}, nil},
		{"own app not known", []string{"--lists", lists(t, critical, filled)}, 0, []string{"own_apps is empty: is the collector's own app among critical_apps?"}, nil},
		{"own app named", []string{"--lists", lists(t, "own_apps: []", "own_apps: [A0OWN]"), "--own-app", "A0OWN"}, 0, []string{"all is well"}, []string{"own_apps", "critical_apps"}},
		{"own app misspelt", []string{"--lists", lists(t, "own_apps: []", "own_apps: ['A0 OWN']")}, 1, []string{`own_apps: "A0 OWN" is no id`}, nil},
		{
			"an exception for a rule that a correlation uses, with a field that is not there",
			[]string{"--lists", lists(t, "exceptions: []", strings.Replace(heldYAML, "actor.user.id", "actr.user.id", 1))},
			1,
			[]string{"an exception for role_to_admin: actr.user.id"},
			nil,
		},
		{"no lists at all", []string{"--lists", "nowhere.yml"}, 1, []string{"open nowhere.yml", ": 1 problem\n"}, nil},
		{"an empty file", []string{"--lists", filepath.Join(folder(t, map[string]string{"l.yml": ""}), "l.yml")}, 1, []string{"l.yml: "}, nil},
		{"no YAML", []string{"--lists", filepath.Join(folder(t, map[string]string{"l.yml": "lists: ["}), "l.yml")}, 1, []string{"l.yml: yaml: "}, nil},
		{"rules of one's own", []string{"--rules", ownRules(t)}, 0, []string{"own_coffee finds nothing: security_team is empty\n", "all is well"}, nil},
		{"broken ones, and an exception that has ended", []string{"--lists", lists(t, "exceptions: []", expiredYAML), "--rules", folder(t, map[string]string{
			"a.yml": "title: a\n", "b.yml": strings.Replace(ownRule, "level: critical", "level: awful", 1), "c.yml": ownBurst,
		})}, 1, []string{"rules: a.yml: ", `rules: b.yml: own_coffee: level: "awful"`, "ended on 2020-01-01", "3 problems"}, nil},
		{
			"a rule with the name of a built-in one",
			[]string{"--rules", folder(t, map[string]string{"a.yml": strings.Replace(ownRule, "name: own_coffee", "name: role_to_admin", 1)})},
			1,
			[]string{"role_to_admin is also role_to_admin"},
			nil,
		},
		{
			"a list that nobody knows",
			[]string{"--rules", folder(t, map[string]string{"a.yml": strings.Replace(ownRule, "%security_team%", "%baristas%", 1)})},
			1,
			[]string{"own_coffee: needs the list baristas"},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, append([]string{"check"}, tt.args...)...)
			assert.Equal(t, tt.code, code, stdout)
			assert.Empty(t, stderr)
			for _, text := range tt.says {
				assert.Contains(t, stdout, text)
			}
			for _, text := range tt.silent {
				assert.NotContains(t, stdout, text)
			}
		})
	}
}

func TestCheckRunsTests(t *testing.T) {
	t.Parallel()
	const test = `
rule: own_coffee
lists: {security_team: [W0SEC]}
tests:
  - name: one of them
    finds: 1
    entries: [{action: channel_renamed, actor.user.id: W0SEC}]
  - name: somebody else
    finds: %d
    entries: [{action: channel_renamed, actor.user.id: W0ELSE}]
`
	dir := ownRules(t)
	good := folder(t, map[string]string{"own_coffee.yml": strings.Replace(test, "%d", "0", 1)})
	code, stdout, _ := run(t, "check", "--rules", dir, "--tests", good)
	assert.Zero(t, code, stdout)

	bad := folder(t, map[string]string{
		"own_coffee.yml": strings.Replace(test, "%d", "2", 1),
		"own_burst.yml":  "rule: own_other\ntests: []\n",
		"a.yml":          "rule: [",
	})
	code, stdout, _ = run(t, "check", "--rules", dir, "--tests", bad)
	assert.Equal(t, 1, code)
	assert.Contains(t, stdout, "tests: own_coffee.yml: somebody else: 0 findings, not 2\n")
	assert.Contains(t, stdout, "tests: own_burst.yml: holds the tests of own_other, so it is to be called own_other.yml\n")
	assert.Contains(t, stdout, "tests: a.yml: ")
	assert.Contains(t, stdout, ": 3 problems\n")

	code, stdout, _ = run(t, "check", "--tests", t.TempDir())
	assert.Equal(t, 1, code)
	assert.Contains(t, stdout, "holds no *.yml")
}

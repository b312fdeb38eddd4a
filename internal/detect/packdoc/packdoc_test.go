// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package packdoc

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

var update = flag.Bool("update", false, "write the documents of detections/ anew")

const folder = "../../../detections/"

func load(t *testing.T) *detect.Pack {
	t.Helper()
	p, err := detect.Load(detections.Rules())
	require.NoError(t, err)
	return p
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(folder + name))
	require.NoError(t, err)
	return string(text)
}

// The documents say what the rules are. -update writes them.
func TestDocuments(t *testing.T) {
	t.Parallel()
	const (
		begin = "<!-- tables of the rules -->\n"
		end   = "<!-- end of the tables -->\n"
	)
	p := load(t)
	readme := readText(t, "README.md")
	before, rest, ok := strings.Cut(readme, begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	layer, err := Layer(p)
	require.NoError(t, err)
	for name, want := range map[string]string{
		"README.md":      before + begin + "\n" + Tables(p) + "\n" + end + after,
		"coverage.md":    Coverage(p, readText(t, "coverage-gaps.md")),
		"navigator.json": string(layer),
	} {
		if *update {
			require.NoError(t, os.WriteFile(folder+name, []byte(want), 0o600))
			continue
		}
		// Not Equal: what it would show is too long to be read.
		fresh := want == readText(t, name)
		assert.True(t, fresh, "%s is stale; run: go test ./internal/detect/packdoc -update", name)
	}
}

// Two runs write the same.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	p := load(t)
	for range 3 {
		again := load(t)
		assert.Equal(t, Tables(p), Tables(again))
		assert.Equal(t, Coverage(p, "# gaps\n"), Coverage(again, "# gaps\n"))
		one, err := Layer(p)
		require.NoError(t, err)
		two, err := Layer(again)
		require.NoError(t, err)
		assert.Equal(t, string(one), string(two))
	}
}

// Each rule stands in a table, and each row has as many cells as its table has columns.
func TestTables(t *testing.T) {
	t.Parallel()
	p := load(t)
	text := Tables(p)
	for _, r := range p.Rules {
		assert.Equal(t, 1, strings.Count(text, "\n| [`"+r.Name+"`](rules/"+r.LogType()+"/"+r.Name+".yml)"), r.Name)
		assert.FileExists(t, folder+"rules/"+r.LogType()+"/"+r.Name+".yml")
	}
	for _, c := range p.Correlations {
		assert.Equal(t, 1, strings.Count(text, "\n| [`"+c.Name+"`](rules/correlations/"+c.Name+".yml)"), c.Name)
		assert.FileExists(t, folder+"rules/correlations/"+c.Name+".yml")
	}
	columns := 0
	divider := regexp.MustCompile(`^\|(---\|)+$`)
	unescaped := regexp.MustCompile(`(^|[^\\])\|`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			columns = 0
		case strings.HasPrefix(line, "| ") && columns > 0:
			assert.Len(t, unescaped.FindAllString(line, -1), columns+1, line)
			assert.NotContains(t, line, "|  |", "an empty cell")
		case divider.MatchString(line):
			columns = strings.Count(line, "---")
		}
	}
}

// The tags of each rule fit each other: each technique serves a tactic that is named, and each tactic has a technique.
func TestTagsFitATTACK(t *testing.T) {
	t.Parallel()
	p := load(t)
	var headers []*sigma.Header
	for _, r := range p.Rules {
		headers = append(headers, &r.Header)
	}
	for _, c := range p.Correlations {
		headers = append(headers, &c.Header)
	}
	require.NotEmpty(t, headers)
	for _, h := range headers {
		tactics, ids := attackTags(h)
		for _, tactic := range tactics {
			assert.Contains(t, Tactics, tactic, h.Name)
			assert.True(t, slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(serves(h, id), tactic) }),
				"%s: no technique among the tags serves %s", h.Name, tactic)
		}
		for _, id := range ids {
			if assert.Contains(t, techniques, id, "%s: give it a name and tactics in attack.go", h.Name) {
				assert.NotEmpty(t, serves(h, id), "%s: %s serves %v, none of which is among the tags", h.Name, id, techniques[id].tactics)
			}
		}
	}
}

func TestTechniques(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	for id, known := range techniques {
		assert.Regexp(t, form, id)
		assert.NotEmpty(t, known.name, id)
		assert.NotEmpty(t, known.tactics, id)
		assert.Subset(t, Tactics, known.tactics, id)
	}
}

// The layer has the shape of Navigator's format 4.5, and nothing besides.
func TestLayer(t *testing.T) {
	t.Parallel()
	var l struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Domain      string `json:"domain"`
		Sorting     int    `json:"sorting"`
		Versions    struct {
			Attack    string `json:"attack"`
			Navigator string `json:"navigator"`
			Layer     string `json:"layer"`
		} `json:"versions"`
		Techniques []struct {
			TechniqueID string `json:"techniqueID"`
			Tactic      string `json:"tactic"`
			Score       int    `json:"score"`
			Comment     string `json:"comment"`
			Enabled     bool   `json:"enabled"`
		} `json:"techniques"`
		Gradient struct {
			Colors   []string `json:"colors"`
			MinValue int      `json:"minValue"`
			MaxValue int      `json:"maxValue"`
		} `json:"gradient"`
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(readText(t, "navigator.json"))))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&l))
	assert.Equal(t, "4.5", l.Versions.Layer)
	assert.Equal(t, AttackVersion, l.Versions.Attack)
	assert.Equal(t, "enterprise-attack", l.Domain)
	assert.NotEmpty(t, l.Name)
	assert.GreaterOrEqual(t, len(l.Gradient.Colors), 2)
	require.NotEmpty(t, l.Techniques)
	seen := map[[2]string]bool{}
	for _, one := range l.Techniques {
		key := [2]string{one.TechniqueID, one.Tactic}
		assert.False(t, seen[key], "%v stands there twice", key)
		seen[key] = true
		assert.Contains(t, techniques[one.TechniqueID].tactics, one.Tactic, one.TechniqueID)
		assert.Len(t, strings.Split(one.Comment, ", "), one.Score, one.TechniqueID)
		assert.LessOrEqual(t, one.Score, l.Gradient.MaxValue)
		assert.True(t, one.Enabled)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	const header = `
title: A
id: 11111111-1111-4111-8111-111111111111
name: a
status: test
date: 2026-11-22
logsource: {product: slack, service: audit}
level: low
`
	for _, tt := range []struct{ detection, what, condition string }{
		{"{s: {action: [a, b]}, condition: s}", "`a`, `b`", ""},
		{"{s: {action|startswith: pref.}, condition: s}", "`pref.*`", ""},
		{"{s: {action: a, details.x: [y, z]}, condition: s}", "`a`", "`details.x` is `y` or `z`"},
		{"{s: {action: a}, f: {actor.user.id|expand: '%l%'}, condition: s and not f}", "`a`", "`actor.user.id` is not in the list `l`"},
		{
			"{s: {action: a}, f: {actor.user.id|expand: '%l%'}, g: {user.roles: [owner]}, condition: s and not 1 of g and not f}", "`a`",
			"`user.roles` is not `owner` **and** `actor.user.id` is not in the list `l`",
		},
		{
			"{s: {action: a}, f: {details.x: y}, g: {details.z: null}, condition: s and not (f or g)}", "`a`",
			"`details.x` is not `y` **and** `details.z` is there",
		},
		{
			"{s: {action: a}, f: {details.x: y}, g: {details.z: null}, h: {details.w: v}, condition: (s and not (f or g)) or h}", "`a`",
			"(`action` is `a` **and** `details.x` is not `y` **and** `details.z` is there) **or** `details.w` is `v`",
		},
		{
			"{s: {action: a}, f: {details.x: y, details.z|exists: true}, condition: s and not f}", "`a`",
			"**not** (`details.x` is `y` **and** `details.z` is there)",
		},
		{"{s: {action: a, entity.file.name|re: 'x|y'}, condition: s}", "`a`", "`entity.file.name` matches `x\\|y`"},
		{"{s: {action: a}, t: {action: b, details.x: ''}, condition: s or t}", "`a`, `b`", "`action` is `a` **or** (`action` is `b` **and** `details.x` is nothing)"},
		{"{s: {context.ip_address|cidr: 192.0.2.0/24}, condition: s}", "", "`context.ip_address` is in `192.0.2.0/24`"},
		{"{s: {actor.user.id|fieldref: entity.user.id}, condition: s}", "", "`actor.user.id` is the same as `entity.user.id`"},
		{"{s: {details.x: 'a`b'}, condition: s}", "", "`details.x` is `` a`b ``"},
	} {
		var docs sigma.Documents
		require.NoError(t, docs.Parse([]byte(header+"detection: "+tt.detection+"\n")), tt.detection)
		assert.Equal(t, tt.what, codes(happenings(docs.Rules[0].Match)), tt.detection)
		assert.Equal(t, tt.condition, condition(docs.Rules[0].Match), tt.detection)
	}
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		correlation sigma.Correlation
		want        string
	}{
		{sigma.Correlation{Type: sigma.EventCount, GroupBy: []string{"a", "b"}, Timespan: 10 * time.Minute, Compare: "gte", Count: 5}, ">= 5 in 10m by a, b"},
		{sigma.Correlation{Type: sigma.ValueCount, GroupBy: []string{"a"}, Timespan: 24 * time.Hour, Compare: "gt", Count: 3, Field: "f"}, "> 3 different f in 24h by a"},
		{sigma.Correlation{Type: sigma.Temporal, GroupBy: []string{"a"}, Timespan: 48 * time.Hour}, "all in 2d by a"},
		{sigma.Correlation{Type: sigma.TemporalOrdered, GroupBy: []string{"a"}, Timespan: 90 * time.Second}, "in order in 90s by a"},
	} {
		assert.Equal(t, tt.want, Threshold(&detect.Correlation{Correlation: &tt.correlation}))
	}
}

// The README's links lead to something.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "coverage.md"} {
		for _, found := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(readText(t, name), -1) {
			_, err := os.Stat(folder + found[1])
			assert.NoError(t, err, name)
		}
	}
}

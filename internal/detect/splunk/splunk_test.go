// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package splunk_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/splunk"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	dump   = flag.String("dump", "", "a folder for the searches, with macros expanded and without lookups, for check/check.sh")
)

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// stanzas reads a .conf file.
func stanzas(text []byte) map[string]map[string]string {
	all := map[string]map[string]string{}
	in := ""
	for line := range strings.Lines(strings.ReplaceAll(string(text), " \\\n", "\x00")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			in = strings.Trim(line, "[]")
			if all[in] != nil {
				panic(in + " stands twice")
			}
			all[in] = map[string]string{}
		default:
			key, value, ok := strings.Cut(line, " = ")
			if _, twice := all[in][key]; !ok || twice {
				panic(line)
			}
			all[in][key] = strings.ReplaceAll(value, "\x00", "\n")
		}
	}
	return all
}

func load(tb testing.TB) (*detect.Pack, *detect.Lists, []detecttest.Case) {
	pack, err := detect.Load(detections.Rules())
	require.NoError(tb, err)
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(tb, err)
	cases, err := detecttest.Load(os.DirFS("../../../detections/tests"), pack, start)
	require.NoError(tb, err)
	return pack, lists, cases
}

func app(tb testing.TB, pack *detect.Pack, lists *detect.Lists) map[string][]byte {
	tuned, err := pack.Tune(lists, start)
	require.NoError(tb, err)
	files, err := splunk.App(tuned, pack, lists, detect.Tiers)
	require.NoError(tb, err)
	return files
}

// searches are the saved searches of rules and correlations, by name.
func searches(files map[string][]byte) map[string]map[string]string {
	byName := map[string]map[string]string{}
	for _, settings := range stanzas(files["default/savedsearches.conf"]) {
		if _, call, ok := strings.Cut(settings["search"], "`slacklogs_finding("); ok {
			name, _, _ := strings.Cut(call, ",")
			byName[name] = settings
		}
	}
	return byName
}

// addOn is props.conf of TA-slacklogs.
var addOn = sync.OnceValue(func() map[string]map[string]string {
	text, err := os.ReadFile("../../../examples/splunk/TA-slacklogs/default/props.conf")
	if err != nil {
		panic(err)
	}
	return stanzas(text)
})

// indexed is an entry as Splunk has it: the receiver's record, written by the exporter, with Splunk's extraction of JSON.
// TestLayout holds it to what a real exporter sent.
func indexed(tb testing.TB, e *detecttest.Entry) row {
	converter := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore})
	records := plog.NewLogRecordSlice()
	element := jsonstream.NewElement(e.JSON)
	switch e.LogType {
	case "access":
		converter.ParseAccess(detecttest.Team, element)
		converter.AppendAccess(records, e.Time, record.Change{New: !e.SeenAgain})
	case "integration":
		converter.ParseIntegration(detecttest.Team, element)
		converter.AppendIntegration(records, e.Time, converter.IntegrationUID(1))
	default:
		converter.ParseAudit(element)
		converter.AppendAudit(records, e.Time)
	}
	require.Equal(tb, 1, records.Len())
	lr := records.At(0)
	event := row{
		"_time": {strconv.FormatInt(lr.Timestamp().AsTime().Unix(), 10)},
		"index": {"slack"}, "sourcetype": {"slack:" + e.LogType},
	}
	var body any
	decoder := json.NewDecoder(strings.NewReader(lr.Body().AsString()))
	decoder.UseNumber()
	require.NoError(tb, decoder.Decode(&body))
	extract(event, "", body)
	// What TA-slacklogs makes of them says nothing of what Slack sent.
	for setting := range addOn()["slack:"+e.LogType] {
		if name, ok := strings.CutPrefix(setting, "EVAL-"); ok && name != "user_id" { // which is the same
			event[name] = []string{"made by TA-slacklogs"}
		}
	}
	if len(e.Roles) > 0 {
		event["user.roles"] = e.Roles
	}
	for name, v := range lr.Attributes().AsRaw() {
		delete(event, name)
		extract(event, name, v)
		// Several values of an indexed field have no braces.
		if list := event[name+"{}"]; list != nil {
			event[name] = list
			delete(event, name+"{}")
		}
	}
	return event
}

// TestLayout holds what the other tests search to what a real collector with Splunk's exporter has sent.
func TestLayout(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../test/e2e/testdata/splunk.json")
	require.NoError(t, err)
	var events []struct {
		Attributes map[string]any
		Resource   map[string]string
		Body       string
		Time       time.Time
	}
	require.NoError(t, json.Unmarshal(text, &events))
	require.NotEmpty(t, events)
	for _, sent := range events {
		logType, ok := strings.CutPrefix(sent.Resource["com.splunk.sourcetype"], "slack:")
		require.True(t, ok)
		ours := indexed(t, &detecttest.Entry{LogType: logType, JSON: []byte(sent.Body), SeenAgain: sent.Attributes["slack.access.change"] == "seen_again"})
		assert.Equal(t, strconv.FormatInt(sent.Time.Unix(), 10), ours["_time"][0])
		for name, v := range sent.Attributes {
			// The exporter's own, and what stands in the resource or depends on rows before.
			if strings.HasPrefix(name, "otel.") || strings.HasPrefix(name, "slack.enterprise.") || strings.HasPrefix(name, "slack.team.") || name == "slack.access.count_delta" || name == "log.record.uid" && logType != "audit" {
				continue
			}
			want := row{}
			extract(want, name, v)
			values := want[name]
			if values == nil {
				values = want[name+"{}"]
			}
			assert.Equal(t, values, ours[name], "%s of %s", name, sent.Body)
		}
	}
}

// TestFindings runs the search of each rule over its tests, and compares what it finds with the pack's own findings: all
// events at once, and one after another as they may arrive, newest first and twice.
func TestFindings(t *testing.T) {
	t.Parallel()
	pack, lists, cases := load(t)
	untuned := app(t, pack, lists)
	byRule := map[string][]detecttest.Case{}
	for _, c := range cases {
		byRule[c.Rule] = append(byRule[c.Rule], c)
	}
	for name := range searches(untuned) {
		assert.True(t, len(byRule[name]) > 0 || name == "access_new_country", "%s: no tests", name)
	}
	all := map[string]bool{}
	for _, c := range cases {
		for i := range c.Entries {
			for field := range indexed(t, &c.Entries[i]) {
				all[field] = true
			}
		}
	}
	for name, own := range byRule {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &engine{t: t, reads: map[string]bool{}, tokens: map[string][]string{}, patterns: map[string]*regexp.Regexp{}}
			has := map[string]bool{}
			for _, c := range own {
				files := untuned
				if len(c.Lists) > 0 {
					filled := &detect.Lists{Lists: maps.Clone(lists.Lists)}
					for name, values := range c.Lists {
						list := filled.Lists[name]
						list.Values = values
						filled.Lists[name] = list
					}
					files = app(t, pack, filled)
				}
				e.files, e.macros = files, stanzas(files["default/macros.conf"])
				settings := searches(files)[name]
				require.NotNil(t, settings, "no search")
				for field := range compare(t, e, pack, lists, c, settings["search"]) {
					has[field] = true
				}
			}
			// What a search reads must be in a record of the tests, or it looks for what is never there; what a rule asks
			// must be in one of its own.
			for field, condition := range e.reads {
				if !strings.Contains(field, ".") && !documented[field] {
					continue
				}
				other, list := strings.CutSuffix(field, "{}")
				if !list {
					other = field + "{}"
				}
				among := all
				if condition {
					among = has
				}
				assert.True(t, among[field] || among[other], "reads %s, which is in no record of the tests", field)
			}
		})
	}
}

// documented are Slack's fields without a dot.
var documented = func() map[string]bool {
	names := map[string]bool{}
	for _, logType := range record.LogTypes() {
		for _, field := range logType.Fields {
			names[field.Path] = true
		}
	}
	return names
}()

// compare runs one test, and returns the fields of its events.
func compare(t *testing.T, e *engine, pack *detect.Pack, lists *detect.Lists, c detecttest.Case, search string) map[string]bool {
	tuned, err := c.Tune(pack, lists)
	require.NoError(t, err)
	evaluator := tuned.NewEvaluator()
	for _, event := range c.Events() {
		evaluator.Add(event)
	}
	want := map[string]bool{}
	for _, f := range evaluator.Findings() {
		if f.Rule == c.Rule {
			want[keyText(pack, f)] = true
		}
	}

	var events []row
	newest, has := int64(0), map[string]bool{}
	for i := range c.Entries {
		event := indexed(t, &c.Entries[i])
		newest = max(newest, c.Entries[i].Time.Unix())
		for name := range event {
			has[name] = true
		}
		events = append(events, event)
	}
	arrive := func(event row, at int64) {
		event = maps.Clone(event)
		event["_indextime"] = []string{strconv.FormatInt(at, 10)}
		e.events = append(e.events, event)
	}
	run := func(now int64) map[string]bool {
		e.now = now
		got := map[string]bool{}
		for _, r := range e.run(search) {
			got[r["finding_key"][0]] = true
			assert.Equal(t, []string{c.Rule}, r["detection"])
			if r["actor"] != nil {
				at := int64(number(r["_time"]))
				assert.Equal(t, []string{fmt.Sprintf("`slacklogs_actor(%s,%d,%d)`", r["actor"][0], at-86400, at+3600)}, r["pivot_actor"])
			}
			for _, pivot := range []string{"pivot_actor", "pivot_session", "pivot_address"} {
				if r[pivot] != nil {
					assert.NotEmpty(t, e.run(r[pivot][0]), "%s: %s", c.Name, r[pivot])
				}
			}
		}
		return got
	}
	e.events = nil
	for _, event := range events {
		arrive(event, newest+60)
	}
	arrive(events[0], newest+60) // twice
	for _, e.closed = range []bool{false, true} {
		assert.Equal(t, want, run(newest+120), c.Name)
	}
	assert.Empty(t, run(newest+2*86400), "%s: what arrived two days ago is judged again", c.Name)
	if len(events) > 12 {
		return has // the rest is slow, and the same
	}
	got := map[string]bool{}
	e.events = nil
	for i, event := range slices.Backward(events) {
		at := newest + int64(len(events)-i)*7200
		arrive(event, at)
		maps.Copy(got, run(at+120))
	}
	assert.Equal(t, want, got, "%s: newest first, two hours between", c.Name)
	return has
}

// keyText is the finding_key of a finding.
func keyText(pack *detect.Pack, f detect.Finding) string {
	by := f.Fields
	for _, c := range pack.Correlations {
		if c.Name == f.Rule {
			by = c.Suppress.By
		}
	}
	var key []string
	for _, name := range by {
		v := f.Values[slices.Index(f.Fields, name)]
		if v == "" {
			v = "-"
		}
		key = append(key, v)
	}
	return strings.Join(key, "|")
}

// TestApp holds the app in examples, which has all lists empty, to what is compiled today.
func TestApp(t *testing.T) {
	t.Parallel()
	pack, lists, _ := load(t)
	files := app(t, pack, lists)
	const folder = "../../../examples/splunk-detections/" + splunk.AppName
	if *update {
		require.NoError(t, os.RemoveAll(folder))
		for name, text := range files {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o644))
		}
	}
	if *dump != "" {
		e := &engine{t: t, macros: stanzas(files["default/macros.conf"])}
		texts := []string{"`slacklogs_actor(W1,1,2)`", "`slacklogs_session(1,1,2)`", "`slacklogs_address(192.0.2.1,1,2)`"}
		for _, settings := range stanzas(files["default/savedsearches.conf"]) {
			texts = append(texts, settings["search"])
		}
		lookups := regexp.MustCompile(`\n\| (eval value_of_.* )?\|? ?lookup .*`)
		for i, text := range texts {
			require.NoError(t, os.WriteFile(filepath.Join(*dump, fmt.Sprintf("%d.spl", i)), []byte(lookups.ReplaceAllString(e.expand(text), "")), 0o600))
		}
	}
	var there []string
	require.NoError(t, filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, err = filepath.Rel(folder, name)
			there = append(there, filepath.ToSlash(name))
		}
		return err
	}))
	assert.ElementsMatch(t, slices.Collect(maps.Keys(files)), there, "go test ./internal/detect/splunk -update")
	for name, text := range files {
		golden, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err, "go test ./internal/detect/splunk -update")
		assert.Equal(t, string(golden), string(text), name)
	}
}

// own is a pack of documents that begin as all do.
func own(t *testing.T, documents ...string) *detect.Pack {
	t.Helper()
	files := fstest.MapFS{}
	for i, document := range documents {
		name := fmt.Sprintf("r%d", i+1)
		files[name+".yml"] = &fstest.MapFile{Data: []byte(fmt.Sprintf(`title: %s
id: 7c1d1111-1111-4111-8111-%012d
name: %s
status: experimental
description: x
date: 2026-11-22
falsepositives: [none]
`, name, i+1, name) + document)}
	}
	pack, err := detect.Load(files)
	require.NoError(t, err)
	return pack
}

const (
	handling = "level: high\nslacklogs: {tier: review, suppress: {by: [actor.user.id], for: 1h}, playbooks: [contact-actor]}\n"
	block    = "level: informational\n"
	audit    = "logsource: {product: slack, service: audit}\n"
)

// engineOf runs the searches of a pack of ours.
func engineOf(t *testing.T, pack *detect.Pack, lists *detect.Lists) (*engine, map[string]map[string]string) {
	t.Helper()
	files := app(t, pack, lists)
	return &engine{
		t: t, files: files, macros: stanzas(files["default/macros.conf"]), now: start.Unix() + 60,
		reads: map[string]bool{}, tokens: map[string][]string{}, patterns: map[string]*regexp.Regexp{},
	}, searches(files)
}

// entry is an audit entry with more in it than in all.
func entry(t *testing.T, uid, action, actor string, at time.Duration, more string) detecttest.Entry {
	t.Helper()
	text := fmt.Sprintf(`{"id":%q,"date_create":%d,"action":%q,"actor":{"type":"user","user":{"id":%q}},"context":{"ip_address":"198.51.100.7","session_id":null}%s}`,
		uid, start.Add(at).Unix(), action, actor, more)
	require.True(t, json.Valid([]byte(text)), text)
	return detecttest.Entry{LogType: "audit", UID: uid, Time: start.Add(at), JSON: []byte(text)}
}

func (e *engine) arrive(entries ...detecttest.Entry) {
	for i := range entries {
		event := indexed(e.t, &entries[i])
		event["_indextime"] = []string{strconv.FormatInt(e.now, 10)}
		e.events = append(e.events, event)
	}
}

// TestValues holds searches to the pack's own answer for values that are odd in SPL, in patterns or in JSON, and for
// fields that are a list, a text, null or not there. A text "null" is not among them: Splunk's extraction of JSON makes
// the same of it as of null.
func TestValues(t *testing.T) {
	t.Parallel()
	odd := []string{`it"s`, `a.b`, `a*b`, `C:\dir`, "back`tick", `{x}[y](z)`, `a|b`, `1^2$`, `$name$`, `%60`, "two\nlines", `Köln`, `'q'`, "", "x"}
	var conditions []string
	for _, value := range odd {
		if value == "" {
			continue
		}
		escaped := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(value)
		quoted := mustJSON(escaped)
		for _, modifier := range []string{"", "|contains", "|startswith", "|endswith", "|cased"} {
			conditions = append(conditions, fmt.Sprintf("details.v%s: %s", modifier, quoted))
		}
	}
	conditions = append(conditions, "details.v: null", "details.v|exists: true", `details.v: ["X", "y"]`, `context.session_id: null`, `context.session_id|exists: true`,
		"actor.user.id|fieldref: details.v", "details.v|fieldref: details.w", `entity.file.name|re: '"a\\b`+"`"+`"|^x$'`, `entity.file.name|re|i: 'KÖLN|[.]b$'`, `entity.file.name|re: "^two\nlines"`, "context.ip_address|cidr: 198.51.100.0/24",
		"context.ip_address|cidr: 10.0.0.0/8", "entity.app.is_distributed: true")
	var documents []string
	for _, condition := range conditions {
		for _, word := range []string{"s", "not s"} {
			documents = append(documents, audit+"detection: {s: {"+condition+"}, condition: "+word+"}\n"+handling)
		}
	}
	var more []string
	for _, value := range odd {
		more = append(more, fmt.Sprintf(`,"details":{"v":%s,"w":"x"}`, mustJSON(value)), fmt.Sprintf(`,"details":{"v":["other",%s]}`, mustJSON(value)),
			fmt.Sprintf(`,"details":{"v":%s}`, mustJSON("pre "+value+" post")), fmt.Sprintf(`,"entity":{"type":"file","file":{"id":"F1","name":%s}}`, mustJSON(value)))
	}
	more = append(more, "", `,"details":null`, `,"details":{"v":null,"w":null}`, `,"details":{"v":[]}`, `,"details":{"v":["W1"],"w":["W1"]}`, `,"details":{"v":"W1","w":"W1"}`,
		`,"details":{"v":["W1","W2"],"w":"W1"}`, `,"entity":{"type":"app","app":{"id":"A1","is_distributed":true}}`, `,"entity":{"type":"app","app":{"id":"A1","is_distributed":false}}`)
	c := detecttest.Case{}
	for n, m := range more {
		c.Entries = append(c.Entries, entry(t, strconv.Itoa(n), "anything", fmt.Sprintf("W%d", n), 0, m))
	}
	pack := own(t, documents...)
	lists := &detect.Lists{}
	tuned, err := pack.Tune(lists, start)
	require.NoError(t, err)
	want := map[string]map[string]bool{}
	evaluator := tuned.NewEvaluator()
	for _, event := range c.Events() {
		for _, rule := range evaluator.Add(event) {
			if want[rule.Name] == nil {
				want[rule.Name] = map[string]bool{}
			}
			want[rule.Name][event.Values("actor.user.id")[0]] = true
		}
	}
	e, saved := engineOf(t, pack, lists)
	e.arrive(c.Entries...)
	for i, document := range documents {
		name := fmt.Sprintf("r%d", i+1)
		got := map[string]bool{}
		for _, r := range e.run(saved[name]["search"]) {
			got[r["finding_key"][0]] = true
		}
		if want[name] == nil {
			want[name] = map[string]bool{}
		}
		assert.Equal(t, want[name], got, document)
	}
}

func mustJSON(value string) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// TestExceptions are taken away until their day is over, from rules and from the events of correlations.
func TestExceptions(t *testing.T) {
	t.Parallel()
	pack := own(t,
		audit+"detection: {s: {action: a}, condition: s}\n"+handling,
		"correlation: {type: event_count, rules: [r1], group-by: [actor.user.id], timespan: 5m, condition: {gte: 2}}\n"+handling)
	lists, err := detect.ParseLists([]byte(`exceptions:
  - {rules: [r1], match: {actor.user.id: W1}, owner: x, reason: x, expires: 2026-11-02}
  - {rules: [r2], match: {actor.user.id: W2}, owner: x, reason: x, expires: 2026-11-02}
`))
	require.NoError(t, err)
	e, saved := engineOf(t, pack, lists)
	keys := func(name string) (all []string) {
		for _, r := range e.run(saved[name]["search"]) {
			all = append(all, r["finding_key"]...)
		}
		return all
	}
	for n, actor := range []string{"W1", "W2", "W3"} {
		for i := range 2 {
			e.arrive(entry(t, fmt.Sprint(n, i), "a", actor, time.Duration(i)*time.Second, ""))
		}
	}
	assert.ElementsMatch(t, []string{"W2", "W3"}, keys("r1"))
	assert.ElementsMatch(t, []string{"W3"}, keys("r2"))
	e.now, e.events = start.AddDate(0, 0, 1).Unix(), nil
	for n, actor := range []string{"W1", "W2", "W3"} {
		for i := range 2 {
			e.arrive(entry(t, fmt.Sprint(n, i), "a", actor, time.Duration(i)*time.Second, ""))
		}
	}
	assert.ElementsMatch(t, []string{"W1", "W2", "W3"}, keys("r1"), "the day after")
	assert.ElementsMatch(t, []string{"W1", "W2", "W3"}, keys("r2"), "the day after")
}

// TestSequences compares random events, many of the same second and of several members, with the pack's own findings:
// chains of three, sequences in any order, aliases, counts of values, and a count in a sequence.
func TestSequences(t *testing.T) {
	t.Parallel()
	rules := []string{
		audit + "detection: {s: {action: [a, ab, abc]}, condition: s}\n" + block,
		audit + "detection: {s: {action: [b, ab, abc]}, condition: s}\n" + block,
		audit + "detection: {s: {action: [c, abc]}, condition: s}\n" + block,
	}
	two := "correlation: {type: event_count, rules: [r1, r2, r3], group-by: [actor.user.id], timespan: 4s, condition: {gte: 2}}\n" + handling
	for name, correlation := range map[string]string{
		"ordered": "{type: temporal_ordered, rules: [r1, r2], group-by: [actor.user.id], timespan: 10s}",
		"chain":   "{type: temporal_ordered, rules: [r1, r2, r3], group-by: [actor.user.id], timespan: 10s}",
		"nested":  "{type: temporal_ordered, rules: [r4, r2], group-by: [actor.user.id], timespan: 8s}",
		"within":  "{type: temporal_ordered, rules: [r1, r4], group-by: [actor.user.id], timespan: 8s}",
		"nestany": "{type: temporal, rules: [r4, r2], group-by: [actor.user.id], timespan: 8s}",
		"any":     "{type: temporal, rules: [r1, r2], group-by: [actor.user.id], timespan: 10s}",
		"aliases": "{type: temporal_ordered, rules: [r1, r2], group-by: [uid], aliases: {uid: {r1: entity.user.id, r2: actor.user.id}}, timespan: 10s}",
		"events":  "{type: event_count, rules: [r1, r2], group-by: [actor.user.id], timespan: 10s, condition: {gt: 2}}",
		"values":  "{type: value_count, rules: [r1, r2], group-by: [actor.user.id], timespan: 10s, condition: {field: entity.user.id, gte: 3}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suppress := handling
			if name == "aliases" {
				suppress = strings.ReplaceAll(handling, "actor.user.id", "uid")
			}
			pack := own(t, append(rules, two, "correlation: "+correlation+"\n"+suppress)...)
			lists := &detect.Lists{}
			e, saved := engineOf(t, pack, lists)
			tuned, err := pack.Tune(lists, start)
			require.NoError(t, err)
			random := rand.New(rand.NewPCG(1, 2))
			found := 0
			for range 300 {
				c := detecttest.Case{}
				e.events, e.closed = nil, random.IntN(2) == 0
				for n := range 6 {
					actions := []string{"a", "b", "c", "ab"}
					c.Entries = append(c.Entries, entry(t, strconv.Itoa(n), actions[random.IntN(len(actions))], fmt.Sprintf("W%d", random.IntN(2)), time.Duration(random.IntN(25))*time.Second,
						fmt.Sprintf(`,"entity":{"type":"user","user":{"id":"W%d"}}`, random.IntN(3))))
				}
				e.arrive(c.Entries...)
				evaluator := tuned.NewEvaluator()
				for _, event := range c.Events() {
					evaluator.Add(event)
				}
				want, got := map[string]bool{}, map[string]bool{}
				for _, f := range evaluator.Findings() {
					if f.Rule == "r5" {
						want[f.Values[0]] = true
					}
				}
				for _, r := range e.run(saved["r5"]["search"]) {
					got[r["finding_key"][0]] = true
				}
				found += len(want)
				for _, entry := range c.Entries {
					if t.Failed() {
						t.Log(string(entry.JSON))
					}
				}
				require.Equal(t, want, got)
			}
			assert.Greater(t, found, 20)
		})
	}
}

// TestTiers leaves out what is not asked for, but never the watchers.
func TestTiers(t *testing.T) {
	t.Parallel()
	pack, lists, _ := load(t)
	tuned, err := pack.Tune(lists, start)
	require.NoError(t, err)
	files, err := splunk.App(tuned, pack, lists, []detect.Tier{detect.Page})
	require.NoError(t, err)
	saved := searches(files)
	assert.Contains(t, saved, "new_admin_then_risk")
	assert.NotContains(t, saved, "brute_force_success")
	assert.NotContains(t, saved, "role_to_admin")
	all := stanzas(files["default/savedsearches.conf"])
	assert.Contains(t, all, "slacklogs - Collection: poll stalled")
	for name, settings := range all {
		assert.Equal(t, "0", settings["disabled"], name)
	}
}

// TestRefused are correlations that no search is written for.
func TestRefused(t *testing.T) {
	t.Parallel()
	pack := own(t,
		audit+"detection: {s: {action: a}, condition: s}\n"+block,
		"correlation: {type: event_count, rules: [r1], group-by: [actor.user.id], timespan: 5m, condition: {eq: 2}}\n"+handling)
	tuned, err := pack.Tune(&detect.Lists{}, start)
	require.NoError(t, err)
	_, err = splunk.App(tuned, pack, &detect.Lists{}, detect.Tiers)
	assert.ErrorContains(t, err, "r2: the condition eq is not covered")
}

// TestTitles are those that no stanza can have: another search's, and what ends or goes on with a line.
func TestTitles(t *testing.T) {
	t.Parallel()
	with := func(title string) error {
		rule := audit + "detection: {s: {action: a}, condition: s}\n" + handling
		files := fstest.MapFS{}
		for i, title := range []string{"The first", title} {
			header := fmt.Sprintf("title: '%s'\nid: 7c1d1111-1111-4111-8111-%012d\nname: r%d\nstatus: test\ndate: 2026-11-22\n", title, i+1, i+1)
			files[fmt.Sprintf("r%d.yml", i+1)] = &fstest.MapFile{Data: []byte(header + rule)}
		}
		pack, err := detect.Load(files)
		require.NoError(t, err)
		tuned, err := pack.Tune(&detect.Lists{}, start)
		require.NoError(t, err)
		app, err := splunk.App(tuned, pack, &detect.Lists{}, detect.Tiers)
		if err == nil {
			saved := stanzas(app["default/savedsearches.conf"])
			assert.Contains(t, saved, "slacklogs - "+title)
			assert.Contains(t, saved["slacklogs - "+title]["description"], title, "without a description the title says it")
		}
		return err
	}
	require.NoError(t, with("Another: 100 % of it"))
	assert.EqualError(t, with("The first"), "r2: title: is also that of r1")
	assert.EqualError(t, with("Collection: heartbeat missing"), "r2: title: is also that of a search of the app")
	for _, title := range []string{`It ends in \`, "A ] and more", "A [ and more"} {
		assert.EqualError(t, with(title), "r2: title: brackets and backslashes are not covered")
	}
}

// TestArrival is what is told again, and what is not, when events arrive late.
func TestArrival(t *testing.T) {
	t.Parallel()
	pack := own(t,
		audit+"detection: {s: {action: a}, condition: s}\n"+handling,
		audit+"detection: {s: {action: b}, condition: s}\n"+block,
		"correlation: {type: event_count, rules: [r1], group-by: [actor.user.id], timespan: 5m, condition: {gte: 2}}\n"+handling,
		"correlation: {type: temporal_ordered, rules: [r1, r2], group-by: [actor.user.id], timespan: 5m}\n"+handling,
		"correlation: {type: temporal_ordered, rules: [r3, r2], group-by: [actor.user.id], timespan: 5m}\n"+handling)
	e, saved := engineOf(t, pack, &detect.Lists{})
	keys := func() (all []string) {
		for _, name := range []string{"r1", "r3", "r4", "r5"} {
			for _, r := range e.run(saved[name]["search"]) {
				all = append(all, name+" "+r["finding_key"][0])
			}
		}
		return all
	}
	e.arrive(entry(t, "1", "a", "W1", 0, ""), entry(t, "2", "a", "W1", time.Second, ""), entry(t, "3", "b", "W1", 2*time.Second, ""), entry(t, "4", "a", "W2", 0, ""), entry(t, "5", "b", "W2", 2*time.Second, ""))
	assert.ElementsMatch(t, []string{"r1 W1", "r1 W2", "r3 W1", "r4 W1", "r4 W2", "r5 W1"}, keys())
	e.now += 2 * 86400
	assert.Empty(t, keys(), "nothing has arrived since")
	e.arrive(entry(t, "6", "a", "W3", time.Second, ""))
	assert.ElementsMatch(t, []string{"r1 W3"}, keys(), "the others were judged when they arrived")
	e.now += 2 * 86400
	e.arrive(entry(t, "7", "a", "W2", 0, ""))
	assert.ElementsMatch(t, []string{"r1 W2", "r3 W2", "r4 W2", "r5 W2"}, keys(), "what a late event completes, with those that came long before it")
}

// TestWatchers runs the searches over health records: bodies as the receiver writes them, with the fields that are named in
// its code.
func TestWatchers(t *testing.T) {
	t.Parallel()
	pack, lists, _ := load(t)
	files := app(t, pack, lists)
	saved := stanzas(files["default/savedsearches.conf"])
	source, err := os.ReadFile("../../../receiver/slacklogsreceiver/internal/poll/heartbeat.go")
	require.NoError(t, err)
	written := map[string]bool{}
	for _, m := range regexp.MustCompile("`json:\"(\\w+)").FindAllStringSubmatch(string(source), -1) {
		written[m[1]] = true
	}
	now := start.Unix()
	type health struct {
		ago  int64 // seconds since it arrived, which is when it happened
		body string
	}
	beat := func(ago int64, logType, more string) health {
		return health{ago, fmt.Sprintf(`{"event":"heartbeat","receiver":"slacklogs","log_type":%q,"watermark":"2026-11-02T00:00:00Z","poll_staleness":2.5,"stale":false,"entries_delivered_total":5000,"entries_dropped_total":0,"gaps_total":0,"gaps":[]%s}`, logType, more)}
	}
	told := func(ago int64, event, more string) health {
		return health{ago, fmt.Sprintf(`{"event":%q,"receiver":"slacklogs","log_type":"audit"%s}`, event, more)}
	}
	// A later key wins over the same one before it.
	const hour = 3600
	for _, tt := range []struct {
		search  string
		records []health
		entries int // of audit, indexed in the day
		finds   int
	}{
		{"heartbeat missing", []health{beat(600, "audit", "")}, 0, 0},
		{"heartbeat missing", []health{beat(1801, "audit", "")}, 0, 1},
		{"heartbeat missing", nil, 0, 1},
		{"heartbeat missing", []health{beat(60, "audit", ""), beat(2*hour, "access", "")}, 0, 1},
		{"poll stalled", []health{beat(700, "audit", `,"poll_staleness":1200`), beat(100, "audit", "")}, 0, 0},
		{"poll stalled", []health{beat(700, "audit", ""), beat(100, "audit", `,"poll_staleness":900.5`)}, 0, 1},
		{"auth failing", []health{told(5*hour, "auth_failing", "")}, 0, 1},
		{"auth failing", []health{told(5*hour, "auth_failing", ""), told(4*hour, "recovered", `,"recovered_from":"auth_failing"`)}, 0, 0},
		{"auth failing", []health{told(5*hour, "auth_failing", ""), told(4*hour, "recovered", `,"recovered_from":"stale"`)}, 0, 1},
		{"gap open", []health{beat(4000, "audit", `,"gaps_total":1,"gaps":[{"from":"a","to":"b","reason":"x"}]`), beat(60, "audit", `,"gaps_total":1`)}, 0, 1},
		{"gap open", []health{beat(4000, "audit", ""), beat(60, "audit", `,"gaps_total":1`)}, 0, 0},
		{"stale", []health{beat(60, "audit", `,"stale":true`)}, 0, 1},
		{"stale", []health{beat(600, "audit", `,"stale":true`), beat(60, "audit", "")}, 0, 0},
		{"entries dropped", []health{beat(600, "audit", ""), beat(60, "audit", `,"entries_dropped_total":3`)}, 0, 1},
		{"entries dropped", []health{beat(600, "audit", `,"entries_dropped_total":3`), beat(60, "audit", `,"entries_dropped_total":3`)}, 0, 0},
		{"delivered and not indexed", []health{beat(20*hour, "audit", ""), beat(2*hour, "audit", `,"entries_delivered_total":7000`)}, 999, 1},
		{"delivered and not indexed", []health{beat(20*hour, "audit", ""), beat(2*hour, "audit", `,"entries_delivered_total":7000`)}, 1000, 0},
		{"delivered and not indexed", []health{beat(20*hour, "audit", ""), beat(2*hour, "audit", `,"entries_delivered_total":5900`)}, 0, 1},
		{"delivered and not indexed", []health{beat(20*hour, "audit", ""), beat(2*hour, "audit", `,"entries_delivered_total":5900`)}, 500, 0},
		{"delivered and not indexed", []health{beat(20*hour, "audit", ""), beat(2*hour, "audit", `,"entries_delivered_total":5010`)}, 0, 0},
	} {
		e := &engine{
			t: t, files: files, macros: stanzas(files["default/macros.conf"]), now: now,
			reads: map[string]bool{}, tokens: map[string][]string{}, patterns: map[string]*regexp.Regexp{},
		}
		for i, h := range tt.records {
			var body map[string]any
			require.NoError(t, json.Unmarshal([]byte(h.body), &body))
			event := row{"index": {"slack"}, "sourcetype": {"slack:collection"}, "log.record.uid": {strconv.Itoa(i)}, "slack.log.type": {"collection"}}
			extract(event, "", body)
			for name := range body {
				require.True(t, written[name], "health records have no %s", name)
			}
			event["_time"] = []string{strconv.FormatInt(now-h.ago, 10)}
			event["_indextime"] = event["_time"]
			e.events = append(e.events, event)
		}
		for i := range tt.entries {
			at := []string{strconv.FormatInt(now-10*hour, 10)}
			e.events = append(e.events, row{"index": {"slack"}, "sourcetype": {"slack:audit"}, "slack.log.type": {"audit"}, "log.record.uid": {fmt.Sprint("entry", i)}, "_time": at, "_indextime": at})
		}
		assert.Len(t, e.run(saved["slacklogs - Collection: "+tt.search]["search"]), tt.finds, "%s: %v", tt.search, tt.records)
	}
}

// TestMemory is what has never been before.
func TestMemory(t *testing.T) {
	t.Parallel()
	pack, lists, _ := load(t)
	e, saved := engineOf(t, pack, lists)
	for i, seen := range []struct {
		user, country string
		days          int
		agent         string
	}{
		{"W1", `"DE"`, 20, "x"}, {"W1", `"NL"`, 0, "x"}, // new
		{"W2", `"DE"`, 20, "x"}, {"W2", `"NL"`, 10, "x"}, {"W2", `"NL"`, 0, "x"}, // not new
		{"W3", `"DE"`, 3, "x"}, {"W3", `"NL"`, 0, "x"}, // hardly known
		{"W4", `"DE"`, 20, "x"}, {"W4", "null", 0, "x"}, // nowhere
		{"W5", `"DE"`, 20, "x"}, {"W5", `"NL"`, 0, "ApiApp/A1 (Python)"}, // an app
	} {
		at := start.AddDate(0, 0, -seen.days)
		event := indexed(t, &detecttest.Entry{LogType: "access", Time: at, JSON: fmt.Appendf(nil,
			`{"user_id":%q,"date_first":%d,"date_last":%d,"count":%d,"ip":"198.51.100.7","user_agent":%q,"country":%s}`, seen.user, at.Unix(), at.Unix(), i, seen.agent, seen.country)})
		event["_indextime"] = event["_time"]
		e.events = append(e.events, event)
	}
	var keys []string
	for _, r := range e.run(saved["access_new_country"]["search"]) {
		keys = append(keys, r["finding_key"]...)
		assert.NotEmpty(t, r["pivot_actor"])
	}
	assert.Equal(t, []string{"W1|NL"}, keys)
}

// TestDocument holds what detections/splunk.md says of searches to the searches.
func TestDocument(t *testing.T) {
	t.Parallel()
	const name = "../../../detections/splunk.md"
	pack, lists, _ := load(t)
	files := app(t, pack, lists)
	saved := searches(files)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	made := string(text)
	for _, flagship := range []string{"brute_force_success", "new_admin_then_risk"} {
		made = between(t, made, "splunk "+flagship, "```spl\n"+saved[flagship]["search"]+"\n```\n")
	}
	var b strings.Builder
	b.WriteString("| rule | tier, level | form | every | told again after | differs, beside 1 to 4 |\n|---|---|---|---|---|---|\n")
	for _, c := range pack.Correlations {
		form := map[sigma.CorrelationType]string{
			sigma.EventCount: "count", sigma.ValueCount: "count of values", sigma.TemporalOrdered: "sequence", sigma.Temporal: "any order",
		}[c.Type]
		differs := "6"
		if c.Type == sigma.EventCount || c.Type == sigma.ValueCount {
			differs = "5"
		}
		if slices.ContainsFunc(c.Members, func(m detect.Member) bool { return m.Correlation != nil }) {
			form, differs = form+", with a count in it", "5, 6"
		}
		if len(c.Aliases) > 0 {
			differs += ", 7"
		}
		documentRow(&b, &c.Header, &c.Handling, saved[c.Name], form, differs)
	}
	for _, r := range pack.Rules {
		documentRow(&b, &r.Header, &r.Handling, saved[r.Name], "where", "")
	}
	made = between(t, made, "splunk table", b.String())
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(made), 0o644))
	}
	assert.Equal(t, made, string(text), "go test ./internal/detect/splunk -update")
}

func documentRow(b *strings.Builder, h *sigma.Header, handling *detect.Handling, settings map[string]string, form, differs string) {
	if handling.Tier == "" {
		return
	}
	every := "hour"
	switch handling.Tier {
	case detect.Page:
		every = "5 min"
	case detect.Hunt:
		every = "day, off"
	case detect.Review:
	}
	fmt.Fprintf(b, "| `%s` | %s, %s | %s | %s | %s | %s |\n", h.Name, handling.Tier, h.Level, form, every, settings["alert.suppress.period"], differs)
}

// between puts a text between two marks.
func between(t *testing.T, text, mark, made string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "<!-- "+mark+": made from the code -->\n")
	_, after, end := strings.Cut(rest, "<!-- end of that -->")
	require.True(t, ok && end, mark)
	return before + "<!-- " + mark + ": made from the code -->\n" + made + "<!-- end of that -->" + after
}

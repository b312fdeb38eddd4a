// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// kinds are the types that Elasticsearch tells apart. A list has the type of its elements.
type kind string

const (
	kindString kind = "string"
	kindLong   kind = "long"
	kindBool   kind = "boolean"
)

func kindOf(t *testing.T, value pcommon.Value) kind {
	t.Helper()
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return kindString
	case pcommon.ValueTypeSlice:
		for _, e := range value.Slice().All() {
			require.Equal(t, pcommon.ValueTypeStr, e.Type())
		}
		return kindString
	case pcommon.ValueTypeInt:
		return kindLong
	case pcommon.ValueTypeBool:
		return kindBool
	}
	t.Fatalf("an attribute is %s", value.Type())
	return ""
}

// named are the attributes that are not made of Slack's paths, with their types.
var named = func() map[string]kind {
	kinds := map[string]kind{DetailsOverflow.Name: kindString}
	for _, l := range LogTypes() {
		for _, a := range l.Attributes {
			kinds[a.Name] = kindString
			if a.Type == TypeInt {
				kinds[a.Name] = kindLong
			}
		}
	}
	return kinds
}()

// kindByName is the type that a name has in every record, and whether it can be a name at all: none that is the parent
// of others can.
func kindByName(name string) (kind, bool) {
	if k, ok := named[name]; ok {
		return k, true
	}
	if !strings.HasPrefix(name, "slack.") {
		return "", false
	}
	// Slack's keys hold no dots once they are in a name, so its parents are told by the name alone.
	if up := parent(name); up != "slack" {
		if r := ruleOf(up); r != asObject && r != asDetails {
			return "", false
		}
	}
	switch ruleOf(name) {
	case asText:
		return kindString, true
	case asSeconds, asCount:
		return kindLong, true
	case asBool, asBoolText:
		return kindBool, true
	}
	return "", false
}

// checkNames checks what holds for each record by itself: a name's type, and that it can be no parent, hang on nothing
// but the name. So they hold between any two records.
func checkNames(t *testing.T, rec plog.LogRecord) {
	t.Helper()
	for name, value := range rec.Attributes().All() {
		want, ok := kindByName(name)
		require.True(t, ok, "the name %q", name)
		require.Equal(t, want, kindOf(t, value), name)
		for part := range strings.SplitSeq(name, ".") {
			// Elasticsearch refuses a document with such a name.
			require.NotEmpty(t, strings.TrimSpace(part), "%q", name)
		}
	}
}

// lokiMetadata is how many names of structured metadata Loki takes with a line, by default.
const lokiMetadata = 128

// checkLoki checks a record of `attributes: core`. The size is the example's matter: test/e2e.
func checkLoki(t *testing.T, rec plog.LogRecord) {
	t.Helper()
	labels := map[string]bool{}
	for name := range rec.Attributes().All() {
		_, ok := named[name]
		require.True(t, ok || core[name], name)
		label := strings.ReplaceAll(name, ".", "_")
		require.False(t, labels[label], "two names that are one in Loki: %s", name)
		labels[label] = true
	}
	// Beside these: the resource, and what Loki makes of the record and its scope.
	require.Less(t, len(labels)+len(ResourceAttributes)+8, lokiMetadata)
}

// entries are all that the project has: the samples, the fixtures, the simulator's, and such in which every field has
// all forms.
func entries(t *testing.T) map[string][][]byte {
	t.Helper()
	texts := map[string][][]byte{}
	company := slacktest.NewOrganisation(11)
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, logType := range logTypes {
		samples, err := os.ReadFile("../../testdata/" + logType + ".jsonl")
		require.NoError(t, err)
		texts[logType] = append(slices.Collect(maps.Values(fixtures(t, logType))), bytes.Split(bytes.TrimSpace(samples), []byte("\n"))...)
		for range 400 {
			texts[logType] = append(texts[logType], []byte(generate(rnd)))
		}
	}
	for range 200 {
		texts["audit"] = append(texts["audit"], company.Entry(1772600000).JSON, company.Odd(1772600000).JSON)
		texts["access"] = append(texts["access"], company.Login(team, 1772600000).Text(), company.OddLogin(team, 1772600000).Text())
		texts["integration"] = append(texts["integration"], company.Change(team, 1772600000).JSON, company.OddChange(team, 1772600000).JSON)
	}
	return texts
}

// TestBackendsTakeAll makes records of all entries and checks what backends demand of them, under their examples.
func TestBackendsTakeAll(t *testing.T) {
	elastic := readTemplate(t)
	seen := map[string]kind{}
	for logType, texts := range entries(t) {
		all, few := New(defaults), New(Options{BodyRaw, AttributesCore})
		for _, text := range texts {
			records := plog.NewLogRecordSlice()
			appendRecord(all, logType, text, records)
			appendRecord(few, logType, text, records)
			checkNames(t, records.At(0))
			checkNames(t, records.At(1))
			checkLoki(t, records.At(1))
			for name, value := range records.At(0).Attributes().All() {
				seen["attributes."+name] = kindOf(t, value)
			}
		}
	}
	for _, l := range LogTypes() {
		for _, f := range l.Fields {
			name := "slack." + f.Path
			seen["attributes."+name], _ = kindByName(name)
		}
	}
	for _, a := range ResourceAttributes {
		seen["resource.attributes."+a.Name] = kindString
	}
	require.Greater(t, len(seen), 200)

	// No two types, no value that is a parent.
	for name := range seen {
		for up := parent(name); strings.Contains(up, "."); up = parent(up) {
			assert.NotContains(t, seen, up, "the parent of %s", name)
		}
	}

	taken := 0
	fields := map[string]bool{}
	for field, k := range seen {
		if _, stock := firstMatch(ecsPatterns, field, k); stock {
			taken++
		}
		// Slack's text need not be what a name says, so nothing here is an address or a date.
		ours, ok := firstMatch(elastic.templates, field, k)
		if assert.True(t, ok, "%s has no template ahead of Elastic's patterns", field) {
			assert.Equal(t, map[kind]string{kindString: "keyword", kindLong: "long", kindBool: "boolean"}[k], ours.Mapping.Type, field)
		}
		for fields[field] = true; strings.Contains(field, "."); fields[field] = true {
			field = parent(field)
		}
	}
	assert.Greater(t, taken, 10, "without the template, these would be dates, addresses, numbers and places")
	// Elastic's own templates have about 100 fields, and Slack has some 200 keys of details.
	assert.Less(t, len(fields)+300, elastic.fieldLimit)
}

// TestPresetKeepsItsTypes checks that what the ECS preset makes is of ECS's types in Elasticsearch: what Elastic takes for
// an address or a date by its name stays one, and all else is a keyword.
func TestPresetKeepsItsTypes(t *testing.T) {
	elastic := readTemplate(t)
	preset, err := os.ReadFile("../../examples/schemas/ecs.yaml")
	require.NoError(t, err)
	types := map[string]string{}
	for _, found := range regexp.MustCompile(`(?:set|append)\(log\.attributes\["([^"]+)"\]`).FindAllSubmatch(preset, -1) {
		field := "attributes." + string(found[1])
		want := "keyword"
		if stock, ok := firstMatch(ecsPatterns, field, kindString); ok && stock.Mapping.Type != "" {
			want = stock.Mapping.Type
		}
		ours, ok := firstMatch(elastic.templates, field, kindString)
		require.True(t, ok, field)
		assert.Equal(t, want, ours.Mapping.Type, field)
		types[ours.Mapping.Type] = field
	}
	for _, want := range []string{"keyword", "ip", "date"} {
		assert.Contains(t, types, want)
	}
}

// dynamicTemplate is one of Elasticsearch's: the mapping of new fields by name and kind.
type dynamicTemplate struct {
	PathMatch patterns `json:"path_match"`
	Match     patterns `json:"match"` // the last part of the path
	Kind      kind     `json:"match_mapping_type"`
	Mapping   struct {
		Type            string `json:"type"`
		IgnoreAbove     int    `json:"ignore_above"`
		IgnoreMalformed bool   `json:"ignore_malformed"`
	} `json:"mapping"`
}

// typed is a template that makes of what it matches something that text need not be.
func typed(kind string, paths ...string) dynamicTemplate {
	d := dynamicTemplate{PathMatch: paths}
	d.Mapping.Type = kind
	return d
}

// patterns are one or a list, with * for any characters, dots too.
type patterns []string

func (p *patterns) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		*p = make(patterns, 1)
		return json.Unmarshal(text, &(*p)[0])
	}
	return json.Unmarshal(text, (*[]string)(p))
}

func (p patterns) match(name string) bool {
	return slices.ContainsFunc(p, func(pattern string) bool {
		ok, err := path.Match(pattern, strings.ReplaceAll(name, "/", "_")) // whose * stops at slashes only
		return err == nil && ok
	})
}

func firstMatch(templates []dynamicTemplate, field string, k kind) (dynamicTemplate, bool) {
	for _, d := range templates {
		if (d.PathMatch == nil || d.PathMatch.match(field)) && (d.Match == nil || d.Match.match(field[strings.LastIndex(field, ".")+1:])) &&
			(d.Kind == "" || d.Kind == k) {
			return d, true
		}
	}
	return dynamicTemplate{}, false
}

// ecsPatterns are those of Elastic's ecs@mappings (8.9 to 9.2) that make something of a field's name that text need not
// be, or that has no limit to its length.
var ecsPatterns = []dynamicTemplate{
	typed("ip", "ip", "*.ip", "*_ip"),
	typed(
		"date",
		"*.timestamp", "*_timestamp", "*.not_after", "*.not_before", "*.accessed", "created", "*.created", "*.installed", "*.creation_date",
		"*.ctime", "*.mtime", "ingested", "*.ingested", "*.start", "*.end", "*.indicator.first_seen", "*.indicator.last_seen",
		"*.indicator.modified_at", "*threat.enrichments.matched.occurred",
	),
	{PathMatch: patterns{"*.score.*", "*_score*", "*.usage"}},
	{PathMatch: patterns{"location", "*.location", "*.geo.location"}},
	{PathMatch: patterns{"*structured_data", "*exports", "*imports"}},
	{PathMatch: patterns{"message", "*.message", "*.io.text", "*.message_id", "*registry.data.strings", "*url.path", "*.body.content", "*url.full", "*url.original"}},
	{PathMatch: patterns{"*.title", "*.executable", "*.name", "*.working_directory", "*.full_name", "*file.path", "*file.target_path", "*os.full", "email.subject"}},
	{Match: patterns{"*command_line", "*stack_trace", "@timestamp"}},
}

type template struct {
	templates  []dynamicTemplate
	fieldLimit int
}

// readTemplate reads the example's component template, and checks what of it needs no record.
func readTemplate(t *testing.T) template {
	t.Helper()
	const elastic = "../../examples/elastic/"
	var component struct {
		Template struct {
			Settings struct {
				Limit  int  `json:"index.mapping.total_fields.limit"`
				Ignore bool `json:"index.mapping.total_fields.ignore_dynamic_beyond_limit"`
			} `json:"settings"`
			Mappings struct {
				DynamicTemplates []map[string]dynamicTemplate `json:"dynamic_templates"`
			} `json:"mappings"`
		} `json:"template"`
	}
	text, err := os.ReadFile(elastic + "slack@mappings.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &component))
	require.True(t, component.Template.Settings.Ignore, "an entry with very many new keys is taken all the same")
	var all []dynamicTemplate
	for _, named := range component.Template.Mappings.DynamicTemplates {
		for _, d := range named {
			all = append(all, d)
			switch d.Mapping.Type {
			case "ip", "date":
				require.True(t, d.Mapping.IgnoreMalformed, "a document is not refused for one field")
			case "keyword":
				// Lucene refuses terms of more than 32766 bytes, and a character is up to four.
				require.Positive(t, d.Mapping.IgnoreAbove)
				require.LessOrEqual(t, d.Mapping.IgnoreAbove*4, 32766)
			}
		}
	}

	var index struct {
		ComposedOf []string `json:"composed_of"`
		Priority   int      `json:"priority"`
	}
	text, err = os.ReadFile(elastic + "logs-slack.otel.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &index))
	ours, stock := slices.Index(index.ComposedOf, "slack@mappings"), slices.Index(index.ComposedOf, "ecs@mappings")
	require.True(t, 0 <= ours && ours < stock, "the first template that matches wins")
	require.Greater(t, index.Priority, 120, "that of logs-otel@template")
	return template{templates: all, fieldLimit: component.Template.Settings.Limit}
}

// FuzzBackends takes each text for an entry of every log type.
func FuzzBackends(f *testing.F) {
	for _, logType := range logTypes {
		for _, text := range fixtures(f, logType) {
			f.Add(text)
		}
	}
	for seed := range uint64(20) {
		f.Add([]byte(generate(rand.New(rand.NewPCG(seed, 1)))))
	}
	f.Add([]byte(`{" ":1,"details":{"\t":{"a":2},"a.b":1,"ip":"x"},"entity":{"type":"a.b","a.b":{"id":"x"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, logType := range logTypes {
			records := plog.NewLogRecordSlice()
			appendRecord(New(defaults), logType, text, records)
			appendRecord(New(Options{BodyRaw, AttributesCore}), logType, text, records)
			checkNames(t, records.At(0))
			checkLoki(t, records.At(1))
		}
	})
}

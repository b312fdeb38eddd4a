// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const docs = "../../docs/"

// The documents say what the code does. -update writes them.
func TestSchemaDocuments(t *testing.T) {
	const (
		file  = docs + "schema.md"
		begin = "<!-- made from the code -->\n"
		end   = "<!-- end of that -->\n"
	)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)

	want := map[string]string{file: before + begin + schemaTables() + end + after}
	for _, l := range LogTypes() {
		want[docs+"schema/"+l.Name+".schema.json"] = string(marshal(t, jsonSchema(l)))
	}
	for file, want := range want {
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, want, string(text), "run: go test ./internal/record -run TestSchemaDocuments -update")
	}
}

func marshal(t *testing.T, v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(v))
	return b.Bytes()
}

// schemaTables are the tables of docs/schema.md.
func schemaTables() string {
	var b strings.Builder
	code := func(v any) string {
		text, ok := v.(string)
		if !ok {
			raw, _ := json.Marshal(v)
			text = string(raw)
		}
		return "`" + text + "`"
	}
	attributes := func(of []Attribute) {
		b.WriteString("| attribute | type | when it is there | from | example |\n|---|---|---|---|---|\n")
		for _, a := range of {
			when, from := a.When, a.From
			if a.Always {
				when = "always"
			}
			if len(a.Enum) > 1 {
				var values []string
				for _, v := range a.Enum {
					values = append(values, code(v))
				}
				from += "; one of " + strings.Join(values, ", ")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", a.Name, a.Type, when, strings.TrimPrefix(from, "; "), code(a.Example))
		}
	}
	for _, l := range LogTypes() {
		fmt.Fprintf(&b, "\n## `%s`\n\n", l.Name)
		fmt.Fprintf(&b, "From %s. Timestamp: `%s`. EventName: %s. [JSON Schema](schema/%s.schema.json).\n\n", l.Source, l.Timestamp, l.EventName, l.Name)
		b.WriteString("By the semantic conventions, and our own:\n\n")
		attributes(l.Attributes)
		b.WriteString("\nOf the fields that Slack documents:\n\n")
		b.WriteString("| attribute | type | Slack sends | when | example |\n|---|---|---|---|---|\n")
		for _, f := range l.Fields {
			when := f.When
			if when == "" {
				when = "always"
			}
			fmt.Fprintf(&b, "| `slack.%s` | %s | %s | %s | %s |\n", f.Path, f.attribute(), f.JSON, when, code(f.Example))
		}
	}
	b.WriteString("\n## Resource\n\n")
	attributes(ResourceAttributes)
	return b.String()
}

// ruleOf is the rule of an attribute's name, all of whose parents are objects.
func ruleOf(name string) rule {
	if r, ok := rules[name]; ok {
		return r
	}
	return rules[parent(name)+".*"]
}

func parent(name string) string { return name[:strings.LastIndex(name, ".")] }

// attribute is the type of a field's attribute.
func (f Field) attribute() Type {
	switch ruleOf("slack." + f.Path) {
	case asSeconds, asCount:
		return TypeInt
	case asBool, asBoolText:
		return TypeBool
	}
	switch f.JSON {
	case FormStrings:
		return TypeStrings
	case FormAny:
		return TypeText
	}
	return TypeString
}

func (f Field) required() bool { return f.When == "" || strings.HasPrefix(f.When, "always") }

type object = map[string]any

// jsonSchema describes the records of a log type.
func jsonSchema(l LogType) object {
	text := object{"$ref": "#/$defs/text"}
	seconds := object{"type": "integer", "minimum": 0, "maximum": maxSeconds}
	typed := map[rule]object{
		asText:     text,
		asSeconds:  seconds,
		asCount:    {"type": "integer", "minimum": 0},
		asBool:     {"type": "boolean"},
		asBoolText: {"type": "boolean"},
	}
	with := func(schema object, more object) object {
		schema = maps.Clone(schema)
		maps.Copy(schema, more)
		return schema
	}
	described := func(a Attribute) object {
		schema := map[Type]object{
			TypeString:  {"type": "string", "minLength": 1},
			TypeStrings: {"type": "array", "items": object{"type": "string"}, "minItems": 1},
			TypeInt:     {"type": "integer"},
		}[a.Type]
		schema = with(schema, object{"examples": []any{a.Example}})
		var says []string
		for _, s := range []string{a.From, a.When} {
			if s != "" {
				says = append(says, s)
			}
		}
		if len(says) > 0 {
			schema["description"] = strings.Join(says, "; if ")
		}
		if a.Enum != nil {
			schema["enum"] = a.Enum
		}
		if a.Pattern != "" {
			schema["pattern"] = a.Pattern
		}
		return schema
	}

	properties := object{}
	// The types of all log types, as they hang on the name alone.
	for name, r := range rules {
		if _, ok := typed[r]; ok && r != asText {
			properties[name] = with(typed[r], object{"description": "Not documented for this log type."})
		}
	}
	for _, f := range l.Fields {
		when := f.When
		if when == "" {
			when = "always"
		}
		properties["slack."+f.Path] = with(typed[ruleOf("slack."+f.Path)], object{
			"description": fmt.Sprintf("Slack sends: %s; %s.", f.JSON, when), "examples": []any{f.Example},
		})
	}
	properties[DetailsOverflow.Name] = described(DetailsOverflow)
	required := []string{}
	for _, a := range l.Attributes {
		properties[a.Name] = described(a)
		if a.Always {
			required = append(required, a.Name)
		}
	}
	resource := object{}
	for _, a := range ResourceAttributes {
		a.When = ""
		resource[a.Name] = described(a)
	}

	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     "https://github.com/slacklogs/otelcol-slacklogs/blob/main/docs/schema/" + l.Name + ".schema.json",
		"title":   "A record of Slack's " + l.Name + " logs",
		"description": "One log record with `attributes: all` or `core`, written down without OTLP's wrappers: see docs/schema.md. " +
			"Made from internal/record/schema.go.",
		"type":     "object",
		"required": []string{"observed_timestamp", "event_name", "severity_number", "attributes", "resource"},
		"properties": object{
			"timestamp": object{
				"type": "string", "format": "date-time", "description": l.Timestamp + ", to the second; absent if that is unusable",
			},
			"observed_timestamp": object{"type": "string", "format": "date-time"},
			"event_name":         object{"type": "string", "pattern": l.EventNames},
			"severity_number":    object{"enum": l.Severities},
			"body": object{
				"description": "A string with `body: raw`; with `map` an object, if the entry is one; with `none` absent, if the attributes hold all.",
				"type":        []string{"string", "object"},
			},
			"attributes": object{
				"type":                 "object",
				"required":             required,
				"properties":           properties,
				"additionalProperties": text,
				"propertyNames": object{"anyOf": []any{
					object{"enum": slices.Sorted(maps.Keys(properties))},
					object{"pattern": openNames(), "not": object{"enum": closedNames()}},
				}},
			},
			"resource": object{"type": "object", "properties": resource, "additionalProperties": false},
		},
		"additionalProperties": false,
		"$defs": object{
			"text": object{
				"description": "What Slack sends as a string, number or bool, or what is JSON text here; or a list of such.",
				"type":        []string{"string", "array"}, "items": object{"type": "string"}, "minItems": 1,
			},
			"entry": entrySchema(l),
		},
	}
}

// openNames is a pattern of the names that the rule for attributes makes.
func openNames() string {
	var names []string
	for name, r := range rules {
		name = strings.ReplaceAll(strings.TrimPrefix(name, "slack."), ".", `\.`)
		name = strings.ReplaceAll(name, "*", "[^.]+")
		switch {
		case r == asObject && name != "entity", r == asDetails:
			names = append(names, name+`\.[^.]+`)
		case r == asText: // among entities of any type
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return `^slack\.([^.]+|` + strings.Join(names, "|") + `)$`
}

// closedNames are those that are parents, or kept for ours.
func closedNames() []string {
	var names []string
	for name, r := range rules {
		parent := (r == asObject || r == asDetails) && !strings.HasSuffix(name, "*")
		if parent || r == reserved && name != DetailsOverflow.Name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// entrySchema describes what Slack documents.
func entrySchema(l LogType) object {
	root := newEntry()
	root["description"] = "An entry as Slack documents it, such as in a body. Slack adds fields at any time."
	for _, f := range l.Fields {
		in, keys := root, strings.Split(f.Path, ".")
		for i, key := range keys[:len(keys)-1] {
			properties := in["properties"].(object)
			if properties[key] == nil {
				properties[key] = newEntry()
			}
			ofAnyType := keys[0] == "entity" && i == 1 // only the one of the entity's type is there
			if f.required() && len(keys) < 4 && !ofAnyType && !slices.Contains(in["required"].([]string), key) {
				in["required"] = append(in["required"].([]string), key)
			}
			in = properties[key].(object)
		}
		key := keys[len(keys)-1]
		schema := map[Form]object{
			FormString:  {"type": "string"},
			FormID:      {"type": []string{"string", "integer"}},
			FormStrings: {"type": "array", "items": object{"type": "string"}},
			FormObject:  {"type": "object"},
			FormObjects: {"type": "array", "items": object{"type": "object"}},
			FormAny:     {},
			FormSeconds: {"type": "integer"},
			FormDigits:  {"type": "string", "pattern": "^[0-9]+$"},
			FormCount:   {"type": "integer"},
			FormBool:    {"type": "boolean"},
			FormMaybe:   {"enum": []any{true, false, "true", "false", ""}},
		}[f.JSON]
		if strings.HasSuffix(f.When, "may be null") {
			schema = object{"anyOf": []any{schema, object{"type": "null"}}}
		}
		in["properties"].(object)[key] = schema
		if f.required() {
			in["required"] = append(in["required"].([]string), key)
		}
	}
	return root
}

func newEntry() object {
	return object{"type": "object", "properties": object{}, "required": []string{}}
}

// TestSchemaHasTheRules compares the table of fields with that of rules, which makes the attributes.
func TestSchemaHasTheRules(t *testing.T) {
	byForm := map[Form]rule{FormSeconds: asSeconds, FormDigits: asSeconds, FormCount: asCount, FormBool: asBool, FormMaybe: asBoolText}
	documented := map[string]bool{}
	for _, l := range LogTypes() {
		for _, f := range l.Fields {
			name := "slack." + f.Path
			assert.Equal(t, byForm[f.JSON], ruleOf(name), name)
			documented[name] = true
			for name = parent(name); name != "slack"; name = parent(name) {
				assert.Contains(t, []rule{asObject, asDetails}, ruleOf(name), name)
				documented[name] = true
			}
		}
		for _, a := range l.Attributes {
			if strings.HasPrefix(a.Name, "slack.") {
				assert.True(t, ruleOf(a.Name) == reserved || rules[parent(a.Name)] == reserved, "a key of Slack's could be %s", a.Name)
			}
			documented[a.Name], documented[parent(a.Name)] = true, true
		}
	}
	for name := range rules {
		if !strings.HasSuffix(name, "*") {
			assert.True(t, documented[name], name)
		}
	}
	for name := range core {
		assert.True(t, documented[name], name)
	}
}

// TestResourceAttributes compares the table with the one that makes them.
func TestResourceAttributes(t *testing.T) {
	text, err := os.ReadFile("../../metadata.yaml")
	require.NoError(t, err)
	_, text, _ = bytes.Cut(text, []byte("\nresource_attributes:\n"))
	text, _, _ = bytes.Cut(text, []byte("\n\n"))
	var want, got []string
	for _, match := range regexp.MustCompile(`(?m)^  (\S+):$`).FindAllSubmatch(text, -1) {
		want = append(want, string(match[1]))
	}
	for _, a := range ResourceAttributes {
		got = append(got, a.Name)
	}
	assert.ElementsMatch(t, want, got)
}

// validators check records and entries of each log type.
func validators(t *testing.T) (records, entries map[string]*jsonschema.Schema) {
	records, entries = map[string]*jsonschema.Schema{}, map[string]*jsonschema.Schema{}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, logType := range logTypes {
		file := docs + "schema/" + logType + ".schema.json"
		var err error
		records[logType], err = c.Compile(file)
		require.NoError(t, err)
		entries[logType], err = c.Compile(file + "#/$defs/entry")
		require.NoError(t, err)
	}
	return records, entries
}

// plain is a record in the form that the schema describes.
func plain(t *testing.T, rec plog.LogRecord) any {
	v := object{
		"observed_timestamp": rec.ObservedTimestamp().AsTime().Format(time.RFC3339Nano),
		"event_name":         rec.EventName(),
		"severity_number":    rec.SeverityNumber(),
		"attributes":         rec.Attributes().AsRaw(),
		"resource":           object{"slack.enterprise.id": "E04BRIGHTWA"},
	}
	if rec.Timestamp() != 0 {
		v["timestamp"] = rec.Timestamp().AsTime().Format(time.RFC3339)
	}
	if body := rec.Body().AsRaw(); body != nil {
		v["body"] = body
	}
	return parsed(t, marshal(t, v))
}

func parsed(t *testing.T, text []byte) any {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err, "%s", text)
	return v
}

// TestRecordsFitTheSchema checks records of made-up, odd and broken entries, however they are configured.
func TestRecordsFitTheSchema(t *testing.T) {
	valid, _ := validators(t)
	texts := map[string][][]byte{}
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, logType := range logTypes {
		texts[logType] = slices.Collect(maps.Values(fixtures(t, logType)))
		for range 100 {
			texts[logType] = append(texts[logType], []byte(generate(rnd)))
		}
	}
	company := slacktest.NewOrganisation(7)
	for range 150 {
		texts["audit"] = append(texts["audit"], company.Entry(1772600000).JSON, company.Odd(1772600000).JSON)
		texts["access"] = append(texts["access"], company.OddLogin(team, 1772600000).JSON)
		texts["integration"] = append(texts["integration"], company.Change(team, 1772600000).JSON, company.OddChange(team, 1772600000).JSON)
	}
	for logType, texts := range texts {
		for i, text := range texts {
			opts := []Options{defaults, {BodyMap, AttributesCore}, {BodyNone, AttributesAll}}[i%3]
			records := plog.NewLogRecordSlice()
			appendRecord(New(opts), logType, text, records)
			require.NoError(t, valid[logType].Validate(plain(t, records.At(0))), "%s", text)
		}
	}
}

// TestSchemaRefuses shows that the schema would notice.
func TestSchemaRefuses(t *testing.T) {
	valid, _ := validators(t)
	for _, change := range []func(record, attributes object){
		func(_, attributes object) { attributes["slack.count"] = "4" },
		func(_, attributes object) { attributes["slack.rss_feed"] = "true" },
		func(_, attributes object) { attributes["slack.entity.channel.is_shared"] = "true" },
		func(_, attributes object) { attributes["slack.new"] = json.Number("4") },
		func(_, attributes object) { attributes["slack.new"] = []any{json.Number("4")} },
		func(_, attributes object) { attributes["slack.actor"] = "x" },
		func(_, attributes object) { attributes["slack.entity.user"] = "x" },
		func(_, attributes object) { attributes["slack.user_id.x"] = "x" },
		func(_, attributes object) { attributes["slack.access.new"] = "x" },
		func(_, attributes object) { attributes["user.hash"] = "x" },
		func(_, attributes object) { delete(attributes, "log.record.uid") },
		func(_, attributes object) { attributes["slack.access.change"] = "old" },
		func(record, _ object) { record["event_name"] = "slack.audit.new" },
		func(record, _ object) { record["severity_number"] = json.Number("13") },
		func(record, _ object) { record["timestamp"] = "yesterday" },
		func(record, _ object) { record["resource"] = object{"service.name": "x"} },
	} {
		records := plog.NewLogRecordSlice()
		appendRecord(New(defaults), "access", []byte(accessRow("")), records)
		record := plain(t, records.At(0)).(object)
		require.NoError(t, valid["access"].Validate(record))
		change(record, record["attributes"].(object))
		require.Error(t, valid["access"].Validate(record), "%v", record)
	}
}

// TestSchemaExamples makes entries of the examples and finds them again among the attributes.
func TestSchemaExamples(t *testing.T) {
	_, valid := validators(t)
	for _, l := range LogTypes() {
		kinds := []string{""}
		if l.Name == "audit" {
			kinds = nil
			for _, e := range entities {
				kinds = append(kinds, e.kind)
			}
		}
		derived := map[string][]any{}
		for _, kind := range kinds {
			entry, want := object{}, object{}
			for _, f := range l.Fields {
				if strings.HasPrefix(f.Path, "entity.") && f.Path != "entity.type" && !strings.HasPrefix(f.Path, "entity."+kind+".") {
					continue
				}
				if f.Path == "entity.type" {
					f.Example = kind
				}
				want["slack."+f.Path] = f.Example
				switch f.JSON {
				case FormDigits:
					f.Example = fmt.Sprint(f.Example)
				case FormID, FormObject, FormObjects:
					f.Example = json.RawMessage(f.Example.(string))
				}
				in, keys := entry, strings.Split(f.Path, ".")
				for _, key := range keys[:len(keys)-1] {
					if in[key] == nil {
						in[key] = object{}
					}
					in = in[key].(object)
				}
				in[keys[len(keys)-1]] = f.Example
			}
			text, err := json.Marshal(entry)
			require.NoError(t, err)
			require.NoError(t, valid[l.Name].Validate(parsed(t, text)), "%s", text)

			records := plog.NewLogRecordSlice()
			c := New(defaults)
			c.Roles(func([]byte) []string { return []string{"owner", "admin"} })
			assert.False(t, appendRecord(c, l.Name, text, records))
			got := records.At(0).Attributes().AsRaw()
			for name, value := range want {
				assert.Equal(t, value, got[name], name)
			}
			for _, a := range l.Attributes {
				derived[a.Name] = append(derived[a.Name], got[a.Name])
			}
			assert.Regexp(t, l.EventNames, records.At(0).EventName())
			assert.NotZero(t, records.At(0).Timestamp())
			assert.Equal(t, records.At(0).Timestamp().AsTime().Unix(), got["slack."+l.Timestamp])
		}
		for _, a := range l.Attributes {
			if a.Name != DetailsOverflow.Name {
				assert.Contains(t, derived[a.Name], a.Example, "%s %s", l.Name, a.Name)
			}
		}
	}
}

// TestReadme compares the README's section on records with the schema.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Records\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")

	known, wanted := map[string]bool{}, map[string]bool{}
	for _, l := range LogTypes() {
		for _, a := range l.Attributes {
			known[a.Name], wanted[a.Name] = true, true
		}
	}
	maps.Copy(wanted, core)
	for name, r := range rules {
		if r == asSeconds || r == asCount || r == asBool || r == asBoolText {
			wanted[strings.TrimPrefix(name, "slack.")] = true
		}
	}
	var missing []string
	for name := range wanted {
		if !strings.Contains(section, "`"+name+"`") {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	assert.Empty(t, missing, "these stand nowhere in the README's section on records")

	names := regexp.MustCompile("`([^`]+)`")
	of := ""
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			of = ""
			continue
		}
		cell := strings.TrimSpace(strings.Split(line, "|")[1])
		if of == "" {
			of = cell // the table's head
		}
		if of == "attribute" {
			for _, name := range names.FindAllStringSubmatch(cell, -1) {
				assert.True(t, known[name[1]], "%s is no attribute", name[1])
			}
		}
	}
}

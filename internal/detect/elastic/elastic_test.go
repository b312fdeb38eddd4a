// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

var update = flag.Bool("update", false, "write the files that are made of the pack")

const examples = "../../../examples/elastic/"

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func load(tb testing.TB) (*detect.Pack, *detect.Lists) {
	tb.Helper()
	pack, err := detect.Load(detections.Rules())
	require.NoError(tb, err)
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(tb, err)
	return pack, lists
}

// filled are lists with something in each.
func filled(lists *detect.Lists) *detect.Lists {
	full := &detect.Lists{Lists: maps.Clone(lists.Lists)}
	for name, list := range full.Lists {
		list.Values = []string{"W0LISTED001", "A0LISTED001"}
		if list.Kind == detect.Networks {
			list.Values = []string{"192.0.2.0/24", "2001:db8::/32"}
		}
		full.Lists[name] = list
	}
	return full
}

// made are the rules of the pack with these lists.
func made(tb testing.TB, pack *detect.Pack, lists *detect.Lists) []*elastic.Rule {
	tb.Helper()
	tuned, err := pack.Tune(lists, time.Time{})
	require.NoError(tb, err)
	rules, err := elastic.Make(tuned, detect.Tiers)
	require.NoError(tb, err)
	return rules
}

// golden compares a file that is made of the pack with what it is made of now.
func golden(t *testing.T, path string, text []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, text, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(text), "%s is stale: go test ./internal/detect/elastic -update", path)
}

// TestExamples keeps what examples/elastic has of the pack.
func TestExamples(t *testing.T) {
	t.Parallel()
	pack, lists := load(t)
	tuned, err := pack.Tune(lists, time.Time{})
	require.NoError(t, err)
	rules, err := elastic.Rules(tuned, detect.Tiers)
	require.NoError(t, err)
	golden(t, examples+"detection-rules.ndjson", []byte(rules))
	// With all lists filled more fields are asked for.
	template, err := elastic.Template(append(made(t, pack, lists), made(t, pack, filled(lists))...))
	require.NoError(t, err)
	golden(t, examples+"slack@detections.json", template)
	pipeline, err := elastic.Pipeline()
	require.NoError(t, err)
	golden(t, examples+"slack@arrival.json", pipeline)
}

// TestRules holds each rule to what Kibana's import demands, and to the pack.
func TestRules(t *testing.T) {
	t.Parallel()
	pack, lists := load(t)
	for name, lists := range map[string]*detect.Lists{"empty": lists, "filled": filled(lists)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tuned, err := pack.Tune(lists, time.Time{})
			require.NoError(t, err)
			rules := made(t, pack, lists)
			ids, names := map[string]bool{}, map[string]bool{}
			for _, r := range rules {
				assert.False(t, ids[r.ID] || names[r.Name], "%s twice", r.Name)
				ids[r.ID], names[r.Name] = true, true
				assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, r.ID)
				assert.Contains(t, []string{"low", "medium", "high", "critical"}, r.Severity, r.Name)
				assert.Equal(t, "event.ingested", r.TimestampOverride, r.Name)
				assert.Regexp(t, `^now-[1-9]\d*m$`, r.From)
				assert.NotEmpty(t, r.Threat, r.Name)
				for _, threat := range r.Threat {
					assert.Regexp(t, `^TA\d{4}$`, threat.Tactic.ID, r.Name)
					for _, technique := range threat.Techniques {
						assert.NotEmpty(t, technique.Name, "%s: %s has no name", r.Name, technique.ID)
						for _, sub := range technique.Sub {
							assert.NotEmpty(t, sub.Name, "%s: %s has no name", r.Name, sub.ID)
						}
					}
				}
				if r.Type == "esql" {
					assert.Empty(t, r.Index, "%s: ES|QL names its indices itself", r.Name)
					assert.True(t, strings.HasPrefix(r.Query, "FROM logs-slack."), r.Name)
				} else {
					assert.NotEmpty(t, r.Index, r.Name)
				}
				if r.Suppression != nil {
					assert.LessOrEqual(t, len(r.Suppression.GroupBy), 3, r.Name)
					assert.Positive(t, r.Suppression.Duration.Value, r.Name)
					if r.Type == "esql" {
						kept := r.Query[strings.LastIndex(r.Query, "| KEEP "):]
						for _, field := range r.Suppression.GroupBy {
							assert.Contains(t, kept, field, "%s: the alert has no such field", r.Name)
						}
					}
				}
			}
			want := map[string]bool{}
			for _, r := range tuned.Rules {
				_, inert := tuned.Inert[r.Name]
				want[r.Name] = r.Tier != "" && !inert
			}
			for _, c := range tuned.Correlations {
				_, inert := tuned.Inert[c.Name]
				want[c.Name] = c.Tier != "" && !inert
			}
			for name, here := range want {
				assert.Equal(t, here, slices.ContainsFunc(rules, func(r *elastic.Rule) bool { return r.Source == name }), name)
			}
		})
	}
}

// document is a record as Elasticsearch gets it from examples/elastic/elasticsearch.yaml; TestLayout says whether it is.
func document(lr plog.LogRecord) map[string]any {
	attributes := lr.Attributes().AsRaw()
	return map[string]any{
		"@timestamp": lr.Timestamp().AsTime().UnixMilli(),
		"attributes": attributes,
		"body":       map[string]any{"text": lr.Body().Str()},
	}
}

// documents are the entries of a case of the pack's tests.
func documents(c *detecttest.Case) (all []map[string]any) {
	converter := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll})
	for _, e := range c.Entries {
		records := plog.NewLogRecordSlice()
		convert(converter, e.LogType, e.JSON, e.Time, !e.SeenAgain, records)
		lr := records.At(0)
		for i, role := range e.Roles {
			if i == 0 {
				lr.Attributes().PutEmptySlice("user.roles")
			}
			roles, _ := lr.Attributes().Get("user.roles")
			roles.Slice().AppendEmpty().SetStr(role)
		}
		all = append(all, document(lr))
	}
	return all
}

func convert(converter *record.Converter, logType string, text []byte, at time.Time, isNew bool, to plog.LogRecordSlice) {
	element := jsonstream.NewElement(text)
	switch logType {
	case "access":
		converter.ParseAccess(detecttest.Team, element)
		converter.AppendAccess(to, at, record.Change{New: isNew})
	case "integration":
		converter.ParseIntegration(detecttest.Team, element)
		converter.AppendIntegration(to, at, converter.IntegrationUID(1))
	default:
		converter.ParseAudit(element)
		converter.AppendAudit(to, at)
	}
}

// TestLayout makes the documents that a real collector delivered in the end-to-end tests once more: their attributes are
// what document says.
func TestLayout(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../test/e2e/testdata/elasticsearch.json")
	require.NoError(t, err)
	var delivered []struct {
		Index  string `json:"_index"`
		Source struct {
			Attributes map[string]any `json:"attributes"`
			Body       struct {
				Text string `json:"text"`
			} `json:"body"`
		} `json:"_source"`
	}
	require.NoError(t, json.Unmarshal(text, &delivered))
	converter := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll})
	seen := map[string]bool{}
	for _, d := range delivered {
		kind := d.Source.Attributes["slack.log.type"].(string)
		assert.Equal(t, "logs-slack."+kind+".otel-default", d.Index)
		records := plog.NewLogRecordSlice()
		convert(converter, kind, []byte(d.Source.Body.Text), start, d.Source.Attributes["slack.access.change"] == "new", records)
		text, err := json.Marshal(document(records.At(0))["attributes"])
		require.NoError(t, err)
		var ours map[string]any
		require.NoError(t, json.Unmarshal(text, &ours))
		for _, attributes := range []map[string]any{ours, d.Source.Attributes} {
			delete(attributes, "log.record.uid")           // of rows it says which workspace they are of
			delete(attributes, "slack.access.count_delta") // what was there before the row is not in it
		}
		assert.Equal(t, d.Source.Attributes, ours)
		seen[kind] = true
	}
	assert.Len(t, seen, 3, "a log type is missing")
}

// asked are the fields that a query names.
var asked = regexp.MustCompile(`(?:attributes|body|event)\.[A-Za-z0-9_.]+|observed_timestamp`)

// TestFieldsExist looks for each field of each query among those that the rule's own test entries have as documents, and
// for a mapping that the query can work with.
func TestFieldsExist(t *testing.T) {
	t.Parallel()
	pack, lists := load(t)
	cases, err := detecttest.Load(os.DirFS("../../../detections/tests"), pack, start)
	require.NoError(t, err)
	have := map[string]map[string]bool{} // of each rule
	anywhere := map[string]bool{}
	for _, c := range cases {
		if have[c.Rule] == nil {
			have[c.Rule] = map[string]bool{}
		}
		for _, d := range documents(&c) {
			for name := range d["attributes"].(map[string]any) {
				have[c.Rule]["attributes."+name], anywhere["attributes."+name] = true, true
			}
		}
	}
	// What a correlation asks of its members is in the tests of other rules that ask the same.
	for _, c := range pack.Correlations {
		have[c.Name] = anywhere
	}
	var template struct {
		Template struct {
			Mappings struct {
				Properties struct {
					Attributes struct {
						Properties map[string]struct {
							Type   string         `json:"type"`
							Fields map[string]any `json:"fields"`
						} `json:"properties"`
					} `json:"attributes"`
				} `json:"properties"`
			} `json:"mappings"`
		} `json:"template"`
	}
	rules := made(t, pack, filled(lists))
	text, err := elastic.Template(rules)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &template))
	mapped := template.Template.Mappings.Properties.Attributes.Properties
	for _, r := range rules {
		required := map[string]bool{}
		for _, field := range r.Required {
			required[field.Name] = true
		}
		query, err := json.Marshal([]any{r.Query, r.Filters, r.NewTerms})
		require.NoError(t, err)
		for _, name := range asked.FindAllString(string(query), -1) {
			if !strings.HasPrefix(name, "attributes.") {
				continue
			}
			assert.True(t, required[name], "%s: required_fields lacks %s", r.Name, name)
			plain, isAddress := strings.CutSuffix(strings.TrimPrefix(name, "attributes."), ".ip")
			if _, ok := mapped[plain]; !ok || !isAddress {
				plain, isAddress = strings.TrimPrefix(name, "attributes."), false
			}
			require.Contains(t, mapped, plain, "%s: slack@detections does not map it", r.Name)
			assert.Equal(t, isAddress, isAddress && mapped[plain].Fields["ip"] != nil)
			if have[r.Source] != nil && plain != "user.roles" { // roles are opt-in, and the receiver's own tests have them
				assert.True(t, have[r.Source]["attributes."+plain], "%s (%s): no test entry has %s", r.Name, r.Source, plain)
			}
		}
	}
}

// TestOneLineEach is what an import reads.
func TestOneLineEach(t *testing.T) {
	t.Parallel()
	pack, lists := load(t)
	tuned, err := pack.Tune(lists, time.Time{})
	require.NoError(t, err)
	text, err := elastic.Rules(tuned, []detect.Tier{detect.Page})
	require.NoError(t, err)
	for line := range bytes.Lines([]byte(text)) {
		var r struct {
			ID   string   `json:"rule_id"`
			Tags []string `json:"tags"`
		}
		require.NoError(t, json.Unmarshal(line, &r))
		assert.Contains(t, r.Tags, "Tier: page")
	}
}

// TestExceptions looks for what exceptions take away in the queries: of a rule, of each correlation over it, and of that
// correlation alone.
func TestExceptions(t *testing.T) {
	t.Parallel()
	pack, lists := load(t)
	for _, c := range []struct {
		rule string
		in   []string
	}{
		{"role_to_admin", []string{"role_to_admin", "new_admin_then_risk"}},
		{"login_failed", []string{"login_failed_burst", "brute_force_success"}},
		{"login_failed_burst", []string{"login_failed_burst"}},
		{"brute_force_success", []string{"brute_force_success"}},
		{"login_failed_5", []string{"brute_force_success"}},
		{"access_two_countries_any", []string{"access_two_countries"}},
	} {
		match := "actor.user.id: W0EXCEPT001"
		if strings.HasPrefix(c.rule, "access") {
			match = "user_id: W0EXCEPT001"
		}
		excepting, err := detect.ParseLists([]byte("exceptions: [{rules: [" + c.rule + "], match: {" + match +
			"}, owner: me, reason: a test, expires: 2099-01-01}]"))
		require.NoError(t, err)
		excepting.Lists = lists.Lists
		var in []string
		for _, r := range made(t, pack, excepting) {
			query, err := json.Marshal([]any{r.Query, r.Filters})
			require.NoError(t, err)
			if strings.Contains(strings.ToUpper(string(query)), "W0EXCEPT001") {
				in = append(in, r.Source)
			}
		}
		assert.ElementsMatch(t, c.in, in, c.rule)
	}
}

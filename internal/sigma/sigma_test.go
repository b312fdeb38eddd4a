// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package sigma_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

const header = `title: A rule
id: 5a6f2f9c-3c1e-4b7e-9f0f-0d6f3f1c2b3a
name: a_rule
status: experimental
date: 2026-11-22
`

const logsource = "logsource: {product: p, service: s}\n"

// event has a list of values by field.
type event map[string][]string

func (e event) Values(field string) []string { return e[field] }

func parse(text string) (*sigma.Documents, error) {
	var docs sigma.Documents
	err := docs.Parse([]byte(text))
	return &docs, err
}

// rule is one with this detection, in YAML's flow style.
func rule(t *testing.T, detection string) sigma.Expr {
	t.Helper()
	docs, err := parse(header + logsource + "detection: " + detection)
	require.NoError(t, err)
	require.Len(t, docs.Rules, 1)
	return docs.Rules[0].Match
}

func TestConditions(t *testing.T) {
	t.Parallel()
	// Of the searches a, b, c1, c2 and _d, those hold whose name is in the text.
	const searches = `a: {a: x}, b: {b: x}, c1: {c1: x}, c2: {c2: x}, _d: {_d: x}`
	for condition, holds := range map[string]map[string]bool{
		"a or b and c1":             {"": false, "a": true, "b": false, "c1": false, "b c1": true},
		"(a or b) and c1":           {"a": false, "a c1": true, "b c1": true},
		"not a and b":               {"": false, "b": true, "a b": false, "a": false},
		"not (a and b)":             {"": true, "a": true, "a b": false},
		"not a or b":                {"": true, "a": false, "a b": true},
		"not not a":                 {"": false, "a": true},
		"a and not b or c1":         {"a": true, "a b": false, "a b c1": true, "c1": true},
		"a and not 1 of c*":         {"a": true, "a c1": false, "a c2": false, "b": false},
		"a and not all of c*":       {"a": true, "a c1": true, "a c1 c2": false},
		"1 of c*":                   {"": false, "c1": true, "c2": true, "a": false},
		"all of c*":                 {"": false, "c1": false, "c1 c2": true},
		"1 of them":                 {"": false, "a": true, "c2": true, "_d": false},
		"all of them":               {"a b c1": false, "a b c1 c2": true},
		"1 of a":                    {"": false, "a": true},
		"1 of *":                    {"_d": true, "": false},
		"((a))":                     {"a": true, "": false},
		"a or b or c1 or c2":        {"c2": true, "": false},
		"a and b and c1 and c2":     {"a b c1": false, "a b c1 c2": true},
		"  a   and\n\tb  ":          {"a b": true, "a": false},
		"not 1 of c* and not a":     {"": true, "a": false, "c2": false, "b": true},
		"1 of c* or all of c*":      {"c1": true, "": false},
		"a and (b or (c1 and _d))":  {"a": false, "a b": true, "a c1": false, "a c1 _d": true},
		"not(a)and(b)":              {"b": true, "a b": false},
		"a and not (b or not (c1))": {"a": false, "a c1": true, "a b c1": false},
	} {
		for names, want := range holds {
			e := event{}
			for name := range strings.FieldsSeq(names) {
				e[name] = []string{"x"}
			}
			// All searches must be used: this adds what never decides.
			all := fmt.Sprintf("{%s, condition: %q}", searches, "("+condition+") and (a or not a) and (1 of * or not 1 of *)")
			assert.Equal(t, want, sigma.Matches(rule(t, all), e), "%s of %q", condition, names)
		}
	}
}

func TestConditionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for condition, says := range map[string]string{
		"":              "one text",
		"a b":           "out of place",
		"a and":         "missing at the end",
		"(a":            "not closed",
		"a)":            "out of place",
		"a AND a":       "out of place",
		"a | count()":   "not covered",
		"a and b":       `no search "b"`,
		"1 of b*":       `"b*"`,
		"2 of a*":       `"2"`,
		"1 a":           "of and a pattern",
		"all of":        "of and a pattern",
		"a and -b":      "not covered",
		"not":           "missing at the end",
		"1 of *a":       `"*a"`,
		"near a and a":  "near",
		"a and not and": "and",
	} {
		_, err := parse(header + logsource + fmt.Sprintf("detection: {a: {f: v}, condition: %q}", condition))
		assert.ErrorContains(t, err, says, condition)
	}
	for detection, says := range map[string]string{
		"{a: {f: v}}":                              "one text",
		"{a: {f: v}, condition: [a]}":              "one text",
		"{a: {f: v}, b: {f: v}, condition: a}":     "does not use b",
		"{a: v, condition: a}":                     "neither a map",
		"{a: [v], condition: a}":                   "without a field",
		"{a: [], condition: a}":                    "empty",
		"{a: {}, condition: a}":                    "empty",
		"{a: {f: v, f: w}, condition: a}":          "twice",
		"{a: {f: []}, condition: a}":               "no value",
		"{a: {f: [[v]]}, condition: a}":            "a value is",
		"{a: {f: {g: v}}, condition: a}":           "a value is",
		"{a: {'|re': v}, condition: a}":            "names no field",
		"{not: {f: v}, condition: not}":            "name of a search",
		"{a-b: {f: v}, c: {f: v}, condition: c}":   "name of a search",
		"{timeframe: 5m, a: {f: v}, condition: a}": "timeframe",
	} {
		_, err := parse(header + logsource + "detection: " + detection)
		assert.ErrorContains(t, err, says, detection)
	}
}

// What a test holds and what not; the fields of the events are f, g and l, a list.
func TestTests(t *testing.T) {
	t.Parallel()
	f := func(value string) event { return event{"f": {value}} }
	for test, c := range map[string]struct{ yes, no []event }{
		`f: abc`:           {[]event{f("abc"), f("ABC"), {"f": {"x", "Abc"}}}, []event{f("abcd"), f(""), {}, {"g": {"abc"}}}},
		`f: [a, b]`:        {[]event{f("a"), f("B"), {"f": {"c", "b"}}}, []event{f("c"), f("ab"), {}}},
		`f: ''`:            {[]event{f("")}, []event{f(" "), {}}},
		`f: null`:          {[]event{{}, {"g": {"a"}}}, []event{f(""), f("null")}},
		`f:`:               {[]event{{}}, []event{f("")}},
		`f: [null, a]`:     {[]event{{}, f("a")}, []event{f("b")}},
		`f: 'null'`:        {[]event{f("null")}, []event{{}}},
		`f: 5`:             {[]event{f("5")}, []event{f("5.0"), {}}},
		`f: true`:          {[]event{f("true"), f("TRUE")}, []event{f("1"), {}}},
		`f: [1, false, x]`: {[]event{f("1"), f("false"), f("x")}, []event{f("0")}},
		`f: 2026-11-22`:    {[]event{f("2026-11-22")}, []event{f("2026-11-22T00:00:00Z")}},
		// Wildcards and what takes their meaning away.
		`f: a*`:                          {[]event{f("a"), f("Abc")}, []event{f("ba"), {}}},
		`f: '*a'`:                        {[]event{f("a"), f("xA")}, []event{f("ab")}},
		`f: '*a*'`:                       {[]event{f("a"), f("xAx")}, []event{f("b")}},
		`f: a*b`:                         {[]event{f("ab"), f("axb"), f("a\nB")}, []event{f("abc"), f("xab")}},
		`f: a?c`:                         {[]event{f("abc"), f("a\nc"), f("aéc")}, []event{f("ac"), f("abbc"), f("xabc")}},
		`f: '*'`:                         {[]event{f("a"), f("")}, []event{{}}},
		`f: '**'`:                        {[]event{f("")}, []event{{}}},
		`f: '?'`:                         {[]event{f("a")}, []event{f(""), f("ab"), {}}},
		`f: 'a\*'`:                       {[]event{f("a*")}, []event{f("ab"), f(`a\*`)}},
		`f: 'a\?'`:                       {[]event{f("a?")}, []event{f("ab")}},
		`f: 'a\\*'`:                      {[]event{f(`a\`), f(`a\b`)}, []event{f("a*"), f("ab")}},
		`f: 'a\\b'`:                      {[]event{f(`a\b`)}, []event{f(`a\\b`)}},
		`f: 'a\b'`:                       {[]event{f(`a\b`)}, []event{f("ab")}},
		`f: 'a\'`:                        {[]event{f(`a\`)}, []event{f("a")}},
		`f: '.*a?'`:                      {[]event{f(".ab"), f(".xxab")}, []event{f("xab")}},
		`f: [a, 'b*', '*c', 'd?', null]`: {[]event{f("A"), f("bx"), f("xc"), f("dd"), {}}, []event{f("ax"), f("d")}},
		// Modifiers.
		`f|contains: b`:                      {[]event{f("abc"), f("B")}, []event{f("ac"), {}}},
		`f|contains: [x, b]`:                 {[]event{f("abc"), f("x")}, []event{f("a")}},
		`f|contains|all: [x, b]`:             {[]event{f("xb"), {"f": {"x", "b"}}}, []event{f("x"), f("b")}},
		`f|all: ['a*', '*b']`:                {[]event{f("ab")}, []event{f("a"), f("b")}},
		`f|startswith: [a, b]`:               {[]event{f("Ab"), f("b")}, []event{f("xa")}},
		`f|endswith: a`:                      {[]event{f("xA")}, []event{f("ax")}},
		`f|contains: 'a\*'`:                  {[]event{f("xa*x")}, []event{f("xab")}},
		`f|cased: Abc`:                       {[]event{f("Abc")}, []event{f("abc")}},
		`f|contains|cased: B`:                {[]event{f("aBc")}, []event{f("abc")}},
		`f|cased|startswith: B`:              {[]event{f("Bc")}, []event{f("bc")}},
		`f|cased: B?`:                        {[]event{f("Bc")}, []event{f("bc")}},
		`f|re: ^a+$`:                         {[]event{f("aaa")}, []event{f("AAA"), f("ab"), {}}},
		`f|re|i: ^a+$|^c`:                    {[]event{f("aAa"), f("CX")}, []event{f("ab")}},
		`f|re: [a, b]`:                       {[]event{f("xa"), f("xb")}, []event{f("c")}},
		`f|re|all: [a, b]`:                   {[]event{f("ab")}, []event{f("a")}},
		`f|exists: true`:                     {[]event{f("")}, []event{{}}},
		`f|exists: false`:                    {[]event{{}}, []event{f("")}},
		`f|cidr: 10.0.0.0/8`:                 {[]event{f("10.1.2.3"), f("::ffff:10.1.2.3")}, []event{f("11.0.0.1"), f("10.1.2"), f("x"), {}}},
		`f|cidr: [2001:db8::/32, 192.0.2.1]`: {[]event{f("2001:db8::1"), f("2001:DB8:0::1"), f("192.0.2.1")}, []event{f("192.0.2.2")}},
		`f|fieldref: g`: {[]event{{"f": {"a"}, "g": {"a"}}}, []event{
			{"f": {"a"}, "g": {"A"}}, {"f": {"a"}}, {"g": {"a"}}, {}, {"f": {"a", "b"}, "g": {"a"}}, {"f": {"a", "b"}, "g": {"a", "b"}},
		}},
		`f|fieldref: [g, l]`: {[]event{{"f": {"a"}, "l": {"a"}}}, []event{{"f": {"a"}, "g": {"b"}, "l": {"c"}}}},
		// Letters.
		`f: É`:         {[]event{f("é")}, []event{f("e")}},
		`f: straße`:    {[]event{f("STRAßE")}, []event{f("STRASSE")}},
		`f|cased: 'ſ'`: {[]event{f("ſ")}, []event{f("s")}},
	} {
		e := rule(t, "\n  a:\n    "+test+"\n  condition: a\n")
		for _, event := range c.yes {
			assert.True(t, sigma.Matches(e, event), "%s of %q", test, event)
		}
		for _, event := range c.no {
			assert.False(t, sigma.Matches(e, event), "%s of %q", test, event)
		}
	}
}

func TestTestsThatAreRefused(t *testing.T) {
	t.Parallel()
	for test, says := range map[string]string{
		`f|base64: a`:                "base64",
		`f|windash: a`:               "windash",
		`f|gt: 5`:                    "gt",
		`f|neq: a`:                   "neq",
		`f|utf16le: a`:               "utf16le",
		`f|base64offset|contains: a`: "base64offset",
		`f|re|m: a`:                  "modifier m",
		`f|minute: 5`:                "minute",
		`f|: a`:                      "modifier",
		`f|Contains: a`:              "Contains",
		`f|contains|startswith: a`:   "does not go with",
		`f|contains|re: a`:           "does not go with",
		`f|re|cidr: a`:               "does not go with",
		`f|exists|contains: true`:    "does not go with",
		`f|contains|contains: a`:     "does not go with",
		`f|expand|contains: '%a%'`:   "does not go with",
		`f|contains|expand: '%a%'`:   "does not go with",
		`f|i: a`:                     "do not go together",
		`f|contains|i: a`:            "do not go together",
		`f|re|cased: a`:              "do not go together",
		`f|cidr|cased: 10.0.0.0/8`:   "do not go together",
		`f|expand|cased: '%a%'`:      "do not go together",
		`f|fieldref|cased: g`:        "do not go together",
		`f|exists|cased: true`:       "do not go together",
		`f|re: '('`:                  "missing closing",
		`f|re: '(?<=a)b'`:            "invalid",
		`f|cidr: 10.0.0.0/33`:        "no range",
		`f|cidr: host`:               "no range",
		`f|expand: a`:                "between two",
		`f|expand: '%%'`:             "between two",
		`f|expand: '%a%b%'`:          "between two",
		`f|exists: 5`:                "true or false",
		`f|exists: null`:             "true or false",
		`f|exists: [true]`:           "true or false",
		`f|exists: 'true'`:           "true or false",
		`f|contains: null`:           "null does not go",
		`f|contains: 'a*b'`:          "wildcard",
		`f|startswith: a?`:           "wildcard",
		`f: &x [a]`:                  "",
		`f|fieldref: {a: b}`:         "a value is",
		`f: [a, [b]]`:                "a value is",
	} {
		_, err := parse(header + logsource + "detection:\n  a:\n    " + test + "\n  condition: a\n")
		if says == "" {
			assert.NoError(t, err, test)
			continue
		}
		assert.ErrorContains(t, err, says, test)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	e := rule(t, `{a: {f|expand: ['%one%', '%two%']}, condition: a}`)
	assert.Equal(t, &sigma.Test{Field: "f", Op: sigma.InList, Values: []string{"one", "two"}}, e)
	assert.Panics(t, func() { sigma.Matches(e, event{"f": {"one"}}) }, "a list that nobody has filled must not pass for an empty one")
}

// Map takes constants out, whatever is around them.
func TestMap(t *testing.T) {
	t.Parallel()
	f, g := &sigma.Test{Field: "f", Op: sigma.Exists}, &sigma.Test{Field: "g", Op: sigma.Exists}
	list := &sigma.Test{Op: sigma.InList}
	for name, c := range map[string]struct{ in, never, always sigma.Expr }{
		"itself":     {list, sigma.Never, sigma.Always},
		"and":        {sigma.And{f, list}, sigma.Never, f},
		"or":         {sigma.Or{f, list}, f, sigma.Always},
		"and not":    {sigma.And{f, sigma.Not{Expr: list}}, f, sigma.Never},
		"nested":     {sigma.And{f, sigma.Or{g, list}}, sigma.And{f, g}, f},
		"not or":     {sigma.Not{Expr: sigma.Or{list, list}}, sigma.Always, sigma.Never},
		"not not":    {sigma.Not{Expr: sigma.Not{Expr: list}}, sigma.Never, sigma.Always},
		"flattened":  {sigma.And{sigma.And{f, g}, sigma.Not{Expr: list}}, sigma.And{f, g}, sigma.Never},
		"not of and": {sigma.Not{Expr: sigma.And{f, list}}, sigma.Always, sigma.Not{Expr: f}},
	} {
		for _, constant := range []sigma.Expr{sigma.Never, sigma.Always} {
			got := sigma.Map(c.in, func(test *sigma.Test) sigma.Expr {
				if test == list {
					return constant
				}
				return test
			})
			want := c.never
			if !sigma.IsNever(constant) {
				want = c.always
			}
			if want, ok := want.(sigma.And); ok && len(want) == 0 {
				assert.Empty(t, got, name)
				assert.IsType(t, sigma.And{}, got, name)
				continue
			}
			if sigma.IsNever(want) {
				assert.True(t, sigma.IsNever(got), "%s: %v", name, got)
				continue
			}
			assert.Equal(t, want, got, name)
		}
	}
}

// The header is held to what Sigma's JSON schemas demand, and to a little more.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const detection = logsource + "detection: {a: {f: v}, condition: a}\n"
	_, err := parse(header + detection + "level: high\ntags: [attack.t1098.003, cve.2026-1]\nfields: [f]\nmodified: 2026-12-01\n" +
		"falsepositives: [none known]\nreferences: ['https://example.com/']\nlicense: Apache-2.0\nauthor: me\nslacklogs: {any: thing}\n")
	require.NoError(t, err)
	for change, says := range map[string]string{
		"title: A rule=>": "title",
		"title: A rule=>title: '" + strings.Repeat("x", 257) + "'": "title",
		"title: A rule=>title: \"two\\nlines\"":                    "title",
		"title: A rule=>title: \"two\\u2028lines\"":                "title",
		"name: a_rule=>":                                    "name",
		"name: a_rule=>name: a-rule":                        "name",
		"name: a_rule=>name: A":                             "name",
		"id: 5a6f2f9c=>id: 5a6f2f9":                         "UUID",
		"status: experimental=>status: new":                 "status",
		"status: experimental=>":                            "status",
		"date: 2026-11-22=>":                                "date",
		"date: 2026-11-22=>date: 2026/11/22":                "date",
		"date: 2026-11-22=>date: 2026-13-22":                "date",
		"date: 2026-11-22=>date: 2026-11-22\nmodified: 1":   "modified",
		"=>level: severe\n":                                 "level",
		"=>tags: [attack]\n":                                "namespace.name",
		"=>tags: [Attack.T1098]\n":                          "namespace.name",
		"=>tags: [a.b, a.b]\n":                              "twice",
		"=>references: [a, a]\n":                            "twice",
		"=>falsepositives: [a]\n":                           "too short",
		"=>falsepositives: [aa, aa]\n":                      "twice",
		"=>fields: [f, f]\n":                                "twice",
		"=>related: []\n":                                   "related",
		"=>taxonomy: sigma\n":                               "taxonomy",
		"=>scope: [server]\n":                               "scope",
		"=>severity: high\n":                                "severity",
		"product: p=>category: c":                           "category",
		"product: p=>produkt: p":                            "produkt",
		"detection:=>detections:":                           "detections",
		"=>filter: {rules: [a], s: {f: v}, condition: s}\n": "one of detection",
		"=>correlation: {type: temporal}\n":                 "one of detection",
		"detection: {a: {f: v}, condition: a}=>":            "one of detection",
		"=>title: again\n":                                  "already defined",
	} {
		from, to, _ := strings.Cut(change, "=>")
		text := header + detection
		if from == "" {
			text += to
		} else {
			require.Contains(t, text, from)
			text = strings.Replace(text, from, to, 1)
		}
		_, err := parse(text)
		assert.ErrorContains(t, err, says, change)
	}
}

func TestCorrelations(t *testing.T) {
	t.Parallel()
	docs, err := parse(header + "correlation: {type: value_count, rules: [one, two], group-by: [u, v], timespan: 15m, condition: {gte: 3, field: f}, aliases: {u: {one: a, two: b}}}")
	require.NoError(t, err)
	c := docs.Correlations[0]
	assert.Equal(t, []string{"a", "v"}, c.GroupFields("one"))
	assert.Equal(t, []string{"b", "v"}, c.GroupFields("two"))
	assert.Equal(t, "15m0s", c.Timespan.String())
	assert.Equal(t, "f", c.Field)
	for compare, holds := range map[string][]bool{"gt": {false, false, true}, "gte": {false, true, true}, "eq": {false, true, false}} {
		docs, err := parse(header + "correlation: {type: event_count, rules: [one], group-by: [u], timespan: 2w, condition: {" + compare + ": 5}}")
		require.NoError(t, err)
		for i, want := range holds {
			assert.Equal(t, want, docs.Correlations[0].Holds(4+i), "%s 5 of %d", compare, 4+i)
		}
	}

	const count = "{type: event_count, rules: [one], group-by: [u], timespan: 5m, condition: {gt: 5}}"
	const sequence = "{type: temporal_ordered, rules: [one, two], group-by: [u], timespan: 5m}"
	for _, text := range []string{count, sequence} {
		_, err := parse(header + "correlation: " + text)
		require.NoError(t, err)
	}
	for change, says := range map[string]string{
		"event_count=>sum":                                   "type",
		"event_count=>value_avg":                             "type",
		"event_count=>value_count":                           "needs a field",
		"gt: 5=>gt: 5, field: f":                             "needs a field",
		"gt: 5=>field: f":                                    "how many",
		", condition: {gt: 5}=>":                             "how many",
		"gt: 5=>gt: 5, lt: 9":                                "one comparison",
		"gt: 5=>gt: -1":                                      "not negative",
		"gt: 5=>gt: x":                                       "number",
		"gt: 5=>gt: null":                                    "number",
		"gt: 5=>gt: 5.5":                                     "number",
		"gt: 5=>neq: 5":                                      "not covered",
		"gt: 5=>lt: 5":                                       "nothing happened",
		"gt: 5=>lte: 5":                                      "nothing happened",
		"gt: 5=>gte: 0":                                      "nothing happened",
		"gt: 5=>eq: 0":                                       "nothing happened",
		"gt: 5=>lt: 0":                                       "less than 0",
		"rules: [one]=>rules: []":                            "rules",
		"rules: [one]=>rules: [one, one]":                    "twice",
		"group-by: [u], =>":                                  "group-by",
		"group-by: [u]=>group-by: [u, u]":                    "twice",
		"timespan: 5m, =>":                                   "timespan",
		"timespan: 5m=>timespan: 0m":                         "timespan",
		"timespan: 5m=>timespan: 5M":                         "timespan",
		"timespan: 5m=>timespan: 1h30m":                      "timespan",
		"timespan: 5m=>timespan: 99999999999999999999d":      "timespan",
		"timespan: 5m=>timespan: 5m, generate: true":         "generate",
		"timespan: 5m=>timespan: 5m, aliases: {x: {one: a}}": "does not use x",
		"timespan: 5m=>timespan: 5m, aliases: {u: {two: a}}": "no field for one",
		"group-by: [u], timespan: 5m=>group-by: [\"u\\n\"], timespan: 5m, aliases: {\"u\\n\": {one: a}}": "no name of letters",
		"timespan: 5m=>timespan: 5m, aliases: {u: {one: a, two: b}}":                                     "not among rules",
	} {
		from, to, _ := strings.Cut(change, "=>")
		require.Contains(t, count, from)
		_, err := parse(header + "correlation: " + strings.Replace(count, from, to, 1))
		assert.ErrorContains(t, err, says, change)
	}
	for change, says := range map[string]string{
		"[one, two]=>[one]": "needs two",
		"timespan: 5m=>timespan: 5m, condition: {gte: 3}":           "only gte",
		"timespan: 5m=>timespan: 5m, condition: {gt: 2}":            "only gte",
		"timespan: 5m=>timespan: 5m, condition: {gte: 2, field: f}": "only gte",
		"timespan: 5m=>timespan: 5m, field: f":                      "another",
	} {
		from, to, _ := strings.Cut(change, "=>")
		_, err := parse(header + "correlation: " + strings.Replace(sequence, from, to, 1))
		assert.ErrorContains(t, err, says, change)
	}
	// What Sigma's schema demands beside its specification.
	_, err = parse(header + "correlation: " + strings.Replace(sequence, "timespan: 5m", "timespan: 5m, condition: {gte: 2}", 1))
	require.NoError(t, err)
	_, err = parse(header + "correlation: {type: value_count, rules: [one], group-by: [u], timespan: 5m, field: f, condition: {field: f, gt: 5}}")
	require.NoError(t, err)
	_, err = parse(header + logsource + "correlation: " + count)
	assert.ErrorContains(t, err, "logsource")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	docs, err := parse(header + logsource + "filter: {rules: [one], selection: {f: v}, condition: not selection}")
	require.NoError(t, err)
	assert.Equal(t, []string{"one"}, docs.Filters[0].Rules)
	assert.False(t, sigma.Matches(docs.Filters[0].Match, event{"f": {"v"}}))
	assert.True(t, sigma.Matches(docs.Filters[0].Match, event{}))
	for filter, says := range map[string]string{
		"{selection: {f: v}, condition: not selection}":                    "rules",
		"{rules: [], selection: {f: v}, condition: not selection}":         "rules",
		"{rules: any, selection: {f: v}, condition: not selection}":        "rules",
		"{rules: [one, one], selection: {f: v}, condition: not selection}": "twice",
		"{rules: [one], selection: {f: v}}":                                "condition",
	} {
		_, err := parse(header + logsource + "filter: " + filter)
		assert.ErrorContains(t, err, says, filter)
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	one := header + logsource + "detection: {a: {f: v}, condition: a}\n"
	docs, err := parse(one + "---\n" + strings.Replace(one, "a_rule", "another", 1))
	require.NoError(t, err)
	assert.Len(t, docs.Rules, 2)
	_, err = parse(one + "---\n" + strings.Replace(one, "a_rule", "another", 1) + "nonsense: 1\n")
	assert.ErrorContains(t, err, "nonsense")
	for _, text := range []string{"", "# a comment\n"} {
		_, err = parse(text)
		assert.Error(t, err, "%q holds no rule", text)
	}
	for _, text := range []string{"[]", "text", "a: [", "\x00", "---\n---\n", "&a [*a]"} {
		_, err = parse(text)
		assert.Error(t, err, "%q", text)
	}
}

// FuzzParse looks for a text with which Parse or what it returns panics.
func FuzzParse(f *testing.F) {
	for _, detection := range []string{
		"detection: {a: {f: v, 'g|contains|all': [x, 'y\\*']}, b: [{'f|re|i': '^a'}, {f: [null, 'a*b', '*', 5]}], condition: a and not 1 of b*}",
		"detection: {a: {'f|expand': '%list%', 'f|cidr': [10.0.0.0/8], 'f|exists': false, 'f|fieldref': g}, condition: (a or not a)}",
		"filter: {rules: [x], selection: {f: v}, condition: not selection}",
	} {
		f.Add(header + logsource + detection)
	}
	f.Add(header + "correlation: {type: value_count, rules: [one], group-by: [u], timespan: 5m, condition: {gt: 5, field: f}, aliases: {u: {one: a}}}")
	files, err := filepath.Glob("../../detections/rules/*/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	events := []event{{}, {"f": {""}}, {"f": {"a", "10.0.0.1"}, "g": {"a"}}, {"action": {"user_login"}, "f": {"É\x00\xff"}}}
	f.Fuzz(func(t *testing.T, text string) {
		docs, err := parse(text)
		if err != nil {
			return
		}
		var all []sigma.Expr
		for _, r := range docs.Rules {
			all = append(all, r.Match)
		}
		for _, filter := range docs.Filters {
			all = append(all, filter.Match)
		}
		for _, e := range all {
			filled := sigma.Map(e, func(test *sigma.Test) sigma.Expr {
				if test.Op == sigma.InList {
					return sigma.Never
				}
				return test
			})
			for _, event := range events {
				if sigma.Matches(filled, event) == sigma.Matches(sigma.Not{Expr: filled}, event) {
					t.Error("holds, and doesn't")
				}
			}
		}
		for _, c := range docs.Correlations {
			if c.Timespan <= 0 {
				t.Error("a timespan of", c.Timespan)
			}
			for _, rule := range c.Rules {
				if len(c.GroupFields(rule)) != len(c.GroupBy) {
					t.Error("a group of other fields")
				}
			}
			c.Holds(1)
		}
	})
}

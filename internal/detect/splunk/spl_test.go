// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package splunk_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What follows runs the searches that this package writes, and refuses everything else. It is not Splunk: it was written
// by whoever wrote the searches, from Splunk's documentation. It shows that their logic is the pack's, not that Splunk
// reads them as they are meant. Where Splunk's documentation leaves a question open, it takes both answers (closed) or
// fails (null in a condition).

// row is an event or a result. A field that is not there is null.
type row map[string][]string

// engine is what searches run on.
type engine struct {
	t      *testing.T
	events []row
	files  map[string][]byte
	macros map[string]map[string]string
	now    int64
	// closed is whether time_window holds an event that is exactly so old.
	closed bool
	// reads are the fields that were asked for, and whether by a condition of where, search or lookup.
	reads map[string]bool
	where bool

	// What was made of texts before.
	tokens   map[string][]string
	patterns map[string]*regexp.Regexp
}

func (e *engine) read(field string, condition bool) { e.reads[field] = e.reads[field] || condition }

func (e *engine) pattern(text string) *regexp.Regexp {
	if e.patterns[text] == nil {
		e.patterns[text] = regexp.MustCompile(text)
	}
	return e.patterns[text]
}

var macroForm = regexp.MustCompile("`([a-z0-9_]+)(?:\\(([^`]*)\\))?`")

// expand puts macros' definitions in the place of their names.
func (e *engine) expand(search string) string {
	for macroForm.MatchString(search) {
		search = macroForm.ReplaceAllStringFunc(search, func(call string) string {
			m := macroForm.FindStringSubmatch(call)
			name, values := m[1], []string(nil)
			if m[2] != "" {
				values = strings.Split(m[2], ",")
				name += fmt.Sprintf("(%d)", len(values))
			}
			settings := e.macros[name]
			require.NotNil(e.t, settings, "there is no macro %s", name)
			definition := settings["definition"]
			for i, value := range values {
				arg := strings.TrimSpace(strings.Split(settings["args"], ",")[i])
				definition = strings.ReplaceAll(definition, "$"+arg+"$", value)
			}
			return definition
		})
	}
	return search
}

// cut divides a text where no quotes or brackets are open.
func cut(text string, at byte) (parts []string) {
	depth, quoted, from := 0, false, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '(':
			depth++
		case c == ']' || c == ')':
			depth--
		case c == at && depth == 0:
			parts = append(parts, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(text[from:]))
}

func (e *engine) run(search string) []row {
	stages := cut(e.expand(search), '|')
	rows := e.base(stages[0])
	for _, stage := range stages[1:] {
		rows = e.command(stage, rows)
	}
	return rows
}

var termForm = regexp.MustCompile(`(?s)^(?:([\w.]+) IN \(([^)]*)\)|([\w.]+)=("[^"]*"|[^\s")]+))\s*`)

// terms is a search command: fields and their values, side by side or with OR and parentheses, and times.
type terms struct {
	e                                  *engine
	text                               string
	earliest, latest, arrived, indexed int64
}

type predicate func(row) bool

// base is the search command.
func (e *engine) base(text string) []row {
	s := &terms{e, text, math.MinInt64, math.MaxInt64, math.MinInt64, e.now}
	holds := s.all()
	require.Empty(e.t, s.text)
	var found []row
	for _, event := range e.events {
		at, indexed := number(event["_time"]), number(event["_indextime"])
		if at >= float64(s.earliest) && at < float64(s.latest) && indexed >= float64(s.arrived) && indexed <= float64(s.indexed) && holds(event) {
			found = append(found, maps.Clone(event))
		}
	}
	return found
}

func (s *terms) all() predicate {
	holds := func(row) bool { return true }
	var either predicate
	for s.text != "" && s.text[0] != ')' {
		one := s.one()
		if rest, ok := strings.CutPrefix(s.text, "OR "); ok || either != nil {
			s.text = rest
			if before := either; before != nil {
				last := one
				one = func(r row) bool { return before(r) || last(r) }
			}
			if either = one; ok {
				continue
			}
			either = nil
		}
		before := holds
		holds = func(r row) bool { return before(r) && one(r) }
	}
	return holds
}

func (s *terms) one() predicate {
	e := s.e
	switch s.text[0] {
	case '(':
		s.text = s.text[1:]
		inner := s.all()
		require.NotEmpty(e.t, s.text)
		s.text = strings.TrimSpace(s.text[1:])
		return inner
	case '[':
		end := strings.LastIndex(s.text, "]")
		result := e.run(strings.TrimPrefix(s.text[1:end], "search "))
		require.Len(e.t, result, 1)
		s.text = "earliest=" + result[0]["earliest"][0] + " latest=" + result[0]["latest"][0] + " " + s.text[end+1:]
		return s.one()
	}
	m := termForm.FindStringSubmatch(s.text)
	require.NotNil(e.t, m, "search: %s", s.text)
	s.text = s.text[len(m[0]):]
	field, values := m[1]+m[3], []string{m[4]}
	if m[1] != "" {
		values = strings.Split(m[2], ", ")
	}
	for i := range values {
		values[i] = strings.Trim(values[i], `"`)
	}
	always := func(row) bool { return true }
	switch field {
	case "earliest":
		s.earliest = e.time(values[0])
		return always
	case "latest":
		s.latest = e.time(values[0])
		return always
	case "_index_earliest":
		s.arrived = e.time(values[0])
		return always
	case "_index_latest":
		s.indexed = e.time(values[0])
		return always
	}
	return func(r row) bool {
		e.read(field, true)
		return slices.ContainsFunc(r[field], func(v string) bool {
			return slices.ContainsFunc(values, func(want string) bool {
				prefix, wild := strings.CutSuffix(strings.ToLower(want), "*")
				return strings.ToLower(v) == prefix || wild && strings.HasPrefix(strings.ToLower(v), prefix)
			})
		})
	}
}

var timeForm = regexp.MustCompile(`^([+-])(\d+)([smhd])$`)

func (e *engine) time(text string) int64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	m := timeForm.FindStringSubmatch(text)
	require.NotNil(e.t, m, text)
	n, _ := strconv.ParseInt(m[2], 10, 64)
	n *= map[string]int64{"s": 1, "m": 60, "h": 3600, "d": 86400}[m[3]]
	if m[1] == "-" {
		n = -n
	}
	return e.now + n
}

var (
	lookupForm = regexp.MustCompile(`^(\w+) value AS (\S+) OUTPUT listed AS (\w+)$`)
	aggForm    = regexp.MustCompile(`^(count\(eval\(isnull\((\w+)\)\)\)|count|(\w+)\(([^)]*)\))(?: AS (\S+))?\s*`)
)

func (e *engine) command(stage string, rows []row) []row {
	name, rest, _ := strings.Cut(stage, " ")
	switch name {
	case "dedup":
		if by, sorted := strings.CutSuffix(rest, " sortby -_time"); sorted {
			rest = by
			slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(number(b["_time"]), number(a["_time"])) })
		}
		fields, seen := strings.Fields(rest), map[string]bool{}
		return slices.DeleteFunc(rows, func(r row) bool {
			var key []string
			for _, f := range fields {
				e.read(f, true)
				if r[f] == nil {
					return true
				}
				key = append(key, strings.Join(r[f], "\x01"))
			}
			joined := strings.Join(key, "\x00")
			defer func() { seen[joined] = true }()
			return seen[joined]
		})
	case "where":
		e.where = true
		defer func() { e.where = false }()
		return slices.DeleteFunc(rows, func(r row) bool {
			v := e.eval(rest, r)
			require.True(e.t, v.boolean, "where %s: is null in %v", rest, r)
			return !v.true
		})
	case "eval":
		for _, r := range rows {
			for _, assignment := range cut(rest, ',') {
				field, expression, _ := strings.Cut(assignment, "=")
				v := e.eval(expression, r)
				require.False(e.t, v.boolean, assignment)
				if r[field] = v.values; len(v.values) == 0 {
					delete(r, field)
				}
			}
		}
		return rows
	case "lookup":
		m := lookupForm.FindStringSubmatch(rest)
		require.NotNil(e.t, m, stage)
		e.read(m[2], true)
		for _, r := range rows {
			if delete(r, m[3]); e.listed(m[1], r[m[2]]) {
				r[m[3]] = []string{"yes"}
			}
		}
		return rows
	case "sort":
		fields := strings.Fields(rest)
		require.Equal(e.t, "0", fields[0], stage)
		slices.SortStableFunc(rows, func(a, b row) int {
			for _, f := range fields[1:] {
				if c := cmp.Compare(number(a[f]), number(b[f])); c != 0 {
					return c
				}
			}
			return 0
		})
		return rows
	case "mvexpand":
		var all []row
		for _, r := range rows {
			for _, v := range r[rest] {
				copied := maps.Clone(r)
				copied[rest] = []string{v}
				all = append(all, copied)
			}
		}
		return all
	case "streamstats":
		return e.streamstats(rest, rows)
	case "stats":
		aggs, by := e.aggregations(rest)
		groups, order := map[string][]row{}, []string{}
		for _, r := range rows {
			key, ok := keyOf(r, by)
			if by != nil && !ok {
				continue
			}
			if groups[key] == nil {
				order = append(order, key)
			}
			groups[key] = append(groups[key], r)
		}
		if by == nil && len(order) == 0 {
			order = []string{""}
		}
		var all []row
		for _, key := range order {
			r := row{}
			for _, f := range by {
				r[f] = groups[key][0][f]
			}
			for _, a := range aggs {
				if r[a.as] = e.aggregate(a, groups[key]); len(r[a.as]) == 0 {
					delete(r, a.as)
				}
			}
			all = append(all, r)
		}
		return all
	case "eventstats":
		aggs, by := e.aggregations(rest)
		groups := map[string][]row{}
		for _, r := range rows {
			key, _ := keyOf(r, by)
			groups[key] = append(groups[key], r)
		}
		for _, group := range groups {
			for _, a := range aggs {
				result := e.aggregate(a, group)
				for _, r := range group {
					r[a.as] = result
				}
			}
		}
		return rows
	case "append":
		stages := cut(strings.Trim(rest, "[]"), '|')
		require.Equal(e.t, []string{"", "inputlookup slacklogs_watched", "eval arrived=0"}, stages)
		for line := range strings.Lines(string(e.files["lookups/slacklogs_watched.csv"])) {
			if line = strings.TrimSpace(line); line != "log_type" {
				rows = append(rows, row{"log_type": {line}, "arrived": {"0"}})
			}
		}
		return rows
	case "table":
		return rows
	case "fields":
		require.True(e.t, strings.HasPrefix(rest, "- "), stage)
		for _, r := range rows {
			for f := range strings.FieldsSeq(rest[2:]) {
				delete(r, f)
			}
		}
		return rows
	case "return":
		require.Equal(e.t, "earliest latest", rest)
		return rows
	}
	require.Fail(e.t, "what is "+stage+"?")
	return nil
}

func (e *engine) listed(table string, values []string) bool {
	rows, err := csv.NewReader(bytes.NewReader(e.files["lookups/"+table+".csv"])).ReadAll()
	require.NoError(e.t, err)
	require.NotEmpty(e.t, rows, table)
	for _, r := range rows[1:] {
		for _, v := range values {
			match := v == r[0]
			if _, network, err := net.ParseCIDR(r[0]); err == nil {
				ip := net.ParseIP(v)
				match = ip != nil && network.Contains(ip)
			}
			if match && r[1] != "" {
				return true
			}
		}
	}
	return false
}

type aggregation struct{ function, field, as string }

func (e *engine) aggregations(text string) (aggs []aggregation, by []string) {
	text, fields, ok := strings.Cut(text, " BY ")
	if ok {
		by = strings.Fields(fields)
	}
	for text != "" {
		m := aggForm.FindStringSubmatch(text)
		require.NotNil(e.t, m, text)
		text = text[len(m[0]):]
		a := aggregation{cmp.Or(m[3], "count"), m[2] + m[4], cmp.Or(m[5], m[1])}
		if a.function != "values" { // what is only shown may be missing
			e.read(a.field, false)
		}
		aggs = append(aggs, a)
	}
	return aggs, by
}

func keyOf(r row, by []string) (string, bool) {
	var key []string
	for _, f := range by {
		if len(r[f]) != 1 {
			return "", false
		}
		key = append(key, r[f][0])
	}
	return strings.Join(key, "\x00"), true
}

func number(values []string) float64 {
	if len(values) != 1 {
		return math.NaN()
	}
	n, err := strconv.ParseFloat(values[0], 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

func text(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (e *engine) aggregate(a aggregation, rows []row) []string {
	if a.function == "count" && a.field == "" {
		return []string{strconv.Itoa(len(rows))}
	}
	if a.function == "count" { // where it is null
		return []string{strconv.Itoa(len(slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r[a.field] != nil })))}
	}
	var values []string
	best, at, until, sum := math.NaN(), math.Inf(-1), math.Inf(1), 0.0
	var latest, earliest []string
	for _, r := range rows {
		values = append(values, r[a.field]...)
		if n := number(r[a.field]); !math.IsNaN(n) && (math.IsNaN(best) || a.function == "min" && n < best || a.function == "max" && n > best) {
			best = n
		}
		if t := number(r["_time"]); r[a.field] != nil && t >= at {
			latest, at = r[a.field], t
		}
		if t := number(r["_time"]); r[a.field] != nil && t < until {
			earliest, until = r[a.field], t
		}
		if n := number(r[a.field]); !math.IsNaN(n) {
			sum += n
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	switch a.function {
	case "values":
		return values
	case "dc":
		return []string{strconv.Itoa(len(values))}
	case "latest":
		return latest
	case "earliest":
		return earliest
	case "sum":
		return []string{text(sum)}
	case "min", "max":
		if math.IsNaN(best) {
			return nil
		}
		return []string{text(best)}
	}
	require.Fail(e.t, "what is "+a.function+"?")
	return nil
}

func (e *engine) streamstats(rest string, rows []row) []row {
	window, current := math.Inf(1), true
	for {
		option, after, _ := strings.Cut(rest, " ")
		if option == "current=f" {
			current = false
		} else if seconds, ok := strings.CutPrefix(option, "time_window="); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(seconds, "s"))
			require.NoError(e.t, err)
			window = float64(n)
			require.True(e.t, slices.IsSortedFunc(rows, func(a, b row) int { return cmp.Compare(number(a["_time"]), number(b["_time"])) }), "time_window needs the order of time")
		} else {
			break
		}
		rest = after
	}
	aggs, by := e.aggregations(rest)
	groups := map[string][]row{}
	results := make([]row, len(rows))
	for i, r := range rows {
		key, ok := keyOf(r, by)
		require.True(e.t, ok, "streamstats: a row has no %v: %v", by, r)
		before := groups[key]
		groups[key] = append(before, r)
		if current {
			before = groups[key]
		}
		var seen []row
		for _, b := range before {
			age := number(r["_time"]) - number(b["_time"])
			if age < window || e.closed && age == window {
				seen = append(seen, b)
			}
		}
		results[i] = row{}
		for _, a := range aggs {
			results[i][a.as] = e.aggregate(a, seen)
		}
	}
	for i, result := range results {
		for as, v := range result {
			if rows[i][as] = v; len(v) == 0 {
				delete(rows[i], as)
			}
		}
	}
	return rows
}

// value is what an expression is: true or false, or some texts; null is none of them.
type value struct {
	boolean, true bool
	values        []string
}

type expression struct {
	e      *engine
	r      row
	text   string
	tokens []string
}

var exprForm = regexp.MustCompile(`"[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?|>=|<=|!=|[=<>()+\-*/.,]`)

func (e *engine) eval(text string, r row) value {
	tokens := e.tokens[text]
	if tokens == nil {
		tokens = exprForm.FindAllString(text, -1)
		require.Equal(e.t, strings.Join(strings.Fields(text), ""), strings.ReplaceAll(strings.Join(tokens, ""), " ", ""), "what is %s?", text)
		e.tokens[text] = tokens
	}
	x := &expression{e, r, text, tokens}
	v := x.or()
	require.Empty(e.t, x.tokens, text)
	return v
}

func (x *expression) take(tokens ...string) string {
	if len(x.tokens) > 0 && slices.Contains(tokens, x.tokens[0]) {
		token := x.tokens[0]
		x.tokens = x.tokens[1:]
		return token
	}
	return ""
}

// sure is a condition that is not null: Splunk's documentation does not say what null means beside AND, OR and NOT.
func (x *expression) sure(v value) bool {
	require.True(x.e.t, v.boolean, "%s: null in a condition, of %v", x.text, x.r)
	return v.true
}

func (x *expression) or() value {
	v := x.and()
	for x.take("OR") != "" {
		a, b := x.sure(v), x.sure(x.and())
		v = value{boolean: true, true: a || b}
	}
	return v
}

func (x *expression) and() value {
	v := x.not()
	for x.take("AND") != "" {
		a, b := x.sure(v), x.sure(x.not())
		v = value{boolean: true, true: a && b}
	}
	return v
}

func (x *expression) not() value {
	if x.take("NOT") != "" {
		return value{boolean: true, true: !x.sure(x.not())}
	}
	return x.compare()
}

func (x *expression) compare() value {
	a := x.sum()
	op := x.take("=", "!=", "<", ">", "<=", ">=")
	if op == "" {
		return a
	}
	b := x.sum()
	if len(a.values) != 1 || len(b.values) != 1 {
		return value{} // of several values Splunk's documentation says nothing; whatever asks them fails for null
	}
	c := strings.Compare(a.values[0], b.values[0])
	if n, m := number(a.values), number(b.values); !math.IsNaN(n) && !math.IsNaN(m) {
		c = cmp.Compare(n, m)
	} else {
		require.Contains(x.e.t, []string{"=", "!="}, op, x.text)
	}
	return value{boolean: true, true: map[string]bool{"=": c == 0, "!=": c != 0, "<": c < 0, ">": c > 0, "<=": c <= 0, ">=": c >= 0}[op]}
}

func (x *expression) sum() value {
	a := x.product()
	for op := x.take("+", "-", "."); op != ""; op = x.take("+", "-", ".") {
		b := x.product()
		if len(a.values) != 1 || len(b.values) != 1 {
			a = value{}
			continue
		}
		switch op {
		case ".":
			a = value{values: []string{a.values[0] + b.values[0]}}
		case "+":
			a = value{values: []string{text(number(a.values) + number(b.values))}}
		case "-":
			a = value{values: []string{text(number(a.values) - number(b.values))}}
		}
	}
	return a
}

func (x *expression) product() value {
	a := x.primary()
	for op := x.take("*", "/"); op != ""; op = x.take("*", "/") {
		n, m := number(a.values), number(x.primary().values)
		if op == "/" {
			m = 1 / m
		}
		if a = (value{}); !math.IsNaN(n*m) && !math.IsInf(n*m, 0) {
			a.values = []string{text(n * m)}
		}
	}
	return a
}

func (x *expression) primary() value {
	t := x.e.t
	require.NotEmpty(t, x.tokens, x.text)
	word := x.tokens[0]
	x.tokens = x.tokens[1:]
	switch {
	case word == "(":
		v := x.or()
		require.NotEmpty(t, x.take(")"), x.text)
		return v
	case word[0] == '"':
		return value{values: []string{strings.Trim(word, `"`)}}
	case word[0] == '\'':
		x.e.read(strings.Trim(word, "'"), x.e.where)
		return value{values: x.r[strings.Trim(word, "'")]}
	case word[0] >= '0' && word[0] <= '9':
		return value{values: []string{word}}
	case x.take("(") == "":
		return value{values: x.r[word]}
	}
	var args []value
	for x.take(")") == "" {
		args = append(args, x.or())
		x.take(",")
	}
	is := func(b bool) value { return value{boolean: true, true: b} }
	one := func(i int) string {
		require.Len(t, args[i].values, 1, x.text)
		return args[i].values[0]
	}
	switch fmt.Sprintf("%s/%d", word, len(args)) {
	case "null/0":
		return value{}
	case "now/0":
		return value{values: []string{strconv.FormatInt(x.e.now, 10)}}
	case "relative_time/2":
		return value{values: []string{strconv.FormatInt(x.e.time(one(1)), 10)}}
	case "isnotnull/1":
		return is(len(args[0].values) > 0)
	case "isnull/1":
		return is(len(args[0].values) == 0)
	case "nullif/2":
		if slices.Equal(args[0].values, args[1].values) {
			return value{}
		}
		return args[0]
	case "mvcount/1":
		if len(args[0].values) == 0 {
			return value{}
		}
		return value{values: []string{strconv.Itoa(len(args[0].values))}}
	case "mvfind/2":
		pattern := x.e.pattern(one(1))
		if i := slices.IndexFunc(args[0].values, pattern.MatchString); i >= 0 {
			return value{values: []string{strconv.Itoa(i)}}
		}
		return value{}
	case "mvindex/2":
		return value{values: args[0].values[int(number(args[1].values)):][:1]}
	case "mvdedup/1":
		var values []string
		for _, v := range args[0].values {
			if !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		return value{values: values}
	case "match/2":
		if len(args[0].values) == 0 {
			return value{}
		}
		return is(x.e.pattern(one(1)).MatchString(one(0)))
	case "cidrmatch/2":
		_, network, err := net.ParseCIDR(one(0))
		require.NoError(t, err)
		if len(args[1].values) == 0 {
			return value{}
		}
		ip := net.ParseIP(one(1))
		return is(ip != nil && network.Contains(ip))
	case "split/2":
		if len(args[0].values) == 0 {
			return value{}
		}
		return value{values: strings.Split(one(0), one(1))}
	case "tonumber/1", "strftime/2":
		return args[0]
	case "floor/1":
		return value{values: []string{text(math.Floor(number(args[0].values)))}}
	case "urldecode/1":
		return value{values: []string{strings.NewReplacer("%60", "`", "%28", "(", "%29", ")").Replace(one(0))}}
	case "if/3":
		if args[0].boolean && args[0].true {
			return args[1]
		}
		return args[2]
	}
	switch word {
	case "coalesce":
		for _, a := range args {
			if len(a.values) > 0 {
				return a
			}
		}
		return value{}
	case "mvappend":
		var all value
		for _, a := range args {
			all.values = append(all.values, a.values...)
		}
		return all
	case "min":
		best := math.NaN()
		for _, a := range args {
			if n := number(a.values); math.IsNaN(best) || n < best {
				best = n
			}
		}
		return value{values: []string{text(best)}}
	}
	require.Fail(t, "what is "+word+"?", x.text)
	return value{}
}

// extract makes fields of JSON as KV_MODE = json does.
func extract(to row, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			extract(to, strings.TrimPrefix(name+"."+key, "."), member)
		}
	case []any:
		for _, element := range v {
			extract(to, name+"{}", element)
		}
	case nil:
		to[name] = append(to[name], "null")
	case json.Number:
		to[name] = append(to[name], v.String())
	default:
		to[name] = append(to[name], fmt.Sprint(v))
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// esql writes an expression of ES|QL. Nearly each test of a missing field is null there, and so is its opposite, so what
// is negated is false first.
func (w writer) esql(e sigma.Expr) (string, error) {
	return sigma.Language{
		And: " AND ", Or: " OR ", True: "true", False: "false", Test: w.esqlTest,
		Not: func(e sigma.Expr) (string, error) {
			part, err := w.esql(e)
			return "NOT COALESCE(" + bare(part) + ", false)", err
		},
	}.Write(e)
}

// between stands around each element of a list that has become one text. No text of Slack's holds it.
const between = "\u001f"

func (w writer) esqlTest(t *sigma.Test) (string, error) {
	if t.Op == sigma.CIDR {
		field, err := w.address(t.Field)
		if err != nil {
			return "", err
		}
		ranges, err := networks(t)
		return "CIDR_MATCH(" + field + ", " + strings.Join(quoted(ranges), ", ") + ")", err
	}
	f, err := w.field(t.Field)
	if err != nil {
		return "", err
	}
	field := f.Attribute
	var texts []string
	switch {
	case t.Op == sigma.Exists:
		return field + " IS NOT NULL", nil
	case t.Op == sigma.Null:
		return field + " IS NULL", nil
	case f.Kind == detect.Bool:
		for _, value := range t.Values {
			texts = append(texts, field+" == "+value)
		}
		return sigma.Together(texts, " OR "), nil
	case t.Op == sigma.FieldRef:
		for _, value := range t.Values {
			other, err := w.field(value)
			if err != nil {
				return "", err
			}
			// Of a list this is null.
			texts = append(texts, field+" == "+other.Attribute)
		}
		return sigma.Together(texts, " OR "), nil
	}
	values := t.Values
	if !t.Cased && t.Op != sigma.Regexp {
		field = "TO_LOWER(" + field + ")"
		values = make([]string, len(t.Values))
		for i, value := range t.Values {
			values[i] = strings.ToLower(value)
		}
	}
	if f.Kind == detect.Many {
		// A list that is compared gives null, so its elements are looked for in one text of them all.
		list := fmt.Sprintf(`CONCAT(%[1]s, MV_CONCAT(%[2]s, %[1]s), %[1]s)`, quote(between), field)
		for _, value := range values {
			value = wildcards.Replace(value)
			switch t.Op {
			case sigma.Equal:
				value = between + value + between
			case sigma.StartsWith:
				value = between + value
			case sigma.EndsWith:
				value += between
			case sigma.Contains:
			default:
				return "", fmt.Errorf("%s: may be a list, for which %s is not covered", t.Field, t.Op)
			}
			texts = append(texts, list+" LIKE "+quote("*"+value+"*"))
		}
		return sigma.Together(texts, " OR "), nil
	}
	if t.Op == sigma.Equal {
		if len(values) == 1 {
			return field + " == " + quote(values[0]), nil
		}
		return field + " IN (" + strings.Join(quoted(values), ", ") + ")", nil
	}
	for _, value := range values {
		switch t.Op {
		case sigma.StartsWith:
			texts = append(texts, "STARTS_WITH("+field+", "+quote(value)+")")
		case sigma.EndsWith:
			texts = append(texts, "ENDS_WITH("+field+", "+quote(value)+")")
		case sigma.Contains:
			texts = append(texts, field+" LIKE "+quote("*"+wildcards.Replace(value)+"*"))
		case sigma.Regexp:
			patterns, err := luceneRegexps(value)
			if err != nil {
				return "", fmt.Errorf("%s: %w", t.Field, err)
			}
			for _, pattern := range patterns {
				texts = append(texts, field+" RLIKE "+quote(pattern))
			}
		default:
			return "", fmt.Errorf("%s: %s is not covered", t.Field, t.Op)
		}
	}
	return sigma.Together(texts, " OR "), nil
}

// windows are how many begin within one timespan, so that the window of a burst is a tenth too long at most.
const windows = 10

// step is the time from the start of one window to that of the next.
func step(span time.Duration) time.Duration {
	return max(span/windows, time.Second).Round(time.Second)
}

// A member of a temporal correlation becomes a column of its name. Of two columns of one name ES|QL keeps the last.
var (
	columnForm    = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	columnsOfOurs = []string{"slot", "window", "began", "ended", "newest"}
)

// counting writes an event_count, value_count or temporal correlation, and says how it differs from the pack's own meaning.
func counting(tuned *detect.Tuned, c *detect.Correlation, asked fields) (query string, differs []string, err error) {
	if len(c.Aliases) > 0 {
		return "", nil, errors.New("aliases are covered in sequences only")
	}
	span := longest(c)
	every := step(span)
	var groups []string
	for _, group := range c.GroupBy {
		for _, source := range logTypes(c) {
			field, err := (writer{source, asked}).field(group)
			switch {
			case err != nil:
				return "", nil, err
			case source == logTypes(c)[0]:
				groups = append(groups, field.Attribute)
			case !slices.Contains(groups, field.Attribute):
				return "", nil, fmt.Errorf("%s: is called otherwise in other logs", group)
			}
		}
	}
	// What is done with all entries first, what is counted in each window, and what must hold of it.
	var prepare, counts, conditions []string
	if c.Type == sigma.Temporal {
		var flags []string
		for _, member := range c.Members {
			if slices.Contains(columnsOfOurs, member.Name()) || !columnForm.MatchString(member.Name()) {
				return "", nil, fmt.Errorf("%s: no column can be called so; give it another name", member.Name())
			}
			flag := "is_" + member.Name()
			counted, condition := entry, member.Name()+" > 0"
			var match string
			if inner := member.Correlation; inner != nil {
				match, counted, err = tally(tuned, inner, []*detect.Correlation{c, inner}, asked)
				condition = holds(inner, member.Name())
				differs = append(differs, fmt.Sprintf("finds more: all events may take %s together, where the pack gives %s to those of %s",
					human(span+every), human(inner.Timespan), inner.Name))
			} else {
				match, err = memberText(tuned, member.Rule, []*detect.Correlation{c}, asked)
			}
			if err != nil {
				return "", nil, err
			}
			prepare = append(prepare, "| EVAL "+flag+" = "+bare(match))
			flags = append(flags, flag)
			counts = append(counts, fmt.Sprintf("%s = COUNT_DISTINCT(CASE(%s, %s, null))", member.Name(), flag, counted))
			conditions = append(conditions, condition)
		}
		prepare = append(prepare, "| WHERE "+bare(sigma.Together(flags, " OR ")))
	} else {
		match, counted, err := tally(tuned, c, []*detect.Correlation{c}, asked)
		if err != nil {
			return "", nil, err
		}
		name := "events"
		if c.Type == sigma.ValueCount {
			name = "different"
		}
		prepare = append(prepare, "| WHERE "+bare(match))
		counts = append(counts, name+" = COUNT_DISTINCT("+counted+")")
		conditions = append(conditions, holds(c, name))
		differs = append(differs, fmt.Sprintf("finds more: what takes up to %s, where the pack says %s", human(span+every), human(span)))
	}

	asked[uid], asked[arrived] = keyword, datetime
	slots := make([]string, windows+1)
	for i := range slots {
		slots[i] = strconv.Itoa(i)
	}
	there := make([]string, len(groups))
	for i, group := range groups {
		there[i] = group + ` != ""`
	}
	var show []string
	for _, source := range logTypes(c) {
		for _, name := range map[string][]string{
			"audit": {"action", "context.ip_address"}, "access": {"ip", "country"}, "integration": {"change_type"},
		}[source] {
			field, err := (writer{source, asked}).field(name)
			if err != nil {
				return "", nil, err
			}
			if !slices.Contains(groups, field.Attribute) {
				show = append(show, field.Attribute)
			}
		}
	}
	by := strings.Join(groups, ", ")
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s\n", strings.Join(patterns(logTypes(c)), ", "))
	b.WriteString(strings.Join(prepare, "\n") + "\n")
	fmt.Fprintf(&b, "| WHERE %s\n", strings.Join(there, " AND "))
	fmt.Fprintf(&b, "| EVAL slot = [%s]\n| MV_EXPAND slot\n", strings.Join(slots, ", "))
	fmt.Fprintf(&b, "| EVAL window = TO_LONG(@timestamp) / %d - slot\n", every.Milliseconds())
	columns := slices.Concat(counts, []string{"began = MIN(@timestamp)", "ended = MAX(@timestamp)", "newest = MAX(" + arrived + ")"})
	for i, field := range show {
		columns = append(columns, fmt.Sprintf("shown_%d = VALUES(%s)", i+1, field))
	}
	fmt.Fprintf(&b, "| STATS %s\n    BY %s, window\n", strings.Join(columns, ",\n    "), by)
	fmt.Fprintf(&b, "| WHERE %s AND newest > NOW() - %d minutes\n", strings.Join(conditions, " AND "), int((interval(span) + late).Minutes()))
	columns = nil
	for _, count := range counts {
		name, _, _ := strings.Cut(count, " ")
		columns = append(columns, fmt.Sprintf("%[1]s = MAX(%[1]s)", name))
	}
	columns = append(columns, "began = MIN(began)", "ended = MAX(ended)")
	for i, field := range show {
		columns = append(columns, fmt.Sprintf("%s = VALUES(shown_%d)", field, i+1))
	}
	fmt.Fprintf(&b, "| STATS %s\n    BY %s\n", strings.Join(columns, ",\n    "), by)
	names := slices.Clone(groups)
	for _, column := range columns {
		name, _, _ := strings.Cut(column, " ")
		names = append(names, name)
	}
	b.WriteString("| KEEP " + strings.Join(names, ", "))
	return b.String(), differs, nil
}

// entry is what makes entries different: one that comes twice is one.
const entry = `CONCAT(attributes.log.record.uid, " ", TO_STRING(@timestamp))`

// memberText is what makes an event one of a member.
func memberText(tuned *detect.Tuned, rule *detect.Rule, around []*detect.Correlation, asked fields) (string, error) {
	asked[logType] = keyword
	source := fmt.Sprintf("%s == %s", logType, quote(rule.LogType()))
	match := memberMatch(tuned, rule, around...)
	if and, ok := match.(sigma.And); ok && len(and) == 0 {
		return source, nil
	}
	text, err := writer{rule.LogType(), asked}.esql(match)
	if err != nil {
		return "", fmt.Errorf("%s: %w", rule.Name, err)
	}
	return "(" + source + " AND " + text + ")", nil
}

// holds is what must be so of a count.
func holds(c *detect.Correlation, count string) string {
	return fmt.Sprintf("%s %s %d", count, map[string]string{"gt": ">", "gte": ">="}[c.Compare], c.Count)
}

// tally is what makes an event one that a count counts, and what of it is counted.
func tally(tuned *detect.Tuned, c *detect.Correlation, around []*detect.Correlation, asked fields) (match, counted string, err error) {
	if c.Type != sigma.EventCount && c.Type != sigma.ValueCount || c.Compare != "gt" && c.Compare != "gte" {
		// A window that is a little too long would miss what holds of fewer events.
		return "", "", fmt.Errorf("%s: only counts of at least so many are covered", c.Name)
	}
	var matches []string
	counted = entry
	for _, member := range c.Members {
		if member.Rule == nil {
			return "", "", fmt.Errorf("%s: a count of correlations is not covered", c.Name)
		}
		match, err := memberText(tuned, member.Rule, around, asked)
		if err != nil {
			return "", "", err
		}
		if c.Type == sigma.ValueCount {
			field, err := (writer{member.Rule.LogType(), asked}).field(c.Field)
			if err != nil {
				return "", "", err
			}
			if counted != entry && counted != field.Attribute {
				return "", "", fmt.Errorf("%s: is called otherwise in other logs", c.Field)
			}
			counted = field.Attribute
		}
		matches = append(matches, match)
	}
	match = sigma.Together(matches, " OR ")
	if c.Type == sigma.ValueCount {
		match = "(" + match + " AND " + counted + ` != "")`
	}
	return match, counted, nil
}

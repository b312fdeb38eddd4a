// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// eql writes an expression for one item of a sequence. Each field is optional: EQL takes one that no document ever had for
// null then, and does not end with an error. Below not a null would take the event away, so there each test says first that
// there is something to test.
func (w writer) eql(e sigma.Expr, negated bool) (string, error) {
	return sigma.Language{
		And: " and ", Or: " or ", True: "true", False: "false",
		Not: func(e sigma.Expr) (string, error) {
			part, err := w.eql(e, true)
			return "not " + enclosed(part), err
		},
		Test: func(t *sigma.Test) (string, error) {
			text, field, err := w.eqlTest(t)
			if negated && err == nil && t.Op != sigma.Exists && t.Op != sigma.Null {
				text = "(" + field + " != null and " + text + ")"
			}
			return text, err
		},
	}.Write(e)
}

func (w writer) eqlTest(t *sigma.Test) (text, field string, err error) {
	if t.Op == sigma.CIDR {
		field, err := w.address(t.Field)
		if err != nil {
			return "", "", err
		}
		ranges, err := networks(t)
		return "cidrMatch(?" + field + ", " + strings.Join(quoted(ranges), ", ") + ")", "?" + field, err
	}
	f, err := w.field(t.Field)
	if err != nil {
		return "", "", err
	}
	field = "?" + f.Attribute
	switch {
	case t.Op == sigma.Exists:
		return field + " != null", field, nil
	case t.Op == sigma.Null:
		return field + " == null", field, nil
	case f.Kind == detect.Bool:
		var texts []string
		for _, value := range t.Values {
			texts = append(texts, field+" == "+value)
		}
		return sigma.Together(texts, " or "), field, nil
	case t.Op == sigma.Equal && t.Cased:
		return field + " in (" + strings.Join(quoted(t.Values), ", ") + ")", field, nil
	}
	var plain, patterns []string
	before, after := t.Op == sigma.EndsWith || t.Op == sigma.Contains, t.Op == sigma.StartsWith || t.Op == sigma.Contains
	for _, value := range t.Values {
		switch t.Op {
		case sigma.Equal, sigma.StartsWith, sigma.EndsWith, sigma.Contains:
			// What the colon and like would take for wildcards has no escape there, and they know the case of ASCII only.
			if !strings.ContainsAny(value, "*?") && (t.Cased || ascii(value)) {
				if before {
					value = "*" + value
				}
				if after {
					value += "*"
				}
				plain = append(plain, value)
				continue
			}
			value = pattern(t.Op, value, t.Cased)
		case sigma.Regexp:
		default:
			return "", "", fmt.Errorf("%s: %s is not covered in a sequence", t.Field, t.Op)
		}
		several, err := luceneRegexps(value)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", t.Field, err)
		}
		patterns = append(patterns, several...)
	}
	var texts []string
	if len(plain) > 0 {
		word := " : "
		if t.Cased {
			word = " like "
		}
		texts = append(texts, field+word+"("+strings.Join(quoted(plain), ", ")+")")
	}
	if len(patterns) > 0 {
		texts = append(texts, field+" regex ("+strings.Join(quoted(patterns), ", ")+")")
	}
	return sigma.Together(texts, " or "), field, nil
}

// together puts conditions together; a single one stays as it is.

func enclosed(text string) string {
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") && balanced(text[1:len(text)-1]) {
		return text
	}
	return "(" + text + ")"
}

// bare takes the parentheses around a whole condition away.
func bare(text string) string {
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") && balanced(text[1:len(text)-1]) {
		return text[1 : len(text)-1]
	}
	return text
}

// balanced is whether no parenthesis of a text closes one before it.
func balanced(text string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}

// quote is a text in EQL and ES|QL, whose escapes are the same few.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + `"`
}

func quoted(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = quote(text)
	}
	return all
}

// sequence writes a temporal_ordered correlation, and says how it differs from the pack's own meaning.
func sequence(tuned *detect.Tuned, c *detect.Correlation, asked fields) (query string, differs []string, err error) {
	span := longest(c)
	var items []string
	shared := len(c.Aliases) == 0
	for _, member := range c.Members {
		rule, runs := member.Rule, 1
		groups := c.GroupFields(member.Name())
		if inner := member.Correlation; inner != nil {
			if inner.Type != sigma.EventCount || len(inner.Members) != 1 || inner.Members[0].Rule == nil || inner.Compare != "gte" && inner.Compare != "gt" {
				return "", nil, fmt.Errorf("%s: only a count of one rule is covered in a sequence", inner.Name)
			}
			rule, runs = inner.Members[0].Rule, inner.Count
			if inner.Compare == "gt" {
				runs++
			}
			if runs > 100 {
				return "", nil, fmt.Errorf("%s: more than 100 runs are not covered", inner.Name)
			}
			differs = append(differs, fmt.Sprintf("finds more: %d events and the one after them may take %s together, where the pack gives %s to the %d and %s to the next",
				runs, human(span), human(inner.Timespan), runs, human(c.Timespan)))
		}
		w := writer{rule.LogType(), asked}
		match := memberMatch(tuned, rule, c, member.Correlation)
		condition, err := w.eql(match, false)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", rule.Name, err)
		}
		asked[logType] = keyword
		item := []string{fmt.Sprintf(`[any where %s == %s and %s`, logType, quote(rule.LogType()), condition)}
		var names []string
		for _, group := range groups {
			field, err := w.field(group)
			if err != nil {
				return "", nil, err
			}
			names = append(names, field.Attribute)
			item = append(item, fmt.Sprintf(` and %s != ""`, field.Attribute))
		}
		item = append(item, "]")
		if !shared {
			item = append(item, " by "+strings.Join(names, ", "))
		}
		if runs > 1 {
			item = append(item, " with runs="+strconv.Itoa(runs))
		}
		items = append(items, strings.Join(item, ""))
	}
	query = "sequence"
	if shared {
		w := writer{logTypes(c)[0], asked}
		var names []string
		for _, group := range c.GroupBy {
			field, err := w.field(group)
			if err != nil {
				return "", nil, err
			}
			names = append(names, field.Attribute)
		}
		query += " by " + strings.Join(names, ", ")
	}
	query += " with maxspan=" + timespan(span) + "\n  " + strings.Join(items, "\n  ")
	differs = append(differs, "of events of the same second, the one that was indexed first is the first")
	return query, differs, nil
}

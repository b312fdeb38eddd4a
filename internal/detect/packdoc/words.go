// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package packdoc // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/packdoc"

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// LogTypes are those whose events a correlation judges in the end.
func LogTypes(c *detect.Correlation) []string {
	var types []string
	for _, member := range c.Members {
		if member.Rule != nil {
			types = append(types, member.Rule.LogType())
		} else {
			types = append(types, LogTypes(member.Correlation)...)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// Threshold is how many events of a group make a correlation complete, and in which time.
func Threshold(c *detect.Correlation) string {
	var many string
	switch c.Type {
	case sigma.EventCount, sigma.ValueCount:
		many = map[string]string{"gt": "> ", "gte": ">= ", "lt": "< ", "lte": "<= ", "eq": "= "}[c.Compare] + strconv.Itoa(c.Count)
		if c.Type == sigma.ValueCount {
			many += " different " + c.Field
		}
	case sigma.Temporal:
		many = "all"
	case sigma.TemporalOrdered:
		many = "in order"
	}
	return many + " in " + span(c.Timespan) + " by " + strings.Join(c.GroupBy, ", ")
}

// span writes a time as rules do: 15m, 1h, 2d.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		span time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d >= unit.span && d%unit.span == 0 && (unit.name != "d" || d > 24*time.Hour) {
			return fmt.Sprintf("%d%s", d/unit.span, unit.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// named are the fields that say what happened; their values are the first column of the tables.
var named = []string{"action", "change_type"}

// happenings are what a rule asks for by name, with a star behind beginnings of names. Without any it takes all entries.
func happenings(match sigma.Expr) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	sigma.Walk(unnegated(match), func(t *sigma.Test) {
		if !slices.Contains(named, t.Field) {
			return
		}
		for _, value := range t.Values {
			switch t.Op {
			case sigma.Equal:
				add(value)
			case sigma.StartsWith:
				add(value + "*")
			case sigma.EndsWith:
				add("*" + value)
			case sigma.Contains:
				add("*" + value + "*")
			default:
				add(value)
			}
		}
	})
	return names
}

// unnegated is an expression without what must not hold.
func unnegated(e sigma.Expr) sigma.Expr {
	switch e := e.(type) {
	case sigma.And:
		var parts sigma.And
		for _, part := range e {
			parts = append(parts, unnegated(part))
		}
		return parts
	case sigma.Or:
		var parts sigma.Or
		for _, part := range e {
			parts = append(parts, unnegated(part))
		}
		return parts
	case sigma.Not:
		return sigma.Always
	}
	return e
}

// condition is what a rule asks for beside the name of what happened.
func condition(match sigma.Expr) string {
	match = sigma.Map(spread(match), func(t *sigma.Test) sigma.Expr { return t })
	parts, ok := match.(sigma.And)
	if !ok {
		parts = sigma.And{match}
	}
	var said []string
	for _, part := range parts {
		if test, ok := part.(*sigma.Test); ok && slices.Contains(named, test.Field) {
			continue
		}
		said = append(said, words(part, len(parts) > 1))
	}
	return strings.Join(said, " **and** ")
}

// spread says of "none of these" that each does not hold, which needs fewer parentheses.
func spread(e sigma.Expr) sigma.Expr {
	switch e := e.(type) {
	case sigma.And:
		var parts sigma.And
		for _, part := range e {
			parts = append(parts, spread(part))
		}
		return parts
	case sigma.Or:
		var parts sigma.Or
		for _, part := range e {
			parts = append(parts, spread(part))
		}
		return parts
	case sigma.Not:
		if or, ok := e.Expr.(sigma.Or); ok {
			var parts sigma.And
			for _, part := range or {
				parts = append(parts, spread(sigma.Not{Expr: part}))
			}
			return parts
		}
		return sigma.Not{Expr: spread(e.Expr)}
	}
	return e
}

// words says an expression; inside of another one what consists of parts stands in parentheses.
func words(e sigma.Expr, inside bool) string {
	switch e := e.(type) {
	case sigma.And:
		return join(e, " **and** ", inside)
	case sigma.Or:
		return join(e, " **or** ", inside)
	case sigma.Not:
		if test, ok := e.Expr.(*sigma.Test); ok {
			return says(test, true)
		}
		return "**not** " + words(e.Expr, true)
	case *sigma.Test:
		return says(e, false)
	}
	return ""
}

func join(parts []sigma.Expr, word string, inside bool) string {
	said := make([]string, len(parts))
	for i, part := range parts {
		said[i] = words(part, true)
	}
	if inside && len(parts) > 1 {
		return "(" + strings.Join(said, word) + ")"
	}
	return strings.Join(said, word)
}

// says is a test in words.
func says(t *sigma.Test, not bool) string {
	values := make([]string, len(t.Values))
	for i, value := range t.Values {
		values[i] = code(value)
	}
	all := alternatives(values)
	field := code(t.Field)
	type form struct{ yes, no string }
	forms := map[sigma.Op]form{
		sigma.Equal: {"is", "is not"}, sigma.Contains: {"holds", "does not hold"}, sigma.StartsWith: {"begins with", "does not begin with"},
		sigma.EndsWith: {"ends with", "does not end with"}, sigma.Regexp: {"matches", "does not match"}, sigma.CIDR: {"is in", "is not in"},
		sigma.FieldRef: {"is the same as", "is not the same as"}, sigma.InList: {"is in the list", "is not in the list"},
		sigma.Exists: {"is there", "is missing"}, sigma.Null: {"is missing", "is there"},
	}
	word := forms[t.Op].yes
	if not {
		word = forms[t.Op].no
	}
	return strings.TrimSpace(field + " " + word + " " + all)
}

func alternatives(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}

// code is a text as code in a cell of a table.
func code(text string) string {
	switch {
	case text == "":
		return "nothing"
	case strings.Contains(text, "`"):
		return "`` " + cell(text) + " ``"
	}
	return "`" + cell(text) + "`"
}

// cell is a text that ends no cell.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

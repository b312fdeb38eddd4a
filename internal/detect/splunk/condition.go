// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package splunk // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/splunk"

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// emitter writes conditions of where and eval for the events of a log type. They are true or false, never null: null is
// not true under NOT either, so an event without the field would be lost.
type emitter struct {
	logType string
	lists   *detect.Lists
	// lookups are the commands that must run before, by the field they set.
	lookups map[string]string
}

// overwritten are Slack's names that TA-slacklogs gives another meaning, that of the Common Information Model. The
// receiver has them as attributes too.
var overwritten = map[string]bool{"action": true, "change_type": true}

// field is a name of a rule in an event: as an expression, and the same without JSON's null, which Splunk's extraction of
// JSON shows as a text.
type field struct {
	value, clean string
	names        []string // what it reads
	kind         detect.Kind
}

func (em *emitter) field(name string) (field, error) {
	f, err := detect.FieldOf(em.logType, name)
	if err != nil {
		return field{}, err
	}
	if f.Attribute != "slack."+name || overwritten[name] || !documented(em.logType, name) {
		// An attribute is an indexed field, with several values if it is a list.
		return field{value: single(f.Attribute), clean: single(f.Attribute), names: []string{f.Attribute}, kind: f.Kind}, nil
	}
	if f.Kind == detect.Many {
		// Of a list in JSON Splunk makes a field of several values, with braces behind its name.
		list := name + "{}"
		return field{
			value: fmt.Sprintf("coalesce(%s,%s)", single(list), single(name)),
			clean: fmt.Sprintf(`coalesce(%s,nullif(%s,"null"))`, single(list), single(name)),
			names: []string{name, list}, kind: f.Kind,
		}, nil
	}
	return field{value: single(name), clean: fmt.Sprintf(`nullif(%s,"null")`, single(name)), names: []string{name}, kind: f.Kind}, nil
}

// paths are what Slack documents of each log type.
var paths = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for _, t := range record.LogTypes() {
		for _, f := range t.Fields {
			all[t.Name+" "+f.Path] = true
		}
	}
	return all
})

// documented is whether a name is a path in what Slack sends.
func documented(logType, name string) bool {
	return strings.HasPrefix(name, "details.") || paths()[logType+" "+name]
}

// single is a field between single quotes: in eval a bare dot joins texts.
func single(name string) string { return "'" + name + "'" }

// quote is a text in SPL. What rules hold has become a pattern before, which has neither quotes nor single backslashes.
func quote(text string) string { return `"` + text + `"` }

func (em *emitter) expr(e sigma.Expr) (string, error) {
	return sigma.Language{And: " AND ", Or: " OR ", True: "1=1", False: "1=0", Test: em.test, Not: func(e sigma.Expr) (string, error) {
		text, err := em.expr(e)
		if strings.HasPrefix(text, "if(") {
			text = "(" + text + ")" // whatever NOT and = bind stronger
		}
		return "NOT " + text, err
	}}.Write(e)
}

func (em *emitter) test(t *sigma.Test) (string, error) {
	f, err := em.field(t.Field)
	if err != nil {
		return "", err
	}
	switch t.Op {
	case sigma.Exists:
		return fmt.Sprintf("isnotnull(%s)", f.clean), nil
	case sigma.Null:
		return fmt.Sprintf("isnull(%s)", f.clean), nil
	case sigma.FieldRef:
		var texts []string
		for _, name := range t.Values {
			other, err := em.field(name)
			if err != nil {
				return "", err
			}
			var conditions []string
			for _, one := range []field{f, other} {
				if one.kind == detect.Many {
					conditions = append(conditions, fmt.Sprintf("mvcount(%s)=1", one.clean))
				}
			}
			texts = append(texts, certain(append(conditions, f.clean+"="+other.clean)...))
		}
		return sigma.Together(texts, " OR "), nil
	case sigma.CIDR:
		var texts []string
		for _, value := range t.Values {
			network, err := sigma.Network(value)
			if err != nil {
				return "", err
			}
			texts = append(texts, certain(fmt.Sprintf("cidrmatch(%s,%s)", quote(network.String()), f.value)))
		}
		return sigma.Together(texts, " OR "), nil
	case sigma.InList:
		var texts []string
		for _, name := range t.Values {
			found, err := em.lookup(name, t.Field, f)
			if err != nil {
				return "", err
			}
			texts = append(texts, fmt.Sprintf("isnotnull(%s)", found))
		}
		return sigma.Together(texts, " OR "), nil
	}
	pattern, err := patternOf(t)
	if err != nil {
		return "", err
	}
	// The place of the first value that matches, or null: so one form does for one value and for several.
	return fmt.Sprintf("isnotnull(mvfind(%s,%s))", f.value, quote(pattern)), nil
}

// certain is whether all conditions hold; one that is null does not.
func certain(conditions ...string) string {
	text := "1"
	for _, condition := range slices.Backward(conditions) {
		text = "if(" + condition + "," + text + ",0)"
	}
	return text + "=1"
}

// patternOf is one pattern for all values of a test.
func patternOf(t *sigma.Test) (string, error) {
	var parts []string
	for _, value := range t.Values {
		if t.Op == sigma.Regexp {
			parts = append(parts, inQuotes(value))
		} else {
			parts = append(parts, literal(value))
		}
	}
	pattern := parts[0]
	if len(parts) > 1 || t.Op != sigma.Regexp {
		pattern = "(?:" + strings.Join(parts, "|") + ")"
	}
	switch t.Op {
	case sigma.Equal:
		pattern = "^" + pattern + `\z`
	case sigma.StartsWith:
		pattern = "^" + pattern
	case sigma.EndsWith:
		pattern += `\z`
	case sigma.Contains:
	case sigma.Regexp:
		return pattern, nil // it says itself whether upper and lower case differ
	default:
		return "", fmt.Errorf("%s: %s is not covered", t.Field, t.Op)
	}
	if !t.Cased {
		pattern = "(?i)" + pattern
	}
	return pattern, nil
}

// literal is a text as a pattern. Backslashes mean something to SPL's own quotes too, so brackets take their place.
func literal(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\\' || c == '"' || c == '^' || c == '\'' || c == '`' || c == '$' || c < ' ':
			fmt.Fprintf(&b, `\x%02x`, c)
		case strings.ContainsRune(".+*?()|[]{}", c):
			b.WriteString("[" + string(c) + "]")
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

var escape = regexp.MustCompile("(?s)\\\\.|[\"`\\x00-\\x1f]")

// inQuotes is a pattern with what SPL would read otherwise written as a number.
func inQuotes(pattern string) string {
	return escape.ReplaceAllStringFunc(pattern, func(s string) string {
		// A line end would end the setting.
		if c := s[len(s)-1]; c == '\\' || c == '"' || c == '`' || c < ' ' {
			return fmt.Sprintf(`\x%02x`, c)
		}
		return s
	})
}

var odd = regexp.MustCompile(`[^a-z0-9]+`)

// lookup asks a list for a field's values, and returns the field that then is not null.
func (em *emitter) lookup(list, name string, f field) (string, error) {
	if _, ok := em.lists.Lists[list]; !ok {
		return "", fmt.Errorf("there is no list %s", list)
	}
	as := odd.ReplaceAllString(strings.ToLower(name), "_")
	found := "in_" + list + "_of_" + as
	if f.kind == detect.Many && len(f.names) > 1 {
		em.lookups[found] = fmt.Sprintf("eval value_of_%s=%s | lookup %s value AS value_of_%s OUTPUT listed AS %s", as, f.value, lookupName(list), as, found)
	} else {
		em.lookups[found] = fmt.Sprintf("lookup %s value AS %s OUTPUT listed AS %s", lookupName(list), f.names[0], found)
	}
	return found, nil
}

func lookupName(list string) string { return "slacklogs_" + list }

// first is the field by which nearly all rules of a log type begin, and which is indexed.
var first = map[string]string{"audit": "action", "integration": "change_type"}

// terms are values of that field of which a matching event has one, with wildcards; none if it can be another.
func terms(logType string, e sigma.Expr) []string {
	switch e := e.(type) {
	case sigma.And:
		var best []string
		for _, part := range e {
			if found := terms(logType, part); found != nil && (best == nil || len(found) < len(best)) {
				best = found
			}
		}
		return best
	case sigma.Or:
		var all []string
		for _, part := range e {
			found := terms(logType, part)
			if found == nil {
				return nil
			}
			all = append(all, found...)
		}
		slices.Sort(all)
		return slices.Compact(all)
	case *sigma.Test:
		if t := e; t.Field == first[logType] && (t.Op == sigma.Equal || t.Op == sigma.StartsWith) {
			var values []string
			for _, value := range t.Values {
				if strings.ContainsAny(value, `"\*`) {
					return nil
				}
				if t.Op == sigma.StartsWith {
					value += "*"
				}
				values = append(values, value)
			}
			return values
		}
	}
	return nil
}

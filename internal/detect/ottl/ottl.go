// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package ottl writes the pack's rules as a transform processor that tags the records which match. It looks at one record
// at a time, so correlations are not in it: they need what comes later, and belong where records are kept.
package ottl // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/ottl"

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Processor is the name of the processor that Config writes.
const Processor = "transform/slack_detections"

// The attributes that it sets.
const (
	Detections = "slack.detections"      // the names of all matching rules, the most severe first
	Level      = "slack.detection.level" // the first one's
)

// ours is whether a record is the receiver's.
const ours = `log.attributes["slack.log.type"] != nil`

// ruleKeys are the attributes of the semantic conventions that it sets.
var ruleKeys = []string{"security_rule.ruleset.name", "security_rule.name", "security_rule.uuid", "security_rule.version"}

// Config returns the configuration of a processor that tags records by the rules of these tiers, without the building
// blocks and what can't match anything.
func Config(tuned *detect.Tuned, tiers []detect.Tier) (string, error) {
	var rules []*detect.Rule
	var inert []string
	for _, r := range tuned.Rules {
		if !slices.Contains(tiers, r.Tier) {
			continue
		}
		if _, ok := tuned.Inert[r.Name]; ok {
			inert = append(inert, r.Name)
			continue
		}
		rules = append(rules, r)
	}
	w := &writer{}
	w.comment("Made by `slacklogs rules compile --to ottl` from the detection pack. Do not edit: change the lists, and compile again.")
	w.line(0, "#")
	w.comment("The receiver must have `attributes: all`, the default; of less the rules would see too little. " +
		"It tags what matches one record: a tag is no alert.")
	if names := correlations(tuned); len(names) > 0 {
		w.line(0, "#")
		w.comment("Not in it are correlations, which need what comes before and after and belong where records are kept: " +
			strings.Join(names, ", ") + ".")
	}
	if len(inert) > 0 {
		w.line(0, "#")
		w.comment("Left out, as the lists they need are empty: " + strings.Join(inert, ", ") + ".")
	}
	w.line(0, "processors:")
	w.line(1, "%s:", Processor)
	w.line(2, "error_mode: ignore")
	w.line(2, "log_statements:")
	w.line(3, "# Only these rules say what matches, not whoever tagged the record before. What is not the receiver's stays as it is.")
	w.line(3, "- conditions:")
	w.line(5, "- %s", yamlText(ours))
	w.line(4, "statements:")
	for _, key := range append([]string{Detections, Level}, ruleKeys...) {
		w.statement(`delete_key(log.attributes, %s)`, quote(key))
	}
	for _, logType := range []string{"audit", "access", "integration"} {
		own := slices.DeleteFunc(slices.Clone(rules), func(r *detect.Rule) bool { return r.LogType() != logType })
		if len(own) == 0 {
			continue
		}
		gates, err := gates(logType, own)
		if err != nil {
			return "", err
		}
		w.line(3, "- conditions:")
		for _, gate := range gates {
			w.line(5, "- %s", yamlText(`log.attributes["slack.log.type"] == `+quote(logType)+gate))
		}
		w.line(4, "statements:")
		if logType == "audit" {
			// Nearly every rule asks for it.
			w.statement(`set(log.cache["action"], ToLowerCase(log.attributes["slack.action"])) where IsString(log.attributes["slack.action"])`)
		}
		for _, r := range own {
			condition, err := emitter{logType, true}.expr(r.Match)
			if err != nil {
				return "", fmt.Errorf("%s: %w", r.Name, err)
			}
			w.line(5, "# %s: %s", r.Level, r.Title)
			w.statement(`append(log.attributes[%s], %s) where %s`, quote(Detections), quote(r.Name), strip(condition))
		}
	}
	w.line(3, "# What the most severe one says.")
	w.line(3, "- conditions:")
	w.line(5, "- %s", yamlText(fmt.Sprintf(`log.attributes[%s] != nil and %s`, quote(Detections), ours)))
	w.line(4, "statements:")
	w.statement(`delete_matching_keys(log.attributes, "^security_rule[.]")`)
	w.statement(`set(log.attributes["security_rule.ruleset.name"], "slacklogs")`)
	w.statement(`set(log.attributes["security_rule.name"], log.attributes[%s][0])`, quote(Detections))
	for _, level := range slices.Backward(sigma.Levels) {
		var names []string
		for _, r := range rules {
			if r.Level == level {
				names = append(names, regexp.QuoteMeta(r.Name))
			}
		}
		if len(names) > 0 {
			w.statement(`set(log.attributes[%s], %s) where IsMatch(log.attributes["security_rule.name"], %s)`,
				quote(Level), quote(string(level)), quote(oneOf(names)))
		}
	}
	for _, r := range rules {
		w.statement(`set(log.attributes["security_rule.uuid"], %s) where log.attributes["security_rule.name"] == %s`, quote(r.ID), quote(r.Name))
	}
	versions := map[string][]string{}
	var days []string
	for _, r := range rules {
		if versions[r.Version()] == nil {
			days = append(days, r.Version())
		}
		versions[r.Version()] = append(versions[r.Version()], regexp.QuoteMeta(r.Name))
	}
	for _, day := range days {
		w.statement(`set(log.attributes["security_rule.version"], %s) where IsMatch(log.attributes["security_rule.name"], %s)`,
			quote(day), quote(oneOf(versions[day])))
	}
	return w.String(), nil
}

func correlations(tuned *detect.Tuned) (names []string) {
	for _, c := range tuned.Correlations {
		if c.Tier != "" {
			names = append(names, c.Name)
		}
	}
	return names
}

// comment writes a text in lines of a comment.
func (w *writer) comment(text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > 118 {
			w.line(0, "%s", line)
			line = "#"
		}
		line += " " + word
	}
	w.line(0, "%s", line)
}

// writer writes lines of YAML.
type writer struct{ strings.Builder }

func (w *writer) line(indent int, format string, args ...any) {
	fmt.Fprintf(w, strings.Repeat("  ", indent)+format+"\n", args...)
}

func (w *writer) statement(format string, args ...any) {
	w.line(5, "- %s", yamlText(fmt.Sprintf(format, args...)))
}

// yamlText is a text between single quotes. A dollar would be an environment variable to the collector.
func yamlText(text string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, "'", "''"), "$", "$$") + "'"
}

// quote is a text in OTTL.
func quote(text string) string { return strconv.Quote(text) }

// emitter writes conditions for the records of a log type.
type emitter struct {
	logType string
	cached  bool // the action is in the cache, in small letters
}

// strip takes the parentheses around a condition away. One that begins with a parenthesis has them around the whole of it.
func strip(condition string) string {
	if !strings.HasPrefix(condition, "(") {
		return condition
	}
	return condition[1 : len(condition)-1]
}

func (em emitter) expr(e sigma.Expr) (string, error) {
	return sigma.Language{And: " and ", Or: " or ", True: "true", False: "false", Test: em.test, Not: func(e sigma.Expr) (string, error) {
		part, err := em.expr(e)
		if !strings.HasPrefix(part, "(") {
			part = "(" + part + ")"
		}
		return "not " + part, err
	}}.Write(e)
}

// test writes one. It can be asked of any record: of a missing attribute and one of another type too it has an answer,
// and no error, with which the rest of the condition would be lost.
func (em emitter) test(t *sigma.Test) (string, error) {
	field, err := detect.FieldOf(em.logType, t.Field)
	if err != nil {
		return "", err
	}
	attribute := fmt.Sprintf("log.attributes[%s]", quote(field.Attribute))
	isString, isList, list := "IsString("+attribute+")", "IsList("+attribute+")", "String("+attribute+")"
	switch {
	case t.Op == sigma.Exists || t.Op == sigma.Null:
		exists := isString
		switch field.Kind {
		case detect.Many:
			// The receiver writes no empty list, but whoever changes records on the way may.
			exists = fmt.Sprintf("(%s or (%s and IsMatch(%s, %s)))", isString, isList, list, quote(listOf(text)))
		case detect.Bool:
			exists = "IsBool(" + attribute + ")"
		case detect.Single:
		}
		if t.Op == sigma.Null {
			return "not (" + strip(exists) + ")", nil
		}
		return exists, nil
	case field.Kind == detect.Bool:
		var texts []string
		for _, value := range t.Values {
			texts = append(texts, attribute+" == "+value)
		}
		return sigma.Together(texts, " or "), nil
	case t.Op == sigma.FieldRef:
		var texts []string
		for _, name := range t.Values {
			other, err := detect.FieldOf(em.logType, name)
			if err != nil {
				return "", err
			}
			if other.Kind == detect.Bool || field.Kind == detect.Bool {
				return "", fmt.Errorf("%s: is true or false, for which fieldref is not covered", t.Field)
			}
			for _, one := range single(field) {
				for _, two := range single(other) {
					texts = append(texts, fmt.Sprintf("(%s and %s and %s == %s)", one.is, two.is, one.value, two.value))
				}
			}
		}
		return sigma.Together(texts, " or "), nil
	case t.Op == sigma.CIDR:
		var networks []string
		for _, value := range t.Values {
			network, err := sigma.Network(value)
			if err != nil {
				return "", err
			}
			networks = append(networks, quote(network.String()))
		}
		if field.Kind != detect.Single {
			return "", fmt.Errorf("%s: may be a list, for which cidr is not covered", t.Field)
		}
		return fmt.Sprintf("(%s and IsInCIDR(%s, [%s]))", isString, attribute, strings.Join(networks, ", ")), nil
	}

	target := attribute
	if !t.Cased && t.Op != sigma.Regexp {
		target = "ToLowerCase(" + attribute + ")"
	}
	// The action is there in small letters. To be equal to a text is no error for whatever it is.
	bare := t.Op == sigma.Equal && t.Cased
	if em.cached && em.logType == "audit" && t.Field == "action" && !t.Cased && t.Op == sigma.Equal {
		bare = true
		target = `log.cache["action"]`
		if len(t.Values) > 2 { // one call, and shorter to read
			var patterns []string
			for _, value := range t.Values {
				patterns = append(patterns, regexp.QuoteMeta(strings.ToLower(value)))
			}
			return fmt.Sprintf("IsMatch(%s, %s)", target, quote(oneOf(patterns))), nil
		}
	}
	var texts, listed []string
	for _, value := range t.Values {
		if !t.Cased && t.Op != sigma.Regexp {
			value = strings.ToLower(value)
		}
		switch t.Op {
		case sigma.Equal:
			texts = append(texts, target+" == "+quote(value))
		case sigma.StartsWith:
			texts = append(texts, fmt.Sprintf("HasPrefix(%s, %s)", target, quote(value)))
		case sigma.EndsWith:
			texts = append(texts, fmt.Sprintf("HasSuffix(%s, %s)", target, quote(value)))
		case sigma.Contains:
			texts = append(texts, fmt.Sprintf("IsMatch(%s, %s)", target, quote(regexp.QuoteMeta(value))))
		case sigma.Regexp:
			texts = append(texts, fmt.Sprintf("IsMatch(%s, %s)", target, quote(value)))
		default:
			return "", fmt.Errorf("%s: %s is not covered", t.Field, t.Op)
		}
		if field.Kind == detect.Many {
			listed = append(listed, element(t.Op, value))
		}
	}
	condition := sigma.Together(texts, " or ")
	if !bare {
		condition = "(" + isString + " and " + condition + ")"
	}
	if field.Kind == detect.Many {
		if t.Op == sigma.Regexp {
			return "", fmt.Errorf("%s: may be a list, for which re is not covered", t.Field)
		}
		if !t.Cased {
			list = "ToLowerCase(" + list + ")"
		}
		condition = fmt.Sprintf("(%s or (%s and IsMatch(%s, %s)))", condition, isList, list, quote(listOf(strings.Join(listed, "|"))))
	}
	return condition, nil
}

// form is a way in which a field can have one value: what must hold for it, and the value.
type form struct{ is, value string }

// single are those of a field: a text, and if it may be a list one of a single text.
func single(field detect.Field) []form {
	attribute := fmt.Sprintf("log.attributes[%s]", quote(field.Attribute))
	forms := []form{{"IsString(" + attribute + ")", attribute}}
	if field.Kind == detect.Many {
		first := attribute + "[0]"
		forms = append(forms, form{fmt.Sprintf("IsList(%s) and Len(%s) == 1 and IsString(%s)", attribute, attribute, first), first})
	}
	return forms
}

// OTTL can't ask each element of a list. It can make JSON text of one, for which these are patterns.
const (
	text  = `(?:[^"\\]|\\[^u]|\\u.{4})*` // what stands between two quotes
	texts = `(?:"` + text + `",)*`
)

// listOf is a pattern of lists of texts, of which one has the pattern given.
func listOf(element string) string {
	return `^\[` + texts + `"(?:` + element + `)"(?:,"` + text + `")*\]$`
}

// element is a pattern of one text of a list.
func element(op sigma.Op, value string) string {
	var b strings.Builder
	if op == sigma.Contains || op == sigma.EndsWith {
		b.WriteString(text)
	}
	for _, r := range value {
		b.WriteString(character(r))
	}
	if op == sigma.Contains || op == sigma.StartsWith {
		b.WriteString(text)
	}
	return b.String()
}

// character is a pattern of one character in JSON text: writers of JSON may escape more than they must.
func character(r rune) string {
	escaped := fmt.Sprintf(`\\u(?i:%04x)`, r)
	if short := strings.IndexRune("\b\t\n\f\r", r); short >= 0 {
		return `(?:\\` + string("btnfr"[short]) + `|` + escaped + `)`
	}
	switch {
	case r < 0x20:
		return escaped
	case r == '"' || r == '\\':
		return `(?:\\` + regexp.QuoteMeta(string(r)) + `|` + escaped + `)`
	case r == '<' || r == '>' || r == '&' || r == 0x7f || r == 0x2028 || r == 0x2029:
		return `(?:` + string(r) + `|` + escaped + `)`
	}
	return regexp.QuoteMeta(string(r))
}

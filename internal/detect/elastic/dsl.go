// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"fmt"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// object is one of JSON.
type object map[string]any

// filter is one that Kibana shows below the query bar, by its alias.
type filter struct {
	Meta struct {
		Alias    string `json:"alias"`
		Negate   bool   `json:"negate"`
		Disabled bool   `json:"disabled"`
		Type     string `json:"type"`
		Key      string `json:"key"`
	} `json:"meta"`
	Query object `json:"query"`
	State struct {
		Store string `json:"store"`
	} `json:"$state"`
}

// filters are one for each part of an expression that must hold.
func (w writer) filters(e sigma.Expr) ([]filter, error) {
	parts, ok := e.(sigma.And)
	if !ok {
		parts = sigma.And{e}
	}
	var all []filter
	for _, part := range parts {
		var f filter
		f.Meta.Type, f.Meta.Key, f.State.Store = "custom", "query", "appState"
		f.Meta.Alias = shorten(words(part))
		if not, ok := part.(sigma.Not); ok {
			f.Meta.Negate, part = true, not.Expr
			f.Meta.Alias = shorten(words(part))
		}
		query, err := w.query(part)
		if err != nil {
			return nil, err
		}
		f.Query = query
		all = append(all, f)
	}
	return all, nil
}

// query is an expression in Elasticsearch's own language.
func (w writer) query(e sigma.Expr) (object, error) {
	switch e := e.(type) {
	case sigma.And:
		parts, err := w.queries(e)
		return object{"bool": object{"filter": parts}}, err
	case sigma.Or:
		parts, err := w.queries(e)
		return anyOf(parts), err
	case sigma.Not:
		part, err := w.query(e.Expr)
		return object{"bool": object{"must_not": []object{part}}}, err
	case *sigma.Test:
		return w.test(e)
	}
	return nil, fmt.Errorf("%T is not covered", e)
}

func (w writer) queries(parts []sigma.Expr) ([]object, error) {
	all := make([]object, 0, len(parts))
	for _, part := range parts {
		query, err := w.query(part)
		if err != nil {
			return nil, err
		}
		all = append(all, query)
	}
	return all, nil
}

func anyOf(parts []object) object {
	if len(parts) == 1 {
		return parts[0]
	}
	return object{"bool": object{"should": parts, "minimum_should_match": 1}}
}

func (w writer) test(t *sigma.Test) (object, error) {
	if t.Op == sigma.CIDR {
		field, err := w.address(t.Field)
		if err != nil {
			return nil, err
		}
		ranges, err := networks(t)
		return object{"terms": object{field: ranges}}, err
	}
	field, err := w.field(t.Field)
	if err != nil {
		return nil, err
	}
	name := field.Attribute
	switch {
	case t.Op == sigma.Exists:
		return object{"exists": object{"field": name}}, nil
	case t.Op == sigma.Null:
		return object{"bool": object{"must_not": []object{{"exists": object{"field": name}}}}}, nil
	case field.Kind == detect.Bool:
		return object{"terms": object{name: t.Values}}, nil
	case t.Op == sigma.Equal && t.Cased:
		return object{"terms": object{name: t.Values}}, nil
	}
	var parts []object
	for _, value := range t.Values {
		ask := func(kind, value string) {
			parts = append(parts, object{kind: object{name: object{"value": value, "case_insensitive": !t.Cased}}})
		}
		if !t.Cased && !ascii(value) && t.Op != sigma.Regexp && t.Op != sigma.FieldRef {
			// Elasticsearch minds the case of all letters but these.
			patterns, err := luceneRegexps(pattern(t.Op, value, false))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Field, err)
			}
			parts = append(parts, object{"regexp": object{name: object{"value": patterns[0]}}})
			continue
		}
		switch t.Op {
		case sigma.Equal:
			if value == "" { // which nothing is equal to if case does not matter
				parts = append(parts, object{"term": object{name: value}})
				continue
			}
			ask("term", value)
		case sigma.StartsWith:
			ask("prefix", value)
		case sigma.EndsWith:
			ask("wildcard", "*"+wildcards.Replace(value))
		case sigma.Contains:
			ask("wildcard", "*"+wildcards.Replace(value)+"*")
		case sigma.Regexp:
			patterns, err := luceneRegexps(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Field, err)
			}
			for _, pattern := range patterns {
				parts = append(parts, object{"regexp": object{name: object{"value": pattern}}})
			}
		case sigma.FieldRef:
			other, err := w.field(value)
			if err != nil {
				return nil, err
			}
			// Query DSL, KQL and EQL have nothing that compares two fields.
			parts = append(parts, object{"script": object{"script": object{
				"lang": "painless",
				"source": "doc.containsKey(params.one) && doc.containsKey(params.other) && doc[params.one].size() == 1 && " +
					"doc[params.other].size() == 1 && doc[params.one].value == doc[params.other].value",
				"params": object{"one": name, "other": other.Attribute},
			}}})
		default:
			return nil, fmt.Errorf("%s: %s is not covered", t.Field, t.Op)
		}
	}
	return anyOf(parts), nil
}

// wildcards escapes what a wildcard query has a meaning for.
var wildcards = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`)

// words says an expression in words.
func words(e sigma.Expr) string {
	join := func(parts []sigma.Expr, between string) string {
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = words(part)
			switch part.(type) {
			case sigma.And, sigma.Or:
				texts[i] = "(" + texts[i] + ")"
			}
		}
		return strings.Join(texts, between)
	}
	switch e := e.(type) {
	case sigma.And:
		return join(e, " and ")
	case sigma.Or:
		return join(e, " or ")
	case sigma.Not:
		return "not (" + words(e.Expr) + ")"
	case *sigma.Test:
		values := strings.Join(e.Values, ", ")
		switch e.Op {
		case sigma.Exists:
			return e.Field + " exists"
		case sigma.Null:
			return e.Field + " is missing"
		case sigma.Equal:
			return e.Field + ": " + values
		case sigma.StartsWith:
			return e.Field + " begins with " + values
		case sigma.EndsWith:
			return e.Field + " ends with " + values
		case sigma.Contains:
			return e.Field + " contains " + values
		case sigma.Regexp:
			return e.Field + " matches " + values
		case sigma.CIDR:
			return e.Field + " is in " + values
		case sigma.InList:
			return e.Field + " is on the list " + values
		case sigma.FieldRef:
			return e.Field + " is the same as " + values
		}
	}
	return "?"
}

// shorten cuts what nobody would read in a filter's name.
func shorten(text string) string {
	const most = 240
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return text
}

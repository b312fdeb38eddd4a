// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package ottl // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/ottl"

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// gates are what a record must hold for any of the rules to match, one of them: most records match nothing, and should
// cost one look at the action and not one for each rule. A rule that asks for no action is a gate of its own.
func gates(logType string, rules []*detect.Rule) ([]string, error) {
	if logType != "audit" {
		return []string{""}, nil // there are few of them, and few rules
	}
	all := actions{}
	var gates []string
	for _, r := range rules {
		if own, ok := needed(r.Match); ok {
			maps.Copy(all, own)
			continue
		}
		condition, err := emitter{logType, false}.expr(r.Match)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		if !strings.HasPrefix(condition, "(") {
			condition = "(" + condition + ")"
		}
		gates = append(gates, " and "+condition)
	}
	if len(all) > 0 {
		gates = append([]string{" and " + all.condition()}, gates...)
	}
	return gates, nil
}

// actions are patterns of actions in small letters.
type actions map[string]bool

// needed are the actions without which an expression can't hold, and whether it needs any.
func needed(e sigma.Expr) (actions, bool) {
	switch e := e.(type) {
	case sigma.And:
		// One part that must hold is enough; the one with the fewest is the narrowest.
		var fewest actions
		for _, part := range e {
			if own, ok := needed(part); ok && (fewest == nil || len(own) < len(fewest)) {
				fewest = own
			}
		}
		return fewest, fewest != nil
	case sigma.Or:
		all := actions{}
		for _, part := range e {
			own, ok := needed(part)
			if !ok {
				return nil, false
			}
			maps.Copy(all, own)
		}
		return all, len(all) > 0
	case *sigma.Test:
		if e.Field != "action" || e.Op != sigma.Equal && e.Op != sigma.StartsWith {
			return nil, false
		}
		all := actions{}
		for _, value := range e.Values {
			pattern := regexp.QuoteMeta(strings.ToLower(value))
			if e.Op == sigma.StartsWith {
				pattern += ".*"
			}
			all[pattern] = true
		}
		return all, true
	}
	return nil, false
}

// condition is whether the action of a record is one of them.
func (a actions) condition() string {
	const action = `log.attributes["slack.action"]`
	return fmt.Sprintf("IsString(%s) and IsMatch(ToLowerCase(%s), %s)", action, action, quote("(?s)"+oneOf(slices.Sorted(maps.Keys(a)))))
}

// oneOf is a pattern of texts that have one of these patterns.
func oneOf(patterns []string) string { return "^(?:" + strings.Join(patterns, "|") + ")$" }

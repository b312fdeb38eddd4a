// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detections_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// catalogue are the actions that Slack knows.
func catalogue(t *testing.T) []string {
	text, err := os.ReadFile("../test/schemas/testdata/actions.txt")
	require.NoError(t, err)
	return strings.Fields(string(text))
}

func pack(t *testing.T) *detect.Pack {
	pack, err := detect.Load(detections.Rules())
	require.NoError(t, err)
	return pack
}

// actions are those that a rule lists, without prefixes.
func actions(rule *detect.Rule) (names []string) {
	sigma.Walk(rule.Rule.Match, func(test *sigma.Test) {
		if test.Field == "action" && test.Op == sigma.Equal {
			names = append(names, test.Values...)
		}
	})
	return names
}

// TestActions holds the actions of the rules to Slack's catalogue: with a wrong letter a rule is silent for ever.
func TestActions(t *testing.T) {
	t.Parallel()
	known := catalogue(t)
	for _, rule := range pack(t).Rules {
		for _, action := range actions(rule) {
			// What Slack had once, or documents elsewhere, is named in the description.
			if !slices.Contains(known, action) {
				assert.Contains(t, rule.Description, action, "%s: %s is not in Slack's catalogue, and the description does not say why", rule.Name, action)
			}
		}
	}
}

// TestTokenActions holds token-actions.yml to its promise: each action that has to do with tokens has a rule, or a reason
// for none.
func TestTokenActions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("token-actions.yml")
	require.NoError(t, err)
	var file struct {
		Actions map[string]struct{ Rule, Reason string }
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	known, rules := catalogue(t), pack(t).Rules
	for action, answer := range file.Actions {
		assert.Contains(t, known, action)
		if answer.Rule == "none" {
			assert.NotEmpty(t, answer.Reason, "%s: why is there no rule?", action)
			continue
		}
		assert.True(t, slices.ContainsFunc(rules, func(rule *detect.Rule) bool {
			return rule.Name == answer.Rule && slices.Contains(actions(rule), action)
		}) || correlates(t, answer.Rule, action), "%s: %s does not look for it", action, answer.Rule)
	}
	for _, action := range known {
		if strings.Contains(action, "token") {
			assert.Contains(t, file.Actions, action)
		}
	}
}

// correlates is whether a correlation judges an action by one of its rules.
func correlates(t *testing.T, name, action string) bool {
	for _, c := range pack(t).Correlations {
		if c.Name == name {
			return slices.ContainsFunc(c.Members, func(m detect.Member) bool {
				return m.Rule != nil && slices.Contains(actions(m.Rule), action)
			})
		}
	}
	return false
}

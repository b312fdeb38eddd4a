// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package ottl_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/ottl"
)

const header = `title: The rule %[1]s
id: 00000000-0000-4000-8000-00000000000%[2]d
name: %[1]s
status: experimental
date: 2026-11-%02[2]d
level: %[3]s
`

const alerting = "slacklogs: {tier: %s, suppress: {by: [actor.user.id], for: 1h}, playbooks: [contact-actor]}\n"

// What the statements do is tested with the real processor, in test/schemas.
func TestConfig(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for i, c := range []struct{ name, level, tier, detection string }{
		{"paged", "high", "page", "{s: {action: [b, A, 'c*']}, condition: s}"},
		{"hunted", "low", "hunt", "{s: {action: d, actor.user.id: x}, condition: s}"},
		{"inert", "critical", "review", "{s: {actor.user.id|expand: '%none%'}, condition: s}"},
		{"any_action", "medium", "review", "{s: {context.ua|contains: 'it''s $5'}, condition: s}"},
		{"block", "informational", "", "{s: {action: e}, condition: s}"},
	} {
		text := fmt.Sprintf(header, c.name, i+1, c.level) + "logsource: {product: slack, service: audit}\ndetection: " + c.detection + "\n"
		if c.tier != "" {
			text += fmt.Sprintf(alerting, c.tier)
		}
		files[c.name+".yml"] = &fstest.MapFile{Data: []byte(text)}
	}
	files["c.yml"] = &fstest.MapFile{Data: []byte(fmt.Sprintf(header, "burst", 9, "high") +
		"correlation: {type: event_count, rules: [block], group-by: [actor.user.id], timespan: 5m, condition: {gt: 5}}\n" + fmt.Sprintf(alerting, "review"))}
	pack, err := detect.Load(files)
	require.NoError(t, err)
	tuned, err := pack.Tune(&detect.Lists{Lists: map[string]detect.List{"none": {Kind: detect.Users}}}, time.Time{})
	require.NoError(t, err)

	all, err := ottl.Config(tuned, detect.Tiers)
	require.NoError(t, err)
	again, err := ottl.Config(tuned, detect.Tiers)
	require.NoError(t, err)
	assert.Equal(t, all, again, "the same rules must give the same text, or nobody could tell what has changed")
	assert.Contains(t, all, "# Left out, as the lists they need are empty: inert.")
	assert.Contains(t, all, "records are kept: burst.")
	assert.NotContains(t, all, `"inert"`)
	assert.NotContains(t, all, `"block"`)
	assert.NotContains(t, all, `"burst"`)
	assert.NotRegexp(t, `[^$]\$[^$]`, all, "a dollar alone would be an environment variable")

	var config struct {
		Processors map[string]struct {
			ErrorMode  string `yaml:"error_mode"`
			Statements []struct {
				Conditions []string `yaml:"conditions"`
				Statements []string `yaml:"statements"`
			} `yaml:"log_statements"`
		} `yaml:"processors"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(all), &config))
	groups := config.Processors[ottl.Processor].Statements
	require.Len(t, groups, 3)
	// One look at the action for all rules that need one; the other rule asks for itself.
	require.Len(t, groups[1].Conditions, 2)
	assert.Contains(t, groups[1].Conditions[0], `"(?s)^(?:a|b|c.*|d)$$"`)
	assert.Contains(t, groups[1].Conditions[1], `it's \\$$5`)
	var order []string
	for _, statement := range groups[1].Statements {
		if name, ok := strings.CutPrefix(statement, `append(log.attributes["slack.detections"], "`); ok {
			order = append(order, name[:strings.IndexByte(name, '"')])
		}
	}
	assert.Equal(t, []string{"paged", "any_action", "hunted"}, order, "the most severe first")

	paged, err := ottl.Config(tuned, []detect.Tier{detect.Page})
	require.NoError(t, err)
	assert.Contains(t, paged, `"paged"`)
	assert.NotContains(t, paged, `"hunted"`)
	assert.NotContains(t, paged, "Left out")
}

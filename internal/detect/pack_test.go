// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func load(tb testing.TB) (*detect.Pack, *detect.Lists, []detecttest.Case) {
	pack, err := detect.Load(detections.Rules())
	require.NoError(tb, err)
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(tb, err)
	cases, err := detecttest.Load(os.DirFS("../../detections/tests"), pack, start)
	require.NoError(tb, err)
	return pack, lists, cases
}

// findings are those of one rule that events make, without what a second reading of the same could change.
func findings(tuned *detect.Tuned, rule string, events []detect.Event) []detect.Finding {
	evaluator := tuned.NewEvaluator()
	for _, event := range events {
		evaluator.Add(event)
	}
	return slices.DeleteFunc(evaluator.Findings(), func(f detect.Finding) bool { return f.Rule != rule })
}

// TestPack runs the tests of all rules, and each again newest first, in some other order, and with entries that come
// twice.
func TestPack(t *testing.T) {
	t.Parallel()
	pack, lists, cases := load(t)
	for _, c := range cases {
		t.Run(c.Rule+"/"+c.Name, func(t *testing.T) {
			t.Parallel()
			tuned, err := c.Tune(pack, lists)
			require.NoError(t, err)
			events := c.Events()
			require.Len(t, events, len(c.Entries), "a record of an entry is no event")
			want := findings(tuned, c.Rule, events)
			assert.Len(t, want, c.Finds, "findings: %+v", want)

			reversed := slices.Clone(events)
			slices.Reverse(reversed)
			assert.Equal(t, want, findings(tuned, c.Rule, reversed), "newest first")
			random := rand.New(rand.NewPCG(uint64(len(events)), 1))
			for range 5 {
				mixed := append(slices.Clone(events), events[random.IntN(len(events))], events[random.IntN(len(events))])
				random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
				assert.Equal(t, want, findings(tuned, c.Rule, mixed), "mixed, and some twice")
			}
		})
	}
}

// TestPackIsTested holds the tests to what each rule says: that it finds something and passes something, each value it
// lists, and in the page tier that it needs no list.
func TestPackIsTested(t *testing.T) {
	t.Parallel()
	pack, lists, cases := load(t)
	untuned, err := pack.Tune(lists, time.Time{})
	require.NoError(t, err)
	type header struct {
		sigma.Header
		tier detect.Tier
	}
	var all []header
	for _, r := range pack.Rules {
		all = append(all, header{r.Header, r.Tier})
	}
	for _, c := range pack.Correlations {
		all = append(all, header{c.Header, c.Tier})
	}
	for _, h := range all {
		if h.tier == "" {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(cases), func(c detecttest.Case) bool { return c.Rule != h.Name })
		assert.True(t, slices.ContainsFunc(own, func(c detecttest.Case) bool { return c.Finds > 0 }), "%s: no test finds something", h.Name)
		assert.True(t, slices.ContainsFunc(own, func(c detecttest.Case) bool { return c.Finds == 0 }), "%s: no test finds nothing", h.Name)
		if h.tier == detect.Page {
			assert.NotContains(t, untuned.Inert, h.Name, "%s: needs a list", h.Name)
			assert.True(t, slices.ContainsFunc(own, func(c detecttest.Case) bool {
				return c.Finds > 0 && !slices.ContainsFunc(slices.Collect(maps.Values(c.Lists)), func(v []string) bool { return len(v) > 0 })
			}), "%s: pages, and no test finds something with all lists empty", h.Name)
		}
		assert.NotEmpty(t, h.FalsePositives, "%s: falsepositives", h.Name)
		assert.NotEmpty(t, h.Description, "%s: description", h.Name)
		assert.True(t, slices.ContainsFunc(h.Tags, func(tag string) bool { return strings.HasPrefix(tag, "attack.t") }) || h.Level == "informational", "%s: no technique among the tags", h.Name)
	}

	// Each value of each rule's tests of the action (or of what integration rows have in its place) is in an entry that
	// the rule matches.
	matched := map[string]map[string]bool{}
	for _, c := range cases {
		tuned, err := c.Tune(pack, lists)
		require.NoError(t, err)
		for _, event := range c.Events() {
			for _, r := range tuned.Rules {
				if r.LogType() != event.LogType || !sigma.Matches(r.Match, event) {
					continue
				}
				if matched[r.Name] == nil {
					matched[r.Name] = map[string]bool{}
				}
				for _, field := range []string{"action", "change_type"} {
					for _, value := range event.Values(field) {
						matched[r.Name][value] = true
					}
				}
			}
		}
	}
	for _, r := range pack.Rules {
		sigma.Walk(r.Rule.Match, func(test *sigma.Test) {
			if test.Field != "action" && test.Field != "change_type" {
				return
			}
			for _, value := range test.Values {
				found := matched[r.Name][value]
				if test.Op == sigma.StartsWith {
					found = slices.ContainsFunc(slices.Collect(maps.Keys(matched[r.Name])), func(v string) bool { return strings.HasPrefix(v, value) })
				}
				assert.True(t, found, "%s: no test matches %s %s", r.Name, test.Field, value)
			}
		})
	}
	assert.NotEmpty(t, all, "the pack is empty")
}

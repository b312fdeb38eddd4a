// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"
)

// handbook has the table of the searches.
const handbook = "../../../detections/elastic.md"

// TestHandbook keeps the table: each rule, what it became, and how that differs.
func TestHandbook(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- elastic: made from the code -->\n", "<!-- elastic: end of that -->"
	pack, lists := load(t)
	rules := made(t, pack, filled(lists))
	kinds := map[string]string{"query": "custom query", "eql": "EQL", "esql": "ES\\|QL", "new_terms": "new terms"}
	var b strings.Builder
	b.WriteString("\n| rule | Elastic's rule | every | searches for | differs |\n|---|---|---|---|---|\n")
	slices.SortStableFunc(rules, func(a, b *elastic.Rule) int {
		order := []string{"eql", "esql", "query", "new_terms"}
		return slices.Index(order, a.Type) - slices.Index(order, b.Type)
	})
	cell := func(text string, most int) string {
		text = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "\\|")), " ")
		if runes := []rune(text); len(runes) > most {
			text = strings.TrimRight(string(runes[:most]), "\\ ") + " …"
		}
		return strings.NewReplacer("*", "\\*", "_", "\\_").Replace(text)
	}
	for _, r := range rules {
		differs := strings.Join(r.Differs, "; ")
		if differs == "" {
			differs = "–"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Source, kinds[r.Type], r.Interval, cell(r.Summary, 150), cell(differs, 400))
	}
	b.WriteString("\n")
	text, err := os.ReadFile(handbook)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	golden(t, handbook, []byte(before+begin+b.String()+end+after))
}

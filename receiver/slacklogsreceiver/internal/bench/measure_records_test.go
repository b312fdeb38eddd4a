// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// measureRecords measures how a page becomes records, beside the naive way and
// beside the floor, which has parsed before.
func measureRecords(t *testing.T, results *goals, _ string) {
	const rounds = 15
	text := page(newGenerator().entries(maxPage, noon.Unix(), noon.Unix()+maxPage))
	requireSame(t, text)

	// A thousand trees stand for all, as a heap full of them would have the
	// garbage collector run less often.
	trees := newTrees(split(t, text)[:batchSize])
	converter, lowest := record.New(usual), newFloor()
	taken := 0
	consume := func(logs plog.Logs) { taken += logs.LogRecordCount() }
	streamed := func() { require.NoError(t, ours(converter, text, consume)) }
	byMap := func() { require.NoError(t, naive(text, consume)) }
	least := func() { lowest.page(trees, maxPage, consume) }

	streamed() // once, to learn the names
	least()
	fewest, made := allocations(least), allocations(streamed)
	taken = 0
	took := inTurns(t, rounds, byMap, streamed, least)
	require.Equal(t, 3*rounds*maxPage, taken)

	each := func(of turns) float64 { return median(of).Seconds() * 1e6 / maxPage }
	results.atLeast("page to records, against the naive way", took[0].times(took[1]), 2.5, "×",
		fmt.Sprintf("%.2f µs an entry, naive %.2f µs", each(took[1]), each(took[0])))
	results.atMost("page to records, against the floor", took[1].times(took[2]), 1.7, "×",
		fmt.Sprintf("floor %.2f µs", each(took[2])))
	results.atMost("allocations of an entry, against the floor", float64(made)/float64(fewest), 1.15, "×",
		fmt.Sprintf("%.1f, floor %.1f", float64(made)/maxPage, float64(fewest)/maxPage))
}

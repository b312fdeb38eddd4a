// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// pagesHolding calls yield with each page by number that Slack would give and
// that holds the row at pos.
func pagesHolding(pos int, yield func(start, count int)) {
	for count := 1; count <= maxCount; count++ {
		if number := pos / count; number < maxNumber {
			yield(number*count, count)
		}
	}
}

// A page that does not hold the row, or begins in a part that can't be read,
// would lose rows or never end.
func TestCovering(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 3, 7, 50, 1000} {
		for pos := 0; pos < 240; pos += 1 + pos/40 {
			for from := max(0, pos-12); from <= pos; from++ {
				for _, end := range []int{pos + 1, pos + 2, pos + 5, pos + 30, math.MaxInt} {
					found, furthest := false, 0
					pagesHolding(pos, func(start, count int) {
						if start >= from && start+count <= end {
							found = true
							if count <= limit {
								furthest = max(furthest, start+count)
							}
						}
					})
					start, count, ok := covering(pos, from, end, limit)
					require.Equal(t, found, ok, "pos %d from %d end %d limit %d", pos, from, end, limit)
					if !ok {
						continue
					}
					require.True(t, start%count == 0 && start/count < maxNumber && count <= maxCount, "a page of Slack's")
					require.True(t, from <= start && start <= pos && pos < start+count && start+count <= end)
					if count <= limit {
						require.Equal(t, furthest, start+count, "none within the limit reaches further")
					} else {
						require.Zero(t, furthest, "over the limit only where nothing else is left")
					}
				}
			}
		}
	}
	// The last row that Slack gives by number, and the first that it does not.
	start, count, ok := covering(maxCount*maxNumber-1, 0, math.MaxInt, 1)
	require.True(t, ok)
	require.Equal(t, maxCount*(maxNumber-1), start)
	require.Equal(t, maxCount, count)
	_, _, ok = covering(maxCount*maxNumber, 0, math.MaxInt, 1)
	require.False(t, ok)
}

// Twins are counted only in an answer that shows the row before and the row
// behind their second; up to 500 rows of a second there always is one.
func TestShowing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 10, 100, 250, 400, 499} {
		for from := 0; from < 40_000; from += 1 + from/30 {
			start, count, ok := showing(from, from+n)
			require.True(t, ok, "%d rows from %d", n, from)
			require.True(t, start%count == 0 && start/count < maxNumber && count <= maxCount, "a page of Slack's")
			require.True(t, start < from || start == 0, "%d rows from %d: the row before", n, from)
			require.Greater(t, start+count, from+n, "%d rows from %d: the row behind", n, from)
		}
	}
}

// Behind a part that can't be read, reading goes on at the nearest row at which
// a page can begin: what lies between is lost.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	for pos := range 3000 {
		nearest := math.MaxInt
		for count := 1; count <= maxCount; count++ {
			if number := (pos + count - 1) / count; number < maxNumber {
				nearest = min(nearest, number*count)
			}
		}
		start, ok := firstStart(pos)
		require.True(t, ok)
		require.Equal(t, nearest, start)
		require.GreaterOrEqual(t, start, pos)
		if pos <= 100 {
			require.LessOrEqual(t, start, pos+1, "at the top single rows can be left out")
		}
	}
	_, ok := firstStart(maxCount * maxNumber)
	require.False(t, ok)
}

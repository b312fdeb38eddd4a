// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBudgetStartsWithOneCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		perMinute float64
		second    time.Duration
	}{
		{30, 2 * time.Second},
		{0.5, 2 * time.Minute},
		{60_000, time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v a minute", tt.perMinute), func(t *testing.T) {
			t.Parallel()
			b := NewBudget(tt.perMinute, startTime)
			assert.Zero(t, b.Take(startTime))
			wait := b.Take(startTime)
			assert.InDelta(t, tt.second.Seconds(), wait.Seconds(), 1e-5)
			assert.Equal(t, wait, b.Take(startTime), "asking costs nothing")
			assert.Zero(t, b.Take(startTime.Add(wait+time.Microsecond)))
		})
	}
}

// In any 60 s there are at most requests_per_minute + 5 calls (promise 6),
// however the calls are spread.
func TestBudgetIsNeverExceeded(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []float64{0.1, 1, 15, 30, 50, 600} {
		t.Run(fmt.Sprintf("%v a minute", perMinute), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				spacing := time.Duration(float64(time.Minute) / perMinute)
				now := startTime
				b := NewBudget(perMinute, now)
				var calls []time.Time
				for len(calls) < 500 {
					switch rng.IntN(20) {
					case 0: // nothing to do for a while
						now = now.Add(time.Duration(rng.Float64() * 12 * float64(spacing)))
					case 1: // more or less at the time
						now = now.Add(time.Duration(rng.Float64() * float64(spacing)))
					case 2:
						if rng.IntN(10) == 0 {
							b.Pause(now.Add(time.Duration(rng.Float64()*float64(time.Minute))), now)
						}
					}
					wait := b.Take(now)
					if wait == 0 {
						calls = append(calls, now)
						continue
					}
					require.Positive(t, wait)
					now = now.Add(wait)
				}
				from, most := 0, 0
				for to := range calls {
					for calls[to].Sub(calls[from]) >= time.Minute {
						from++
					}
					most = max(most, to-from+1)
				}
				require.LessOrEqual(t, float64(most), perMinute+burst, "seed %d", seed)
			}
		})
	}
}

func TestBudgetIsUsedUp(t *testing.T) {
	t.Parallel()
	now := startTime
	b := NewBudget(30, now)
	calls := 0
	for now.Before(startTime.Add(time.Hour)) {
		if wait := b.Take(now); wait > 0 {
			now = now.Add(wait)
		} else {
			calls++
		}
	}
	assert.InDelta(t, 30*60, calls, 2)
}

func TestBudgetPause(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		pause []time.Duration
		want  time.Duration
	}{
		{"a while", []time.Duration{90 * time.Second}, 90 * time.Second},
		{"over already", []time.Duration{-time.Second}, 0},
		{"an hour at most", []time.Duration{100 * time.Hour}, time.Hour},
		{"the later one counts", []time.Duration{90 * time.Second, 30 * time.Second}, 90 * time.Second},
		{"no time at all", []time.Duration{math.MinInt64}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := NewBudget(30, startTime)
			for _, d := range tt.pause {
				b.Pause(startTime.Add(d), startTime)
			}
			b.Pause(time.Time{}, startTime)
			assert.Equal(t, tt.want, b.Take(startTime))
			if tt.want > 0 {
				assert.Equal(t, time.Nanosecond, b.Take(startTime.Add(tt.want-time.Nanosecond)))
				assert.Zero(t, b.Take(startTime.Add(tt.want)))
			}
		})
	}
}

// Any positive number is allowed.
func TestBudgetOfAnySize(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []float64{math.SmallestNonzeroFloat64, 1e-9, 1e12, math.MaxFloat64, math.Inf(1)} {
		t.Run(fmt.Sprint(perMinute), func(t *testing.T) {
			t.Parallel()
			b := NewBudget(perMinute, startTime)
			assert.Zero(t, b.Take(startTime))
			wait := b.Take(startTime)
			assert.GreaterOrEqual(t, wait, time.Duration(0))
			if perMinute < 1 {
				assert.Greater(t, wait, time.Hour)
			} else {
				assert.LessOrEqual(t, wait, time.Microsecond)
			}
		})
	}
}

// A 429 says that others use the same limit: the budget backs off, beyond
// Retry-After, and finds its way up again.
func TestBudgetUnderPressure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ perMinute, least float64 }{{30, 3}, {15, 1.5}, {600, 60}, {5, 1}, {0.5, 0.5}} {
		t.Run(fmt.Sprintf("%v a minute", tt.perMinute), func(t *testing.T) {
			t.Parallel()
			now := startTime
			b := NewBudget(tt.perMinute, now)
			now = now.Add(time.Hour) // it may burst

			retryAfter := now.Add(30 * time.Second)
			assert.True(t, b.Refused(retryAfter, now))
			assert.InDelta(t, max(tt.perMinute/2, tt.least), b.PerMinute(), 1e-9)
			wait := b.Take(now)
			assert.Equal(t, 30*time.Second, wait)
			now = now.Add(wait)
			wait = b.Take(now)
			assert.InDelta(t, 60/b.PerMinute(), wait.Seconds(), 1e-3, "one interval beyond Retry-After")
			now = now.Add(wait + time.Microsecond)
			assert.Zero(t, b.Take(now), "a call, but no burst")
			assert.Positive(t, b.Take(now))

			for range 20 {
				news := b.Refused(now.Add(time.Second), now)
				assert.False(t, news && tt.least < tt.perMinute, "no news")
			}
			assert.InDelta(t, tt.least, b.PerMinute(), 1e-9, "the newest entries go on")

			last := b.PerMinute()
			for range 10 {
				now = now.Add(time.Minute + time.Second)
				b.Take(now)
				assert.GreaterOrEqual(t, b.PerMinute(), last)
				last = b.PerMinute()
			}
			assert.InDelta(t, tt.perMinute, b.PerMinute(), 1e-9, "the way up again")
			assert.True(t, b.Refused(now, now))
		})
	}
}

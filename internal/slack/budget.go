// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"time"

	"golang.org/x/time/rate"
)

// burst is how many calls may follow at once after a pause. In any 60 s there
// are then at most requests_per_minute + burst calls (promise 6).
const burst = 5

// maxWait is after how long a wait is worked out anew; a budget of next to
// nothing has waits that no time.Duration holds.
const maxWait = 24 * time.Hour

// Budget spaces the calls of one log type and keeps Retry-After. It is used
// by one goroutine.
type Budget struct {
	limiter   *rate.Limiter
	notBefore time.Time
}

// NewBudget allows perMinute calls in a minute. A start is one call, not a
// burst, so that a crash loop does not eat the organisation's limit.
func NewBudget(perMinute float64, now time.Time) *Budget {
	b := &Budget{limiter: rate.NewLimiter(rate.Limit(perMinute/60), burst)}
	b.limiter.AllowN(now, burst-1)
	return b
}

// Take uses one call when the budget has one and returns 0, or else how long
// to wait before asking again.
func (b *Budget) Take(now time.Time) time.Duration {
	if wait := b.Paused(now); wait > 0 {
		return wait
	}
	if b.limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - b.limiter.TokensAt(now)
	seconds := min(missing/float64(b.limiter.Limit()), maxWait.Seconds())
	// Never 0: rounding must not turn waiting into spinning.
	return max(time.Duration(seconds*float64(time.Second)), time.Microsecond)
}

// Paused is how long all calls are still kept back.
func (b *Budget) Paused(now time.Time) time.Duration { return max(0, b.notBefore.Sub(now)) }

// Pause keeps all calls back until t. A time over an hour ahead is an error
// of some clock and counts as an hour.
func (b *Budget) Pause(t, now time.Time) {
	if limit := now.Add(maxRetryAfter); t.After(limit) {
		t = limit
	}
	if t.After(b.notBefore) {
		b.notBefore = t
	}
}

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

const (
	// leastShare is what is left of the budget at least when others use Slack's
	// limit up: enough for a page a minute and more, so that the newest entries
	// go on.
	leastShare = 0.1
	// easier is by which part of the whole budget it grows again for each
	// quiet minute.
	easier = 0.1
)

// Budget spaces the calls of one log type and keeps Retry-After. Where others
// use Slack's limit up, it shrinks by half with each refusal, and grows slowly
// again. It is used by one goroutine.
type Budget struct {
	limiter   *rate.Limiter
	notBefore time.Time
	whole     rate.Limit
	// grown is when the budget last changed while it is less than the whole.
	grown time.Time
}

// NewBudget allows perMinute calls in a minute. A start is one call, not a
// burst, so that a crash loop does not eat the organisation's limit.
func NewBudget(perMinute float64, now time.Time) *Budget {
	whole := rate.Limit(perMinute / 60)
	b := &Budget{limiter: rate.NewLimiter(whole, burst), whole: whole}
	b.limiter.AllowN(now, burst-1)
	return b
}

// Take uses one call when the budget has one and returns 0, or else how long
// to wait before asking again.
func (b *Budget) Take(now time.Time) time.Duration {
	if wait := b.Paused(now); wait > 0 {
		return wait
	}
	b.grow(now)
	if b.limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - b.limiter.TokensAt(now)
	seconds := min(missing/float64(b.limiter.Limit()), maxWait.Seconds())
	// Never 0: rounding must not turn waiting into spinning.
	return max(time.Duration(seconds*float64(time.Second)), time.Microsecond)
}

// Refused notes a 429 at which Slack asks to wait until t: others use the same
// limit up. What was saved up is gone, and the next call comes one interval of
// the smaller budget after t. It reports whether the budget was whole before.
func (b *Budget) Refused(t, now time.Time) (news bool) {
	news = b.grown.IsZero()
	b.Pause(t, now)
	least := min(b.whole, max(b.whole*leastShare, 1./60))
	b.limiter = rate.NewLimiter(max(b.limiter.Limit()/2, least), burst)
	b.limiter.AllowN(b.notBefore, burst)
	b.grown = b.notBefore
	return news
}

// PerMinute is how many calls a minute it allows now.
func (b *Budget) PerMinute() float64 { return float64(b.limiter.Limit() * 60) }

// grow gives back a part for each minute without a refusal.
func (b *Budget) grow(now time.Time) {
	for !b.grown.IsZero() && now.Sub(b.grown) >= time.Minute {
		b.grown = b.grown.Add(time.Minute)
		limit := min(b.whole, b.limiter.Limit()+b.whole*easier)
		b.limiter.SetLimitAt(now, limit)
		if limit >= b.whole {
			b.grown = time.Time{}
		}
	}
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

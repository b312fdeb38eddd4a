// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"sync"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
)

// futureDate is how far ahead an entry's date may lie and still count for the
// staleness.
const futureDate = 5 * time.Minute

// health holds the figures behind the gauges of one log type. The poller
// writes them; the metric reader asks at any time, also while a consumer
// blocks the poller.
type health struct {
	clock clock.Clock

	mu       sync.Mutex
	lastPage time.Time
	offset   time.Duration
	standing standing
}

// standing is where a log type stands, in Unix seconds by Slack's clock.
type standing struct {
	// newest is the date of the newest entry delivered, or the start.
	newest, watermark int64
	// polled is set once the first poll has ended.
	polled bool
	stale  bool
}

func newHealth(c clock.Clock) *health { return &health{clock: c, lastPage: c.Now()} }

func (h *health) page() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastPage = h.clock.Now()
}

// update notes the standing, and Slack's time now.
func (h *health) update(s standing, slackNow time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.standing, h.offset = s, slackNow.Sub(h.clock.Now())
}

// Figures are the gauges of one log type; times in seconds.
type Figures struct {
	// Polled tells whether EventStaleness means anything yet.
	Polled         bool
	EventStaleness float64
	PollStaleness  float64
	WatermarkLag   float64
	Stale          bool
}

func (h *health) figures() Figures {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Now()
	since := func(second int64) float64 {
		return max(0, now.Add(h.offset).Sub(time.Unix(second, 0)).Seconds())
	}
	return Figures{
		Polled:         h.standing.polled,
		EventStaleness: since(h.standing.newest),
		PollStaleness:  max(0, now.Sub(h.lastPage).Seconds()),
		WatermarkLag:   since(h.standing.watermark),
		Stale:          h.standing.stale,
	}
}

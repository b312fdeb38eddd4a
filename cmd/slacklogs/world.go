// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	tick      = 100 * time.Millisecond
	burstSize = 500
	maxLate   = 20 * time.Minute
)

// world is the simulated company and the Slack that it uses.
type world struct {
	slack *slacktest.Server
	now   func() time.Time
	late  bool

	owed      float64 // of live: entries that are due but not yet whole
	lastBurst time.Time

	mu   sync.Mutex
	org  *slacktest.Organisation
	made int
}

func newWorld(f simulateFlags, now func() time.Time) *world {
	w := &world{
		slack: slacktest.New(slacktest.Options{
			LimitPerMinute: f.limit, Overshoot: true, EmptyPages: 20, CursorAge: time.Hour, CallLog: 1000,
		}),
		now:       now,
		late:      f.late,
		org:       slacktest.NewOrganisation(f.seed),
		lastBurst: now(),
	}
	w.slack.SetToken(tokenName(f.token), w.org.Identity())
	w.faults(f.faults)
	return w
}

// tokenName is how the fake Slack knows the token of the flag.
func tokenName(token string) string {
	if token == "any" {
		return slacktest.AnyToken
	}
	return token
}

func (w *world) faults(every int) {
	if every == 0 {
		w.slack.SetFault(nil)
		return
	}
	w.slack.SetFault(slacktest.EveryNth(every, slacktest.Faults()...))
}

// past spreads n entries over the time before now.
func (w *world) past(n int, history time.Duration) {
	from := w.now().Add(-history)
	for i := range n {
		w.happen(from.Add(time.Duration(float64(i)/float64(n)*float64(history))), 1)
	}
}

// live lets one tick's worth of entries happen now.
func (w *world) live(rate float64, burst bool) {
	now := w.now()
	w.owed += rate * tick.Minutes()
	n := int(w.owed)
	w.owed -= float64(n)
	if burst && now.Sub(w.lastBurst) >= time.Minute {
		w.lastBurst = now
		n += burstSize
	}
	w.happen(now, n)
}

// happen adds n entries of one second.
func (w *world) happen(at time.Time, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries := make([]slacktest.Entry, 0, n)
	for range n {
		e := w.org.Entry(at.Unix())
		if w.made++; w.late && w.made%10 == 0 {
			e.Shown = at.Add(maxLate / time.Duration(1+w.made/10%100)) // few very late, many a little
		}
		entries = append(entries, e)
	}
	w.slack.Add(entries...)
}

// oldest is the time of the first entry, or now.
func (w *world) oldest() time.Time {
	oldest := w.now()
	if shown := w.slack.Shown(); len(shown) > 0 {
		oldest = time.Unix(shown[0].Date, 0)
	}
	return oldest
}

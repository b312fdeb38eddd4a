// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"sync"
	"time"
)

// The methods that all log types ask.
const (
	MethodAuthTest = "auth.test"
	MethodTeams    = "auth.teams.list"
)

// Pauses share the Retry-After of such methods between the log types. The zero
// value knows of none.
type Pauses struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// Note keeps the method back until t, or for an hour at most.
func (p *Pauses) Note(method string, t, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if limit := now.Add(maxRetryAfter); t.After(limit) {
		t = limit // as with Budget.Pause
	}
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	if t.After(p.until[method]) {
		p.until[method] = t
	}
}

// Left is how long the method is still kept back.
func (p *Pauses) Left(method string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.until[method].Sub(now))
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"fmt"
	"slices"
	"time"
)

// CallRecord is one call and what became of it.
type CallRecord struct {
	Call
	Status     int // 0 when no status was sent
	Fault      Fault
	Entries    int
	RetryAfter time.Duration // what a 429 asks for; 60s when it says nothing of use
	AuthOK     bool
	UserAgent  string
}

// callLog remembers the calls and judges each as it comes, so that a bounded log misses no violation.
type callLog struct {
	keep       int
	seq        int
	calls      []CallRecord
	violations []string
	notBefore  map[string]time.Time // by path and caller
}

func (l *callLog) add(r CallRecord, caller string) {
	key := r.Path + " " + caller
	if until := l.notBefore[key]; r.Time.Before(until) {
		l.accuse(r, "%s before Retry-After ended", until.Sub(r.Time))
	}
	if r.RetryAfter > 0 {
		l.notBefore[key] = r.Time.Add(min(r.RetryAfter, time.Hour)) // to wait longer is asked of nobody
	}
	if c, ok := parseCursor(r.Query.Get("cursor")); ok {
		if oldest, latest := r.Query.Get("oldest"), r.Query.Get("latest"); oldest != c.oldest || latest != c.latest {
			l.accuse(r, "cursor of oldest=%s latest=%s used with oldest=%s latest=%s", c.oldest, c.latest, oldest, latest)
		}
	}
	l.calls = append(l.calls, r)
	if l.keep > 0 && len(l.calls) >= 2*l.keep { // dropping half at a time is cheap
		l.calls = slices.Clone(l.calls[len(l.calls)-l.keep:])
	}
}

func (l *callLog) accuse(r CallRecord, format string, args ...any) {
	const enough = 1000
	if len(l.violations) < enough {
		l.violations = append(l.violations, fmt.Sprintf("call %d to %s: ", r.Seq, r.Path)+fmt.Sprintf(format, args...))
	}
}

// Calls returns the calls remembered, oldest first.
func (s *Server) Calls() []CallRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log.calls)
}

// CallCount is the number of calls ever made.
func (s *Server) CallCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.seq
}

// Violations tells what callers did wrong, one sentence each: calls before the Retry-After of the same path had
// ended, and cursors that came back without the oldest and latest of the call that gave them.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log.violations)
}

// MaxPerMinute is the most calls of a path in any 60 s, among those remembered.
func (s *Server) MaxPerMinute(path string) int {
	var times []time.Time
	for _, c := range s.Calls() {
		if c.Path == path {
			times = append(times, c.Time)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	most, from := 0, 0
	for to := range times {
		for times[to].Sub(times[from]) >= time.Minute {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
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
	r.Query = l.withoutSecrets(r)
	key := r.Path + " " + caller
	if until := l.notBefore[key]; r.Time.Before(until) {
		l.accuse(r, "%s before Retry-After ended", until.Sub(r.Time))
	}
	if r.RetryAfter > 0 {
		l.notBefore[key] = r.Time.Add(min(r.RetryAfter, time.Hour)) // to wait longer is asked of nobody
	}
	if c, ok := parseCursor(r.Query.Get("cursor")); ok && r.Path == PathAudit {
		if oldest, latest := r.Query.Get("oldest"), r.Query.Get("latest"); oldest != c.oldest || latest != c.latest {
			l.accuse(r, "cursor of oldest=%s latest=%s used with oldest=%s latest=%s", c.oldest, c.latest, oldest, latest)
		}
	}
	l.judgeList(r)
	l.calls = append(l.calls, r)
	if l.keep > 0 && len(l.calls) >= 2*l.keep { // dropping half at a time is cheap
		l.calls = slices.Clone(l.calls[len(l.calls)-l.keep:])
	}
}

// withoutSecrets is a call's query as it may be remembered. Secrets have no place in a query: proxies write it down.
func (l *callLog) withoutSecrets(r CallRecord) url.Values {
	query := r.Query
	for _, name := range slices.Sorted(maps.Keys(r.Query)) {
		token := slices.ContainsFunc(r.Query[name], func(v string) bool { return strings.HasPrefix(v, "xox") })
		secret := token || slices.Contains([]string{"client_secret", "code_verifier", "refresh_token", "token"}, name)
		if secret {
			l.accuse(r, "%s in the query", name)
		}
		if secret || name == "code" {
			query = maps.Clone(query)
			query.Set(name, "[removed]")
		}
	}
	return query
}

// judgeList looks at the parameters of the Web API's lists.
func (l *callLog) judgeList(r CallRecord) {
	var most map[string]int64
	switch r.Path {
	case PathAccess:
		most = map[string]int64{"limit": maxAccessLimit, "count": maxCount, "page": maxPage}
	case PathIntegration:
		most = map[string]int64{"count": maxCount, "page": maxPage}
	case PathTeams:
		most = map[string]int64{"limit": maxTeamsLimit}
	case PathUsers:
		most = map[string]int64{"limit": maxUserLimit}
	default:
		return
	}
	for _, name := range slices.Sorted(maps.Keys(most)) {
		if n, ok := number(r.Query.Get(name), 1); !ok || n < 1 || n > most[name] {
			l.accuse(r, "%s=%s is not 1…%d", name, r.Query.Get(name), most[name])
		}
	}
	cursor := r.Query.Get("cursor")
	if cursor != "" && r.Query.Has("page") {
		l.accuse(r, "both cursor and page")
	}
	if c, ok := parseListCursor(cursor); ok {
		if team, before := r.Query.Get("team_id"), r.Query.Get("before"); team != c.asked || before != c.before {
			l.accuse(r, "cursor of team_id=%s before=%s used with team_id=%s before=%s", c.asked, c.before, team, before)
		}
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
// ended, cursors that came back without the oldest and latest, or the team_id and before, of the call that gave them,
// cursors together with page, limit, count or page out of their range, and secrets in the query.
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

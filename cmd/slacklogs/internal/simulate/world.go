// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package simulate // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/simulate"

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	tick      = 100 * time.Millisecond
	burstSize = 500
	maxLate   = 20 * time.Minute

	// What else happens for each audit entry: rows of the access logs that are new or active again, and changes of
	// integrations, each few of which come twice.
	newPerEntry     = 0.05
	againPerEntry   = 0.2
	changesPerEntry = 0.05
	twinsEvery      = 8
)

// world is the simulated company and the Slack that it uses.
type world struct {
	slack *slacktest.Server
	now   func() time.Time
	late  bool
	app   string   // the client id of the app that is known
	teams []string // the workspaces that the token can read

	entries, logins, repeats, changes flow // used by past and live only
	lastBurst                         time.Time

	mu   sync.Mutex
	org  *slacktest.Organisation
	made int // audit entries
}

// flow is what happens at a rate, in one workspace after the other.
type flow struct {
	owed float64 // what is due but not yet whole
	turn int
}

// tick is how many are due by one tick more.
func (f *flow) tick(perMinute float64) int {
	f.owed += perMinute * tick.Minutes()
	n := int(f.owed)
	f.owed -= float64(n)
	return n
}

// next is the workspace whose turn it is.
func (f *flow) next(teams []string) string {
	f.turn++
	return teams[(f.turn-1)%len(teams)]
}

// twins are how many more times the rows of this turn come.
func (f *flow) twins() int {
	if f.turn%twinsEvery == 0 {
		return 1
	}
	return 0
}

func newWorld(f simulateFlags, now func() time.Time) *world {
	w := &world{
		slack: slacktest.New(slacktest.Options{
			LimitPerMinute: f.limit, WebLimitPerMinute: f.webLimit, AccessOrder: accessOrders[f.accessOrder],
			Overshoot: true, EmptyPages: 20, CursorAge: time.Hour, CallLog: 1000,
		}),
		now:       now,
		late:      f.late,
		app:       f.app.ClientID,
		org:       slacktest.NewOrganisation(f.seed),
		lastBurst: now(),
	}
	id := w.org.Identity()
	id.Teams = id.Teams[:f.workspaces]
	for _, team := range id.Teams {
		w.teams = append(w.teams, team.ID)
	}
	w.slack.SetToken(tokenName(f.token), id)
	w.slack.SetApp(f.slackApp(id))
	w.slack.SetUser(w.org.Users()...)
	if f.refused > 0 {
		w.slack.Refuse(w.teams[f.refused-1], "team_access_not_granted")
	}
	w.faults(f.faults)
	return w
}

// slackApp is the app of the flags, which the owner of --token installs.
func (f simulateFlags) slackApp(owner slacktest.Identity) slacktest.App {
	app := f.app
	app.ID, app.Scopes, app.Installer = "A04SLACKLOGS", owner.Scopes, owner
	if f.redirectURL != "" {
		app.RedirectURLs = []string{f.redirectURL}
	}
	if app.Grace == 0 {
		app.Grace = -1 // 0 would be the default
	}
	return app
}

var accessOrders = map[string]slacktest.AccessOrder{
	"last": slacktest.ByLast, "first": slacktest.ByFirst, "none": slacktest.Unordered,
}

func isAccessOrder(name string) bool {
	_, ok := accessOrders[name]
	return ok
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

// past spreads entries and rows over the time before now. Most rows of the access logs have been active since they
// began.
func (w *world) past(entries, logins, changes int, history time.Duration) {
	now := w.now()
	spread := func(n int, happen func(i int, at time.Time)) {
		for i := range n {
			happen(i, now.Add(-history).Add(time.Duration(float64(i)/float64(n)*float64(history))))
		}
	}
	spread(entries, func(_ int, at time.Time) { w.happen(at, 1) })
	spread(logins, func(i int, at time.Time) {
		since := now.Sub(at) / 10 * time.Duration(i*7%10) // a tenth of them since the start, and so on
		w.slack.SetLogin(w.org.Again(w.org.Login(w.logins.next(w.teams), at.Unix()), at.Add(since).Unix()))
	})
	var last slacktest.Change
	spread(changes, func(i int, at time.Time) {
		if i == 0 || (i+1)%twinsEvery != 0 {
			last = w.org.Change(w.changes.next(w.teams), at.Unix())
		}
		w.slack.AddChange(last)
	})
}

// live lets one tick's worth of the company's life happen now.
func (w *world) live(rate float64, burst bool) {
	now := w.now()
	n := w.entries.tick(rate)
	if burst && now.Sub(w.lastBurst) >= time.Minute {
		w.lastBurst = now
		n += burstSize
	}
	w.happen(now, n)
	if n := w.logins.tick(rate * newPerEntry); n > 0 {
		w.login(w.logins.next(w.teams), now, n)
	}
	if n := w.repeats.tick(rate * againPerEntry); n > 0 {
		w.again(w.repeats.next(w.teams), now, n)
	}
	if n := w.changes.tick(rate * changesPerEntry); n > 0 {
		w.change(w.changes.next(w.teams), now, n, w.changes.twins())
	}
}

// happen adds n audit entries of one second.
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

// login adds n rows to a workspace's access logs.
func (w *world) login(team string, at time.Time, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.slack.SetLogin(w.org.Login(team, at.Unix()))
	}
}

// again has the n rows of a workspace that were inactive for longest be active again.
func (w *world) again(team string, at time.Time, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	logins := w.slack.Logins(team)
	slices.SortStableFunc(logins, func(a, b slacktest.Login) int { return cmp.Compare(a.Last, b.Last) })
	for _, l := range logins[:min(n, len(logins))] {
		w.slack.SetLogin(w.org.Again(l, at.Unix()))
	}
}

// change adds n rows to a workspace's integration logs, and each so many times more.
func (w *world) change(team string, at time.Time, n, more int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		c := w.org.Change(team, at.Unix())
		for range 1 + more {
			w.slack.AddChange(c)
		}
	}
}

// oldest is the time of the first entry, or now.
func (w *world) oldest() time.Time {
	oldest := w.now()
	if shown := w.slack.Shown(); len(shown) > 0 {
		oldest = time.Unix(shown[0].Date, 0)
	}
	return oldest
}

// oldestRow is the last time of the access log row that was inactive for longest, or of the first integration change,
// or now.
func (w *world) oldestRow() time.Time {
	oldest := w.now().Unix()
	for _, l := range w.slack.Logins("") {
		oldest = min(oldest, l.Last)
	}
	for _, c := range w.slack.Changes("") {
		oldest = min(oldest, c.Date)
	}
	return time.Unix(oldest, 0)
}

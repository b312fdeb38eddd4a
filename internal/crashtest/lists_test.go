// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	// rowUser begins the ids of those who stand in rows of the access logs.
	rowUser = "W0CRASH"

	// unknown is a count that is none.
	unknown = -1

	harbour, labs, field = "T04BWHARBOR", "T04BWLABORA", "T04BWFIELD0"
)

// listPaths are those of access and integration logs.
var listPaths = []string{slacktest.PathAccess, slacktest.PathIntegration}

// accessConfig and integrationConfig each switch one log type on, from a start on that does not move. more are lines
// of the section.
func accessConfig(start time.Time, more ...string) string {
	return listConfig("access_logs", start, more)
}

func integrationConfig(start time.Time, more ...string) string {
	return listConfig("integration_logs", start, more)
}

func listConfig(section string, start time.Time, more []string) string {
	lines := append([]string{
		"poll_interval: 500ms", "requests_per_minute: 60000", fmt.Sprintf("start_time: %q", start.UTC().Format(time.RFC3339)),
	}, more...)
	return fmt.Sprintf("receivers:\n  slacklogs:\n    %s:\n      %s\n", section, strings.Join(lines, "\n      "))
}

// ofOneWorkspace is a token that was made in the harbour's workspace.
func (s *fakeSlack) ofOneWorkspace() {
	id := s.org.Identity()
	id.Scopes = []string{"admin"}
	s.SetToken(token, slacktest.Identity{
		TeamID: harbour, Team: "Brightwater Harbour", EnterpriseID: id.EnterpriseID, EnterpriseName: id.EnterpriseName,
		URL: "https://brightwater-harbour.slack.com/", UserID: id.UserID, User: id.User, Scopes: id.Scopes,
	})
}

// ledger knows all that Slack's lists have ever shown, and so what has to arrive.
type ledger struct {
	slack *fakeSlack
	start int64

	mu      sync.Mutex
	random  *rand.Rand
	convert *record.Converter
	made    int
	states  map[string]state // by uid
	rows    []*rowHistory
	byKey   map[string]*rowHistory
	kinds   map[[16]byte]int // of changes, how many there are
	recent  []slacktest.Change
}

// state is what a row says at one time, and what its record has to be.
type state struct {
	row  *rowHistory
	step int
	kind string
	team string
	body bodyHash
	text string
	// due is set if it has to arrive, unless the row moves on before.
	due bool
}

// rowHistory is a row through time.
type rowHistory struct {
	slacktest.Login
	uids   []string
	counts []int64 // or unknown; in odd rows, which stay as they are
	isNew  bool    // at its first sight
}

func newLedger(t *testing.T, slack *fakeSlack, start time.Time) *ledger {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return &ledger{
		slack: slack, start: start.Unix(), random: rand.New(rand.NewPCG(seed, 0)),
		convert: record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll}),
		states:  map[string]state{}, byKey: map[string]*rowHistory{}, kinds: map[[16]byte]int{},
	}
}

// login is a row that nobody else has, first seen and last active at these times.
func (g *ledger) login(team string, first, last time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made++
	l := g.slack.org.Login(team, first.Unix())
	l.UserID, l.Last = fmt.Sprintf("%s%06d", rowUser, g.made), last.Unix()
	if l.Last > l.First {
		l = g.slack.org.Again(l, l.Last)
	}
	g.set(l)
}

// again has a row be active again.
func (g *ledger) again(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	row := g.rows[g.random.IntN(len(g.rows))]
	g.set(g.slack.org.Again(row.Login, at.Unix()))
}

// set shows a row as it is now. It is noted before, so that nothing arrives that is not known.
func (g *ledger) set(l slacktest.Login) {
	text := l.Text()
	a := g.convert.ParseAccess(l.Team, jsonstream.NewElement(text))
	key := l.Team + string(a.Key[:])
	row := g.byKey[key]
	if row == nil {
		row = &rowHistory{isNew: a.FirstOK && a.First >= g.start}
		g.byKey[key] = row
		g.rows = append(g.rows, row)
	}
	row.Login = l
	due := !a.LastOK || a.Last >= g.start
	g.note(a.UID, state{row: row, step: len(row.uids), kind: "access", team: l.Team, due: due}, text)
	if !a.CountOK {
		a.Count = unknown
	}
	if due {
		row.uids, row.counts = append(row.uids, a.UID), append(row.counts, a.Count)
	}
	g.slack.SetLogin(l)
}

// odd is a row of which one part is not what it should be.
func (g *ledger) odd(team string, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.slack.org.OddLogin(team, at.Unix())
	key := g.convert.ParseAccess(team, jsonstream.NewElement(l.Text())).Key
	if g.byKey[team+string(key[:])] == nil { // else it could be the other row moved on
		g.set(l)
	}
	// Of rows that are the same and have no time of their own, only those count that stand on one page.
	if c := g.slack.org.OddChange(team, at.Unix()); g.kinds[g.convert.ParseIntegration(team, jsonstream.NewElement(c.JSON)).Key] == 0 {
		g.add(c)
	}
}

// change shows a new row of the integration logs n times.
func (g *ledger) change(team string, at time.Time, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.slack.org.Change(team, at.Unix())
	for range n {
		g.add(c)
	}
	g.recent = append(g.recent, c)
}

// twin shows one of the last rows of the integration logs again.
func (g *ledger) twin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add(g.recent[len(g.recent)-1-g.random.IntN(min(20, len(g.recent)))])
}

func (g *ledger) add(c slacktest.Change) {
	i := g.convert.ParseIntegration(c.Team, jsonstream.NewElement(c.JSON))
	g.kinds[i.Key]++
	g.note(g.convert.IntegrationUID(g.kinds[i.Key]), state{kind: "integration", team: c.Team, due: !i.DateOK || i.Date >= g.start}, c.JSON)
	g.slack.AddChange(c)
}

func (g *ledger) note(uid string, s state, text []byte) {
	s.text = strings.ToValidUTF8(string(text), "\uFFFD")
	s.body = sha256.Sum256([]byte(s.text))
	g.states[uid] = s
}

// past is what there was before the collector's first start: rows of the access logs, of which some were first seen
// before the start and some not active since, and rows of the integration logs, of which each few are twins.
func (g *ledger) past(team string, logins, changes int) {
	now := time.Now().Add(-time.Minute).Unix()
	span := now - g.start
	for range logins {
		first := g.start - span/2 + g.random.Int64N(3*span/2)
		last := first + g.random.Int64N(now-first+1)
		if g.random.IntN(3) == 0 {
			last = first + g.random.Int64N(min(600, now-first+1))
		}
		g.login(team, time.Unix(first, 0), time.Unix(last, 0))
	}
	for i := 0; i < changes; {
		n := min(1+g.random.IntN(4), changes-i)
		// A quarter of them in the second of the last ones.
		if i == 0 || g.random.IntN(4) > 0 {
			now = g.start + int64(i)*span/int64(changes)
		}
		g.change(team, time.Unix(now, 0), n)
		i += n
	}
}

// moment lets something happen now, in one of the workspaces.
func (g *ledger) moment(kinds []string, teams ...string) {
	now := time.Now()
	g.mu.Lock()
	team, roll, kind := teams[g.random.IntN(len(teams))], g.random.IntN(12), kinds[g.random.IntN(len(kinds))]
	g.mu.Unlock()
	switch {
	case kind == "access" && roll < 3:
		g.login(team, now, now)
	case kind == "access":
		g.again(now)
	case roll < 5:
		g.change(team, now, 1+roll/2)
	case roll < 8:
		g.change(team, now.Add(-time.Duration(roll*roll)*time.Minute), 2) // Slack shows it late
	default:
		g.twin()
	}
}

// live lets much happen for a while, also between two pages.
func (g *ledger) live(c *collector, kinds []string, how time.Duration, teams ...string) {
	g.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault {
		g.moment(kinds, teams...)
		return slacktest.FaultNone
	}, listPaths...))
	defer g.slack.SetFault(nil)
	for over := time.Now().Add(how); time.Now().Before(over); time.Sleep(10 * time.Millisecond) {
		select {
		case <-c.ended:
			c.t.Fatal("the collector ended by itself")
		default:
			g.moment(kinds, teams...)
		}
	}
}

// due are the uids that have to arrive: of each row of the access logs the last one.
func (g *ledger) due(teams ...string) (uids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid, s := range g.states {
		if s.due && (s.row == nil || s.row.uids[len(s.row.uids)-1] == uid) && (len(teams) == 0 || slices.Contains(teams, s.team)) {
			uids = append(uids, uid)
		}
	}
	return uids
}

// waitForAll waits until all that is due has arrived, and looks whether something else has.
func (g *ledger) waitForAll(c *collector, to *backend, teams ...string) {
	c.t.Helper()
	missing := g.due(teams...)
	total := len(missing)
	defer func() {
		if len(missing) > 0 {
			g.mu.Lock()
			defer g.mu.Unlock()
			c.t.Logf("%d of %d rows are missing, such as: %s", len(missing), total, g.states[missing[0]].text)
		}
	}()
	c.waitFor(fmt.Sprintf("%d rows arrive", total), func() bool {
		to.mu.Lock()
		defer to.mu.Unlock()
		missing = slices.DeleteFunc(missing, func(uid string) bool { return to.rows[uid] != nil })
		return len(missing) == 0
	})
	g.requireTrue(c.t, to)
}

// requireTrue: nothing arrived but states that Slack has shown, with its own text, as of its workspace.
func (g *ledger) requireTrue(t *testing.T, to *backend) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	wrong := 0
	for uid, a := range to.rows {
		s, ok := g.states[uid]
		if ok && s.due && a.body == s.body && a.team == s.team && a.kind == s.kind {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Logf("wrong (known: %t, due: %t): %s %s of %s: %s", ok, s.due, a.event, uid, a.team, s.text)
		}
	}
	require.Zero(t, wrong, "records that should not be")
	require.Empty(t, to.mixed)
}

// requireOnce: no state came twice, though Slack was asked again since, and what is said of each row's way is right.
func (g *ledger) requireOnce(c *collector, to *backend, paths ...string) {
	c.t.Helper()
	g.slack.waitForCallsTo(c, 6, paths...)
	g.requireTrue(c.t, to)
	require.Zero(c.t, to.rowRepeats("access"), "rows of the access logs that came again")
	require.Zero(c.t, to.rowRepeats("integration"), "rows of the integration logs that came again")
	g.requireSteps(c.t, to)
	g.slack.requireNoViolations(c.t)
}

// requireSteps: the states of each row came in their order, as new if the row is and else as seen again, with the
// difference to what came before.
func (g *ledger) requireSteps(t *testing.T, to *backend) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	wrong, steps, skipped := 0, 0, 0
	for _, row := range g.rows {
		before, place := -1, -1
		for i, uid := range row.uids {
			a := to.rows[uid]
			if a == nil {
				skipped++
				continue
			}
			want := rowArrival{event: "slack.access.seen_again"}
			switch {
			case before >= 0:
				want.delta, want.deltaOK = row.counts[i]-row.counts[before], true
			case row.isNew:
				want.event = "slack.access.new"
				if row.counts[i] != unknown {
					want.delta, want.deltaOK = row.counts[i], true
				}
			}
			ok := a.event == want.event && a.delta == want.delta && a.deltaOK == want.deltaOK && a.place > place
			if !ok {
				if wrong++; wrong <= 5 {
					t.Logf("state %d after %d is %s %+d (%t), place %d after %d: %s", i, before, a.event, a.delta, a.deltaOK, a.place, place, g.states[uid].text)
				}
			}
			before, place = i, a.place
			steps++
		}
	}
	t.Logf("%d rows of the access logs in %d states, %d of which were over before they were read", len(g.rows), steps, skipped)
	require.Zero(t, wrong, "states that came in a wrong way")
}

// arrivedRows is how many different rows of a log type arrived, from some workspaces or from all.
func (b *backend) arrivedRows(kind string, teams ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.rows {
		if a.kind == kind && (len(teams) == 0 || slices.Contains(teams, a.team)) {
			n++
		}
	}
	return n
}

// allRows is arrivedRows of both log types.
func (b *backend) allRows(teams ...string) int {
	return b.arrivedRows("access", teams...) + b.arrivedRows("integration", teams...)
}

// rowRepeats is how many rows of a log type came although they had come before.
func (b *backend) rowRepeats(kind string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.rows {
		if a.kind == kind {
			n += a.times - 1
		}
	}
	return n
}

// dice are thrown by a test while others use the ledger.
func (g *ledger) dice(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.random.IntN(n)
}

// requireOnlyLastBatches: what came again was in the last batch of a run of the collector.
func (b *backend) requireOnlyLastBatches(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"access", "integration"} {
		t.Logf("%d rows of the %s logs came again", b.rowRepeats(kind), kind)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := 0
	for uid, a := range b.rows {
		for _, before := range a.came[:len(a.came)-1] {
			if before.batch == b.batches[before.runOf] {
				continue
			}
			if wrong++; wrong <= 5 {
				t.Logf("%s came in batch %d of %d of run %s, and again: %v", uid, before.batch, b.batches[before.runOf], before.run, a.came)
			}
		}
	}
	assert.Zero(t, wrong, "rows that came again though a batch after theirs was handed over")
}

// hoursAgo is a start that a row can be just before or after: a whole second.
func hoursAgo(n int) time.Time {
	return time.Now().Add(-time.Duration(n) * time.Hour).Truncate(time.Second)
}

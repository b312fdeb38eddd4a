// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// listDay is a day of access or integration logs: rows that age, move and
// appear again under the reading, in any order of the list, twins, several
// workspaces.
type listDay struct {
	*simulation

	w       *listWorld
	start   time.Time
	toggled bool
	order   slacktest.AccessOrder
	convert *record.Converter
	// states are the uids of all states that rows had, by the row.
	states map[string]string
	rows   []slacktest.Login
	n      int
	teams  []slacktest.Team
	choice [][]string // what team_ids may be
	// twins counts equal rows. expected is what has to be below a watermark
	// later on, by workspace: of the last poll, and of the last whole reading.
	twins         map[[16]byte]int
	polled, swept map[string][]expected
}

// expected is a row that Slack shows since that second.
type expected struct {
	since int64
	uid   string
	// row and state are of access logs: what has moved on since is not expected
	// any more.
	row   int
	state [2]int64
}

func newListDay(t *testing.T, s *simulation) *listDay {
	t.Helper()
	r := s.r
	opt := slacktest.Options{
		AccessOrder:        choose(r, slacktest.ByLast, slacktest.ByFirst, slacktest.Unordered),
		AccessOffsetCursor: r.IntN(2) == 0,
		EmptyPages:         choose(r, 0, 0, 3, 7),
		CursorAge:          choose(r, 0, 0, 5*time.Second, time.Minute),
		StaleEvery:         choose(r, 0, 0, 2, 3, 10),
		WebLimitPerMinute:  choose(r, 0, 0, 20),
		TeamsPerPage:       choose(r, 0, 1),
		AccessPagesOnly:    r.IntN(5) == 0,
		TotalCap:           choose(r, 0, 0, 0, 3, 40),
		CallLog:            1,
	}
	if opt.CursorAge == 5*time.Second {
		opt.TeamsPerPage = 0 // calls are further apart than that, so that the list could not be read
	}
	sweeps := choose(r, 0, 30*time.Minute, time.Hour)
	if sweeps == 0 {
		opt.AccessOrder = slacktest.ByLast // without sweeps, only such a list shows what moved
	}
	w := newListWorld(t, s.kind, opt)
	s.world = w.world
	w.skew = choose(r, 0, 0, -20*time.Minute, 20*time.Minute, within(r, time.Hour))
	w.cfg.PageSize = choose(r, 3, 10, 20, 100)
	w.cfg.RequestsPerMinute = choose(r, 15.0, 60, 300)
	if w.cfg.PageSize < 20 {
		// More of so small pages only take the simulation's time.
		w.cfg.RequestsPerMinute = min(w.cfg.RequestsPerMinute, 60)
	}
	w.cfg.PollInterval = choose(r, 30*time.Second, time.Minute, 3*time.Minute)
	w.cfg.SweepInterval = sweeps
	w.cfg.SweepWindow = choose(r, 5*time.Hour, 24*time.Hour)
	w.cfg.Overlap = choose(r, 4*time.Hour, 24*time.Hour)
	w.cfg.InitialLookback = choose(r, 0, 10*time.Minute, 5*time.Hour)
	d := &listDay{
		simulation: s, w: w, order: opt.AccessOrder,
		toggled: opt.AccessOrder == slacktest.ByLast && r.IntN(4) == 0,
		convert: record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore}),
		states:  map[string]string{}, twins: map[[16]byte]int{},
		polled: map[string][]expected{}, swept: map[string][]expected{},
		teams: testTeams[:1], choice: [][]string{nil},
	}
	s.identity = teamToken(testTeams[0])
	switch r.IntN(3) {
	case 0:
		d.teams = testTeams
		d.choice = [][]string{{"*"}, {"*"}, {"T0PIER", "T0DOCK"}, {"T0QUAY"}}
		s.identity = orgToken(testTeams...)
	case 1:
		d.teams = testTeams[:2]
		d.choice = [][]string{{"T0PIER", "T0QUAY"}, {"T0PIER", "T0QUAY"}, {"T0QUAY", "T0PIER"}, {"T0PIER"}}
		s.identity = orgToken(testTeams...)
	}
	w.cfg.TeamIDs = d.choice[0]
	w.slack.SetToken(testToken, s.identity)
	d.start = noon.Add(-w.cfg.InitialLookback)
	d.morning()
	d.today()
	if w.cfg.SweepInterval > 0 && !d.toggled && s.outage == 0 && r.IntN(4) == 0 {
		// Some rows can't be read for a while. After an outage longer than the sweep
		// window, no sweep would ask for them again.
		w.at(noon.Add(within(r, s.evening.Sub(noon))), func() {
			if len(d.rows) > 0 && s.on {
				w.slack.PoisonText(d.rows[r.IntN(len(d.rows))].UserID, choose(r, slacktest.FaultTruncated, slacktest.FaultHTML))
			}
		})
	}
	return d
}

func (d *listDay) open(set Settings) (*Poller, error) {
	if d.kind == "integration" {
		return NewIntegration(context.Background(), set, d.w.cfg)
	}
	return NewAccess(context.Background(), set, d.w.cfg)
}

func (d *listDay) began(p *Poller)       { d.w.lists = p.logType.(*lists) }
func (*listDay) anchored(p *Poller) bool { return p.logType.(*lists).state.Anchored }
func (d *listDay) settings() any         { return d.w.cfg }
func (d *listDay) perMinute() float64    { return d.w.cfg.RequestsPerMinute }

func (d *listDay) change() {
	r, cfg := d.r, &d.w.cfg
	cfg.PageSize = choose(r, 5, 100)
	cfg.Overlap = max(cfg.Overlap, choose(r, time.Hour, 30*time.Hour))
	cfg.SweepWindow = max(cfg.SweepWindow, choose(r, 4*time.Hour, 30*time.Hour))
	cfg.TeamIDs = choose(r, d.choice...)
	if d.toggled {
		cfg.SweepInterval = choose(r, 0, 30*time.Minute)
	}
}

func (d *listDay) settle() {
	cfg := &d.w.cfg
	// Nothing new comes in the night, and small pages only take time.
	cfg.PollInterval, cfg.PageSize = 15*time.Minute, max(cfg.PageSize, 50)
	cfg.TeamIDs = d.choice[0]
	for _, team := range d.teams {
		d.slack.Refuse(team.ID, "")
	}
}

// saved checks what a process has just written: what Slack showed before the
// watermark of a workspace was delivered.
func (d *listDay) saved(p *Poller) {
	l := p.logType.(*lists)
	w := l.at
	if w == nil {
		return
	}
	gap := w.pollGap || w.sweepGap
	read := w.state.Read
	if d.kind == "access" && d.order != slacktest.ByLast {
		// As long as no answer has shown that the list is not by date_last, polls
		// end where such a list would: only sweeps see all.
		read = w.state.Swept
	}
	d.polled[w.id] = d.passed(d.polled[w.id], w, "read", read, gap)
	d.swept[w.id] = d.passed(d.swept[w.id], w, "swept", w.state.Swept, gap)
}

// passed takes off what lies before a watermark.
func (d *listDay) passed(rows []expected, w *workspace, what string, mark int64, gap bool) []expected {
	for len(rows) > 0 && rows[0].since < mark {
		e := rows[0]
		rows = rows[1:]
		if d.kind == "access" && stateOf(d.rows[e.row]) != e.state {
			continue // it has moved on
		}
		if !gap && !d.has(e.uid) {
			d.fail("%s: %s up to %d is ahead of %s, shown since %d", w.id, what, mark, e.uid, e.since)
		}
	}
	return rows
}

func stateOf(l slacktest.Login) [2]int64 { return [2]int64{l.Last, l.Count} }

func (d *listDay) quiet() {
	require.False(d.t, d.run(3*d.w.cfg.SweepInterval+3*time.Hour))
}

func (d *listDay) judge() {
	t, w := d.t, d.w
	// What has to be there: each row's last state, and no other state than those that were.
	missing, unwanted := 0, 0
	miss := func(what, uid string) {
		if !d.has(uid) {
			if missing++; missing < 5 {
				t.Errorf("missing: %s", what)
			}
		}
	}
	if d.kind == "access" {
		for _, l := range d.rows {
			if l.Last >= d.start.Unix()+1 {
				miss(fmt.Sprintf("%+v", l), d.uid(l))
			}
		}
	} else {
		for _, team := range d.teams {
			changes := w.slack.Changes(team.ID)
			for i, uid := range changeUIDs(changes) {
				if changes[i].Date >= d.start.Unix()+1 {
					miss(string(changes[i].JSON)+" "+team.ID, uid)
				}
			}
		}
	}
	first := map[string]int{}
	for uid := range w.delivered {
		row, ok := d.states[uid]
		if !ok {
			unwanted++
		}
		if strings.HasPrefix(w.said[uid], "new") {
			first[row]++
		}
	}
	assert.Zero(t, missing)
	assert.Zero(t, unwanted, "made up, or from before the start")
	// What a crash repeats may have moved on since.
	again := 0
	for _, n := range first {
		again += n - 1
	}
	assert.LessOrEqual(t, again, d.mayRepeat, "rows that are new more than once")
	for _, ws := range w.lists.ring {
		assert.True(t, ws.state.valid())
		f := ws.figures()
		assert.True(t, f.Polled)
		assert.Less(t, f.PollStaleness, 2*w.cfg.PollInterval.Seconds()+300)
		assert.NoError(t, w.lists.trouble())
		d.fits(ws)
	}
	if limit := len(w.lists.ring)*64<<10 + 24*len(d.states); d.diskBytes > limit {
		t.Errorf("the state has %d bytes", d.diskBytes)
	}
}

// fits checks the size of the state (promise 5): rows are held for a window.
func (d *listDay) fits(ws *workspace) {
	cfg := d.w.cfg
	most, since := 0, d.now.Add(-cfg.SweepWindow-2*cfg.SweepInterval-time.Hour)
	if d.kind == "access" {
		for _, l := range d.rows {
			if l.Team == ws.id && l.Last >= since.Unix() {
				most++
			}
		}
	} else {
		since = d.now.Add(-cfg.Overlap - time.Hour)
		keys := map[[16]byte]bool{}
		for _, c := range d.slack.Changes(ws.id) {
			if c.Date >= since.Unix() {
				keys[d.convert.ParseIntegration(c.Team, jsonstream.NewElement(c.JSON)).Key] = true
			}
		}
		most = len(keys)
	}
	if held := ws.rows.Len(); held > most {
		d.t.Errorf("%s: %d rows are held of %d", ws.id, held, most)
	}
}

func (d *listDay) team() string { return d.teams[d.r.IntN(len(d.teams))].ID }

// morning is what there was before the first start.
func (d *listDay) morning() {
	for range choose(d.r, 5, 50, 150) {
		at := d.start.Add(within(d.r, 10*time.Hour) - 5*time.Hour)
		if at.After(noon) {
			at = noon.Add(-within(d.r, time.Hour))
		}
		d.add(at)
	}
}

// today lays out what happens until the evening.
func (d *listDay) today() {
	day := d.evening.Sub(noon)
	for range choose(d.r, 20, 100, 400) {
		d.at(noon.Add(within(d.r, day)), func() {
			if len(d.rows) > 0 && d.r.IntN(3) > 0 {
				d.again()
				return
			}
			d.add(d.now)
		})
	}
	if d.r.IntN(3) == 0 && len(d.teams) > 1 {
		team := d.team()
		down := noon.Add(within(d.r, day))
		d.at(down, func() {
			if d.on {
				d.slack.Refuse(team, choose(d.r, "team_access_not_granted", "invalid_auth", "fatal_error"))
			}
		})
		d.at(down.Add(within(d.r, 2*time.Hour)), func() { d.slack.Refuse(team, "") })
	}
}

// add makes one more row.
func (d *listDay) add(at time.Time) {
	d.n++
	if d.kind == "integration" {
		late := choose(d.r, 0, 0, 0, within(d.r, 2*time.Hour))
		row := change(d.team(), fmt.Sprintf("A%d", d.r.IntN(d.n)), at.Add(-late))
		for range choose(d.r, 1, 1, 1, 2, 3, 8) {
			d.slack.AddChange(row)
			key := d.convert.ParseIntegration(row.Team, jsonstream.NewElement(row.JSON)).Key
			d.twins[key]++
			uid := d.convert.IntegrationUID(d.twins[key])
			d.states[uid] = uid
			if row.Date <= d.start.Unix() {
				continue
			}
			e := expected{since: d.now.Unix(), uid: uid}
			d.swept[row.Team] = append(d.swept[row.Team], e)
			if late < time.Second {
				d.polled[row.Team] = append(d.polled[row.Team], e)
			}
		}
		return
	}
	l := login(d.team(), fmt.Sprintf("W%d", d.n), at.Add(-choose(d.r, 0, 0, within(d.r, time.Hour))), at, int64(1+d.r.IntN(9)))
	d.rows = append(d.rows, l)
	d.set(len(d.rows)-1, l)
}

// again lets a row be active again.
func (d *listDay) again() {
	i := d.r.IntN(len(d.rows))
	l := d.rows[i]
	l.Last, l.Count = max(l.Last, d.now.Unix()), l.Count+int64(d.r.IntN(5))
	d.rows[i] = l
	d.set(i, l)
}

func (d *listDay) set(i int, l slacktest.Login) {
	uid := d.uid(l)
	d.states[uid] = l.UserID
	d.slack.SetLogin(l)
	if l.Last > d.start.Unix() {
		d.polled[l.Team] = append(d.polled[l.Team], expected{since: d.now.Unix(), uid: uid, row: i, state: stateOf(l)})
	}
}

// uid is loginUID, but quicker.
func (d *listDay) uid(l slacktest.Login) string {
	return d.convert.ParseAccess(l.Team, jsonstream.NewElement(l.Text())).UID
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// TestListSimulation is TestSimulation for access and integration logs: rows
// that age, move and appear again under the reading, in any order of the list,
// twins, several workspaces, and all that goes wrong on a bad day.
func TestListSimulation(t *testing.T) {
	seeds := uint64(6) // a third of SEEDS, if set
	if s, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		seeds = max(1, s/3) // their days are long
	}
	first := uint64(0)
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		first, seeds = s, 1
	}
	for _, kind := range []string{"access", "integration"} {
		for seed := first; seed < first+seeds; seed++ {
			t.Run(fmt.Sprintf("%s_seed_%d", kind, seed), func(t *testing.T) {
				t.Parallel()
				simulateList(t, kind, seed)
			})
		}
	}
}

// history is what happens in the workspaces on one day.
type history struct {
	r *rand.Rand
	w *listWorld
	// states are the uids of all states that rows had, by the row.
	states map[string]string
	rows   []slacktest.Login
	n      int
	teams  []slacktest.Team
}

func simulateList(t *testing.T, kind string, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
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
	}
	if opt.CursorAge == 5*time.Second {
		opt.TeamsPerPage = 0 // calls are further apart than that, so that the list could not be read
	}
	w := newListWorld(t, kind, opt)
	w.skew = choose(r, 0, 0, -20*time.Minute, 20*time.Minute, within(r, time.Hour))
	w.cfg.PageSize = choose(r, 3, 10, 20, 100)
	w.cfg.RequestsPerMinute = choose(r, 15.0, 60, 300)
	w.cfg.PollInterval = choose(r, 30*time.Second, time.Minute, 3*time.Minute)
	w.cfg.SweepInterval = choose(r, 0, 30*time.Minute, time.Hour)
	w.cfg.SweepWindow = choose(r, 5*time.Hour, 24*time.Hour)
	w.cfg.Overlap = choose(r, 4*time.Hour, 24*time.Hour)
	w.cfg.InitialLookback = choose(r, 0, 10*time.Minute, 5*time.Hour)
	if w.cfg.SweepInterval == 0 {
		// Without sweeps, only a list by date_last shows what moved.
		opt.AccessOrder = slacktest.ByLast
		w2 := newListWorld(t, kind, opt)
		w2.skew, w2.cfg = w.skew, w.cfg
		w = w2
	}
	h := &history{r: r, w: w, states: map[string]string{}, teams: testTeams[:1]}
	switch r.IntN(3) {
	case 0:
		h.teams = testTeams
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs = []string{"*"}
	case 1:
		h.teams = testTeams[:2]
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs = []string{"T0PIER", "T0QUAY"}
	}

	const day = 4 * time.Hour
	evening := noon.Add(day)
	start := noon.Add(-w.cfg.InitialLookback)
	h.morning(start)
	h.day(evening)

	chaos := newChaos(r, w.world, evening)
	if w.cfg.SweepInterval > 0 && r.IntN(4) == 0 {
		// One row can't be read for a while.
		w.at(noon.Add(within(r, day)), func() {
			if len(h.rows) > 0 {
				w.slack.PoisonText(h.rows[r.IntN(len(h.rows))].UserID, choose(r, slacktest.FaultTruncated, slacktest.FaultHTML))
			}
		})
	}
	require.NoError(t, w.start())
	chaos.on = true
	for w.now.Before(evening) {
		before := len(w.slack.Calls())
		crashed := w.run(within(r, 2*time.Hour))
		chaos.ended(crashed)
		var calls []slacktest.CallRecord
		for _, c := range w.slack.Calls()[before:] {
			if c.Path != slacktest.PathAuthTest {
				calls = append(calls, c)
			}
		}
		assert.LessOrEqual(t, mostPerMinute(calls), int(w.cfg.RequestsPerMinute)+5)
		w.stop = nil
		w.pass(within(r, choose(r, time.Second, time.Minute, 90*time.Minute)))
		if r.IntN(4) == 0 {
			w.cfg.PageSize = choose(r, 5, 100)
			w.cfg.Overlap = max(w.cfg.Overlap, choose(r, time.Hour, 30*time.Hour))
			w.cfg.SweepWindow = max(w.cfg.SweepWindow, choose(r, 4*time.Hour, 30*time.Hour))
		}
		require.NoError(t, w.start())
	}
	chaos.stop()
	for _, team := range h.teams {
		w.slack.Refuse(team.ID, "")
	}
	require.False(t, w.run(3*w.cfg.SweepInterval+3*time.Hour))

	// What has to be there: each row's last state, and no other state than those that were.
	missing, unwanted, repeats := 0, 0, 0
	miss := func(what, uid string) {
		if w.delivered[uid] == 0 {
			if missing++; missing < 5 {
				t.Errorf("missing: %s", what)
			}
		}
	}
	if kind == "access" {
		for _, l := range h.rows {
			if l.Last >= start.Unix()+1 {
				miss(fmt.Sprintf("%+v", l), loginUID(l))
			}
		}
	} else {
		for _, team := range h.teams {
			changes := w.slack.Changes(team.ID)
			for i, uid := range changeUIDs(changes) {
				h.states[uid] = uid
				if changes[i].Date >= start.Unix()+1 {
					miss(string(changes[i].JSON)+" "+team.ID, uid)
				}
			}
		}
	}
	first := map[string]int{}
	for uid, n := range w.delivered {
		repeats += n - 1
		row, ok := h.states[uid]
		if !ok {
			unwanted++
		}
		if strings.HasPrefix(w.said[uid], "new") {
			first[row]++
		}
	}
	if chaos.saveErrors > 0 {
		// Each workspace has a document of its own; which of them a failing
		// storage has is not kept book of.
		chaos.mayRepeat += 50 * (chaos.crashes + chaos.restarts)
	}
	assert.Zero(t, missing)
	assert.Zero(t, unwanted, "made up, or from before the start")
	// What a crash repeats may have moved on since.
	again := 0
	for _, n := range first {
		again += n - 1
	}
	assert.LessOrEqual(t, again, chaos.mayRepeat, "rows that are new more than once")
	if !assert.LessOrEqual(t, repeats, chaos.mayRepeat, "repeats") || t.Failed() {
		t.Logf("%s opt %+v cfg %+v faults %v refusals %v crashes %d restarts %d skew %s", kind, opt, w.cfg, chaos.faults, chaos.refusals, chaos.crashes, chaos.restarts, w.skew)
	}
	if chaos.crashes == 0 && chaos.saveErrors == 0 {
		assert.Empty(t, w.slack.Violations())
	}
	for _, ws := range w.lists.ring {
		assert.True(t, ws.state.valid())
		f := ws.figures()
		assert.True(t, f.Polled)
		assert.Less(t, f.PollStaleness, 2*w.cfg.PollInterval.Seconds()+300)
		assert.NoError(t, w.lists.trouble())
	}
}

func (h *history) team() string { return h.teams[h.r.IntN(len(h.teams))].ID }

// morning is what there was before the first start.
func (h *history) morning(start time.Time) {
	n := choose(h.r, 5, 50, 150)
	for range n {
		at := start.Add(within(h.r, 10*time.Hour) - 5*time.Hour)
		if at.After(noon) {
			at = noon.Add(-within(h.r, time.Hour))
		}
		h.add(at)
	}
}

// day lays out what happens until the evening.
func (h *history) day(evening time.Time) {
	n := choose(h.r, 20, 100, 400)
	for range n {
		at := noon.Add(within(h.r, evening.Sub(noon)))
		h.w.at(at, func() {
			if len(h.rows) > 0 && h.r.IntN(3) > 0 {
				h.again()
				return
			}
			h.add(h.w.now)
		})
	}
	if h.r.IntN(3) == 0 && len(h.teams) > 1 {
		team := h.team()
		down := noon.Add(within(h.r, evening.Sub(noon)))
		h.w.at(down, func() { h.w.slack.Refuse(team, choose(h.r, "team_access_not_granted", "invalid_auth", "fatal_error")) })
		h.w.at(down.Add(within(h.r, 2*time.Hour)), func() { h.w.slack.Refuse(team, "") })
	}
}

// add makes one more row.
func (h *history) add(at time.Time) {
	h.n++
	if h.w.kind == "integration" {
		row := change(h.team(), fmt.Sprintf("A%d", h.r.IntN(h.n)), at.Add(-choose(h.r, 0, 0, 0, within(h.r, 2*time.Hour))))
		for range choose(h.r, 1, 1, 1, 2, 3, 8) {
			h.w.slack.AddChange(row)
		}
		return
	}
	l := login(h.team(), fmt.Sprintf("W%d", h.n), at.Add(-choose(h.r, 0, 0, within(h.r, time.Hour))), at, int64(1+h.r.IntN(9)))
	h.rows = append(h.rows, l)
	h.set(l)
}

// again lets a row be active again.
func (h *history) again() {
	i := h.r.IntN(len(h.rows))
	l := h.rows[i]
	l.Last, l.Count = max(l.Last, h.w.now.Unix()), l.Count+int64(h.r.IntN(5))
	h.rows[i] = l
	h.set(l)
}

func (h *history) set(l slacktest.Login) {
	h.states[loginUID(l)] = l.UserID
	h.w.slack.SetLogin(l)
}

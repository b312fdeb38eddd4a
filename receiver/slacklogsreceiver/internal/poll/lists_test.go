// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// listWorld is a world whose collector reads access or integration logs.
type listWorld struct {
	*world
	kind  string
	cfg   ListSettings
	lists *lists
	// said is what the records of the backend say, by uid: change and delta.
	said map[string]string
}

var testTeams = []slacktest.Team{{ID: "T0PIER", Name: "Pier"}, {ID: "T0QUAY", Name: "Quay"}, {ID: "T0DOCK", Name: "Dock"}}

func orgToken(teams ...slacktest.Team) slacktest.Identity {
	return slacktest.Identity{
		TeamID: "E0BRIGHT", Team: "Brightwater", EnterpriseID: "E0BRIGHT", URL: "https://brightwater.enterprise.slack.com/",
		UserID: "W0OWNER", User: "owner", Scopes: []string{"auditlogs:read", "admin"}, IsEnterpriseInstall: true, Teams: teams,
	}
}

func teamToken(team slacktest.Team) slacktest.Identity {
	return slacktest.Identity{
		TeamID: team.ID, Team: team.Name, EnterpriseID: "E0BRIGHT", URL: "https://" + strings.ToLower(team.Name) + ".slack.com/",
		UserID: "W0OWNER", User: "owner", Scopes: []string{"admin"},
	}
}

func newListWorld(tb testing.TB, kind string, opt slacktest.Options) *listWorld {
	w := &listWorld{world: newWorld(tb, opt), kind: kind, said: map[string]string{}}
	w.slack.SetToken(testToken, teamToken(testTeams[0]))
	w.cfg = ListSettings{
		PollInterval: time.Minute, InitialLookback: 24 * time.Hour, PageSize: 100, RequestsPerMinute: 60,
		Overlap: 24 * time.Hour, SweepInterval: time.Hour, SweepWindow: 7 * 24 * time.Hour, StaleAfter: 24 * time.Hour,
		Record: record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore},
	}
	w.onRecords = func(logs plog.Logs) {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					uid, _ := lr.Attributes().Get("log.record.uid")
					said := strings.TrimPrefix(lr.EventName(), "slack."+kind+".")
					if delta, ok := lr.Attributes().Get("slack.access.count_delta"); ok {
						said += fmt.Sprintf(" %+d", delta.Int())
					}
					w.said[uid.Str()] = said
				}
			}
		}
	}
	return w
}

func (w *listWorld) start() (err error) {
	create := NewAccess
	if w.kind == "integration" {
		create = NewIntegration
	}
	if w.poller, err = create(context.Background(), w.settings(), w.cfg); err != nil {
		return err
	}
	w.lists = w.poller.logType.(*lists)
	w.acting = w.poller
	return nil
}

// login is a row of one workspace, first seen at a time and active since.
func login(team, user string, first, last time.Time, count int64) slacktest.Login {
	return slacktest.Login{
		Team: team, UserID: user, Username: strings.ToLower(user), IP: "192.0.2.7", UserAgent: "test",
		First: first.Unix(), Last: last.Unix(), Count: count,
	}
}

// loginUID is the uid of a row as it stands now.
func loginUID(l slacktest.Login) string {
	text := l.JSON
	if text == nil {
		text = fmt.Appendf(nil, `{"user_id":%q,"username":%q,"date_first":%d,"date_last":%d,"count":%d,"ip":%q,"user_agent":%q}`,
			l.UserID, l.Username, l.First, l.Last, l.Count, l.IP, l.UserAgent)
	}
	return record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore}).ParseAccess(l.Team, jsonstream.NewElement(text)).UID
}

func change(team, what string, at time.Time) slacktest.Change {
	return slacktest.Change{Team: team, Date: at.Unix(), JSON: fmt.Appendf(nil,
		`{"user_id":"W0ALICE","user_name":"alice","date":"%d","change_type":"added","app_id":%q}`, at.Unix(), what)}
}

// changeUIDs are the uids that rows have to be delivered with, twins counted.
func changeUIDs(changes []slacktest.Change) (uids []string) {
	c := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore})
	seen := map[[16]byte]int{}
	for _, row := range changes {
		key := c.ParseIntegration(row.Team, jsonstream.NewElement(row.JSON)).Key
		seen[key]++
		uids = append(uids, c.IntegrationUID(seen[key]))
	}
	return uids
}

// requireDelivered checks that each of these was delivered exactly once, and
// nothing else.
func (w *listWorld) requireDelivered(uids ...string) {
	w.t.Helper()
	for _, uid := range uids {
		require.Equal(w.t, 1, w.delivered[uid], uid)
	}
	require.Len(w.t, w.delivered, len(uids))
}

// listCalls are the calls for rows so far.
func (w *listWorld) listCalls() (calls []slacktest.CallRecord) {
	for _, c := range w.slack.Calls() {
		if c.Path == slacktest.PathAccess || c.Path == slacktest.PathIntegration {
			calls = append(calls, c)
		}
	}
	return calls
}

var orders = map[string]slacktest.AccessOrder{"by last": slacktest.ByLast, "by first": slacktest.ByFirst, "unordered": slacktest.Unordered}

func TestAccessRowsMoveOn(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.PageSize = 10
			var rows []slacktest.Login
			for i := range 100 {
				first := noon.Add(-time.Duration(i*7919%3000) * time.Minute)
				last := first.Add(time.Duration(i*104729%int(noon.Sub(first)/time.Second+1)) * time.Second)
				rows = append(rows, login("T0PIER", fmt.Sprintf("W%03d", i), first, last, int64(1+i%5)))
			}
			w.slack.SetLogin(rows...)
			require.NoError(t, w.start())
			require.False(t, w.run(10*time.Minute))
			start := noon.Add(-24 * time.Hour).Unix()
			want := map[string]string{}
			for _, l := range rows {
				switch {
				case l.Last < start:
				case l.First >= start:
					want[loginUID(l)] = fmt.Sprintf("new %+d", l.Count)
				default:
					want[loginUID(l)] = "seen_again"
				}
			}
			require.NotEmpty(t, want)
			require.Equal(t, want, w.said)

			// Some are active again, one of them from long before the start.
			clear(w.said)
			clear(want)
			for _, i := range []int{3, 50, 97} {
				known := rows[i].Last >= start
				rows[i].Last, rows[i].Count = w.now.Unix(), rows[i].Count+4
				want[loginUID(rows[i])] = "seen_again"
				if known {
					want[loginUID(rows[i])] += " +4"
				}
			}
			w.slack.SetLogin(rows...)
			fresh := login("T0PIER", "WNEW", w.now, w.now, 2)
			w.slack.SetLogin(fresh)
			want[loginUID(fresh)] = "new +2"
			require.False(t, w.run(2*time.Hour))
			require.Equal(t, want, w.said)
			for uid, n := range w.delivered {
				require.Equal(t, 1, n, uid)
			}
			require.Empty(t, w.slack.Violations())
		})
	}
}

func TestIntegrationTwins(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 7, 100, 1000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "integration", slacktest.Options{})
			w.cfg.PageSize = size
			for i := range 40 {
				at := noon.Add(-time.Duration(40-i) * time.Minute)
				row := change("T0PIER", fmt.Sprintf("A%d", i), at)
				w.slack.AddChange(slices.Repeat([]slacktest.Change{row}, 1+i%4)...)
			}
			require.NoError(t, w.start())
			require.False(t, w.run(10*time.Minute))
			w.requireDelivered(changeUIDs(w.slack.Changes("T0PIER"))...)
			row := change("T0PIER", "A39", w.now)
			w.slack.AddChange(row, row)
			require.False(t, w.run(3*time.Minute))
			w.slack.AddChange(row) // shown late
			require.False(t, w.run(30*time.Minute))
			w.requireDelivered(changeUIDs(w.slack.Changes("T0PIER"))...)
		})
	}
}

func TestIntegrationManyAtFirst(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.PageSize = 1000
	for i := range 1400 {
		w.slack.AddChange(change("T0PIER", fmt.Sprintf("A%d", i/2), noon.Add(-time.Duration(1400-i/3)*time.Second)))
	}
	require.NoError(t, w.start())
	require.False(t, w.run(10*time.Minute))
	w.requireDelivered(changeUIDs(w.slack.Changes("T0PIER"))...)
	for i := range 30 {
		w.slack.AddChange(change("T0PIER", fmt.Sprintf("B%d", i/3), w.now))
		w.run(20 * time.Second)
	}
	require.False(t, w.run(10*time.Minute))
	w.requireDelivered(changeUIDs(w.slack.Changes("T0PIER"))...)
}

func TestWorkspaces(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"access", "integration"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{TeamsPerPage: 2})
			w.cfg.TeamIDs = []string{"*"}
			w.slack.SetToken(testToken, orgToken(testTeams...))
			w.slack.Refuse("T0QUAY", "team_access_not_granted")
			var want []string
			add := func(team string) {
				if kind == "access" {
					l := login(team, "WALICE", w.now, w.now, 1)
					w.slack.SetLogin(l)
					want = append(want, loginUID(l))
				} else {
					c := change(team, "A1", w.now)
					w.slack.AddChange(c)
					want = append(want, changeUIDs([]slacktest.Change{c})...)
				}
			}
			add("T0PIER")
			add("T0DOCK")
			require.NoError(t, w.start())
			require.False(t, w.run(5*time.Minute))
			w.requireDelivered(want...)
			require.NotEmpty(t, w.status)
			require.ErrorContains(t, w.status[len(w.status)-1], "T0QUAY")
			require.ErrorContains(t, w.status[len(w.status)-1], "team_access_not_granted")

			w.slack.Refuse("T0QUAY", "")
			add("T0QUAY")
			add("T0PIER")
			require.False(t, w.run(5*time.Minute))
			w.requireDelivered(want...)
			require.NoError(t, w.status[len(w.status)-1])
			require.Empty(t, w.slack.Violations())
		})
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/multierr"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

var kinds = []string{"access", "integration"}

// add makes a row in a workspace now, and returns its uid.
func (w *listWorld) add(team, name string) string {
	if w.kind == "access" {
		l := login(team, name, w.now, w.now, 1)
		w.slack.SetLogin(l)
		return loginUID(l)
	}
	c := change(team, name, w.now)
	w.slack.AddChange(c)
	return changeUIDs([]slacktest.Change{c})[0]
}

// lastStatus is the status that was reported last.
func (w *listWorld) lastStatus() error {
	if len(w.status) == 0 {
		return nil
	}
	return w.status[len(w.status)-1]
}

// Each way to say which workspaces are read: the records name the workspace as
// their resource, and the gauges have it as team_id.
func TestWorkspacesAreNamed(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, tt := range []struct {
			name  string
			ids   []string
			token slacktest.Identity
			want  []string
		}{
			{"the token's own", nil, teamToken(testTeams[1]), []string{"T0QUAY Quay"}},
			{"by id", []string{"T0DOCK", "T0PIER"}, orgToken(testTeams...), []string{"T0DOCK ", "T0PIER "}},
			{"all", []string{"*"}, orgToken(testTeams...), []string{"T0DOCK Dock", "T0PIER Pier", "T0QUAY Quay"}},
		} {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, kind, slacktest.Options{TeamsPerPage: 1})
				w.slack.SetToken(testToken, tt.token)
				w.cfg.TeamIDs = tt.ids
				got := map[string]bool{}
				w.onRecords = func(logs plog.Logs) {
					for _, rl := range logs.ResourceLogs().All() {
						a := rl.Resource().Attributes()
						id, _ := a.Get("slack.team.id")
						name, _ := a.Get("slack.team.name")
						got[id.Str()+" "+name.Str()] = true
					}
				}
				for _, team := range testTeams {
					w.add(team.ID, "SAME")
				}
				require.NoError(t, w.start())
				w.run(3 * time.Minute)
				require.Equal(t, tt.want, slices.Sorted(maps.Keys(got)))
				require.Len(t, w.delivered, len(tt.want), "the same row in two workspaces is two")

				var teams []string
				w.poller.Each(func(f Figures, option metric.MeasurementOption) {
					set := metric.NewObserveConfig([]metric.ObserveOption{option.(metric.ObserveOption)}).Attributes()
					team, _ := set.Value("team_id")
					logType, _ := set.Value("log_type")
					require.Equal(t, kind, logType.AsString())
					teams = append(teams, team.AsString())
					require.True(t, f.Polled)
					require.InDelta(t, 180, f.EventStaleness, 5)
					require.Less(t, f.PollStaleness, 61.0)
					require.Less(t, f.WatermarkLag, 63.0)
				})
				slices.Sort(teams)
				for i, want := range tt.want {
					require.Equal(t, strings.Fields(want)[0], teams[i])
				}
			})
		}
	}
}

// The list of workspaces is read again hourly. A workspace that is gone and
// comes back goes on where it was.
func TestWorkspacesComeAndGo(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{})
			w.cfg.TeamIDs = []string{"*"}
			w.slack.SetToken(testToken, orgToken(testTeams[:2]...))
			uids := []string{w.add("T0PIER", "A"), w.add("T0QUAY", "A")}
			require.NoError(t, w.start())
			w.run(5 * time.Minute)
			w.requireDelivered(uids...)

			w.slack.SetToken(testToken, orgToken(testTeams[0], testTeams[2]))
			uids = append(uids, w.add("T0DOCK", "A"))
			w.run(62 * time.Minute)
			w.requireDelivered(uids...)
			calls := len(w.listCalls())
			away := w.add("T0QUAY", "B")
			w.run(30 * time.Minute)
			w.requireDelivered(uids...)
			for _, c := range w.listCalls()[calls:] {
				require.NotEqual(t, "T0QUAY", c.Query.Get("team_id"))
			}
			require.NoError(t, w.lastStatus(), "to be gone is no fault")

			require.NoError(t, w.start(), "a restart meanwhile keeps its state")
			w.run(time.Minute)
			w.slack.SetToken(testToken, orgToken(testTeams...))
			w.run(62 * time.Minute)
			w.requireDelivered(append(uids, away)...)
			require.Empty(t, w.slack.Violations())
		})
	}
}

// A token of the organisation has no list of its own: the status says what to
// set.
func TestWorkspacesHaveToBeNamed(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		w.slack.SetToken(testToken, orgToken(testTeams...))
		require.NoError(t, w.start())
		w.run(3 * time.Minute)
		require.ErrorContains(t, w.lastStatus(), "team_ids")
	}
}

// The list of workspaces can't be read: those that are known are read on.
func TestWorkspacesAreReadWithoutTheirList(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, fault := range []slacktest.Fault{
			slacktest.FaultRateLimit, slacktest.FaultUnauthorized, slacktest.FaultHTML, slacktest.FaultReset, slacktest.FaultInternal,
			slacktest.FaultEntriesMissing, slacktest.FaultTruncated,
		} {
			t.Run(kind+" "+fault.String(), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, kind, slacktest.Options{RetryAfter: 10 * time.Minute})
				w.cfg.TeamIDs = []string{"*"}
				w.slack.SetToken(testToken, orgToken(testTeams...))
				require.NoError(t, w.start())
				w.run(5 * time.Minute)
				w.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault { return fault }, slacktest.PathTeams))
				w.run(2 * time.Hour)
				require.ErrorContains(t, w.lastStatus(), "auth.teams.list")
				uid := w.add("T0QUAY", "A")
				w.run(2 * time.Minute)
				require.Equal(t, 1, w.delivered[uid])
				w.slack.SetFault(nil)
				w.run(15 * time.Minute)
				require.NoError(t, w.lastStatus())
				require.Empty(t, w.slack.Violations())
			})
		}
	}
}

// State that can't be used fails the start with a sentence, whatever part of it
// is missing: a fresh start would lose or repeat in silence.
func TestWorkspacesStateThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs = []string{"T0PIER", "T0QUAY"}
		w.add("T0PIER", "A")
		w.add("T0QUAY", "A")
		require.NoError(t, w.start())
		w.run(3 * time.Minute)
		good := maps.Clone(w.disk)
		require.Contains(t, good, kind)
		require.Contains(t, good, kind+".T0PIER")
		rows := 0
		for key := range good {
			if strings.Contains(key, "begun") {
				continue
			}
			w.disk = maps.Clone(good)
			delete(w.disk, key)
			require.ErrorContains(t, w.start(), "restore the storage from a backup, or delete it", key)
			w.disk[key] = []byte("{}")
			require.ErrorContains(t, w.start(), "restore the storage from a backup, or delete it", key)
			if strings.Contains(key, ".rows.") {
				rows++
				continue
			}
			var doc map[string]any
			require.NoError(t, json.Unmarshal(good[key], &doc))
			doc["version"] = 99
			w.disk[key], _ = json.Marshal(doc)
			require.ErrorContains(t, w.start(), "newer receiver")
			doc["version"] = 1
			for _, part := range []string{"start", "teams", "read", "rows"} {
				if value, ok := doc[part]; ok {
					delete(doc, part)
					w.disk[key], _ = json.Marshal(doc)
					require.ErrorContains(t, w.start(), "lacks a part", part)
					doc[part] = "x"
					w.disk[key], _ = json.Marshal(doc)
					require.ErrorContains(t, w.start(), "wrong type", part)
					doc[part] = value
				}
			}
		}
		require.Equal(t, 2, rows)
		w.disk = good
		require.NoError(t, w.start())

		// A token of another organisation does not touch the state.
		w.slack.SetToken(testToken, slacktest.Identity{TeamID: "T0OTHER", EnterpriseID: "E0OTHER", Scopes: []string{"admin"}})
		calls := len(w.listCalls())
		require.NoError(t, w.start())
		w.run(10 * time.Minute)
		require.ErrorContains(t, w.lastStatus(), "E0OTHER")
		require.Len(t, w.listCalls(), calls)
	}
}

// The storage takes nothing: polling goes on from memory and says so.
func TestWorkspacesStorageFails(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs = []string{"T0PIER", "T0QUAY"}
		require.NoError(t, w.start())
		w.onSave = func(func()) error { return errFull }
		var uids []string
		for i := range 30 {
			uids = append(uids, w.add(testTeams[i%2].ID, fmt.Sprint("A", i)))
			w.run(5 * time.Minute)
		}
		w.requireDelivered(uids...)
		require.ErrorContains(t, w.lastStatus(), "check the storage's space and rights")
		w.onSave = nil
		w.run(5 * time.Minute)
		require.NoError(t, w.lastStatus())
		require.NoError(t, w.start())
		w.run(10 * time.Minute)
		w.requireDelivered(uids...)
	}
}

// Slack's Retry-After holds for all workspaces and outlives a restart.
func TestWorkspacesRetryAfterOutlivesARestart(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{RetryAfter: 20 * time.Minute})
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs = []string{"T0PIER", "T0QUAY"}
		limited := false
		w.slack.SetFault(func(c slacktest.Call) slacktest.Fault {
			if (c.Path == slacktest.PathAccess || c.Path == slacktest.PathIntegration) && !limited {
				limited = true
				return slacktest.FaultRateLimit
			}
			return slacktest.FaultNone
		})
		require.NoError(t, w.start())
		for range 5 {
			w.run(3 * time.Minute)
			require.NoError(t, w.start())
		}
		require.Len(t, w.listCalls(), 1)
		uid := w.add("T0PIER", "A")
		w.run(10 * time.Minute)
		require.Equal(t, 1, w.delivered[uid])
		require.Empty(t, w.slack.Violations())
	}
}

// A hundred workspaces share the budget of calls: it holds, each has its turn,
// and a large one does not keep the others waiting.
func TestWorkspacesShareTheBudget(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{})
			var teams []slacktest.Team
			for i := range 100 {
				teams = append(teams, slacktest.Team{ID: fmt.Sprintf("T%03d", i), Name: "n"})
			}
			w.slack.SetToken(testToken, orgToken(teams...))
			w.cfg.TeamIDs = []string{"*"}
			w.cfg.RequestsPerMinute, w.cfg.PageSize = 15, 20
			if kind == "access" {
				w.fillLogins("T000", 2000, 10*time.Second, noon)
			} else {
				w.fillChanges("T000", 2000, 10*time.Second, noon)
			}
			require.NoError(t, w.start())
			w.run(15 * time.Minute)
			asked := map[string]bool{}
			var all []slacktest.CallRecord
			for _, c := range w.listCalls() {
				asked[c.Query.Get("team_id")] = true
				all = append(all, c)
			}
			require.Len(t, asked, 100)
			require.LessOrEqual(t, mostPerMinute(all), 20)
			w.run(30 * time.Minute)
			uid := w.add("T077", "NEW")
			w.run(20 * time.Minute)
			require.Equal(t, 1, w.delivered[uid])
		})
	}
}

// A row that can't be read: the others are delivered, and it as soon as it can.
func TestWorkspacesPoison(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, fault := range []slacktest.Fault{slacktest.FaultHTML, slacktest.FaultTruncated, slacktest.FaultCorruptGzip} {
			t.Run(kind+" "+fault.String(), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, kind, slacktest.Options{})
				uids := w.fillRows(250, time.Minute, noon)
				w.slack.PoisonText(`"F77"`, fault)
				require.NoError(t, w.start())
				w.run(90 * time.Minute)
				if fault != slacktest.FaultTruncated {
					// Of an answer that ends early, the row may come before the end.
					require.Equal(t, 1, w.missing(uids))
					require.Equal(t, 1, w.logs.FilterMessageSnippet("is left out").Len())
					require.Len(t, w.gaps(), 1)
					require.Equal(t, gapUnreadable, w.gaps()[0].Reason)
					bad := noon.Add(-(250 - 77) * time.Minute).Unix()
					require.True(t, w.gaps()[0].Oldest <= bad && bad <= w.gaps()[0].Latest, "%+v", w.gaps())
				}
				require.LessOrEqual(t, w.missing(uids), 1)
				uid := w.add("T0PIER", "NEW")
				w.run(15 * time.Minute)
				require.Equal(t, 1, w.delivered[uid], "polls go on")
				w.slack.Unpoison()
				w.run(90 * time.Minute)
				w.requireDelivered(append(uids, uid)...)
				require.Empty(t, w.gaps())
			})
		}
	}
}

// While nothing of Slack can be read, nothing is left out.
func TestWorkspacesOutageIsNoGap(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs, w.cfg.PageSize, w.cfg.Overlap = []string{"T0PIER", "T0QUAY"}, 20, time.Hour
		var uids []string
		for _, team := range w.cfg.TeamIDs {
			if kind == "access" {
				uids = append(uids, w.fillLogins(team, 400, 3*time.Minute, noon)...)
			} else {
				uids = append(uids, w.fillChanges(team, 400, 3*time.Minute, noon)...)
			}
		}
		w.at(noon.Add(10*time.Second), func() { w.slack.Down(true) })
		w.at(noon.Add(3*time.Hour), func() { w.slack.Down(false) })
		require.NoError(t, w.start())
		w.run(4 * time.Hour)
		w.requireDelivered(uids...)
		require.Zero(t, w.logs.FilterMessageSnippet("is left out").Len())
		require.NoError(t, w.lastStatus())
	}
}

// The pipeline refuses: what it may take later is offered until it does, what
// it never will is dropped and its uids are logged.
func TestWorkspacesRefusedBatches(t *testing.T) {
	t.Parallel()
	broken := errors.New("backend is away")
	for _, kind := range kinds {
		for _, tt := range []struct {
			name    string
			limit   time.Duration
			err     error
			dropped bool
		}{
			{"for a while", 0, broken, false},
			{"beyond the limit of retries", 10 * time.Second, broken, false},
			{"one branch for good, one for a while", 0, multierr.Append(consumererror.NewPermanent(broken), broken), false},
			{"for good", 0, consumererror.NewPermanent(broken), true},
		} {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, kind, slacktest.Options{})
				w.retry.MaxElapsedTime = tt.limit
				uids := []string{w.add("T0PIER", "A"), w.add("T0PIER", "B")}
				until := noon.Add(20 * time.Minute)
				w.onConsume = func([]string) error {
					if w.now.Before(until) {
						return tt.err
					}
					return nil
				}
				require.NoError(t, w.start())
				w.run(15 * time.Minute)
				require.Empty(t, w.delivered)
				if !tt.dropped {
					require.ErrorContains(t, w.lastStatus(), "refused")
				}
				w.run(15 * time.Minute)
				require.NoError(t, w.lastStatus())
				if !tt.dropped {
					w.requireDelivered(uids...)
					return
				}
				require.Empty(t, w.delivered)
				lines := w.logs.FilterMessageSnippet("they are dropped").All()
				require.Len(t, lines, 1)
				require.ElementsMatch(t, uids, lines[0].ContextMap()["uids"])
			})
		}
	}
}

// No line of the log and no status holds the token or anything of a row.
func TestWorkspacesLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{StaleEvery: 3})
		w.cfg.TeamIDs, w.cfg.PageSize = []string{"*"}, 5
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.slack.SetFault(slacktest.EveryNth(3, slices.DeleteFunc(slacktest.Faults(), func(f slacktest.Fault) bool {
			return f == slacktest.FaultEndless || f == slacktest.FaultGzipBomb
		})...))
		w.slack.PoisonText("SECRET7", slacktest.FaultTruncated)
		n := 0
		w.onConsume = func([]string) error {
			if n++; n%4 == 0 {
				return consumererror.NewPermanent(errors.New("can't take SECRET1"))
			}
			return nil
		}
		for i := range 60 {
			w.add(testTeams[i%3].ID, fmt.Sprint("SECRET", i))
		}
		require.NoError(t, w.start())
		w.run(6 * time.Hour)
		require.NotEmpty(t, w.delivered)
		require.NotZero(t, w.logs.Len())
		for _, line := range w.logs.All() {
			text := fmt.Sprint(line.Message, line.ContextMap())
			require.NotContains(t, text, testToken)
			require.NotContains(t, text, "SECRET")
		}
		for _, err := range w.status {
			if err != nil {
				require.NotContains(t, err.Error(), testToken)
				require.NotContains(t, err.Error(), "SECRET")
			}
		}
	}
}

// The token's file now holds the token of another workspace of the same
// organisation: its rows are not the first one's.
func TestWorkspacesTokenOfAnother(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	w.slack.SetToken(testToken, teamToken(testTeams[1]))
	w.run(61 * time.Minute)
	l := login("T0QUAY", "WALICE", w.now, w.now, 1)
	w.slack.SetLogin(l)
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.delivered[loginUID(l)], "under the workspace that it belongs to")
}

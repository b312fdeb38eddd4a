// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// failingTeams are the sources whose gauge is 1, with why: "" is the audit
// logs'. It fails unless the status says the same.
func (w *world) failingTeams() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	w.poller.Each(func(f Figures, option metric.MeasurementOption) {
		set := metric.NewObserveConfig([]metric.ObserveOption{option.(metric.ObserveOption)}).Attributes()
		team, _ := set.Value("team_id")
		if f.Failing != "" {
			all[team.AsString()] = f.Failing
		}
	})
	inTrouble := len(w.status) > 0 && w.status[len(w.status)-1] != nil
	require.Equal(w.t, inTrouble, len(all) > 0, "status and gauge: %v and %v", w.status, all)
	return all
}

// Each kind of trouble has its word while it lasts, and the gauge takes it back
// when the status does.
func TestFailing(t *testing.T) {
	t.Parallel()
	audit := orgToken(testTeams...)
	var another *checkpoint.Store
	for _, tt := range []struct {
		name        string
		spoil, mend func(w *world)
		// restart is set for what only a start notices.
		restart bool
		want    string
	}{
		{
			name:  "a token that is refused",
			spoil: func(w *world) { w.slack.Revoke(testToken) },
			mend:  func(w *world) { w.slack.Restore(testToken) },
			want:  "invalid_auth",
		},
		{
			name:  "Slack is down",
			spoil: func(w *world) { w.slack.Down(true) },
			mend:  func(w *world) { w.slack.Down(false) },
			want:  "network",
		},
		{
			name: "Slack's limit is used up",
			spoil: func(w *world) {
				w.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault { return slacktest.FaultRateLimit }, slacktest.PathAudit))
			},
			mend: func(w *world) { w.slack.SetFault(nil) },
			want: "rate_limited",
		},
		{
			name:  "the pipeline",
			spoil: func(w *world) { w.onConsume = func([]string) error { return errors.New("backend is away") } },
			mend:  func(w *world) { w.onConsume = nil },
			want:  "consumer_refused",
		},
		{
			name: "the pipeline, with a limit of retries",
			spoil: func(w *world) {
				w.poller.out.retry.MaxElapsedTime = 10 * time.Second
				w.onConsume = func([]string) error { return errors.New("backend is away") }
			},
			mend: func(w *world) { w.onConsume = nil },
			want: "consumer_refused",
		},
		{
			name:  "the storage",
			spoil: func(w *world) { w.onSave = func(func()) error { return errors.New("no space left") } },
			mend:  func(w *world) { w.onSave = nil },
			want:  "storage",
		},
		{
			name: "another collector on the same state",
			spoil: func(w *world) {
				require.NoError(w.t, w.poller.set.Store.Claim(t.Context()))
				var err error
				another, err = openStore(w)
				require.NoError(w.t, err)
				require.NoError(w.t, another.Claim(t.Context()))
			},
			mend: func(w *world) { require.NoError(w.t, another.Abandon(t.Context())) },
			want: "storage_taken_over",
		},
		{
			name: "the clock",
			spoil: func(w *world) {
				n := 0
				w.onAnswer = func(header http.Header) {
					n++
					header.Set("Date", w.now.Add(time.Duration(n)*3*time.Hour).UTC().Format(http.TimeFormat))
				}
			},
			mend:    func(w *world) { w.onAnswer = nil },
			restart: true,
			want:    "no_time",
		},
		{
			name: "a token of another organisation",
			spoil: func(w *world) {
				w.slack.SetToken(testToken, slacktest.Identity{TeamID: "E0OTHER", EnterpriseID: "E0OTHER", Scopes: audit.Scopes, IsEnterpriseInstall: true})
			},
			mend:    func(w *world) { w.slack.SetToken(testToken, audit) },
			restart: true,
			want:    "other_organisation",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacktest.Options{})
			w.slack.SetToken(testToken, audit)
			require.NoError(t, w.start())
			w.run(5 * time.Minute)
			require.Empty(t, w.failingTeams(), "well from the start on")

			tt.spoil(w)
			w.slack.Add(entry("new", w.now.Unix()))
			if tt.restart {
				require.NoError(t, w.start())
			}
			w.run(15 * time.Minute)
			require.Equal(t, map[string]string{"": tt.want}, w.failingTeams())

			tt.mend(w)
			w.run(30 * time.Minute)
			require.Empty(t, w.failingTeams())
			require.Equal(t, 1, w.delivered["new"])
		})
	}
}

// Of several workspaces only those are failing that can't be read, each for its
// own reason, also while the status names but one reason.
func TestFailingWorkspaces(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{})
			w.cfg.TeamIDs = []string{EveryTeam}
			w.slack.SetToken(testToken, orgToken(testTeams...))
			require.NoError(t, w.start())
			w.run(5 * time.Minute)
			require.Empty(t, w.failingTeams())

			w.slack.Refuse("T0QUAY", "team_access_not_granted")
			w.run(5 * time.Minute)
			require.Equal(t, map[string]string{"T0QUAY": "team_access_not_granted"}, w.failingTeams())

			w.slack.Refuse("T0DOCK", "paid_only")
			w.run(5 * time.Minute)
			both := map[string]string{"T0QUAY": "team_access_not_granted", "T0DOCK": "paid_only"}
			require.Equal(t, both, w.failingTeams())

			// What all need goes before what some lack.
			w.onConsume = func([]string) error { return errors.New("backend is away") }
			w.add("T0PIER", "A")
			w.run(5 * time.Minute)
			all := map[string]string{"T0PIER": "consumer_refused", "T0QUAY": "consumer_refused", "T0DOCK": "consumer_refused"}
			require.Equal(t, all, w.failingTeams())
			w.onConsume = nil
			w.run(5 * time.Minute)
			require.Equal(t, both, w.failingTeams())

			w.slack.Refuse("T0QUAY", "")
			w.slack.Refuse("T0DOCK", "")
			w.run(15 * time.Minute)
			require.Empty(t, w.failingTeams())
		})
	}
}

// Outages that heal are one status for all workspaces; the gauges still tell
// which has one.
func TestFailingWorkspacesTakeTurns(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.cfg.TeamIDs = []string{EveryTeam}
	w.slack.SetToken(testToken, orgToken(testTeams...))
	down := []string{"T0QUAY"}
	w.onRequest = func(r *http.Request) *http.Response {
		if isList(r) && slices.Contains(down, r.URL.Query().Get("team_id")) {
			return w.says(`{"ok":false,"error":"fatal_error"}`)
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	require.Equal(t, map[string]string{"T0QUAY": "fatal_error"}, w.failingTeams())
	down = []string{"T0QUAY", "T0DOCK"}
	w.run(10 * time.Minute)
	require.Equal(t, map[string]string{"T0QUAY": "fatal_error", "T0DOCK": "fatal_error"}, w.failingTeams())
	down = []string{"T0DOCK"}
	w.run(10 * time.Minute)
	require.Equal(t, map[string]string{"T0DOCK": "fatal_error"}, w.failingTeams())
	down = nil
	w.run(10 * time.Minute)
	require.Empty(t, w.failingTeams())
}

// The app is on no workspace.
func TestFailingWithoutWorkspaces(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.TeamIDs = []string{EveryTeam}
	w.slack.SetToken(testToken, orgToken())
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	require.Equal(t, map[string]string{"": "workspace_missing"}, w.failingTeams())
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.run(5 * time.Minute)
	require.Empty(t, w.failingTeams())
}

func TestErrorType(t *testing.T) {
	t.Parallel()
	require.Empty(t, errorType(nil))
	require.Equal(t, "other", errorType(errors.New("who knows")))
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Slack's time is years ahead for some minutes, and so believed; what comes
// afterwards is not read past.
func TestListsBelieveATimeFarAhead(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{})
			require.NoError(t, w.start())
			w.run(10 * time.Minute)
			w.onAnswer = func(header http.Header) {
				header.Set("Date", w.now.AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
			}
			w.run(5 * time.Minute)
			w.onAnswer = nil
			var uids []string
			for i := range 20 {
				uids = append(uids, w.add("T0PIER", fmt.Sprint("A", i)))
				w.run(10 * time.Minute)
			}
			assert.Zero(t, w.missing(uids))
			assert.Less(t, w.lists.ring[0].figures().WatermarkLag, 120.0)
		})
	}
}

// auth.teams.list that shows nothing at all leaves the gauges as they are.
func TestNoWorkspacesKeepTheGauges(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.cfg.TeamIDs = []string{"*"}
	w.onRequest = func(r *http.Request) *http.Response {
		if r.URL.Path != slacktest.PathTeams {
			return nil
		}
		return w.says(`{"ok":true,"teams":[],"response_metadata":{"next_cursor":"A"}}`)
	}
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	n := 0
	w.poller.Each(func(f Figures, _ metric.MeasurementOption) { n++; assert.Greater(t, f.PollStaleness, 500.0) })
	assert.Equal(t, 1, n, "poll_staleness is there to alert on")
	assert.NotEmpty(t, w.status)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// While a log is silent calls fail now and then. It falls silent once, and
// speaks again once, also when that comes right after such a failure.
func TestStaleIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.cfg.StaleAfter = 2 * time.Hour
	w.fill("e", 60, noon.Add(-time.Hour), noon)
	w.start()
	w.run(150 * time.Minute)
	require.Equal(t, 1, w.count(eventStale))
	for range 5 {
		w.slack.Down(true)
		w.run(2 * time.Minute)
		w.slack.Down(false)
		w.run(5 * time.Minute)
	}
	assert.Equal(t, 1, w.count(eventStale))
	assert.Zero(t, w.count(eventRecovered))
	w.slack.Down(true)
	w.run(2 * time.Minute)
	w.slack.Add(entry("new", w.now.Unix()))
	w.slack.Down(false)
	w.run(5 * time.Minute)
	assert.Equal(t, 1, w.delivered["new"])
	assert.Equal(t, 1, w.count(eventRecovered), "it speaks again")
}

// A pipeline that held up a batch for long is no silence of Slack's.
func TestBlockedPipelineIsNotStale(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"blocks", "refuses"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			w.cfg.StaleAfter = 2 * time.Hour
			w.cfg.PageSize = 10
			w.fill("e", 2000, noon.Add(-time.Hour), noon.Add(10*time.Hour))
			w.start()
			w.run(10 * time.Minute)
			hold := w.now.Add(3 * time.Hour)
			w.onConsume = func(uids []string) error {
				switch {
				case w.uids[uids[0]] > 0 || !w.now.Before(hold):
				case how == "blocks":
					w.pass(hold.Sub(w.now))
				default:
					return errors.New("backend down")
				}
				return nil
			}
			w.run(4 * time.Hour)
			assert.Zero(t, w.count(eventStale))
			assert.Zero(t, w.logs.FilterMessageSnippet("Slack shows no new entries").Len())
		})
	}
}

// After an outage it is not known of a workspace that waits for its turn
// whether it is silent.
func TestWorkspacesAfterAnOutageAreNotStale(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.cfg.TeamIDs = []string{"*"}
	w.cfg.StaleAfter = 2 * time.Hour
	add := func() {
		for _, team := range testTeams {
			w.add(team.ID, "W"+w.now.Format("150405"))
		}
	}
	add()
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	// The machine slept.
	w.pass(150 * time.Minute)
	add()
	w.pass(30 * time.Minute)
	w.run(10 * time.Minute)
	assert.Zero(t, w.logs.FilterMessageSnippet("Slack shows no new entries").Len())
}

// One consumer of a fan-out took a heartbeat, another did not: what is offered
// again is the same record.
func TestHeartbeatThatIsOfferedAgainIsTheSame(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.retry.Enabled = false
	w.fill("e", 1000, noon.Add(-time.Hour), noon.Add(3*time.Hour))
	w.start()
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.count(eventHeartbeat))
	down := true
	w.onConsume = func([]string) error {
		if down {
			return errors.New("the other exporter is down")
		}
		return nil
	}
	w.run(15 * time.Minute)
	down = false
	w.run(30 * time.Minute)
	total, last := 0.0, 0.0
	seen := map[string]bool{}
	for _, beat := range w.said[eventHeartbeat] {
		if at := beat["time"].(string); !seen[at] {
			seen[at] = true
			total += beat["entries_delivered"].(float64)
			last = beat["entries_delivered_total"].(float64)
		}
	}
	assert.Equal(t, last, total)
}

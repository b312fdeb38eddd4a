// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// errNoWorkspace is why there is nothing to read.
var errNoWorkspace = errors.New("auth.teams.list names no workspace; add the app to the workspaces whose logs are wanted, or name them in team_ids")

// teamsReading is the reading of auth.teams.list.
type teamsReading struct {
	found    []slack.Team
	cursor   string
	cursors  []string
	circles  int
	readAt   time.Time
	retryAt  time.Time
	failures int
	err      error
}

// due is when auth.teams.list is to be asked next.
func (t *teamsReading) due() time.Time {
	if t.readAt.IsZero() || t.cursor != "" || t.failures > 0 {
		return t.retryAt
	}
	return t.readAt.Add(teamsAge)
}

// readTeams asks for a page of the list of workspaces. Its failures never stop
// the workspaces that are known.
func (l *lists) readTeams(ctx context.Context) error {
	t := &l.teams
	l.from = l.whole
	local := l.set.Clock.Now()
	teams, next, err := l.client.Teams(ctx, t.cursor)
	stuck := err == nil && next != "" && (slices.Contains(t.cursors, next) || len(t.cursors) >= maxTeamsPages)
	if stuck {
		err = slack.StuckCursor(slack.MethodTeams)
	}
	if err != nil {
		var failed *slack.Error
		if !errors.As(err, &failed) || ctx.Err() != nil {
			return err
		}
		pause := walkPause(t.failures)
		if failed.RetryAfter > 0 {
			pause = failed.RetryAfter
			l.set.Pauses.Note(slack.MethodTeams, local.Add(pause), local)
			l.state.TeamsNotBefore, l.changed = local.Add(pause).Unix()+1, true
			l.saveState(ctx)
		}
		l.doubt(failed, local)
		if stuck {
			// The list has no end: the polls go before it.
			t.found = append(t.found, teams...)
			l.settleFor(t.found)
			t.found, t.cursor, t.cursors = nil, "", nil
			t.circles++
			pause = min(time.Duration(t.circles)*refusedPause, teamsAge)
		}
		t.retryAt = local.Add(pause)
		t.failures++
		// Others use the limit too: a 429 now and then is no fault.
		if failed.Class != slack.Throttled || t.failures >= 3 {
			t.err = err
		}
		if !stuck && failed.Class == slack.StaleCursor && t.failures%2 == 0 {
			// The same cursor was refused twice.
			l.settleFor(t.found)
			t.found, t.cursor, t.cursors = nil, "", nil
		}
		return nil
	}
	t.found, t.cursor, t.cursors, t.failures = append(t.found, teams...), next, append(t.cursors, next), 0
	if next != "" {
		return nil
	}
	found := distinct(t.found)
	*t = teamsReading{readAt: local}
	if len(found) == 0 {
		t.retryAt, t.failures = local.Add(refusedPause), 1
		// Those that were read so far are kept: it may be Slack's mistake.
		t.err = errNoWorkspace
		return nil
	}
	l.setRing(l.identity, found...)
	l.saveState(ctx)
	return nil
}

// settleFor reads what the list of workspaces has shown so far, where that is
// better than nothing.
func (l *lists) settleFor(teams []slack.Team) {
	if len(l.ring) == 0 && len(teams) > 0 {
		l.setRing(l.identity, distinct(teams)...)
	}
}

func distinct(teams []slack.Team) (found []slack.Team) {
	for _, team := range teams {
		if !slices.ContainsFunc(found, func(f slack.Team) bool { return f.ID == team.ID }) {
			found = append(found, team)
		}
	}
	return found
}

func teamsOf(ids []string) []slack.Team {
	teams := make([]slack.Team, len(ids))
	for i, id := range ids {
		teams[i].ID = id
	}
	return teams
}

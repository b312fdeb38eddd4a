// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// teamList are the workspaces that auth.teams.list shows. It is asked once.
type teamList struct {
	asked, whole bool
	ids          []string
	err          error
}

// ask tells whether it did: the first time.
func (l *teamList) ask(ctx context.Context, a *asking) bool {
	if l.asked {
		return false
	}
	l.asked = true
	l.read(ctx, a)
	return true
}

func (l *teamList) read(ctx context.Context, a *asking) {
	cursor := ""
	for range teamPages { // empty pages may come first
		if a.asked[a.callsOf(slack.MethodTeams)] >= callsEach {
			return
		}
		a.asked[a.callsOf(slack.MethodTeams)]++
		teams, next, err := a.client.Teams(ctx, cursor)
		if err != nil {
			l.err = err
			return
		}
		for _, team := range teams {
			l.ids = append(l.ids, team.ID)
		}
		if next == "" {
			l.whole = true
			return
		}
		if a.oneEach && len(l.ids) > 0 {
			return
		}
		cursor = next
	}
}

// errNoWorkspace is for an app that was added to none.
var errNoWorkspace = errors.New("the app is on no workspace: let an Org Owner add it to the workspaces that are to be read")

// workspaces are those that a section is to read, held against those that the
// token reaches. Without team_ids it is the token's own.
func (a *asking) workspaces(ctx context.Context, s *section, list *teamList) ([]string, error) {
	if len(s.teams) == 0 {
		return []string{""}, nil
	}
	every := s.teams[0] == "*"
	line := a.line("workspaces", passed, "", "")
	line.Section = s.name
	if list.ask(ctx, a) {
		line = a.timed(line)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if list.err != nil {
		line.Result = s.shortcoming()
		a.refused(line, list.err)
		if every {
			return nil, list.err
		}
		return s.teams, nil
	}
	more := ""
	if !list.whole {
		more = " at least"
	}
	switch {
	case every && len(list.ids) == 0 && !list.whole:
		line.Result, line.Detail = skipped, fmt.Sprintf("not asked: check makes no more than %d calls of %s", callsEach, slack.MethodTeams)
		a.add(line)
		return nil, errNoSlack
	case every && len(list.ids) == 0:
		line.Result, line.Detail = s.shortcoming(), "the app is on no workspace"
		line.Advice = "Let an Org Owner add it to the workspaces that are to be read."
		a.add(line)
		return nil, errNoWorkspace
	case every:
		line.Detail = fmt.Sprintf("all that the app is on:%s %d", more, len(list.ids))
		a.add(line)
		return list.ids, nil
	}
	missing := 0
	for _, id := range s.teams {
		if slices.Contains(list.ids, id) || !list.whole {
			continue
		}
		missing++
		no := line
		no.TeamID, no.Result, no.TookMS = id, s.shortcoming(), 0
		no.Detail = fmt.Sprintf("is not among the %d workspaces that the app is on", len(list.ids))
		no.Advice = slack.Advice("team_access_not_granted")
		a.add(no)
	}
	if missing == 0 {
		line.Detail = fmt.Sprintf("%d of%s %d that the app is on", len(s.teams), more, len(list.ids))
		a.add(line)
	}
	return s.teams, nil
}

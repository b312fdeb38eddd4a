// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// teamsLimit is the most workspaces that auth.teams.list gives with one call.
const teamsLimit = 1000

// ListQuery is one call of a list of the Web API, newest rows first.
type ListQuery struct {
	TeamID string // the workspace; empty = the token's own
	Limit  int    // rows of a page
	Cursor string // where the page before ended (access logs in cursor mode)
	Page   int    // from 1: asks by number (count, page); 0: by cursor (limit, cursor)
	Before int64  // Unix seconds, inclusive; 0 = now (access logs by number only)
}

// AccessLogs asks team.accessLogs for one page.
func (c *Client) AccessLogs(ctx context.Context, q ListQuery) (*Page, error) {
	return c.webList(ctx, "team.accessLogs", "logins", q.values(), q.Cursor)
}

// IntegrationLogs asks team.integrationLogs for one page, always by number:
// this list knows neither cursor nor before.
func (c *Client) IntegrationLogs(ctx context.Context, q ListQuery) (*Page, error) {
	q.Page, q.Before, q.Cursor = max(q.Page, 1), 0, ""
	return c.webList(ctx, "team.integrationLogs", "logs", q.values(), "")
}

func (q ListQuery) values() url.Values {
	values := url.Values{}
	if q.TeamID != "" {
		values.Set("team_id", q.TeamID)
	}
	if q.Page == 0 {
		// limit is what makes Slack answer with a cursor.
		values.Set("limit", strconv.Itoa(q.Limit))
		if q.Cursor != "" {
			values.Set("cursor", q.Cursor)
		}
		return values
	}
	values.Set("count", strconv.Itoa(q.Limit))
	values.Set("page", strconv.Itoa(q.Page))
	if q.Before != 0 {
		values.Set("before", strconv.FormatInt(q.Before, 10))
	}
	return values
}

// webList asks a method of the Web API for a page of what stands under key.
func (c *Client) webList(ctx context.Context, method, key string, values url.Values, cursor string) (*Page, error) {
	ans, err := c.call(ctx, request{method: method, verb: http.MethodGet, address: c.set.Endpoint + "/" + method, query: values})
	if err != nil {
		return nil, refusedCursor(err, cursor)
	}
	return &Page{client: c, answer: ans, key: key}, nil
}

// Team is a workspace.
type Team struct{ ID, Name string }

// teamID is what an id has to look like: it becomes part of the names in the
// storage and an attribute of metrics.
var teamID = regexp.MustCompile(`^[A-Z0-9]{2,30}$`)

// Teams asks auth.teams.list for a page of the workspaces that the token's app
// is installed on. What has no id of a workspace is left out.
func (c *Client) Teams(ctx context.Context, cursor string) (teams []Team, next string, err error) {
	values := url.Values{"limit": {strconv.Itoa(teamsLimit)}}
	if cursor != "" {
		values.Set("cursor", cursor)
	}
	page, err := c.webList(ctx, MethodTeams, "teams", values, cursor)
	if err != nil {
		return nil, "", err
	}
	// A list that is surely Slack's: a workspace missing here is not read.
	page.needsOK = true
	next, err = page.Each(ctx, func(e jsonstream.Element) error {
		id, name := e.Root.Get("id"), e.Root.Get("name")
		if id.Kind() != jsonstream.String || !teamID.Match(id.Bytes()) {
			return nil
		}
		team := Team{ID: id.Str()}
		if name.Kind() == jsonstream.String {
			team.Name = name.Str()
		}
		teams = append(teams, team)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return teams, next, nil
}

// Paging is what a list says of its length.
type Paging struct {
	Page, Pages, Total int
	// Known is false when it does not say all of it in whole numbers.
	Known bool
}

// Paging is valid after Each.
func (p *Page) Paging() Paging { return p.paging }

// readPaging takes numbers also as text.
func readPaging(text []byte) Paging {
	var members struct {
		Page, Pages, Total json.RawMessage
	}
	if json.Unmarshal(text, &members) != nil {
		return Paging{}
	}
	var paging Paging
	for _, m := range []struct {
		to   *int
		text json.RawMessage
	}{{&paging.Page, members.Page}, {&paging.Pages, members.Pages}, {&paging.Total, members.Total}} {
		n, err := strconv.Atoi(strings.Trim(string(m.text), `"`))
		if err != nil || n < 0 {
			return Paging{}
		}
		*m.to = n
	}
	paging.Known = true
	return paging
}

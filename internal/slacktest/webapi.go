// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	adminScope     = "admin"
	maxAccessLimit = 999
	maxTeamsLimit  = 1000
	maxCount       = 1000
	maxPage        = 100
)

// Refuse has team.accessLogs and team.integrationLogs answer with this code for a workspace; "" allows them again.
func (s *Server) Refuse(team, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[team] = code
}

// refusal is how nearly all of the Web API says no: with status 200.
func refusal(code string, more ...member) *answer {
	a := errorAnswer(http.StatusOK, code, more...)
	return &a
}

// admit tells whose rows a call for access or integration logs gets, "" for those of all workspaces, or why it gets none.
func (s *Server) admit(call Call, who caller) (team string, no *answer) {
	switch {
	case !who.known():
		return "", refusal(who.no)
	case who.BotID != "":
		return "", refusal("not_allowed_token_type")
	case !slices.Contains(who.Scopes, adminScope):
		return "", refusal("missing_scope", member{"needed", adminScope}, member{"provided", who.scopes()})
	}
	team = call.Query.Get("team_id")
	switch {
	case !who.IsEnterpriseInstall:
		if team != "" && team != who.TeamID {
			return "", refusal("invalid_team_id")
		}
		team = who.TeamID
	case team == "" && !s.opt.OrgWide:
		return "", refusal("missing_argument")
	case team != "" && !slices.ContainsFunc(who.Teams, func(t Team) bool { return t.ID == team }):
		return "", refusal("invalid_team_id")
	}
	if code := s.refused[team]; code != "" {
		return "", refusal(code)
	}
	return team, nil
}

// teamsList shows the workspaces of a token. It needs no scope.
func (s *Server) teamsList(call Call, who caller, empty bool) answer {
	if !who.known() {
		return *refusal(who.no)
	}
	teams := who.Teams
	if len(teams) == 0 && !who.IsEnterpriseInstall {
		teams = []Team{{who.TeamID, who.Team}}
	}
	limit, ok := number(call.Query.Get("limit"), int64(s.opt.DefaultLimit))
	if !ok || limit < 1 || limit > maxTeamsLimit {
		return *refusal("invalid_limit")
	}
	if s.opt.TeamsPerPage > 0 {
		limit = min(limit, int64(s.opt.TeamsPerPage))
	}
	return offsetPage(s, call, teams, int(limit), empty, func(t Team) []byte {
		return appendJSON(nil, object{{"id", t.ID}, {"name", t.Name}})
	})
}

// offsetPage is a page of a list whose cursor counts rows.
func offsetPage[T any](s *Server, call Call, list []T, limit int, empty bool, text func(T) []byte) answer {
	from, no := s.listCursor(call)
	if no != nil {
		return *no
	}
	start := min(from.offset, len(list))
	end := min(start+limit, len(list))
	if empty = s.emptyPage(call.Path) || empty; empty {
		end = start
	}
	rows := make([]Entry, 0, end-start)
	for _, v := range list[start:end] {
		rows = append(rows, Entry{JSON: text(v)})
	}
	var metadata string
	if empty || end < len(list) {
		metadata = cursorMetadata(from.to(place{}, end))
	} else {
		metadata = s.end(call.Path)
	}
	return listAnswer(call.Path, rows, metadata)
}

// givesCursors tells the calls whose answer may end with a cursor.
func (s *Server) givesCursors(call Call) bool {
	switch call.Path {
	case PathAudit, PathTeams, PathUsers:
		return true
	case PathAccess:
		return !s.opt.AccessPagesOnly && (call.Query.Has("limit") || call.Query.Get("cursor") != "")
	default:
		return false
	}
}

// listAnswer is a page of a list with what follows it.
func listAnswer(path string, rows []Entry, rest string) answer {
	a := answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, entries: rows}
	a.body = append(append(appendRows(path, rows), rest...), '}')
	return a
}

// paging describes the pages of a list. Like Slack it goes by the total that it tells.
func (s *Server) paging(count, total, page int) string {
	if s.opt.TotalCap > 0 {
		total = min(total, s.opt.TotalCap)
	}
	pages := (total + count - 1) / count
	return `,"paging":` + string(appendJSON(nil, object{{"count", count}, {"total", total}, {"page", page}, {"pages", pages}}))
}

// countAndPage reads the parameters of a list that goes by pages. What Slack says to numbers below 1 is not known.
func countAndPage(call Call, missingCount int64) (count, page int, no *answer) {
	n, okCount := number(call.Query.Get("count"), missingCount)
	p, okPage := number(call.Query.Get("page"), 1)
	switch {
	case !okCount || !okPage || n < 1 || p < 1:
		return 0, 0, refusal("invalid_arguments")
	case n > maxCount || p > maxPage:
		return 0, 0, refusal("over_pagination_limit")
	}
	return int(n), int(p), nil
}

// listCursor is a cursor of the Web API: a place in a list and an age. The call that gave it is in there for
// Violations; only the workspace must be the same.
type listCursor struct {
	path, asked, before string // asked is the call's team_id
	issued              time.Time
	at                  place
	offset              int
}

// listCursor reads a call's cursor; without one it is the list's start.
func (s *Server) listCursor(call Call) (listCursor, *answer) {
	start := listCursor{path: call.Path, asked: call.Query.Get("team_id"), before: call.Query.Get("before"), issued: call.Time}
	text := call.Query.Get("cursor")
	if text == "" {
		return start, nil
	}
	c, ok := parseListCursor(text)
	if stale := s.refusesCursor(call, c.issued); stale || !ok || c.path != call.Path || c.asked != start.asked {
		return start, refusal("invalid_cursor")
	}
	start.at, start.offset = c.at, c.offset
	return start, nil
}

// to is the text of a cursor of the same walk to another place. It always ends in '=', which callers must escape in
// a URL.
func (c listCursor) to(at place, offset int) string {
	text := fmt.Sprintf("%s:%s:%s:%d:%d:%d:%d:", c.path, c.asked, c.before, c.issued.UnixNano(), at.key, at.seq, offset)
	for len(text)%3 == 0 {
		text += ":"
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func parseListCursor(text string) (c listCursor, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	part := strings.Split(string(raw), ":")
	if err != nil || len(part) < 7 {
		return listCursor{}, false
	}
	var n [4]int64
	var errs [4]error
	for i := range n {
		n[i], errs[i] = strconv.ParseInt(part[3+i], 10, 64)
	}
	c = listCursor{
		path: part[0], asked: part[1], before: part[2], issued: time.Unix(0, n[0]), at: place{n[1], n[2]}, offset: int(n[3]),
	}
	return c, errors.Join(errs[:]...) == nil && c.offset >= 0
}

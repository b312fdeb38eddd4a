// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const orgToken = "xoxp-org"

// newListServer knows a workspace's token and an organisation's.
func newListServer(opt Options) (*Server, *clock) {
	s, c := newTestServer(opt)
	s.SetToken(token, Identity{TeamID: "T1", Team: "Harbour", Scopes: []string{adminScope}})
	s.SetToken(orgToken, Identity{
		TeamID: "E1", EnterpriseID: "E1", Scopes: []string{adminScope, auditScope}, IsEnterpriseInstall: true,
		Teams: []Team{{"T1", "Harbour"}, {"T2", "Labs/Köln"}, {"T3", "Field"}},
	})
	return s, c
}

// login is a row of T1 that its user's name stands for.
func login(user string, first, last int64) Login {
	return Login{Team: "T1", UserID: user, First: first, Last: last, Count: 1}
}

// change is a row of T1.
func change(id string, date int64) Change {
	return Change{Team: "T1", Date: date, JSON: fmt.Appendf(nil, `{"user_id":%q,"date":"%d"}`, id, date)}
}

type listPage struct {
	ids    []string
	cursor string
	paging struct{ Count, Total, Page, Pages int }
}

func readList(t *testing.T, s *Server, path, bearer string, query ...string) listPage {
	t.Helper()
	res, body := call(t, s, path, bearer, query...)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	type row struct {
		UserID string `json:"user_id"`
		ID     string
	}
	var v struct {
		OK                  bool
		Logins, Logs, Teams []row
		Paging              struct{ Count, Total, Page, Pages int }
		Meta                struct {
			Cursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &v))
	require.True(t, v.OK, body)
	p := listPage{cursor: v.Meta.Cursor, paging: v.Paging}
	for _, r := range slices.Concat(v.Logins, v.Logs, v.Teams) {
		p.ids = append(p.ids, r.UserID+r.ID)
	}
	return p
}

// readLists walks by cursor to the end.
func readLists(t *testing.T, s *Server, path, bearer string, query ...string) (pages [][]string) {
	t.Helper()
	p := readList(t, s, path, bearer, query...)
	for pages = [][]string{p.ids}; p.cursor != ""; pages = append(pages, p.ids) {
		p = readList(t, s, path, bearer, append(slices.Clone(query), "cursor", p.cursor)...)
	}
	return pages
}

func TestAccessPages(t *testing.T) {
	logins := []Login{
		login("c", 30, 60), login("a", 10, 90), login("b", 20, 20), login("d", 40, 60),
		{Team: "T2", UserID: "other", First: 1, Last: 1},
	}
	for _, tt := range []struct {
		name  string
		opt   Options
		query []string
		want  [][]string
	}{
		{"by last", Options{}, []string{"limit", "3"}, [][]string{{"a", "d", "c"}, {"b"}}},
		{"by first", Options{AccessOrder: ByFirst}, []string{"limit", "3"}, [][]string{{"d", "c", "b"}, {"a"}}},
		{"by neither", Options{AccessOrder: Unordered}, []string{"limit", "3"}, [][]string{{"b", "d", "a"}, {"c"}}},
		{"counted", Options{AccessOffsetCursor: true}, []string{"limit", "2"}, [][]string{{"a", "d"}, {"c", "b"}}},
		{"the last page is full", Options{}, []string{"limit", "4"}, [][]string{{"a", "d", "c", "b"}}},
		{"empty pages between", Options{EmptyPages: 2}, []string{"limit", "2"}, [][]string{{"a", "d"}, nil, {"c", "b"}}},
		{"empty pages, counted", Options{EmptyPages: 2, AccessOffsetCursor: true}, []string{"limit", "3"}, [][]string{{"a", "d", "c"}, nil, {"b"}}},
		{"before is inclusive", Options{}, []string{"limit", "3", "before", "60"}, [][]string{{"d", "c", "b"}}},
		{"before goes on with the cursor", Options{}, []string{"limit", "1", "before", "60"}, [][]string{{"d"}, {"c"}, {"b"}}},
		{"before by first", Options{BeforeCutsFirst: true}, []string{"limit", "3", "before", "20"}, [][]string{{"a", "b"}}},
		{"before now", Options{}, []string{"limit", "9", "before", "now"}, [][]string{{"a", "d", "c", "b"}}},
		{"nothing there", Options{}, []string{"limit", "9", "before", "1"}, [][]string{nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newListServer(tt.opt)
			s.SetLogin(logins...)
			assert.Equal(t, tt.want, readLists(t, s, PathAccess, token, tt.query...))
			assert.Empty(t, s.Violations())
		})
	}
}

func TestAccessByPage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opt    Options
		query  []string
		want   string
		paging string
	}{
		{"all", Options{}, nil, "e d c b a", "{100 5 1 1}"},
		{"first", Options{}, []string{"count", "2"}, "e d", "{2 5 1 3}"},
		{"last", Options{}, []string{"count", "2", "page", "3"}, "a", "{2 5 3 3}"},
		{"past the end", Options{}, []string{"count", "2", "page", "4"}, "", "{2 5 4 3}"},
		{"before", Options{}, []string{"count", "2", "before", "3"}, "c b", "{2 3 1 2}"},
		{"total is capped", Options{TotalCap: 3}, []string{"count", "2", "page", "3"}, "a", "{2 3 3 2}"},
		{"no cursors", Options{AccessPagesOnly: true}, []string{"limit", "2"}, "e d", "{2 5 1 3}"},
		{"no cursors, on", Options{AccessPagesOnly: true}, []string{"limit", "2", "page", "2"}, "c b", "{2 5 2 3}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newListServer(tt.opt)
			for i, user := range []string{"a", "b", "c", "d", "e"} {
				s.SetLogin(login(user, 0, int64(i+1)))
			}
			p := readList(t, s, PathAccess, token, tt.query...)
			assert.Equal(t, tt.want, strings.Join(p.ids, " "))
			assert.Equal(t, tt.paging, fmt.Sprint(p.paging))
			assert.Empty(t, p.cursor)
		})
	}
}

// What is read while rows move depends on the order and on the kind of cursor.
func TestRowsMove(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  Options
		want string // behind page a, b of a to e, after e and a have been active again
		list string
	}{
		{"by last", Options{}, "c d", "a e b c d"},
		{"by last, counted", Options{AccessOffsetCursor: true}, "b c d", "a e b c d"},
		{"by first", Options{AccessOrder: ByFirst}, "c d e", "a b c d e"},
		{"by first, counted", Options{AccessOrder: ByFirst, AccessOffsetCursor: true}, "c d e", "a b c d e"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newListServer(tt.opt)
			for i, user := range []string{"e", "d", "c", "b", "a"} {
				s.SetLogin(login(user, int64(i), int64(i)))
			}
			p := readList(t, s, PathAccess, token, "limit", "2")
			assert.Equal(t, []string{"a", "b"}, p.ids)
			s.SetLogin(login("e", 0, 50), login("a", 4, 50))
			p = readList(t, s, PathAccess, token, "limit", "9", "cursor", p.cursor)
			assert.Equal(t, tt.want, strings.Join(p.ids, " "))
			var list []string
			for _, l := range s.Logins("T1") {
				list = append(list, l.UserID)
			}
			assert.Equal(t, tt.list, strings.Join(list, " "))
		})
	}
}

func TestLoginsAreRewritten(t *testing.T) {
	s, _ := newListServer(Options{})
	l := Login{Team: "T1", UserID: "U1", Username: "ada", IP: "192.0.2.1", UserAgent: "a/b", First: 10, Last: 20, Count: 3, Country: "NL"}
	s.SetLogin(l)
	other := []Login{l, l, l, l, l}
	other[0].Team, other[1].UserID, other[2].IP, other[3].UserAgent, other[4].First = "T2", "U2", "", "", 11
	s.SetLogin(other...)
	l.Last, l.Count, l.Username = 30, 4, "ada.ashdown"
	s.SetLogin(l)
	assert.Len(t, s.Logins("T1"), 5)
	assert.Len(t, s.Logins(""), 6)
	assert.Equal(t, l, s.Logins("T1")[0])
	l.Last = 5 // a replica that lags
	s.SetLogin(l)
	assert.Equal(t, l, s.Logins("T1")[4])

	s, _ = newListServer(Options{})
	s.SetLogin(l)
	odd := l
	odd.First, odd.JSON = 1, []byte(`["anything"]`)
	s.SetLogin(odd)
	_, body := call(t, s, PathAccess, token)
	assert.Equal(t, `{"ok":true,"logins":[["anything"],{"user_id":"U1","username":"ada.ashdown","date_first":10,"date_last":5,`+
		`"count":4,"ip":"192.0.2.1","user_agent":"a\/b","isp":null,"country":"NL","region":null}],`+
		`"paging":{"count":100,"total":2,"page":1,"pages":1}}`, body)
}

func TestListEndForms(t *testing.T) {
	s, _ := newListServer(Options{})
	var forms []string
	for range 4 {
		_, body := call(t, s, PathAccess, token, "limit", "5")
		forms = append(forms, strings.TrimPrefix(body, `{"ok":true,"logins":[],"paging":{"count":5,"total":0,"page":1,"pages":0}`))
	}
	assert.Equal(t, []string{
		`,"response_metadata":{"next_cursor":""}}`,
		`,"response_metadata":{"warnings":[]}}`,
		`,"response_metadata":{}}`,
		`}`,
	}, forms)
}

func TestIntegrationPages(t *testing.T) {
	add := []Change{
		change("a", 10), change("c", 20), change("b", 15), change("d", 20), change("e", 20),
		{Team: "T2", Date: 17, JSON: []byte(`{"user_id":"other"}`)},
	}
	for _, tt := range []struct {
		name   string
		opt    Options
		query  []string
		want   string
		paging string
	}{
		{"newest first", Options{}, nil, "e d c b a", "{100 5 1 1}"},
		{"a page ends inside a second", Options{}, []string{"count", "2", "page", "2"}, "c b", "{2 5 2 3}"},
		{"past the end", Options{}, []string{"page", "100"}, "", "{100 5 100 1}"},
		{"total is capped", Options{TotalCap: 2}, []string{"count", "2"}, "e d", "{2 2 1 1}"},
		{"no cursors", Options{EmptyPages: 1}, []string{"limit", "2"}, "e d c b a", "{100 5 1 1}"},
		{"default count", Options{DefaultLimit: 3}, nil, "e d c", "{3 5 1 2}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newListServer(tt.opt)
			s.AddChange(add...)
			p := readList(t, s, PathIntegration, token, tt.query...)
			assert.Equal(t, tt.want, strings.Join(p.ids, " "))
			assert.Equal(t, tt.paging, fmt.Sprint(p.paging))
			assert.Empty(t, p.cursor)
			assert.Empty(t, s.Violations())
		})
	}
}

func TestRemoveChange(t *testing.T) {
	s, _ := newListServer(Options{})
	s.AddChange(change("a", 10), change("b", 20), Change{Team: "T2", Date: 30, JSON: []byte(`{"user_id":"other"}`)}, change("c", 40))
	s.RemoveChange("T1", 1)
	s.RemoveChange("T1", 7) // nothing is there
	assert.Equal(t, []Change{change("c", 40), change("a", 10)}, s.Changes("T1"))
	assert.Len(t, s.Changes(""), 3)
	p := readList(t, s, PathIntegration, token)
	assert.Equal(t, []string{"c", "a"}, p.ids)
	assert.Equal(t, 2, p.paging.Total)
}

func TestTeams(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opt   Options
		token string
		query []string
		want  [][]string
	}{
		{"all", Options{}, orgToken, nil, [][]string{{"T1", "T2", "T3"}}},
		{"pages", Options{}, orgToken, []string{"limit", "2"}, [][]string{{"T1", "T2"}, {"T3"}}},
		{"pages of Slack's choice", Options{TeamsPerPage: 1}, orgToken, []string{"limit", "1000"}, [][]string{{"T1"}, {"T2"}, {"T3"}}},
		{"empty pages between", Options{EmptyPages: 2}, orgToken, []string{"limit", "2"}, [][]string{{"T1", "T2"}, nil, {"T3"}}},
		{"a workspace's token", Options{}, token, nil, [][]string{{"T1"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newListServer(tt.opt)
			assert.Equal(t, tt.want, readLists(t, s, PathTeams, tt.token, tt.query...))
			assert.Empty(t, s.Violations())
		})
	}

	s, _ := newListServer(Options{})
	_, body := call(t, s, PathTeams, orgToken)
	assert.Equal(t, `{"ok":true,"teams":[{"id":"T1","name":"Harbour"},{"id":"T2","name":"Labs\/K\u00f6ln"},{"id":"T3","name":"Field"}],`+
		`"response_metadata":{"next_cursor":""}}`, body)
	s.SetToken(orgToken, Identity{IsEnterpriseInstall: true, Teams: []Team{{"T9", "New"}}})
	assert.Equal(t, []string{"T9"}, readList(t, s, PathTeams, orgToken).ids, "at once, and without a scope")
}

func TestWorkspaces(t *testing.T) {
	s, _ := newListServer(Options{})
	for _, team := range []string{"T1", "T2"} {
		s.SetLogin(Login{Team: team, UserID: team})
		s.AddChange(Change{Team: team, JSON: fmt.Appendf(nil, `{"user_id":%q}`, team)})
	}
	wide, _ := newListServer(Options{OrgWide: true})
	wide.SetLogin(s.Logins("")...)
	wide.AddChange(s.Changes("")...)
	for _, path := range []string{PathAccess, PathIntegration} {
		for _, tt := range []struct {
			s     *Server
			token string
			team  string
			want  []string
		}{
			{s, token, "", []string{"T1"}},
			{s, token, "T1", []string{"T1"}},
			{s, orgToken, "T2", []string{"T2"}},
			{s, orgToken, "T3", nil},
			{wide, orgToken, "T2", []string{"T2"}},
			{wide, orgToken, "", []string{"T1", "T2"}},
			{wide, token, "", []string{"T1"}},
		} {
			p := readList(t, tt.s, path, tt.token, "team_id", tt.team)
			assert.ElementsMatch(t, tt.want, p.ids, "%s %+v", path, tt)
		}
	}
}

func TestListRefusals(t *testing.T) {
	var stale string
	for _, tt := range []struct {
		name  string
		path  string
		token string
		query []string
		code  string
	}{
		{"no token", PathAccess, "", nil, `not_authed`},
		{"unknown token", PathIntegration, "xoxp-other", nil, `invalid_auth`},
		{"unknown token, teams", PathTeams, "xoxp-other", nil, `invalid_auth`},
		{"missing scope", PathAccess, "xoxp-audit", nil, `missing_scope","needed":"admin","provided":"auditlogs:read,users:read`},
		{"missing scope", PathIntegration, "xoxp-audit", nil, `missing_scope","needed":"admin","provided":"auditlogs:read,users:read`},
		{"no workspace", PathAccess, orgToken, nil, `missing_argument`},
		{"no workspace", PathIntegration, orgToken, nil, `missing_argument`},
		{"unknown workspace", PathAccess, orgToken, []string{"team_id", "T4"}, `invalid_team_id`},
		{"another workspace", PathIntegration, token, []string{"team_id", "T2"}, `invalid_team_id`},
		{"refused", PathAccess, orgToken, []string{"team_id", "T3"}, `team_access_not_granted`},
		{"refused", PathIntegration, orgToken, []string{"team_id", "T3"}, `team_access_not_granted`},
		{"limit 0", PathAccess, token, []string{"limit", "0"}, `invalid_limit`},
		{"limit too large", PathAccess, token, []string{"limit", "1000"}, `invalid_limit`},
		{"limit too large, teams", PathTeams, token, []string{"limit", "1001"}, `invalid_limit`},
		{"count too large", PathAccess, token, []string{"count", "1001"}, `over_pagination_limit`},
		{"count too large", PathIntegration, token, []string{"count", "1001"}, `over_pagination_limit`},
		{"page too far", PathAccess, token, []string{"page", "101"}, `over_pagination_limit`},
		{"page too far", PathIntegration, token, []string{"page", "101"}, `over_pagination_limit`},
		{"page 0", PathIntegration, token, []string{"page", "0"}, `invalid_arguments`},
		{"before when", PathAccess, token, []string{"before", "yesterday"}, `invalid_arguments`},
		{"made-up cursor", PathAccess, token, []string{"cursor", "bm9uc2Vuc2U="}, `invalid_cursor`},
		{"cursor of another method", PathTeams, token, []string{"cursor", "stale"}, `invalid_cursor`},
		{"cursor of another workspace", PathAccess, orgToken, []string{"limit", "1", "cursor", "stale", "team_id", "T1"}, `invalid_cursor`},
		{"cursor too old", PathAccess, token, []string{"limit", "1", "cursor", "stale"}, `invalid_cursor`},
	} {
		t.Run(tt.name+strings.ReplaceAll(tt.path, "/", " "), func(t *testing.T) {
			s, c := newListServer(Options{CursorAge: time.Minute})
			s.SetToken("xoxp-audit", Identity{TeamID: "T1", Scopes: []string{auditScope, "users:read"}})
			s.SetLogin(login("a", 1, 1), login("b", 2, 2))
			s.Refuse("T2", "internal_error")
			s.Refuse("T3", "team_access_not_granted")
			stale = readList(t, s, PathAccess, token, "limit", "1").cursor
			if tt.name == "cursor too old" {
				c.pass(time.Minute + time.Second)
			}
			query := slices.Clone(tt.query)
			if i := slices.Index(query, "stale"); i >= 0 {
				query[i] = stale
			}
			res, body := call(t, s, tt.path, tt.token, query...)
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Equal(t, `{"ok":false,"error":"`+tt.code+`"}`, body)
		})
	}
}

func TestRefuseEnds(t *testing.T) {
	s, _ := newListServer(Options{})
	s.Refuse("T1", "access_denied")
	_, body := call(t, s, PathAccess, token)
	assert.Contains(t, body, "access_denied")
	s.Refuse("T1", "")
	readList(t, s, PathAccess, token)
}

func TestListCursors(t *testing.T) {
	s, _ := newListServer(Options{StaleEvery: 3})
	s.SetLogin(login("a", 1, 1), login("b", 2, 2))
	cursor := readList(t, s, PathAccess, token, "limit", "1").cursor
	assert.True(t, strings.HasSuffix(cursor, "="), "callers must escape it")
	var got []bool
	for range 4 {
		_, body := call(t, s, PathAccess, token, "limit", "1", "cursor", cursor)
		got = append(got, strings.Contains(body, "invalid_cursor"))
	}
	assert.Equal(t, []bool{false, false, true, false}, got, "each third use")
}

func TestListViolations(t *testing.T) {
	s, _ := newListServer(Options{})
	s.SetLogin(login("a", 1, 1), login("b", 2, 2))
	cursor := readList(t, s, PathAccess, token, "limit", "1").cursor
	for _, tt := range []struct {
		path  string
		query []string
		want  string
	}{
		{PathAccess, []string{"limit", "999", "cursor", cursor}, ""},
		{PathAccess, []string{"count", "1000", "page", "100"}, ""},
		{PathIntegration, []string{"count", "1000", "page", "100"}, ""},
		{PathTeams, []string{"limit", "1000"}, ""},
		{PathAccess, []string{"limit", "1000"}, "limit=1000 is not 1…999"},
		{PathAccess, []string{"count", "0"}, "count=0 is not 1…1000"},
		{PathIntegration, []string{"count", "1001"}, "count=1001 is not 1…1000"},
		{PathIntegration, []string{"page", "101"}, "page=101 is not 1…100"},
		{PathTeams, []string{"limit", "all"}, "limit=all is not 1…1000"},
		{PathAccess, []string{"cursor", cursor, "page", "2"}, "both cursor and page"},
		{PathAccess, []string{"cursor", cursor, "before", "7"}, "cursor of team_id= before= used with team_id= before=7"},
		{PathAccess, []string{"cursor", cursor, "team_id", "T1"}, "cursor of team_id= before= used with team_id=T1 before="},
	} {
		seen := len(s.Violations())
		call(t, s, tt.path, token, tt.query...)
		more := s.Violations()[seen:]
		if tt.want == "" {
			assert.Empty(t, more)
			continue
		}
		require.Len(t, more, 1, tt.want)
		assert.True(t, strings.HasSuffix(more[0], ": "+tt.want), more[0])
	}
}

func TestWebAPILimit(t *testing.T) {
	s, c := newListServer(Options{WebLimitPerMinute: 2})
	get := func(path, bearer, team string) string {
		res, body := call(t, s, path, bearer, "team_id", team)
		return strconv.Itoa(res.StatusCode) + " " + res.Header.Get("Retry-After") + " " + body[:min(len(body), 35)]
	}
	get(PathAccess, token, "")
	c.pass(10500 * time.Millisecond)
	get(PathAccess, orgToken, "T1") // the same budget
	assert.Equal(t, `429 50 {"ok":false,"error":"ratelimited"}`, get(PathAccess, token, ""))
	for range 2 {
		assert.Contains(t, get(PathAccess, orgToken, "T2"), "200", "each workspace has its own")
		assert.Contains(t, get(PathIntegration, token, ""), "200", "each method has its own")
		assert.Contains(t, get(PathTeams, orgToken, ""), "200")
		assert.Contains(t, get(PathAudit, orgToken, ""), "200")
	}
	assert.Contains(t, get(PathAccess, orgToken, "T2"), "429")
	assert.Contains(t, get(PathTeams, orgToken, ""), "429")
	for range 5 {
		assert.Contains(t, get(PathAuthTest, token, ""), "200")
	}
	assert.Empty(t, s.Violations())
	c.pass(49500 * time.Millisecond)
	assert.Contains(t, get(PathAccess, token, ""), "200")
	assert.Len(t, s.Violations(), 1, "half a second before Retry-After ended")
}

// TestListFaults sees that faults speak the language of the list that they spoil.
func TestListFaults(t *testing.T) {
	for path, key := range map[string]string{PathAccess: "logins", PathIntegration: "logs", PathTeams: "teams"} {
		for _, tt := range []struct {
			fault Fault
			body  string
			valid bool
		}{
			{FaultRateLimitMissing, `{"ok":false,"error":"ratelimited"}`, true},
			{FaultFatalError, `{"ok":false,"error":"fatal_error"}`, true},
			{FaultTruncated, `{"ok":true,"` + key + `":[`, false},
			{FaultEntriesObject, `{"ok":true,"` + key + `":{"0":{}},"response_metadata":{"next_cursor":""}}`, true},
			{FaultEntriesMissing, `{"ok":true,"response_metadata":{"next_cursor":""}}`, true},
			{FaultHTML, `<html>`, false},
			{FaultNone, `{"ok":true,"` + key + `":[{`, true},
		} {
			s, _ := newListServer(Options{})
			s.SetLogin(login("a", 1, 1), login("b", 2, 2))
			s.AddChange(change("a", 1), change("b", 2))
			s.SetFault(func(Call) Fault { return tt.fault })
			_, body := call(t, s, path, token)
			assert.True(t, strings.HasPrefix(body, tt.body), "%s %s: %s", path, tt.fault, body)
			assert.Equal(t, tt.valid, json.Valid([]byte(body)), tt.fault)
			assert.Equal(t, tt.fault, s.Calls()[0].Fault)
		}
	}
}

func TestFaultsOfCursors(t *testing.T) {
	for _, tt := range []struct {
		path  string
		query []string
		fault Fault
		body  string // "" = the fault has no place here
	}{
		{PathAccess, []string{"limit", "1"}, FaultEmptyPage, `{"ok":true,"logins":[],"paging":{"count":1,"total":2,"page":1,"pages":2},"response_metadata":{"next_cursor":"`},
		{PathTeams, nil, FaultEmptyPage, `{"ok":true,"teams":[],"response_metadata":{"next_cursor":"`},
		{PathAccess, nil, FaultEmptyPage, ""},
		{PathIntegration, nil, FaultEmptyPage, ""},
		{PathAuthTest, nil, FaultEmptyPage, ""},
		{PathAccess, []string{"cursor", "x"}, FaultInvalidCursor, `{"ok":false,"error":"invalid_cursor"}`},
		{PathAccess, nil, FaultInvalidCursor, ""},
	} {
		s, _ := newListServer(Options{})
		s.SetLogin(login("a", 1, 1), login("b", 2, 2))
		s.SetFault(func(Call) Fault { return tt.fault })
		res, body := call(t, s, tt.path, token, tt.query...)
		assert.Equal(t, http.StatusOK, res.StatusCode)
		if tt.body == "" {
			assert.Equal(t, FaultNone, s.Calls()[0].Fault)
			continue
		}
		assert.True(t, strings.HasPrefix(body, tt.body), body)
	}
}

func TestPoisonText(t *testing.T) {
	s, _ := newListServer(Options{})
	s.SetToken(token, Identity{TeamID: "T1", Scopes: []string{adminScope, auditScope}})
	s.Add(entryAt("bad/one", 10))
	s.SetLogin(login("good", 2, 2), login("bad/one", 1, 1))
	s.AddChange(change("bad/one", 1), change("good", 2))
	readable := func(path string, query ...string) bool {
		_, body := call(t, s, path, token, query...)
		return json.Valid([]byte(body))
	}
	s.PoisonText(`bad`, FaultTruncated)
	assert.False(t, readable(PathAudit))
	for _, path := range []string{PathAccess, PathIntegration} {
		assert.False(t, readable(path))
		assert.True(t, readable(path, "count", "1"))
		assert.False(t, readable(path, "count", "1", "page", "2"))
	}
	s.Unpoison()
	s.Poison(0, 100, FaultTruncated)
	assert.True(t, readable(PathAccess), "dates poison the audit log only")
	s.Unpoison()
	assert.True(t, readable(PathAudit))
}

func TestManyRows(t *testing.T) {
	s, _ := newListServer(Options{})
	began := time.Now()
	for i := range int64(100_000) {
		s.SetLogin(login(strconv.FormatInt(i*7919%100_000, 10), 0, i))
	}
	pages := readLists(t, s, PathAccess, token, "limit", "999")
	assert.Len(t, pages, 101)
	assert.Len(t, slices.Concat(pages...), 100_000)
	assert.Less(t, time.Since(began), 30*time.Second, "usable also under the race detector")
}

func TestConcurrentLists(t *testing.T) {
	s, _ := newListServer(Options{EmptyPages: 3, StaleEvery: 5, WebLimitPerMinute: 1000})
	s.SetFault(EveryNth(7, FaultTruncated, FaultEmptyPage, FaultInvalidCursor))
	done := make(chan struct{})
	for g := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 50 {
				s.SetLogin(login(strconv.Itoa(i), 0, int64(g*i)))
				s.AddChange(change("x", int64(i)))
				s.RemoveChange("T1", 3)
				s.Refuse("T1", [...]string{"", "internal_error"}[i%2])
				s.PoisonText("nothing", FaultHTML)
				s.Logins("")
				s.Changes("T1")
				for _, path := range []string{PathAccess + "?limit=5", PathIntegration, PathTeams} {
					r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://slack.test"+path, nil)
					r.Header.Set("Authorization", "Bearer "+token)
					if res, err := s.Transport().RoundTrip(r); assert.NoError(t, err) {
						_ = res.Body.Close()
					}
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	assert.Equal(t, 600, s.CallCount())
}

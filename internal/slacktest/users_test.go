// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newUserServer knows a workspace's token and an organisation's, and users of two workspaces.
func newUserServer(opt Options) *Server {
	s, _ := newTestServer(opt)
	s.SetToken(token, Identity{TeamID: "T1", Scopes: []string{usersScope}})
	s.SetToken(orgToken, Identity{TeamID: "E1", EnterpriseID: "E1", Scopes: []string{usersScope}, IsEnterpriseInstall: true, Teams: []Team{{"T1", ""}, {"T2", ""}}})
	for n := range 5 {
		s.SetUser(User{ID: fmt.Sprintf("W%d", n), Org: "E1", Teams: []string{"T1"}})
	}
	s.SetUser(
		User{ID: "W8", Org: "E1", Teams: []string{"T2", "T1"}, AdminOf: []string{"T2"}},
		User{ID: "W9", Org: "E2", Stranger: true},
	)
	return s
}

func readUsers(t *testing.T, s *Server, bearer string, query ...string) (ids []string, cursor string) {
	t.Helper()
	_, body := call(t, s, PathUsers, bearer, query...)
	var v struct {
		OK      bool
		Members []struct{ ID string }
		Meta    struct {
			Cursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &v))
	require.True(t, v.OK, body)
	for _, m := range v.Members {
		ids = append(ids, m.ID)
	}
	return ids, v.Meta.Cursor
}

func TestUsersList(t *testing.T) {
	s := newUserServer(Options{})
	ids, cursor := readUsers(t, s, token, "limit", "4")
	assert.Equal(t, []string{"W0", "W1", "W2", "W3"}, ids)
	ids, cursor = readUsers(t, s, token, "limit", "4", "cursor", cursor)
	assert.Equal(t, []string{"W4", "W8"}, ids)
	assert.Empty(t, cursor)
	ids, _ = readUsers(t, s, token, "limit", "10", "team_id", "T2")
	assert.Len(t, ids, 6, "a workspace's token reads its own")
	ids, _ = readUsers(t, s, orgToken, "limit", "10", "team_id", "T2")
	assert.Equal(t, []string{"W8"}, ids)
	assert.Empty(t, s.Violations())
}

func TestUsersRefused(t *testing.T) {
	s := newUserServer(Options{})
	s.SetToken("xoxp-less", Identity{TeamID: "T1", Scopes: []string{adminScope}})
	s.Refuse("T2", "team_access_not_granted")
	for _, tt := range []struct {
		path, bearer, want string
		query              []string
	}{
		{PathUsers, "xoxp-less", `"error":"missing_scope","needed":"users:read","provided":"admin"`, []string{"limit", "10"}},
		{PathUser, "xoxp-less", `"error":"missing_scope","needed":"users:read","provided":"admin"`, []string{"user", "W1"}},
		{PathUsers, orgToken, "missing_argument", []string{"limit", "10"}},
		{PathUsers, orgToken, "invalid_team_id", []string{"limit", "10", "team_id", "T3"}},
		{PathUsers, orgToken, "team_access_not_granted", []string{"limit", "10", "team_id", "T2"}},
		{PathUsers, token, "limit_required", nil},
		{PathUsers, token, "invalid_limit", []string{"limit", "1000"}},
		{PathUsers, token, "invalid_cursor", []string{"limit", "10", "cursor", "nonsense"}},
		{PathUser, token, "user_not_found", []string{"user", "W7"}},
	} {
		res, body := call(t, s, tt.path, tt.bearer, tt.query...)
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Contains(t, body, `"ok":false`)
		assert.Contains(t, body, tt.want)
	}
	assert.Len(t, s.Violations(), 1, "limit=1000")
}

func TestUsersInfo(t *testing.T) {
	s := newUserServer(Options{})
	_, body := call(t, s, PathUser, token, "user", "W9")
	assert.Contains(t, body, `"is_stranger":true`)
	// The flags are those of the workspace that is asked for.
	for team, want := range map[string]string{"T1": `"is_admin":false,"is_owner"`, "T2": `"is_admin":true,"is_owner"`} {
		_, body = call(t, s, PathUsers, orgToken, "limit", "10", "team_id", team)
		assert.Contains(t, body, want)
	}
	s.SetUser(User{ID: "W9", JSON: []byte(`{"id":"W9"}`)})
	_, body = call(t, s, PathUser, token, "user", "W9")
	assert.JSONEq(t, `{"ok":true,"user":{"id":"W9"}}`, body)
}

func TestUsersHaveTheirOwnLimits(t *testing.T) {
	s := newUserServer(Options{WebLimitPerMinute: 2})
	status := func(path string, query ...string) int {
		res, _ := call(t, s, path, token, query...)
		return res.StatusCode
	}
	for range 2 {
		assert.Equal(t, 200, status(PathUsers, "limit", "10"))
	}
	assert.Equal(t, 429, status(PathUsers, "limit", "10"))
	for range 10 {
		assert.Equal(t, 200, status(PathUser, "user", "W1"))
	}
	assert.Equal(t, 429, status(PathUser, "user", "W1"))
}

// The company's users are those of its logs, of each kind.
func TestOrganisationUsers(t *testing.T) {
	o := NewOrganisation(1)
	users := map[string]User{}
	kinds := map[string]int{}
	for _, u := range o.Users() {
		users[u.ID] = u
		for kind, is := range map[string]bool{
			"owner": len(u.OwnerOf) > 0, "admin": len(u.AdminOf) > 0, "guest": u.Guest, "bot": u.Bot, "deleted": u.Deleted,
			"of several": len(u.Teams) > 1, "org owner": u.OrgOwner, "org admin": u.OrgAdmin,
		} {
			if is {
				kinds[kind]++
			}
		}
	}
	assert.Len(t, kinds, 8, "%v", kinds)
	assert.True(t, users[o.Identity().UserID].PrimaryOwner)
	for _, p := range o.people {
		assert.Contains(t, users, p.id)
	}
}

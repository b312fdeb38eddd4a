// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"net/http"
	"slices"
	"strings"
)

const (
	usersScope   = "users:read"
	maxUserLimit = 999
	// userInfoLimit is how many more calls Slack grants of users.info than of a list.
	userInfoLimit = 5
)

// User is what users.list and users.info show of a user.
type User struct {
	ID, Name string
	// Org is the organisation, and Teams are its workspaces that the user is in, the first of which is home. users.list
	// shows a user to each of these; who is in none can only be asked for by id.
	Org   string
	Teams []string
	// OwnerOf and AdminOf are of Teams. An owner is an admin too.
	OwnerOf, AdminOf   []string
	OrgOwner, OrgAdmin bool
	PrimaryOwner       bool // of the organisation
	Guest              bool
	Deleted, Stranger  bool
	Bot                bool
	AppID              string // of whose bot it is
	Workflow           bool   // it is a workflow's bot
	// Authorised is is_app_user: the user has allowed the app that asks.
	Authorised bool
	// JSON, if set, is shown in place of all that.
	JSON []byte
}

// object is the user as somebody of this workspace sees it; "" = as an organisation's token does.
func (u User) object(team string) object {
	home := u.Org
	if len(u.Teams) > 0 {
		home = u.Teams[0]
	}
	v := object{{"id", u.ID}, {"team_id", home}, {"name", strings.ToLower(strings.ReplaceAll(u.Name, " ", "."))}, {"deleted", u.Deleted}}
	profile := object{{"real_name", u.Name}}
	if u.Bot {
		profile = append(profile, member{"bot_id", "B" + u.ID[1:]}, member{"api_app_id", u.AppID})
	}
	v = append(v, member{"profile", profile})
	if u.Deleted { // Slack leaves nearly all out
		return append(v, member{"is_bot", u.Bot}, member{"is_app_user", false})
	}
	owner := u.OrgOwner && team == "" || slices.Contains(u.OwnerOf, team)
	admin := owner || slices.Contains(u.AdminOf, team)
	v = append(v, object{
		{"is_admin", admin},
		{"is_owner", owner},
		{"is_primary_owner", owner && u.PrimaryOwner},
		{"is_restricted", u.Guest},
		{"is_ultra_restricted", false},
		{"is_bot", u.Bot},
		{"is_app_user", u.Authorised},
	}...)
	if u.Stranger {
		v = append(v, member{"is_stranger", true})
	}
	if u.Workflow {
		v = append(v, member{"is_workflow_bot", true})
	}
	if strings.HasPrefix(u.Org, "E") {
		v = append(v, member{"enterprise_user", object{
			{"id", u.ID},
			{"enterprise_id", u.Org},
			{"is_admin", u.OrgAdmin || u.OrgOwner},
			{"is_owner", u.OrgOwner},
			{"is_primary_owner", u.OrgOwner && u.PrimaryOwner},
			{"teams", u.Teams},
		}})
	}
	return v
}

func (u User) text(team string) []byte {
	if u.JSON != nil {
		return u.JSON
	}
	return appendJSON(nil, u.object(team))
}

// SetUser makes a user known, in place of the one of this id.
func (s *Server) SetUser(users ...User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range users {
		i, known := s.userAt[u.ID]
		if !known {
			i = len(s.users)
			s.userAt[u.ID] = i
			s.users = append(s.users, User{})
		}
		s.users[i] = u
	}
}

// mayRead tells why a token can't ask for users.
func mayRead(who caller) *answer {
	switch {
	case !who.known():
		return refusal(who.no)
	case !slices.Contains(who.Scopes, usersScope):
		return refusal("missing_scope", member{"needed", usersScope}, member{"provided", who.scopes()})
	}
	return nil
}

// usersList shows the users of a workspace.
func (s *Server) usersList(call Call, who caller, empty bool) answer {
	if no := mayRead(who); no != nil {
		return *no
	}
	team := call.Query.Get("team_id")
	switch {
	case !who.IsEnterpriseInstall:
		team = who.TeamID // whatever it asks for
	case team == "":
		return *refusal("missing_argument")
	case !slices.ContainsFunc(who.Teams, func(t Team) bool { return t.ID == team }):
		return *refusal("invalid_team_id")
	}
	if code := s.refused[team]; code != "" {
		return *refusal(code)
	}
	limit, ok := number(call.Query.Get("limit"), 0)
	switch {
	case !ok || limit > maxUserLimit:
		return *refusal("invalid_limit")
	case limit == 0:
		return *refusal("limit_required")
	}
	var members []User
	for _, u := range s.users {
		if slices.Contains(u.Teams, team) {
			members = append(members, u)
		}
	}
	return offsetPage(s, call, members, int(limit), empty, func(u User) []byte { return u.text(team) })
}

// usersInfo shows one user, whose flags are those of the token's own workspace.
func (s *Server) usersInfo(call Call, who caller) answer {
	if no := mayRead(who); no != nil {
		return *no
	}
	i, known := s.userAt[call.Query.Get("user")]
	if !known {
		return *refusal("user_not_found")
	}
	team := who.TeamID
	if who.IsEnterpriseInstall {
		team = ""
	}
	return jsonAnswer(http.StatusOK, object{{"ok", true}, {"user", raw(s.users[i].text(team))}})
}

// Users are the people of the company with roles that go with what they do in the logs, its bot, and who has left.
func (o *Organisation) Users() []User {
	var users []User
	teams := make([]string, len(workspaces))
	for i, w := range workspaces {
		teams[i] = w[0]
	}
	for n, p := range o.people {
		u := User{ID: p.id, Name: p.name, Org: orgID, Teams: teams[n%len(teams):][:1]}
		switch {
		case strings.HasPrefix(p.id, "U05BWBOT"):
			u.Bot, u.AppID = true, apps[0].id
			u.Teams = teams
		case n == 0: // whose token it is, and who approves apps; the audit log calls her a guest nevertheless
			u.OrgOwner, u.PrimaryOwner, u.Authorised, u.Teams, u.OwnerOf = true, true, true, teams, teams
		case p.team != orgID:
			u.Guest, u.Teams = true, []string{p.team}
		case n == 3: // who makes apps
			u.OrgAdmin, u.Teams, u.AdminOf = true, teams, teams
		case n%40 == 1:
			u.OwnerOf = u.Teams
		case n%20 == 2:
			u.AdminOf = u.Teams
		case n%4 == 1:
			u.Teams = teams
		case n%10 == 6: // an admin of one workspace among several
			u.Teams, u.AdminOf = teams, teams[n%len(teams):][:1]
		}
		users = append(users, u)
	}
	return append(users, User{ID: "W04BW000999", Name: "Una Vance", Org: orgID, Teams: teams[:1], Deleted: true})
}

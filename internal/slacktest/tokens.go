// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"net/http"
	"slices"
	"strings"
)

// AnyToken stands for every token that was not set by name.
const AnyToken = ""

// Identity is whom a token speaks for.
type Identity struct {
	TeamID, Team                 string
	EnterpriseID, EnterpriseName string
	URL                          string
	UserID, User                 string
	Scopes                       []string
	IsEnterpriseInstall          bool
	// Teams are the workspaces that auth.teams.list shows. An organisation's token reads these and no others.
	Teams []Team
}

// Team is a workspace.
type Team struct{ ID, Name string }

func (id Identity) scopes() string { return strings.Join(id.Scopes, ",") }

type account struct {
	id      Identity
	revoked bool
}

// SetToken makes a token valid.
func (s *Server) SetToken(token string, id Identity) {
	id.Scopes, id.Teams = slices.Clone(id.Scopes), slices.Clone(id.Teams)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = &account{id: id}
}

// Revoke makes a token that was set invalid until Restore.
func (s *Server) Revoke(token string) { s.setRevoked(token, true) }

// Restore makes a revoked token valid again.
func (s *Server) Restore(token string) { s.setRevoked(token, false) }

func (s *Server) setRevoked(token string, revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.tokens[token]; a != nil {
		a.revoked = revoked
	}
}

// identify tells whom a call speaks for. A call without a bearer token is nobody's, even with AnyToken.
func (s *Server) identify(r *http.Request) (id Identity, known bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return Identity{}, false
	}
	a := s.tokens[token]
	if a == nil {
		a = s.tokens[AnyToken]
	}
	if a == nil || a.revoked {
		return Identity{}, false
	}
	return a.id, true
}

// authTest tells a token's owner who he is. For an organisation's token the team is the organisation.
func authTest(id Identity, known bool) answer {
	if !known {
		return errorAnswer(http.StatusOK, "invalid_auth")
	}
	if id.IsEnterpriseInstall {
		id.TeamID, id.Team = id.EnterpriseID, id.EnterpriseName
	}
	v := object{
		{"ok", true},
		{"url", id.URL},
		{"team", id.Team},
		{"user", id.User},
		{"team_id", id.TeamID},
		{"user_id", id.UserID},
	}
	if id.EnterpriseID != "" {
		v = append(v, member{"enterprise_id", id.EnterpriseID})
	}
	a := jsonAnswer(http.StatusOK, append(v, member{"is_enterprise_install", id.IsEnterpriseInstall}))
	a.header.Set("X-OAuth-Scopes", id.scopes())
	return a
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
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
	// BotID makes it a bot's token, which reads no logs.
	BotID string
	// AppID is the app that the token was given to, if it is known.
	AppID string
	// Teams are the workspaces that auth.teams.list shows. An organisation's token reads these and no others.
	Teams []Team
}

// Team is a workspace.
type Team struct{ ID, Name string }

func (id Identity) scopes() string { return strings.Join(id.Scopes, ",") }

type account struct {
	id      Identity
	of      *installation // nil = set by hand
	revoked bool
	expires time.Time // zero = never
}

func (a *account) live(now time.Time) bool {
	return !a.revoked && (a.expires.IsZero() || now.Before(a.expires))
}

// caller is whom a call speaks for.
type caller struct {
	Identity
	expires time.Time // zero = never
	no      string    // Slack's code for why it speaks for nobody
}

func (c caller) known() bool { return c.no == "" }

// SetToken makes a token valid.
func (s *Server) SetToken(token string, id Identity) {
	id.Scopes, id.Teams = slices.Clone(id.Scopes), slices.Clone(id.Teams)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = &account{id: id}
}

// Revoke makes a token invalid until Restore: Slack no longer knows one that was set, and says of one that it issued
// that it is revoked.
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

// identify tells whom a call speaks for. A call without a token is nobody's, even with AnyToken.
func (s *Server) identify(r *http.Request, form url.Values, now time.Time) caller {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		token = ""
		if isWebAPI(r.URL.Path) {
			token = form.Get("token")
		}
	}
	a := s.tokens[token]
	if a == nil {
		a = s.tokens[AnyToken]
	}
	switch {
	case token == "":
		return caller{no: "not_authed"}
	case a == nil || a.revoked && a.of == nil:
		return caller{no: "invalid_auth"}
	case a.revoked:
		return caller{no: "token_revoked"}
	case !a.live(now):
		return caller{no: "token_expired"}
	default:
		return caller{Identity: a.id, expires: a.expires}
	}
}

// authTest tells a token's owner who he is. For an organisation's token the team is the organisation.
func authTest(who caller, now time.Time) answer {
	if !who.known() {
		return *refusal(who.no)
	}
	if who.IsEnterpriseInstall {
		who.TeamID, who.Team = who.EnterpriseID, who.EnterpriseName
	}
	v := object{
		{"ok", true},
		{"url", who.URL},
		{"team", who.Team},
		{"user", who.User},
		{"team_id", who.TeamID},
		{"user_id", who.UserID},
	}
	for _, m := range []struct{ key, id string }{{"bot_id", who.BotID}, {"app_id", who.AppID}, {"enterprise_id", who.EnterpriseID}} {
		if m.id != "" {
			v = append(v, member{m.key, m.id})
		}
	}
	v = append(v, member{"is_enterprise_install", who.IsEnterpriseInstall})
	if !who.expires.IsZero() {
		v = append(v, member{"expires_in", int(who.expires.Sub(now) / time.Second)})
	}
	a := jsonAnswer(http.StatusOK, v)
	a.header.Set("X-OAuth-Scopes", who.scopes())
	return a
}

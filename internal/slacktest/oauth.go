// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	codeLife          = 10 * time.Minute
	publicRefreshLife = 30 * 24 * time.Hour // of the refresh tokens of apps with PKCE; others live on
	maxLiveTokens     = 2
)

// App is an OAuth app.
type App struct {
	ID string // told as app_id
	// ClientID and ClientSecret are the app's own. An app without a secret is a public client: its codes need the
	// PKCE verifier, and only it may redirect to plain http on loopback.
	ClientID, ClientSecret string
	// RedirectURLs are where it may send its installers: to these, or below. None = to wherever Slack allows an app.
	RedirectURLs []string
	// Scopes are the user scopes that it may ask for.
	Scopes []string
	// Rotation makes tokens expire and come with refresh tokens.
	Rotation bool
	// TokenLife is how long an access token lasts. Default 12h.
	TokenLife time.Duration
	// Grace is how long a refresh token still works after its first use. Default 30s; below 0 = not at all.
	Grace time.Duration
	// GraceReplaces has a second use of a refresh token end the refresh token that the use before it gave.
	GraceReplaces bool
	// RefreshInAuthedUser has a refreshed user token stand under authed_user, as a new one does; otherwise it stands
	// at the top. Sources disagree.
	RefreshInAuthedUser bool
	// Installer is who approves; its Scopes are replaced by what was asked for.
	Installer Identity
	// Declines makes the installer click Cancel.
	Declines bool
}

// isPublic tells an app that runs where it can't keep a secret.
func (a *App) isPublic() bool { return a.ClientSecret == "" }

// oauth is what Slack knows of apps and of what they were allowed.
type oauth struct {
	apps      map[string]*App // by client id
	codes     map[string]*grant
	installs  map[installKey]*installation
	refreshes map[string]*refreshToken
}

func newOAuth() oauth {
	return oauth{
		apps: map[string]*App{}, codes: map[string]*grant{}, installs: map[installKey]*installation{},
		refreshes: map[string]*refreshToken{},
	}
}

// grant is what a code stands for.
type grant struct {
	clientID            string
	redirect, challenge string // as they were sent, if they were
	user, bot           []string
	until               time.Time
}

// installation is an app with one of its installers: his own token and the bot's are two.
type installation struct {
	installKey
	id     Identity // with all that was ever allowed
	access []string // oldest first
}

type installKey struct {
	clientID, team, user string
	bot                  bool
}

type refreshToken struct {
	of         *installation
	born, used time.Time // used is zero until then
	next       string    // what its last use gave
	over       bool
}

// pair is what an app gets for a code or a refresh token.
type pair struct {
	of              *installation
	access, refresh string
	expiresIn       int
}

// SetApp makes an app known, or changes it. What it was allowed before stays.
func (s *Server) SetApp(app App) {
	app.Scopes, app.RedirectURLs = slices.Clone(app.Scopes), slices.Clone(app.RedirectURLs)
	app.Installer.Teams = slices.Clone(app.Installer.Teams)
	if app.TokenLife == 0 {
		app.TokenLife = 12 * time.Hour
	}
	if app.Grace == 0 {
		app.Grace = 30 * time.Second
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oauth.apps[app.ClientID] = &app
}

// InstallApp gives the tokens that an app would have had if its installer had allowed all of App.Scopes; refresh is
// empty without rotation. It panics if there is no such app.
func (s *Server) InstallApp(clientID string) (access, refresh string) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	app := s.oauth.apps[clientID]
	if app == nil {
		panic(fmt.Sprintf("slacktest: no app %q", clientID))
	}
	p := s.issue(app, s.install(app, app.Scopes, false), now)
	return p.access, p.refresh
}

// ExpireTokens ends all access tokens of an app by Slack's clock; its refresh tokens stay as they are.
func (s *Server) ExpireTokens(clientID string) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.tokens {
		if a.of != nil && a.of.clientID == clientID && a.live(now) {
			a.expires = now
		}
	}
}

// install allows an app more scopes: Slack never takes one away.
func (s *Server) install(app *App, scopes []string, bot bool) *installation {
	key := installKey{app.ClientID, app.Installer.TeamID, app.Installer.UserID, bot}
	in := s.oauth.installs[key]
	if in == nil {
		in = &installation{installKey: key}
		s.oauth.installs[key] = in
	}
	scopes = slices.Concat(in.id.Scopes, scopes)
	slices.Sort(scopes)
	in.id = app.Installer
	in.id.Scopes, in.id.AppID = slices.Compact(scopes), app.ID
	if bot {
		in.id.UserID, in.id.User, in.id.BotID = "U0BOT"+app.ID, "bot", "B0"+app.ID
	}
	return in
}

// issue gives an installation a token, and a refresh token if the app has rotation. Without it the token is the one
// that the app already has.
func (s *Server) issue(app *App, in *installation, now time.Time) pair {
	in.access = slices.DeleteFunc(in.access, func(token string) bool { return !s.tokens[token].live(now) })
	if n := len(in.access); n > 0 && !app.Rotation {
		p := pair{of: in, access: in.access[n-1]}
		s.tokens[p.access].id = in.id
		return p
	}
	if len(in.access) >= maxLiveTokens {
		s.tokens[in.access[0]].revoked = true
		in.access = in.access[1:]
	}
	kind := "xoxp-"
	if in.bot {
		kind = "xoxb-"
	}
	p := pair{of: in, access: kind + rand.Text()}
	a := &account{id: in.id, of: in}
	if app.Rotation {
		p = pair{of: in, access: "xoxe." + kind + "1-" + rand.Text(), refresh: "xoxe-1-" + rand.Text(), expiresIn: int(app.TokenLife / time.Second)}
		a.expires = now.Add(app.TokenLife)
		s.oauth.refreshes[p.refresh] = &refreshToken{of: in, born: now}
	}
	s.tokens[p.access] = a
	in.access = append(in.access, p.access)
	return p
}

// withClient adds to a form what the header says of the app.
func withClient(form url.Values, r *http.Request) url.Values {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return form
	}
	for name, text := range map[string]string{"client_id": id, "client_secret": secret} {
		if plain, err := url.QueryUnescape(text); err == nil { // as RFC 6749 has it
			text = plain
		}
		form.Set(name, text)
	}
	return form
}

// exchange gives tokens for a code or a refresh token.
func (s *Server) exchange(form url.Values, now time.Time) answer {
	app := s.oauth.apps[form.Get("client_id")]
	switch {
	case app == nil:
		return *refusal("invalid_client_id")
	case !app.isPublic() && form.Get("client_secret") != app.ClientSecret:
		return *refusal("bad_client_secret")
	}
	switch form.Get("grant_type") {
	case "", "authorization_code":
		return s.redeem(app, form, now)
	case "refresh_token":
		return s.refresh(app, form.Get("refresh_token"), now)
	default:
		return *refusal("invalid_grant_type")
	}
}

// redeem takes a code. One that was refused can still be used.
func (s *Server) redeem(app *App, form url.Values, now time.Time) answer {
	g := s.oauth.codes[form.Get("code")]
	switch {
	case g == nil || g.clientID != app.ClientID || !now.Before(g.until):
		return *refusal("invalid_code")
	case g.redirect != "" && form.Get("redirect_uri") != g.redirect:
		return *refusal("bad_redirect_uri")
	case !app.isPublic() && form.Get("code_verifier") != "":
		return *refusal("pkce_not_allowed")
	case app.isPublic() && (g.challenge == "" || challenge(form.Get("code_verifier")) != g.challenge):
		return *refusal("invalid_code_verifier")
	}
	delete(s.oauth.codes, form.Get("code"))
	v := object{{"ok", true}}
	user := object{{"id", app.Installer.UserID}}
	if len(g.bot) > 0 {
		p := s.issue(app, s.install(app, g.bot, true), now)
		v = append(append(v, p.members()...), member{"bot_user_id", p.of.id.UserID})
	}
	if len(g.user) > 0 {
		user = append(user, s.issue(app, s.install(app, g.user, false), now).members()...)
	}
	v = append(v, member{"app_id", app.ID}, member{"authed_user", user})
	return jsonAnswer(http.StatusOK, append(v, where(app.Installer)...))
}

// refresh takes a refresh token.
func (s *Server) refresh(app *App, token string, now time.Time) answer {
	r := s.oauth.refreshes[token]
	if r == nil || r.of.clientID != app.ClientID || !r.works(app, now) {
		return *refusal("invalid_refresh_token")
	}
	if r.used.IsZero() {
		r.used = now
	} else if app.GraceReplaces {
		s.oauth.refreshes[r.next].over = true
	}
	p := s.issue(app, r.of, now)
	r.next = p.refresh

	v := object{{"ok", true}}
	if app.RefreshInAuthedUser && !r.of.bot {
		v = append(v, member{"authed_user", append(object{{"id", r.of.id.UserID}}, p.members()...)})
	} else {
		v = append(v, p.members()...)
	}
	v = append(v, member{"app_id", app.ID})
	return jsonAnswer(http.StatusOK, append(v, where(r.of.id)...))
}

// works tells whether a refresh token can be used, again if need be.
func (r *refreshToken) works(app *App, now time.Time) bool {
	usedUp := !r.used.IsZero() && now.Sub(r.used) > app.Grace
	tooOld := app.isPublic() && now.Sub(r.born) >= publicRefreshLife
	return app.Rotation && !r.over && !usedUp && !tooOld
}

// members is how an answer shows a pair.
func (p pair) members() object {
	kind := "user"
	if p.of.bot {
		kind = "bot"
	}
	v := object{{"scope", p.of.id.scopes()}, {"access_token", p.access}, {"token_type", kind}}
	if p.refresh != "" {
		v = append(v, member{"expires_in", p.expiresIn}, member{"refresh_token", p.refresh})
	}
	return v
}

// where says where an app was installed: an organisation is no team.
func where(id Identity) object {
	v := object{{"team", nil}, {"enterprise", nil}, {"is_enterprise_install", id.IsEnterpriseInstall}}
	if !id.IsEnterpriseInstall {
		v[0].value = object{{"id", id.TeamID}, {"name", id.Team}}
	}
	if id.EnterpriseID != "" {
		v[1].value = object{{"id", id.EnterpriseID}, {"name", id.EnterpriseName}}
	}
	return v
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	appID  = "111.222"
	secret = "not-for-everybody"
	back   = "https://collector.example/slack"
)

// confidential is an app as most are; a test changes what it is about.
func confidential(change func(*App)) App {
	app := App{
		ID: "A1", ClientID: appID, ClientSecret: secret, RedirectURLs: []string{back},
		Scopes: []string{auditScope, adminScope}, Installer: NewOrganisation(1).Identity(),
	}
	if change != nil {
		change(&app)
	}
	return app
}

func rotating(app *App) { app.Rotation = true }

func public(app *App) {
	app.ClientSecret, app.RedirectURLs = "", []string{"http://localhost:8080/back", "https://collector.example/"}
}

// values are the pairs of a query or form.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// click opens the authorize page and tells where that leads, or what the page says.
func click(t *testing.T, s *Server, query url.Values) (to *url.URL, page string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, PathAuthorize+"?"+query.Encode(), nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusFound {
		require.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Header().Get("Content-Type"), "text/html")
		return nil, w.Body.String()
	}
	to, err := url.Parse(w.Header().Get("Location"))
	require.NoError(t, err)
	return to, ""
}

// code is one for an app that asks for this.
func code(t *testing.T, s *Server, more ...string) string {
	t.Helper()
	query := values("client_id", appID, "redirect_uri", back, "user_scope", auditScope)
	maps.Copy(query, values(more...))
	to, page := click(t, s, query)
	require.Empty(t, page)
	require.NotEmpty(t, to.Query().Get("code"))
	return to.Query().Get("code")
}

type given struct {
	OK      bool
	Error   string
	Access  string  `json:"access_token"`
	Refresh string  `json:"refresh_token"`
	Expires float64 `json:"expires_in"`
	Type    string  `json:"token_type"`
	Scope   string
	User    struct {
		ID      string
		Access  string  `json:"access_token"`
		Refresh string  `json:"refresh_token"`
		Expires float64 `json:"expires_in"`
		Type    string  `json:"token_type"`
		Scope   string
	} `json:"authed_user"`
}

// post sends a form without sockets and returns the answer's body.
func post(t *testing.T, s *Server, path string, form url.Values, change func(*http.Request)) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://slack.test"+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	res, err := s.Transport().RoundTrip(r)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	return string(body)
}

// exchange is a call of the app to oauth.v2.access.
func exchange(t *testing.T, s *Server, pairs ...string) given {
	t.Helper()
	form := values("client_id", appID, "client_secret", secret)
	maps.Copy(form, values(pairs...))
	var g given
	require.NoError(t, json.Unmarshal([]byte(post(t, s, PathExchange, form, nil)), &g))
	return g
}

func refresh(t *testing.T, s *Server, token string) given {
	t.Helper()
	return exchange(t, s, "grant_type", "refresh_token", "refresh_token", token)
}

// authError is what auth.test says to a token, "" = that it is good.
func authError(t *testing.T, s *Server, token string) string {
	t.Helper()
	_, body := call(t, s, PathAuthTest, token)
	var v given
	require.NoError(t, json.Unmarshal([]byte(body), &v))
	assert.Equal(t, v.OK, v.Error == "")
	return v.Error
}

// anyToken is a token of any kind in JSON.
var anyToken = regexp.MustCompile(`(xox[bp]-|xoxe\.xox[bp]-1-|xoxe-1-)\w+`)

func TestAuthorize(t *testing.T) {
	ask := func(pairs ...string) url.Values {
		query := values("client_id", appID, "redirect_uri", back, "user_scope", "auditlogs:read", "state", "s1")
		maps.Copy(query, values(pairs...))
		return query
	}
	declining := func(app *App) { app.Declines = true }
	anywhere := func(app *App) { app.RedirectURLs = nil }
	publicAnywhere := func(app *App) { public(app); anywhere(app) }
	pkce := []string{"code_challenge", challenge("v"), "code_challenge_method", "S256", "redirect_uri", "http://localhost:8080/back"}
	for _, tt := range []struct {
		name   string
		change func(*App)
		query  url.Values
		to     string // CODE stands for any
		page   string // Slack's code
	}{
		{name: "allowed", query: ask(), to: back + "?code=CODE&state=s1"},
		{name: "more scopes", query: ask("user_scope", "auditlogs:read,admin"), to: back + "?code=CODE&state=s1"},
		{name: "scopes of a bot", query: ask("scope", "chat:write"), to: back + "?code=CODE&state=s1"},
		{name: "no state", query: values("client_id", appID, "redirect_uri", back, "user_scope", "admin"), to: back + "?code=CODE"},
		{name: "below", query: ask("redirect_uri", back+"/a?b=c"), to: back + "/a?b=c&code=CODE&state=s1"},
		{name: "the only one", query: ask("redirect_uri", ""), to: back + "?code=CODE&state=s1"},
		{name: "cancelled", change: declining, query: ask(), to: back + "?error=access_denied&state=s1"},
		{name: "public", change: public, query: ask(pkce...), to: "http://localhost:8080/back?code=CODE&state=s1"},
		{name: "public on the web", change: public, query: ask(), to: back + "?code=CODE&state=s1"},
		{name: "anywhere", change: anywhere, query: ask("redirect_uri", "https://127.0.0.1:9/x"), to: "https://127.0.0.1:9/x?code=CODE&state=s1"},
		{name: "public anywhere", change: publicAnywhere, query: ask("redirect_uri", "http://127.0.0.1:9/"), to: "http://127.0.0.1:9/?code=CODE&state=s1"},

		{name: "unknown app", query: ask("client_id", "1.2"), page: "invalid_client_id"},
		{name: "another host", query: ask("redirect_uri", "https://elsewhere.example/slack"), page: "bad_redirect_uri"},
		{name: "another port", query: ask("redirect_uri", "https://collector.example:8443/slack"), page: "bad_redirect_uri"},
		{name: "beside", query: ask("redirect_uri", back+"y"), page: "bad_redirect_uri"},
		{name: "above", query: ask("redirect_uri", "https://collector.example/"), page: "bad_redirect_uri"},
		{name: "fragment", query: ask("redirect_uri", back+"#x"), page: "bad_redirect_uri"},
		{name: "no TLS", query: ask("redirect_uri", "http://collector.example/slack"), page: "bad_redirect_uri"},
		{name: "no URL", query: ask("redirect_uri", "::"), page: "bad_redirect_uri"},
		{name: "nowhere", change: anywhere, query: ask("redirect_uri", ""), page: "bad_redirect_uri"},
		{name: "plain loopback", change: anywhere, query: ask("redirect_uri", "http://localhost:8080/back"), page: "bad_redirect_uri"},
		{name: "plain network", change: publicAnywhere, query: ask("redirect_uri", "http://192.0.2.1/"), page: "bad_redirect_uri"},
		{name: "unknown scope", query: ask("user_scope", "auditlogs:read,users:read"), page: "invalid_scope"},
		{name: "scopes with blanks", query: ask("user_scope", "auditlogs:read admin"), page: "invalid_scope"},
		{name: "no scope", query: ask("user_scope", ""), page: "no_scopes"},
		{name: "a bot on a desktop", change: public, query: ask(append(pkce, "scope", "chat:write")...), page: "invalid_scope"},
		{name: "needless PKCE", query: ask(pkce[:4]...), page: "pkce_not_allowed"},
		{name: "plain PKCE", change: public, query: ask("code_challenge", "v"), page: "invalid_code_challenge_method"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newTestServer(Options{})
			s.SetApp(confidential(tt.change))
			to, page := click(t, s, tt.query)
			if tt.page != "" {
				assert.Contains(t, page, "<p>Error details: "+tt.page+"</p>")
				return
			}
			require.NotNil(t, to, page)
			text := to.String()
			if code := to.Query().Get("code"); code != "" {
				text = strings.Replace(text, code, "CODE", 1)
			}
			assert.Equal(t, tt.to, text)
		})
	}
}

func TestAuthorizeIsGETOnly(t *testing.T) {
	s, _ := newTestServer(Options{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, PathAuthorize, nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

func TestExchangeAnswers(t *testing.T) {
	workspace := Identity{TeamID: "T1", Team: "Harbour", UserID: "U1", User: "ada"}
	both := workspace
	both.EnterpriseID, both.EnterpriseName = "E1", "Brightwater"
	for _, tt := range []struct {
		name   string
		change func(*App)
		ask    []string
		want   string
	}{
		{
			"organisation", nil,
			[]string{"user_scope", "auditlogs:read,admin"},
			`{"ok":true,"app_id":"A1","authed_user":{"id":"W0PEOPLE00","scope":"admin,auditlogs:read","access_token":"xoxp-…","token_type":"user"},` +
				`"team":null,"enterprise":{"id":"E04BRIGHTWA","name":"Brightwater"},"is_enterprise_install":true}`,
		}, {
			"workspace, rotating", func(a *App) { rotating(a); a.Installer = workspace }, nil,
			`{"ok":true,"app_id":"A1","authed_user":{"id":"U1","scope":"auditlogs:read","access_token":"xoxe.xoxp-1-…","token_type":"user","expires_in":43200,"refresh_token":"xoxe-1-…"},` +
				`"team":{"id":"T1","name":"Harbour"},"enterprise":null,"is_enterprise_install":false}`,
		}, {
			"workspace of an organisation, with a bot", func(a *App) { a.Installer = both },
			[]string{"scope", "chat:write"},
			`{"ok":true,"scope":"chat:write","access_token":"xoxb-…","token_type":"bot","bot_user_id":"U0BOTA1","app_id":"A1",` +
				`"authed_user":{"id":"U1","scope":"auditlogs:read","access_token":"xoxp-…","token_type":"user"},` +
				`"team":{"id":"T1","name":"Harbour"},"enterprise":{"id":"E1","name":"Brightwater"},"is_enterprise_install":false}`,
		}, {
			"bot only, rotating", func(a *App) { rotating(a); a.Installer = workspace },
			[]string{"scope", "chat:write", "user_scope", ""},
			`{"ok":true,"scope":"chat:write","access_token":"xoxe.xoxb-1-…","token_type":"bot","expires_in":43200,"refresh_token":"xoxe-1-…","bot_user_id":"U0BOTA1","app_id":"A1",` +
				`"authed_user":{"id":"U1"},"team":{"id":"T1","name":"Harbour"},"enterprise":null,"is_enterprise_install":false}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newTestServer(Options{})
			app := confidential(tt.change)
			s.SetApp(app)
			form := values("client_id", appID, "client_secret", secret, "redirect_uri", back, "code", code(t, s, tt.ask...))
			body := post(t, s, PathExchange, form, nil)
			assert.JSONEq(t, strings.ReplaceAll(tt.want, "W0PEOPLE00", app.Installer.UserID), anyToken.ReplaceAllString(body, "$1…"))
		})
	}
}

func TestExchangeRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*App)
		pairs  []string
		want   string
	}{
		{"good", nil, nil, ""},
		{"named grant", nil, []string{"grant_type", "authorization_code"}, ""},
		{"unknown app", nil, []string{"client_id", "1.2"}, "invalid_client_id"},
		{"no app", nil, []string{"client_id", ""}, "invalid_client_id"},
		{"wrong secret", nil, []string{"client_secret", "x"}, "bad_client_secret"},
		{"no secret", nil, []string{"client_secret", ""}, "bad_client_secret"},
		{"another redirect", nil, []string{"redirect_uri", back + "/"}, "bad_redirect_uri"},
		{"no redirect", nil, []string{"redirect_uri", ""}, "bad_redirect_uri"},
		{"wrong code", nil, []string{"code", "x"}, "invalid_code"},
		{"unknown grant", nil, []string{"grant_type", "password"}, "invalid_grant_type"},
		{"needless verifier", nil, []string{"code_verifier", "v"}, "pkce_not_allowed"},
		{"public", public, []string{"code_verifier", "v", "client_secret", ""}, ""},
		{"public without verifier", public, []string{"client_secret", ""}, "invalid_code_verifier"},
		{"public with another verifier", public, []string{"code_verifier", "w"}, "invalid_code_verifier"},
		{"unknown refresh token", rotating, []string{"grant_type", "refresh_token", "refresh_token", "xoxe-1-x"}, "invalid_refresh_token"},
		{"no refresh token", rotating, []string{"grant_type", "refresh_token"}, "invalid_refresh_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newTestServer(Options{})
			app := confidential(tt.change)
			s.SetApp(app)
			var pkce []string
			if app.isPublic() {
				pkce = []string{"code_challenge", challenge("v"), "code_challenge_method", "S256"}
			}
			good := []string{"redirect_uri", back, "code", code(t, s, pkce...)}
			g := exchange(t, s, append(good, tt.pairs...)...)
			assert.Equal(t, tt.want, g.Error)
			assert.Equal(t, tt.want == "", g.OK)
			if tt.want != "" {
				assert.Empty(t, g.User.Access)
			}
		})
	}
}

func TestPublicCodeNeedsChallenge(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(public))
	for _, verifier := range []string{"", "v"} {
		g := exchange(t, s, "redirect_uri", back, "code", code(t, s), "code_verifier", verifier)
		assert.Equal(t, "invalid_code_verifier", g.Error)
	}
}

func TestCodes(t *testing.T) {
	s, c := newTestServer(Options{})
	s.SetApp(confidential(nil))
	other := confidential(nil)
	other.ClientID = "3.4"
	s.SetApp(other)
	take := func(code, client string) string {
		return exchange(t, s, "redirect_uri", back, "code", code, "client_id", client).Error
	}
	first, second, third := code(t, s), code(t, s), code(t, s)
	assert.Equal(t, "invalid_code", take(first, "3.4"), "it is another app's")
	assert.Empty(t, take(first, appID), "a refused use is none")
	assert.Equal(t, "invalid_code", take(first, appID), "once")
	c.pass(codeLife - time.Second)
	assert.Empty(t, take(second, appID))
	c.pass(time.Second)
	assert.Equal(t, "invalid_code", take(third, appID), "10 minutes")
}

// The header is the better place for the app's own secret.
func TestExchangeByHeader(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(func(a *App) { a.ClientSecret = "a b/ü" }))
	by := func(id, secret string) string {
		return post(t, s, PathExchange, values("redirect_uri", back, "code", code(t, s)), func(r *http.Request) {
			r.SetBasicAuth(id, secret)
		})
	}
	assert.Contains(t, by(appID, url.QueryEscape("a b/ü")), `"ok":true`)
	assert.Contains(t, by(appID, "b"), "bad_client_secret")
	assert.Contains(t, by("1.2", "b"), "invalid_client_id")

	body := post(t, s, PathExchange, values("client_id", appID), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	assert.Contains(t, body, "invalid_client_id", "that is no form")
}

// Without rotation an app has one token, to which scopes are added.
func TestScopesAdd(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(nil))
	first := exchange(t, s, "redirect_uri", back, "code", code(t, s)).User
	second := exchange(t, s, "redirect_uri", back, "code", code(t, s, "user_scope", "admin")).User
	assert.Equal(t, first.Access, second.Access)
	assert.Equal(t, "auditlogs:read", first.Scope)
	assert.Equal(t, "admin,auditlogs:read", second.Scope)
	res, _ := call(t, s, PathAuthTest, first.Access)
	assert.Equal(t, "admin,auditlogs:read", res.Header.Get("X-OAuth-Scopes"))

	s.Revoke(first.Access)
	assert.Equal(t, "token_revoked", authError(t, s, first.Access))
	third, none := s.InstallApp(appID)
	assert.NotEqual(t, first.Access, third)
	assert.Empty(t, none)
	assert.Empty(t, authError(t, s, third))
	s.Restore(first.Access)
	assert.Empty(t, authError(t, s, first.Access))
	assert.Panics(t, func() { s.InstallApp("1.2") })
}

func TestRotation(t *testing.T) {
	s, c := newTestServer(Options{})
	s.SetApp(confidential(func(a *App) { rotating(a); a.TokenLife = time.Hour }))
	access, token := s.InstallApp(appID)
	assert.True(t, strings.HasPrefix(access, "xoxe.xoxp-1-"), access)
	assert.True(t, strings.HasPrefix(token, "xoxe-1-"), token)

	res, body := call(t, s, PathAuthTest, access)
	assert.Contains(t, body, `"app_id":"A1"`)
	assert.Contains(t, body, `"expires_in":3600`)
	assert.Equal(t, "admin,auditlogs:read", res.Header.Get("X-OAuth-Scopes"))
	c.pass(time.Hour - time.Second)
	_, body = call(t, s, PathAuthTest, access)
	assert.Contains(t, body, `"expires_in":1`)
	c.pass(time.Second)
	for _, path := range []string{PathAuthTest, PathTeams, PathAccess, PathIntegration} {
		_, body = call(t, s, path, access)
		assert.Equal(t, `{"ok":false,"error":"token_expired"}`, body, path)
	}
	res, body = call(t, s, PathAudit, access)
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	assert.Empty(t, body)

	g := refresh(t, s, token)
	assert.True(t, g.OK)
	assert.Equal(t, "user", g.Type)
	assert.Equal(t, "admin,auditlogs:read", g.Scope)
	assert.InDelta(t, 3600, g.Expires, 0)
	assert.Empty(t, g.User)
	assert.Empty(t, authError(t, s, g.Access))

	s.SetToken(AnyToken, Identity{})
	assert.Equal(t, "token_expired", authError(t, s, access), "not even where any token is good")
	assert.Empty(t, authError(t, s, "xoxp-any"))
}

func TestRefreshInAuthedUser(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(func(a *App) { rotating(a); a.RefreshInAuthedUser = true }))
	_, token := s.InstallApp(appID)
	g := refresh(t, s, token)
	assert.Empty(t, g.Access+g.Refresh+g.Type)
	assert.Equal(t, "user", g.User.Type)
	assert.NotEmpty(t, g.User.ID)
	assert.InDelta(t, 43200, g.User.Expires, 0)
	assert.Empty(t, authError(t, s, g.User.Access))
	assert.True(t, refresh(t, s, g.User.Refresh).OK)

	bot := exchange(t, s, "redirect_uri", back, "code", code(t, s, "scope", "chat:write"))
	assert.Equal(t, "bot", refresh(t, s, bot.Refresh).Type, "a bot's stands at the top all the same")
}

func TestRefreshTokenGrace(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*App)
		wait   time.Duration
		again  string // what a second use gets
		first  string // what the refresh token of the first use gets after that
	}{
		{name: "within", wait: 30 * time.Second},
		{name: "after", wait: 31 * time.Second, again: "invalid_refresh_token"},
		{name: "longer", change: func(a *App) { a.Grace = time.Hour }, wait: time.Hour},
		{name: "none", change: func(a *App) { a.Grace = -1 }, again: "invalid_refresh_token"},
		{name: "replacing", change: func(a *App) { a.GraceReplaces = true }, first: "invalid_refresh_token"},
		{name: "replacing, but after", change: func(a *App) { a.GraceReplaces = true }, wait: time.Hour, again: "invalid_refresh_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := newTestServer(Options{})
			s.SetApp(confidential(func(a *App) {
				rotating(a)
				if tt.change != nil {
					tt.change(a)
				}
			}))
			_, token := s.InstallApp(appID)
			first := refresh(t, s, token)
			require.True(t, first.OK)
			c.pass(tt.wait)
			again := refresh(t, s, token)
			assert.Equal(t, tt.again, again.Error)
			assert.Equal(t, tt.first, refresh(t, s, first.Refresh).Error)
			if again.OK {
				assert.True(t, refresh(t, s, again.Refresh).OK)
			}
		})
	}
}

func TestTwoLiveTokens(t *testing.T) {
	s, c := newTestServer(Options{})
	s.SetApp(confidential(rotating))
	first, token := s.InstallApp(appID)
	second := refresh(t, s, token)
	assert.Empty(t, authError(t, s, first), "two live together")
	third := refresh(t, s, second.Refresh)
	assert.Equal(t, "token_revoked", authError(t, s, first))
	assert.Empty(t, authError(t, s, second.Access))
	assert.Empty(t, authError(t, s, third.Access))
	_, body := call(t, s, PathAudit, first)
	assert.Empty(t, body)

	c.pass(12 * time.Hour)
	fourth := refresh(t, s, third.Refresh)
	fifth := refresh(t, s, fourth.Refresh)
	assert.Equal(t, "token_expired", authError(t, s, second.Access), "what has expired does not count")
	assert.Empty(t, authError(t, s, fourth.Access))
	assert.Empty(t, authError(t, s, fifth.Access))
}

func TestExpireTokens(t *testing.T) {
	s, c := newTestServer(Options{})
	s.SetApp(confidential(rotating))
	other := confidential(rotating)
	other.ClientID = "3.4"
	s.SetApp(other)
	mine, token := s.InstallApp(appID)
	others, _ := s.InstallApp("3.4")
	s.ExpireTokens(appID)
	assert.Equal(t, "token_expired", authError(t, s, mine))
	assert.Empty(t, authError(t, s, others))
	_, body := call(t, s, PathTeams, testTokenSetByHand(s))
	assert.Contains(t, body, `"ok":true`)
	g := refresh(t, s, token)
	assert.Empty(t, authError(t, s, g.Access))
	assert.Equal(t, "invalid_refresh_token", exchange(t, s, "client_id", "3.4", "grant_type", "refresh_token", "refresh_token", g.Refresh).Error)
	c.pass(365 * 24 * time.Hour)
	assert.True(t, refresh(t, s, g.Refresh).OK, "it has no end")
}

// testTokenSetByHand is a token that no app was given.
func testTokenSetByHand(s *Server) string {
	s.SetToken("xoxp-hand", Identity{TeamID: "T1"})
	return "xoxp-hand"
}

func TestPublicRefreshTokens(t *testing.T) {
	s, c := newTestServer(Options{})
	s.SetApp(confidential(func(a *App) { public(a); rotating(a) }))
	_, token := s.InstallApp(appID)
	c.pass(publicRefreshLife - time.Second)
	g := exchange(t, s, "client_secret", "", "grant_type", "refresh_token", "refresh_token", token)
	require.True(t, g.OK)
	c.pass(publicRefreshLife)
	assert.Equal(t, "invalid_refresh_token", refresh(t, s, g.Refresh).Error)
}

// Each method says why a token is not good; the audit API does not.
func TestTokenStates(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(rotating))
	revoked, _ := s.InstallApp(appID)
	s.Revoke(revoked)
	expired, _ := s.InstallApp(appID)
	s.ExpireTokens(appID)
	s.SetToken("xoxp-hand", Identity{})
	s.Revoke("xoxp-hand")
	for _, tt := range []struct{ name, token, want string }{
		{"none", "", "not_authed"},
		{"unknown", "xoxp-unknown", "invalid_auth"},
		{"revoked", revoked, "token_revoked"},
		{"expired", expired, "token_expired"},
		{"revoked, set by hand", "xoxp-hand", "invalid_auth"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{PathAuthTest, PathTeams, PathAccess, PathIntegration} {
				res, body := call(t, s, path, tt.token)
				assert.Equal(t, http.StatusOK, res.StatusCode, path)
				assert.Equal(t, `{"ok":false,"error":"`+tt.want+`"}`, body, path)
				assert.Empty(t, res.Header.Get("X-OAuth-Scopes"))
			}
			res, body := call(t, s, PathAudit, tt.token)
			assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
			assert.Empty(t, body)
		})
	}
}

func TestTokenInForm(t *testing.T) {
	s, _ := newTestServer(Options{})
	assert.Contains(t, post(t, s, PathAuthTest, values("token", token), nil), `"ok":true`)
	assert.Contains(t, post(t, s, PathAuthTest, values("token", "xoxp-wrong"), nil), "invalid_auth")
	assert.Contains(t, post(t, s, PathAuthTest, values("token", token), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer xoxp-wrong")
	}), "invalid_auth", "the header counts")
	s.SetToken(AnyToken, Identity{})
	assert.Contains(t, post(t, s, PathAuthTest, nil, func(r *http.Request) { r.SetBasicAuth("a", "b") }), "not_authed")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, PathAudit, nil)
	r.SetBasicAuth("a", "b")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUnauthorized, w.Code, "that is no token")
}

func TestBotTokens(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(nil))
	bot := exchange(t, s, "redirect_uri", back, "code", code(t, s, "scope", "chat:write")).Access
	_, body := call(t, s, PathAuthTest, bot)
	assert.Contains(t, body, `"user_id":"U0BOTA1","bot_id":"B0A1","app_id":"A1"`)
	for _, path := range []string{PathAccess, PathIntegration} {
		_, body := call(t, s, path, bot)
		assert.Equal(t, `{"ok":false,"error":"not_allowed_token_type"}`, body)
	}
	res, body := call(t, s, PathAudit, bot)
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
	assert.Equal(t, `{"ok":false,"error":"not_allowed_token_type"}`, body)
}

// Nothing of what must stay secret is remembered, wherever it was sent.
func TestSecretsAreNotRemembered(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetApp(confidential(rotating))
	used := code(t, s)
	g := exchange(t, s, "redirect_uri", back, "code", used).User
	refresh(t, s, g.Refresh)
	call(t, s, PathAuthTest, g.Access)
	assert.Empty(t, s.Violations())

	call(t, s, PathAuthTest, "", "token", "any")
	call(t, s, PathExchange, "", "client_secret", secret, "code", used)
	call(t, s, PathExchange, "", "refresh_token", g.Refresh)
	call(t, s, PathAudit, "", "cursor", g.Access)
	assert.Equal(t, []string{
		"call 5 to /api/auth.test: token in the query",
		"call 6 to /api/oauth.v2.access: client_secret in the query",
		"call 7 to /api/oauth.v2.access: refresh_token in the query",
		"call 8 to /audit/v1/logs: cursor in the query",
	}, s.Violations())
	said := fmt.Sprintf("%+v", s.Calls())
	for _, text := range []string{secret, used, g.Access, g.Refresh} {
		assert.NotContains(t, said, text)
	}
}

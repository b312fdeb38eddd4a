// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthTestTellsOfTheToken(t *testing.T) {
	t.Parallel()
	const ada = `"ok":true,"team_id":"T04BWLABORA","user":"ada","user_id":"U04ADA"`
	for _, tt := range []struct {
		name, body string
		header     []string
		want       TokenInfo
	}{
		{
			name: "all of it", body: `{` + ada + `,"bot_id":"B1","app_id":"A1","expires_in":43200}`,
			header: []string{"X-OAuth-Scopes", "auditlogs:read, admin"},
			want: TokenInfo{
				UserID: "U04ADA", User: "ada", BotID: "B1", AppID: "A1", ExpiresIn: 12 * time.Hour,
				Scopes: []string{"auditlogs:read", "admin"},
			},
		},
		{name: "no scopes told", body: `{` + ada + `}`, want: TokenInfo{UserID: "U04ADA", User: "ada"}},
		{
			name: "no scope at all", body: `{` + ada + `}`, header: []string{"X-OAuth-Scopes", ""},
			want: TokenInfo{UserID: "U04ADA", User: "ada", Scopes: []string{}},
		},
		{name: "a life as text", body: `{` + ada + `,"expires_in":"60"}`, want: TokenInfo{UserID: "U04ADA", User: "ada", ExpiresIn: time.Minute}},
		{
			name: "odd types do not matter", body: `{"ok":true,"team_id":"T04BWLABORA","user":5,"bot_id":null,"app_id":{},"expires_in":"soon"}`,
			want: TokenInfo{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Identity = Identity{TeamID: "T04BWLABORA"}
			info, err := newClient(fixed(200, tt.body, tt.header...), &testClock{now: startTime}, nil).AuthTest(t.Context())
			require.NoError(t, err)
			assert.Equal(t, tt.want, info)
		})
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	const org = `"ok":true,"app_id":"A1","team":null,"enterprise":{"id":"E1","name":"Brightwater"},"is_enterprise_install":true`
	for _, tt := range []struct {
		name, body string
		want       Grant
		code       string
	}{
		{
			name: "of the organisation",
			body: `{` + org + `,"authed_user":{"id":"W1","scope":"auditlogs:read,admin","access_token":"xoxp-1","token_type":"user"}}`,
			want: Grant{
				Identity: Identity{EnterpriseID: "E1", EnterpriseName: "Brightwater"}, AppID: "A1", UserID: "W1",
				AccessToken: "xoxp-1", Scopes: []string{"auditlogs:read", "admin"},
			},
		},
		{
			name: "of a workspace of an organisation, with a bot beside",
			body: `{"ok":true,"app_id":"A1","access_token":"xoxb-1","scope":"team:read","team":{"id":"T1","name":"Labs"},"enterprise":{"id":"E1","name":"Brightwater"},"is_enterprise_install":false,"authed_user":{"id":"W1","scope":"admin","access_token":"xoxp-1"}}`,
			want: Grant{
				Identity: Identity{EnterpriseID: "E1", EnterpriseName: "Brightwater", TeamID: "T1", TeamName: "Labs"}, AppID: "A1", UserID: "W1",
				AccessToken: "xoxp-1", Scopes: []string{"admin"},
			},
		},
		{
			name: "that expires",
			body: `{` + org + `,"authed_user":{"id":"W1","access_token":"xoxe.xoxp-1","refresh_token":"xoxe-1","expires_in":43200}}`,
			want: Grant{
				Identity: Identity{EnterpriseID: "E1", EnterpriseName: "Brightwater"}, AppID: "A1", UserID: "W1",
				AccessToken: "xoxe.xoxp-1", RefreshToken: "xoxe-1", ExpiresIn: 12 * time.Hour,
			},
		},
		{
			name: "a refresh that has the user's at the top",
			body: `{` + org + `,"access_token":"xoxe.xoxp-2","refresh_token":"xoxe-2","expires_in":43200,"token_type":"user","authed_user":{"id":"W1"}}`,
			want: Grant{
				Identity: Identity{EnterpriseID: "E1", EnterpriseName: "Brightwater"}, AppID: "A1", UserID: "W1",
				AccessToken: "xoxe.xoxp-2", RefreshToken: "xoxe-2", ExpiresIn: 12 * time.Hour,
			},
		},
		{name: "to a bot alone", body: `{` + org + `,"access_token":"xoxb-1","authed_user":{"id":"W1"}}`, code: "no_scopes"},
		{name: "refused", body: `{"ok":false,"error":"invalid_code"}`, code: "invalid_code"},
		{name: "no JSON", body: `<html>`, code: CodeUnreadable},
		{name: "a token for a terminal", body: `{` + org + `,"authed_user":{"id":"W1","access_token":"xoxp-1\u001b[2J"}}`, code: CodeUnreadable},
		{name: "a refresh token of two lines", body: `{` + org + `,"authed_user":{"id":"W1","access_token":"xoxe.xoxp-1","refresh_token":"xoxe-1\nx"}}`, code: CodeUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := newClient(fixed(200, tt.body), &testClock{now: startTime}, nil).
				ExchangeCode(t.Context(), App{ClientID: "1.2", ClientSecret: "s"}, "code", "https://example.com/slack", "")
			if tt.code != "" {
				assert.Equal(t, tt.code, asError(t, err).Code)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, g)
		})
	}
}

// What is secret travels in the body or a header: addresses stand in proxies' logs.
func TestGrantsAreAskedForWithoutAToken(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var form url.Values
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		form, err = url.ParseQuery(string(body))
		require.NoError(t, err)
		return fixed(200, `{"ok":true,"authed_user":{"access_token":"xoxp-1","refresh_token":"xoxe-2"}}`)(r)
	})
	client := newClient(transport, &testClock{now: startTime}, nil)

	_, err := client.Refresh(t.Context(), App{ClientID: "1.2", ClientSecret: "secret"}, "xoxe-1")
	require.NoError(t, err)
	assert.Equal(t, "POST https://slack.test/api/oauth.v2.access", got.Method+" "+got.URL.String())
	assert.Equal(t, "application/x-www-form-urlencoded", got.Header.Get("Content-Type"))
	id, secret, ok := got.BasicAuth()
	assert.True(t, ok)
	assert.Equal(t, "1.2 secret", id+" "+secret)
	assert.Equal(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"xoxe-1"}}, form)

	_, err = client.ExchangeCode(t.Context(), App{ClientID: "1.2"}, "code", "http://localhost:1/x", "verifier")
	require.NoError(t, err)
	assert.Empty(t, got.Header.Get("Authorization"))
	assert.Equal(t, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1.2"}, "code": {"code"},
		"redirect_uri": {"http://localhost:1/x"}, "code_verifier": {"verifier"},
	}, form)
}

// A refresh without a new refresh token would be the last one. Slack has not refused, so the refresh token may be used
// up.
func TestRefreshWantsBothTokens(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"ok":true,"access_token":"xoxe.xoxp-1","authed_user":{}}`,
		`{"ok":true,"refresh_token":"xoxe-2"}`,
		`{"ok":true}`,
	} {
		var o observed
		_, err := newClient(fixed(200, body), &testClock{now: startTime}, &o).Refresh(t.Context(), App{ClientID: "1.2", ClientSecret: "s"}, "xoxe-1")
		assert.Equal(t, CodeUnreadable, asError(t, err).Code, body)
		assert.Equal(t, []outcome{{MethodOAuth, CodeUnreadable}}, o.calls)
	}
}

// What was given for a refresh is used up: it is read as far as it goes, and an
// answer without it may be asked for again.
func TestRefreshOfOddAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, token, code string }{
		{
			name: "odd types beside", token: "xoxe.xoxp-2",
			body: `{"ok":true,"app_id":7,"scope":["admin"],"team":"T1","enterprise":[],"is_enterprise_install":"yes",` +
				`"authed_user":[],"access_token":"xoxe.xoxp-2","refresh_token":"xoxe-2"}`,
		},
		{name: "a bot's", body: `{"ok":true,"access_token":"xoxe.xoxb-2","refresh_token":"xoxe-2"}`, token: "xoxe.xoxb-2"},
		{name: "nothing", body: `{"ok":true}`, code: CodeUnreadable},
		{name: "a list", body: `[]`, code: CodeUnreadable},
		{name: "cut", body: `{"ok":true,"access_token":"xoxe.xoxp-2","refresh_to`, code: CodeUnreadable},
		{name: "refused with odd types", body: `{"ok":false,"error":"invalid_refresh_token","team":5}`, code: "invalid_refresh_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := newClient(fixed(200, tt.body), &testClock{now: startTime}, nil).
				Refresh(t.Context(), App{ClientID: "1.2", ClientSecret: "s"}, "xoxe-1")
			if tt.code != "" {
				assert.Equal(t, tt.code, asError(t, err).Code)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.token, string(g.AccessToken))
			assert.Equal(t, "xoxe-2", string(g.RefreshToken))
		})
	}
}

// A token that comes back in place of a scope is not repeated.
func TestNoTokenAmongTheScopes(t *testing.T) {
	t.Parallel()
	body := `{"ok":false,"error":"missing_scope","needed":"xoxe-1-SECRET","provided":"admin,xoxp-SECRET"}`
	_, err := newClient(fixed(200, body), &testClock{now: startTime}, nil).AuthTest(t.Context())
	require.ErrorContains(t, err, "missing_scope")
	assert.NotContains(t, err.Error(), "SECRET")
}

// tokenSource is a source of tokens that tells what it was told.
type tokenSource struct {
	token   string
	err     error
	refused []string
}

func (s *tokenSource) Token(context.Context) (string, error) { return s.token, s.err }
func (s *tokenSource) Refused(token, code string)            { s.refused = append(s.refused, token+" "+code) }

func TestTokenSource(t *testing.T) {
	t.Parallel()
	calls := 0
	body := `{"ok":false,"error":"token_expired"}`
	status := 200
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		calls++
		assert.Equal(t, "Bearer xoxe.xoxp-1", r.Header.Get("Authorization"))
		return fixed(status, body)(r)
	})
	source := &tokenSource{token: "xoxe.xoxp-1"}
	var o observed
	client := newClient(transport, &testClock{now: startTime}, &o)
	client.set.Tokens = source

	_, err := client.AuthTest(t.Context())
	assert.Equal(t, "token_expired", asError(t, err).Code)
	_, err = client.IntegrationLogs(t.Context(), ListQuery{Limit: 1})
	require.NoError(t, err)
	status, body = 401, ""
	_, err = client.AuditLogs(t.Context(), query())
	assert.Equal(t, "invalid_authentication", asError(t, err).Code)
	status, body = 200, `{"ok":false,"error":"missing_scope"}`
	_, err = client.AuthTest(t.Context())
	assert.Equal(t, "missing_scope", asError(t, err).Code)
	assert.Equal(t, []string{"xoxe.xoxp-1 token_expired", "xoxe.xoxp-1 invalid_authentication"}, source.refused)

	// Without a token there is no call, and none is counted.
	calls, o.calls = 0, nil
	source.err = newError(MethodOAuth, "invalid_refresh_token", "")
	_, err = client.AuthTest(t.Context())
	assert.Equal(t, "invalid_refresh_token", asError(t, err).Code)
	assert.Zero(t, calls)
	assert.Empty(t, o.calls)
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, audit, authorize string }{
		{Endpoint, "https://api.slack.com/audit/v1", "https://slack.com/oauth/v2/authorize"},
		{EndpointGov, "https://api.slack-gov.com/audit/v1", "https://slack-gov.com/oauth/v2/authorize"},
		{"https://www.slack.com:443/api/", "https://api.slack.com/audit/v1", "https://www.slack.com:443/oauth/v2/authorize"},
		{"https://slack.com:8443/api", "", "https://slack.com:8443/oauth/v2/authorize"},
		{"http://127.0.0.1:8765/api", "", "http://127.0.0.1:8765/oauth/v2/authorize"},
		{":", "", ":/oauth/v2/authorize"},
	} {
		assert.Equal(t, tt.audit, AuditEndpoint(tt.endpoint), tt.endpoint)
		assert.Equal(t, tt.authorize, AuthorizeEndpoint(tt.endpoint), tt.endpoint)
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"slack.com": false, "10.0.0.1": false, "0.0.0.0": false, "localhost.brightwater.example": false, "": false, "127.1": false,
	} {
		assert.Equal(t, want, IsLoopback(host), host)
	}
}

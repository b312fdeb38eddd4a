// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// allow asks the simulated Slack for scopes and returns the code that it sends back, or its page.
func (s simulation) allow(query string) (code, page string) {
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/oauth/v2/authorize?user_scope=auditlogs:read,admin&"+query, nil)
	require.NoError(s.t, err)
	res, err := client.Do(r)
	require.NoError(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	to, err := url.Parse(res.Header.Get("Location"))
	require.NoError(s.t, err)
	return to.Query().Get("code"), string(body)
}

// exchange posts a form to oauth.v2.access and returns the user's tokens, or what is wrong.
func (s simulation) exchange(form string) (access, refresh, problem string) {
	res, err := http.Post(s.url+"/api/oauth.v2.access", "application/x-www-form-urlencoded", strings.NewReader(form))
	require.NoError(s.t, err)
	defer res.Body.Close()
	type tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	var v struct {
		Error string
		tokens
		User tokens `json:"authed_user"`
	}
	require.NoError(s.t, json.NewDecoder(res.Body).Decode(&v))
	return cmp.Or(v.User.Access, v.Access), cmp.Or(v.User.Refresh, v.Refresh), v.Error
}

// says is the code that auth.test answers a token with, "" = it is good.
func (s simulation) says(token string) string {
	_, body := s.do(http.MethodPost, "/api/auth.test", token)
	var v struct{ Error string }
	require.NoError(s.t, json.Unmarshal([]byte(body), &v))
	return v.Error
}

func TestSimulateOAuth(t *testing.T) {
	const app = "client_id=111.222&client_secret=simulator-secret"
	s := start(t, "--backlog", "5", "--rate", "0", "--token", "xoxp-1")
	code, _ := s.allow("client_id=111.222&redirect_uri=https://localhost:9/back")
	access, refresh, problem := s.exchange(app + "&redirect_uri=https://localhost:9/back&code=" + code)
	assert.Empty(t, problem)
	assert.Empty(t, refresh)
	assert.True(t, strings.HasPrefix(access, "xoxp-"), "no rotation")
	for _, token := range []string{access, "xoxp-1"} {
		status, body := s.do(http.MethodGet, "/audit/v1/logs", token)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, 5, strings.Count(body, `"date_create":`))
	}
	assert.Equal(t, "invalid_auth", s.says("xoxp-2"))

	s = start(t, "--client-id", "3.4", "--client-secret", "", "--redirect-url", "http://localhost:9/back")
	_, page := s.allow("client_id=3.4&redirect_uri=http://localhost:9/elsewhere")
	assert.Contains(t, page, "bad_redirect_uri")
	code, page = s.allow("client_id=3.4&redirect_uri=http://localhost:9/back&code_challenge_method=S256" +
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
	assert.Empty(t, page)
	_, _, problem = s.exchange("client_id=3.4&redirect_uri=http://localhost:9/back&code=" + code)
	assert.Equal(t, "invalid_code_verifier", problem)
	access, _, problem = s.exchange("client_id=3.4&redirect_uri=http://localhost:9/back&code=" + code +
		"&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") // RFC 7636, appendix B
	assert.Empty(t, problem)
	assert.Empty(t, s.says(access))
}

func TestControlOAuth(t *testing.T) {
	const app = "client_id=111.222&client_secret=simulator-secret&grant_type=refresh_token&refresh_token="
	s := start(t, "--rate", "0", "--rotation", "--grace", "0", "--control")
	status, body := s.do(http.MethodPost, "/control/install", "")
	require.Equal(t, http.StatusOK, status)
	var first map[string]string
	require.NoError(t, json.Unmarshal([]byte(body), &first))
	access := first["access_token"]
	assert.Empty(t, s.says(access))
	_, body = s.do(http.MethodPost, "/api/auth.test", access)
	assert.Contains(t, body, `"expires_in":43`)

	s.do(http.MethodPost, "/control/expire", "")
	assert.Equal(t, "token_expired", s.says(access), "though any token is good")
	assert.Empty(t, s.says("xoxp-any"))
	next, _, problem := s.exchange(app + first["refresh_token"])
	assert.Empty(t, problem)
	assert.Empty(t, s.says(next))
	_, _, problem = s.exchange(app + first["refresh_token"])
	assert.Equal(t, "invalid_refresh_token", problem, "no grace")

	s.do(http.MethodPost, "/control/revoke?token="+next, "")
	assert.Equal(t, "token_revoked", s.says(next))
	assert.Empty(t, s.says("xoxp-any"))
	s.do(http.MethodPost, "/control/restore?token="+next, "")
	assert.Empty(t, s.says(next))

	s.do(http.MethodPost, "/control/deny?path=/api/auth.test&code=account_inactive", "")
	assert.Equal(t, "account_inactive", s.says(next))
	s.do(http.MethodPost, "/control/deny?path=/api/auth.test&code=", "")
	assert.Empty(t, s.says(next))
	assert.Empty(t, s.stats().Violations)
}

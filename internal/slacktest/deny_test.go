// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The codes that Slack's documentation and SDKs name.
var (
	auditCodes = strings.Fields(`bad_endpoint feature_not_enabled invalid_action invalid_authentication invalid_cursor
		invalid_range invalid_workspace method_not_allowed missing_authentication rate_limited team_not_authorized
		user_not_authorized`)
	webCodes = strings.Fields(`access_denied accesslimited account_inactive ekm_access_denied enterprise_is_restricted
		fatal_error internal_error invalid_auth invalid_cursor invalid_limit invalid_team_id missing_argument missing_scope
		no_permission not_allowed_token_type not_authed not_bearer_token org_login_required over_pagination_limit paid_only
		ratelimited request_timeout service_unavailable team_access_not_granted team_added_to_org token_expired
		token_revoked two_factor_setup_required feature_not_enabled limit_required too_many_users user_not_found
		user_not_visible`)
	oauthCodes = strings.Fields(`authorization_not_found bad_client_secret bad_redirect_uri
		cannot_install_an_org_installed_app invalid_client_id invalid_code invalid_code_verifier invalid_grant_type
		invalid_refresh_token invalid_token no_scopes oauth_authorization_url_mismatch pkce_not_allowed
		preview_feature_not_available token_already_exchanged token_rotation_not_enabled user_email_unverified`)
	authorizeCodes = strings.Fields(`scope_not_allowed_on_enterprise unapproved_scope invalid_scope
		invalid_team_for_non_distributed_app bad_redirect_uri`)
)

func TestDeny(t *testing.T) {
	for path, codes := range map[string][]string{
		PathAudit:       slices.Concat(auditCodes, webCodes),
		PathAuthTest:    webCodes,
		PathTeams:       webCodes,
		PathAccess:      webCodes,
		PathIntegration: webCodes,
		PathExchange:    slices.Concat(oauthCodes, webCodes),
		PathAuthorize:   authorizeCodes,
	} {
		for _, code := range codes {
			t.Run(path+" "+code, func(t *testing.T) {
				s, _ := newTestServer(Options{})
				s.SetToken(token, Identity{TeamID: "T1", Scopes: []string{auditScope, adminScope}})
				_, honest := call(t, s, path, token)
				s.Deny(path, code)
				res, body := call(t, s, path, token)
				s.Deny(path, "")
				_, after := call(t, s, path, token)
				if path != PathAuthorize && path != PathExchange { // which refuse these calls anyway
					assert.NotContains(t, honest, `"ok":false`)
					assert.NotContains(t, after, `"ok":false`)
				}
				switch {
				case path == PathAuthorize:
					assert.Equal(t, http.StatusOK, res.StatusCode)
					assert.Contains(t, body, "Error details: "+code+"<")
				case code == "ratelimited" || code == "rate_limited":
					assert.Equal(t, http.StatusTooManyRequests, res.StatusCode)
					assert.Equal(t, "30", res.Header.Get("Retry-After"))
				case path == PathAudit:
					assert.GreaterOrEqual(t, res.StatusCode, 400)
					assert.True(t, strings.HasPrefix(body, fmt.Sprintf(`{"ok":false,"error":%q`, code)), body)
				default:
					assert.Equal(t, http.StatusOK, res.StatusCode)
					assert.True(t, strings.HasPrefix(body, fmt.Sprintf(`{"ok":false,"error":%q`, code)), body)
				}
			})
		}
	}
}

func TestDenyAuditStatus(t *testing.T) {
	for code, want := range map[string]int{
		"invalid_authentication": 401, "missing_authentication": 401, "token_expired": 401,
		"feature_not_enabled": 403, "user_not_authorized": 403, "team_not_authorized": 403, "missing_scope": 403,
		"invalid_action": 400, "invalid_cursor": 400, "invalid_range": 400, "bad_endpoint": 400, "something_new": 400,
		"method_not_allowed": 405, "internal_error": 500, "service_unavailable": 503, "rate_limited": 429,
	} {
		s, _ := newTestServer(Options{})
		s.Deny(PathAudit, code)
		res, _ := call(t, s, PathAudit, token)
		assert.Equal(t, want, res.StatusCode, code)
		res, _ = call(t, s, PathAuthTest, token)
		assert.Equal(t, 200, res.StatusCode, "another path")
	}
}

func TestDenyMissingScope(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.Deny(PathAccess, "missing_scope")
	_, body := call(t, s, PathAccess, token)
	assert.Equal(t, `{"ok":false,"error":"missing_scope","needed":"admin","provided":"auditlogs:read"}`, body)
}

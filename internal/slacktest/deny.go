// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import "net/http"

// Deny refuses every call of a path with this code; "" allows them again. For one workspace only, see Refuse.
func (s *Server) Deny(path, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[path] = code
}

// auditStatus are the statuses of the audit API that are not 400.
var auditStatus = map[string]int{
	"account_inactive":       http.StatusUnauthorized,
	"invalid_auth":           http.StatusUnauthorized,
	"invalid_authentication": http.StatusUnauthorized,
	"missing_authentication": http.StatusUnauthorized,
	"not_authed":             http.StatusUnauthorized,
	"token_expired":          http.StatusUnauthorized,
	"token_revoked":          http.StatusUnauthorized,

	"access_denied":             http.StatusForbidden,
	"accesslimited":             http.StatusForbidden,
	"ekm_access_denied":         http.StatusForbidden,
	"enterprise_is_restricted":  http.StatusForbidden,
	"feature_not_enabled":       http.StatusForbidden,
	"invalid_workspace":         http.StatusForbidden,
	"missing_scope":             http.StatusForbidden,
	"no_permission":             http.StatusForbidden,
	"not_allowed_token_type":    http.StatusForbidden,
	"org_login_required":        http.StatusForbidden,
	"paid_only":                 http.StatusForbidden,
	"team_access_not_granted":   http.StatusForbidden,
	"team_not_authorized":       http.StatusForbidden,
	"two_factor_setup_required": http.StatusForbidden,
	"user_not_authorized":       http.StatusForbidden,

	"method_not_allowed":  http.StatusMethodNotAllowed,
	"fatal_error":         http.StatusInternalServerError,
	"internal_error":      http.StatusInternalServerError,
	"service_unavailable": http.StatusServiceUnavailable,
}

// denial is how a path says this code.
func (s *Server) denial(path, code string, who caller) answer {
	status := http.StatusOK
	if path == PathAudit {
		status = http.StatusBadRequest
		if other, ok := auditStatus[code]; ok {
			status = other
		}
	}
	switch {
	case path == PathAuthorize:
		return authorizeError(code)
	case code == "ratelimited" || code == "rate_limited":
		return rateLimited(path, s.opt.RetryAfter)
	case code == "missing_scope":
		needed := map[string]string{PathAudit: auditScope, PathAccess: adminScope, PathIntegration: adminScope, PathUsers: usersScope, PathUser: usersScope}[path]
		return errorAnswer(status, code, member{"needed", needed}, member{"provided", who.scopes()})
	default:
		return errorAnswer(status, code)
	}
}

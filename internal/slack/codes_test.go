// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// documented are the codes that Slack's documents name for the methods that are called here, by what has to happen
// before the call can succeed. It repeats the table's classes, so that none is changed by mistake.
var documented = map[Class]string{
	Heals:       "internal_error fatal_error service_unavailable request_timeout team_added_to_org org_login_required",
	Throttled:   "rate_limited ratelimited",
	StaleCursor: "invalid_cursor",
	BadRange:    "invalid_range",
	NeedsToken: "invalid_auth invalid_authentication missing_authentication not_authed token_revoked token_expired account_inactive not_allowed_token_type " +
		"invalid_code invalid_code_verifier invalid_refresh_token authorization_not_found invalid_token token_already_exchanged",
	NeedsScope: "missing_scope invalid_scope no_scopes",
	NeedsPerson: "user_not_authorized no_permission access_denied team_access_not_granted two_factor_setup_required enterprise_is_restricted ekm_access_denied accesslimited " +
		"unapproved_scope scope_not_allowed_on_enterprise cannot_install_an_org_installed_app user_email_unverified user_not_visible",
	NeedsPlan: "feature_not_enabled invalid_workspace team_not_authorized paid_only preview_feature_not_available",
	NeedsConfig: "invalid_limit invalid_team_id over_pagination_limit missing_argument bad_endpoint unknown_method " +
		"token_rotation_not_enabled invalid_client_id bad_client_secret bad_redirect_uri oauth_authorization_url_mismatch pkce_not_allowed invalid_team_for_non_distributed_app user_not_found",
	Fault: "invalid_action invalid_arguments method_not_allowed method_deprecated invalid_arg_name invalid_array_arg invalid_charset invalid_form_data invalid_post_type missing_post_type " +
		"not_bearer_token limit_required invalid_grant_type too_many_users",
}

func TestEachCodeHasItsClassAndASentence(t *testing.T) {
	t.Parallel()
	ours := []string{CodeTimeout, CodeNetwork, CodeRedirect, CodeUnreadable, CodeTooLarge, CodeNotSaved}
	left := maps.Clone(Codes)
	for class, codes := range documented {
		for code := range strings.FieldsSeq(codes) {
			known, ok := left[code]
			assert.True(t, ok, "%s is not in the table, or twice in the test", code)
			assert.Equal(t, class, known.Class, code)
			delete(left, code)
		}
	}
	assert.ElementsMatch(t, ours, slices.Collect(maps.Keys(left)), "codes that the test does not know")

	// What to do, or what the receiver does by itself.
	deeds := []string{
		"add ", "ask ", "asked for again", "begin again", "check ", "choose ", "copy ", "has to ", "install ", "is asked for", "is repeated",
		"let ", "lower ", "open ", "put ", "raise ", "report ", "set ", "starts anew", "switch ", "take it out", "use ", "wait ",
	}
	for code, known := range Codes {
		assert.Regexp(t, plainCode, code)
		assert.NotEmpty(t, known.Class.String())
		assert.True(t, strings.HasSuffix(known.Advice, "."), code)
		assert.Equal(t, strings.ToUpper(known.Advice[:1]), known.Advice[:1], code)
		assert.LessOrEqual(t, strings.Count(known.Advice, ". ")+1, 2, code)
		assert.NotContains(t, known.Advice, "  ", code)
		lower := strings.ToLower(known.Advice)
		assert.True(t, slices.ContainsFunc(deeds, func(deed string) bool { return strings.Contains(lower, deed) }), "what to do? %s: %s", code, known.Advice)
		// What an answer with the code becomes, in a sentence that may stand in a log line.
		assert.Equal(t, "auth.test: "+code+": "+known.Advice, newError("auth.test", code, "").Error())
	}
	for class := Heals; class <= Fault; class++ {
		assert.Equal(t, slices.Contains([]Class{NeedsToken, NeedsScope, NeedsPerson, NeedsPlan}, class), class.NeedsInstall(), class)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

// Class says what has to happen before a failed call can succeed.
type Class int

const (
	// Heals passes by itself: Slack or the network is in trouble.
	Heals Class = iota
	// Throttled passes when Retry-After is over.
	Throttled
	// StaleCursor passes when the walk starts anew without the cursor.
	StaleCursor
	// BadRange means that Slack has nothing for this time range.
	BadRange
	// Unreadable is an answer that can't be parsed or is over the size limit.
	Unreadable
	// NeedsToken needs another token, or the same one allowed again.
	NeedsToken
	// NeedsScope needs the app to be installed again with more scopes.
	NeedsScope
	// NeedsPerson needs another installer, another role or another network.
	NeedsPerson
	// NeedsPlan needs another Slack plan.
	NeedsPlan
	// NeedsConfig is a wrong setting: of this collector, or of the Slack app.
	NeedsConfig
	// Fault is a call that this code should not have made.
	Fault
)

func (c Class) String() string {
	return [...]string{
		"heals", "throttled", "stale cursor", "bad range", "unreadable",
		"needs token", "needs scope", "needs person", "needs plan", "needs config", "our fault",
	}[c]
}

// NeedsInstall reports whether only another token, or another installation of
// the app, makes the call succeed.
func (c Class) NeedsInstall() bool {
	return c == NeedsToken || c == NeedsScope || c == NeedsPerson || c == NeedsPlan
}

// Codes that are not Slack's own but this client's.
const (
	CodeTimeout    = "timeout"
	CodeNetwork    = "network"
	CodeRedirect   = "redirect"
	CodeUnreadable = "unreadable_answer"
	CodeTooLarge   = "answer_too_large"
	// CodeNotSaved is why a refresh token is not used.
	CodeNotSaved = "refresh_not_saved"
)

// CodePageLimit is Slack's code for a page beyond the last that a list has by
// number.
const CodePageLimit = "over_pagination_limit"

// Code is what is known of one error code.
type Code struct {
	Class Class
	// Advice is one sentence: what it means and what mends it.
	Advice string
}

const (
	adviceOutage = "Slack is in trouble; the call is repeated until it succeeds."
	adviceToken  = "Install the app again and put the new user token, or with token_rotation the new refresh token, in place; a user token in a file is taken without a restart."
	advicePlan   = "Audit logs need an Enterprise plan with the audit logs feature and a token of the organisation, access and integration logs a paid plan; check the plan, and where the app is installed."
	adviceOwner  = "Audit logs need a user token that an Org Owner made by installing the app on the organisation, access and integration logs one of an Owner or Admin of the workspace; let such a person install the app."
	adviceCode   = "Open the authorize address again and use the new code; a code is good for ten minutes, and once."
	adviceFault  = "This is a fault of the receiver or of a proxy in between; please report it with the receiver's version."
)

// Codes is the one table of error codes: Slack's (docs.slack.dev) and this
// client's. What is not in it is taken by the HTTP status.
var Codes = map[string]Code{
	// This client's.
	CodeTimeout:    {Heals, "Slack did not answer in time; check the network, or raise timeout if it is short."},
	CodeNetwork:    {Heals, "Slack could not be reached; check DNS, firewall, proxy_url and tls."},
	CodeRedirect:   {NeedsConfig, "The answer is a redirect, which is never followed with a token; set endpoint and audit_endpoint to Slack's own addresses and check the proxy."},
	CodeUnreadable: {Unreadable, "The answer is not Slack's JSON; it is asked for again, but check whether a proxy answers in Slack's place."},
	CodeTooLarge:   {Unreadable, "The answer is over the size limit; a smaller page is asked for."},

	CodeNotSaved: {Heals, "The access token has to be refreshed, but the new refresh token could not be kept; check the storage's space and rights."},

	// Pass by themselves.
	"internal_error":      {Heals, adviceOutage},
	"fatal_error":         {Heals, adviceOutage},
	"service_unavailable": {Heals, adviceOutage},
	"request_timeout":     {Heals, adviceOutage},
	"team_added_to_org":   {Heals, "The workspace is being moved into an organisation; wait until Slack has finished."},
	"org_login_required":  {Heals, "The workspace is being moved into an organisation; wait until Slack has finished."},
	"rate_limited":        {Throttled, "Slack's limit is used up, by this or by other apps: for audit logs it is the whole organisation's; lower requests_per_minute or stop the other collector."},
	"ratelimited":         {Throttled, "Slack's limit for this app and method is used up, and it is asked again when Slack allows it; lower requests_per_minute or stop the other collector that uses the app."},

	// About the call.
	"invalid_cursor":     {StaleCursor, "The cursor is too old; the walk starts anew over what remains."},
	"invalid_range":      {BadRange, "Slack has no audit logs for this time range; set start_time to when audit logs were switched on."},
	"invalid_action":     {Fault, adviceFault},
	"invalid_limit":      {NeedsConfig, "Slack refuses page_size; lower it."},
	"invalid_team_id":    {NeedsConfig, "Slack knows no workspace of this id; check team_ids."},
	CodePageLimit:        {NeedsConfig, "Slack gives no more than 100 pages of a list; raise page_size, so that they reach further."},
	"invalid_arguments":  {Fault, adviceFault},
	"missing_argument":   {NeedsConfig, `Slack misses an argument; with a token of the organisation, set team_ids for access and integration logs, for example to ["*"].`},
	"bad_endpoint":       {NeedsConfig, "The address is not one of Slack's; check endpoint and audit_endpoint."},
	"unknown_method":     {NeedsConfig, "The address is not one of Slack's; check endpoint and audit_endpoint."},
	"method_not_allowed": {Fault, adviceFault},
	"method_deprecated":  {Fault, adviceFault},
	"invalid_arg_name":   {Fault, adviceFault},
	"invalid_array_arg":  {Fault, adviceFault},
	"invalid_charset":    {Fault, adviceFault},
	"invalid_form_data":  {Fault, adviceFault},
	"invalid_post_type":  {Fault, adviceFault},
	"missing_post_type":  {Fault, adviceFault},
	"not_bearer_token":   {Fault, adviceFault},
	"limit_required":     {Fault, adviceFault},

	// Token.
	"invalid_auth":           {NeedsToken, "Slack refuses the token. Where it refuses only some workspaces, whoever installed the app has to become a member there; otherwise install the app again and put the new user token, or with token_rotation the new refresh token, in place; a user token in a file is taken without a restart."},
	"invalid_authentication": {NeedsToken, "Slack does not accept the token; where only audit logs are refused, the app is on a workspace, but has to be on the organisation. " + adviceToken},
	"missing_authentication": {NeedsToken, "No token reached Slack; set token, auth or token_rotation, and look at the proxy."},
	"not_authed":             {NeedsToken, "No token reached Slack; set token, auth or token_rotation, and look at the proxy."},
	"token_revoked":          {NeedsToken, "The token was revoked. " + adviceToken},
	"token_expired":          {NeedsToken, "The token has expired; set token_rotation, which renews it, or use a token that does not expire."},
	"account_inactive":       {NeedsToken, "The user who installed the app was deactivated; let a service account that stays install the app again."},
	"not_allowed_token_type": {NeedsToken, "A bot token can't read these logs; use the user token (xoxp-…) of the installation."},

	// Scope, person, network.
	"missing_scope":             {NeedsScope, "The token lacks a scope (auditlogs:read for audit logs, admin for access and integration logs, users:read for actor_roles); add it to the app's user scopes and install the app again."},
	"user_not_authorized":       {NeedsPerson, adviceOwner},
	"no_permission":             {NeedsPerson, adviceOwner},
	"access_denied":             {NeedsPerson, adviceOwner},
	"team_access_not_granted":   {NeedsPerson, "The app is not approved for this workspace; let an Org Admin add it there, or take the workspace out of team_ids."},
	"two_factor_setup_required": {NeedsPerson, "The user who installed the app has to set up two-factor authentication."},
	"enterprise_is_restricted":  {NeedsPerson, "The organisation does not allow this call; ask an Org Owner."},
	"ekm_access_denied":         {NeedsPerson, "The organisation's key management (EKM) denies access; ask an Org Owner."},
	"accesslimited":             {NeedsPerson, "This network is not on the organisation's or the app's IP allowlist; add the collector's address."},

	// Plan.
	"feature_not_enabled": {NeedsPlan, advicePlan},
	"invalid_workspace":   {NeedsPlan, "Audit logs belong to an Enterprise organisation, but the token to a workspace; install the app on the organisation."},
	"team_not_authorized": {NeedsPlan, advicePlan},
	"paid_only":           {NeedsPlan, "These logs need a paid Slack plan; check the plan of the workspace."},

	// Installation of the app, and refresh of its tokens.
	"invalid_code":                         {NeedsToken, adviceCode},
	"invalid_code_verifier":                {NeedsToken, "The code belongs to another run of slacklogs authorize, or the app is a public client, which needs --pkce. Open the authorize address again and use the new code."},
	"invalid_refresh_token":                {NeedsToken, "The refresh token is wrong, or it was used already: each can be used once, and by one collector. Install the app again and put the new refresh token in place."},
	"authorization_not_found":              {NeedsToken, "The app is not installed any more. " + adviceToken},
	"invalid_token":                        {NeedsToken, "The token is not one of this app. " + adviceToken},
	"token_already_exchanged":              {NeedsToken, "The token was changed into a rotated one already; install the app again and put the new refresh token in place."},
	"token_rotation_not_enabled":           {NeedsConfig, "The app does not rotate its tokens; set token in place of token_rotation, or switch token rotation on in the app's settings, for good."},
	"invalid_client_id":                    {NeedsConfig, "Slack knows no app of this client id; copy it from Basic Information of the app's settings."},
	"bad_client_secret":                    {NeedsConfig, "The client secret is not this app's; copy it from Basic Information of the app's settings."},
	"bad_redirect_uri":                     {NeedsConfig, "The redirect address is not one of the app's; add it under OAuth & Permissions, exactly as the link has it."},
	"oauth_authorization_url_mismatch":     {NeedsConfig, "The code was asked for at another address than Slack wants for this app; begin again at the address that slacklogs authorize prints."},
	"pkce_not_allowed":                     {NeedsConfig, "The app is no public client; give its client secret, or switch PKCE on in the app's settings, for good."},
	"invalid_grant_type":                   {Fault, adviceFault},
	"invalid_scope":                        {NeedsScope, "The app does not offer a scope that was asked for; add it to the app's user scopes."},
	"no_scopes":                            {NeedsScope, "Nothing was granted to a user token; add auditlogs:read or admin to the app's user scopes, not to its bot scopes, and install it again."},
	"unapproved_scope":                     {NeedsPerson, "The organisation has not approved a scope of the app; ask an Org Owner or Admin to approve it."},
	"scope_not_allowed_on_enterprise":      {NeedsPerson, "A scope can't be granted on the organisation; install the app on a workspace for it."},
	"invalid_team_for_non_distributed_app": {NeedsConfig, "The app may be installed only where it was made; switch public distribution on under Manage Distribution."},
	"cannot_install_an_org_installed_app":  {NeedsPerson, "The app is installed on the organisation, so it can't be on a workspace as well; choose the organisation."},
	"preview_feature_not_available":        {NeedsPlan, "The app uses a feature that Slack has not opened to this organisation; take it out of the app's manifest."},
	"user_email_unverified":                {NeedsPerson, "Who installs the app has to confirm the e-mail address of the account first."},

	// About a user that was asked for.
	"user_not_found":   {NeedsConfig, "Slack knows no user of this id; check it."},
	"user_not_visible": {NeedsPerson, "The user can't be seen by whoever installed the app; let an Owner install it."},
	"too_many_users":   {Fault, adviceFault},
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// granted is what came of an installation.
type granted struct {
	slack.Grant
	info slack.TokenInfo
	// logs are those of the ones asked for that the token reads.
	logs    []verb.LogType
	scopes  []string
	remarks []string
}

// newGranted compares what was asked for with what was given. more are scopes that no log needs.
func newGranted(wanted []verb.LogType, grant slack.Grant, info slack.TokenInfo, more ...string) granted {
	g := granted{Grant: grant, info: info, scopes: info.Scopes}
	if g.scopes == nil {
		g.scopes = grant.Scopes // Slack did not say of the token itself
	}
	if g.info.BotID != "" || slack.IsBotToken(string(grant.AccessToken)) {
		g.remarks = append(g.remarks, "not_allowed_token_type: "+slack.Advice("not_allowed_token_type"))
		return g
	}
	asked := append(scopesOf(wanted), more...)
	has := func(scope string) bool { return g.scopes == nil || slices.Contains(g.scopes, scope) }
	if g.scopes == nil {
		g.remarks = append(g.remarks, "Slack does not say which scopes were granted; ask slacklogs check.")
	}
	for _, scope := range asked {
		if !has(scope) {
			g.remarks = append(g.remarks, fmt.Sprintf("the scope %s was not granted; add it to the app's user scopes and install the app again.", scope))
		}
	}
	if more := slices.DeleteFunc(slices.Clone(g.scopes), func(scope string) bool { return slices.Contains(asked, scope) }); len(more) > 0 {
		g.remarks = append(g.remarks, fmt.Sprintf("the token also has %s: Slack adds new scopes to those granted before, and takes them back only with the whole installation.",
			verb.Printable(strings.Join(more, ", "))))
	}
	for _, l := range wanted {
		switch {
		case !has(l.Scope):
		case l == verb.Audit && !g.ofOrganisation():
			g.remarks = append(g.remarks, "the app was installed on a workspace, but audit logs belong to an organisation. Open the link again and choose the organisation; "+
				"if it is not offered, switch public distribution on under Manage Distribution.")
		default:
			g.logs = append(g.logs, l)
		}
	}
	if grant.ExpiresIn > 0 && grant.RefreshToken == "" {
		g.remarks = append(g.remarks, fmt.Sprintf("the token expires in %s and came without a refresh token; look at the app's token rotation.", grant.ExpiresIn))
	}
	return g
}

func (g granted) ofOrganisation() bool { return g.info.TeamID == "" }

func (g granted) rotates() bool { return g.RefreshToken != "" }

// token is what the file holds: the one that lasts.
func (g granted) token() (token, kind string) {
	if g.rotates() {
		return string(g.RefreshToken), "the refresh token, for token_rotation; the receiver gets its access tokens with it"
	}
	return string(g.AccessToken), "the user token"
}

// installer says who has installed what, where.
func (g granted) installer() string {
	place := "the workspace " + nameAndID(g.info.TeamName, g.info.TeamID)
	if g.ofOrganisation() {
		place = "the organisation " + nameAndID(g.info.EnterpriseName, g.info.EnterpriseID)
	}
	user := nameAndID(g.info.User, cmp.Or(g.info.UserID, g.UserID))
	scopes := verb.Printable(strings.Join(g.scopes, ", "))
	if g.scopes == nil {
		scopes = "scopes that Slack does not name"
	}
	return fmt.Sprintf("Installed by %s on %s, with %s.\nThe token ends with that account; if it is a person's, a service account that stays is safer.",
		user, place, scopes)
}

func nameAndID(name, id string) string {
	if name == "" {
		return verb.Printable(id)
	}
	return verb.Printable(name) + " (" + verb.Printable(id) + ")"
}

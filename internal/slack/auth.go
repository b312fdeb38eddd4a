// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Identity is whose token it is. For a token of the organisation TeamID is
// empty.
type Identity struct {
	EnterpriseID, EnterpriseName, EnterpriseDomain string
	TeamID, TeamName, TeamDomain                   string
}

// Org is the id that state belongs to: the organisation, else the workspace.
func (i Identity) Org() string {
	if i.EnterpriseID != "" {
		return i.EnterpriseID
	}
	return i.TeamID
}

// TokenInfo is what auth.test tells of a token.
type TokenInfo struct {
	Identity
	// UserID and User are whose installation it is.
	UserID, User string
	// BotID is set for a bot's token, AppID where Slack names the app.
	BotID, AppID string
	// ExpiresIn is what is left of the token's life; 0 = it does not expire, or
	// Slack does not say.
	ExpiresIn time.Duration
	// Scopes that the token has; nil = Slack does not say.
	Scopes []string
}

// AuthTest asks auth.test whose token it is.
func (c *Client) AuthTest(ctx context.Context) (TokenInfo, error) {
	const method = MethodAuthTest
	ans, err := c.call(ctx, request{method: method, verb: http.MethodPost, address: c.set.Endpoint + "/auth.test"})
	if err != nil {
		return TokenInfo{}, err
	}
	var a struct {
		refusal
		URL            string  `json:"url"`
		Team           string  `json:"team"`
		TeamID         string  `json:"team_id"`
		EnterpriseID   string  `json:"enterprise_id"`
		EnterpriseName string  `json:"enterprise_name"`
		User           text    `json:"user"`
		UserID         text    `json:"user_id"`
		BotID          text    `json:"bot_id"`
		AppID          text    `json:"app_id"`
		ExpiresIn      seconds `json:"expires_in"`
	}
	if err := c.decode(ctx, ans, &a, &a.refusal); err != nil {
		return TokenInfo{}, err
	}
	if a.TeamID == "" && a.EnterpriseID == "" {
		return TokenInfo{}, c.failed(ctx, ans, newError(method, CodeUnreadable, "auth.test names no team"))
	}
	c.keepTime(ans)
	c.observe(ctx, ans, "")

	info := TokenInfo{
		UserID: string(a.UserID), User: string(a.User), BotID: string(a.BotID), AppID: string(a.AppID),
		ExpiresIn: time.Duration(a.ExpiresIn) * time.Second, Scopes: ans.scopes,
	}
	domain := ""
	if u, err := url.Parse(a.URL); err == nil {
		domain, _, _ = strings.Cut(u.Hostname(), ".")
	}
	if strings.HasPrefix(a.TeamID, "E") || a.TeamID == "" {
		// A token of the organisation names the organisation as its team.
		name := a.Team
		if name == "" {
			name = a.EnterpriseName
		}
		id := a.TeamID
		if id == "" {
			id = a.EnterpriseID
		}
		info.Identity = Identity{EnterpriseID: id, EnterpriseName: name, EnterpriseDomain: domain}
		return info, nil
	}
	info.Identity = Identity{
		EnterpriseID: a.EnterpriseID, EnterpriseName: a.EnterpriseName,
		TeamID: a.TeamID, TeamName: a.Team, TeamDomain: domain,
	}
	return info, nil
}

// decode reads a small answer, and whether it says no.
func (c *Client) decode(ctx context.Context, ans *answer, to any, no *refusal) error {
	body, err := ans.bytes(maxErrorBytes)
	if err != nil || json.Unmarshal(body, to) != nil {
		return c.failed(ctx, ans, newError(ans.method, CodeUnreadable, ""))
	}
	if e := c.refused(ans, *no); e != nil {
		return c.failed(ctx, ans, e)
	}
	return nil
}

// text is what may be missing or something else, which then says nothing.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	_ = json.Unmarshal(data, &s)
	*t = text(s)
	return nil
}

// seconds is a number that may come as text, or as something else, which says
// nothing.
type seconds int64

func (s *seconds) UnmarshalJSON(data []byte) error {
	var n json.Number
	*s = 0
	if json.Unmarshal([]byte(strings.Trim(string(data), `"`)), &n) == nil {
		if v, err := n.Int64(); err == nil && v > 0 && v < int64(10*365*24*time.Hour/time.Second) {
			*s = seconds(v)
		}
	}
	return nil
}

// splitScopes takes the list of scopes apart; without any it is empty, not nil.
func splitScopes(list string) []string {
	scopes := []string{}
	for scope := range strings.SplitSeq(list, ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

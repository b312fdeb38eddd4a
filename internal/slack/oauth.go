// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
)

// MethodOAuth is the call that changes a code or a refresh token into tokens.
const MethodOAuth = "oauth.v2.access"

// TokenSource brings the token of each call. It may be asked from any
// goroutine.
type TokenSource interface {
	// Token returns the token to send. Its errors are of the type *Error.
	Token(ctx context.Context) (string, error)
	// Refused is told that Slack did not take this token, and with what code.
	Refused(token, code string)
}

// App is a Slack app as it shows itself. Without a secret it is a public
// client (PKCE).
type App struct {
	ClientID     string
	ClientSecret configopaque.String
}

// Grant is what an installation, or a refresh, has given.
type Grant struct {
	Identity
	AppID, UserID string
	// AccessToken is the user token.
	AccessToken configopaque.String
	// RefreshToken and ExpiresIn are set where the app rotates its tokens.
	RefreshToken configopaque.String
	ExpiresIn    time.Duration
	// Scopes that were granted; nil = Slack does not say.
	Scopes []string
}

// ExchangeCode asks oauth.v2.access for the tokens of a code. redirectURI is the one
// that the code was sent to, verifier that of PKCE or empty.
//
// golang.org/x/oauth2 can't: it wants a token at the top of the answer, where
// Slack has the bot's, or nothing.
func (c *Client) ExchangeCode(ctx context.Context, app App, code, redirectURI, verifier string) (Grant, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return c.grant(ctx, app, form, func(g Grant) *Error {
		if g.AccessToken == "" {
			return newError(MethodOAuth, "no_scopes", "no user token")
		}
		return nil
	})
}

// Refresh asks oauth.v2.access for new tokens. Slack takes a refresh token
// once, and for a short time after. An answer without both tokens is no
// refusal: the refresh token may be used up.
func (c *Client) Refresh(ctx context.Context, app App, refreshToken string) (Grant, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
	return c.grant(ctx, app, form, func(g Grant) *Error {
		if g.AccessToken == "" || g.RefreshToken == "" {
			return newError(MethodOAuth, CodeUnreadable, "an access or refresh token is missing")
		}
		return nil
	})
}

// granted is Slack's answer.
type granted struct {
	refusal
	tokens
	AppID      string `json:"app_id"`
	Team       *place `json:"team"`
	Enterprise *place `json:"enterprise"`
	OrgInstall bool   `json:"is_enterprise_install"`
	User       struct {
		ID string `json:"id"`
		tokens
	} `json:"authed_user"`
}

type tokens struct {
	Scope        string  `json:"scope"`
	AccessToken  string  `json:"access_token"`
	RefreshToken string  `json:"refresh_token"`
	ExpiresIn    seconds `json:"expires_in"`
}

type place struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UnmarshalJSON leaves out what is of another type: what was given for the
// tokens is used up, and they must not be lost for a name.
func (g *granted) UnmarshalJSON(data []byte) error {
	type plain granted
	err := json.Unmarshal(data, (*plain)(g))
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); odd {
		return nil
	}
	return err
}

// grant asks for tokens; lacks tells what an answer should have had.
func (c *Client) grant(ctx context.Context, app App, form url.Values, lacks func(Grant) *Error) (Grant, error) {
	const method = MethodOAuth
	if app.ClientSecret == "" {
		form.Set("client_id", app.ClientID)
	}
	ans, err := c.call(ctx, request{method: method, verb: http.MethodPost, address: c.set.Endpoint + "/" + method, form: form, app: app})
	if err != nil {
		return Grant{}, err
	}
	var a granted
	if err := c.decode(ctx, ans, &a, &a.refusal); err != nil {
		return Grant{}, err
	}
	// At the top stands the bot's token, but for a refresh that of whose refresh
	// token it was. A bot's is taken then: it says better what is wrong than a
	// refresh token that was used up for nothing.
	user := a.User.tokens
	if user.AccessToken == "" && (form.Has("refresh_token") || !IsBotToken(a.AccessToken)) {
		user = a.tokens
	}
	g := Grant{
		AppID: a.AppID, UserID: a.User.ID,
		AccessToken: configopaque.String(user.AccessToken), RefreshToken: configopaque.String(user.RefreshToken),
		ExpiresIn: time.Duration(user.ExpiresIn) * time.Second,
	}
	if user.Scope != "" {
		g.Scopes = splitScopes(user.Scope)
	}
	if a.Enterprise != nil {
		g.EnterpriseID, g.EnterpriseName = a.Enterprise.ID, a.Enterprise.Name
	}
	if a.Team != nil && !a.OrgInstall {
		g.TeamID, g.TeamName = a.Team.ID, a.Team.Name
	}
	if e := lacks(g); e != nil {
		return Grant{}, c.failed(ctx, ans, e)
	}
	if !plainToken.MatchString(user.AccessToken) || user.RefreshToken != "" && !plainToken.MatchString(user.RefreshToken) {
		return Grant{}, c.failed(ctx, ans, newError(method, CodeUnreadable, "a token that is none"))
	}
	c.keepTime(ans)
	c.observe(ctx, ans, "")
	return g, nil
}

// plainToken is what can go into a header, a file and a terminal.
var plainToken = regexp.MustCompile(`^[!-~]+$`)

// IsBotToken reports whether a token is a bot's by its looks.
func IsBotToken(token string) bool {
	return strings.HasPrefix(token, "xoxb-") || strings.HasPrefix(token, "xoxe.xoxb-")
}

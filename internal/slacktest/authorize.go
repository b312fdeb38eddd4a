// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorize is the page that asks for scopes, with an installer who has already clicked.
func (s *Server) authorize(call Call) answer {
	if call.Method != http.MethodGet {
		return plain(http.StatusMethodNotAllowed, "", "")
	}
	app := s.oauth.apps[call.Query.Get("client_id")]
	if app == nil {
		return authorizeError("invalid_client_id")
	}
	back := app.redirect(call.Query.Get("redirect_uri"))
	if back == nil {
		return authorizeError("bad_redirect_uri")
	}
	g := &grant{
		clientID:  app.ClientID,
		redirect:  call.Query.Get("redirect_uri"),
		challenge: call.Query.Get("code_challenge"),
		user:      splitScopes(call.Query.Get("user_scope")),
		bot:       splitScopes(call.Query.Get("scope")),
		until:     call.Time.Add(codeLife),
	}
	if code := app.refuses(g, back, call.Query.Get("code_challenge_method")); code != "" {
		return authorizeError(code)
	}

	query := back.Query()
	if app.Declines {
		query.Set("error", "access_denied")
	} else {
		code := app.ClientID + "." + strings.ToLower(rand.Text())
		s.oauth.codes[code] = g
		query.Set("code", code)
	}
	if call.Query.Has("state") {
		query.Set("state", call.Query.Get("state"))
	}
	back.RawQuery = query.Encode()
	a := plain(http.StatusFound, "", "")
	a.header.Set("Location", back.String())
	return a
}

// refuses tells what is wrong with what an app asks for, "" = nothing. Slack's code for another method than S256 is
// not known.
func (a *App) refuses(g *grant, back *url.URL, method string) string {
	unknown := func(scope string) bool { return !slices.Contains(a.Scopes, scope) }
	switch {
	case len(g.user)+len(g.bot) == 0:
		return "no_scopes"
	case slices.ContainsFunc(g.user, unknown):
		return "invalid_scope"
	case len(g.bot) > 0 && a.isPublic() && isLoopback(back):
		return "invalid_scope" // no bots for what runs on somebody's desktop
	case g.challenge != "" && !a.isPublic():
		return "pkce_not_allowed"
	case g.challenge != "" && method != "S256":
		return "invalid_code_challenge_method"
	default:
		return ""
	}
}

// redirect is where the installer is sent, nil if that is not allowed.
func (a *App) redirect(asked string) *url.URL {
	if asked == "" && len(a.RedirectURLs) > 0 {
		asked = a.RedirectURLs[0]
	}
	back, err := url.Parse(asked)
	if err != nil || back.Host == "" || strings.Contains(asked, "#") {
		return nil
	}
	if back.Scheme != "https" && (back.Scheme != "http" || !a.isPublic() || !isLoopback(back)) {
		return nil
	}
	if len(a.RedirectURLs) > 0 && !slices.ContainsFunc(a.RedirectURLs, func(root string) bool { return below(root, back) }) {
		return nil
	}
	return back
}

// below tells a URL that equals another or lies below it.
func below(root string, u *url.URL) bool {
	r, err := url.Parse(root)
	if err != nil || r.Scheme != u.Scheme || r.Host != u.Host {
		return false
	}
	rest, ok := strings.CutPrefix(u.Path, strings.TrimSuffix(r.Path, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// splitScopes reads a list as Slack writes it.
func splitScopes(text string) []string {
	return slices.DeleteFunc(strings.Split(text, ","), func(scope string) bool { return scope == "" })
}

// challenge is what an app shows of its verifier beforehand (RFC 7636).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeError is what the installer sees: Slack sends nobody back to a place that it does not trust.
func authorizeError(code string) answer {
	return plain(http.StatusOK, "text/html; charset=utf-8",
		"<html><body><h1>Something went wrong when authorizing this app.</h1><p>Error details: "+html.EscapeString(code)+"</p></body></html>")
}

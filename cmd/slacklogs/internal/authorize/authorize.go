// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package authorize is the verb authorize: it walks a person through the installation of the Slack app.
package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// The redirect addresses that the manifests in examples/slack-app name. Slack allows plain http to public clients only.
const (
	defaultRedirect       = "https://localhost:8443/slack/callback"
	defaultRedirectPublic = "http://localhost:8443/slack/callback"
)

// maxWait is for an owner who does it tomorrow: what comes back belongs to the run that made the link.
const maxWait = 24 * time.Hour

type authorizeFlags struct {
	clientID, secretFile, botScope string
	logs, team                     string
	redirectURL, receive, endpoint string
	output, configOutput           string
	pkce, gov, printToken          bool
	actorRoles                     bool
	timeout                        time.Duration
}

// Run walks a person through the installation of a Slack app, and keeps the token that comes of it.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return authorizeWith(ctx, args, console{
		in: os.Stdin, out: stdout, err: stderr, askSecret: secretFrom(os.Stdin, stderr),
	}, http.DefaultTransport, clock.Real{})
}

func authorizeWith(ctx context.Context, args []string, with console, transport http.RoundTripper, c clock.Clock) error {
	f, err := parseAuthorize(args, with.out, with.err)
	if err != nil {
		return err
	}
	return newWalk(f, with, transport, c).run(ctx)
}

const about = `Usage: slacklogs authorize --client-id ID [flags]

Installs the Slack app (see examples/slack-app) for its logs, keeps the token in a file and prints a configuration of
the collector on stdout, or into --config-output. The client secret comes from SLACK_CLIENT_SECRET, from --client-secret-file, or is asked for.
The exit code is 0 once a token is written that reads at least one of --logs. Otherwise nothing is.
`

func parseAuthorize(args []string, stdout, stderr io.Writer) (authorizeFlags, error) {
	var f authorizeFlags
	set := verb.NewFlags("authorize", about, stdout, stderr)
	set.StringVar(&f.clientID, "client-id", os.Getenv("SLACK_CLIENT_ID"), "the app's Client `ID`, from Basic Information (default SLACK_CLIENT_ID)")
	set.StringVar(&f.secretFile, "client-secret-file", "", "a `file` with the app's Client Secret")
	set.StringVar(&f.logs, "logs", "audit", "which logs the token is to read: audit, access, integration, with commas between")
	set.BoolVar(&f.actorRoles, "actor-roles", false, "the token is also to read who has what role, for actor_roles (users:read)")
	set.StringVar(&f.team, "team", "", "the `id` of the workspace or organisation (T… or E…) that Slack's page offers first")
	set.StringVar(&f.redirectURL, "redirect-url", "", "where Slack sends the browser afterwards: one of the app's redirect `URL`s, or below one\n(default "+defaultRedirect+", with --pkce "+defaultRedirectPublic+")")
	set.StringVar(&f.receive, "receive", "", "how the code comes back: callback = to a page served here on loopback, or pasted; paste = only pasted\n(default callback if the redirect URL is on loopback)")
	set.BoolVar(&f.pkce, "pkce", false, "the app is a public client, without a secret")
	set.BoolVar(&f.gov, "gov", false, "GovSlack (slack-gov.com)")
	set.StringVar(&f.endpoint, "endpoint", "", "base `address` of another Web API, such as a simulator's (default "+slack.Endpoint+")")
	set.StringVar(&f.output, "output", "slack-token", "the `file` for the token")
	set.StringVar(&f.configOutput, "config-output", "", "a new `file` for the configuration, in place of stdout")
	set.BoolVar(&f.printToken, "print-token", false, "print the token on stdout as well, alone; the configuration goes to stderr")
	set.StringVar(&f.botScope, "bot-scope", "", "a bot `scope` to ask for beside, such as team:read, if Slack installs no app without one")
	set.DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long to wait for the code; at most 24h")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	f.clientID = strings.TrimSpace(f.clientID)
	if problem := cmp.Or(f.setDefaults(), f.problem(set.NArg())); problem != "" {
		return f, set.Wrong(problem)
	}
	return f, nil
}

// setDefaults also says what can't stand beside each other.
func (f *authorizeFlags) setDefaults() (problem string) {
	if f.gov && f.endpoint != "" {
		return "--gov and --endpoint exclude each other"
	}
	f.logs = strings.ReplaceAll(f.logs, " ", "")
	if f.gov {
		f.endpoint = slack.EndpointGov
	}
	f.endpoint = strings.TrimRight(cmp.Or(f.endpoint, slack.Endpoint), "/")
	if f.redirectURL == "" {
		f.redirectURL = defaultRedirect
		if f.pkce {
			f.redirectURL = defaultRedirectPublic
		}
	}
	path, err := filepath.Abs(f.output)
	if err != nil {
		return fmt.Sprintf("--output has no absolute path: %v", err)
	}
	if f.output != "" {
		f.output = path
	}
	if f.configOutput != "" {
		if f.configOutput, err = filepath.Abs(f.configOutput); err != nil {
			return fmt.Sprintf("--config-output has no absolute path: %v", err)
		}
	}
	return ""
}

var (
	// What is pasted in the wrong place is not repeated: it may be the secret.
	clientIDForm = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
	teamForm     = regexp.MustCompile(`^[TE][A-Z0-9]+$`)
	scopesForm   = regexp.MustCompile(`^[a-z.:]+(,[a-z.:]+)*$`)
)

// problem says in a sentence what is wrong with the flags, if anything is.
func (f *authorizeFlags) problem(rest int) string {
	switch {
	case rest > 0:
		return "it takes flags only; the client secret comes from SLACK_CLIENT_SECRET, --client-secret-file or the keyboard" // it may stand there
	case f.clientID == "":
		return "set --client-id or SLACK_CLIENT_ID to the app's Client ID; it stands under Basic Information on https://api.slack.com/apps"
	case !clientIDForm.MatchString(f.clientID):
		return "--client-id must be the app's Client ID: two numbers with a dot between, from Basic Information"
	case f.pkce && f.secretFile != "":
		return "--pkce is for an app without a secret; leave out --client-secret-file"
	case f.pkce && f.botScope != "":
		return "--pkce and --bot-scope exclude each other: Slack gives a public client no bot scopes"
	case f.botScope != "" && !scopesForm.MatchString(f.botScope):
		return "--bot-scope must be a scope such as team:read"
	case f.team != "" && !teamForm.MatchString(f.team):
		return "--team must be the id of a workspace or organisation, such as T0123456789"
	case f.output == "":
		return "--output must name a file; with --print-token the token is printed too"
	case !nameable(f.output):
		return "--output " + notNameable
	case f.timeout <= 0 || f.timeout > maxWait:
		return "--timeout must be more than 0 and at most 24h"
	}
	return cmp.Or(f.logsProblem(), f.addressProblem())
}

func (f *authorizeFlags) logsProblem() string {
	for name := range strings.SplitSeq(f.logs, ",") {
		if !slices.ContainsFunc(verb.LogTypes, func(l verb.LogType) bool { return l.Name == name }) {
			return fmt.Sprintf("--logs must be one or more of audit, access and integration with commas between, not %q", f.logs)
		}
	}
	return ""
}

func (f *authorizeFlags) addressProblem() string {
	endpoint, err := url.Parse(f.endpoint)
	if err != nil || endpoint.Host == "" || endpoint.RawQuery != "" || endpoint.User != nil ||
		endpoint.Scheme != "https" && (endpoint.Scheme != "http" || !slack.IsLoopback(endpoint.Hostname())) {
		return "--endpoint must be an https address such as https://slack.com/api, or an http one on loopback"
	}
	back, err := url.Parse(f.redirectURL)
	switch {
	case err != nil || back.Host == "" || back.User != nil || back.Scheme != "https" && back.Scheme != "http":
		return "--redirect-url must be an address such as " + defaultRedirect
	case strings.Contains(f.redirectURL, "#"):
		return "--redirect-url must be without #, else Slack refuses it"
	case back.Scheme == "http" && !f.pkce:
		return "--redirect-url must be https: Slack allows plain http on loopback only to a public client (--pkce)"
	case back.Scheme == "http" && !slack.IsLoopback(back.Hostname()):
		return "--redirect-url must be https unless it is on loopback, such as " + defaultRedirectPublic
	}
	switch f.receive {
	case "", "paste":
		return ""
	case "callback":
		if slack.IsLoopback(back.Hostname()) {
			return ""
		}
		return "--receive callback needs a --redirect-url on loopback, such as " + defaultRedirect
	default:
		return fmt.Sprintf("--receive must be callback or paste, not %q", f.receive)
	}
}

// wanted are the log types of --logs, in the table's order.
func (f *authorizeFlags) wanted() []verb.LogType {
	names := strings.Split(f.logs, ",")
	return slices.DeleteFunc(slices.Clone(verb.LogTypes), func(l verb.LogType) bool { return !slices.Contains(names, l.Name) })
}

// scopes are the user scopes to ask for.
func (f *authorizeFlags) scopes() []string { return append(scopesOf(f.wanted()), f.moreScopes()...) }

// moreScopes are those of them that read no logs.
func (f *authorizeFlags) moreScopes() []string {
	if f.actorRoles {
		return []string{verb.UsersScope}
	}
	return nil
}

// scopesOf are the scopes that read these logs, each once.
func scopesOf(logs []verb.LogType) []string {
	var scopes []string
	for _, l := range logs {
		if !slices.Contains(scopes, l.Scope) {
			scopes = append(scopes, l.Scope)
		}
	}
	return scopes
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

const (
	// checkTimeout is how long a call may take, unless the receiver's timeout is
	// shorter.
	checkTimeout = 15 * time.Second
	// callsEach is how often a method is asked, so that a collector that runs
	// keeps some of Slack's 20 a minute.
	callsEach = 15
	// workspacesTried is how many of an organisation's workspaces are asked before
	// its log type counts as off: some may be closed to the app.
	workspacesTried = 3
	// teamPages bounds the list of workspaces.
	teamPages = 10
	// recently is how far back the audit logs are asked for an entry.
	recently = 15 * time.Minute
	// skewWarned is what a clock may be off; the receiver doubts a clock that is
	// off by more than skewFailed.
	skewWarned, skewFailed = 5 * time.Second, time.Hour
)

// errNoSlack is why a section was not tried.
var errNoSlack = errors.New("nothing was asked")

// callsOf are the calls of a method with a token.
type callsOf struct{ endpoint, token, method string }

// asking is a conversation with Slack about one subject.
type asking struct {
	*checker
	*subject
	client *slack.Client
	// info is what auth.test told.
	info slack.TokenInfo
	// took is the time of the last call.
	took time.Duration
}

// slack asks Slack what a subject's sections need.
func (c *checker) slack(ctx context.Context, s *subject) {
	a := &asking{checker: c, subject: s}
	if !a.connect(ctx) {
		a.giveUp(errNoSlack)
		return
	}
	err := a.identify(ctx)
	if a.client.Unsure() {
		// One answer far from the local clock proves nothing; a second one does.
		_, _ = a.client.AuthTest(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.giveUp(err)
		if errors.Is(err, errNoSlack) || !unreachable(err) {
			a.clock()
		}
		return
	}
	a.install()
	a.scopes()
	a.expiry()
	a.read(ctx)
	if ctx.Err() != nil {
		return
	}
	a.plan()
	a.clock()
}

// connect makes the client that the receiver would have, but for what
// extensions add to it.
func (a *asking) connect(ctx context.Context) bool {
	if len(a.cfg.Middlewares) > 0 {
		a.cfg.Middlewares = nil
		a.add(a.line("endpoint", warned, "check asks without the middlewares of the configuration", ""))
	}
	httpClient, err := a.cfg.ToClient(ctx, nil, component.TelemetrySettings{Logger: zap.NewNop()})
	if err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok {
			err = errors.New("proxy_url is no address") // the error repeats its password, or a part of it
		}
		a.add(a.line("endpoint", failed, err.Error(), "Mend tls, proxy_url or the other settings of the connection."))
		return false
	}
	if httpClient.Timeout == 0 || httpClient.Timeout > checkTimeout {
		httpClient.Timeout = checkTimeout
	}
	audit := strings.TrimRight(a.cfg.AuditEndpoint, "/")
	if audit == "" {
		audit = slack.AuditEndpoint(a.cfg.Endpoint)
	}
	a.client = slack.NewClient(slack.Settings{
		HTTP:     httpClient,
		Token:    a.subject.token,
		Endpoint: strings.TrimRight(a.cfg.Endpoint, "/"), AuditEndpoint: audit,
		UserAgent: "slacklogs/" + verb.Version, Clock: a.checker.clock,
		Observe: func(_ context.Context, _, _ string, took time.Duration) { a.took = took },
	})
	return true
}

func (a *asking) line(check string, r result, detail, advice string) finding {
	return finding{Receiver: a.name, Check: check, Result: r, Detail: detail, Advice: advice}
}

// timed is a line about the last call.
func (a *asking) timed(f finding) finding {
	f.TookMS = max(1, a.took.Milliseconds())
	return f
}

// shortcoming is how bad it is that a section can't be read.
func (s *section) shortcoming() result {
	if s.optional {
		return warned
	}
	return failed
}

// giveUp leaves all sections unread.
func (a *asking) giveUp(err error) {
	for _, s := range a.sections {
		s.err = err
		line := a.line("call", skipped, "not asked", "")
		line.Section = s.name
		a.add(line)
	}
}

// unreachable tells an answer that is not Slack's, or none, from a refusal.
func unreachable(err error) bool {
	e, ok := errors.AsType[*slack.Error](err)
	if !ok {
		return true
	}
	_, noStatus := strconv.Atoi(e.Code)
	return noStatus == nil || slices.Contains([]string{
		slack.CodeTimeout, slack.CodeNetwork, slack.CodeRedirect, slack.CodeUnreadable, slack.CodeTooLarge,
		"bad_endpoint", "unknown_method",
	}, e.Code)
}

// identify asks whether Slack is there and whose token it is. Without a token
// Slack refuses, which shows that it is there.
func (a *asking) identify(ctx context.Context) error {
	info, err := a.client.AuthTest(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && unreachable(err) {
		a.refused(a.timed(a.line("endpoint", failed, "", "")), err)
		return err
	}
	a.add(a.timed(a.line("endpoint", passed, address(a.cfg.Endpoint)+" answers"+a.via(), "")))
	switch {
	case a.subject.token == "":
		return errNoSlack
	case err != nil:
		a.refused(a.line("token", failed, "", ""), err)
		return err
	}
	a.info = info
	line := a.line("installer", passed, person(info), "")
	if info.BotID != "" {
		line.Result, line.Detail, line.Advice = failed, line.Detail+" is a bot", slack.Advice("not_allowed_token_type")
	}
	a.add(line)
	return nil
}

// address is where an endpoint is, without what may be secret.
func address(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "it"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// via names the proxy, if there is one.
func (a *asking) via() string {
	req := &http.Request{}
	var err error
	if req.URL, err = url.Parse(a.cfg.Endpoint); err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(req)
	if a.cfg.ProxyURL != "" {
		proxy, err = url.Parse(a.cfg.ProxyURL)
	}
	if err != nil || proxy == nil {
		return ""
	}
	return " through the proxy " + proxy.Host
}

func person(info slack.TokenInfo) string {
	if info.User == "" && info.UserID == "" {
		return "Slack does not say"
	}
	return strings.TrimSpace(info.User + " (" + info.UserID + ")")
}

func place(name, id string) string {
	if name == "" {
		return id
	}
	return name + " (" + id + ")"
}

// install says where the app is installed, and whether that will do.
func (a *asking) install() {
	if a.info.TeamID == "" {
		a.add(a.line("installed on", passed, "the organisation "+place(a.info.EnterpriseName, a.info.EnterpriseID), ""))
		return
	}
	detail := "the workspace " + place(a.info.TeamName, a.info.TeamID)
	if a.info.EnterpriseID != "" {
		detail += " of the organisation " + place(a.info.EnterpriseName, a.info.EnterpriseID)
	}
	a.add(a.line("installed on", passed, detail, ""))
	for _, s := range a.sections {
		if s.name == "audit_logs" {
			line := a.line("installed on", s.shortcoming(), "needs a token of the organisation", slack.Advice("invalid_workspace"))
			line.Section = s.name
			a.add(line)
		}
	}
}

// scopes holds what each section needs against what the token has.
func (a *asking) scopes() {
	if a.info.Scopes == nil {
		a.add(a.line("scopes", skipped, "Slack does not say which the token has", ""))
		return
	}
	has := strings.Join(a.info.Scopes, ",")
	if has == "" {
		has = "none"
	}
	for _, s := range a.sections {
		line := a.line("scopes", passed, "has "+s.scope, "")
		if !slices.Contains(a.info.Scopes, s.scope) {
			line.Result, line.Detail, line.Advice = s.shortcoming(), "lacks "+s.scope+"; the token has "+has, slack.Advice("missing_scope")
		}
		line.Section = s.name
		a.add(line)
	}
	if a.cfg.ActorRoles.HasValue() {
		line := a.line("scopes", passed, "has "+verb.UsersScope, "")
		if !slices.Contains(a.info.Scopes, verb.UsersScope) {
			line.Result, line.Detail, line.Advice = failed, "lacks "+verb.UsersScope+"; the token has "+has, slack.Advice("missing_scope")
		}
		line.Section = "actor_roles"
		a.add(line)
	}
}

// expiry warns of a token that ends.
func (a *asking) expiry() {
	switch {
	case a.info.ExpiresIn > 0:
		a.add(a.line("expiry", warned, "the token expires in "+a.info.ExpiresIn.Round(time.Second).String(), slack.Advice("token_expired")))
	case strings.HasPrefix(a.subject.token, "xoxe."):
		a.add(a.line("expiry", warned, "a rotated token expires after 12 hours; Slack does not say how soon", slack.Advice("token_expired")))
	}
}

// read tries each section with one call, or one for each workspace.
func (a *asking) read(ctx context.Context) {
	list := teamList{}
	for _, s := range a.sections {
		if ctx.Err() != nil {
			return
		}
		if s.name == "audit_logs" {
			now, _ := a.client.Now()
			s.err = a.call(ctx, s, "", func() (*slack.Page, error) {
				return a.client.AuditLogs(ctx, slack.AuditQuery{Oldest: now.Add(-recently).Unix(), Latest: now.Unix(), Limit: 1})
			})
			s.readable = s.err == nil
			continue
		}
		a.readWorkspaces(ctx, s, &list)
	}
}

// readWorkspaces tries a list of the Web API on each of its workspaces, as far
// as the calls go.
func (a *asking) readWorkspaces(ctx context.Context, s *section, list *teamList) {
	if a.name == "" && len(s.teams) == 0 && a.info.TeamID == "" {
		s.teams = []string{"*"} // flags need not name them
	}
	teams, err := a.workspaces(ctx, s, list)
	if err != nil {
		s.err = err
		return
	}
	if a.oneEach {
		teams = teams[:min(len(teams), workspacesTried)]
	}
	for i, team := range teams {
		if ctx.Err() != nil {
			return
		}
		why := ""
		switch {
		case i > 0 && endsWalk(s.err):
			why = "the last answer would be theirs too"
		case a.asked[a.callsOf(s.method)] >= callsEach:
			why = fmt.Sprintf("check makes no more than %d calls of %s, and none after Slack asked to wait", callsEach, s.method)
		}
		if why != "" {
			line := a.line("call", skipped, fmt.Sprintf("%d more workspaces are not asked: %s", len(teams)-i, why), "")
			line.Section = s.name
			a.add(line)
			return
		}
		err := a.call(ctx, s, team, func() (*slack.Page, error) {
			if s.name == "access_logs" {
				return a.client.AccessLogs(ctx, slack.ListQuery{TeamID: team, Limit: 1})
			}
			return a.client.IntegrationLogs(ctx, slack.ListQuery{TeamID: team, Limit: 1, Page: 1})
		})
		if err == nil {
			s.readable = true
		} else if s.err == nil {
			s.err = err
		}
		if a.oneEach && s.readable {
			return
		}
	}
}

// endsWalk tells what each workspace would get too from what is about one.
func endsWalk(err error) bool {
	e, ok := errors.AsType[*slack.Error](err)
	return ok && (e.Class == slack.Heals || e.Class == slack.Throttled || e.Class == slack.Unreadable || e.Class == slack.NeedsScope)
}

func (a *asking) callsOf(method string) callsOf {
	return callsOf{a.cfg.Endpoint, a.subject.token, method}
}

// call asks for the newest entry and says what came.
func (a *asking) call(ctx context.Context, s *section, team string, ask func() (*slack.Page, error)) error {
	a.asked[a.callsOf(s.method)]++
	entries, newest := 0, int64(0)
	page, err := ask()
	if err == nil {
		_, err = page.Each(ctx, func(e jsonstream.Element) error {
			entries++
			newest = max(newest, dateOf(e.Text))
			return nil
		})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	line := a.timed(a.line("call", passed, "", ""))
	line.Section, line.TeamID = s.name, team
	if err != nil {
		if e, ok := errors.AsType[*slack.Error](err); ok && e.Class == slack.Throttled {
			a.asked[a.callsOf(s.method)] = callsEach
		}
		line.Result = s.shortcoming()
		a.refused(line, err)
		return err
	}
	switch {
	case entries == 0 && s.name == "audit_logs":
		line.Detail = fmt.Sprintf("readable; no entry in the last %.0f minutes", recently.Minutes())
	case entries == 0:
		line.Detail = "readable, and empty"
	case newest == 0:
		line.Detail = fmt.Sprintf("readable; %d came, without a date", entries)
	default:
		line.Detail = fmt.Sprintf("readable; %d came, the newest of %s", entries, time.Unix(newest, 0).UTC().Format(time.RFC3339))
	}
	a.add(line)
	return nil
}

// dateOf is when an entry of any log type happened, 0 if it does not say.
func dateOf(text []byte) int64 {
	var e struct {
		Audit       json.RawMessage `json:"date_create"`
		Access      json.RawMessage `json:"date_last"`
		Integration json.RawMessage `json:"date"`
	}
	_ = json.Unmarshal(text, &e)
	for _, date := range []json.RawMessage{e.Audit, e.Access, e.Integration} {
		if n, err := strconv.ParseInt(strings.Trim(string(date), `"`), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// plan says what the answers tell of the Slack plan.
func (a *asking) plan() {
	known := ""
	if a.info.EnterpriseID != "" {
		known = "Enterprise"
	}
	for _, s := range a.sections {
		if e, ok := errors.AsType[*slack.Error](s.err); ok && e.Class == slack.NeedsPlan {
			line := a.line("plan", s.shortcoming(), "does not give these logs, as far as the answer tells", e.Advice)
			line.Section = s.name
			a.add(line)
			return
		}
		switch {
		case s.readable && s.name == "audit_logs":
			known = "Enterprise, with audit logs"
		case s.readable && known == "":
			known = "a paid one"
		}
	}
	if known == "" {
		a.add(a.line("plan", skipped, "the answers do not tell", ""))
		return
	}
	a.add(a.line("plan", passed, known, ""))
}

// clock holds this machine's clock against Slack's.
func (a *asking) clock() {
	slackNow, known := a.client.Now()
	if !known {
		a.add(a.line("clock", skipped, "no answer told the time", ""))
		return
	}
	skew := a.checker.clock.Now().Sub(slackNow)
	line := a.line("clock", passed, "this clock is right, by Slack's", "")
	if skew.Abs() > skewWarned {
		way := "ahead of"
		if skew < 0 {
			way = "behind"
		}
		line.Result, line.Detail = warned, fmt.Sprintf("this clock is %s %s Slack's", skew.Abs().Round(time.Second), way)
		line.Advice = "Set this machine's clock, for example by NTP."
	}
	if skew.Abs() > skewFailed {
		line.Result = failed
	}
	a.add(line)
}

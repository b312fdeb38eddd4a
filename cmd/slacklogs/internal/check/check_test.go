// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const checkToken = "xoxp-404-nobody-may-print-this"

// atHarbour is a token of one workspace, without an organisation.
var atHarbour = slacktest.Identity{
	TeamID: "T04BWHARBOR", Team: "Harbour", URL: "https://harbour.slack.com/", UserID: "U1", User: "grace", Scopes: []string{"admin"},
}

func atBrightwater(change func(*slacktest.Identity)) slacktest.Identity {
	id := slacktest.NewOrganisation(1).Identity()
	if change != nil {
		change(&id)
	}
	return id
}

// checked is a Slack that check asks, and what it is told by environment.
type checked struct {
	*slacktest.Server
	t   *testing.T
	url string
}

func newChecked(t *testing.T, opt slacktest.Options, id slacktest.Identity) *checked {
	t.Helper()
	s := &checked{Server: slacktest.New(opt), t: t}
	s.SetToken(checkToken, id)
	served := httptest.NewServer(s.Server)
	t.Cleanup(func() {
		s.Close()
		served.CloseClientConnections()
		served.Close()
	})
	s.url = served.URL
	t.Setenv("SLACK_TOKEN", checkToken)
	t.Setenv("SLACK_URL", served.URL)
	return s
}

// said is what check has printed.
type said struct {
	code           int
	stdout, stderr string
	OK             bool
	Checks         []finding
}

// find returns the lines of a check.
func (s said) find(check string) (found []finding) {
	for _, f := range s.Checks {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

func (s said) worse(than ...result) (found []finding) {
	for _, f := range s.Checks {
		for _, r := range than {
			if f.Result == r {
				found = append(found, f)
			}
		}
	}
	return found
}

func runCheck(ctx context.Context, t *testing.T, args ...string) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := said{code: verb.Func(Run).Exit(ctx, "check", args, &stdout, &stderr)}
	s.stdout, s.stderr = stdout.String(), stderr.String()
	assert.NotContains(t, s.stdout+s.stderr, checkToken)
	assert.NotContains(t, s.stdout+s.stderr, "hunter2")
	return s
}

// checkJSON runs check and reads what it says.
func checkJSON(t *testing.T, args ...string) said {
	t.Helper()
	s := runCheck(t.Context(), t, append(args, "--output", "json")...)
	require.NoError(t, json.Unmarshal([]byte(s.stdout), &s), "%s%s", s.stdout, s.stderr)
	assert.Equal(t, s.OK, s.code == 0)
	for _, f := range s.Checks {
		assert.NotEmpty(t, f.Detail, "%+v", f)
		if f.Result == failed || f.Result == warned && f.Check != "endpoint" {
			assert.NotEmpty(t, f.Advice, "%+v", f)
		}
	}
	return s
}

// around is a configuration in which all is well, but for the receiver.
const around = `
extensions:
  file_storage:
    directory: ${env:STATE_DIR}
  bearertokenauth/slack:
    filename: ${env:TOKEN_FILE:-}
  headers_setter:
exporters:
  debug:
service:
  extensions: [file_storage, bearertokenauth/slack, headers_setter]
  pipelines:
    logs:
      receivers: [slacklogs]
      exporters: [debug]
`

// receiver is the receiver's part of a configuration, with more settings.
func receiverYAML(more string) string {
	return `
receivers:
  otlp:
  slacklogs:
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    storage: file_storage
` + strings.ReplaceAll("\n"+strings.TrimSpace(more), "\n", "\n    ") + "\n"
}

func writeFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(text), mode))
	require.NoError(t, os.Chmod(file, mode)) // whatever the umask is
	return file
}

const allSections = `
token: ${env:SLACK_TOKEN}
audit_logs: {}
access_logs: {team_ids: ["*"]}
integration_logs: {team_ids: ["*"]}
`

func TestCheckAllIsWell(t *testing.T) {
	now := time.Now()
	org := slacktest.NewOrganisation(1)
	for _, tt := range []struct {
		name, receiver string
		id             slacktest.Identity
		calls          int
	}{
		{"organisation", allSections, org.Identity(), 1 + 1 + 1 + 2*len(org.Identity().Teams)},
		{"workspace", "token: ${env:SLACK_TOKEN}\naccess_logs: {}\nintegration_logs:", atHarbour, 1 + 2},
		{"workspace named", "token: ${env:SLACK_TOKEN}\naccess_logs: {team_ids: [T04BWHARBOR]}", atHarbour, 1 + 1 + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newChecked(t, slacktest.Options{}, tt.id)
			s.Add(org.Entry(now.Unix() - 60))
			t.Setenv("STATE_DIR", t.TempDir())
			config := writeFile(t, around+receiverYAML(tt.receiver), 0o600)
			got := checkJSON(t, "--config", config, "--strict")
			assert.Zero(t, got.code, got.stdout)
			assert.Empty(t, got.worse(warned, failed))
			assert.Len(t, s.Calls(), tt.calls)
			assert.Empty(t, s.Violations())
			if tt.name == "organisation" {
				assert.Contains(t, got.find("call")[0].Detail, "1 came, the newest of "+time.Unix(now.Unix()-60, 0).UTC().Format(time.RFC3339))
				assert.Equal(t, "Enterprise, with audit logs", got.find("plan")[0].Detail)
			}
			left, err := os.ReadDir(os.Getenv("STATE_DIR"))
			require.NoError(t, err)
			assert.Empty(t, left, "what was tried is taken away again")
		})
	}
}

func TestCheckTable(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atHarbour)
	s.Deny(slacktest.PathIntegration, "paid_only")
	got := runCheck(t.Context(), t, "--endpoint", s.url+"/api", "--audit-endpoint", s.url+"/audit/v1", "--logs", "access, integration")
	assert.Equal(t, 1, got.code)
	assert.Equal(t, "slacklogs check: 2 failed, 0 warned\n", got.stderr)
	assert.Equal(t, strings.ReplaceAll(`  ok       token kind     a user token (xoxp-…)
  ok       endpoint       URL/api answers (N ms)
  ok       installer      grace (U1)
  ok       installed on   the workspace Harbour (T04BWHARBOR)
  ok       scopes         access_logs: has admin
  ok       scopes         integration_logs: has admin
  ok       call           access_logs: readable, and empty (N ms)
  FAIL     call           integration_logs: team.integrationLogs: paid_only (N ms)
                          → These logs need a paid Slack plan; check the plan of the workspace.
  FAIL     plan           integration_logs: does not give these logs, as far as the answer tells
                          → These logs need a paid Slack plan; check the plan of the workspace.
  ok       clock          this clock is right, by Slack's
`, "URL", s.url), regexp.MustCompile(`\d+ ms`).ReplaceAllString(got.stdout, "N ms"))
}

func TestCheckJSON(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atHarbour)
	s.Refuse("T04BWHARBOR", "two_factor_setup_required")
	got := runCheck(t.Context(), t, "--endpoint", s.url+"/api", "--audit-endpoint", s.url+"/audit/v1", "--logs", "access", "--team-ids", "T04BWHARBOR", "--output", "json")
	assert.Equal(t, 1, got.code)
	const line = `{"receiver":"","section":"%s","check":"%s","team_id":"%s","result":"%s","detail":"%s","advice":"%s","took_ms":0}`
	const me = "T04BWHARBOR"
	want := []string{
		fmt.Sprintf(line, "", "token kind", "", "ok", "a user token (xoxp-…)", ""),
		fmt.Sprintf(line, "", "endpoint", "", "ok", s.url+"/api answers", ""),
		fmt.Sprintf(line, "", "installer", "", "ok", "grace (U1)", ""),
		fmt.Sprintf(line, "", "installed on", "", "ok", "the workspace Harbour ("+me+")", ""),
		fmt.Sprintf(line, "access_logs", "scopes", "", "ok", "has admin", ""),
		fmt.Sprintf(line, "access_logs", "workspaces", "", "ok", "1 of 1 that the app is on", ""),
		fmt.Sprintf(line, "access_logs", "call", me, "fail", "team.accessLogs: two_factor_setup_required", slack.Codes["two_factor_setup_required"].Advice),
		fmt.Sprintf(line, "", "plan", "", "skipped", "the answers do not tell", ""),
		fmt.Sprintf(line, "", "clock", "", "ok", "this clock is right, by Slack's", ""),
	}
	assert.JSONEq(t, `{"ok":false,"checks":[`+strings.Join(want, ",")+`]}`,
		regexp.MustCompile(`"took_ms": \d+`).ReplaceAllString(got.stdout, `"took_ms": 0`))
}

// Each code of Slack's comes with the sentence that mends it, whoever says it.
func TestCheckTellsEachCode(t *testing.T) {
	own := map[string]bool{
		slack.CodeTimeout: true, slack.CodeNetwork: true, slack.CodeRedirect: true, slack.CodeUnreadable: true,
		slack.CodeTooLarge: true, slack.CodeNotSaved: true,
	}
	for path, flags := range map[string][]string{
		slacktest.PathAuthTest:    {"--logs", "audit"},
		slacktest.PathAudit:       {"--logs", "audit"},
		slacktest.PathTeams:       {"--logs", "access", "--team-ids", "T04BWHARBOR"},
		slacktest.PathAccess:      {"--logs", "access", "--team-ids", "T04BWHARBOR"},
		slacktest.PathIntegration: {"--logs", "integration", "--team-ids", "T04BWHARBOR"},
	} {
		t.Run(path[1:], func(t *testing.T) {
			s := newChecked(t, slacktest.Options{}, atBrightwater(nil))
			for code, known := range slack.Codes {
				if own[code] {
					continue
				}
				s.Deny(path, code)
				got := checkJSON(t, append(flags, "--endpoint", s.url+"/api", "--audit-endpoint", s.url+"/audit/v1")...)
				assert.Equal(t, 1, got.code, code)
				fails := got.worse(failed)
				if !assert.NotEmpty(t, fails, code) {
					continue
				}
				if known.Class == slack.Throttled {
					// Slack spells it in one way in the Web API and in another one in the audit API.
					assert.Contains(t, []string{slack.Codes["ratelimited"].Advice, slack.Codes["rate_limited"].Advice}, fails[0].Advice)
					assert.Contains(t, fails[0].Detail, "Slack asks to wait for 30s")
					continue
				}
				assert.Contains(t, fails[0].Detail, code)
				assert.Equal(t, known.Advice, fails[0].Advice, code)
			}
		})
	}
}

func TestCheckFindings(t *testing.T) {
	bot := atBrightwater(func(id *slacktest.Identity) { id.BotID = "B1" })
	many := atBrightwater(func(id *slacktest.Identity) {
		id.Teams = nil
		for i := range 20 {
			id.Teams = append(id.Teams, slacktest.Team{ID: fmt.Sprintf("T%05d", i)})
		}
	})
	at := func(ahead time.Duration) slacktest.Options {
		return slacktest.Options{Now: func() time.Time { return time.Now().Add(ahead) }}
	}
	every := func(f slacktest.Fault) func(*checked) {
		return func(s *checked) { s.SetFault(slacktest.EveryNth(1, f)) }
	}
	const named = `{team_ids: [T04BWHARBOR, T0ELSEWHERE]}`
	for _, tt := range []struct {
		name     string
		opt      slacktest.Options
		id       slacktest.Identity
		set      func(*checked)
		receiver string // beside the token
		check    string
		result   result
		detail   string
		advice   string
		n        int // how many such lines; 0 = 1
	}{
		{name: "a bot", id: bot, receiver: "audit_logs:", check: "installer", result: failed, detail: "is a bot", advice: "A bot token can't read"},
		{name: "a bot's call", id: bot, receiver: "audit_logs:", check: "call", result: failed, detail: "not_allowed_token_type", advice: "use the user token"},
		{
			name: "no scope", id: atBrightwater(func(id *slacktest.Identity) { id.Scopes = []string{"admin"} }), receiver: "audit_logs:",
			check: "scopes", result: failed, detail: "lacks auditlogs:read; the token has admin", advice: "add it to the app's user scopes",
		},
		{
			name: "no scope, says the call", id: atBrightwater(func(id *slacktest.Identity) { id.Scopes = []string{"admin"} }), receiver: "audit_logs:",
			check: "call", result: failed, detail: "missing_scope (needed auditlogs:read, provided admin)", advice: "add it to the app's user scopes",
		},
		{
			name: "no scope for roles", id: atBrightwater(func(id *slacktest.Identity) { id.Scopes = []string{"auditlogs:read"} }), receiver: "audit_logs:\nactor_roles:",
			check: "scopes", result: failed, detail: "lacks users:read; the token has auditlogs:read", advice: "users:read for actor_roles",
		},
		{name: "a scope for roles", receiver: "audit_logs:\nactor_roles: {refresh_interval: 2h}", check: "scopes", result: passed, detail: "has", n: 2},
		{name: "no need of a scope for roles", id: atBrightwater(func(id *slacktest.Identity) { id.Scopes = []string{"auditlogs:read"} }), receiver: "audit_logs:", check: "scopes", result: passed, detail: "has auditlogs:read"},
		{name: "a workspace's token", id: atHarbour, receiver: "audit_logs:", check: "installed on", result: failed, detail: "needs a token of the organisation", advice: "install the app on the organisation"},
		{name: "no team_ids", receiver: "access_logs:", check: "call", result: failed, detail: "missing_argument", advice: "set team_ids"},
		{name: "an unknown workspace", receiver: "access_logs: " + named, check: "workspaces", result: failed, detail: "is not among the 3", advice: "let an Org Admin add it"},
		{name: "an unknown workspace's call", receiver: "access_logs: " + named, check: "call", result: failed, detail: "invalid_team_id", advice: "check team_ids"},
		{name: "another's workspace", id: atHarbour, receiver: "access_logs: {team_ids: [T0ELSEWHERE]}", check: "workspaces", result: failed, detail: "is not among the 1"},
		{name: "no workspace", id: atBrightwater(func(id *slacktest.Identity) { id.Teams = nil }), receiver: `access_logs: {team_ids: ["*"]}`, check: "workspaces", result: failed, detail: "on no workspace", advice: "Org Owner"},
		{name: "workspaces on many pages", opt: slacktest.Options{TeamsPerPage: 7, EmptyPages: 3}, id: many, receiver: `access_logs: {team_ids: ["*"]}`, check: "workspaces", result: passed, detail: "all that the app is on: 20"},
		{name: "too many workspaces", id: many, receiver: `access_logs: {team_ids: ["*"]}`, check: "call", result: skipped, detail: "5 more workspaces are not asked"},
		{name: "no more calls", id: many, receiver: `access_logs: {team_ids: ["*"]}`, check: "call", result: passed, n: 15},
		{
			name: "wait", id: many, receiver: `access_logs: {team_ids: ["*"]}`, check: "call", result: skipped, detail: "19 more workspaces are not asked",
			set: func(s *checked) { s.Deny(slacktest.PathAccess, "ratelimited") },
		},
		{
			name: "one workspace is closed", receiver: `access_logs: {team_ids: ["*"]}`, check: "call", result: failed, detail: "team_access_not_granted", advice: "not approved for this workspace",
			set: func(s *checked) { s.Refuse("T04BWHARBOR", "team_access_not_granted") },
		},
		{name: "no plan", receiver: "audit_logs:", check: "plan", result: failed, detail: "does not give these logs", advice: "Enterprise plan", set: func(s *checked) { s.Deny(slacktest.PathAudit, "feature_not_enabled") }},
		{name: "revoked", receiver: "audit_logs:", check: "token", result: failed, detail: "invalid_auth", advice: "Slack refuses the token", set: func(s *checked) { s.Revoke(checkToken) }},
		{name: "revoked, so no call", receiver: "audit_logs:", check: "call", result: skipped, detail: "not asked", set: func(s *checked) { s.Revoke(checkToken) }},
		{name: "a little ahead", opt: at(-time.Minute), receiver: "audit_logs:", check: "clock", result: warned, detail: "ahead of Slack's", advice: "NTP"},
		{name: "a little behind", opt: at(time.Minute), receiver: "audit_logs:", check: "clock", result: warned, detail: "behind Slack's", advice: "NTP"},
		{name: "far behind", opt: at(2 * time.Hour), receiver: "audit_logs:", check: "clock", result: failed, detail: "behind Slack's", advice: "NTP"},
		{name: "far ahead, without a token that works", opt: at(-2 * time.Hour), receiver: "audit_logs:", check: "clock", result: failed, detail: "ahead of Slack's", advice: "NTP", set: func(s *checked) { s.Revoke(checkToken) }},
		{
			name: "far ahead, but Slack's time counts", opt: slacktest.Options{RejectFuture: true, Now: at(-2 * time.Hour).Now}, receiver: "audit_logs:",
			check: "call", result: passed, detail: "readable",
		},
		{name: "no date", opt: slacktest.Options{OmitDate: true}, receiver: "audit_logs:", check: "clock", result: skipped, detail: "no answer told the time"},
		{name: "no answer", receiver: "timeout: 50ms\naudit_logs:", check: "endpoint", result: failed, detail: "timeout", advice: "raise timeout", set: every(slacktest.FaultHang)},
		{name: "a redirect", receiver: "audit_logs:", check: "endpoint", result: failed, detail: "redirect", advice: "never followed", set: every(slacktest.FaultRedirect)},
		{name: "a portal", receiver: "audit_logs:", check: "endpoint", result: failed, detail: "unreadable_answer", advice: "whether a proxy answers", set: every(slacktest.FaultHTML)},
		{name: "Slack is down", receiver: "audit_logs:", check: "endpoint", result: failed, detail: "503", advice: "Slack is in trouble", set: every(slacktest.FaultUnavailable)},
		{name: "nobody there", receiver: "endpoint: http://127.0.0.1:1/api\naudit_logs:", check: "endpoint", result: failed, detail: "network (can't connect)", advice: "check DNS, firewall, proxy_url and tls"},
		{name: "no audit API there", receiver: "audit_endpoint: http://127.0.0.1:1/audit/v1\naudit_logs:", check: "call", result: failed, detail: "network (can't connect)", advice: "check DNS"},
		{name: "a proxy whose password breaks the address", receiver: "proxy_url: http://me:hunter2/x@127.0.0.1:1\naudit_logs:", check: "endpoint", result: failed, detail: "proxy_url is no address", advice: "proxy_url"},
		{name: "a proxy whose password is quoted", receiver: "proxy_url: 'http://me:hunter2\"@127.0.0.1:x'\naudit_logs:", check: "endpoint", result: failed, detail: "proxy_url is no address", advice: "proxy_url"},
		{name: "no proxy", receiver: "proxy_url: http://me:hunter2@127.0.0.1:1\naudit_logs:", check: "endpoint", result: failed, detail: "network", advice: "proxy_url"},
		{name: "a proxy", receiver: "endpoint: http://127.0.0.1:1/api\naudit_endpoint: http://127.0.0.1:1/audit/v1\nproxy_url: ${env:SLACK_URL}\naudit_logs:", check: "endpoint", result: passed, detail: "through the proxy 127.0.0.1:"},
		{name: "no such CA", receiver: "tls: {ca_file: nowhere.pem}\naudit_logs:", check: "endpoint", result: failed, detail: "nowhere.pem", advice: "Mend tls"},
		{name: "a middleware", receiver: "middlewares: [{id: nobody}]\naudit_logs:", check: "endpoint", result: warned, detail: "without the middlewares"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.id.URL == "" {
				tt.id = atBrightwater(nil)
			}
			s := newChecked(t, tt.opt, tt.id)
			if tt.set != nil {
				tt.set(s)
			}
			t.Setenv("STATE_DIR", t.TempDir())
			config := writeFile(t, around+receiverYAML("token: ${env:SLACK_TOKEN}"), 0o600)
			more := writeFile(t, "receivers:\n  slacklogs:\n    "+strings.ReplaceAll(tt.receiver, "\n", "\n    "), 0o600)
			got := checkJSON(t, "--config", config, "--config", "file:"+more)
			var found []finding
			for _, f := range got.find(tt.check) {
				if f.Result == tt.result && strings.Contains(f.Detail, tt.detail) && strings.Contains(f.Advice, tt.advice) {
					found = append(found, f)
				}
			}
			assert.Len(t, found, max(1, tt.n), "%+v", got.find(tt.check))
			if tt.result == failed {
				assert.Equal(t, 1, got.code)
			}
			assert.Empty(t, s.Violations())
		})
	}
}

// What is wrong with the configuration itself is said before Slack is asked.
func TestCheckConfiguration(t *testing.T) {
	good := around + receiverYAML(allSections)
	without := func(part, instead string) string {
		require.Contains(t, good, part)
		return strings.Replace(good, part, instead, 1)
	}
	bearer := without("token: ${env:SLACK_TOKEN}", "auth: {authenticator: bearertokenauth/slack}")
	for _, tt := range []struct {
		name, yaml string
		args       []string
		mode       os.FileMode // of the token file
		check      string
		result     result
		detail     string
		asks       bool
	}{
		{name: "unset variable", yaml: good + "  telemetry: {resource: {a: \"${env:NOBODY_SETS_ME}\", b: \"${env:NOBODY_SETS_ME}\", c: \"${env:NOBODY_EITHER:-x}\"}}\n", check: "environment", result: failed, detail: "NOBODY_SETS_ME is not set", asks: true},
		{name: "empty variable", yaml: good + "  telemetry: {resource: {a: \"${env:EMPTY}\"}}\n", check: "environment", result: warned, detail: "EMPTY is set, but empty", asks: true},
		{name: "unset token", yaml: without("${env:SLACK_TOKEN}", "${env:NOBODY_SETS_ME}"), check: "configuration", result: failed, detail: "token: empty"},
		{name: "bad YAML", yaml: "receivers: [", check: "configuration", result: failed, detail: "not valid YAML"},
		{name: "no file", args: []string{"--config", "nowhere.yaml"}, check: "configuration", result: failed, detail: "nowhere.yaml"},
		{name: "no such scheme", args: []string{"--config", "ftp:hunter2"}, check: "configuration", result: failed, detail: "of no known form"},
		{name: "no map", yaml: "receivers: {slacklogs: hunter2}", check: "configuration", result: failed, detail: "it is not a map"},
		{name: "no map of receivers", yaml: "receivers: hunter2", check: "configuration", result: failed, detail: "receivers is not a map"},
		{name: "no such scheme in a reference", yaml: without("${env:SLACK_TOKEN}", "${vault:slack}"), check: "configuration", result: failed, detail: "vault"},
		{name: "no receiver", yaml: around, check: "configuration", result: failed, detail: "no receiver slacklogs"},
		{name: "unknown key", yaml: without("audit_logs: {}", "audit_log: {}"), check: "configuration", result: failed, detail: "has invalid keys: audit_log"},
		{name: "a secret in the wrong place", yaml: without("${env:SLACK_TOKEN}", "{hunter2: hunter2-a}"), check: "configuration", result: failed, detail: "token"},
		{name: "not https", yaml: without("${env:SLACK_URL}/api", "http://slack.com/api"), check: "configuration", result: failed, detail: "must begin with https"},
		{name: "no pipeline", yaml: without("receivers: [slacklogs]", "receivers: [otlp]"), check: "pipeline", result: failed, detail: "no logs pipeline uses it", asks: true},
		{name: "pipeline of traces", yaml: without("    logs:\n", "    traces:\n"), check: "pipeline", result: failed, detail: "no logs pipeline uses it", asks: true},
		{name: "no exporter", yaml: without("exporters: [debug]", "exporters: []"), check: "pipeline", result: failed, detail: "logs has no exporter", asks: true},
		{name: "unknown exporter", yaml: without("exporters: [debug]", "exporters: [debug, otlp/a]"), check: "pipeline", result: failed, detail: "logs names otlp/a", asks: true},
		{name: "a connector", yaml: without("exporters: [debug]", "exporters: [routing]") + "connectors: {routing: }\n", check: "pipeline", result: passed, detail: "logs to routing", asks: true},

		{name: "no storage", yaml: without("storage: file_storage", ""), check: "storage", result: warned, detail: "records come twice", asks: true},
		{name: "unknown storage", yaml: without("storage: file_storage", "storage: redis_storage"), check: "storage", result: failed, detail: "redis_storage is not under extensions", asks: true},
		{name: "storage that does not start", yaml: without("[file_storage, ", "["), check: "storage", result: failed, detail: "not in service::extensions", asks: true},
		{name: "other storage", yaml: without("storage: file_storage", "storage: headers_setter"), check: "storage", result: skipped, detail: "headers_setter is there", asks: true},
		{name: "no folder", yaml: without("${env:STATE_DIR}", "${env:STATE_DIR}/a/b"), check: "storage", result: failed, detail: "does not exist", asks: true},
		{name: "a folder to be", yaml: without("${env:STATE_DIR}", "${env:STATE_DIR}/a/b\n    create_directory: true\n    fsync: true"), check: "storage", result: passed, detail: "does not exist yet", asks: true},
		{name: "a file", yaml: without("${env:STATE_DIR}", "${env:A_FILE}"), check: "storage", result: failed, detail: "is not a directory", asks: true},
		{name: "below a file", yaml: without("${env:STATE_DIR}", "${env:A_FILE}/a\n    create_directory: true"), check: "storage", result: failed, detail: "a directory", asks: true},
		{name: "a setting of a wrong kind", yaml: without("${env:STATE_DIR}", "${env:STATE_DIR}\n    create_directory: 1.5"), check: "storage", result: failed, detail: "create_directory", asks: true},
		{name: "default folder", yaml: without("directory: ${env:STATE_DIR}", ""), check: "storage", result: failed, detail: defaultStorageDirectory + " does not exist", asks: true},

		{name: "token file", yaml: bearer, check: "auth", result: passed, detail: "the token is in", asks: true},
		{name: "open token file", yaml: bearer, mode: 0o644, check: "auth", result: warned, detail: "open to every user (mode 0644)", asks: true},
		{name: "no token file", yaml: strings.Replace(bearer, "${env:TOKEN_FILE:-}", "nowhere", 1), check: "auth", result: failed, detail: "the token file nowhere can't be read", asks: true},
		{name: "empty token file", yaml: strings.Replace(bearer, "${env:TOKEN_FILE:-}", "${env:EMPTY_FILE}", 1), check: "auth", result: failed, detail: "is empty", asks: true},
		{name: "token of the extension", yaml: strings.Replace(bearer, "filename: ${env:TOKEN_FILE:-}", "token: ${env:SLACK_TOKEN}", 1), check: "installer", result: passed, asks: true},
		{name: "tokens of the extension", yaml: strings.Replace(bearer, "filename: ${env:TOKEN_FILE:-}", "tokens: ['${env:SLACK_TOKEN}', b]", 1), check: "installer", result: passed, asks: true},
		{name: "extension without a token", yaml: strings.Replace(bearer, "filename: ${env:TOKEN_FILE:-}", "", 1), check: "auth", result: failed, detail: "has no token", asks: true},
		{name: "another header", yaml: strings.Replace(bearer, "filename:", "header: X-Token\n    filename:", 1), check: "auth", result: failed, detail: "in another header", asks: true},
		{name: "another scheme", yaml: strings.Replace(bearer, "filename:", "scheme: Token\n    filename:", 1), check: "auth", result: failed, detail: "another scheme", asks: true},
		{name: "unknown setting of the extension", yaml: strings.Replace(bearer, "filename:", "file_name:", 1), check: "auth", result: failed, detail: "file_name", asks: true},
		{name: "unknown extension", yaml: without("token: ${env:SLACK_TOKEN}", "auth: {authenticator: bearertokenauth}"), check: "auth", result: failed, detail: "bearertokenauth is not under extensions", asks: true},
		{name: "another authenticator", yaml: without("token: ${env:SLACK_TOKEN}", "auth: {authenticator: headers_setter}"), check: "token kind", result: skipped, detail: "with which check can't ask", asks: true},
		{name: "another authenticator, but Slack is there", yaml: without("token: ${env:SLACK_TOKEN}", "auth: {authenticator: headers_setter}"), check: "endpoint", result: passed, asks: true},
		{name: "another authenticator, but the clock is seen", yaml: without("token: ${env:SLACK_TOKEN}", "auth: {authenticator: headers_setter}"), check: "clock", result: passed, asks: true},
		{name: "token_rotation", yaml: without("token: ${env:SLACK_TOKEN}", "token_rotation: {client_id: a, client_secret: hunter2-b, refresh_token: xoxe-1-hunter2}"), check: "token kind", result: skipped, detail: "slacklogs status", asks: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newChecked(t, slacktest.Options{}, atBrightwater(nil))
			t.Setenv("STATE_DIR", t.TempDir())
			t.Setenv("EMPTY", "")
			t.Setenv("A_FILE", writeFile(t, "", 0o600))
			t.Setenv("EMPTY_FILE", writeFile(t, "\n", 0o600))
			if tt.mode == 0 {
				tt.mode = 0o600
			}
			t.Setenv("TOKEN_FILE", writeFile(t, "\n"+checkToken+" the token\nb\n", tt.mode))
			if tt.args == nil {
				tt.args = []string{"--config", writeFile(t, tt.yaml, 0o600)}
			}
			got := checkJSON(t, tt.args...)
			var found []finding
			for _, f := range got.find(tt.check) {
				if f.Result == tt.result && strings.Contains(f.Detail, tt.detail) {
					found = append(found, f)
				}
			}
			assert.Len(t, found, 1, "%+v", got.Checks)
			if tt.result == failed {
				assert.Equal(t, 1, got.code)
			}
			assert.Equal(t, tt.asks, len(s.Calls()) > 0)
			assert.Empty(t, s.Violations())
			left, err := os.ReadDir(os.Getenv("STATE_DIR"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestCheckDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o500))
	for _, directory := range []string{closed, filepath.Join(closed, "a", "b")} {
		got, detail, advice := tryDirectory(directory, true)
		assert.Equal(t, failed, got)
		assert.Contains(t, detail, "can't write to "+closed)
		assert.Contains(t, advice, "Give the folder")
	}
}

// What two collectors on one refresh token come to is seen before they start, where one configuration has both.
func TestCheckRefreshTokenTwice(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atBrightwater(nil))
	t.Setenv("STATE_DIR", t.TempDir())
	const rotation = `yaml:receivers: {slacklogs%s: {endpoint: "%s/api", audit_endpoint: "%s/audit/v1", storage: file_storage, audit_logs: {}, token_rotation: {client_id: "1.2", client_secret: hunter2-b, refresh_token: xoxe-1-hunter2-%s}}}`
	config := func(name, token string) []string {
		return []string{"--config", fmt.Sprintf(rotation, name, s.url, s.url, token)}
	}
	got := checkJSON(t, slices.Concat(config("/a", "1"), config("/b", "2"), config("/c", "1"))...)
	lines := got.find("token_rotation")
	require.Len(t, lines, 1)
	assert.Equal(t, "slacklogs/c", lines[0].Receiver)
	assert.Equal(t, "it has the same refresh_token as slacklogs/a", lines[0].Detail)
}

func TestCheckTwoReceivers(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atBrightwater(nil))
	t.Setenv("STATE_DIR", t.TempDir())
	s.SetToken("xoxb-2-hunter2", atHarbour)
	second := `
receivers:
  slacklogs/harbour:
    token: xoxb-2-hunter2
    endpoint: ${env:SLACK_URL}/api
    storage: file_storage
    access_logs:
  slacklogs/broken:
    token: xoxp-3-hunter2
  slacklogsother:
service:
  pipelines:
    logs:
      receivers: [slacklogs, slacklogs/harbour]
`
	got := runCheck(t.Context(), t, "--config", writeFile(t, around+receiverYAML(allSections), 0o600), "--config", "file:"+writeFile(t, second, 0o600))
	assert.Equal(t, 1, got.code)
	heads := regexp.MustCompile(`(?m)^\S.*$`).FindAllString(got.stdout, -1)
	assert.Equal(t, []string{"slacklogs", "slacklogs/broken", "slacklogs/harbour"}, heads)
	_, broken, _ := strings.Cut(got.stdout, "slacklogs/broken\n")
	broken, harbour, _ := strings.Cut(broken, "slacklogs/harbour\n")
	assert.Equal(t, 1, strings.Count(broken, "FAIL"), broken)
	assert.Contains(t, broken, "no log type is on")
	assert.Contains(t, harbour, "FAIL     token kind     a bot token (xoxb-…)")
	assert.Contains(t, harbour, "the workspace Harbour")
	assert.Empty(t, s.Violations())
}

// Both receivers share what Slack allows a token.
func TestCheckSharesCalls(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atBrightwater(func(id *slacktest.Identity) {
		for i := range 8 {
			id.Teams = append(id.Teams, slacktest.Team{ID: fmt.Sprintf("T%05d", i)})
		}
	}))
	t.Setenv("STATE_DIR", t.TempDir())
	one := receiverYAML(allSections)
	two := strings.Replace(one, "  slacklogs:", "  slacklogs/two:", 1)
	got := checkJSON(t, "--config", writeFile(t, around+one, 0o600), "--config", "file:"+writeFile(t, two, 0o600))
	asked := map[string]int{}
	for _, call := range s.Calls() {
		asked[call.Path]++
	}
	assert.Equal(t, 15, asked[slacktest.PathAccess], got.stdout)
	assert.Equal(t, 15, asked[slacktest.PathIntegration])

	before := len(s.Calls())
	s.Deny(slacktest.PathAccess, "ratelimited")
	checkJSON(t, "--config", writeFile(t, around+one, 0o600), "--config", "file:"+writeFile(t, two, 0o600))
	waits := 0
	for _, call := range s.Calls()[before:] {
		if call.Path == slacktest.PathAccess {
			waits++
		}
	}
	assert.Equal(t, 1, waits, "Slack asked to wait")
}

// When check has asked enough, it knows nothing of the next receiver's workspaces, so it says nothing against them.
func TestCheckManyReceiversWithOneToken(t *testing.T) {
	newChecked(t, slacktest.Options{}, atBrightwater(nil))
	t.Setenv("STATE_DIR", t.TempDir())
	one := receiverYAML(`
token: ${env:SLACK_TOKEN}
access_logs: {team_ids: ["*"]}
`)
	_, settings, _ := strings.Cut(one, "  slacklogs:")
	var names, more strings.Builder
	for i := range 16 {
		fmt.Fprintf(&names, ", slacklogs/%02d", i)
		fmt.Fprintf(&more, "  slacklogs/%02d:%s", i, settings)
	}
	config := strings.Replace(around, "receivers: [slacklogs]", "receivers: [slacklogs"+names.String()+"]", 1)
	got := checkJSON(t, "--config", writeFile(t, config+one+more.String(), 0o600))
	assert.Empty(t, got.worse(failed))
	found := got.find("workspaces")
	require.Len(t, found, 17)
	assert.Equal(t, skipped, found[16].Result)
	assert.Contains(t, found[16].Detail, "not asked: check makes no more than 15 calls of auth.teams.list")
}

func TestCheckTLS(t *testing.T) {
	s := slacktest.New(slacktest.Options{})
	s.SetToken(checkToken, atHarbour)
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	t.Setenv("SLACK_TOKEN", checkToken)
	t.Setenv("SLACK_URL", server.URL)
	t.Setenv("STATE_DIR", t.TempDir())
	config := writeFile(t, around+receiverYAML("token: ${env:SLACK_TOKEN}\naccess_logs:"), 0o600)

	got := checkJSON(t, "--config", config)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.worse(failed)[0].Detail, "the TLS handshake failed")

	ca := writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o600)
	got = checkJSON(t, "--config", config, "--config", "yaml:receivers::slacklogs::tls::ca_file: "+ca)
	assert.Zero(t, got.code, got.stdout)
}

func TestCheckExpiry(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atHarbour)
	s.SetApp(slacktest.App{ClientID: "1.2", ClientSecret: "hunter2", Scopes: []string{"admin"}, Rotation: true, Installer: atHarbour})
	access, refresh := s.InstallApp("1.2")
	t.Setenv("SLACK_TOKEN", access)
	flags := []string{"--endpoint", s.url + "/api", "--audit-endpoint", s.url + "/audit/v1", "--logs", "access"}
	got := checkJSON(t, flags...)
	assert.Zero(t, got.code)
	require.Len(t, got.find("expiry"), 1)
	assert.Equal(t, warned, got.find("expiry")[0].Result)
	assert.Contains(t, got.find("expiry")[0].Advice, "token_rotation")
	assert.NotContains(t, got.stdout, access)
	assert.Equal(t, 1, checkJSON(t, append(flags, "--strict")...).code)

	s.ExpireTokens("1.2")
	got = checkJSON(t, flags...)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.worse(failed)[0].Detail, "token_expired")

	t.Setenv("SLACK_TOKEN", refresh)
	got = checkJSON(t, flags...)
	assert.Equal(t, "a refresh token (xoxe-…)", got.worse(failed)[0].Detail)
	assert.NotContains(t, got.stdout, refresh)
	assert.Empty(t, s.Violations())
}

func TestCheckTokenKinds(t *testing.T) {
	for token, want := range map[string]struct {
		result result
		kind   string
	}{
		"xoxp-1":        {passed, "a user token (xoxp-…)"},
		"xoxe.xoxp-1-a": {passed, "a user token that is rotated (xoxe.xoxp-…)"},
		"xoxe.xoxb-1-a": {failed, "a bot token that is rotated (xoxe.xoxb-…)"},
		"xoxb-1":        {failed, "a bot token (xoxb-…)"},
		"xoxe-1-a":      {failed, "a refresh token (xoxe-…)"},
		"xapp-1":        {failed, "an app-level token (xapp-…)"},
		"xoxs-1":        {warned, "a legacy token or that of a client (xoxs-…)"},
		"any-text":      {warned, "of no kind that is known"},
	} {
		c := &checker{findings: newFindings(nil, outputJSON)}
		c.token(&subject{token: token})
		require.Len(t, c.all, 1)
		assert.Equal(t, want.result, c.all[0].Result, token)
		assert.Equal(t, want.kind, c.all[0].Detail)
	}
}

// Names are Slack's, and errors may repeat what they were given.
func TestCheckMasks(t *testing.T) {
	f := newFindings(nil, outputJSON)
	f.hide("hunter2-and-more")
	f.hide("hunter2")
	f.hide("a")
	f.hide("http://me:sw\"ordfish@proxy")
	for text, want := range map[string]string{
		"a hunter2, hunter2-and-more":             "a …, …",
		"xoxp-12-ab.c xoxe.xoxp-1-Mi0 xapp-1-a":   "xoxp-… xoxe-… xapp-…",
		"use the user token (xoxp-…)":             "use the user token (xoxp-…)",
		`parse "http://me:sw\"ordfish@proxy": no`: `parse "…": no`,
		"red \x1b[31m\nalert":                     "red  [31m alert",
	} {
		assert.Equal(t, want, f.masked(text))
	}
}

func TestCheckTokenFile(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atHarbour)
	t.Setenv("SLACK_TOKEN", "")
	flags := []string{"--endpoint", s.url + "/api", "--audit-endpoint", s.url + "/audit/v1", "--logs", "access", "--token-file"}
	got := checkJSON(t, append(flags, writeFile(t, checkToken+"\n", 0o600))...)
	assert.Zero(t, got.code)
	assert.Empty(t, got.worse(warned))
	got = checkJSON(t, append(flags, writeFile(t, checkToken, 0o644))...)
	assert.Zero(t, got.code)
	assert.Equal(t, "token file", got.worse(warned)[0].Check)
}

// Without --logs nothing is asked for by name, so a log type that can't be read is only said.
func TestCheckWhatATokenReads(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atHarbour)
	flags := []string{"--endpoint", s.url + "/api", "--audit-endpoint", s.url + "/audit/v1"}
	got := checkJSON(t, flags...)
	assert.Zero(t, got.code)
	assert.Equal(t, "the token reads access_logs, integration_logs", got.find("log types")[0].Detail)
	for _, f := range got.worse(warned) {
		assert.Equal(t, "audit_logs", f.Section)
	}
	got = checkJSON(t, append(flags, "--logs", "audit,access")...)
	assert.Equal(t, 1, got.code)
	assert.Empty(t, got.find("log types"))

	s.Deny(slacktest.PathAccess, "paid_only")
	s.Deny(slacktest.PathIntegration, "paid_only")
	got = checkJSON(t, flags...)
	assert.Equal(t, 1, got.code)
	assert.Equal(t, failed, got.find("log types")[0].Result)
}

// What `make run` needs: the sections that a token can read, and a line for each log type.
func TestCheckSections(t *testing.T) {
	org := atBrightwater(nil)
	const all = "audit_logs: {}\naccess_logs: {team_ids: [\"*\"]}\nintegration_logs: {team_ids: [\"*\"]}\n"
	for _, tt := range []struct {
		name   string
		id     slacktest.Identity
		set    func(*slacktest.Server)
		flags  []string
		stdout string
		lines  [3]string // each log type's line begins so
	}{
		{name: "all", id: org, stdout: all, lines: [3]string{"audit logs: on", "access logs: on", "integration logs: on"}},
		{
			name: "named workspaces", id: org, flags: []string{"--team-ids", "T04BWHARBOR,T04BWLABORA"},
			stdout: strings.ReplaceAll(all, `"*"`, `"T04BWHARBOR", "T04BWLABORA"`), lines: [3]string{"audit logs: on", "access logs: on", "integration logs: on"},
		},
		{
			name: "a workspace's token", id: atHarbour, stdout: "access_logs: {}\nintegration_logs: {}\n",
			lines: [3]string{"audit logs: off, audit.logs: missing_scope (needed auditlogs:read, provided admin): ", "access logs: on", "integration logs: on"},
		},
		{
			name: "audit only", id: atBrightwater(func(id *slacktest.Identity) { id.Scopes = []string{"auditlogs:read"} }), stdout: "audit_logs: {}\n",
			lines: [3]string{
				"audit logs: on", "access logs: off, team.accessLogs: missing_scope (needed admin, provided auditlogs:read): ",
				"integration logs: off, team.integrationLogs: missing_scope (needed admin, provided auditlogs:read): ",
			},
		},
		{
			name: "one workspace is closed", id: org, set: func(s *slacktest.Server) { s.Refuse(org.Teams[0].ID, "team_access_not_granted") }, stdout: all,
			lines: [3]string{"audit logs: on", "access logs: on", "integration logs: on"},
		},
		{
			name: "all workspaces are closed", id: org,
			set: func(s *slacktest.Server) {
				for _, team := range org.Teams {
					s.Refuse(team.ID, "team_access_not_granted")
				}
			},
			stdout: "audit_logs: {}\n",
			lines:  [3]string{"audit logs: on", "access logs: off, team.accessLogs: team_access_not_granted: The app is not approved", "integration logs: off, "},
		},
		{
			name: "no workspace", id: atBrightwater(func(id *slacktest.Identity) { id.Teams = nil }), stdout: "audit_logs: {}\n",
			lines: [3]string{"audit logs: on", "access logs: off, the app is on no workspace: ", "integration logs: off, the app is on no workspace: "},
		},
		{
			name: "revoked", id: org, set: func(s *slacktest.Server) { s.Revoke(checkToken) },
			lines: [3]string{"audit logs: off, auth.test: invalid_auth: ", "access logs: off, auth.test: ", "integration logs: off, auth.test: "},
		},
		{
			name: "Slack is in trouble", id: org,
			set: func(s *slacktest.Server) {
				s.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultInternal), slacktest.PathAudit, slacktest.PathTeams))
			},
			stdout: all,
			lines:  [3]string{"audit logs: on, but not proven: audit.logs: 500", "access logs: on, but not proven: auth.teams.list: 500", "integration logs: on, but not proven: "},
		},
		{
			name: "Slack is down", id: org, set: func(s *slacktest.Server) { s.SetFault(slacktest.EveryNth(1, slacktest.FaultUnavailable)) },
			stdout: "audit_logs: {}\naccess_logs: {}\nintegration_logs: {}\n",
			lines:  [3]string{"audit logs: on, but not proven: auth.test: 503", "access logs: on, but not proven: auth.test: ", "integration logs: on, but not proven: "},
		},
		{
			name: "not Slack", id: org, set: func(s *slacktest.Server) { s.SetFault(slacktest.EveryNth(1, slacktest.FaultRedirect)) },
			lines: [3]string{"audit logs: off, auth.test: redirect", "access logs: off, ", "integration logs: off, "},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newChecked(t, slacktest.Options{EmptyPages: 2}, tt.id)
			if tt.set != nil {
				tt.set(s.Server)
			}
			t.Setenv("SLACK_TOKEN", checkToken+"\n")
			got := runCheck(t.Context(), t, append(tt.flags, "--endpoint", s.url+"/api/", "--audit-endpoint", s.url+"/audit/v1", "--output", "sections")...)
			assert.Equal(t, tt.stdout, got.stdout)
			said := got.stderr
			if tt.stdout == "" {
				assert.Equal(t, 1, got.code)
				said = strings.TrimSuffix(said, "slacklogs check: there is nothing that this token can read\n")
			} else {
				assert.Zero(t, got.code)
			}
			lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
			if assert.Len(t, lines, 3, "one line each") {
				for i, want := range tt.lines {
					if strings.HasSuffix(want, ": on") {
						assert.Equal(t, want, lines[i])
					} else {
						assert.True(t, strings.HasPrefix(lines[i], want), lines[i])
					}
				}
			}
			assert.Empty(t, s.Violations())
		})
	}
}

// What is to be read on stdout and can't be written is no success.
func TestCheckCannotPrintSections(t *testing.T) {
	full, err := os.Open(t.TempDir()) // nothing can be written to a folder
	require.NoError(t, err)
	defer full.Close()
	var stderr bytes.Buffer
	require.Error(t, printSections(full, &stderr, []*section{{name: "audit_logs", title: "audit logs", readable: true}}))
}

func TestCheckUsage(t *testing.T) {
	s := newChecked(t, slacktest.Options{}, atHarbour)
	for _, tt := range []struct {
		token  string
		args   []string
		code   int
		stderr string
	}{
		{"", nil, 2, "set SLACK_TOKEN"},
		{checkToken, []string{checkToken}, 2, "the token comes from SLACK_TOKEN"},
		{checkToken, []string{"--nope"}, 2, "-nope"},
		{checkToken, []string{"--logs", "audit,all"}, 2, "--logs must be of"},
		{checkToken, []string{"--output", "xml"}, 2, "--output must be"},
		{checkToken, []string{"--output", "sections", "--config", "a.yaml"}, 2, "is for a token"},
		{checkToken, []string{"--gov", "--endpoint", s.url}, 2, "--gov and --endpoint"},
		{checkToken, []string{"--gov", "--config", "a.yaml"}, 2, "--gov does not go together with --config"},
		{checkToken, []string{"--endpoint", s.url + "/api"}, 2, "audit_endpoint: unset"},
		{checkToken, []string{"--endpoint", "http://slack.com/api"}, 2, "must begin with https://"},
		{checkToken, []string{"--team-ids", "harbour"}, 2, `"harbour" is not the id of a workspace`},
		{"xoxp 1-" + checkToken, nil, 2, "contains white space"},
		{checkToken, []string{"--token-file", "nowhere"}, 2, "the token file nowhere can't be read"},
	} {
		t.Setenv("SLACK_TOKEN", tt.token)
		got := runCheck(t.Context(), t, tt.args...)
		assert.Equal(t, tt.code, got.code, "%q", tt.args)
		assert.Contains(t, got.stderr, tt.stderr)
	}
	assert.Empty(t, s.Calls())
}

// Ctrl-C ends it at once, wherever it is.
func TestCheckStops(t *testing.T) {
	for _, path := range []string{slacktest.PathAuthTest, slacktest.PathAudit, slacktest.PathTeams, slacktest.PathAccess, slacktest.PathIntegration} {
		for _, output := range []string{outputTable, outputJSON, outputSections} {
			s := newChecked(t, slacktest.Options{}, atBrightwater(nil))
			ctx, cancel := context.WithCancel(t.Context())
			s.SetFault(func(call slacktest.Call) slacktest.Fault {
				if call.Path != path {
					return slacktest.FaultNone
				}
				cancel()
				return slacktest.FaultHang
			})
			got := runCheck(ctx, t, "--endpoint", s.url+"/api", "--audit-endpoint", s.url+"/audit/v1", "--output", output)
			assert.Equal(t, 1, got.code)
			assert.Equal(t, "slacklogs check: stopped\n", got.stderr)
			assert.NotContains(t, got.stdout, "FAIL")
			if output != outputTable {
				assert.Empty(t, got.stdout)
			}
			calls := s.Calls()
			assert.Equal(t, path, calls[len(calls)-1].Path, "nothing is asked after that")
			cancel()
		}
	}
}

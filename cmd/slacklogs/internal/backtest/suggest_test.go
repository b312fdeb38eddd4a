// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// made is an entry with all that a list can be proposed from.
type made struct {
	day, n                          int // n makes the id different
	action, actor, ip, ua, team     string
	name, email, app, appName       string
	entityType, entity, entityName  string
	scopes                          string
	entityScopes                    string
	logType, changeType, integrated string
}

func (m made) entry() string {
	at := start.Add(time.Duration(m.day)*24*time.Hour + time.Duration(m.n)*time.Second)
	if m.logType == "integration" {
		return fmt.Sprintf(`{"user_id":%q,"date":"%d","change_type":%q,"app_id":%q,"app_type":%q,"scope":%q}`, m.actor, at.Unix(), m.changeType, m.integrated, m.appName, m.scopes)
	}
	entry := fmt.Sprintf(`{"id":"m-%d-%d-%s-%s","date_create":%d,"action":%q,"actor":{"type":"user","user":{"id":%q,"name":%q,"email":%q,"team":%q}},`+
		`"context":{"ip_address":%q,"ua":%q,"location":{"type":"enterprise","id":"E0OWN"}`,
		m.day, m.n, m.action, m.actor, at.Unix(), m.action, m.actor, m.name, m.email, m.team, m.ip, m.ua)
	if m.app != "" {
		entry += fmt.Sprintf(`,"app":{"id":%q,"name":%q,"scopes":[%s]}`, m.app, m.appName, m.scopes)
	}
	entry += "}"
	if m.entityType != "" {
		entry += fmt.Sprintf(`,"entity":{"type":%q,%q:{"id":%q,"name":%q,"scopes":[%s]}}`, m.entityType, m.entityType, m.entity, m.entityName, m.entityScopes)
	}
	return entry + "}"
}

func suggest(t *testing.T, entries []string, args ...string) (text, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	f, err := parse(append([]string{"--suggest-lists", write(t, "e", lines(entries))}, args...), start, &out, &errs)
	require.NoError(t, err, errs.String())
	require.NoError(t, f.run(t.Context(), start, &out, &errs))
	return out.String(), errs.String()
}

// values are those that a text proposes, by list. The text must be what `rules check` accepts.
func values(t *testing.T, text string) map[string][]string {
	t.Helper()
	lists, err := detect.ParseLists([]byte(text))
	require.NoError(t, err, text)
	p, err := detect.Load(detections.Rules())
	require.NoError(t, err)
	_, err = p.Tune(lists, start)
	require.NoError(t, err, "a list is missing")
	all := map[string][]string{}
	for name, list := range lists.Lists {
		if len(list.Values) > 0 {
			all[name] = list.Values
		}
	}
	return all
}

const browser = "Mozilla/5.0 (X11; Linux x86_64)"

// month are the records of an organisation with something for each list, and with people that belong in none.
func month() []string {
	var all []made
	each := func(from, to, step int, m made) {
		for day := from; day <= to; day += step {
			m.day = day
			all = append(all, m)
		}
	}
	// An admin, by what she does; some of it is a finding, but not all of what she does.
	each(0, 20, 4, made{action: "user_session_reset_by_admin", actor: "W0ADMIN", name: "Ada Admin", ua: browser, entityType: "user", entity: "W0X1"})
	each(0, 20, 4, made{action: "pref.emoji_only_admins", actor: "W0ADMIN", n: 1, name: "Ada Admin", ua: browser})
	each(0, 20, 4, made{action: "user_login", actor: "W0ADMIN", n: 2, name: "Ada Admin", ua: browser})
	// Provisioning, without a browser and a login; and some who do the same with either.
	for i := range 25 {
		all = append(all,
			made{day: i, action: "user_created", actor: "W0SCIM", ua: "okta", entityType: "user", entity: fmt.Sprintf("W0N%03d", i)},
			made{day: i, n: 1, action: "user_created", actor: "W0HR", ua: browser, entityType: "user", entity: fmt.Sprintf("W0M%03d", i)},
			made{day: i, n: 2, action: "user_login", actor: "W0HR", ua: browser},
			made{day: i, n: 3, action: "user_created", actor: "W0DESK", ua: browser, entityType: "user", entity: fmt.Sprintf("W0D%03d", i)},
			made{day: i, n: 4, action: "user_created", actor: "W0SCRIPT", ua: "curl", entityType: "user", entity: fmt.Sprintf("W0C%03d", i)},
			made{day: i, n: 5, action: "user_login", actor: "W0SCRIPT", ua: "curl"})
	}
	// A bot, of which the e-mail address tells.
	each(0, 10, 1, made{action: "user_channel_join", actor: "W0BOT", email: "x@slack-bots.com", ua: "bot"})
	// Legal exports each week; the security team searches the log; a developer uses the CLI. Who does it once is in no list.
	each(0, 21, 7, made{action: "manual_export_started", actor: "W0LEGAL", ua: browser})
	each(0, 21, 7, made{action: "user_login", actor: "W0LEGAL", n: 1, ua: browser})
	each(0, 21, 7, made{action: "audit_logs_records_searched", actor: "W0SOC", ua: browser})
	each(0, 21, 7, made{action: "user_login", actor: "W0SOC", n: 1, ua: browser})
	each(0, 21, 7, made{action: "cli_login", actor: "W0DEV", ua: "slack-cli"})
	each(0, 21, 7, made{action: "user_login", actor: "W0DEV", n: 1, ua: browser})
	each(3, 3, 1, made{action: "manual_export_started", actor: "W0ONCE", ua: browser})
	// A backup downloads by the hundred. What comes after a finding is held back, and in none.
	for day := range 6 {
		for n := range 150 {
			all = append(all, made{day: day, n: n, action: "file_downloaded", actor: "W0BACKUP", ua: "backup/1", entityType: "file", entity: fmt.Sprintf("F0%03d%03d", day, n)})
		}
	}
	// An attacker exports on many days, and is seen in findings only, held back or not.
	each(0, 21, 3, made{action: "manual_export_started", actor: "W0EVIL", n: 9, ua: browser, ip: "203.0.113.66"})
	each(0, 21, 3, made{action: "manual_export_started", actor: "W0EVIL", n: 99, ua: browser, ip: "203.0.113.66"})
	// A partner's people, one of another organisation that came once, and two addresses of the office; a home.
	for i := range 12 {
		who := fmt.Sprintf("W0STAFF%02d", i)
		each(0, 20, 4, made{action: "user_login", actor: who, ip: "198.51.100.10", ua: browser, n: i, team: "E0OWN"})
		each(0, 20, 5, made{action: "file_uploaded", actor: who, ip: fmt.Sprintf("192.0.2.%d", i), ua: browser, n: i + 20})
		for k := range 4 {
			each(0, 20, 4, made{action: "user_logout", actor: who, ip: fmt.Sprintf("2001:db8:7:%d::%d", k, i+1), ua: browser, n: i + 100 + 20*k})
		}
		each(0, 20, 4, made{action: "user_logout", actor: who, ip: fmt.Sprintf("2001:db8:8:1::%d", i+1), ua: browser, n: i + 200})
	}
	for i := range 3 {
		each(0, 20, 4, made{action: "user_channel_leave", actor: fmt.Sprintf("W0PART%d", i), team: "E0PARTNER", ua: browser, n: i})
	}
	each(5, 5, 1, made{action: "user_channel_leave", actor: "W0STRANGER", team: "E0STRANGER", ua: browser})
	// Apps: installed by the admin and used since; installed by somebody; there before; new; one that reads the audit log.
	all = append(all,
		made{day: 0, action: "app_installed", actor: "W0ADMIN", n: 5, entityType: "app", entity: "A0GOOD", entityName: "Good\n  values: [W0EVIL]\n#", entityScopes: `"chat:write"`, ua: browser},
		made{day: 0, action: "app_installed", actor: "W0HR", n: 6, entityType: "app", entity: "A0SHADOW", entityName: "Shadow", entityScopes: `"chat:write"`, ua: browser},
		made{day: 2, action: "app_installed", actor: "W0ADMIN", n: 7, entityType: "app", entity: "A0OWN", entityName: "slacklogs", entityScopes: `"auditlogs:read"`, ua: browser},
		made{day: 2, n: 8, logType: "integration", actor: "W0ADMIN", changeType: "added", integrated: "A0VAULT", appName: "Vault", scopes: "chat:write,discovery:read"},
	)
	for _, app := range []string{"A0GOOD", "A0SHADOW", "A0OLD"} {
		each(1, 21, 4, made{action: "user_channel_join", actor: "W0STAFF01", app: app, appName: app, ua: browser, n: 300 + len(app)})
	}
	each(20, 21, 1, made{action: "user_channel_join", actor: "W0STAFF02", app: "A0NEW", appName: "New", ua: browser, n: 400})
	// What is no id.
	each(0, 21, 1, made{action: "user_login", actor: "W0 EVIL: [x]", email: "y@slack-bots.com", ua: browser, n: 500})
	entries := make([]string, len(all))
	for i, m := range all {
		entries[i] = m.entry()
	}
	return entries
}

func TestSuggestLists(t *testing.T) {
	t.Parallel()
	entries := month()
	text, stderr := suggest(t, entries)
	assert.Empty(t, stderr)
	assert.Equal(t, map[string][]string{
		"slack_admins":     {"W0ADMIN"},
		"scim_actors":      {"W0SCIM"},
		"bot_users":        {"W0BOT"},
		"export_operators": {"W0LEGAL"},
		"security_team":    {"W0SOC"},
		"slack_developers": {"W0DEV"},
		"backup_actors":    {"W0BACKUP"},
		"partner_orgs":     {"E0PARTNER"},
		"approved_apps":    {"A0GOOD"},
		"critical_apps":    {"A0OWN", "A0VAULT"},
		"corp_egress":      {"198.51.100.10", "2001:db8:7::/48", "2001:db8:8:1::/64"},
	}, values(t, text), text)
	assert.NotContains(t, text, "W0EVIL\n")
	assert.NotContains(t, text, "- W0EVIL")
	assert.Regexp(t, `(?m)^      - W0ADMIN # Ada Admin: did what only admins can: 12 actions on 6 days$`, text)
	assert.Regexp(t, `(?m)^      # - A0OLD # A0OLD: installed before these records begin; \d+ records on 6 days`, text)
	assert.Regexp(t, `(?m)^      - '198\.51\.100\.10' # 12 people, 72 records on 6 days$`, text)
	assert.NotContains(t, text, "A0SHADOW", "an app that no admin installed")
	assert.NotContains(t, text, "A0NEW", "an app that is not in use for long")
	assert.NotContains(t, text, "E0STRANGER")
	assert.NotContains(t, text, "192.0.2.", "homes")
	assert.Contains(t, text, "exceptions: []\n")

	reversed := slices.Clone(entries)
	slices.Reverse(reversed)
	again, _ := suggest(t, reversed)
	counts := regexp.MustCompile(`(?m) #.*$`) // the last name that was seen wins
	assert.Equal(t, counts.ReplaceAllString(text, ""), counts.ReplaceAllString(again, ""), "the order of the records changes nothing")
	same, _ := suggest(t, entries)
	assert.Equal(t, text, same)
}

// Roles that the collector looked up say more than what somebody did.
func TestSuggestByRole(t *testing.T) {
	t.Parallel()
	entry := made{action: "user_login", actor: "W0QUIET", ua: browser}.entry()
	request := fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","body":{"stringValue":%q},"attributes":[
		{"key":"slack.log.type","value":{"stringValue":"audit"}},{"key":"log.record.uid","value":{"stringValue":"u1"}},
		{"key":"user.roles","value":{"arrayValue":{"values":[{"stringValue":"owner"}]}}}]}]}]}]}`, start.UnixNano(), entry)
	text, _ := suggest(t, []string{strings.ReplaceAll(strings.ReplaceAll(request, "\n", ""), "\t", "")})
	assert.Equal(t, []string{"W0QUIET"}, values(t, text)["slack_admins"])
}

// A range of addresses is proposed only where several of it have many people.
func TestSuggestRanges(t *testing.T) {
	t.Parallel()
	offices := func(n int) []string {
		var entries []string
		for office := range n {
			for who := range 10 {
				for day := 0; day <= 16; day += 4 {
					entries = append(entries, made{
						day: day, action: "user_logout", actor: fmt.Sprintf("W0S%d", who), n: office*10 + who,
						ip: fmt.Sprintf("198.51.100.%d", office), ua: browser,
					}.entry())
				}
			}
		}
		return entries
	}
	text, _ := suggest(t, offices(3))
	assert.Equal(t, []string{"198.51.100.0", "198.51.100.1", "198.51.100.2"}, values(t, text)["corp_egress"])
	text, _ = suggest(t, offices(4))
	assert.Equal(t, []string{"198.51.100.0/24"}, values(t, text)["corp_egress"])
	assert.Contains(t, text, "Is the whole range yours?")
}

func TestSuggestOwnApp(t *testing.T) {
	t.Parallel()
	entries := []string{made{action: "user_login", actor: "W0ADA", ua: browser}.entry()}
	text, stderr := suggest(t, entries)
	assert.Contains(t, stderr, "own app was not seen")
	assert.Contains(t, stderr, "https://api.slack.com/apps")
	assert.Regexp(t, `(?m)^    # The collector's own app is missing, and has to be here: .*https://api\.slack\.com/apps`, text)
	assert.Contains(t, text, "that is too short: 14 days are needed")
	assert.Empty(t, values(t, text))

	text, stderr = suggest(t, entries, "--own-app", "A0MINE", "--own-app", "A0MINETOO")
	assert.Empty(t, stderr)
	assert.NotContains(t, text, "is missing, and has to be here")
	assert.ElementsMatch(t, []string{"A0MINE", "A0MINETOO"}, values(t, text)["critical_apps"])
	assert.Contains(t, text, "own_apps: [A0MINE, A0MINETOO]\n")

	// The app is known by its scopes, though its installation is a finding.
	for name, entry := range map[string]string{
		"installed":  made{action: "app_installed", actor: "W0ADA", entityType: "app", entity: "A0OWN", entityScopes: `"auditlogs:read"`, ua: browser}.entry(),
		"acts":       made{action: "user_login", actor: "W0ADA", app: "A0OWN", scopes: `"x","auditlogs:read"`, ua: browser}.entry(),
		"integrated": made{logType: "integration", actor: "W0ADA", changeType: "added", integrated: "A0OWN", scopes: "admin,auditlogs:read"}.entry(),
	} {
		text, stderr := suggest(t, []string{entry})
		assert.Empty(t, stderr, name)
		assert.Equal(t, []string{"A0OWN"}, values(t, text)["critical_apps"], name)
	}
}

// What stands in the lists already stays, and so do exceptions.
func TestSuggestKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	text := string(detections.Lists())
	admins := regexp.MustCompile(`(?s)slack_admins:.*?values: \[\]`).FindString(text)
	text = strings.Replace(text, admins, strings.Replace(admins, "values: []", "values: [W0BOSS, W0ADMIN]", 1), 1)
	text = strings.Replace(text, "exceptions: []",
		"exceptions: [{rules: [role_to_admin], match: {actor.user.id: [W1, W2]}, owner: o, reason: 'r: #1', expires: 2027-01-01}]", 1)
	text += "\n"
	proposed, _ := suggest(t, month(), "--lists", write(t, "lists.yml", []byte(text)))
	assert.Equal(t, []string{"W0BOSS", "W0ADMIN"}, values(t, proposed)["slack_admins"])
	assert.Contains(t, proposed, "- W0BOSS # was there\n")
	lists, err := detect.ParseLists([]byte(proposed))
	require.NoError(t, err)
	require.Len(t, lists.Exceptions, 1)
	assert.Equal(t, "r: #1", lists.Exceptions[0].Reason)
	assert.Equal(t, "2027-01-01", lists.Exceptions[0].Expires)
	assert.Len(t, lists.Exceptions[0].Match["actor.user.id"], 2)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Organisation makes up what happens in the company Brightwater. The same seed and the same calls make the same
// entries, and rows of the other logs don't change the audit log. Not for use by several goroutines at once.
type Organisation struct {
	rng    *rand.Rand
	people []person
	// rows is the same company with an rng of its own, for access and integration logs.
	rows                       *Organisation
	odd, oddLogins, oddChanges int // how many odd ones were made
}

type person struct {
	id, name, email, team string
	device                device
	ip                    string
	country               string
	session               int64
}

type device struct{ ua, os string }

type app struct {
	id, name string
	scopes   []string
	bot      []string
}

const (
	orgID   = "E04BRIGHTWA"
	orgName = "Brightwater"
)

var workspaces = [][3]string{ // id, name, domain
	{"T04BWHARBOR", "Brightwater Harbour", "brightwater-harbour"},
	{"T04BWLABORA", "Brightwater Labs", "brightwater-labs"},
	{"T04BWFIELD0", "Brightwater Field & Service", "brightwater-field"},
}

var devices = []device{
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 15_3_1) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.47.2 Chrome/142.0.0.0 Electron/39.1.0 Safari/537.36 AppleSilicon", "macOS"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36", "Windows"},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Linux"},
	{"com.tinyspeck.chatlyio/25.11.10 (iPhone; iOS 26.1; Scale/3.00)", "iOS"},
	{"slack/25.11.20.0 (Google Pixel 9; Android 16)", "Android"},
}

var apps = []app{
	{"A05TIDETABL", "Tide Table", []string{"chat:write", "channels:read", "users:read"}, []string{"commands", "chat:write", "im:history"}},
	{"A05PUMPWTCH", "Pump Watch/Alarms", []string{"incoming-webhook"}, []string{"chat:write", "files:write"}},
	{"A05LEDGERLY", "Ledgerly Expenses", []string{"users:read", "users:read.email", "team:read", "files:read", "reactions:read", "usergroups:read"}, []string{"commands", "chat:write", "workflow.steps:execute"}},
	{"A05KITESURF", "Kite Search", []string{"search:read", "channels:history", "groups:history", "files:read", "links:read", "users.profile:read"}, []string{}},
}

var (
	givenNames  = []string{"Ada", "Bram", "Chioma", "Dilek", "Émile", "Freya", "Goran", "Hana", "Ísak", "João", "Kofi", "Lúcia", "Mei", "Niamh", "Orla", "Priya", "Quinn", "Rasmus", "Søren", "Tomoko"}
	familyNames = []string{"Ashdown", "Bergström", "Castellano", "Dvořák", "Eze", "Fontaine", "Galloway", "Haraldsson", "Iwasaki", "Jansen"}
	countries   = []string{"GB", "NL", "JP", "US", "NO", ""}
	topics      = []string{"tide-gauges", "pump-station-7", "harbour_ops", "finance/q3", "köln-büro", "incident-2291", "lunch🍣", "field-notes"}
	fileTypes   = [][2]string{{"application/pdf", "pdf"}, {"image/png", "png"}, {"text/csv", "csv"}, {"application/vnd.slack-docs", "canvas"}, {"application/zip", "zip"}}
	anomalies   = []string{"asn", "ip_address", "tor", "user_agent", "session_fingerprint", "excessive_downloads", "unexpected_api_call_volume", "unexpected_scraping", "spoofed_user_agent"}
)

// NewOrganisation builds the company.
func NewOrganisation(seed uint64) *Organisation {
	o := &Organisation{rng: rand.New(rand.NewPCG(seed, 0))}
	for i, given := range givenNames {
		for j, family := range familyNames {
			n := i*len(familyNames) + j
			p := person{
				id:      fmt.Sprintf("W04BW%06d", n),
				name:    given + " " + family,
				email:   fmt.Sprintf("staff%03d@brightwater.example", n),
				team:    orgID,
				device:  devices[o.rng.IntN(len(devices))],
				ip:      fmt.Sprintf("198.51.100.%d", 1+n%254),
				country: countries[n%len(countries)],
				session: 9_000_000_000_000 + o.rng.Int64N(2_000_000_000_000),
			}
			if n%7 == 0 {
				p.ip = fmt.Sprintf("2001:db8:4::%x", n+1)
			}
			if n%11 == 0 { // guests belong to a workspace
				p.email, p.team = fmt.Sprintf("guest%03d@harbourmasters.example", n), workspaces[n%len(workspaces)][0]
			}
			o.people = append(o.people, p)
		}
	}
	o.people = append(o.people, person{
		id: "U05BWBOT000", name: "Tide Table", email: "botuser-T04BWHARBOR-A05TIDETABL@slack-bots.com",
		team: orgID, device: device{ua: "okhttp/4.12.0"}, ip: "203.0.113.9",
	})
	o.rows = &Organisation{rng: rand.New(rand.NewPCG(seed, 1)), people: o.people}
	return o
}

// Identity is whom a token of the organisation's owner speaks for.
func (o *Organisation) Identity() Identity {
	var teams []Team
	for _, w := range workspaces {
		teams = append(teams, Team{ID: w[0], Name: w[1]})
	}
	return Identity{
		TeamID: orgID, Team: orgName, EnterpriseID: orgID, EnterpriseName: orgName,
		URL: "https://brightwater.enterprise.slack.com/", UserID: o.people[0].id, User: "ada.ashdown",
		Scopes: []string{auditScope, adminScope, usersScope}, IsEnterpriseInstall: true, Teams: teams,
	}
}

// Entry makes up one entry of this second, visible at once.
func (o *Organisation) Entry(date int64) Entry {
	return Entry{Date: date, JSON: appendJSON(make([]byte, 0, 1024), o.event(date))}
}

// event is what a kind of event adds to the parts that all share.
type event struct {
	action  string
	entity  object // begins with its type
	details any    // nil = absent
	app     *app   // acts for the person
	system  bool   // Slack itself acts
}

func (o *Organisation) event(date int64) object {
	p := pick(o, o.people)
	roll := o.rng.IntN(totalWeight)
	var e event
	for _, k := range kinds {
		if roll -= k.weight; roll < 0 {
			e = k.make(o, p, date)
			break
		}
	}
	if e.app == nil && o.oneIn(3) {
		e.app = &apps[o.rng.IntN(len(apps))]
	}
	if e.system {
		p = person{id: "USLACKSECURITY", name: "Slack Security", team: orgID}
	}
	v := object{
		{"id", o.uuid()},
		{"date_create", date},
		{"action", e.action},
		{"actor", object{{"type", "user"}, {"user", p.user()}}},
		{"entity", e.entity},
		{"context", o.context(p, e.app)},
	}
	switch {
	case e.details != nil:
		v = append(v, member{"details", e.details})
	case o.oneIn(4):
		v = append(v, member{"details", nil})
	}
	return v
}

// context shows most of what Slack is known to leave out or to put in its place.
func (o *Organisation) context(p person, by *app) object {
	location := object{{"type", "enterprise"}, {"id", orgID}, {"name", orgName}, {"domain", "brightwater"}}
	if o.oneIn(2) {
		w := pick(o, workspaces)
		location = object{{"type", "workspace"}, {"id", w[0]}, {"name", w[1]}, {"domain", w[2]}}
	}
	ua := p.device.ua
	if o.oneIn(20) {
		ua = ""
	}
	c := object{{"location", location}, {"ua", ua}}
	switch roll := o.rng.IntN(40); {
	case p.ip == "" || roll == 0: // absent
	case roll == 1:
		c = append(c, member{"ip_address", "redacted"})
	case roll == 2:
		c = append(c, member{"ip_address", ""})
	default:
		c = append(c, member{"ip_address", p.ip})
	}
	switch roll := o.rng.IntN(10); {
	case p.session == 0 || roll == 0: // absent
	case roll == 1:
		c = append(c, member{"session_id", nil})
	case roll == 2:
		c = append(c, member{"session_id", strconv.FormatInt(p.session, 10)})
	default:
		c = append(c, member{"session_id", p.session})
	}
	if by != nil {
		c = append(c, member{"app", object{
			{"id", by.id},
			{"name", by.name},
			{"is_distributed", true},
			{"is_directory_approved", false},
			{"is_workflow_app", false},
			{"scopes", by.scopes},
			{"scopes_bot", by.bot},
			{"creator", "W04BW000003"},
			{"team", orgID},
		}})
	}
	return c
}

func (p person) user() object {
	u := object{{"id", p.id}, {"name", p.name}, {"email", p.email}, {"team", p.team}}
	if p.team != orgID {
		u = append(u, member{"account_type", "MULTI_CHANNEL_GUEST"})
	}
	return u
}

func (a app) entity() object {
	return entity("app", member{"id", a.id}, member{"name", a.name}, member{"is_distributed", true},
		member{"is_directory_approved", false}, member{"is_workflow_app", false}, member{"scopes", a.scopes})
}

func entity(kind string, fields ...member) object {
	return object{{"type", kind}, {kind, object(fields)}}
}

func (o *Organisation) channel() object {
	topic := pick(o, topics)
	return entity("channel", member{"id", o.code("C07", len(topic))}, member{"privacy", pick(o, []string{"public", "private"})},
		member{"name", topic}, member{"is_shared", o.oneIn(5)}, member{"is_org_shared", o.oneIn(3)},
		member{"teams_shared_with", []string{}})
}

func (o *Organisation) file() object {
	kind, n := pick(o, fileTypes), o.rng.IntN(5000)
	return entity("file", member{"id", o.code("F08", n)}, member{"name", fmt.Sprintf("survey/%04d.%s", n, kind[1])},
		member{"filetype", kind[0]}, member{"title", fmt.Sprintf("Survey “%s” no. %d", pick(o, topics), n)})
}

func (o *Organisation) message(date int64) object {
	return entity("message", member{"team", orgID}, member{"channel", o.code("C07", o.rng.IntN(40))},
		member{"timestamp", fmt.Sprintf("%d.%06d", date-30, o.rng.IntN(1_000_000))})
}

func (o *Organisation) someone() object {
	u := pick(o, o.people).user()
	return entity("user", u...)
}

func (o *Organisation) whole() object {
	return entity("enterprise", member{"id", orgID}, member{"name", orgName}, member{"domain", "brightwater"})
}

// code makes an id of Slack's kind out of a number.
func (*Organisation) code(prefix string, n int) string { return fmt.Sprintf("%sBW%06d", prefix, n) }

func (o *Organisation) oneIn(n int) bool { return o.rng.IntN(n) == 0 }

func (o *Organisation) uuid() string {
	a, b := o.rng.Uint64(), o.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffff_ffff_ffff)
}

func pick[T any](o *Organisation, list []T) T { return list[o.rng.IntN(len(list))] }

type kind struct {
	weight int
	make   func(o *Organisation, p person, date int64) event
}

var totalWeight = func() (sum int) {
	for _, k := range kinds {
		sum += k.weight
	}
	return sum
}()

// kinds are what happens in the company, and how often against each other.
var kinds = []kind{
	{20, func(_ *Organisation, p person, _ int64) event {
		return event{action: "user_login", entity: entity("user", p.user()...), details: object{
			{"type", "new_session"}, {"authentication_method", "saml"}, {"idp_config_id", "Sa04BWIDP01"}, {"config_type", "org"},
		}}
	}},
	{4, func(o *Organisation, p person, _ int64) event {
		return event{action: "user_login_failed", entity: entity("user", p.user()...), details: object{
			{"reason", pick(o, []string{"bad_password", "sso_required", "two_factor_failed"})}, {"authentication_method", "password"},
		}}
	}},
	{5, func(_ *Organisation, p person, _ int64) event {
		return event{action: "user_logout", entity: entity("user", p.user()...)}
	}},
	{20, func(o *Organisation, _ person, _ int64) event {
		return event{action: "file_downloaded", entity: o.file()}
	}},
	{12, func(o *Organisation, p person, _ int64) event {
		e := event{action: "file_uploaded", entity: o.file()}
		if strings.HasSuffix(p.email, "@slack-bots.com") {
			e.app = &apps[0]
		}
		return e
	}},
	{3, func(o *Organisation, _ person, _ int64) event {
		return event{action: "file_public_link_created", entity: o.file(), details: object{{"url_private", "https://files.slack.com/files-pri/T04BWHARBOR/survey"}, {"shared_to", ""}}}
	}},
	{10, func(o *Organisation, _ person, _ int64) event {
		other := pick(o, o.people)
		return event{action: "user_channel_join", entity: o.channel(), details: object{
			{"inviter", object{{"type", "user"}, {"user", other.user()}}}, {"is_workflow", false},
		}}
	}},
	{6, func(o *Organisation, _ person, _ int64) event {
		other := pick(o, o.people)
		return event{action: "user_channel_leave", entity: o.channel(), details: object{{"kicker", other.user()}}}
	}},
	{4, func(o *Organisation, _ person, _ int64) event {
		return event{action: "public_channel_created", entity: o.channel(), details: object{{"channels", []string{""}}}}
	}},
	{2, func(o *Organisation, p person, _ int64) event {
		a := pick(o, apps)
		return event{action: "app_installed", entity: a.entity(), details: object{
			{"is_internal_integration", false},
			{"app_owner_id", p.id},
			{"approver_id", "W04BW000000"},
			{"bot_scopes", a.bot},
			{"granular_bot_token", true},
			{"is_token_rotation_enabled_app", o.oneIn(2)},
		}}
	}},
	{2, func(o *Organisation, _ person, _ int64) event {
		a := pick(o, apps)
		return event{action: "app_scopes_expanded", entity: a.entity(), details: object{
			{"is_internal_integration", false}, {"previous_scopes", a.scopes[:1]}, {"new_scopes", a.scopes}, {"granular_bot_token", true},
		}}
	}},
	{2, func(o *Organisation, _ person, _ int64) event {
		return event{action: pick(o, []string{"role_change_to_admin", "role_change_to_user", "role_change_to_owner"}), entity: o.someone()}
	}},
	{2, func(o *Organisation, _ person, _ int64) event {
		return event{action: "permissions_assigned", entity: entity("account_type_role", member{"id", 1006}, member{"name", "WORKSPACE_ADMIN"}), details: object{
			{"changed_permissions", []string{"RENAME_CHANNEL"}}, {"is_allowed", "ALLOWED"}, {"target_entity_id", pick(o, workspaces)[0]},
		}}
	}},
	{2, func(o *Organisation, p person, date int64) event {
		return event{action: "anomaly", entity: entity("user", p.user()...), details: object{
			{"action_timestamp", date*1_000_000 - o.rng.Int64N(50_000_000)},
			{"reason", []string{pick(o, anomalies), pick(o, anomalies)}},
			{"location", "Rotterdam, NL"},
			{"previous_ip_address", "192.0.2.77"},
			{"previous_ua", devices[2].ua},
			{"ip_address_details", []any{object{{"type", "new-asn"}, {"asn", 64496}}}},
			{"client_ja3_fingerprint", "3f2c9d0e5b7a48c1a6d4e8f1b2c3d4e5"},
			{"detected_os", p.device.os},
			{"session_country", p.country},
		}}
	}},
	{3, func(o *Organisation, _ person, _ int64) event {
		values := [][2]any{
			{"15m", "24h"},
			{[]string{"C07BW000003", "C07BW000009"}, []string{}},
			{object{{"type", []string{"ORG_ADMINS_AND_OWNERS"}}, {"user", []string{"W04BW000003"}}}, object{{"type", []string{"TOPLEVEL_ADMINS_AND_OWNERS_AND_SELECTED"}}}},
			{true, false},
			{90, nil},
		}
		n := o.rng.IntN(len(values))
		actions := []string{"pref.session_duration_changed", "pref.enterprise_default_channels", "pref.who_can_manage_ext_shared_channels", "pref.disallow_public_file_urls", "pref.file_retention_changed"}
		return event{action: actions[n], entity: o.whole(), details: object{{"new_value", values[n][0]}, {"previous_value", values[n][1]}}}
	}},
	{3, func(o *Organisation, _ person, date int64) event {
		return event{action: "message_tombstoned", entity: o.message(date), details: object{{"channel", "C07BW000004"}, {"reason", object{{"code", "policy"}, {"by", "admin"}}}}}
	}},
	{3, func(o *Organisation, p person, date int64) event {
		return event{action: pick(o, []string{"huddle_started", "huddle_participant_joined"}), entity: entity("huddle", member{"id", o.code("R09", o.rng.IntN(1000))},
			member{"date_start", date - 120}, member{"date_end", 0}, member{"participants", []string{p.id, pick(o, o.people).id}})}
	}},
	{2, func(_ *Organisation, p person, date int64) event {
		return event{action: "workflow_v2_published", entity: entity("workflow_v2", member{"id", "Wf05BW00012"}, member{"app_id", "A05BWFLOW00"},
			member{"date_updated", date}, member{"callback_id", "pump_check"}, member{"name", "Pump check → report"}, member{"updated_by", p.id},
			member{"step_configuration", []any{object{{"id", "0"}, {"type", "send_message"}}}}), details: object{{"md", object{{"steps", 3}, {"note", "<b>weekly</b>"}}}}}
	}},
	{2, func(o *Organisation, p person, date int64) event {
		return event{action: pick(o, []string{"guest_created", "guest_expiration_set"}), entity: o.someone(), details: object{{"expires_on", date + 2_592_000}, {"invited_by", p.id}}}
	}},
	{3, func(o *Organisation, _ person, _ int64) event {
		return event{action: "mcp_slack_search_public_tool_called", entity: o.whole(), app: &apps[3], details: object{
			{"tool_name", "slack_search_public"}, {"arguments", object{{"query", "pump \"7\" alarm"}, {"limit", 20}}}, {"read_only", true}, {"destructive", false},
		}}
	}},
	{3, func(o *Organisation, _ person, _ int64) event {
		return event{action: "slack_ai_canvas_content_generated", entity: o.file(), details: object{
			{"agent_id", "USLACKBOT"}, {"files", []string{}}, {"channels", []string{}}, {"API", "ai.alpha.canvas.createContent"},
		}}
	}},
	{1, func(o *Organisation, _ person, _ int64) event {
		return event{action: "user_session_reset_by_admin", entity: o.someone(), system: true, details: object{{"mobile_only", false}, {"web_only", false}}}
	}},
	{1, func(o *Organisation, _ person, _ int64) event { // no collector can know this one
		return event{action: "tide_pool_drained", entity: entity("tide_pool", member{"id", o.code("P01", o.rng.IntN(9))}, member{"depth", 4}), details: object{{"volume.m3", 12}}}
	}},
}

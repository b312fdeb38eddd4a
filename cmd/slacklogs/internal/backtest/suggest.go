// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// How much has to speak for a value.
const (
	longDays      = 14 // from the first to the last day on which it was seen
	activeDays    = 5  // on which it was seen, in that time
	manyUsers     = 10 // behind an address
	sameRange     = 4  // addresses of a range, of which each has many users
	manyAccounts  = 20 // made or ended by one actor
	partnerPeople = 3  // of an organisation
	manyDownloads = 100
	adminActs     = 3
	repeated      = 3 // days with an export, a search of the audit log or a use of the CLI
	maxCounted    = 1000
)

// usage is how often and when something was seen.
type usage struct {
	n, outside  int // outside: in records that are part of no finding
	days        map[int64]bool
	first, last int64
}

func (u *usage) add(at int64, found bool) {
	if u.n == 0 || at < u.first {
		u.first = at
	}
	u.last = max(u.last, at)
	u.n++
	if !found {
		u.outside++
	}
	if u.days == nil {
		u.days = map[int64]bool{}
	}
	u.days[at/86400] = true
}

func (u *usage) long() bool {
	return u.last/86400-u.first/86400 >= longDays && len(u.days) >= activeDays
}

// person is an actor.
type person struct {
	usage
	name                       string
	admin, bot                 bool // by role or address
	logins                     int
	browser                    bool
	acts                       usage // that only admins can do
	accounts                   map[string]bool
	exports, searches, scripts usage
	downloads                  usage
}

type app struct {
	usage
	name             string
	audit, discovery bool // what its scopes read
	installers       map[string]bool
	installed        bool
}

type org struct {
	usage
	people map[string]bool
}

type address struct {
	usage
	people map[string]bool
}

// evidence is what speaks for values of lists.
type evidence struct {
	people    map[string]*person
	apps      map[string]*app
	orgs      map[string]*org
	addresses map[netip.Prefix]*address // of IPv6 the /64: a device has many addresses in it
	home      map[string]bool           // the organisation's own ids
	inFinding map[string]bool           // uids
}

func get[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

func addTo(m *map[string]bool, key string) {
	if *m == nil {
		*m = map[string]bool{}
	}
	if key != "" && len(*m) < maxCounted {
		(*m)[key] = true
	}
}

var (
	adminAct    = regexp.MustCompile(`^(pref\.|role_change_to_|role_assigned$|role_removed$|app_approved$|app_restricted$|app_allowlist_rule_|user_session_reset_by_admin$|user_password_reset_by_admin$|auth_policy_|barrier_|legal_hold_policy_|workspace_created$|domain_verified$)`)
	accountAct  = regexp.MustCompile(`^(user_created|user_deactivated|user_reactivated|guest_created|guest_deactivated|user_email_updated)$`)
	installAct  = regexp.MustCompile(`^(app_installed|app_approved|org_app_installed|org_app_workspace_added)$`)
	exportAct   = regexp.MustCompile(`export_started$`)
	searchAct   = regexp.MustCompile(`^(audit_logs_export_|audit_logs_records_searched$|security_settings_export_started$)`)
	scriptAct   = regexp.MustCompile(`^(cli_login|cli_app_|app_manifest_|app_deployed$)`)
	downloadAct = regexp.MustCompile(`^(file_downloaded|canvas_downloaded|list_downloaded)$`)
	slackID     = regexp.MustCompile(`^[A-Z][A-Z0-9]{2,30}$`)
)

func (e *evidence) add(s *seen) {
	if s.LogType == "access" && s.str("slack.access.change") != "new" {
		// The same row again: it counts as use of the address, and is no other person.
		e.where(s)
		return
	}
	for _, name := range []string{"slack.enterprise.id", "slack.team.id"} {
		if id, ok := s.resource.Get(name); ok {
			e.home[id.AsString()] = true
		}
	}
	if id := s.str("slack.context.location.id"); id != "" {
		e.home[id] = true
	}
	at, found := s.Time.Unix(), e.inFinding[s.UID]
	action := s.str("slack.action")
	if id := s.str("user.id"); id != "" && s.str("slack.audit.actor_kind") != "system" {
		p := get(e.people, id)
		p.add(at, found)
		p.name = cmp.Or(s.str("user.full_name"), s.str("user.name"), p.name)
		for _, role := range s.Values("user.roles") {
			p.admin = p.admin || role == "owner" || role == "admin"
			p.bot = p.bot || role == "bot" || role == "app"
		}
		p.bot = p.bot || s.str("slack.audit.actor_kind") == "bot"
		p.browser = p.browser || strings.Contains(s.str("user_agent.original"), "Mozilla")
		switch {
		case action == "user_login":
			p.logins++
		case accountAct.MatchString(action):
			addTo(&p.accounts, s.str("slack.entity.id"))
		case downloadAct.MatchString(action):
			p.downloads.add(at, found)
		}
		for act, of := range map[*regexp.Regexp]*usage{adminAct: &p.acts, exportAct: &p.exports, searchAct: &p.searches, scriptAct: &p.scripts} {
			if act.MatchString(action) {
				of.add(at, found)
			}
		}
	}
	if team := s.str("slack.actor.user.team"); team != "" {
		o := get(e.orgs, team)
		o.add(at, found)
		addTo(&o.people, s.str("user.id"))
	}
	e.program(s, action, at, found)
	e.where(s)
}

// program takes up the apps in a record: the one that acts, and the one that it is about.
func (e *evidence) program(s *seen, action string, at int64, found bool) {
	if id := s.str("slack.context.app.id"); id != "" {
		a := get(e.apps, id)
		a.add(at, found)
		a.name = cmp.Or(a.name, s.str("slack.context.app.name"))
		a.scopes(s.Values("context.app.scopes"))
	}
	switch s.LogType {
	case "audit":
		if s.str("slack.entity.type") != "app" || s.str("slack.entity.id") == "" {
			return
		}
		a := get(e.apps, s.str("slack.entity.id"))
		a.add(at, found)
		a.name = cmp.Or(s.str("slack.entity.name"), a.name)
		for _, field := range []string{"entity.app.scopes", "details.new_scopes", "details.scopes_added", "details.scopes"} {
			a.scopes(s.Values(field))
		}
		if installAct.MatchString(action) {
			a.installed = true
			addTo(&a.installers, s.str("user.id"))
		}
	case "integration":
		id := s.str("slack.app_id")
		if id == "" {
			return
		}
		a := get(e.apps, id)
		a.add(at, found)
		a.name = cmp.Or(a.name, s.str("slack.app_type"))
		for _, scopes := range s.Values("scope") {
			a.scopes(strings.Split(scopes, ","))
		}
		if s.str("slack.change_type") == "added" {
			a.installed = true
			addTo(&a.installers, s.str("user.id"))
		}
	}
}

func (a *app) scopes(scopes []string) {
	for _, scope := range scopes {
		switch scope = strings.TrimSpace(scope); {
		case scope == "auditlogs:read":
			a.audit = true
		case strings.HasPrefix(scope, "discovery:"):
			a.discovery = true
		}
	}
}

// where takes up the address.
func (e *evidence) where(s *seen) {
	ip, err := netip.ParseAddr(s.str("client.address"))
	user := s.str("user.id")
	if err != nil || user == "" || s.str("slack.audit.actor_kind") == "system" {
		return
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return
	}
	a := get(e.addresses, prefix)
	a.add(s.Time.Unix(), e.inFinding[s.UID])
	addTo(&a.people, user)
}

// proposal is a value with what speaks for it.
type proposal struct {
	value, why string
	// doubtful is one that nobody should take without a look: it is a comment in the file.
	doubtful bool
}

func (e *evidence) proposals() map[string][]proposal {
	all := map[string][]proposal{}
	propose := func(list, value string, doubtful bool, why string, args ...any) {
		all[list] = append(all[list], proposal{value, fmt.Sprintf(why, args...), doubtful})
	}
	admins := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(e.people)) {
		p := e.people[id]
		name := quoted(p.name)
		automatic := len(p.accounts) >= manyAccounts && p.logins == 0 && !p.browser
		if p.outside == 0 || !slackID.MatchString(id) {
			continue // seen in findings only: perhaps an attacker
		}
		switch {
		case automatic:
			propose("scim_actors", id, false, "%smade, changed or ended %s accounts, without a login and a browser", name, counted(len(p.accounts)))
		case p.bot:
			if p.n >= activeDays {
				propose("bot_users", id, false, "%sa bot; %d records on %d days", name, p.n, len(p.days))
			}
		case p.admin:
			admins[id] = true
			propose("slack_admins", id, false, "%sis admin or owner by user.roles", name)
		case p.acts.n >= adminActs && len(p.acts.days) >= 2:
			admins[id] = true
			propose("slack_admins", id, false, "%sdid what only admins can: %d actions on %d days", name, p.acts.n, len(p.acts.days))
		case p.acts.n > 0:
			propose("slack_admins", id, true, "%sdid what only admins can: %d actions on %d days; is it one?", name, p.acts.n, len(p.acts.days))
		}
		if len(p.exports.days) >= repeated {
			propose("export_operators", id, false, "%sstarted %d exports on %d days", name, p.exports.n, len(p.exports.days))
		}
		if len(p.searches.days) >= repeated {
			propose("security_team", id, false, "%ssearched or exported the audit log: %d actions on %d days", name, p.searches.n, len(p.searches.days))
		}
		if len(p.scripts.days) >= repeated {
			propose("slack_developers", id, false, "%sused the Slack CLI or app manifests: %d actions on %d days", name, p.scripts.n, len(p.scripts.days))
		}
		if d := len(p.downloads.days); d >= activeDays && p.downloads.n >= manyDownloads*d && !p.browser {
			propose("backup_actors", id, false, "%sdownloaded %d files on %d days, without a browser", name, p.downloads.n, d)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.apps)) {
		a := e.apps[id]
		if !appID.MatchString(id) {
			continue
		}
		name := quoted(a.name)
		// These lists only make rules find more: what was seen in findings alone may be in them.
		switch {
		case a.audit:
			propose("critical_apps", id, false, "%sreads the audit log: the collector's own app, or another that watches", name)
		case a.discovery:
			propose("critical_apps", id, false, "%suses the discovery API", name)
		}
		if a.outside == 0 || !a.long() {
			continue
		}
		byAdmin := len(a.installers) > 0
		for installer := range a.installers {
			byAdmin = byAdmin && admins[installer]
		}
		switch {
		case byAdmin:
			propose("approved_apps", id, false, "%sinstalled or approved by an admin; %d records on %d days", name, a.n, len(a.days))
		case !a.installed:
			propose("approved_apps", id, true, "%sinstalled before these records begin; %d records on %d days. Did somebody look at it?", name, a.n, len(a.days))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.orgs)) {
		o := e.orgs[id]
		if e.home[id] || o.outside == 0 || !slackID.MatchString(id) || !o.long() || len(o.people) < partnerPeople {
			continue
		}
		propose("partner_orgs", id, false, "%s people of it, %d records on %d days", counted(len(o.people)), o.n, len(o.days))
	}
	all["corp_egress"] = e.egress()
	return all
}

// egress are the addresses behind which many people were for long, and ranges where several of those are neighbours.
func (e *evidence) egress() []proposal {
	type neighbours struct {
		members []netip.Prefix
		people  map[string]bool
	}
	ranges := map[netip.Prefix]*neighbours{}
	for prefix, a := range e.addresses {
		if a.outside == 0 || !a.long() || len(a.people) < manyUsers {
			continue
		}
		bits := 24
		if prefix.Addr().Is6() {
			bits = 48
		}
		around, err := prefix.Addr().Prefix(bits)
		if err != nil {
			continue
		}
		r := get(ranges, around)
		r.members = append(r.members, prefix)
		if r.people == nil {
			r.people = map[string]bool{}
		}
		maps.Copy(r.people, a.people)
	}
	var all []proposal
	for _, around := range slices.SortedFunc(maps.Keys(ranges), netip.Prefix.Compare) {
		r := ranges[around]
		slices.SortFunc(r.members, netip.Prefix.Compare)
		if len(r.members) >= sameRange {
			all = append(all, proposal{value: around.String(), why: fmt.Sprintf("%d addresses of it, each with %d people or more; %s people in all. Is the whole range yours?",
				len(r.members), manyUsers, counted(len(r.people)))})
			continue
		}
		for _, prefix := range r.members {
			a := e.addresses[prefix]
			value := prefix.String()
			if prefix.IsSingleIP() {
				value = prefix.Addr().String()
			}
			all = append(all, proposal{value: value, why: fmt.Sprintf("%s people, %d records on %d days", counted(len(a.people)), a.n, len(a.days))})
		}
	}
	return all
}

func counted(n int) string {
	if n >= maxCounted {
		return fmt.Sprintf("%d or more", n)
	}
	return strconv.Itoa(n)
}

// quoted is a name before what is said of it.
func quoted(name string) string {
	if name = strings.TrimSpace(verb.Printable(name)); name == "" {
		return ""
	}
	return name + ": "
}

// suggestLists reads the records once more, now that findings are known, and writes a file of lists.
func (f *backtestFlags) suggestLists(ctx context.Context, j *judged, lists *detect.Lists, stdout, stderr io.Writer) error {
	e := evidence{
		people: map[string]*person{}, apps: map[string]*app{}, orgs: map[string]*org{}, addresses: map[netip.Prefix]*address{},
		home: map[string]bool{}, inFinding: j.found,
	}
	if _, err := f.each(ctx, e.add); err != nil {
		return err
	}
	proposals := e.proposals()
	for _, id := range f.ownApps {
		if !slices.Contains(lists.OwnApps, id) {
			lists.OwnApps = append(lists.OwnApps, id)
		}
		proposals["critical_apps"] = append([]proposal{{value: id, why: "the collector's own app, as --own-app says"}}, proposals["critical_apps"]...)
	}
	text, err := listsYAML(j, lists, proposals)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if len(lists.OwnApps) == 0 && !slices.ContainsFunc(slices.Collect(maps.Values(e.apps)), func(a *app) bool { return a.audit }) {
		fmt.Fprintln(stderr, "the collector's own app was not seen, so critical_apps lacks it: "+ownAppHint)
	}
	return nil
}

const ownAppHint = "its id stands at https://api.slack.com/apps under Basic Information, as App ID; give it with --own-app"

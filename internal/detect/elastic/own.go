// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// own is a rule that the pack, as Sigma, has no form for.
type own struct {
	name, id, title, about string
	level                  sigma.Level
	tier                   detect.Tier
	tags, playbooks, false []string
	response, tuning       string

	kind, query string
	logs        []string
	newTerms    []string
	history     string
	span        time.Duration // how far back it must look
	run         time.Duration // how often; five minutes if it says nothing
	by          []string      // fields by which more is held back
	quiet       int           // hours
	fields      fields
	differs     []string
}

func (o own) rule() *Rule {
	h := &sigma.Header{
		Title: o.title, ID: o.id, Name: o.name, Description: o.about, Level: o.level, Tags: o.tags, FalsePositives: o.false,
		Author: "The slacklogs Authors", License: "Apache-2.0", Date: "2026-11-22",
	}
	handling := &detect.Handling{Tier: o.tier, Playbooks: o.playbooks, Response: o.response, Tuning: o.tuning}
	made := rule(h, handling)
	made.Type, made.Query = o.kind, o.query
	made.Language = map[string]string{"query": "kuery", "new_terms": "kuery", "esql": "esql", "eql": "eql"}[o.kind]
	if o.kind != "esql" {
		made.Index = patterns(o.logs)
	}
	made.NewTerms, made.History = o.newTerms, o.history
	made.every(max(o.run, interval(0)), o.span)
	made.Enabled = false // they need what not everybody switches on
	if len(o.by) > 0 {
		made.Suppression = &suppression{GroupBy: o.by, Missing: "suppress"}
		made.Suppression.Duration.Value, made.Suppression.Duration.Unit = o.quiet, "h"
	}
	made.needs(o.fields)
	made.Summary, made.Differs = o.about, o.differs
	for _, name := range o.logs {
		made.Tags = append(made.Tags, "Log: "+name)
	}
	var buttons []pivot
	if !slices.Contains(o.logs, "collection") {
		var groups []string
		if o.kind == "esql" {
			groups = []string{"actor.user.id"}
		}
		buttons = pivots(o.logs[0], groups)
	}
	made.note(handling, buttons)
	return made
}

// lines joins those of a query.
func lines(all ...string) string { return strings.Join(all, "\n") }

// memory are detections that must know what was there before.
var memory = []own{
	{
		name: "access_new_country", id: "5a0d3a0e-0d7b-4b5c-9e53-2f6c7a3f4b11", title: "Slack used from a country that is new for the user",
		about: "A row of the access logs shows a user in a country in which the user was not seen for 30 days. A stolen " +
			"session or password is used where the thief is.",
		level: "medium", tier: detect.Review, tags: []string{"attack.initial-access", "attack.t1078.004"},
		playbooks: []string{"contact-actor", "end-sessions"}, false: []string{"Travel", "A VPN or carrier whose addresses are taken for another country's"},
		response: "ask the person by another channel; admin.users.session.reset(user_id)",
		kind:     "new_terms", query: `attributes.slack.log.type: "access" and not attributes.slack.user_agent: ApiApp/*`, logs: []string{"access"},
		newTerms: []string{"attributes.slack.user_id", "attributes.slack.country"}, history: "now-30d",
		by: []string{"attributes.slack.user_id"}, quiet: 24,
		fields: fields{logType: keyword, "attributes.slack.user_id": keyword, "attributes.slack.country": keyword, "attributes.slack.user_agent": keyword},
	},
	{
		name: "access_new_device", id: "0c3c1b44-9a1f-4d0b-8d34-7b5c2a86d0f2", title: "Slack admin with a program or device that is new for the user",
		about: "An owner or admin appears with a user agent that the user did not have for 30 days. It changes with each " +
			"update of a browser, so it is context only. Needs the receiver's actor_roles.",
		level: "low", tier: detect.Hunt, tags: []string{"attack.initial-access", "attack.t1078.004"},
		playbooks: []string{"contact-actor"}, false: []string{"An update of the browser or of Slack's own program"},
		response: "look at address and country beside it",
		kind:     "new_terms", query: `attributes.slack.log.type: "access" and attributes.user.roles: (owner or admin)`, logs: []string{"access"},
		newTerms: []string{"attributes.slack.user_id", "attributes.slack.user_agent"}, history: "now-30d",
		by: []string{"attributes.slack.user_id"}, quiet: 24,
		fields: fields{logType: keyword, "attributes.slack.user_id": keyword, "attributes.slack.user_agent": keyword, "attributes.user.roles": keyword},
	},
	{
		name: "access_dormant", id: "e3b3f4b7-6a5c-4cb2-a5a1-13d0f0c9b6d3", title: "Slack user active after 60 days of silence",
		about: "A user without a row in the access logs for 60 days has one again: a forgotten account in other hands, or " +
			"somebody back from leave. A user who is new shows too.",
		level: "medium", tier: detect.Review, tags: []string{"attack.initial-access", "attack.t1078.004"},
		playbooks: []string{"contact-actor", "end-sessions"}, false: []string{"Back from leave", "A new user"},
		response: "ask the person, or whoever they work for",
		tuning:   "switch it on once 60 days of access logs are there",
		kind:     "new_terms", query: `attributes.slack.log.type: "access"`, logs: []string{"access"},
		newTerms: []string{"attributes.slack.user_id"}, history: "now-60d",
		by: []string{"attributes.slack.user_id"}, quiet: 24,
		fields: fields{logType: keyword, "attributes.slack.user_id": keyword},
	},
	{
		name: "access_after_deactivation", id: "b1f2a8d6-1f63-4a1b-9a40-5d5a6f0f6c74", title: "Slack used by somebody who was deactivated",
		about: "Within two weeks after an account was deactivated it has a row in the access logs: a session or token lives on, " +
			"or somebody switched the account on again.",
		level: "high", tier: detect.Review, tags: []string{"attack.initial-access", "attack.persistence", "attack.t1078.004"},
		playbooks: []string{"end-sessions", "contact-actor"}, false: []string{"The account was reactivated in between, as planned"},
		response: "who reactivated the account? If nobody knows: SCIM deactivation, admin.users.session.reset(user_id)",
		kind:     "eql", logs: []string{"audit", "access"}, span: 14*24*time.Hour + apart, run: time.Hour,
		query: lines(
			`sequence with maxspan=14d`,
			`  [any where attributes.slack.log.type == "audit" and attributes.slack.action : ("user_deactivated", "guest_deactivated")] by attributes.slack.entity.user.id`,
			`  [any where attributes.slack.log.type == "access"] by attributes.slack.user_id`),
		fields: fields{logType: keyword, "attributes.slack.action": keyword, "attributes.slack.entity.user.id": keyword, "attributes.slack.user_id": keyword},
	},
	{
		name: "download_baseline", id: "f47d5f8b-3c0a-4e6e-8a57-90c1d2b7e815", title: "Slack user downloads far more files than usual",
		about: "In the last hours a user downloaded or viewed more than 50 different files in one hour, and more than three " +
			"standard deviations above the user's own mean of two weeks.",
		level: "medium", tier: detect.Hunt, tags: []string{"attack.collection", "attack.t1213.005", "attack.exfiltration", "attack.t1567"},
		playbooks: []string{"contact-actor", "end-sessions"}, false: []string{"A new task with many files"},
		response: "look at which files and from which address",
		kind:     "esql", logs: []string{"audit"}, span: 14 * 24 * time.Hour, run: time.Hour,
		query: lines(
			`FROM logs-slack.audit.otel-*`,
			`| WHERE attributes.slack.action IN ("file_downloaded", "canvas_downloaded", "list_downloaded")`,
			`    AND attributes.slack.actor.user.id != "" AND @timestamp > NOW() - 14 days`,
			`| EVAL hour = DATE_TRUNC(1 hour, @timestamp)`,
			`| STATS files = COUNT_DISTINCT(attributes.slack.entity.id) BY attributes.slack.actor.user.id, hour`,
			`| STATS most = MAX(CASE(hour > NOW() - 3 hours, files, 0)), usual = AVG(files), deviation = STD_DEV(files)`,
			`    BY attributes.slack.actor.user.id`,
			`| WHERE most > 50 AND most > usual + 3 * deviation`,
			`| KEEP attributes.slack.actor.user.id, most, usual, deviation`),
		by: []string{"attributes.slack.actor.user.id"}, quiet: 24,
		fields: fields{"attributes.slack.action": keyword, "attributes.slack.actor.user.id": keyword, "attributes.slack.entity.id": keyword},
	},
}

// collection are the fields of health records that all of their rules ask for.
var collection = fields{event: keyword, about: keyword}

// beats begins a search over heartbeats, whose figures are in the body.
func beats(figure, kind string) string {
	return lines(
		`FROM logs-slack.collection.otel-*`,
		`| WHERE attributes.slack.log.event == "heartbeat"`,
		`| GROK body.text "\"receiver\":\"%{DATA:receiver}\""`,
		`| GROK body.text "\"`+figure+`\":%{NUMBER:figure}"`,
		`| EVAL figure = TO_`+kind+`(figure)`)
}

var impairment = []string{"attack.defense-impairment", "attack.t1685"}

// watcher are the rules over the receiver's health records: whoever takes over an admin can blind the collector.
var watcher = []own{
	{
		name: "watch_heartbeat_missing", id: "9f6b1d0e-7e0c-4b57-8f5a-0c8f7a4e1a21", title: "Slack collector: no heartbeat for 30 minutes",
		about: "The heartbeats of a log type have stopped: collector, pipeline or network are gone, or somebody took the log " +
			"type out of the configuration. Needs the receiver's health_records. A log type that never had one is not missed.",
		level: "critical", tier: detect.Page, tags: impairment, false: []string{"Planned work on the collector"},
		response: "look whether the collector runs, and at its log; `slacklogs status`",
		tuning:   "three times the receiver's heartbeat_interval, if that is not 10m",
		kind:     "esql", logs: []string{"collection"}, span: 48 * time.Hour,
		query: lines(
			`FROM logs-slack.collection.otel-*`,
			`| WHERE attributes.slack.log.event == "heartbeat"`,
			`| GROK body.text "\"receiver\":\"%{DATA:receiver}\""`,
			`| STATS ended = MAX(@timestamp) BY attributes.slack.log.about, receiver`,
			`| WHERE ended < NOW() - 30 minutes`,
			`| KEEP attributes.slack.log.about, receiver, ended`),
		by: []string{"attributes.slack.log.about", "receiver"}, quiet: 6, fields: collection,
	},
	{
		name: "watch_poll_stalled", id: "2d1c4e57-0a8c-4d3e-9b61-6fd3d9a8b922", title: "Slack collector: nothing has come through for 15 minutes",
		about: "The collector runs, and no poll of a log has ended well for 15 minutes: Slack does not answer, refuses, or the " +
			"backend does not take what was read.",
		level: "high", tier: detect.Page, tags: impairment, false: []string{"Slack is down: https://slack-status.com"},
		response: "`slacklogs status` says why",
		kind:     "esql", logs: []string{"collection"},
		query: beats("poll_staleness", "DOUBLE") + lines("",
			`| WHERE figure > 900`,
			`| STATS worst = MAX(figure), ended = MAX(@timestamp) BY attributes.slack.log.about, receiver`,
			`| KEEP attributes.slack.log.about, receiver, worst, ended`),
		by: []string{"attributes.slack.log.about", "receiver"}, quiet: 1, fields: collection,
	},
	{
		name: "watch_auth_failing", id: "c8a9f0b3-53b1-4f6e-8a0d-2b7e4c5d6f23", title: "Slack refuses the collector's token",
		about: "Slack refuses the token, its scope or the installation: the app was removed, its installer deactivated, the " +
			"token revoked. Hostile until it is known who did it.",
		level: "critical", tier: detect.Page, tags: impairment, playbooks: []string{"contact-actor", "revert-setting"}, false: []string{"The app is being installed again on purpose"},
		response: "find out who changed it; a second Org Owner can install the app again",
		kind:     "query", query: `attributes.slack.log.event: "auth_failing"`, logs: []string{"collection"},
		by: []string{"attributes.slack.log.about"}, quiet: 1, fields: collection,
	},
	{
		name: "watch_gap_opened", id: "47b5f6d2-6c1d-4a37-b0f8-8e5f9c2a7d24", title: "Slack collector: an interval is known not to be complete",
		about: "The collector could not read an interval. Keep it in mind when you search these logs.",
		level: "medium", tier: detect.Review, tags: impairment, false: []string{"An answer of Slack's that was cut off; the next sweep reads it again"},
		response: "the record says where and why; the README's table of gaps says what closes it",
		kind:     "query", query: `attributes.slack.log.event: "gap_opened"`, logs: []string{"collection"},
		by: []string{"attributes.slack.log.about"}, quiet: 1, fields: collection,
	},
	{
		name: "watch_gap_stays", id: "a6f8c2d1-9e3b-47d5-9c02-4a1b5e7f8025", title: "Slack collector: a gap stays open for an hour",
		about: "Heartbeats have told of a gap for an hour: it does not close by itself.",
		level: "high", tier: detect.Review, tags: impairment, false: []string{"A long outage that is still being caught up with"},
		response: "the README's table of gaps says what closes it",
		kind:     "esql", logs: []string{"collection"}, span: time.Hour,
		query: beats("gaps_total", "LONG") + lines("",
			`| STATS fewest = MIN(figure), began = MIN(@timestamp), ended = MAX(@timestamp) BY attributes.slack.log.about, receiver`,
			`| WHERE fewest > 0 AND DATE_DIFF("minutes", began, ended) >= 50`,
			`| KEEP attributes.slack.log.about, receiver, fewest, began, ended`),
		by: []string{"attributes.slack.log.about", "receiver"}, quiet: 24, fields: collection,
	},
	{
		name: "watch_stale", id: "d3e7b9a4-1f2c-4b68-8d7e-5c9a0b6f1e26", title: "Slack shows no new entry of a log for longer than stale_after",
		about: "The polls work and bring nothing new, for longer than the receiver's stale_after: a quiet organisation, or a " +
			"source that somebody switched off.",
		level: "medium", tier: detect.Review, tags: impairment, false: []string{"A holiday"},
		response: "do something in Slack that is logged, such as a login, and see whether it arrives",
		kind:     "query", query: `attributes.slack.log.event: "stale"`, logs: []string{"collection"},
		by: []string{"attributes.slack.log.about"}, quiet: 24, fields: collection,
	},
	{
		name: "watch_entries_dropped", id: "6b0a9d8c-7e4f-4c15-a3b2-1d0c9e8f7a27", title: "Slack collector: the pipeline refused entries for good",
		about: "Entries were read and are not delivered. The collector's log has their uids and the reason.",
		level: "high", tier: detect.Page, tags: impairment, false: []string{"A mapping or limit of the backend"},
		response: "mend the backend; read them again by a second receiver with its own storage and a start_time before them",
		kind:     "esql", logs: []string{"collection"}, span: 2 * time.Hour,
		query: beats("entries_dropped_total", "LONG") + lines("",
			`| STATS least = MIN(figure), most = MAX(figure) BY attributes.slack.log.about, receiver`,
			`| WHERE most > least`,
			`| KEEP attributes.slack.log.about, receiver, least, most`),
		by: []string{"attributes.slack.log.about", "receiver"}, quiet: 6, fields: collection,
	},
	{
		name: "watch_delivered_not_indexed", id: "8c5e2f1b-4d6a-49b7-b8e3-0f7d6c5b4a28", title: "Slack collector delivered entries that Elasticsearch does not have",
		about: "Between the first and the last heartbeat of a day the collector delivered more entries of a log than " +
			"Elasticsearch holds: something between them loses or takes away records. One receiver for each log; needs " +
			"Elasticsearch 9.3 (INLINE STATS).",
		level: "high", tier: detect.Review, tags: impairment, playbooks: []string{"contact-actor"},
		false:    []string{"A page of entries was on its way at a heartbeat", "Documents were deleted on purpose"},
		response: "look at the exporter's errors and the failure store, and at who may delete documents",
		kind:     "esql", logs: []string{"collection"}, span: 24 * time.Hour, run: time.Hour,
		query: lines(
			`FROM logs-slack.*.otel-*`,
			`| EVAL source = COALESCE(attributes.slack.log.about, attributes.slack.log.type)`,
			`| EVAL seen = TO_LONG(observed_timestamp) / 1000000`,
			`| EVAL beat = CASE(attributes.slack.log.event == "heartbeat", seen, null)`,
			`| INLINE STATS since = MIN(beat), until = MAX(beat) BY source`,
			`| WHERE seen >= since AND seen <= until AND (beat IS NOT NULL OR attributes.slack.log.type != "collection")`,
			`| GROK body.text "\"entries_delivered_total\":%{NUMBER:figure}"`,
			`| EVAL total = CASE(beat IS NOT NULL, TO_LONG(figure), null), entry = CASE(beat IS NULL, 1, null)`,
			`| STATS delivered = MAX(total) - MIN(total), indexed = COUNT(entry), beats = COUNT(beat) BY source`,
			`| EVAL missing = delivered - indexed`,
			`| WHERE missing > 10 AND missing * 1000 > delivered`,
			`| KEEP source, delivered, indexed, missing, beats`),
		by: []string{"source"}, quiet: 24,
		fields: fields{event: keyword, about: keyword, logType: keyword, "observed_timestamp": "date_nanos"},
	},
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package splunk // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/splunk"

import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

const appConf = `# Goes into $SPLUNK_HOME/etc/apps of the search heads, beside TA-slacklogs.

[id]
name = SA-slacklogs-detections
version = 1.0.0

[install]
is_configured = false

[package]
id = SA-slacklogs-detections
check_for_updates = false

[launcher]
author = The slacklogs Authors
description = Detections for Slack's audit, access and integration logs, and for the health of their collection
version = 1.0.0

[ui]
is_visible = false
label = Slack detections
`

const meta = `[]
access = read : [ * ], write : [ admin, sc_admin ]
export = system
`

const eventtypes = `# Of the receiver's own records, with health_records.
[slack_collection_health]
search = sourcetype="slack:collection"

[slack_collection_trouble]
search = sourcetype="slack:collection" event IN ("gap_opened", "stale", "auth_failing")

# Tagged in the collector by the rules compiled with --to ottl; a tag is no alert.
[slack_tagged_in_collector]
search = sourcetype="slack:*" slack.detections=*
`

const tags = `[eventtype=slack_collection_trouble]
error = enabled
`

// The rest of what reads Slack's events is in TA-slacklogs.
const props = `[slack:collection]
KV_MODE = json
`

// fixed are the macros that do not depend on rules.
var fixed = []macro{
	{"slacklogs_index", "", "index=slack"},
	{"slacklogs_audit", "", "`slacklogs_index` sourcetype=\"slack:audit\""},
	{"slacklogs_access", "", "`slacklogs_index` sourcetype=\"slack:access\""},
	{"slacklogs_integration", "", "`slacklogs_index` sourcetype=\"slack:integration\""},
	{"slacklogs_health", "", "`slacklogs_index` sourcetype=\"slack:collection\""},
	// What arrived lately, however old it is; 30 days at most.
	{"slacklogs_arrived(1)", "lookback", "_index_earliest=-$lookback$ earliest=-30d latest=+1d"},
	// The time around events: what a late one belongs to. The end of a subsearch; if nothing arrived, nothing is read.
	{"slacklogs_around(1)", "reach", "stats min(_time) AS earliest max(_time) AS latest\n" +
		"| eval earliest=if(isnull(earliest),now(),floor(earliest) - $reach$), latest=if(isnull(latest),now() + 1,floor(latest) + $reach$ + 1)\n" +
		"| return earliest latest"},
	// The columns that all findings have. %60 is a backtick, which in quotes might be taken for a macro; %28 and %29 are parentheses. Only what is an id or
	// an address becomes part of a search.
	{"slacklogs_finding(4)", "name, level, tier, playbooks", `eval _time=last_time, detection="$name$", level="$level$", tier="$tier$", playbooks=split("$playbooks$","+"), from=floor(last_time) - 86400, to=floor(last_time) + 3600
| eval pivot_actor=if(match(actor,"^[A-Za-z0-9]+\z"),urldecode("%60slacklogs_actor%28") . actor . "," . from . "," . to . urldecode("%29%60"),null()), pivot_session=if(match(session,"^[A-Za-z0-9]+\z"),urldecode("%60slacklogs_session%28") . session . "," . from . "," . to . urldecode("%29%60"),null()), pivot_address=if(match(address,"^[0-9A-Fa-f.:]+\z"),urldecode("%60slacklogs_address%28") . address . "," . from . "," . to . urldecode("%29%60"),null())
| fields - from to`},
	{"slacklogs_actor(3)", "user, from, to", "`slacklogs_index` sourcetype=\"slack:*\" (user.id=\"$user$\" OR slack.related.users=\"$user$\") earliest=$from$ latest=$to$\n| `slacklogs_trail`"},
	{"slacklogs_session(3)", "session, from, to", "`slacklogs_index` sourcetype=\"slack:*\" session.id=\"$session$\" earliest=$from$ latest=$to$\n| `slacklogs_trail`"},
	{"slacklogs_address(3)", "address, from, to", "`slacklogs_index` sourcetype=\"slack:*\" client.address=\"$address$\" earliest=$from$ latest=$to$\n| `slacklogs_trail`"},
	{"slacklogs_trail", "", "dedup log.record.uid _time\n| sort 0 _time\n" +
		"| table _time slack.log.type slack.action slack.change_type slack.access.change user.id user.email slack.entity.type slack.entity.id slack.entity.name client.address session.id user_agent.original slack.team.domain log.record.uid"},
}

// watcher is a search over the receiver's health records.
type watcher struct {
	title, description string
	level              sigma.Level
	cron               string
	search             string
	key                string // what is told once in quiet
	quiet              string
	off                bool
}

var watchers = []watcher{
	{
		title: "slacklogs - Collection: heartbeat missing",
		description: "No heartbeat of a log type has arrived for 30 minutes, three times the default heartbeat_interval: the collector, its pipeline or the way to Splunk is gone. " +
			"The lookup slacklogs_watched holds the log types that must be there at all; of others it is noticed for 7 days.",
		level: "critical", cron: "*/5 * * * *", key: "log_type,receiver", quiet: "60m",
		search: "`slacklogs_health` event=heartbeat _index_earliest=-7d earliest=-30d latest=+1d\n" +
			"| stats max(_indextime) AS arrived BY log_type receiver\n" +
			"| append [| inputlookup slacklogs_watched | eval arrived=0]\n" +
			"| eval receiver=coalesce(receiver,\"-\")\n" +
			"| eventstats max(arrived) AS newest BY log_type\n" +
			"| where (receiver!=\"-\" AND now() - arrived > 1800) OR (receiver=\"-\" AND newest=0)\n" +
			"| eval last_heartbeat=if(arrived=0,\"never\",strftime(arrived,\"%Y-%m-%d %H:%M:%S\"))\n" +
			"| table log_type receiver last_heartbeat",
	},
	{
		title:       "slacklogs - Collection: poll stalled",
		description: "The last heartbeat says that no poll has worked for more than 15 minutes. `slacklogs status` beside the collector says why. Where poll_interval is longer than some minutes, raise the 900. Nothing is lost: what Slack shows meanwhile is read once it works again.",
		level:       "critical", cron: "*/5 * * * *", key: "log_type,receiver", quiet: "60m",
		search: "`slacklogs_health` event=heartbeat `slacklogs_arrived(30m)`\n" +
			"| dedup log_type receiver sortby -_time\n" +
			"| where tonumber(poll_staleness)>900\n" +
			"| table _time log_type receiver poll_staleness watermark problem",
	},
	{
		title:       "slacklogs - Collection: auth failing",
		description: "Slack refuses the token, its scope or the installation. Find out who changed it: the app removed, its installer deactivated, the token revoked. Treat it as hostile until that is known.",
		level:       "critical", cron: "*/5 * * * *", key: "log_type,receiver", quiet: "240m",
		search: "`slacklogs_health` (event=auth_failing OR (event=recovered recovered_from=auth_failing)) _index_earliest=-30d earliest=-30d latest=+1d\n" +
			"| dedup log_type receiver sortby -_time\n" +
			"| where event=\"auth_failing\"\n" +
			"| table _time log_type receiver problem",
	},
	{
		title:       "slacklogs - Collection: gap open",
		description: "An interval of Slack's logs is known not to be complete, for more than an hour; the next sweep (6h) often closes it. Keep the interval in mind when you search these logs.",
		level:       "medium", cron: "7 * * * *", key: "log_type,receiver", quiet: "1440m",
		search: "`slacklogs_health` event=heartbeat `slacklogs_arrived(90m)`\n" +
			"| stats min(gaps_total) AS fewest latest(gaps_total) AS gaps_total values(gaps{}.from) AS gap_from values(gaps{}.to) AS gap_to values(gaps{}.reason) AS gap_reason max(_time) AS _time BY log_type receiver\n" +
			"| where fewest>0\n" +
			"| table _time log_type receiver gaps_total gap_from gap_to gap_reason",
	},
	{
		title:       "slacklogs - Collection: stale",
		description: "Slack answers, and has shown no new entry for longer than stale_after (24h). Do something in Slack that is logged, and see whether it arrives. If the organisation is that quiet, raise stale_after.",
		level:       "medium", cron: "11 * * * *", key: "log_type,receiver", quiet: "1440m",
		search: "`slacklogs_health` event=heartbeat `slacklogs_arrived(30m)`\n" +
			"| dedup log_type receiver sortby -_time\n" +
			"| where stale=\"true\"\n" +
			"| table _time log_type receiver event_staleness watermark",
	},
	{
		title:       "slacklogs - Collection: entries dropped",
		description: "The pipeline refused entries for good: they are not delivered. The collector's log has their uids and the reason.",
		level:       "critical", cron: "*/5 * * * *", key: "log_type,receiver", quiet: "60m",
		search: "`slacklogs_health` event=heartbeat _index_earliest=-2h earliest=-30d latest=+1d\n" +
			"| stats min(entries_dropped_total) AS before max(entries_dropped_total) AS now_dropped latest(_time) AS _time BY log_type receiver\n" +
			"| where now_dropped>before\n" +
			"| eval dropped=now_dropped - before\n" +
			"| table _time log_type receiver dropped now_dropped",
	},
	{
		title: "slacklogs - Collection: delivered and not indexed",
		description: "Between the arrival of the first and the last heartbeat of a day, the receiver delivered more entries than Splunk indexed: something behind it loses records. " +
			"What comes twice is counted once. Records do not hold the time at which they were read, so those that arrived between the two heartbeats are compared; a page on its way at either end makes a small difference, hence 1 %, and 1000 or half of all.",
		level: "high", cron: "23 * * * *", key: "log_type", quiet: "1440m",
		search: "((`slacklogs_health` event=heartbeat) OR (`slacklogs_index` sourcetype IN (\"slack:audit\", \"slack:access\", \"slack:integration\"))) _index_earliest=-25h _index_latest=-1h earliest=-30d latest=+1d\n" +
			"| dedup log.record.uid _time\n" +
			"| eval beat=if(sourcetype=\"slack:collection\",_indextime,null()), log_type=coalesce(log_type,'slack.log.type'), receiver=coalesce(receiver,\"-\")\n" +
			"| eventstats min(beat) AS from max(beat) AS to BY log_type\n" +
			"| where isnotnull(beat) OR (_indextime>from AND _indextime<=to)\n" +
			"| eval total=if(isnotnull(beat),entries_delivered_total,null())\n" +
			"| stats earliest(total) AS total_before latest(total) AS total_after count(eval(isnull(beat))) AS indexed BY log_type receiver\n" +
			"| eval delivered=if(isnull(total_before),0,total_after - total_before)\n" +
			"| stats sum(delivered) AS delivered sum(indexed) AS indexed BY log_type\n" +
			"| eval missing=delivered - indexed\n" +
			"| where missing>10 AND missing>0.01*delivered AND (missing>1000 OR missing>0.5*delivered)\n" +
			"| table log_type delivered indexed missing",
	},
}

// memories are what a rule can't say: Sigma has no first time of something. They are on, with the tier review's timing.
var memories = []watcher{
	{
		title: "slacklogs - Country never seen for a Slack user before",
		description: "Slack's access logs show a user in a country that they have not shown for that user in the last 30 days, though they know the user for a week or more. Rows of apps are left out. " +
			"Response: ask the person; admin.users.session.reset(user_id). Playbooks: contact-actor, end-sessions. False positives: Travel, and a VPN or phone provider that leaves in another country.",
		level: "medium", cron: "41 * * * *", key: "finding_key", quiet: "1440m",
		search: "`slacklogs_access` earliest=-30d latest=+1d\n" +
			"| dedup log.record.uid _time\n" +
			"| eval country=nullif(country,\"null\")\n" +
			"| where isnotnull(country) AND NOT isnotnull(mvfind('user_agent',\"^ApiApp/\"))\n" +
			"| stats min(_time) AS first_time min(_indextime) AS arrived earliest(client.address) AS address values(log.record.uid) AS uids BY user_id country\n" +
			"| eventstats min(first_time) AS known_since BY user_id\n" +
			"| where arrived >= relative_time(now(),\"-75m\") AND first_time - known_since >= 604800\n" +
			"| eval finding_key=user_id . \"|\" . country, last_time=first_time, actor=user_id, session=null()\n" +
			"| `slacklogs_finding(access_new_country,medium,review,contact-actor+end-sessions)`",
	},
}

// watcher writes the saved search of one.
func (c *conf) watcher(w watcher) {
	c.stanza(w.title)
	c.set("description", w.description)
	c.set("search", w.search)
	c.schedule(w.cron, w.level, w.off)
	c.set("alert.suppress.fields", w.key)
	c.set("alert.suppress.period", w.quiet)
}

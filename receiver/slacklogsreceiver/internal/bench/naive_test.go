// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// batchSize is how many records the engine hands over at once.
const batchSize = 500

var observed = noon

// naive turns a page into records in the usual way: encoding/json makes a map
// of each entry, and the record is made of that. The records are those of the
// receiver, with the default body and attributes.
func naive(page []byte, consume func(plog.Logs)) error {
	var answer struct{ Entries []json.RawMessage }
	if err := json.Unmarshal(page, &answer); err != nil {
		return err
	}
	var logs plog.Logs
	var records plog.LogRecordSlice
	for i, text := range answer.Entries {
		if i%batchSize == 0 {
			logs, records = newLogs()
		}
		var entry map[string]any
		if err := json.Unmarshal(text, &entry); err != nil {
			return err
		}
		naiveRecord(records.AppendEmpty(), entry)
		records.At(records.Len() - 1).Body().SetStr(string(text))
		if records.Len() == batchSize || i == len(answer.Entries)-1 {
			consume(logs)
		}
	}
	return nil
}

func newLogs() (plog.Logs, plog.LogRecordSlice) {
	logs := plog.NewLogs()
	return logs, logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
}

func naiveRecord(rec plog.LogRecord, entry map[string]any) {
	action := text(entry["action"])
	rec.SetEventName("slack.audit." + action)
	rec.SetSeverityNumber(plog.SeverityNumberInfo)
	if action == "anomaly" {
		rec.SetSeverityNumber(plog.SeverityNumberWarn)
	}
	rec.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	rec.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(int64(entry["date_create"].(float64)), 0)))

	attrs := rec.Attributes()
	attrs.PutStr("log.record.uid", text(entry["id"]))
	attrs.PutStr("slack.log.type", "audit")
	naivePaths(attrs, "slack", entry)

	user := members(members(entry["actor"])["user"])
	id, email := text(user["id"]), text(user["email"])
	putSome(attrs, "user.id", id)
	putSome(attrs, "user.email", email)
	putSome(attrs, "user.full_name", text(user["name"]))
	putSome(attrs, "slack.audit.actor_kind", actorKind(id, email))

	context := members(entry["context"])
	if address := text(context["ip_address"]); isAddress(address) {
		attrs.PutStr("client.address", address)
	}
	putSome(attrs, "user_agent.original", text(context["ua"]))
	putSome(attrs, "session.id", text(context["session_id"]))

	entity := members(entry["entity"])
	kind := text(entity["type"])
	of := members(entity[kind])
	if kind == "message" {
		putSome(attrs, "slack.entity.id", text(of["channel"])+":"+text(of["timestamp"]))
	} else {
		putSome(attrs, "slack.entity.id", text(of["id"]))
	}
	putSome(attrs, "slack.entity.name", firstOf(text(of["name"]), text(of["title"]), text(of["template_name"])))
	details := members(entry["details"])
	app := ""
	if kind == "app" {
		app = text(of["id"])
	}
	putSome(attrs, "slack.integration.id", firstOf(
		app, text(details["app_id"]), text(details["service_id"]), text(members(context["app"])["id"])))

	newScopes, _ := details["new_scopes"].([]any)
	oldScopes, ok := details["previous_scopes"].([]any)
	if !ok {
		oldScopes, ok = details["old_scopes"].([]any)
	}
	if ok {
		had := map[string]bool{}
		for _, scope := range oldScopes {
			had[text(scope)] = true
		}
		var added []any
		for _, scope := range newScopes {
			if !had[text(scope)] {
				added = append(added, scope)
				had[text(scope)] = true
			}
		}
		putList(attrs, "slack.audit.scopes_added", added)
	}

	users := map[string]bool{}
	naiveUsers(users, entry)
	list := make([]any, 0, len(users))
	for user := range users {
		list = append(list, user)
	}
	putList(attrs, "slack.related.users", list)
}

// naivePaths makes an attribute of each path.
func naivePaths(attrs pcommon.Map, in string, object map[string]any) {
	for key, value := range object {
		name := in + "." + strings.ReplaceAll(key, ".", "_")
		kind := kindOf(in, name)
		switch value := value.(type) {
		case nil:
		case map[string]any:
			if kind == asObject {
				naivePaths(attrs, name, value)
			} else {
				text, _ := json.Marshal(value)
				attrs.PutStr(name, string(text))
			}
		case []any:
			if isFlat(value) {
				putList(attrs, name, value)
			} else {
				text, _ := json.Marshal(value)
				attrs.PutStr(name, string(text))
			}
		case float64:
			if kind == asInt {
				attrs.PutInt(name, int64(value))
			} else {
				attrs.PutStr(name, text(value))
			}
		case bool:
			if kind == asBool {
				attrs.PutBool(name, value)
			} else {
				attrs.PutStr(name, text(value))
			}
		case string:
			attrs.PutStr(name, value)
		}
	}
}

func naiveUsers(users map[string]bool, value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, v := range value {
			naiveUsers(users, v)
		}
	case []any:
		for _, v := range value {
			naiveUsers(users, v)
		}
	case string:
		if isUser(value) {
			users[value] = true
		}
	}
}

func members(value any) map[string]any {
	object, _ := value.(map[string]any)
	return object
}

// text is a scalar's text.
func text(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(value)
	default:
		return ""
	}
}

func isFlat(list []any) bool {
	for _, value := range list {
		switch value.(type) {
		case map[string]any, []any:
			return false
		}
	}
	return true
}

func putSome(attrs pcommon.Map, name, value string) {
	if value != "" {
		attrs.PutStr(name, value)
	}
}

func putList(attrs pcommon.Map, name string, values []any) {
	if len(values) == 0 {
		return
	}
	list := attrs.PutEmptySlice(name)
	for _, value := range values {
		if value != nil {
			list.AppendEmpty().SetStr(text(value))
		}
	}
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// What follows is what naive way and floor have in common.

type pathKind uint8

const (
	asText pathKind = iota
	asObject
	asInt
	asBool
)

// pathKinds are the paths that are not simply text.
var pathKinds = map[string]pathKind{
	"slack.actor": asObject, "slack.actor.user": asObject, "slack.entity": asObject,
	"slack.context": asObject, "slack.context.location": asObject, "slack.context.app": asObject, "slack.details": asObject,
	"slack.date_create": asInt, "slack.entity.huddle.date_start": asInt, "slack.entity.huddle.date_end": asInt,
	"slack.entity.workflow_v2.date_updated": asInt, "slack.entity.app.is_directory_approved": asBool,
	"slack.entity.app.is_distributed": asBool, "slack.entity.app.is_workflow_app": asBool,
	"slack.entity.channel.is_org_shared": asBool, "slack.entity.channel.is_shared": asBool,
}

func kindOf(in, name string) pathKind {
	if in == "slack.entity" && name != "slack.entity.type" {
		return asObject
	}
	return pathKinds[name]
}

func actorKind(id, email string) string {
	switch {
	case id == "":
		return ""
	case strings.HasPrefix(id, "USLACK"):
		return "system"
	case strings.HasSuffix(email, "@slack-bots.com"):
		return "bot"
	default:
		return "user"
	}
}

func isAddress(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Zone() == ""
}

// isUser tells whether s looks like a user's id.
func isUser(s string) bool {
	if len(s) < 4 || s[0] != 'U' && s[0] != 'W' {
		return false
	}
	digit := strings.HasPrefix(s, "USLACK")
	for i := range len(s) {
		switch {
		case '0' <= s[i] && s[i] <= '9':
			digit = true
		case s[i] < 'A' || 'Z' < s[i]:
			return false
		}
	}
	return digit
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// tree is an entry that was parsed before. All of its strings are there, so
// that what is made of it costs only what pdata does and the way through it.
type tree struct {
	kind jsonstream.Kind
	key  string
	text string // of a scalar, otherwise the JSON
	kids []tree
}

func newTree(key string, n jsonstream.Node) tree {
	t := tree{kind: n.Kind(), key: key, text: n.Raw()}
	if n.Scalar() {
		t.text = n.Str()
	}
	for name, value := range n.Members() {
		t.kids = append(t.kids, newTree(name.Str(), value))
	}
	for value := range n.Elements() {
		t.kids = append(t.kids, newTree("", value))
	}
	return t
}

func newTrees(texts [][]byte) []tree {
	trees := make([]tree, len(texts))
	for i, text := range texts {
		var p jsonstream.Parser
		root, err := p.Parse(text)
		if err != nil {
			panic(err)
		}
		trees[i] = newTree("", root)
	}
	return trees
}

func (t *tree) scalar() bool { return jsonstream.Bool <= t.kind && t.kind <= jsonstream.String }

// get is a member, or an empty tree.
func (t *tree) get(key string) *tree {
	for i := range t.kids {
		if t.kids[i].key == key {
			return &t.kids[i]
		}
	}
	return &absent
}

// absent is what get finds where there is nothing.
var absent tree

func (t *tree) str() string {
	if t.scalar() {
		return t.text
	}
	return ""
}

// floor builds records of entries that are parsed already: the receiver's, with
// the default body and attributes. It is the least that a converter can take.
type floor struct {
	top    path
	events map[string]string
	attrs  []attribute
	strs   []string
	users  []string
}

// path is a place in an entry; what it is named is worked out once.
type path struct {
	name  string
	kind  pathKind
	below map[string]*path
}

type attribute struct {
	name string
	kind attributeKind
	str  string
	num  int64
	list []string
}

type attributeKind uint8

const (
	strAttribute attributeKind = iota
	intAttribute
	boolAttribute
	listAttribute
)

func newFloor() *floor {
	return &floor{top: path{name: "slack", kind: asObject}, events: map[string]string{}}
}

// page builds n records of the trees, again and again as they are fewer.
func (f *floor) page(trees []tree, n int, consume func(plog.Logs)) {
	for done := 0; done < n; done += batchSize {
		logs, records := newLogs()
		for i := range min(batchSize, n-done) {
			f.record(records.AppendEmpty(), &trees[(done+i)%len(trees)])
		}
		consume(logs)
	}
}

func (f *floor) record(rec plog.LogRecord, entry *tree) {
	f.attrs, f.strs, f.users = f.attrs[:0], f.strs[:0], f.users[:0]
	f.add("log.record.uid", entry.get("id").str())
	f.add("slack.log.type", "audit")
	f.paths(&f.top, entry)

	user := entry.get("actor").get("user")
	id, email := user.get("id").str(), user.get("email").str()
	f.add("user.id", id)
	f.add("user.email", email)
	f.add("user.full_name", user.get("name").str())
	f.add("slack.audit.actor_kind", actorKind(id, email))
	context := entry.get("context")
	if address := context.get("ip_address").str(); isAddress(address) {
		f.add("client.address", address)
	}
	f.add("user_agent.original", context.get("ua").str())
	f.add("session.id", context.get("session_id").str())
	f.entity(entry)
	f.scopes(entry.get("details"))
	f.collectUsers(entry)
	f.addList("slack.related.users", f.users)
	f.write(rec, entry)
}

func (f *floor) entity(entry *tree) {
	kind := entry.get("entity").get("type").str()
	of := entry.get("entity").get(kind)
	id := of.get("id").str()
	if kind == "message" {
		id = of.get("channel").str() + ":" + of.get("timestamp").str()
	}
	f.add("slack.entity.id", id)
	f.add("slack.entity.name", firstOf(of.get("name").str(), of.get("title").str(), of.get("template_name").str()))
	app := ""
	if kind == "app" {
		app = id
	}
	details := entry.get("details")
	f.add("slack.integration.id", firstOf(
		app, details.get("app_id").str(), details.get("service_id").str(), entry.get("context").get("app").get("id").str()))
}

func (f *floor) scopes(details *tree) {
	now, before := details.get("new_scopes"), details.get("previous_scopes")
	if before.kind != jsonstream.Array {
		before = details.get("old_scopes")
	}
	if now.kind != jsonstream.Array || before.kind != jsonstream.Array {
		return
	}
	from := len(f.strs)
	for i := range now.kids {
		scope := now.kids[i].str()
		if scope != "" && !slices.ContainsFunc(before.kids, func(t tree) bool { return t.text == scope }) && !slices.Contains(f.strs[from:], scope) {
			f.strs = append(f.strs, scope)
		}
	}
	f.addList("slack.audit.scopes_added", f.strs[from:])
}

func (f *floor) paths(in *path, object *tree) {
	for i := range object.kids {
		value := &object.kids[i]
		p, ok := in.below[value.key]
		if !ok {
			p = in.add(value.key)
		}
		switch {
		case value.kind == jsonstream.Null:
		case p.kind == asObject:
			f.paths(p, value)
		case p.kind == asInt:
			n, _ := strconv.ParseInt(value.text, 10, 64)
			f.attrs = append(f.attrs, attribute{name: p.name, kind: intAttribute, num: n})
		case p.kind == asBool:
			f.attrs = append(f.attrs, attribute{name: p.name, kind: boolAttribute, str: value.text})
		case value.kind == jsonstream.Array && value.flat():
			from := len(f.strs)
			for i := range value.kids {
				if value.kids[i].scalar() {
					f.strs = append(f.strs, value.kids[i].text)
				}
			}
			f.addList(p.name, f.strs[from:])
		default:
			f.attrs = append(f.attrs, attribute{name: p.name, str: value.text})
		}
	}
}

func (t *tree) flat() bool {
	for i := range t.kids {
		if t.kids[i].kind >= jsonstream.Array {
			return false
		}
	}
	return true
}

func (f *floor) collectUsers(t *tree) {
	if t.kind == jsonstream.String && isUser(t.text) && !slices.Contains(f.users, t.text) {
		f.users = append(f.users, t.text)
	}
	for i := range t.kids {
		f.collectUsers(&t.kids[i])
	}
}

func (f *floor) write(rec plog.LogRecord, entry *tree) {
	action := entry.get("action").text
	event, ok := f.events[action]
	if !ok {
		event = "slack.audit." + action
		f.events[action] = event
	}
	rec.SetEventName(event)
	rec.SetSeverityNumber(plog.SeverityNumberInfo)
	if action == "anomaly" {
		rec.SetSeverityNumber(plog.SeverityNumberWarn)
	}
	rec.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	date, _ := strconv.ParseInt(entry.get("date_create").text, 10, 64)
	rec.SetTimestamp(pcommon.Timestamp(date * 1e9))
	rec.Body().SetStr(entry.text)
	attrs := rec.Attributes()
	attrs.EnsureCapacity(len(f.attrs))
	for i := range f.attrs {
		switch a := &f.attrs[i]; a.kind {
		case strAttribute:
			attrs.PutStr(a.name, a.str)
		case intAttribute:
			attrs.PutInt(a.name, a.num)
		case boolAttribute:
			attrs.PutBool(a.name, a.str == "true")
		case listAttribute:
			list := attrs.PutEmptySlice(a.name)
			list.EnsureCapacity(len(a.list))
			for _, s := range a.list {
				list.AppendEmpty().SetStr(s)
			}
		}
	}
}

// add adds a string that says something.
func (f *floor) add(name, value string) {
	if value != "" {
		f.attrs = append(f.attrs, attribute{name: name, str: value})
	}
}

func (f *floor) addList(name string, values []string) {
	if len(values) > 0 {
		f.attrs = append(f.attrs, attribute{name: name, kind: listAttribute, list: values})
	}
}

func (p *path) add(key string) *path {
	name := p.name + "." + strings.ReplaceAll(key, ".", "_")
	below := &path{name: name, kind: kindOf(p.name, name)}
	if p.below == nil {
		p.below = map[string]*path{}
	}
	p.below[key] = below
	return below
}

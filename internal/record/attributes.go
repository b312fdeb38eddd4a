// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// rule says what becomes of a value in Slack's JSON. It hangs on the path alone: if it looked at the value, a name
// could have two types, or be a value here and a parent there, and Elasticsearch would refuse one of the records.
type rule uint8

const (
	asText     rule = iota // an attribute: string or list of strings
	asSeconds              // an attribute: a time as an integer
	asCount                // an attribute: an integer that is not negative
	asBool                 // an attribute: a bool
	asBoolText             // the same, but text will do, and the empty text for none
	asObject               // its members become attributes
	asDetails              // the same, but only the first maxDetails of them
	reserved               // no attribute, as the name is kept for ours
)

// rules holds every path that is not simply text: the objects, the names that are ours, and, as the one table of
// types, the booleans, counts and times that Slack documents outside of details. It is one table for all log types, as
// their records may meet in one index.
var rules = map[string]rule{
	"slack.actor":                 asObject,
	"slack.actor.user":            asObject,
	"slack.entity":                asObject,
	"slack.entity.*":              asObject, // whatever the entity's type, so that a new one needs no line here
	"slack.entity.type":           asText,
	"slack.context":               asObject,
	"slack.context.location":      asObject,
	"slack.context.app":           asObject,
	"slack.context.agent_message": asObject,
	"slack.details":               asDetails,

	"slack.date_create":                          asSeconds,
	"slack.entity.app.is_directory_approved":     asBool,
	"slack.entity.app.is_distributed":            asBool,
	"slack.entity.app.is_workflow_app":           asBool,
	"slack.entity.channel.is_org_shared":         asBool,
	"slack.entity.channel.is_salesforce_channel": asBool,
	"slack.entity.channel.is_shared":             asBool,
	"slack.entity.huddle.date_end":               asSeconds,
	"slack.entity.huddle.date_start":             asSeconds,
	"slack.entity.workflow_v2.date_updated":      asSeconds,

	// Of access and integration rows.
	"slack.count":      asCount,
	"slack.date":       asSeconds,
	"slack.date_first": asSeconds,
	"slack.date_last":  asSeconds,
	"slack.rss_feed":   asBoolText, // a bool in Slack's documentation, a string in its schema

	"slack.access":           reserved,
	"slack.audit":            reserved,
	"slack.details_overflow": reserved,
	"slack.entity.id":        reserved,
	"slack.entity.name":      reserved,
	"slack.integration":      reserved,
	"slack.log":              reserved,
	"slack.related":          reserved,
}

// core are the attributes made of Slack's paths that AttributesCore keeps.
var core = map[string]bool{
	"slack.action":      true,
	"slack.change_type": true,
	"slack.entity.type": true,
}

const (
	maxDetails = 64

	// Names are remembered, so that they are built once and not for each record. These limits keep odd names from
	// filling the memory.
	maxRemembered     = 4096
	maxRememberedName = 64
)

// place is where something stands that other attributes are made of as well.
type place uint8

const (
	elsewhere place = iota // of all others; nobody looks there
	atActorID
	atActorEmail
	atActorName
	atContextAddress
	atContextAgent
	atContextSession
	atContextApp
	atEntity
	atEntityType
	atDetails
	numPlaces
)

var places = map[string]place{
	"slack.actor.user.id":      atActorID,
	"slack.actor.user.email":   atActorEmail,
	"slack.actor.user.name":    atActorName,
	"slack.context.ip_address": atContextAddress,
	"slack.context.ua":         atContextAgent,
	"slack.context.session_id": atContextSession,
	"slack.context.app.id":     atContextApp,
	"slack.entity":             atEntity,
	"slack.entity.type":        atEntityType,
	"slack.details":            atDetails,
}

// field is a path in Slack's JSON.
type field struct {
	key   string
	name  string // of the attribute
	rule  rule
	core  bool
	place place
	below map[string]*field // the keys met so far, if it is an object
	known bool              // it is one of those

	// Keys mostly come in the order of the last time: the first one below this field, and the one after it beside it.
	first, next *field
}

// field finds the field for a key of an object.
func (c *Converter) field(in *field, key []byte) *field {
	if f, ok := in.below[string(key)]; ok {
		return f
	}
	f := &field{key: string(key), name: in.name + "." + strings.ReplaceAll(string(key), ".", "_")}
	f.core = core[f.name]
	if !strings.Contains(f.key, ".") {
		f.place = places[f.name]
	}
	var ok bool
	if f.rule, ok = rules[f.name]; !ok {
		f.rule = rules[in.name+".*"]
	}
	if c.fields < maxRemembered && len(key) <= maxRememberedName {
		if in.below == nil {
			in.below = map[string]*field{}
		}
		in.below[f.key] = f
		f.known = true
		c.fields++
	}
	return f
}

// collect makes attributes of an object's members. A value that doesn't fit its field is only in the body and makes
// the entry malformed.
func (c *Converter) collect(in *field, n jsonstream.Node) {
	count := 0
	var overflow []byte
	next := &in.first
	for key, value := range n.Members() {
		if blank(key.Bytes()) { // Elasticsearch refuses a record with such a name
			c.malformed = true
			continue
		}
		if count++; in.rule == asDetails && count > maxDetails {
			if c.all {
				overflow = append(overflow, ',')
				overflow = append(overflow, key.Raw()...)
				overflow = append(overflow, ':')
				overflow = append(overflow, value.Raw()...)
			}
			continue
		}
		f := *next
		if f == nil || f.key != string(key.Bytes()) {
			if f = c.field(in, key.Bytes()); f.known {
				*next = f
			}
		}
		next = &f.next
		c.at[f.place] = value
		if value.Kind() != jsonstream.Null && !c.visit(f, value) {
			c.malformed = true
		}
	}
	if len(overflow) > 0 {
		overflow[0] = '{'
		c.addStr(in.name+"_overflow", string(append(overflow, '}')))
	}
}

// blank tells whether there is nothing but white space.
func blank(key []byte) bool {
	return len(key) == 0 || (key[0] <= ' ' || key[0] >= utf8.RuneSelf) && len(bytes.TrimSpace(key)) == 0
}

// visit makes attributes of one value and tells whether it fits its field.
func (c *Converter) visit(f *field, n jsonstream.Node) bool {
	wanted := c.all || f.core && c.core
	switch f.rule {
	case asObject, asDetails:
		if n.Kind() != jsonstream.Object {
			return false
		}
		c.collect(f, n)
	case asSeconds, asCount:
		v, ok := parseCount(n)
		if f.rule == asSeconds {
			v, ok = parseSeconds(n)
		}
		if ok && wanted {
			c.addInt(f.name, v)
		}
		return ok
	case asBool:
		if n.Kind() != jsonstream.Bool {
			return false
		}
		if wanted {
			c.addBool(f.name, isTrue(n))
		}
	case asBoolText:
		text := string(n.Bytes())
		if text != "true" && text != "false" {
			return n.Kind() == jsonstream.String && text == ""
		}
		if wanted {
			c.addBool(f.name, text == "true")
		}
	case asText:
		if wanted {
			c.addText(f.name, n)
		}
	}
	return true
}

// addText makes an attribute of any value.
func (c *Converter) addText(name string, n jsonstream.Node) {
	switch {
	case n.Scalar():
		c.addStr(name, n.Str())
	case flat(n):
		from := len(c.strs)
		for e := range n.Elements() {
			if e.Scalar() {
				c.strs = append(c.strs, e.Str())
			}
		}
		c.addStrs(name, from)
	default:
		c.addStr(name, n.Raw())
	}
}

// flat tells whether n is a list of scalars and nulls.
func flat(n jsonstream.Node) bool {
	for e := range n.Elements() {
		if !e.Scalar() && e.Kind() != jsonstream.Null {
			return false
		}
	}
	return n.Kind() == jsonstream.Array
}

// add adds an attribute to be filled in.
func (c *Converter) add(name string, form form) *attribute {
	n := len(c.attrs)
	if n < cap(c.attrs) {
		c.attrs = c.attrs[:n+1]
	} else {
		c.attrs = append(c.attrs, attribute{})
	}
	a := &c.attrs[n]
	a.name, a.form = name, form
	return a
}

func (c *Converter) addStr(name, value string) { c.add(name, formStr).str = value }

// addSome adds a string that says something.
func (c *Converter) addSome(name, value string) {
	if value != "" {
		c.addStr(name, value)
	}
}

func (c *Converter) addList(name string, values []string) {
	from := len(c.strs)
	c.strs = append(c.strs, values...)
	c.addStrs(name, from)
}

// addStrs adds what was put at the end of strs, if anything.
func (c *Converter) addStrs(name string, from int) {
	if n := len(c.strs) - from; n > 0 {
		a := c.add(name, formList)
		a.num, a.len = int64(from), int32(n)
	}
}

func (c *Converter) addInt(name string, value int64) {
	c.add(name, formInt).num = value
}

func (c *Converter) addBool(name string, value bool) {
	if value {
		c.add(name, formTrue)
	} else {
		c.add(name, formFalse)
	}
}

// addAddress adds an IP address. Slack also has "redacted" and cut ones in its place.
func (c *Converter) addAddress(address string) {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Zone() == "" {
		c.addStr("client.address", address)
	}
}

// addRoles adds the roles of the actor, if they are known.
func (c *Converter) addRoles(actor jsonstream.Node) {
	id := actor.Bytes()
	if c.roles == nil || !actor.Scalar() || len(id) == 0 || placeholder(id) {
		return
	}
	c.addList("user.roles", c.roles(id))
}

// placeholder tells the ids that stand for Slack itself or nobody. Slackbot is a bot like others.
func placeholder(id []byte) bool {
	return bytes.HasPrefix(id, []byte("USLACK")) && string(id) != "USLACKBOT"
}

// addUsers adds the id of every user that the entry speaks of, so that a search for one of them finds it. Some places
// hold one whatever it looks like.
func (c *Converter) addUsers(certain, another jsonstream.Node) {
	c.users.reset()
	for n := range c.root.Scalars() {
		b := n.Bytes()
		switch {
		case len(b) == 0:
		case userID(b) && n.Kind() == jsonstream.String, n == certain, n == another:
			c.users.add(n.Str())
		case (b[0] == '[' || b[0] == '{') && n.Kind() == jsonstream.String:
			c.addNestedUsers(b)
		}
	}
	c.addList("slack.related.users", c.users.values)
}

// addNestedUsers looks into a string that holds JSON, as Slack sometimes sends a list of users.
func (c *Converter) addNestedUsers(text []byte) {
	nested, err := c.nested.Parse(text)
	if err != nil {
		return
	}
	for n := range nested.Scalars() {
		if n.Kind() == jsonstream.String && userID(n.Bytes()) {
			c.users.add(n.Str())
		}
	}
}

// userID tells whether s looks like a user's id: U or W and then digits and capitals, or one of Slack's placeholders.
func userID(s []byte) bool {
	if len(s) < 4 || s[0] != 'U' && s[0] != 'W' {
		return false
	}
	digit := false
	for _, b := range s {
		switch {
		case '0' <= b && b <= '9':
			digit = true
		case b < 'A' || 'Z' < b:
			return false
		}
	}
	return digit || bytes.HasPrefix(s, []byte("USLACK"))
}

// attribute is one that a record will have. They are counted before the first is written, as a map that grows costs
// more than all the rest.
type attribute struct {
	name string
	str  string
	num  int64 // or where a list begins in strs
	len  int32 // of a list
	form form
}

type form uint8

const (
	formStr form = iota
	formList
	formInt
	formTrue
	formFalse
)

// set gives a value what the attribute says.
func (c *Converter) set(to pcommon.Value, a *attribute) {
	switch a.form {
	case formStr:
		to.SetStr(a.str)
	case formInt:
		to.SetInt(a.num)
	case formTrue, formFalse:
		to.SetBool(a.form == formTrue)
	case formList:
		values := to.SetEmptySlice()
		values.EnsureCapacity(int(a.len))
		for _, s := range c.strs[a.num:][:a.len] {
			values.AppendEmpty().SetStr(s)
		}
	}
}

// layout is a map with the names of a record's attributes, and no values. Most records have the same names as one
// before; a copy of that map costs less than to look for each name among those that are there already, as putting it
// into a map does.
type layout struct {
	names pcommon.Map
	known bool
	// used is set when it fitted, and cleared when another would take its place, once.
	used bool
}

const (
	maxLayouts = 1024
	// What a layout may hold: odd entries have thousands of names, or long ones.
	maxLayoutNames = 128
	maxLayoutBytes = 4 << 10
)

// layoutPlace is the one of maxLayouts places where the layout of these attributes is looked for.
func layoutPlace(attrs []attribute) int {
	var key uint64
	for i := range attrs {
		name := attrs[i].name // never empty
		key = (key ^ uint64(len(name))<<8 ^ uint64(name[len(name)-1])) * 0x100000001b3
	}
	return int((key >> 32) % maxLayouts)
}

// fits tells whether the layout is that of these attributes.
func (l *layout) fits(attrs []attribute) bool {
	if !l.known || l.names.Len() != len(attrs) {
		return false
	}
	i := 0
	for name := range l.names.All() {
		if name != attrs[i].name {
			return false
		}
		i++
	}
	return true
}

// learn makes it the layout of these attributes, which have names of so many bytes, unless the one that is there is in
// use.
func (l *layout) learn(attrs []attribute, size int) {
	if len(attrs) > maxLayoutNames || size > maxLayoutBytes {
		return
	}
	if l.used {
		l.used = false
		return
	}
	*l = layout{names: pcommon.NewMap(), known: true}
	l.names.EnsureCapacity(len(attrs))
	for i := range attrs {
		l.names.PutEmpty(attrs[i].name)
	}
}

// writeAttributes writes the attributes. Of two with the same name, as from a.b and a_b, the last stays.
func (c *Converter) writeAttributes(to pcommon.Map) {
	l := &c.layouts[layoutPlace(c.attrs)]
	if l.fits(c.attrs) {
		l.used = true
		l.names.CopyTo(to)
		i := 0
		for _, value := range to.All() {
			c.set(value, &c.attrs[i])
			i++
		}
		return
	}
	to.EnsureCapacity(len(c.attrs))
	size := 0
	for i := range c.attrs {
		a := &c.attrs[i]
		c.set(to.PutEmpty(a.name), a)
		size += len(a.name)
	}
	if to.Len() == len(c.attrs) {
		l.learn(c.attrs, size)
	}
}

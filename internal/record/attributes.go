// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

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

// field is a path in Slack's JSON.
type field struct {
	name  string // of the attribute
	rule  rule
	core  bool
	below map[string]*field // the keys met so far, if it is an object
}

// field finds the field for a key of an object.
func (c *Converter) field(in *field, key []byte) *field {
	if f, ok := in.below[string(key)]; ok {
		return f
	}
	f := &field{name: in.name + "." + strings.ReplaceAll(string(key), ".", "_")}
	f.core = core[f.name]
	var ok bool
	if f.rule, ok = rules[f.name]; !ok {
		f.rule = rules[in.name+".*"]
	}
	if c.fields < maxRemembered && len(key) <= maxRememberedName {
		if in.below == nil {
			in.below = map[string]*field{}
		}
		in.below[string(key)] = f
		c.fields++
	}
	return f
}

// collect makes attributes of an object's members. A value that doesn't fit its field is only in the body and makes
// the entry malformed.
func (c *Converter) collect(in *field, n jsonstream.Node) {
	count := 0
	var overflow []byte
	for key, value := range n.Members() {
		if len(key.Bytes()) == 0 {
			c.malformed = true
			continue
		}
		if count++; in.rule == asDetails && count > maxDetails {
			if c.opts.Attributes == AttributesAll {
				overflow = append(overflow, ',')
				overflow = append(overflow, key.Raw()...)
				overflow = append(overflow, ':')
				overflow = append(overflow, value.Raw()...)
			}
			continue
		}
		f := c.field(in, key.Bytes())
		if value.Kind() != jsonstream.Null && !c.visit(f, value) {
			c.malformed = true
		}
	}
	if len(overflow) > 0 {
		overflow[0] = '{'
		c.addStr(in.name+"_overflow", string(append(overflow, '}')))
	}
}

// visit makes attributes of one value and tells whether it fits its field.
func (c *Converter) visit(f *field, n jsonstream.Node) bool {
	wanted := c.opts.Attributes == AttributesAll || c.opts.Attributes == AttributesCore && f.core
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
		c.addList(name, c.strs[from:])
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

func (c *Converter) addStr(name, value string) {
	c.attrs = append(c.attrs, attribute{name: name, str: value})
}

// addSome adds a string that says something.
func (c *Converter) addSome(name, value string) {
	if value != "" {
		c.addStr(name, value)
	}
}

func (c *Converter) addList(name string, values []string) {
	if len(values) > 0 {
		c.attrs = append(c.attrs, attribute{name: name, form: formList, list: values})
	}
}

func (c *Converter) addInt(name string, value int64) {
	c.attrs = append(c.attrs, attribute{name: name, form: formInt, num: value})
}

func (c *Converter) addBool(name string, value bool) {
	c.attrs = append(c.attrs, attribute{name: name, form: formBool, truth: value})
}

// addAddress adds an IP address. Slack also has "redacted" and cut ones in its place.
func (c *Converter) addAddress(address string) {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Zone() == "" {
		c.addStr("client.address", address)
	}
}

// addUsers adds the id of every user that the entry speaks of, so that a search for one of them finds it. Some places
// hold one whatever it looks like.
func (c *Converter) addUsers(certain ...jsonstream.Node) {
	c.users.reset()
	for n := range c.root.Scalars() {
		b := n.Bytes()
		switch {
		case len(b) == 0:
		case slices.Contains(certain, n), n.Kind() == jsonstream.String && userID(b):
			c.users.add(n.Str())
		case n.Kind() == jsonstream.String && (b[0] == '[' || b[0] == '{'):
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
	name  string
	form  form
	truth bool
	num   int64
	str   string
	list  []string
}

type form uint8

const (
	formStr form = iota
	formList
	formInt
	formBool
)

// put writes the attribute. Of two with the same name, as from a.b and a_b, the last stays.
func (a *attribute) put(attrs pcommon.Map) {
	switch a.form {
	case formStr:
		attrs.PutStr(a.name, a.str)
	case formInt:
		attrs.PutInt(a.name, a.num)
	case formBool:
		attrs.PutBool(a.name, a.truth)
	case formList:
		values := attrs.PutEmptySlice(a.name)
		values.EnsureCapacity(len(a.list))
		for _, v := range a.list {
			values.AppendEmpty().SetStr(v)
		}
	}
}

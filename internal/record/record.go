// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package record turns one of Slack's entries into one log record: its body, its attributes, and the identity by which
// it is known on every run and machine.
package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// Body chooses what a record's body is.
type Body string

// The bodies.
const (
	BodyRaw  Body = "raw"  // Slack's own text
	BodyMap  Body = "map"  // the same, parsed
	BodyNone Body = "none" // nothing, unless something would be lost with it
)

// Attributes chooses which attributes a record has.
type Attributes string

// The choices of attributes.
const (
	AttributesAll  Attributes = "all"
	AttributesCore Attributes = "core" // what is worth an index
	AttributesNone Attributes = "none"
)

// Options are what a user can choose.
type Options struct {
	Body       Body
	Attributes Attributes
}

// Entry is what has to be known of an entry before it becomes a record.
type Entry struct {
	// Key is the same for two entries only if one is a duplicate of the other.
	Key [16]byte
	// UID is the record's log.record.uid.
	UID string
	// Date is the entry's time in seconds since 1970, if DateOK.
	Date   int64
	DateOK bool
}

// Converter converts entries one after another. It is not safe for concurrent use.
type Converter struct {
	opts   Options
	roles  func(userID []byte) []string // nil = nobody's are known
	all    bool                         // attributes of all paths are wanted
	core   bool                         // attributes of the core paths are wanted
	mended jsonstream.Parser            // of text that was not UTF-8
	nested jsonstream.Parser            // of JSON inside of strings

	// What stays the same is remembered from entry to entry.
	top        field
	fields     int
	eventNames map[eventName]string
	layouts    [maxLayouts]layout

	// Of the last entry, valid until it is appended: what it is made of belongs to whoever parsed it.
	text      []byte          // valid UTF-8
	root      jsonstream.Node // absent if it is no object
	entry     Entry
	identity  identity // of an access or integration row
	malformed bool
	at        [numPlaces]jsonstream.Node
	attrs     []attribute
	strs      []string // what the lists among attrs hold
	users     set
	scratch   []byte
}

// eventName is what a kind of event is named after.
type eventName struct{ prefix, word string }

// New makes a Converter.
func New(opts Options) *Converter {
	return &Converter{
		opts:       opts,
		all:        opts.Attributes == AttributesAll,
		core:       opts.Attributes == AttributesCore,
		top:        field{name: "slack", rule: asObject},
		eventNames: map[eventName]string{},
	}
}

// Roles has each record that has attributes and an actor carry the actor's roles, of which there may be none. It is not
// asked of Slack's placeholders. The id is valid only during the call.
func (c *Converter) Roles(of func(userID []byte) []string) { c.roles = of }

// parse makes e the current entry.
func (c *Converter) parse(e jsonstream.Element) {
	c.text, c.root, c.malformed = e.Text, e.Root, false
	if !utf8.Valid(c.text) {
		// Protobuf and backends demand UTF-8. Mending the text first makes all that is taken from it valid.
		c.text = bytes.ToValidUTF8(c.text, []byte("\uFFFD"))
		c.root, _ = c.mended.Parse(c.text)
		c.malformed = true
	}
	if !c.isObject() {
		c.root = jsonstream.Node{}
		c.malformed = true
	}
}

func (c *Converter) isObject() bool { return c.root.Kind() == jsonstream.Object }

// collectAll makes the attributes that every log type's entries have, and those of Slack's paths. It tells whether more
// are wanted.
func (c *Converter) collectAll(logType string) (more bool) {
	c.attrs, c.strs = c.attrs[:0], c.strs[:0]
	c.at = [numPlaces]jsonstream.Node{}
	more = c.opts.Attributes != AttributesNone
	if more {
		c.addStr("log.record.uid", c.entry.UID)
		c.addStr("slack.log.type", logType)
	}
	c.collect(&c.top, c.root)
	return more
}

// write fills in the parts of a record that are made in the same way for every log type.
func (c *Converter) write(rec plog.LogRecord, observed time.Time) {
	rec.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	if c.entry.DateOK {
		rec.SetTimestamp(pcommon.Timestamp(c.entry.Date) * pcommon.Timestamp(time.Second))
	}
	c.writeAttributes(rec.Attributes())
	c.writeBody(rec.Body())
}

// writeBody leaves no body only where the attributes hold all that it would.
func (c *Converter) writeBody(body pcommon.Value) {
	switch {
	case c.opts.Body == BodyMap && c.isObject():
		setValue(body, c.root)
	case c.opts.Body == BodyNone && c.opts.Attributes == AttributesAll && !c.malformed:
	default:
		if c.isObject() {
			body.SetStr(c.root.Raw()) // the copy that the attributes share
			return
		}
		body.SetStr(string(c.text))
	}
}

// eventName names a kind of event with Slack's word for it.
func (c *Converter) eventName(prefix string, n jsonstream.Node) string {
	word := n.Bytes()
	if n.Kind() != jsonstream.String || !eventWord(word) {
		return prefix + "unknown"
	}
	name, ok := c.eventNames[eventName{prefix, string(word)}]
	if !ok {
		name = prefix + string(word)
		if len(c.eventNames) < maxRemembered {
			c.eventNames[eventName{prefix, string(word)}] = name
		}
	}
	return name
}

// eventWord tells whether Slack's word can stand in an event's name.
func eventWord(word []byte) bool {
	for _, b := range word {
		if !('a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '.') {
			return false
		}
	}
	return 1 <= len(word) && len(word) <= 100
}

func isString(n jsonstream.Node, s string) bool {
	return n.Kind() == jsonstream.String && string(n.Bytes()) == s
}

// setValue copies a JSON value. A number that neither an integer nor a double holds stays text.
func setValue(to pcommon.Value, n jsonstream.Node) {
	switch n.Kind() {
	case jsonstream.Bool:
		to.SetBool(isTrue(n))
	case jsonstream.Number:
		setNumber(to, n.Str())
	case jsonstream.String:
		to.SetStr(n.Str())
	case jsonstream.Array:
		list := to.SetEmptySlice()
		list.EnsureCapacity(n.Len())
		for e := range n.Elements() {
			setValue(list.AppendEmpty(), e)
		}
	case jsonstream.Object:
		members := to.SetEmptyMap()
		members.EnsureCapacity(n.Len())
		for name, value := range n.Members() {
			setValue(members.PutEmpty(name.Str()), value)
		}
	}
}

func setNumber(to pcommon.Value, number string) {
	if i, err := strconv.ParseInt(number, 10, 64); err == nil {
		to.SetInt(i)
		return
	}
	if f, err := strconv.ParseFloat(number, 64); err == nil && !integral(number) {
		to.SetDouble(f)
		return
	}
	to.SetStr(number)
}

func integral(number string) bool {
	for _, c := range number {
		if c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}

func isTrue(n jsonstream.Node) bool { return string(n.Bytes()) == "true" }

// maxSeconds is the end of 2261, the last whole year that a timestamp in nanoseconds reaches.
const maxSeconds = 9214646399

// parseSeconds reads a time that Slack gives in seconds.
func parseSeconds(n jsonstream.Node) (int64, bool) {
	v, ok := parseCount(n)
	return v, ok && v <= maxSeconds
}

// parseCount reads an integer that is not negative, given as a number or as a string of digits.
func parseCount(n jsonstream.Node) (int64, bool) {
	if k := n.Kind(); k != jsonstream.Number && k != jsonstream.String {
		return 0, false
	}
	// ParseUint takes no sign, point or exponent.
	v, err := strconv.ParseUint(string(n.Bytes()), 10, 63)
	return int64(v), err == nil
}

// scalar is a scalar's text, and nothing for other values.
func scalar(n jsonstream.Node) string {
	if !n.Scalar() {
		return ""
	}
	return n.Str()
}

// first is the first of some values that says something.
func first(nodes ...jsonstream.Node) string {
	for _, n := range nodes {
		if s := scalar(n); s != "" {
			return s
		}
	}
	return ""
}

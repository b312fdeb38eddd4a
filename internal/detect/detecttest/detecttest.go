// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package detecttest reads the tests of the detection pack: made-up entries for each rule, and how many findings they make.
package detecttest // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.yaml.in/yaml/v3"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Case is one test of a rule or correlation.
type Case struct {
	Rule    string
	Name    string
	Finds   int
	Lists   map[string][]string // what is not among them is empty
	Entries []Entry             // in the order in which they are handed over
}

// Entry is one as Slack would send it.
type Entry struct {
	LogType string
	UID     string // of an audit entry its id
	Time    time.Time
	JSON    []byte
	// SeenAgain is whether an access row was delivered before.
	SeenAgain bool
	// Roles are the actor's, if the receiver knows them: they are no part of the entry.
	Roles []string
}

// Team is the workspace of access and integration rows.
const Team = "T0DETECT001"

type file struct {
	Rule  string              `yaml:"rule"`
	Lists map[string][]string `yaml:"lists"`
	Tests []struct {
		Name    string              `yaml:"name"`
		Finds   *int                `yaml:"finds"`
		Lists   map[string][]string `yaml:"lists"`
		Order   string              `yaml:"order"`
		Entries []map[string]any    `yaml:"entries"`
	} `yaml:"tests"`
}

// Load reads the tests (*.yml) of a folder for a pack. Their entries begin at start, whole seconds.
func Load(files fs.FS, pack *detect.Pack, start time.Time) ([]Case, error) {
	names, err := fs.Glob(files, "*.yml")
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		var f file
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: holds a second document", name)
		}
		if f.Rule+".yml" != path.Base(name) {
			return nil, fmt.Errorf("%s: holds the tests of %s, so it is to be called %s.yml", name, f.Rule, f.Rule)
		}
		logType, err := logTypeOf(pack, f.Rule)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, t := range f.Tests {
			if t.Name == "" || t.Finds == nil || len(t.Entries) == 0 || t.Order != "" && t.Order != "reversed" {
				return nil, fmt.Errorf("%s: a test has a name, finds and entries, and an order that is reversed if there is one", name)
			}
			c := Case{Rule: f.Rule, Name: t.Name, Finds: *t.Finds, Lists: maps.Clone(f.Lists)}
			if c.Lists == nil {
				c.Lists = map[string][]string{}
			}
			maps.Copy(c.Lists, t.Lists)
			for _, written := range t.Entries {
				entries, err := build(logType, written, start, f.Rule+"-"+strconv.Itoa(len(cases)), len(c.Entries))
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", name, t.Name, err)
				}
				c.Entries = append(c.Entries, entries...)
			}
			if t.Order == "reversed" {
				slices.Reverse(c.Entries)
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

// logTypeOf is the log type of a rule, or of the first rule of a correlation.
func logTypeOf(pack *detect.Pack, name string) (string, error) {
	for _, r := range pack.Rules {
		if r.Name == name {
			return r.LogType(), nil
		}
	}
	for _, c := range pack.Correlations {
		if c.Name == name {
			return logTypeOf(pack, c.Rules[0])
		}
	}
	return "", fmt.Errorf("there is no rule %s", name)
}

// Tune returns the pack with the lists of a case.
func (c *Case) Tune(pack *detect.Pack, lists *detect.Lists) (*detect.Tuned, error) {
	filled := &detect.Lists{Lists: maps.Clone(lists.Lists)}
	for name, values := range c.Lists {
		list, ok := filled.Lists[name]
		if !ok {
			return nil, fmt.Errorf("%s: %s: there is no list %s", c.Rule, c.Name, name)
		}
		list.Values = values
		filled.Lists[name] = list
	}
	return pack.Tune(filled, time.Time{})
}

// Records are the entries of a case as the receiver makes them.
func (c *Case) Records() plog.LogRecordSlice {
	records := plog.NewLogRecordSlice()
	converter := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll})
	for _, e := range c.Entries {
		e.append(converter, records)
	}
	return records
}

// Events are the entries of a case as rules see them.
func (c *Case) Events() []detect.Event {
	var events []detect.Event
	for _, lr := range c.Records().All() {
		if event, ok := detect.FromRecord(lr); ok {
			events = append(events, event)
		}
	}
	return events
}

func (e *Entry) append(converter *record.Converter, to plog.LogRecordSlice) {
	element := jsonstream.NewElement(e.JSON)
	switch e.LogType {
	case "access":
		converter.ParseAccess(Team, element)
		converter.AppendAccess(to, e.Time, record.Change{New: !e.SeenAgain})
	case "integration":
		converter.ParseIntegration(Team, element)
		converter.AppendIntegration(to, e.Time, converter.IntegrationUID(1))
	default:
		converter.ParseAudit(element)
		converter.AppendAudit(to, e.Time)
	}
	if len(e.Roles) > 0 {
		roles := to.At(to.Len() - 1).Attributes().PutEmptySlice("user.roles")
		for _, role := range e.Roles {
			roles.AppendEmpty().SetStr(role)
		}
	}
}

// build makes what one item of a test stands for: an entry, or several with each.
func build(logType string, written map[string]any, start time.Time, prefix string, before int) ([]Entry, error) {
	each, ok := written["each"]
	if !ok {
		entry, err := one(logType, written, start, 0, prefix+"-"+strconv.Itoa(before))
		return []Entry{entry}, err
	}
	repeated, ok := each.(map[string]any)
	if !ok || len(written) > 1 {
		return nil, errors.New("each: is a map, and nothing stands beside it")
	}
	repeated = maps.Clone(repeated)
	count, _ := repeated["count"].(int)
	every, err := span(repeated["every"])
	if err != nil || count < 1 {
		return nil, errors.New("each: needs count, and every such as 20s")
	}
	delete(repeated, "count")
	delete(repeated, "every")
	var entries []Entry
	for n := range count {
		entry, err := one(logType, numbered(repeated, n+1).(map[string]any), start, time.Duration(n)*every, prefix+"-"+strconv.Itoa(before+n))
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// numbered puts a number in the place of each {n}.
func numbered(value any, n int) any {
	switch value := value.(type) {
	case string:
		return strings.ReplaceAll(value, "{n}", strconv.Itoa(n))
	case []any:
		items := make([]any, len(value))
		for i, item := range value {
			items[i] = numbered(item, n)
		}
		return items
	case map[string]any:
		items := map[string]any{}
		for key, item := range value {
			items[key] = numbered(item, n)
		}
		return items
	}
	return value
}

// span reads 90s, 2h or 3d; nothing is 0.
func span(value any) (time.Duration, error) {
	if value == nil || value == "0s" || value == 0 {
		return 0, nil
	}
	text, _ := value.(string)
	return sigma.Duration(text)
}

// one makes an entry of a log type: the default one, with what is written over it.
func one(logType string, written map[string]any, start time.Time, later time.Duration, uid string) (Entry, error) {
	written = maps.Clone(written)
	at, err := span(written["at"])
	if err != nil {
		return Entry{}, fmt.Errorf("at: %w", err)
	}
	if text, ok := written["log"].(string); ok {
		logType = text
	}
	if text, ok := written["uid"].(string); ok {
		uid = text
	}
	seen := written["access.change"] == "seen_again"
	var roles []string
	if given, ok := written["user.roles"]; ok && given != nil {
		list, ok := given.([]any)
		if !ok || len(list) == 0 {
			return Entry{}, errors.New("user.roles: is a list")
		}
		for _, role := range list {
			roles = append(roles, fmt.Sprint(role))
		}
	}
	for _, key := range []string{"at", "log", "uid", "access.change", "user.roles"} {
		delete(written, key)
	}
	entry := Entry{LogType: logType, UID: uid, Time: start.Add(at + later), SeenAgain: seen, Roles: roles}
	root := defaults(logType, uid, entry.Time.Unix())
	if root == nil {
		return Entry{}, fmt.Errorf("there is no log %q", logType)
	}
	for _, key := range slices.Sorted(maps.Keys(written)) {
		// A slip would make a test pass that shows nothing.
		switch field, err := detect.FieldOf(logType, key); {
		case objects[key]:
		case err != nil:
			return Entry{}, err
		case field.Attribute != "slack."+key:
			return Entry{}, fmt.Errorf("%s: is derived from other fields: give these", key)
		}
		if kind, ok := strings.CutPrefix(key, "entity."); ok && written["entity.type"] == nil && strings.Contains(kind, ".") {
			set(root, "entity.type", strings.Split(kind, ".")[0])
		}
		set(root, key, written[key])
	}
	entry.JSON, err = json.Marshal(root)
	return entry, err
}

// objects may be given as a whole, or taken away.
var objects = map[string]bool{"actor": true, "actor.user": true, "entity": true, "context": true, "context.app": true, "context.location": true, "details": true}

// set gives a path its value, or takes it away.
func set(root map[string]any, path string, value any) {
	first, rest, deeper := strings.Cut(path, ".")
	// What details hold may have dots of its own.
	if !deeper {
		if value == nil && path != "details" {
			delete(root, path)
		} else {
			root[path] = value
		}
		return
	}
	inner, ok := root[first].(map[string]any)
	if !ok {
		inner = map[string]any{}
		root[first] = inner
	}
	if first == "details" {
		if inner[rest] = value; value == nil {
			delete(inner, rest)
		}
		return
	}
	set(inner, rest, value)
}

func defaults(logType, uid string, date int64) map[string]any {
	const (
		address = "198.51.100.7"
		agent   = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	)
	switch logType {
	case "audit":
		return map[string]any{
			"id": uid, "date_create": date, "action": "anything",
			"actor": map[string]any{"type": "user", "user": map[string]any{"id": "W0DETECT001", "name": "Dana Drake", "email": "dana@example.com", "team": Team}},
			"context": map[string]any{
				"location": map[string]any{"type": "enterprise", "id": "E0DETECT001", "name": "Detectors", "domain": "detectors"},
				"ua":       agent, "ip_address": address, "session_id": "4000000000001",
			},
		}
	case "access":
		return map[string]any{
			"user_id": "W0DETECT001", "username": "dana", "date_first": date, "date_last": date, "count": 1,
			"ip": address, "user_agent": agent, "isp": "Example Telecom", "country": "DE", "region": "BE",
		}
	case "integration":
		return map[string]any{
			"user_id": "W0DETECT001", "user_name": "dana", "date": strconv.FormatInt(date, 10), "change_type": "added",
			"app_id": "A0DETECT001", "app_type": "Tide Table", "scope": "chat:write",
		}
	}
	return nil
}

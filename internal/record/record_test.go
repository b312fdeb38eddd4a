// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

var (
	defaults = Options{Body: BodyRaw, Attributes: AttributesAll}
	observed = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

type converted struct {
	Entry
	rec       plog.LogRecord
	attrs     map[string]any
	malformed bool
}

func audit(opts Options, text string) converted {
	return auditWith(New(opts), text)
}

func auditWith(c *Converter, text string) converted {
	records := plog.NewLogRecordSlice()
	entry := c.ParseAudit(jsonstream.NewElement([]byte(text)))
	malformed := c.AppendAudit(records, observed)
	return converted{entry, records.At(0), records.At(0).Attributes().AsRaw(), malformed}
}

// entry is a sound entry with more members in it.
func entry(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"id":"a-1","date_create":1772600000` + members + `}`
}

// own are the attributes of an entry that says nothing but its id and time.
func own(more map[string]any) map[string]any {
	attrs := map[string]any{
		"log.record.uid": "a-1", "slack.log.type": "audit", "slack.id": "a-1", "slack.date_create": int64(1772600000),
	}
	maps.Copy(attrs, more)
	return attrs
}

func list(values ...any) []any { return values }

func TestAttributes(t *testing.T) {
	for name, tt := range map[string]struct {
		members   string
		attrs     map[string]any
		malformed bool
	}{
		"nothing but identity": {},
		"scalars": {
			members: `"new_attribute":"x","empty":"","number":12.50,"large":9223372036854775808,"huge":1e400,"yes":true,"nothing":null`,
			attrs: map[string]any{
				"slack.new_attribute": "x", "slack.empty": "", "slack.number": "12.50", "slack.large": "9223372036854775808",
				"slack.huge": "1e400", "slack.yes": "true",
			},
		},
		"lists": {
			members: `"one":["a",1,true,null,""],"none":[],"nulls":[null,null],"nested":["a", ["b"]],"objects":[{"k" : 1}]`,
			attrs: map[string]any{
				"slack.one": list("a", "1", "true", ""), "slack.nested": `["a", ["b"]]`, "slack.objects": `[{"k" : 1}]`,
			},
		},
		"an object that is not on the list is its text": {
			members: `"extra":{"k":"\u00e9"},"actor":{"role":{"x":1}}`,
			attrs:   map[string]any{"slack.extra": `{"k":"\u00e9"}`, "slack.actor.role": `{"x":1}`},
		},
		"the objects on the list": {
			members: `"actor":{"type":"user","user":{"team":"E0"}},"context":{"location":{"domain":"brightwater"},"app":{"scopes":["a","b"]},` +
				`"agent_message":{"message_ts":"1.2"},"acting_agent":"A1"},"entity":{"role":{"type":"0"},"type":"role"}`,
			attrs: map[string]any{
				"slack.actor.type": "user", "slack.actor.user.team": "E0", "slack.context.location.domain": "brightwater",
				"slack.context.app.scopes": list("a", "b"), "slack.context.agent_message.message_ts": "1.2",
				"slack.context.acting_agent": "A1", "slack.entity.type": "role", "slack.entity.role.type": "0",
			},
		},
		"an entity of a type that did not exist yet": {
			members: `"entity":{"type":"moon_base","moon_base":{"id":"M1","name":"Alpha","domes":3}}`,
			attrs: map[string]any{
				"slack.entity.type": "moon_base", "slack.entity.moon_base.id": "M1", "slack.entity.moon_base.name": "Alpha",
				"slack.entity.moon_base.domes": "3", "slack.entity.id": "M1", "slack.entity.name": "Alpha",
			},
		},
		"null for an object": {members: `"actor":null,"entity":{"app":null},"context":{"app":null,"location":null},"details":null`},
		"no object: actor":   {members: `"actor":"x"`, malformed: true},
		"no object: user":    {members: `"actor":{"user":["x"]}`, malformed: true},
		"no object: entity":  {members: `"entity":[{"type":"user"}]`, malformed: true},
		"no object: entity's type": {
			members: `"entity":{"type":"user","user":"U012"}`, malformed: true,
			attrs: map[string]any{"slack.entity.type": "user", "slack.related.users": list("U012")},
		},
		"no object: location": {members: `"context":{"location":5}`, malformed: true},
		"no object: app":      {members: `"context":{"app":""}`, malformed: true},
		"no object: details":  {members: `"details":"x"`, malformed: true},
		"typed: bool": {
			members: `"entity":{"channel":{"is_shared":true,"is_org_shared":false,"is_salesforce_channel":null}}`,
			attrs:   map[string]any{"slack.entity.channel.is_shared": true, "slack.entity.channel.is_org_shared": false},
		},
		"typed: app": {
			members: `"entity":{"app":{"is_distributed":true,"is_directory_approved":false,"is_workflow_app":true}}`,
			attrs: map[string]any{
				"slack.entity.app.is_distributed": true, "slack.entity.app.is_directory_approved": false,
				"slack.entity.app.is_workflow_app": true,
			},
		},
		"typed: times": {
			members: `"entity":{"huddle":{"date_start":1772600000,"date_end":0},"workflow_v2":{"date_updated":"1772600001"}}`,
			attrs: map[string]any{
				"slack.entity.huddle.date_start": int64(1772600000), "slack.entity.huddle.date_end": int64(0),
				"slack.entity.workflow_v2.date_updated": int64(1772600001),
			},
		},
		"typed: a bool that is text":   {members: `"entity":{"channel":{"is_shared":"true"}}`, malformed: true},
		"typed: a bool that is a list": {members: `"entity":{"app":{"is_distributed":[]}}`, malformed: true},
		"typed: a time that is text":   {members: `"entity":{"huddle":{"date_end":"soon"}}`, malformed: true},
		"typed: only in its place": {
			members: `"is_shared":true,"entity":{"file":{"is_shared":true}},"details":{"is_shared":true}`,
			attrs: map[string]any{
				"slack.is_shared": "true", "slack.entity.file.is_shared": "true", "slack.details.is_shared": "true",
			},
		},
		"numbers that are names": {
			members: `"entity":{"type":"account_type_role","account_type_role":{"id":1005}},"context":{"session_id":10141447379686}`,
			attrs: map[string]any{
				"slack.entity.type": "account_type_role", "slack.entity.account_type_role.id": "1005", "slack.entity.id": "1005",
				"slack.context.session_id": "10141447379686", "session.id": "10141447379686",
			},
		},
		"details": {
			members: `"details":{"API":"x","is_allowed":true,"action_timestamp":1772600000123456,"files":[],"channels":[""],"reason":["asn",1],` +
				`"new_value":{"type":["a"]},"inviter":{"id":"x"},"gone":null,"type":"t"}`,
			attrs: map[string]any{
				"slack.details.API": "x", "slack.details.is_allowed": "true", "slack.details.action_timestamp": "1772600000123456",
				"slack.details.channels": list(""), "slack.details.reason": list("asn", "1"),
				"slack.details.new_value": `{"type":["a"]}`, "slack.details.inviter": `{"id":"x"}`, "slack.details.type": "t",
			},
		},
		"a dot in a key":             {members: `"a.b":"x","details":{"c.d.":"y"}`, attrs: map[string]any{"slack.a_b": "x", "slack.details.c_d_": "y"}},
		"two keys for one name":      {members: `"a.b":"x","a_b":["y"]`, attrs: map[string]any{"slack.a_b": list("y")}},
		"the same key twice":         {members: `"a":"x","a":"y"`, attrs: map[string]any{"slack.a": "y"}},
		"the same object twice":      {members: `"actor":{"x":"1"},"actor":{"y":"2"}`, attrs: map[string]any{"slack.actor.y": "2"}},
		"no key":                     {members: `"":"x"`, malformed: true},
		"no key in details":          {members: `"details":{"":1,"a":"b"}`, malformed: true, attrs: map[string]any{"slack.details.a": "b"}},
		"names that are ours":        {members: `"log":"x","audit":{"actor_kind":"x"},"access":1,"integration":1,"related":[1],"details.overflow":"x"`},
		"entity's id, name are ours": {members: `"entity":{"id":"x","name":{"x":"y"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := audit(defaults, entry(tt.members))
			assert.Equal(t, own(tt.attrs), got.attrs)
			assert.Equal(t, tt.malformed, got.malformed)
			assert.Equal(t, entry(tt.members), got.rec.Body().Str())
		})
	}
}

func TestDerivedAttributes(t *testing.T) {
	const scopes, users = "slack.audit.scopes_added", "slack.related.users"
	for name, tt := range map[string]struct {
		members string
		want    map[string]any // nil: absent
	}{
		"actor": {
			`"actor":{"user":{"id":"W012","email":"ada@brightwater.example","name":"Ada Brook"}}`,
			map[string]any{
				"user.id": "W012", "user.email": "ada@brightwater.example", "user.full_name": "Ada Brook", "user.name": nil,
				"slack.audit.actor_kind": "user",
			},
		},
		"no actor":     {``, map[string]any{"slack.audit.actor_kind": nil, users: nil, "user.id": nil, "client.address": nil}},
		"empty actor":  {`"actor":{"user":{"id":"","email":"","name":""}}`, map[string]any{"user.id": nil, "user.email": nil, "user.full_name": nil, "slack.audit.actor_kind": nil}},
		"bot":          {`"actor":{"user":{"id":"U012","email":"botuser-T1-A1@slack-bots.com"}}`, map[string]any{"slack.audit.actor_kind": "bot"}},
		"Slack itself": {`"actor":{"user":{"id":"USLACKSECURITY","email":"x@slack-bots.com"}}`, map[string]any{"slack.audit.actor_kind": "system", users: list("USLACKSECURITY")}},

		"address":            {`"context":{"ip_address":"198.51.100.7"}`, map[string]any{"client.address": "198.51.100.7"}},
		"address, IPv6":      {`"context":{"ip_address":"2001:db8::1"}`, map[string]any{"client.address": "2001:db8::1"}},
		"address with zone":  {`"context":{"ip_address":"fe80::1%eth0"}`, map[string]any{"client.address": nil}},
		"address, no such":   {`"context":{"ip_address":"1.23.45.678"}`, map[string]any{"client.address": nil, "slack.context.ip_address": "1.23.45.678"}},
		"address, redacted":  {`"context":{"ip_address":"redacted"}`, map[string]any{"client.address": nil}},
		"address, empty":     {`"context":{"ip_address":""}`, map[string]any{"client.address": nil, "slack.context.ip_address": ""}},
		"agent":              {`"context":{"ua":"okhttp\/4"}`, map[string]any{"user_agent.original": "okhttp/4"}},
		"agent, empty":       {`"context":{"ua":""}`, map[string]any{"user_agent.original": nil}},
		"session, text":      {`"context":{"session_id":"77"}`, map[string]any{"session.id": "77"}},
		"session, null":      {`"context":{"session_id":null}`, map[string]any{"session.id": nil}},
		"session, no scalar": {`"context":{"session_id":[1]}`, map[string]any{"session.id": nil}},

		"entity with title":  {`"entity":{"type":"canvas","canvas":{"id":"F1","name":"","title":"Plan"}}`, map[string]any{"slack.entity.id": "F1", "slack.entity.name": "Plan"}},
		"entity, template":   {`"entity":{"type":"template","template":{"id":"T1","template_name":"Plan"}}`, map[string]any{"slack.entity.name": "Plan"}},
		"entity, message":    {`"entity":{"type":"message","message":{"id":"x","channel":"C1","timestamp":"1700000000.008121"}}`, map[string]any{"slack.entity.id": "C1:1700000000.008121", "slack.entity.name": nil}},
		"message cut":        {`"entity":{"type":"message","message":{"id":"x","channel":"C1"}}`, map[string]any{"slack.entity.id": nil}},
		"entity, other type": {`"entity":{"type":"file","user":{"id":"U012"}}`, map[string]any{"slack.entity.id": nil, "slack.entity.user.id": "U012"}},
		"entity, no type":    {`"entity":{"user":{"id":"U012"}}`, map[string]any{"slack.entity.id": nil}},

		"scopes":             {`"details":{"new_scopes":["a","b","c","b"],"previous_scopes":["a"]}`, map[string]any{scopes: list("b", "c")}},
		"scopes, old name":   {`"details":{"new_scopes":["a","b"],"old_scopes":["a"]}`, map[string]any{scopes: list("b")}},
		"scopes, first ones": {`"details":{"new_scopes":["a"],"old_scopes":[]}`, map[string]any{scopes: list("a")}},
		"scopes, the same":   {`"details":{"new_scopes":["a"],"old_scopes":["b","a"]}`, map[string]any{scopes: nil}},
		"scopes, one side":   {`"details":{"new_scopes":["a"]}`, map[string]any{scopes: nil}},
		"scopes, null":       {`"details":{"new_scopes":["a"],"previous_scopes":null}`, map[string]any{scopes: nil}},
		"scopes, no list":    {`"details":{"new_scopes":"a","previous_scopes":[]}`, map[string]any{scopes: nil}},

		"users, everywhere": {
			`"actor":{"user":{"id":"W0000000A1"}},"entity":{"user":{"id":"odd-id"}},"details":{"x":[{"y":"U0000000B2"}],"z":"W0000000A1"},"U0000000C3":"k"`,
			map[string]any{users: list("W0000000A1", "odd-id", "U0000000B2")},
		},
		"users, in JSON text": {
			`"details":{"succeeded_users":"[\"U012\",\"W345\",\"U012\",7]","failed_users":"{\"a\":{\"b\":\"U678\"}}","x":"[U999"}`,
			map[string]any{users: list("U012", "W345", "U678")},
		},
		"users, what is none": {
			`"details":{"a":["U1","UABCDEF","u0123","U0123x","xU0123","1700000000.008121","C0123","USLACK","USLACKBOT","USLACK-1","U 012"]}`,
			map[string]any{users: list("USLACK", "USLACKBOT")},
		},

		"integration, entity":  {`"entity":{"type":"app","app":{"id":"A1"}},"details":{"app_id":"A2"}`, map[string]any{"slack.integration.id": "A1"}},
		"integration, details": {`"entity":{"type":"user","app":{"id":"A1"}},"details":{"app_id":"A2","service_id":3},"context":{"app":{"id":"A4"}}`, map[string]any{"slack.integration.id": "A2"}},
		"integration, service": {`"details":{"app_id":"","service_id":3},"context":{"app":{"id":"A4"}}`, map[string]any{"slack.integration.id": "3"}},
		"integration, context": {`"context":{"app":{"id":"A4"}}`, map[string]any{"slack.integration.id": "A4"}},
		"integration, none":    {`"entity":{"type":"user","user":{"id":"U012"}}`, map[string]any{"slack.integration.id": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			got := audit(defaults, entry(tt.members))
			assert.False(t, got.malformed)
			for attr, want := range tt.want {
				if want == nil {
					assert.NotContains(t, got.attrs, attr)
				} else {
					assert.Equal(t, want, got.attrs[attr], attr)
				}
			}
		})
	}
}

func TestManyUsers(t *testing.T) {
	var ids []string
	want := make([]any, 500)
	for i := range want {
		want[i] = fmt.Sprintf("U%04d", i)
		ids = append(ids, `"`+want[i].(string)+`"`)
	}
	got := audit(defaults, entry(`"details":{"a":[`+strings.Join(append(ids, ids...), ",")+`]}`))
	assert.Equal(t, want, got.attrs["slack.related.users"])
}

func TestDetailsAreLimited(t *testing.T) {
	var members []string
	for i := range 70 {
		members = append(members, fmt.Sprintf(`"k%02d": "v\/%d"`, i, i))
	}
	text := entry(`"details":{` + strings.Join(members, ",") + `}`)
	got := audit(defaults, text)
	assert.False(t, got.malformed)
	assert.Equal(t, "v/63", got.attrs["slack.details.k63"])
	assert.NotContains(t, got.attrs, "slack.details.k64")
	assert.Equal(t, `{"k64":"v\/64","k65":"v\/65","k66":"v\/66","k67":"v\/67","k68":"v\/68","k69":"v\/69"}`, got.attrs["slack.details_overflow"])

	got = audit(defaults, entry(`"details":{`+strings.Join(members[:64], ",")+`}`))
	assert.NotContains(t, got.attrs, "slack.details_overflow")
	got = audit(Options{Body: BodyRaw, Attributes: AttributesCore}, text)
	assert.NotContains(t, got.attrs, "slack.details_overflow")
}

func TestAttributesOption(t *testing.T) {
	text := entry(`"action":"app_installed","other":"x","actor":{"type":"user","user":{"id":"U012","name":"Ada"}},` +
		`"entity":{"type":"app","app":{"id":"A1","name":"Pipe","is_distributed":"oops"}},"details":{"new_scopes":["a"],"old_scopes":[]}`)

	got := audit(Options{Body: BodyRaw, Attributes: AttributesCore}, text)
	assert.Equal(t, map[string]any{
		"log.record.uid": "a-1", "user.id": "U012", "user.full_name": "Ada",
		"slack.log.type": "audit", "slack.action": "app_installed", "slack.entity.type": "app", "slack.entity.id": "A1",
		"slack.entity.name": "Pipe", "slack.integration.id": "A1", "slack.audit.actor_kind": "user",
		"slack.audit.scopes_added": list("a"), "slack.related.users": list("U012"),
	}, got.attrs)
	assert.True(t, got.malformed, "whatever is shown")

	got = audit(Options{Body: BodyRaw, Attributes: AttributesNone}, text)
	assert.Empty(t, got.attrs)
	assert.True(t, got.malformed)
	assert.Equal(t, "slack.audit.app_installed", got.rec.EventName())
}

func TestBody(t *testing.T) {
	sound, odd := entry(`"x":1`), entry(`"actor":1`)
	for _, tt := range []struct {
		opts Options
		text string
		want any
	}{
		{Options{BodyRaw, AttributesAll}, sound, sound},
		{Options{BodyRaw, AttributesNone}, odd, odd},
		{Options{BodyNone, AttributesAll}, sound, nil},
		{Options{BodyNone, AttributesAll}, odd, odd},
		{Options{BodyNone, AttributesAll}, `{`, `{`},
		{Options{BodyNone, AttributesCore}, sound, sound},
		{Options{BodyMap, AttributesAll}, `[1]`, `[1]`},
		{Options{BodyMap, AttributesAll}, `{"id":`, `{"id":`},
		{Options{BodyMap, AttributesAll}, odd, map[string]any{"id": "a-1", "date_create": int64(1772600000), "actor": int64(1)}},
		{Options{BodyMap, AttributesCore}, `{"i":-1,"max":9223372036854775807,"more":9223372036854775808,"f":1.0,"e":1e2,"huge":1e400,` +
			`"t":true,"f2":false,"n":null,"l":[1,[],{}],"o":{"a":1,"":2,"a":"\u00e9"}}`, map[string]any{
			"i": int64(-1), "max": int64(1<<63 - 1), "more": "9223372036854775808", "f": 1.0, "e": 100.0, "huge": "1e400",
			"t": true, "f2": false, "n": nil, "l": []any{int64(1), []any{}, map[string]any{}},
			"o": map[string]any{"": int64(2), "a": "é"},
		}},
	} {
		got := audit(tt.opts, tt.text)
		assert.Equal(t, tt.want, got.rec.Body().AsRaw(), "%v %s", tt.opts, tt.text)
	}
}

func TestTimestamp(t *testing.T) {
	for date, want := range map[string]int64{
		`1772600000`: 1772600000, `"1772600000"`: 1772600000, `0`: 0, `9214646399`: 9214646399,
	} {
		got := audit(defaults, `{"id":"a","date_create":`+date+`}`)
		assert.False(t, got.malformed, date)
		assert.True(t, got.DateOK)
		assert.Equal(t, want, got.Date)
		assert.Equal(t, pcommon.NewTimestampFromTime(time.Unix(want, 0)), got.rec.Timestamp())
		assert.Equal(t, want, got.attrs["slack.date_create"])
	}
	for _, date := range []string{
		`null`, `""`, `"now"`, `-1`, `"-1"`, `"+1"`, `" 1"`, `1.0`, `1e9`, `9214646400`, `9223372036854775808`, `1e400`, `true`, `[1]`, `{}`,
		`1772600000000`, `"2026-03-04T05:06:07Z"`, `"1_000"`, `"0x1"`,
	} {
		got := audit(defaults, `{"id":"a","date_create":`+date+`}`)
		assert.True(t, got.malformed, date)
		assert.False(t, got.DateOK)
		assert.Zero(t, got.rec.Timestamp(), date)
		assert.NotContains(t, got.attrs, "slack.date_create")
		assert.Equal(t, "a", got.UID)
	}
	got := audit(defaults, `{"id":"a"}`)
	assert.True(t, got.malformed)
	assert.Equal(t, pcommon.NewTimestampFromTime(observed), got.rec.ObservedTimestamp())
}

func TestEventName(t *testing.T) {
	long := strings.Repeat("a", 100)
	for action, want := range map[string]string{
		`"user_login"`: "slack.audit.user_login",
		`"team.unsupportedVersions.start.success"`: "slack.audit.team.unsupportedVersions.start.success",
		`"` + long + `"`:  "slack.audit." + long,
		`"` + long + `a"`: "slack.audit.unknown",
		`""`:              "slack.audit.unknown", `"a b"`: "slack.audit.unknown", `"é"`: "slack.audit.unknown", `"a-b"`: "slack.audit.unknown",
		`5`: "slack.audit.unknown", `null`: "slack.audit.unknown", `["user_login"]`: "slack.audit.unknown",
	} {
		got := audit(defaults, entry(`"action":`+action))
		assert.Equal(t, want, got.rec.EventName(), action)
		assert.Equal(t, plog.SeverityNumberInfo, got.rec.SeverityNumber())
		assert.Empty(t, got.rec.SeverityText())
	}
	assert.Equal(t, "slack.audit.unknown", audit(defaults, entry("")).rec.EventName())

	got := audit(defaults, entry(`"action":"anomaly"`))
	assert.Equal(t, "slack.audit.anomaly", got.rec.EventName())
	assert.Equal(t, plog.SeverityNumberWarn, got.rec.SeverityNumber())
}

func TestIdentity(t *testing.T) {
	c := New(defaults)
	parse := func(text string) Entry { return c.ParseAudit(jsonstream.NewElement([]byte(text))) }
	one := parse(`{"id":"a","date_create":1}`)

	assert.Equal(t, one.Key, parse(`{"date_create" : 1, "actor": {}, "id":"\u0061"}`).Key, "the same id and time")
	assert.Equal(t, one.Key, parse(`{"id":"a","date_create":"1"}`).Key)
	assert.NotEqual(t, one.Key, parse(`{"id":"a","date_create":2}`).Key, "another time")
	assert.NotEqual(t, one.Key, parse(`{"id":"a"}`).Key)
	assert.NotEqual(t, one.Key, parse(`{"id":"b","date_create":1}`).Key, "another id")
	assert.NotEqual(t, parse(`{"id":"a1","date_create":2}`).Key, parse(`{"id":"a","date_create":12}`).Key)
	assert.NotEqual(t, parse("{\"id\":\"\xfe\",\"date_create\":1}").Key, parse("{\"id\":\"\xff\",\"date_create\":1}").Key)

	for _, text := range []string{
		`{"date_create":1}`, `{"id":null,"date_create":1}`, `{"id":"","date_create":1}`, `{"id":5,"date_create":1}`, `{"id":["a"],"date_create":1}`,
	} {
		got := audit(defaults, text)
		assert.True(t, got.malformed)
		assert.Len(t, got.UID, 32)
		assert.Equal(t, got.UID, fmt.Sprintf("%x", got.Key))
		assert.Equal(t, got.UID, got.attrs["log.record.uid"])
		assert.Equal(t, got.Entry, parse(text))
		assert.NotEqual(t, got.Key, parse(text+" ").Key)
	}
	assert.Equal(t, "5891b5b522d5df086d0ff0b110fbd9d2", parse("hello\n").UID, "of SHA-256, the same for ever")
}

func TestWhateverItIs(t *testing.T) {
	deep := `{"id":"a","date_create":1,"x":` + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + `}`
	for _, text := range []string{
		``, `null`, `5`, `"x"`, `[]`, `[{"id":"a"}]`, `{`, `{"id":"a","date_create":1`, `{"id":"a" "date_create":1}`, `{"id":"a","date_create":01}`,
		"{\"id\":\"\n\"}", deep,
	} {
		for _, body := range []Body{BodyRaw, BodyMap, BodyNone} {
			got := audit(Options{Body: body, Attributes: AttributesAll}, text)
			assert.True(t, got.malformed)
			assert.Len(t, got.UID, 32)
			assert.Equal(t, text, got.rec.Body().Str())
			assert.Equal(t, map[string]any{"log.record.uid": got.UID, "slack.log.type": "audit"}, got.attrs)
			assert.Equal(t, "slack.audit.unknown", got.rec.EventName())
			assert.Zero(t, got.rec.Timestamp())
			assert.Equal(t, plog.SeverityNumberInfo, got.rec.SeverityNumber())
		}
	}
}

func TestInvalidUTF8(t *testing.T) {
	text := entry("\"a\xff\":\"b\xe2\x82\",\"c\":{\"d\":\"\xc0\"},\"lone\":\"\\ud83d\"")
	got := audit(defaults, text)
	assert.True(t, got.malformed)
	assert.Equal(t, strings.ToValidUTF8(text, "\uFFFD"), got.rec.Body().Str())
	assert.Equal(t, own(map[string]any{"slack.a\uFFFD": "b\uFFFD", "slack.c": "{\"d\":\"\uFFFD\"}", "slack.lone": "\uFFFD"}), got.attrs)

	assert.False(t, audit(defaults, entry(`"x":"\ud83d"`)).malformed, "Slack's text is valid as it is")
}

// TestOddNamesAreNotRemembered keeps keys that never come again from filling the memory.
func TestOddNamesAreNotRemembered(t *testing.T) {
	c := New(defaults)
	for i := range 3 * maxRemembered {
		got := auditWith(c, entry(fmt.Sprintf(`"action":"a%d","details":{"k%d":"v"}`, i, i)))
		require.Equal(t, "v", got.attrs[fmt.Sprintf("slack.details.k%d", i)])
		require.Equal(t, fmt.Sprintf("slack.audit.a%d", i), got.rec.EventName())
	}
	assert.LessOrEqual(t, c.fields, maxRemembered)
	assert.LessOrEqual(t, len(c.eventNames), maxRemembered)
	remembered := 0
	for f := c.top.first; f != nil; f = f.next {
		remembered++
	}
	assert.LessOrEqual(t, remembered, c.fields)
	auditWith(c, entry(`"`+strings.Repeat("x", maxRememberedName+1)+`":1`))
	assert.NotContains(t, c.top.below, strings.Repeat("x", maxRememberedName+1))
}

// TestConverterKeepsNothing shows that a record neither depends on the entries before nor changes with those after.
func TestConverterKeepsNothing(t *testing.T) {
	texts := []string{
		entry(`"action":"anomaly","details":{"a":["U012","x"],"b":"[\"U345\"]","new_scopes":["a","b"],"old_scopes":[]}`),
		`nonsense`, entry(`"actor":1`), entry(`"details":{"a":["y"],"c":"\u00e9"}`), "\xff", entry(``),
	}
	c := New(defaults)
	var records []converted
	for range 2 {
		for _, text := range texts {
			records = append(records, auditWith(c, text))
		}
	}
	for i, got := range records {
		want := audit(defaults, texts[i%len(texts)])
		assert.Equal(t, want.Entry, got.Entry)
		assert.Equal(t, want.malformed, got.malformed)
		assert.Equal(t, want.rec.Attributes().AsRaw(), got.rec.Attributes().AsRaw())
		assert.Equal(t, want.rec.Body().AsRaw(), got.rec.Body().AsRaw())
	}
}

func TestDuplicateCostsLittle(t *testing.T) {
	c := New(defaults)
	e := jsonstream.NewElement([]byte(entry(`"actor":{"user":{"id":"U012","name":"Ada\/"}},"details":{"a":[1,2]}`)))
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { c.ParseAudit(e) }), 1.0)
}

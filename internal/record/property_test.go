// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// paths are places in an entry that are given each form in turn.
var paths = strings.Fields(`
	id date_create action actor actor.type actor.user actor.user.id actor.user.name actor.user.email actor.user.team actor.other entity
	entity.type entity.id entity.name entity.app entity.app.id entity.app.name entity.app.is_distributed entity.app.scopes entity.app.id.x
	entity.channel.is_shared entity.huddle.date_end entity.message entity.message.channel entity.message.timestamp entity.novel
	entity.novel.key entity.novel.key.deeper entity.type.x entity.user.id context context.location context.location.id context.app
	context.app.id context.agent_message context.agent_message.message_ts context.ua context.ip_address context.session_id
	context.other.key details details.type details.app_id details.new_scopes details.previous_scopes details.old_scopes
	details.new_value details.new_value.type details.succeeded_users details_overflow log log.type audit audit.actor_kind access
	integration integration.id related related.users new_key new_key.deeper user_id username user_name date date_first date_last count ip
	user_agent country region change_type app_id service_id scope rss_feed rss_feed.x rss_feed_title count.x date.x`)

var forms = []string{
	`null`, `""`, `"text"`, `"U0BRIGHT01"`, `"app"`, `"message"`, `"198.51.100.7"`, `"[\"W0BRIGHT02\"]"`, `5`, `1772600000`, `"1772600000"`, `-1.5`,
	`9223372036854775808`, `1e400`, `true`, `false`, `[]`, `[""]`, `["a",null,1]`, `[["a"]]`, `[{"id":"U0BRIGHT01"}]`, `{}`, `{"id":"U0BRIGHT01"}`, `"true"`, `"GB"`,
	`{"type":"app","user":{"id":"x"},"a.b":1,"a_b":[2]}`,
}

// generate writes an entry in which some of the paths have a form each and the others are absent.
func generate(rnd *rand.Rand) string {
	type object map[string]any
	root := object{}
	for _, path := range paths {
		if rnd.IntN(3) == 0 {
			continue
		}
		in, keys := root, strings.Split(path, ".")
		for _, key := range keys[:len(keys)-1] {
			below, ok := in[key].(object)
			if !ok {
				below = object{}
				in[key] = below
			}
			in = below
		}
		in[keys[len(keys)-1]] = forms[rnd.IntN(len(forms))]
	}
	var write func(o object) string
	write = func(o object) string {
		var members []string
		for key, value := range o {
			text, ok := value.(string)
			if !ok {
				text = write(value.(object))
			}
			members = append(members, fmt.Sprintf("%q:%s", key, text))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	return write(root)
}

// TestNamesAreSafe checks on many odd entries what Elasticsearch demands of records: no attribute's name has two
// types, and none is both a value and a parent. Records of all log types may stand in one index.
func TestNamesAreSafe(t *testing.T) {
	types := map[string]string{}
	c := New(defaults)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 6_000 {
		text := generate(rnd)
		records := plog.NewLogRecordSlice()
		appendRecord(c, logTypes[i%len(logTypes)], []byte(text), records)
		for name, value := range records.At(0).Attributes().All() {
			kind := value.Type().String()
			if value.Type() == pcommon.ValueTypeSlice {
				for _, e := range value.Slice().All() {
					require.Equal(t, pcommon.ValueTypeStr, e.Type())
				}
				kind = pcommon.ValueTypeStr.String()
			}
			if before, ok := types[name]; ok && before != kind {
				t.Fatalf("%s is %s and %s, the latter in %s", name, before, kind, text)
			}
			types[name] = kind
		}
		require.Equal(t, text, records.At(0).Body().Str())
	}
	for name := range types {
		for i, r := range name {
			if r == '.' {
				assert.NotContains(t, types, name[:i], "the parent of %s", name)
			}
		}
	}
	for name, kind := range map[string]string{
		"slack.date_create": "Int", "slack.entity.huddle.date_end": "Int", "slack.entity.channel.is_shared": "Bool", "slack.related.users": "Str",
		"slack.entity.id": "Str", "slack.entity.novel.key": "Str", "slack.details.new_value": "Str", "slack.integration.id": "Str",
		"slack.count": "Int", "slack.date": "Int", "slack.date_first": "Int", "slack.date_last": "Int", "slack.rss_feed": "Bool",
		"slack.access.change": "Str", "slack.access.count_delta": "Int", "slack.change_type": "Str", "geo.country.iso_code": "Str",
	} {
		assert.Equal(t, kind, types[name], name)
	}
}

func validUTF8(t *testing.T, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		assert.True(t, utf8.ValidString(v.Str()))
	case pcommon.ValueTypeSlice:
		for _, e := range v.Slice().All() {
			validUTF8(t, e)
		}
	case pcommon.ValueTypeMap:
		for name, e := range v.Map().All() {
			assert.True(t, utf8.ValidString(name))
			validUTF8(t, e)
		}
	}
}

func validRecord(t *testing.T, rec plog.LogRecord) {
	assert.True(t, utf8.ValidString(rec.EventName()))
	validUTF8(t, rec.Body())
	names := map[string]bool{}
	for name, value := range rec.Attributes().All() {
		assert.True(t, utf8.ValidString(name))
		assert.False(t, names[name], "a name twice")
		names[name] = true
		validUTF8(t, value)
	}
}

func FuzzAudit(f *testing.F) {
	for _, text := range fixtures(f, "audit") {
		f.Add(text)
	}
	for seed := range uint64(20) {
		f.Add([]byte(generate(rand.New(rand.NewPCG(seed, 0)))))
	}
	f.Add([]byte("{\"id\":\"\xff\",\"\xff\":[\"\xff\"]}"))
	used := New(defaults)
	f.Fuzz(func(t *testing.T, text []byte) {
		sent := string(text)
		c := New(defaults)
		entry := c.ParseAudit(jsonstream.NewElement(text))
		assert.NotEmpty(t, entry.UID)
		assert.Equal(t, entry, used.ParseAudit(jsonstream.NewElement(text)), "the same after other entries")

		records := plog.NewLogRecordSlice()
		malformed := c.AppendAudit(records, observed)
		assert.Equal(t, malformed, used.AppendAudit(records, observed))
		require.Equal(t, 2, records.Len())
		assert.Equal(t, records.At(0).Attributes().AsRaw(), records.At(1).Attributes().AsRaw())

		rec := records.At(0)
		assert.Equal(t, strings.ToValidUTF8(sent, "\uFFFD"), rec.Body().Str())
		assert.True(t, malformed || utf8.Valid(text))
		uid, _ := rec.Attributes().Get("log.record.uid")
		assert.Equal(t, entry.UID, uid.Str())
		validRecord(t, rec)

		for _, opts := range []Options{{BodyMap, AttributesCore}, {BodyNone, AttributesAll}, {BodyRaw, AttributesNone}} {
			c := New(opts)
			assert.Equal(t, entry, c.ParseAudit(jsonstream.NewElement(text)))
			assert.Equal(t, malformed, c.AppendAudit(records, observed), "whatever the options")
			rec := records.At(records.Len() - 1)
			validUTF8(t, rec.Body())
			assert.Equal(t, opts.Body == BodyNone && !malformed, rec.Body().Type() == pcommon.ValueTypeEmpty)
		}
	})
}

// FuzzRow takes each text for a row of access and of integration logs.
func FuzzRow(f *testing.F) {
	for _, logType := range logTypes {
		for _, text := range fixtures(f, logType) {
			f.Add(text)
		}
	}
	for seed := range uint64(20) {
		f.Add([]byte(generate(rand.New(rand.NewPCG(seed, 0)))))
	}
	f.Add([]byte("{\"user_id\":\"\xff\",\"\xff\":[\"\xff\"]}"))
	used := New(defaults)
	f.Fuzz(func(t *testing.T, text []byte) {
		sent := string(text)
		c := New(defaults)
		row := c.ParseAccess(team, jsonstream.NewElement(text))
		assert.Len(t, row.UID, 32)
		assert.Equal(t, row, used.ParseAccess(team, jsonstream.NewElement(text)), "the same after other rows")
		kind := c.ParseIntegration(team, jsonstream.NewElement(text))
		uid := c.IntegrationUID(1)
		assert.Equal(t, kind, used.ParseIntegration(team, jsonstream.NewElement(text)))
		assert.Equal(t, uid, used.IntegrationUID(1))

		for _, logType := range logTypes[1:] {
			records := plog.NewLogRecordSlice()
			malformed := appendRecord(c, logType, text, records)
			assert.Equal(t, malformed, appendRecord(used, logType, text, records))
			rec := records.At(0)
			assert.Equal(t, rec.Attributes().AsRaw(), records.At(1).Attributes().AsRaw())
			assert.Equal(t, strings.ToValidUTF8(sent, "\uFFFD"), rec.Body().Str())
			assert.True(t, malformed || utf8.Valid(text))
			validRecord(t, rec)

			for _, opts := range []Options{{BodyMap, AttributesCore}, {BodyNone, AttributesAll}, {BodyRaw, AttributesNone}} {
				assert.Equal(t, malformed, appendRecord(New(opts), logType, text, records), "whatever the options")
				rec := records.At(records.Len() - 1)
				validUTF8(t, rec.Body())
				assert.Equal(t, opts.Body == BodyNone && !malformed, rec.Body().Type() == pcommon.ValueTypeEmpty)
			}
		}
	})
}

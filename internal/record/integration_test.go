// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/hex"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

type integrated struct {
	Integration
	uid       string
	rec       plog.LogRecord
	attrs     map[string]any
	malformed bool
}

func integration(opts Options, text string) integrated {
	c := New(opts)
	records := plog.NewLogRecordSlice()
	row := c.ParseIntegration(team, jsonstream.NewElement([]byte(text)))
	uid := c.IntegrationUID(1)
	malformed := c.AppendIntegration(records, observed, uid)
	return integrated{row, uid, records.At(0), records.At(0).Attributes().AsRaw(), malformed}
}

// integrationRow is a sound row with more members in it; those of the same name take the place of its own.
func integrationRow(members string) string {
	return row(members, `"user_id":"W012"`, `"date":"1772600000"`, `"change_type":"added"`)
}

func TestIntegrationAttributes(t *testing.T) {
	for name, tt := range map[string]struct {
		members   string
		attrs     map[string]any // beside those of the row; nil: absent
		malformed bool
	}{
		"a row":            {},
		"name":             {members: `"user_name":"Ada Brook"`, attrs: map[string]any{"slack.user_name": "Ada Brook", "user.name": "Ada Brook"}},
		"app":              {members: `"app_id":"A1","app_type":"Pipe"`, attrs: map[string]any{"slack.app_id": "A1", "slack.app_type": "Pipe", "slack.integration.id": "A1"}},
		"service":          {members: `"service_id":77,"app_id":""`, attrs: map[string]any{"slack.service_id": "77", "slack.app_id": "", "slack.integration.id": "77"}},
		"app and service":  {members: `"service_id":"77","app_id":"A1"`, attrs: map[string]any{"slack.service_id": "77", "slack.app_id": "A1", "slack.integration.id": "A1"}},
		"id is an object":  {members: `"app_id":{"id":"A1"}`, attrs: map[string]any{"slack.app_id": `{"id":"A1"}`}},
		"scopes":           {members: `"scope":"chat:write,im:read"`, attrs: map[string]any{"slack.scope": "chat:write,im:read"}},
		"scopes in a list": {members: `"scope":["chat:write","im:read"]`, attrs: map[string]any{"slack.scope": list("chat:write", "im:read")}},
		"reason":           {members: `"reason":"admin","resolution":"","channel":"C1","admin_app_id":"A9"`, attrs: map[string]any{"slack.reason": "admin", "slack.resolution": "", "slack.channel": "C1", "slack.admin_app_id": "A9"}},
		"feed":             {members: `"rss_feed":true,"rss_feed_title":"Tides","rss_feed_change_type":"added"`, attrs: map[string]any{"slack.rss_feed": true, "slack.rss_feed_title": "Tides", "slack.rss_feed_change_type": "added"}},
		"feed, false":      {members: `"rss_feed":false`, attrs: map[string]any{"slack.rss_feed": false}},
		"feed, in text":    {members: `"rss_feed":"true"`, attrs: map[string]any{"slack.rss_feed": true}},
		"feed, not, text":  {members: `"rss_feed":"false"`, attrs: map[string]any{"slack.rss_feed": false}},
		"feed, empty":      {members: `"rss_feed":""`},
		"feed, null":       {members: `"rss_feed":null`},
		"feed, else":       {members: `"rss_feed":"True"`, malformed: true},
		"feed, number":     {members: `"rss_feed":1`, malformed: true},
		"feed, list":       {members: `"rss_feed":[]`, malformed: true},
		"date as a number": {members: `"date":1772600000`},
		"other users":      {members: `"approver":"U345","resolver":"[\"W678\"]"`, attrs: map[string]any{"slack.approver": "U345", "slack.resolver": `["W678"]`, "slack.related.users": list("W012", "U345", "W678")}},
		"names that are ours": {
			members: `"log":"x","integration":{"id":"x"},"related":1`,
		},
		"a parent in audit logs": {members: `"entity":[]`, malformed: true},
		"no user":                {members: `"user_id":""`, attrs: map[string]any{"slack.user_id": "", "user.id": nil, "slack.related.users": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			got := integration(defaults, integrationRow(tt.members))
			want := map[string]any{
				"log.record.uid": got.uid, "slack.log.type": "integration",
				"slack.user_id": "W012", "slack.date": int64(1772600000), "slack.change_type": "added",
				"user.id": "W012", "slack.related.users": list("W012"),
			}
			maps.Copy(want, tt.attrs)
			maps.DeleteFunc(want, func(_ string, v any) bool { return v == nil })
			assert.Equal(t, want, got.attrs)
			assert.Equal(t, tt.malformed, got.malformed)
			assert.Equal(t, integrationRow(tt.members), got.rec.Body().Str())
			assert.Equal(t, plog.SeverityNumberInfo, got.rec.SeverityNumber())
		})
	}
}

func TestIntegrationCore(t *testing.T) {
	text := integrationRow(`"user_name":"Ada","service_id":77,"scope":"a,b"`)
	got := integration(Options{BodyNone, AttributesCore}, text)
	assert.Equal(t, map[string]any{
		"log.record.uid": got.uid, "slack.log.type": "integration", "slack.change_type": "added", "slack.integration.id": "77",
		"user.id": "W012", "user.name": "Ada", "slack.related.users": list("W012"),
	}, got.attrs)
	assert.Equal(t, text, got.rec.Body().Str())
	assert.Equal(t, pcommon.ValueTypeEmpty, integration(Options{BodyNone, AttributesAll}, text).rec.Body().Type())
	assert.Empty(t, integration(Options{BodyRaw, AttributesNone}, text).attrs)
}

func TestIntegrationEventName(t *testing.T) {
	for word, want := range map[string]string{
		`"added"`: "added", `"expanded"`: "expanded", `""`: "unknown", `"a b"`: "unknown", `5`: "unknown", `null`: "unknown", `["added"]`: "unknown",
	} {
		got := integration(defaults, integrationRow(`"change_type":`+word))
		assert.Equal(t, "slack.integration."+want, got.rec.EventName(), word)
		assert.False(t, got.malformed)
	}

	// One converter's names of different log types don't mix.
	c := New(defaults)
	records := plog.NewLogRecordSlice()
	c.ParseAudit(jsonstream.NewElement([]byte(entry(`"action":"added"`))))
	c.AppendAudit(records, observed)
	c.ParseIntegration(team, jsonstream.NewElement([]byte(integrationRow(""))))
	c.AppendIntegration(records, observed, "x")
	assert.Equal(t, "slack.audit.added", records.At(0).EventName())
	assert.Equal(t, "slack.integration.added", records.At(1).EventName())
}

func TestIntegrationTime(t *testing.T) {
	for _, date := range []string{`1772600000`, `"1772600000"`} {
		got := integration(defaults, integrationRow(`"date":`+date))
		assert.True(t, got.DateOK)
		assert.Equal(t, int64(1772600000), got.Date)
		assert.Equal(t, pcommon.Timestamp(1772600000e9), got.rec.Timestamp())
	}
	for _, date := range []string{`null`, `""`, `"now"`, `-1`, `1.5`, `9214646400`, `"2026-03-04"`, `[1]`} {
		got := integration(defaults, integrationRow(`"date":`+date))
		assert.False(t, got.DateOK)
		assert.True(t, got.malformed, date)
		assert.Zero(t, got.rec.Timestamp())
		assert.NotContains(t, got.attrs, "slack.date")
	}
	assert.True(t, integration(defaults, `{"user_id":"W012"}`).malformed)
}

func TestIntegrationIdentity(t *testing.T) {
	c := New(defaults)
	key := func(text string) [16]byte { return c.ParseIntegration(team, jsonstream.NewElement([]byte(text))).Key }
	one := key(integrationRow(`"service_id":77,"rss_feed":false`))

	for _, same := range []string{
		integrationRow(`"service_id":"77","rss_feed":"false","user_name":"renamed","service_type":"renamed","app_type":"x","new":{"x":1}`),
		integrationRow(`"service_id":77,"rss_feed":false,"channel":"","scope":null,"date":1772600000`),
		`{"rss_feed" : false, "change_type":"\u0061dded", "service_id":77, "date":"1772600000", "user_id":"W012"}`,
	} {
		assert.Equal(t, one, key(same), same)
	}
	seen := map[[16]byte]string{one: "the row itself"}
	for _, name := range integrationKey {
		k := key(integrationRow(`"service_id":77,"rss_feed":false,"` + name + `":"another"`))
		assert.NotContains(t, seen, k, name)
		seen[k] = name
	}
	assert.NotEqual(t, one, c.ParseIntegration("T0ELSEWHERE", jsonstream.NewElement([]byte(integrationRow(`"service_id":77,"rss_feed":false`)))).Key)
	assert.NotEqual(t, key(integrationRow(`"app_id":"A1"`)), key(integrationRow(`"service_id":"A1"`)))
	assert.NotEqual(t, key(`[1]`), key(`[1] `))

	text := []byte(integrationRow(""))
	c.ParseIntegration(team, jsonstream.NewElement(text))
	first, second := c.IntegrationUID(1), c.IntegrationUID(2)
	assert.NotEqual(t, first, second)
	assert.Equal(t, first, c.IntegrationUID(1), "whatever was asked before")
	c.ParseIntegration("T0ELSEWHERE", jsonstream.NewElement(text))
	assert.NotEqual(t, first, c.IntegrationUID(1))
}

// TestIntegrationUIDsStay holds uids that backends have: none may ever change.
func TestIntegrationUIDsStay(t *testing.T) {
	c := New(defaults)
	for text, want := range map[string][3]string{
		integrationRow(""): {"65eafa299087176d5e08f1192b9707fb", "a58aff95f809ab7b60a3eaf0e8a6ad4f", "6ed369871a1a6b18ed47446c4811ea97"},
		`{"date":1772600000,"user_id":"W012","change_type":"é","app_id":"A1","service_id":77,"scope":["a"],"channel":"C1","reason":"r",` +
			`"resolution":"s","admin_app_id":"A9","rss_feed":true,"rss_feed_change_type":"t","rss_feed_title":"u","rss_feed_url":"v"}`: {"5913c2cb8d313c21c750d9f5d46573c4", "7455bc88bba6d17d1f2a09ac82e70907", "bebcdd9cfdc430b4c492d6f3a9ab7952"},
		`{"user_id":"W012"`: {"1005cc477398d4e3b3a45f1b2cc765b5", "8e29ab2c3808c08ed87c40802e4eb13c", "fd1c9eb65ae6c0306c8cd89970681d3e"},
	} {
		key := c.ParseIntegration("T04BWHARBOR", jsonstream.NewElement([]byte(text))).Key
		assert.Equal(t, want, [3]string{hex.EncodeToString(key[:]), c.IntegrationUID(1), c.IntegrationUID(12)}, text)
	}
}

func TestIntegrationWhateverItIs(t *testing.T) {
	for _, text := range []string{``, `null`, `5`, `"x"`, `[]`, `[{"user_id":"W012"}]`, `{`, integrationRow("")[1:], "\xff", strings.Repeat("[", 1_000_000)} {
		for _, body := range []Body{BodyRaw, BodyMap, BodyNone} {
			got := integration(Options{Body: body, Attributes: AttributesAll}, text)
			assert.True(t, got.malformed)
			assert.Len(t, got.uid, 32)
			assert.Equal(t, strings.ToValidUTF8(text, "\uFFFD"), got.rec.Body().Str())
			assert.Equal(t, map[string]any{"log.record.uid": got.uid, "slack.log.type": "integration"}, got.attrs)
			assert.Equal(t, "slack.integration.unknown", got.rec.EventName())
			assert.Zero(t, got.rec.Timestamp())
		}
	}
}

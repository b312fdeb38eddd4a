// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

type accessed struct {
	Access
	rec       plog.LogRecord
	attrs     map[string]any
	malformed bool
}

func access(opts Options, text string, change Change) accessed {
	c := New(opts)
	records := plog.NewLogRecordSlice()
	row := c.ParseAccess(team, jsonstream.NewElement([]byte(text)))
	malformed := c.AppendAccess(records, observed, change)
	return accessed{row, records.At(0), records.At(0).Attributes().AsRaw(), malformed}
}

// accessRow is a sound row with more members in it; those of the same name take the place of its own.
func accessRow(members string) string {
	return row(members, `"user_id":"W012"`, `"date_first":1772500000`, `"date_last":1772600000`, `"count":4`, `"ip":"198.51.100.7"`,
		`"user_agent":"okhttp"`)
}

func row(members string, own ...string) string {
	own = slices.DeleteFunc(own, func(member string) bool {
		key, _, _ := strings.Cut(member, ":")
		return strings.Contains(members, key+":")
	})
	if members != "" {
		own = append(own, members)
	}
	return "{" + strings.Join(own, ",") + "}"
}

func TestAccessAttributes(t *testing.T) {
	for name, tt := range map[string]struct {
		members   string
		attrs     map[string]any // beside those of the row; nil: absent
		malformed bool
	}{
		"a row":        {},
		"name":         {members: `"username":"ada"`, attrs: map[string]any{"slack.username": "ada", "user.name": "ada"}},
		"name, empty":  {members: `"username":""`, attrs: map[string]any{"slack.username": ""}},
		"place":        {members: `"isp":"Fibre","country":"GB","region":"ENG"`, attrs: map[string]any{"slack.isp": "Fibre", "slack.country": "GB", "slack.region": "ENG", "geo.country.iso_code": "GB"}},
		"place, null":  {members: `"isp":null,"country":null,"region":null`},
		"place, empty": {members: `"country":""`, attrs: map[string]any{"slack.country": ""}},
		"country, no code": {
			members: `"country":"Norway"`, attrs: map[string]any{"slack.country": "Norway"},
		},
		"country, no letters":     {members: `"country":"G1"`, attrs: map[string]any{"slack.country": "G1"}},
		"country, one character":  {members: `"country":"é"`, attrs: map[string]any{"slack.country": "é"}},
		"country, not a string":   {members: `"country":["GB"]`, attrs: map[string]any{"slack.country": list("GB")}},
		"address cut short":       {members: `"ip":"198.51.100."`, attrs: map[string]any{"slack.ip": "198.51.100.", "client.address": nil}},
		"address null":            {members: `"ip":null`, attrs: map[string]any{"slack.ip": nil, "client.address": nil}},
		"agent empty":             {members: `"user_agent":""`, attrs: map[string]any{"slack.user_agent": "", "user_agent.original": nil}},
		"no user":                 {members: `"user_id":null`, attrs: map[string]any{"slack.user_id": nil, "user.id": nil, "slack.related.users": nil}},
		"a user's id of its own":  {members: `"user_id":"X-9"`, attrs: map[string]any{"slack.user_id": "X-9", "user.id": "X-9", "slack.related.users": list("X-9")}},
		"other users":             {members: `"by":["U345","U345"]`, attrs: map[string]any{"slack.by": list("U345", "U345"), "slack.related.users": list("W012", "U345")}},
		"new keys":                {members: `"a.b":{"c":1},"l":[1,null]`, attrs: map[string]any{"slack.a_b": `{"c":1}`, "slack.l": list("1")}},
		"names that are ours":     {members: `"log":"x","access":{"change":"x"},"integration":1`},
		"digits in a string":      {members: `"count":"5","date_first":"1772500001"`, attrs: map[string]any{"slack.count": int64(5), "slack.date_first": int64(1772500001)}},
		"count null":              {members: `"count":null`, attrs: map[string]any{"slack.count": nil}},
		"count, not an integer":   {members: `"count":1.5`, attrs: map[string]any{"slack.count": nil}, malformed: true},
		"count, a word":           {members: `"count":"many"`, attrs: map[string]any{"slack.count": nil}, malformed: true},
		"count, empty":            {members: `"count":""`, attrs: map[string]any{"slack.count": nil}, malformed: true},
		"count, negative":         {members: `"count":-1`, attrs: map[string]any{"slack.count": nil}, malformed: true},
		"count, largest":          {members: `"count":9223372036854775807`, attrs: map[string]any{"slack.count": int64(1<<63 - 1)}},
		"count, too large":        {members: `"count":9223372036854775808`, attrs: map[string]any{"slack.count": nil}, malformed: true},
		"first null":              {members: `"date_first":null`, attrs: map[string]any{"slack.date_first": nil}},
		"first, not a time":       {members: `"date_first":"x"`, attrs: map[string]any{"slack.date_first": nil}, malformed: true},
		"a parent in audit logs":  {members: `"context":"x"`, malformed: true},
		"a parent's own keys":     {members: `"context":{"ua":"x"}`, attrs: map[string]any{"slack.context.ua": "x"}},
		"another log type's type": {members: `"rss_feed":"yes"`, malformed: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := access(defaults, accessRow(tt.members), Change{New: true})
			want := map[string]any{
				"log.record.uid": got.UID, "slack.log.type": "access", "slack.access.change": "new",
				"slack.user_id": "W012", "slack.date_first": int64(1772500000), "slack.date_last": int64(1772600000), "slack.count": int64(4),
				"slack.ip": "198.51.100.7", "slack.user_agent": "okhttp",
				"user.id": "W012", "client.address": "198.51.100.7", "user_agent.original": "okhttp", "slack.related.users": list("W012"),
			}
			maps.Copy(want, tt.attrs)
			maps.DeleteFunc(want, func(_ string, v any) bool { return v == nil })
			assert.Equal(t, want, got.attrs)
			assert.Equal(t, tt.malformed, got.malformed)
			assert.Equal(t, accessRow(tt.members), got.rec.Body().Str())
			assert.Equal(t, plog.SeverityNumberInfo, got.rec.SeverityNumber())
		})
	}
}

func TestAccessChange(t *testing.T) {
	for _, tt := range []struct {
		change Change
		word   string
		delta  any
	}{
		{Change{New: true, Delta: 4, DeltaOK: true}, "new", int64(4)},
		{Change{New: true, Delta: 4}, "new", nil},
		{Change{Delta: 3, DeltaOK: true}, "seen_again", int64(3)},
		{Change{DeltaOK: true}, "seen_again", int64(0)},
		{Change{Delta: -2, DeltaOK: true}, "seen_again", int64(-2)},
		{Change{}, "seen_again", nil},
	} {
		for _, opts := range []Options{defaults, {BodyRaw, AttributesCore}} {
			got := access(opts, accessRow(""), tt.change)
			assert.Equal(t, tt.word, got.attrs["slack.access.change"])
			assert.Equal(t, tt.delta, got.attrs["slack.access.count_delta"])
			assert.Equal(t, "slack.access."+tt.word, got.rec.EventName())
		}
		got := access(Options{BodyMap, AttributesNone}, accessRow(""), tt.change)
		assert.Empty(t, got.attrs)
		assert.Equal(t, "slack.access."+tt.word, got.rec.EventName())
	}
}

func TestAccessCore(t *testing.T) {
	text := accessRow(`"username":"ada","country":"GB","isp":"Fibre","change_type":"x"`)
	got := access(Options{BodyNone, AttributesCore}, text, Change{New: true, Delta: 4, DeltaOK: true})
	assert.Equal(t, map[string]any{
		"log.record.uid": got.UID, "slack.log.type": "access", "slack.access.change": "new", "slack.access.count_delta": int64(4),
		"user.id": "W012", "user.name": "ada", "client.address": "198.51.100.7", "user_agent.original": "okhttp",
		"geo.country.iso_code": "GB", "slack.related.users": list("W012"), "slack.change_type": "x",
	}, got.attrs)
	assert.Equal(t, text, got.rec.Body().Str())
	got = access(Options{BodyNone, AttributesAll}, text, Change{New: true})
	assert.Equal(t, pcommon.ValueTypeEmpty, got.rec.Body().Type())
}

func TestAccessTimes(t *testing.T) {
	got := access(defaults, accessRow(""), Change{})
	assert.Equal(t, Access{
		Key: got.Key, UID: got.UID, First: 1772500000, Last: 1772600000, Count: 4, FirstOK: true, LastOK: true, CountOK: true,
	}, got.Access)
	assert.Equal(t, pcommon.Timestamp(1772600000e9), got.rec.Timestamp())
	assert.Equal(t, pcommon.NewTimestampFromTime(observed), got.rec.ObservedTimestamp())

	got = access(defaults, accessRow(`"date_first":"1772500001","date_last":"9214646399","count":"0"`), Change{})
	assert.Equal(t, Access{
		Key: got.Key, UID: got.UID, First: 1772500001, Last: 9214646399, FirstOK: true, LastOK: true, CountOK: true,
	}, got.Access)

	for _, date := range []string{`null`, `""`, `"now"`, `-1`, `1.5`, `1e9`, `9214646400`, `true`, `[1]`, `{}`} {
		got := access(defaults, accessRow(`"date_last":`+date), Change{})
		assert.False(t, got.LastOK)
		assert.True(t, got.malformed, date)
		assert.Zero(t, got.rec.Timestamp())
		assert.NotContains(t, got.attrs, "slack.date_last")
	}
	got = access(defaults, `{"user_id":"W012"}`, Change{})
	assert.True(t, got.malformed)
	assert.False(t, got.FirstOK || got.LastOK || got.CountOK)
}

func TestAccessIdentity(t *testing.T) {
	c := New(defaults)
	parse := func(text string) Access { return c.ParseAccess(team, jsonstream.NewElement([]byte(text))) }
	one := parse(accessRow(""))

	for _, same := range []string{
		accessRow(`"username":"ada","isp":"Fibre","country":null,"new":[1]`),
		`{"count":"4", "user_agent":"\u006fkhttp","ip":"198.51.100.7","date_last":"1772600000","date_first":"1772500000","user_id":"W012"}`,
	} {
		assert.Equal(t, one.Key, parse(same).Key, same)
		assert.Equal(t, one.UID, parse(same).UID, same)
	}
	for _, seenAgain := range []string{`"date_last":1772600001`, `"count":5`, `"count":null`} {
		assert.Equal(t, one.Key, parse(accessRow(seenAgain)).Key, seenAgain)
		assert.NotEqual(t, one.UID, parse(accessRow(seenAgain)).UID, seenAgain)
	}
	for _, another := range []string{
		`"user_id":"W013"`, `"ip":"198.51.100.8"`, `"user_agent":"okhttp/4"`, `"date_first":1772500001`, `"ip":null`,
		`"user_id":"W01","ip":"2198.51.100.7"`, `"ip":"","user_agent":"198.51.100.7okhttp"`,
	} {
		assert.NotEqual(t, one.Key, parse(accessRow(another)).Key, another)
		assert.NotEqual(t, one.UID, parse(accessRow(another)).UID, another)
	}
	none := parse(accessRow(`"ip":null`))
	assert.Equal(t, none, parse(accessRow(`"ip":""`)))
	assert.Equal(t, none, parse(`{"user_id":"W012","date_first":1772500000,"date_last":1772600000,"count":4,"user_agent":"okhttp"}`))

	elsewhere := c.ParseAccess("T0ELSEWHERE", jsonstream.NewElement([]byte(accessRow(""))))
	assert.Equal(t, one.Key, elsewhere.Key, "rows are kept for each workspace")
	assert.NotEqual(t, one.UID, elsewhere.UID)

	// What can't be followed through time is another row with another content.
	undated := parse(accessRow(`"date_last":"x"`))
	assert.Equal(t, undated.Key, parse(accessRow(`"date_last":"x","isp":"Fibre"`)).Key)
	assert.NotEqual(t, undated.Key, parse(accessRow(`"date_last":"y"`)).Key)
	assert.NotEqual(t, undated.Key, parse(accessRow(`"date_last":"x","count":5`)).Key)
	assert.NotEqual(t, parse(accessRow("\"ip\":\"\xff\"")).Key, parse(accessRow("\"ip\":\"\xfe\"")).Key)
	assert.NotEqual(t, parse(`[1]`).Key, parse(`[2]`).Key)
	assert.NotEqual(t, parse(`[1]`).UID, c.ParseAccess("T0ELSEWHERE", jsonstream.NewElement([]byte(`[1]`))).UID)
}

// TestAccessUIDsStay holds uids that backends have: none may ever change.
func TestAccessUIDsStay(t *testing.T) {
	for text, want := range map[string][2]string{
		accessRow(""): {"31e6c38ce82047e7be53e45de24d8b6a", "d6a43c444be55e709ad74955c8c2ef96"},
		`{"user_id":"W012","date_first":null,"date_last":1772600000,"count":1,"ip":["198.51.100.7"],"user_agent":"é"}`: {"9f433b468eb514fb5f92ac2c768e45a9", "dce4de2fb953dc76f3f6966799df6f9d"},
		`{"user_id":"W012"}`: {"79ae00dc4f56a1258a1d7b8e53a8d2c6", "79ae00dc4f56a1258a1d7b8e53a8d2c6"},
		`{"user_id":"W012"`:  {"1005cc477398d4e3b3a45f1b2cc765b5", "1005cc477398d4e3b3a45f1b2cc765b5"},
	} {
		got := New(defaults).ParseAccess("T04BWHARBOR", jsonstream.NewElement([]byte(text)))
		assert.Equal(t, want, [2]string{got.UID, fmt.Sprintf("%x", got.Key)}, text)
	}
}

func TestAccessWhateverItIs(t *testing.T) {
	for _, text := range []string{``, `null`, `5`, `"x"`, `[]`, `[{"user_id":"W012"}]`, `{`, accessRow("")[1:], "\xff", strings.Repeat("[", 1_000_000)} {
		for _, body := range []Body{BodyRaw, BodyMap, BodyNone} {
			got := access(Options{Body: body, Attributes: AttributesAll}, text, Change{New: true})
			assert.True(t, got.malformed)
			assert.Equal(t, Access{Key: got.Key, UID: got.UID}, got.Access)
			assert.Len(t, got.UID, 32)
			assert.Equal(t, strings.ToValidUTF8(text, "\uFFFD"), got.rec.Body().Str())
			assert.Equal(t, map[string]any{"log.record.uid": got.UID, "slack.log.type": "access", "slack.access.change": "new"}, got.attrs)
			assert.Equal(t, "slack.access.new", got.rec.EventName())
			assert.Zero(t, got.rec.Timestamp())
		}
	}
}

// TestKnownRowCostsLittle matters as each sweep reads many rows that did not change.
func TestKnownRowCostsLittle(t *testing.T) {
	c := New(defaults)
	e := jsonstream.NewElement([]byte(accessRow(`"username":"ada","isp":"Fibre \/ Cable"`)))
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { c.ParseAccess(team, e) }), 1.0)
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.ParseIntegration(team, e) }))
}

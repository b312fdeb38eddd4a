// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOrganisation(t *testing.T) {
	const n = 5000
	o, again := NewOrganisation(7), NewOrganisation(7)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	ids, actions, sessions, addresses := map[string]bool{}, map[string]int{}, map[byte]int{}, map[string]int{}
	size := 0
	for i := range int64(n) {
		e := o.Entry(1_700_000_000 + i)
		require.Equal(t, e, again.Entry(1_700_000_000+i))
		size += len(e.JSON)
		var v struct {
			ID      string
			Date    int64 `json:"date_create"`
			Action  string
			Actor   struct{ User struct{ ID, Team string } }
			Entity  map[string]json.RawMessage
			Context map[string]json.RawMessage
		}
		require.NoError(t, json.Unmarshal(e.JSON, &v), string(e.JSON))
		require.Regexp(t, uuid, v.ID)
		require.Equal(t, e.Date, v.Date)
		require.NotEmpty(t, v.Actor.User.ID)
		var kind string
		require.NoError(t, json.Unmarshal(v.Entity["type"], &kind))
		require.Contains(t, v.Entity, kind)
		ids[v.ID] = true
		actions[v.Action]++
		session := byte('-')
		if raw := v.Context["session_id"]; raw != nil {
			session = raw[0]
		}
		sessions[session]++
		addresses[string(v.Context["ip_address"])]++
		require.Equal(t, bytes.Count(e.JSON, []byte("/")), bytes.Count(e.JSON, []byte(`\/`)), "escaped as PHP does")
		require.False(t, bytes.ContainsFunc(e.JSON, func(r rune) bool { return r > 0x7f }))
	}
	assert.Len(t, ids, n)
	assert.Greater(t, len(actions), 20)
	assert.InDelta(t, 900, size/n, 150)
	for _, form := range []byte{'-', 'n', '"', '9'} {
		assert.Positive(t, sessions[form], "session_id %c", form)
	}
	for _, form := range []string{"", `""`, `"redacted"`} {
		assert.Positive(t, addresses[form], "ip_address %s", form)
	}
	assert.NotEqual(t, o.Entry(1), NewOrganisation(8).Entry(1))
}

func TestOdd(t *testing.T) {
	o := NewOrganisation(1)
	valid, objects, dates := 0, 0, map[string]bool{}
	for range 2000 {
		e := o.Odd(1_700_000_000)
		assert.Equal(t, int64(1_700_000_000), e.Date)
		require.NotEmpty(t, e.JSON)
		if json.Valid(e.JSON) {
			valid++
		}
		var v struct {
			Date json.RawMessage `json:"date_create"`
		}
		if json.Unmarshal(e.JSON, &v) == nil {
			objects++
			dates[string(v.Date)] = true
		}
	}
	assert.Equal(t, 2000, valid)
	assert.Greater(t, objects, 1900)
	assert.Greater(t, len(dates), 10)
}

// Tests of other packages count on what a seed makes up, and the other logs must not get in its way.
func TestAuditLogOfASeedStays(t *testing.T) {
	o, sum := NewOrganisation(7), sha256.New()
	for i := range int64(500) {
		sum.Write(o.Entry(1_700_000_000 + i).JSON)
		l := o.Login("T1", 1)
		o.Again(l, 2)
		o.Change("T1", 1)
		o.OddLogin("T1", 1)
		o.OddChange("T1", 1)
		sum.Write(o.Odd(1_700_000_000 + i).JSON)
	}
	assert.Equal(t, "cfee780e6c4f752ea2584ba324b523075d46f31d9d5f71b23824270734d33e80", hex.EncodeToString(sum.Sum(nil)))
}

func TestLogin(t *testing.T) {
	o, again := NewOrganisation(7), NewOrganisation(7)
	seen := map[string]int{}
	for i := range int64(3000) {
		l := o.Login("T1", 1_700_000_000+i)
		require.Equal(t, l, again.Login("T1", 1_700_000_000+i))
		require.Equal(t, l.First, l.Last)
		require.Positive(t, l.Count)
		var v map[string]any
		require.NoError(t, json.Unmarshal(l.Text(), &v))
		require.Len(t, v, 10)
		require.NotEmpty(t, v["user_id"])
		for _, key := range []string{"isp", "country", "region"} {
			if v[key] == nil {
				seen["no "+key]++
			} else {
				require.NotEmpty(t, v[key], "unknown is null")
			}
		}
		seen["ip "+l.IP]++
		seen["ua "+l.UserAgent]++
		if l.Username == "" {
			seen["no username"]++
		}
		if strings.HasPrefix(l.UserAgent, "ApiApp/") {
			seen["app"]++
		}
	}
	for _, want := range []string{"no isp", "no country", "no region", "no username", "app", "ip ", "ip 127.0.0.", "ua ", "ua SlackWeb/0 "} {
		assert.Positive(t, seen[want], want)
	}

	l := o.Login("T1", 100)
	later := o.Again(l, 200)
	assert.Equal(t, int64(200), later.Last)
	assert.Greater(t, later.Count, l.Count)
	later.Last, later.Count = l.Last, l.Count
	assert.Equal(t, l, later, "nothing else has changed")
	assert.Equal(t, int64(100), o.Again(l, 50).Last, "never back")
}

func TestChange(t *testing.T) {
	o, again := NewOrganisation(7), NewOrganisation(7)
	seen := map[string]int{}
	for i := range int64(2000) {
		c := o.Change("T1", 1_700_000_000+i)
		require.Equal(t, c, again.Change("T1", 1_700_000_000+i))
		require.Equal(t, "T1", c.Team)
		var v map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(c.JSON, &v))
		require.Equal(t, strconv.Quote(strconv.FormatInt(c.Date, 10)), string(v["date"]), "the date is text")
		require.NotEqual(t, v["app_id"] == nil, v["service_id"] == nil)
		for key, value := range v {
			seen[key]++
			seen[key+" "+string(value[0])]++
		}
		seen["type "+string(v["change_type"])]++
	}
	for _, want := range []string{
		"user_id", "user_name", "change_type", "app_id", "app_type", "scope", "service_id 4", `service_id "`, "service_type", "channel",
		"reason", "resolution", "admin_app_id", "rss_feed t", "rss_feed f", "rss_feed_change_type", "rss_feed_title", "rss_feed_url",
		`type "added"`, `type "removed"`, `type "enabled"`, `type "disabled"`, `type "updated"`, `type "expanded"`,
	} {
		assert.Positive(t, seen[want], want)
	}
}

func TestOddRows(t *testing.T) {
	o := NewOrganisation(1)
	for name, next := range map[string]func() (at int64, text []byte, date string){
		"login": func() (int64, []byte, string) {
			l := o.OddLogin("T1", 1_700_000_000)
			return l.Last, l.JSON, "date_last"
		},
		"change": func() (int64, []byte, string) {
			c := o.OddChange("T1", 1_700_000_000)
			return c.Date, c.JSON, "date"
		},
	} {
		objects, dates := 0, map[string]bool{}
		for range 600 {
			at, text, date := next()
			require.Equal(t, int64(1_700_000_000), at)
			require.True(t, json.Valid(text), string(text))
			var v map[string]json.RawMessage
			if json.Unmarshal(text, &v) == nil {
				objects++
				dates[string(v[date])] = true
			}
		}
		assert.Greater(t, objects, 500, name)
		assert.Less(t, objects, 600, name)
		assert.Greater(t, len(dates), 10, name)
	}
}

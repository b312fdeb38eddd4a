// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"bytes"
	"encoding/json"
	"regexp"
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

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// roleEntries are one of each log type, with the actor where it stands there.
var roleEntries = map[string]string{
	"audit": `{"id":"a-1","date_create":1772600001,"action":"user_login","actor":{"type":"user","user":{"id":%s}},` +
		`"entity":{"type":"user","user":{"id":"W04BW000009"}}}`,
	"access":      `{"user_id":%s,"username":"ada","date_first":1772600000,"date_last":1772600001,"count":1,"ip":"198.51.100.7","user_agent":"x"}`,
	"integration": `{"user_id":%s,"user_name":"ada","date":"1772600001","change_type":"added","app_id":"A05TIDETABL"}`,
}

func rolesOf(id []byte) []string {
	return map[string][]string{"W04BW000001": {"owner", "admin"}, "U05BWBOT000": {"bot", "app"}, "USLACKBOT": {"bot"}}[string(id)]
}

// Roles are those of the actor, and of nobody else that an entry names.
func TestRoles(t *testing.T) {
	t.Parallel()
	for logType, entry := range roleEntries {
		for id, want := range map[string]any{
			`"W04BW000001"`:    []any{"owner", "admin"},
			`"U05BWBOT000"`:    []any{"bot", "app"},
			`"W04BW000002"`:    nil,
			`"USLACKBOT"`:      []any{"bot"},
			`"USLACKSECURITY"`: nil,
			`""`:               nil,
			`null`:             nil,
			`7`:                nil,
			`{"id":1}`:         nil,
		} {
			text := fmt.Appendf(nil, entry, id)
			var asked []string
			look := func(id []byte) []string {
				asked = append(asked, string(id))
				return rolesOf(id)
			}
			record := func(opts Options, with bool) map[string]any {
				records := plog.NewLogRecordSlice()
				c := New(opts)
				if with {
					c.Roles(look)
				}
				appendRecord(c, logType, text, records)
				attrs := records.At(0).Attributes().AsRaw()
				if with {
					plain := plog.NewLogRecordSlice()
					appendRecord(New(opts), logType, text, plain)
					assert.Equal(t, plain.At(0).Body(), records.At(0).Body())
					got := attrs["user.roles"]
					delete(attrs, "user.roles")
					assert.Equal(t, plain.At(0).Attributes().AsRaw(), attrs, "nothing else changes")
					attrs["user.roles"] = got
				}
				return attrs
			}
			for _, attributes := range []Attributes{AttributesAll, AttributesCore} {
				asked = nil
				assert.Equal(t, want, record(Options{Body: BodyRaw, Attributes: attributes}, true)["user.roles"], "%s %s", logType, id)
				switch id {
				case `"USLACKSECURITY"`, `""`, `null`, `{"id":1}`:
					assert.Empty(t, asked, "nobody to look up")
				default:
					assert.Len(t, asked, 1, "%s %s", logType, id)
				}
			}
			asked = nil
			assert.NotContains(t, record(Options{Body: BodyRaw, Attributes: AttributesAll}, false), "user.roles")
			assert.Nil(t, record(Options{Body: BodyRaw, Attributes: AttributesNone}, true)["user.roles"])
			assert.Empty(t, asked)
		}
	}
}

// Slack's own keys can't take the attribute's name.
func TestRolesAreNotSlacks(t *testing.T) {
	t.Parallel()
	text := []byte(`{"user.roles":["owner"],"user":{"roles":["owner"]},"user_id":"W04BW000002","username":"x","date_first":1,"date_last":1,"count":1,"roles":["owner"]}`)
	records := plog.NewLogRecordSlice()
	c := New(defaults)
	c.Roles(rolesOf)
	appendRecord(c, "access", text, records)
	assert.NotContains(t, records.At(0).Attributes().AsRaw(), "user.roles")
}

// TestGoldenRoles is to records with roles what TestGolden is to others: with all attributes, with core and with none.
func TestGoldenRoles(t *testing.T) {
	t.Parallel()
	for logType, entry := range roleEntries {
		logs := plog.NewLogs()
		records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for _, attributes := range []Attributes{AttributesAll, AttributesCore, AttributesNone} {
			c := New(Options{Body: BodyRaw, Attributes: attributes})
			c.Roles(rolesOf)
			appendRecord(c, logType, fmt.Appendf(nil, entry, `"W04BW000001"`), records)
		}
		file := filepath.Join("testdata", "roles", logType+".yaml")
		if *update {
			require.NoError(t, golden.WriteLogsToFile(file, logs))
		}
		want, err := golden.ReadLogs(file)
		require.NoError(t, err)
		require.NoError(t, plogtest.CompareLogs(want, logs))
	}
}

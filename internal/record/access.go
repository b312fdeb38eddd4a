// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"bytes"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// Access is what has to be known of a row of team.accessLogs before it becomes a record. Slack rewrites a row for as
// long as the same user, address and program are seen.
type Access struct {
	// Key is the same for the same row at any time. A row that can't be followed through time has one for each of its
	// contents.
	Key [16]byte
	// UID is the record's log.record.uid: of the row as it is now.
	UID string
	// First and Last are in seconds since 1970.
	First, Last, Count       int64
	FirstOK, LastOK, CountOK bool
}

// Change is what a row says beyond the last time it was delivered.
type Change struct {
	New bool
	// Delta is by how much the count grew, if DeltaOK.
	Delta   int64
	DeltaOK bool
}

var (
	accessKey = []string{"user_id", "ip", "user_agent", "date_first"}
	accessUID = []string{"user_id", "ip", "user_agent", "date_first", "date_last", "count"}
)

// ParseAccess makes e, a row of this workspace, the current entry, whatever it is. It must stay valid until
// AppendAccess.
func (c *Converter) ParseAccess(team string, e jsonstream.Element) Access {
	c.parse(e)
	var a Access
	a.First, a.FirstOK = parseSeconds(c.root.Get("date_first"))
	a.Last, a.LastOK = parseSeconds(c.root.Get("date_last"))
	a.Count, a.CountOK = parseCount(c.root.Get("count"))

	c.identity = c.identity[:0]
	c.identity.add([]byte(team))
	if c.isObject() {
		c.identity.addMembers(c.root, accessUID)
	} else {
		c.identity.add(e.Text)
	}
	now := hash(c.identity)

	c.identity = c.identity[:0]
	c.identity.addMembers(c.root, accessKey)
	switch {
	case !a.LastOK:
		a.Key = now
	case bytes.Contains(c.identity, []byte("\uFFFD")):
		a.Key = hash(e.Text) // what was mended could have been another row
	default:
		a.Key = hash(c.identity)
	}
	a.UID = uid(now)
	if !a.LastOK {
		c.malformed = true
	}
	c.entry = Entry{Key: a.Key, UID: a.UID, Date: a.Last, DateOK: a.LastOK}
	return a
}

// AppendAccess appends the record of the current entry. As with AppendAudit, malformed is known only then.
func (c *Converter) AppendAccess(to plog.LogRecordSlice, observed time.Time, change Change) (malformed bool) {
	word := "seen_again"
	if change.New {
		word = "new"
	}
	if c.collectAll("access") {
		c.addStr("slack.access.change", word)
		if change.DeltaOK {
			c.addInt("slack.access.count_delta", change.Delta)
		}
		c.addSome("user.id", scalar(c.root.Get("user_id")))
		c.addSome("user.name", scalar(c.root.Get("username")))
		c.addRoles(c.root.Get("user_id"))
		c.addAddress(scalar(c.root.Get("ip")))
		c.addSome("user_agent.original", scalar(c.root.Get("user_agent")))
		c.addCountry(scalar(c.root.Get("country")))
		c.addUsers(c.root.Get("user_id"), jsonstream.Node{})
	}

	rec := to.AppendEmpty()
	rec.SetEventName("slack.access." + word)
	rec.SetSeverityNumber(plog.SeverityNumberInfo)
	c.write(rec, observed)
	return c.malformed
}

// addCountry adds a country if it is named by a code.
func (c *Converter) addCountry(country string) {
	letter := func(b byte) bool { return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' }
	if len(country) == 2 && letter(country[0]) && letter(country[1]) {
		c.addStr("geo.country.iso_code", country)
	}
}

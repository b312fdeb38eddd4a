// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// Integration is what has to be known of a row of team.integrationLogs before it becomes a record.
type Integration struct {
	// Key is the same for rows of the same kind. Slack can list several of a kind; IntegrationUID tells them apart.
	Key [16]byte
	// Date is the row's time in seconds since 1970, if DateOK.
	Date   int64
	DateOK bool
}

// integrationKey leaves out names that can change later, such as the user's, and whatever Slack may add.
var integrationKey = []string{
	"date", "user_id", "change_type", "app_id", "service_id", "scope", "channel", "reason", "resolution", "admin_app_id",
	"rss_feed", "rss_feed_change_type", "rss_feed_title", "rss_feed_url",
}

// ParseIntegration makes e, a row of this workspace, the current entry, whatever it is. It must stay valid until
// AppendIntegration.
func (c *Converter) ParseIntegration(team string, e jsonstream.Element) Integration {
	c.parse(e)
	var i Integration
	i.Date, i.DateOK = parseSeconds(c.root.Get("date"))
	if !i.DateOK {
		c.malformed = true
	}
	c.identity = c.identity[:0]
	c.identity.add([]byte(team))
	if c.isObject() {
		c.identity.addMembers(c.root, integrationKey)
	} else {
		c.identity.add(e.Text)
	}
	i.Key = hash(c.identity)
	c.entry = Entry{Key: i.Key, Date: i.Date, DateOK: i.DateOK}
	return i
}

// IntegrationUID is the log.record.uid of the current entry as the k-th of its kind, counted from 1.
func (c *Converter) IntegrationUID(k int) string {
	numbered := c.identity
	numbered.add(strconv.AppendInt(nil, int64(k), 10))
	return uid(hash(numbered))
}

// AppendIntegration appends the record of the current entry. As with AppendAudit, malformed is known only then.
func (c *Converter) AppendIntegration(to plog.LogRecordSlice, observed time.Time, uid string) (malformed bool) {
	c.entry.UID = uid
	if c.collectAll("integration") {
		c.addSome("user.id", scalar(c.root.Get("user_id")))
		c.addSome("user.name", scalar(c.root.Get("user_name")))
		c.addRoles(c.root.Get("user_id"))
		c.addSome("slack.integration.id", first(c.root.Get("app_id"), c.root.Get("service_id")))
		c.addUsers(c.root.Get("user_id"), jsonstream.Node{})
	}

	rec := to.AppendEmpty()
	rec.SetEventName(c.eventName("slack.integration.", c.root.Get("change_type")))
	rec.SetSeverityNumber(plog.SeverityNumberInfo)
	c.write(rec, observed)
	return c.malformed
}

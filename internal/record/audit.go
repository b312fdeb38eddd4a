// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// ParseAudit makes e the current entry, whatever it is. It must stay valid until AppendAudit.
func (c *Converter) ParseAudit(e jsonstream.Element) Entry {
	c.parse(e)
	id, date := c.root.Get("id"), c.root.Get("date_create")

	var entry Entry
	entry.Date, entry.DateOK = parseSeconds(date)
	entry.UID = string(id.Bytes())
	switch {
	case id.Kind() != jsonstream.String || entry.UID == "":
		entry.Key = hash(e.Text)
		entry.UID = uid(entry.Key)
		c.malformed = true
	case bytes.Contains(id.Bytes(), []byte("\uFFFD")):
		entry.Key = hash(e.Text) // what was mended could have been another id
	default:
		c.scratch = strconv.AppendInt(c.scratch[:0], int64(len(entry.UID)), 10)
		c.scratch = append(c.scratch, ':')
		c.scratch = append(c.scratch, entry.UID...)
		c.scratch = append(c.scratch, date.Bytes()...)
		entry.Key = hash(c.scratch)
	}
	if !entry.DateOK {
		c.malformed = true
	}
	c.entry = entry
	return entry
}

// AppendAudit appends the record of the current entry. Only here is seen whether all values fit their fields, so that
// entries which aren't wanted cost little: malformed tells.
func (c *Converter) AppendAudit(to plog.LogRecordSlice, observed time.Time) (malformed bool) {
	if c.collectAll("audit") {
		c.addActor()
		c.addContext()
		c.addEntity()
		c.addScopes()
		c.addUsers(c.at[atActorID], c.at[atEntity].Get("user").Get("id"))
	}

	rec := to.AppendEmpty()
	action := c.root.Get("action")
	rec.SetEventName(c.eventName("slack.audit.", action))
	rec.SetSeverityNumber(plog.SeverityNumberInfo)
	if isString(action, "anomaly") {
		rec.SetSeverityNumber(plog.SeverityNumberWarn)
	}
	c.write(rec, observed)
	return c.malformed
}

func (c *Converter) addActor() {
	id, email := scalar(c.at[atActorID]), scalar(c.at[atActorEmail])
	c.addSome("user.id", id)
	c.addSome("user.email", email)
	c.addSome("user.full_name", scalar(c.at[atActorName]))
	c.addRoles(c.at[atActorID])
	switch {
	case id == "":
	case strings.HasPrefix(id, "USLACK"): // a placeholder for Slack itself
		c.addStr("slack.audit.actor_kind", "system")
	case strings.HasSuffix(email, "@slack-bots.com"):
		c.addStr("slack.audit.actor_kind", "bot")
	default:
		c.addStr("slack.audit.actor_kind", "user")
	}
}

func (c *Converter) addContext() {
	c.addAddress(scalar(c.at[atContextAddress]))
	c.addSome("user_agent.original", scalar(c.at[atContextAgent]))
	c.addSome("session.id", scalar(c.at[atContextSession]))
}

// addEntity adds what is asked of an entity whatever its type: which one it is.
func (c *Converter) addEntity() {
	kind := c.at[atEntityType]
	of := c.at[atEntity].Get(scalar(kind))
	id := scalar(of.Get("id"))
	if isString(kind, "message") {
		id = ""
		channel, timestamp := scalar(of.Get("channel")), scalar(of.Get("timestamp"))
		if channel != "" && timestamp != "" {
			id = channel + ":" + timestamp
		}
	}
	c.addSome("slack.entity.id", id)
	c.addSome("slack.entity.name", first(of.Get("name"), of.Get("title"), of.Get("template_name")))

	var app jsonstream.Node
	if isString(kind, "app") {
		app = of
	}
	c.addSome("slack.integration.id", first(
		app.Get("id"), c.at[atDetails].Get("app_id"), c.at[atDetails].Get("service_id"), c.at[atContextApp]))
}

// addScopes adds the scopes that an app got beyond those it had.
func (c *Converter) addScopes() {
	newScopes := c.at[atDetails].Get("new_scopes")
	if newScopes.Kind() != jsonstream.Array {
		return
	}
	oldScopes := c.at[atDetails].Get("previous_scopes")
	if oldScopes.Kind() != jsonstream.Array {
		oldScopes = c.at[atDetails].Get("old_scopes")
	}
	if oldScopes.Kind() != jsonstream.Array {
		return
	}
	var had, added set
	for scope := range oldScopes.Elements() {
		had.add(scalar(scope))
	}
	for scope := range newScopes.Elements() {
		if s := scalar(scope); s != "" && !had.has(s) {
			added.add(s)
		}
	}
	c.addList("slack.audit.scopes_added", added.values)
}

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

// ParseAudit makes text the current entry, whatever it is. The text must not change before AppendAudit.
func (c *Converter) ParseAudit(text []byte) Entry {
	c.parse(text)
	id, date := c.root.Get("id"), c.root.Get("date_create")

	var e Entry
	e.Date, e.DateOK = parseSeconds(date)
	e.UID = string(id.Bytes())
	switch {
	case id.Kind() != jsonstream.String || e.UID == "":
		e.Key = hash(text)
		e.UID = uid(e.Key)
		c.malformed = true
	case bytes.Contains(id.Bytes(), []byte("\uFFFD")):
		e.Key = hash(text) // what was mended could have been another id
	default:
		c.scratch = strconv.AppendInt(c.scratch[:0], int64(len(e.UID)), 10)
		c.scratch = append(c.scratch, ':')
		c.scratch = append(c.scratch, e.UID...)
		c.scratch = append(c.scratch, date.Bytes()...)
		e.Key = hash(c.scratch)
	}
	if !e.DateOK {
		c.malformed = true
	}
	c.entry = e
	return e
}

// AppendAudit appends the record of the current entry. Only here is seen whether all values fit their fields, so that
// entries which aren't wanted cost little: malformed tells.
func (c *Converter) AppendAudit(to plog.LogRecordSlice, observed time.Time) (malformed bool) {
	if c.collectAll("audit") {
		c.addActor()
		c.addContext()
		c.addEntity()
		c.addScopes()
		c.addUsers(c.root.Get("actor").Get("user").Get("id"), c.root.Get("entity").Get("user").Get("id"))
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
	user := c.root.Get("actor").Get("user")
	id, email := scalar(user.Get("id")), scalar(user.Get("email"))
	c.addSome("user.id", id)
	c.addSome("user.email", email)
	c.addSome("user.full_name", scalar(user.Get("name")))
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
	context := c.root.Get("context")
	c.addAddress(scalar(context.Get("ip_address")))
	c.addSome("user_agent.original", scalar(context.Get("ua")))
	c.addSome("session.id", scalar(context.Get("session_id")))
}

// addEntity adds what is asked of an entity whatever its type: which one it is.
func (c *Converter) addEntity() {
	kind := c.root.Get("entity").Get("type")
	entity := c.root.Get("entity").Get(scalar(kind))
	id := scalar(entity.Get("id"))
	if isString(kind, "message") {
		id = ""
		channel, timestamp := scalar(entity.Get("channel")), scalar(entity.Get("timestamp"))
		if channel != "" && timestamp != "" {
			id = channel + ":" + timestamp
		}
	}
	c.addSome("slack.entity.id", id)
	c.addSome("slack.entity.name", first(entity.Get("name"), entity.Get("title"), entity.Get("template_name")))

	var app jsonstream.Node
	if isString(kind, "app") {
		app = entity
	}
	details := c.root.Get("details")
	c.addSome("slack.integration.id", first(
		app.Get("id"), details.Get("app_id"), details.Get("service_id"), c.root.Get("context").Get("app").Get("id")))
}

// addScopes adds the scopes that an app got beyond those it had.
func (c *Converter) addScopes() {
	details := c.root.Get("details")
	newScopes, oldScopes := details.Get("new_scopes"), details.Get("previous_scopes")
	if oldScopes.Kind() != jsonstream.Array {
		oldScopes = details.Get("old_scopes")
	}
	if newScopes.Kind() != jsonstream.Array || oldScopes.Kind() != jsonstream.Array {
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

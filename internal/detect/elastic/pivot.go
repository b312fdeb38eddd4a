// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// pivot is a search that an analyst starts from an alert, with a value that the alert has.
type pivot struct {
	label string
	field string // to look in; the same in all logs
	value string // whose value to look for
}

// pivots are those of a log type. With groups only those whose value is among these fields.
func pivots(logType string, groups []string) (all []pivot) {
	actor, where := "actor.user.id", "context.ip_address"
	if logType != "audit" {
		actor, where = "user_id", "ip"
	}
	one := func(label, field, name string) {
		if groups != nil && !slices.Contains(groups, name) {
			return
		}
		if known, err := detect.FieldOf(logType, name); err == nil {
			all = append(all, pivot{label, "attributes." + field, "attributes." + known.Attribute})
		}
	}
	one("The actor's 24 hours before", "user.id", actor)
	one("All that names the actor, 24 hours", "slack.related.users", actor)
	one("The same session, 24 hours", "session.id", "context.session_id")
	one("The same address, 24 hours", "client.address", where)
	one("The same app, 24 hours", "slack.integration.id", "integration.id")
	return all
}

// String is a button in Kibana's investigation guide, which opens the search. Its times are relative to the alert's.
func (p pivot) String() string {
	type provider struct {
		Field     string `json:"field"`
		Excluded  bool   `json:"excluded"`
		QueryType string `json:"queryType"`
		Value     string `json:"value"`
		ValueType string `json:"valueType"`
	}
	text, err := json.Marshal(struct {
		Label     string       `json:"label"`
		Providers [][]provider `json:"providers"`
		From      string       `json:"relativeFrom"`
		To        string       `json:"relativeTo"`
	}{p.label, [][]provider{{{p.field, false, "phrase", "{{" + p.value + "}}", "string"}}}, "now-24h", "now"})
	if err != nil {
		panic(err) // it is strings
	}
	return "!{investigate" + string(text) + "}"
}

// note writes the investigation guide.
func (r *Rule) note(handling *detect.Handling, pivots []pivot) {
	var b strings.Builder
	if len(pivots) > 0 {
		b.WriteString("## What to look at\n\n")
	}
	if r.Type == "eql" {
		b.WriteString("The events of the sequence are the building blocks of this alert; their buttons have the values.\n\n")
	}
	for _, p := range pivots {
		b.WriteString(p.String() + "\n\n")
	}
	b.WriteString("## What to do\n\n")
	if handling.Response != "" {
		b.WriteString("- At once: " + strings.TrimSpace(handling.Response) + "\n")
	}
	for _, name := range handling.Playbooks {
		fmt.Fprintf(&b, "- Playbook: %s/playbooks/%s.md\n", detect.Home, name)
	}
	if handling.Tuning != "" {
		b.WriteString("- Too many? " + strings.TrimSpace(handling.Tuning) + "\n")
	}
	if len(r.Differs) > 0 {
		b.WriteString("\n## How this search differs from the pack's rule\n\n")
		for _, text := range r.Differs {
			b.WriteString("- " + strings.ToUpper(text[:1]) + text[1:] + ".\n")
		}
	}
	r.Note = b.String()
}

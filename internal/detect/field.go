// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect // import "github.com/slacklogs/otelcol-slacklogs/internal/detect"

import (
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// Field is what a name in a rule stands for in the receiver's records.
type Field struct {
	Attribute string
	Kind      Kind
}

// Kind is what values a field can have.
type Kind int

const (
	// Single is one text; a record in which it is something else has no such field for the pack.
	Single Kind = iota
	// Many is one text or a list of them. A list that holds anything else is no such field.
	Many
	// Bool is true or false.
	Bool
	// Number is a time or a count, which can be shown, but not tested.
	Number
)

// derived are the names that are no paths of Slack's.
var derived = map[string]map[string]Field{
	"audit": {
		"details.scopes_added": {"slack.audit.scopes_added", Many},
		"actor_kind":           {"slack.audit.actor_kind", Single},
		"entity.id":            {"slack.entity.id", Single},
		"entity.name":          {"slack.entity.name", Single},
		"integration.id":       {"slack.integration.id", Single},
		"related.users":        {"slack.related.users", Many},
		"user.roles":           {"user.roles", Many},
	},
	"access": {
		"access.change": {"slack.access.change", Single},
		"related.users": {"slack.related.users", Many},
		"user.roles":    {"user.roles", Many},
	},
	"integration": {
		"integration.id": {"slack.integration.id", Single},
		"related.users":  {"slack.related.users", Many},
		"user.roles":     {"user.roles", Many},
	},
}

// fields are those that Slack documents, but for objects, and the derived ones, by log type and name.
var fields = sync.OnceValue(func() map[string]map[string]Field {
	types := map[string]map[string]Field{}
	for _, logType := range record.LogTypes() {
		known := maps.Clone(derived[logType.Name])
		for _, field := range logType.Fields {
			f := Field{Attribute: "slack." + field.Path}
			switch field.JSON {
			case record.FormString, record.FormID:
			case record.FormStrings, record.FormAny:
				f.Kind = Many
			case record.FormBool, record.FormMaybe:
				f.Kind = Bool
			case record.FormSeconds, record.FormDigits, record.FormCount:
				f.Kind = Number
			default:
				continue
			}
			known[field.Path] = f
		}
		types[logType.Name] = known
	}
	return types
})

// testable is FieldOf, without what can only be shown.
func testable(logType, name string) (Field, error) {
	field, err := FieldOf(logType, name)
	if err == nil && field.Kind == Number {
		err = fmt.Errorf("%s: is a number, which can't be tested", name)
	}
	return field, err
}

// FieldOf returns what a rule for a log type (audit, access or integration) means by a name: a path of Slack's or a
// derived field. A name that no record can have is an error: the rule would be silent for ever.
func FieldOf(logType, name string) (Field, error) {
	if field, ok := fields()[logType][name]; ok {
		return field, nil
	}
	// What details hold is documented for few actions only.
	if rest, ok := strings.CutPrefix(name, "details."); ok && logType == "audit" && rest != "" && !strings.ContainsFunc(rest, notInName) {
		return Field{"slack." + name, Many}, nil
	}
	return Field{}, fmt.Errorf("%s: %s records have no such field", name, logType)
}

// notInName tells what no key of Slack's details holds. In queries, where names stand bare, it would mean something else.
func notInName(r rune) bool {
	return (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) && (r < '0' || '9' < r) && r != '_'
}

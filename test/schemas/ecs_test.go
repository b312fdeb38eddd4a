// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package schemas // import "github.com/slacklogs/otelcol-slacklogs/test/schemas"

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
)

// ecsTypes are the values of event.category that the preset uses, and the types that ECS expects with each.
var ecsTypes = map[string][]string{
	"api":                 {"access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info", "start", "user"},
	"authentication":      {"start", "end", "info"},
	"configuration":       {"access", "change", "creation", "deletion", "info"},
	"database":            {"access", "change", "info", "error"},
	"file":                {"access", "change", "creation", "deletion", "info"},
	"iam":                 {"admin", "change", "creation", "deletion", "group", "info", "user"},
	"intrusion_detection": {"allowed", "denied", "info"},
	"malware":             {"info"},
	"package":             {"access", "change", "deletion", "info", "installation", "start"},
	"session":             {"start", "end", "info"},
}

// Each action has a category, the types that ECS expects with it, and an outcome. What they are, a reader has found right.
func TestECSOfEachAction(t *testing.T) {
	got := table(t, "action\tevent.kind\tevent.category\tevent.type\tevent.outcome", func(rec plog.LogRecord) string {
		category, types := get(t, rec, "event.category").Slice(), get(t, rec, "event.type").Slice()
		outcome, kind := get(t, rec, "event.outcome").Str(), get(t, rec, "event.kind").Str()
		assert.Equal(t, 1, category.Len(), rec.EventName())
		assert.NotZero(t, types.Len(), rec.EventName())
		for _, typ := range types.All() {
			assert.Contains(t, ecsTypes[category.At(0).Str()], typ.Str(), "%s: %s", rec.EventName(), category.At(0).Str())
		}
		assert.Contains(t, []string{"success", "failure", "unknown"}, outcome, rec.EventName())
		assert.Contains(t, []string{"event", "alert"}, kind, rec.EventName())
		return kind + "\t" + strs(get(t, rec, "event.category")) + "\t" + strs(get(t, rec, "event.type")) + "\t" + outcome
	}, ecs)
	compare(t, "ecs.tsv", got)
}

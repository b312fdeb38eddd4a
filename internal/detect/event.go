// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect // import "github.com/slacklogs/otelcol-slacklogs/internal/detect"

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Event is a record as rules see it: by Slack's names. It stays valid as long as the record does.
type Event struct {
	Time time.Time
	// UID is the same when the same entry comes again.
	UID        string
	LogType    string // audit, access or integration
	attributes pcommon.Map
}

// FromRecord returns the event of a record of the receiver with `attributes: all`, and whether it is one: health records
// and strangers' are not, nor what has no time.
func FromRecord(lr plog.LogRecord) (Event, bool) {
	event := Event{lr.Timestamp().AsTime(), textOf(lr, "log.record.uid"), textOf(lr, "slack.log.type"), lr.Attributes()}
	_, known := fields()[event.LogType]
	return event, known && lr.Timestamp() != 0
}

func textOf(lr plog.LogRecord, name string) string {
	if value, ok := lr.Attributes().Get(name); ok && value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return ""
}

// Values are those of a field, by its name in rules.
func (e Event) Values(name string) []string {
	field, err := FieldOf(e.LogType, name)
	if err != nil {
		return nil
	}
	value, ok := e.attributes.Get(field.Attribute)
	if !ok {
		return nil
	}
	switch {
	case value.Type() == pcommon.ValueTypeStr && field.Kind != Bool:
		return []string{value.Str()}
	case value.Type() == pcommon.ValueTypeBool && field.Kind == Bool:
		return []string{strconv.FormatBool(value.Bool())}
	case value.Type() == pcommon.ValueTypeSlice && field.Kind == Many:
		values := make([]string, 0, value.Slice().Len())
		for _, item := range value.Slice().All() {
			if item.Type() != pcommon.ValueTypeStr {
				return nil
			}
			values = append(values, item.Str())
		}
		return values
	}
	return nil
}

// one is the value of a field that has one, which is what events are grouped by.
func (e Event) one(name string) (string, bool) {
	values := e.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

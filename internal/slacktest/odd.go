// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"slices"
	"strings"
)

// absent takes a field out.
const absent = raw("")

// oddValues are what a field should never hold.
var oddValues = []any{
	absent, nil, true, 0, -1, raw("9223372036854775808"), raw("1.5e400"), "", "text", "1700000000",
	raw("\"\xff\xfe\""), raw(`"\ud800"`), raw(`"\u0000"`),
	[]any{},
	[]any{nil},
	[]any{"a", 1, nil, true},
	[]any{[]any{object{{"a", 1}}}},
	object{},
	object{{"", 1}, {"a.b", object{{"c", nil}}}, {"type", 7}},
	raw(`{"twice":1,"twice":"2"}`),
	raw(strings.Repeat(`[{"a":`, 100) + "0" + strings.Repeat("}]", 100)),
	manyKeys(),
}

func manyKeys() object {
	var o object
	for i := range 100 {
		o = append(o, member{"key_" + strings.Repeat("x", i), i})
	}
	return o
}

// Odd makes an entry of which one part is not what it should be, the entry as a whole included. Called often enough
// it goes through every field and every kind of wrong value. The text is valid JSON but for wrong UTF-8.
func (o *Organisation) Odd(date int64) Entry {
	n := o.odd
	o.odd++
	return Entry{Date: date, JSON: appendJSON(nil, oddly(o.event(date), n))}
}

// oddly is the n-th odd version of an object.
func oddly(v object, n int) any {
	fields := paths(v, nil)
	value := oddValues[n%len(oddValues)]
	path := fields[n/len(oddValues)%len(fields)]
	var odd any = replace(v, path, value)
	if len(path) == 0 {
		odd = value
		if value == absent {
			odd = object{}
		}
	}
	return odd
}

// paths lists the ways to all fields, the empty one to the whole first.
func paths(v any, at []string) [][]string {
	all := [][]string{slices.Clone(at)}
	if o, ok := v.(object); ok {
		for _, m := range o {
			all = append(all, paths(m.value, append(at, m.key))...)
		}
	}
	return all
}

// replace puts a value at a path.
func replace(o object, path []string, value any) object {
	var out object
	for _, m := range o {
		switch {
		case len(path) == 0 || m.key != path[0]:
		case len(path) > 1:
			m.value = replace(m.value.(object), path[1:], value)
		case value == absent:
			continue
		default:
			m.value = value
		}
		out = append(out, m)
	}
	return out
}

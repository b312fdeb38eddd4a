// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// BenchmarkPage turns a page of entries into records with all attributes: in our way, and as it is usually done, with
// encoding/json and maps. The latter does less: no derived attributes, no identity, no checks.
func BenchmarkPage(b *testing.B) {
	const entries = 1000
	texts := fixtures(b, "audit")
	delete(texts, "cut_off")
	delete(texts, "more_details_than_fit") // not like any other
	sound := slices.Collect(maps.Values(texts))
	var page bytes.Buffer
	page.WriteString(`{"entries":[`)
	for i := range entries {
		if i > 0 {
			page.WriteByte(',')
		}
		page.Write(sound[i%len(sound)])
	}
	page.WriteString(`]}`)

	run := func(name string, convert func(b *testing.B, records plog.LogRecordSlice)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(page.Len()))
			for b.Loop() {
				records := plog.NewLogs().ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
				convert(b, records)
				require.Equal(b, entries, records.Len())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
		})
	}
	ours := func(opts Options, appending bool) func(b *testing.B, records plog.LogRecordSlice) {
		c := New(opts)
		return func(b *testing.B, records plog.LogRecordSlice) {
			_, err := jsonstream.List(bytes.NewReader(page.Bytes()), "entries", 1<<30, func(e jsonstream.Element) error {
				c.ParseAudit(e)
				if appending {
					c.AppendAudit(records, observed)
				} else {
					records.AppendEmpty()
				}
				return nil
			})
			require.NoError(b, err)
		}
	}
	run("raw", ours(defaults, true))
	run("map", ours(Options{Body: BodyMap, Attributes: AttributesAll}, true))
	run("core", ours(Options{Body: BodyRaw, Attributes: AttributesCore}, true))
	run("duplicates", ours(defaults, false))
	run("naive raw", func(b *testing.B, records plog.LogRecordSlice) {
		var answer struct{ Entries []json.RawMessage }
		require.NoError(b, json.Unmarshal(page.Bytes(), &answer))
		for _, text := range answer.Entries {
			var entry map[string]any
			require.NoError(b, json.Unmarshal(text, &entry))
			rec := records.AppendEmpty()
			rec.Body().SetStr(string(text))
			flatten(rec.Attributes(), "slack", entry)
		}
	})
	run("naive map", func(b *testing.B, records plog.LogRecordSlice) {
		var answer struct{ Entries []map[string]any }
		require.NoError(b, json.Unmarshal(page.Bytes(), &answer))
		for _, entry := range answer.Entries {
			rec := records.AppendEmpty()
			require.NoError(b, rec.Body().SetEmptyMap().FromRaw(entry))
			flatten(rec.Attributes(), "slack", entry)
		}
	})

	// What pdata itself takes for the same records.
	copied := plog.NewLogRecordSlice()
	ours(defaults, true)(b, copied)
	run("copy of the records", func(_ *testing.B, records plog.LogRecordSlice) { copied.CopyTo(records) })
}

func flatten(attrs pcommon.Map, prefix string, object map[string]any) {
	for key, value := range object {
		name := prefix + "." + key
		switch value := value.(type) {
		case map[string]any:
			flatten(attrs, name, value)
		case string:
			attrs.PutStr(name, value)
		case float64:
			attrs.PutDouble(name, value)
		case bool:
			attrs.PutBool(name, value)
		case []any:
			_ = attrs.PutEmptySlice(name).FromRaw(value)
		}
	}
}

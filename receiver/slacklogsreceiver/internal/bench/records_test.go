// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// usual are the receiver's default body and attributes.
var usual = record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll}

// ours turns a page into records as the receiver does.
func ours(c *record.Converter, page []byte, consume func(plog.Logs)) error {
	var logs plog.Logs
	var records plog.LogRecordSlice
	n := 0
	_, err := jsonstream.List(bytes.NewReader(page), "entries", 1<<30, func(e jsonstream.Element) error {
		if n == 0 {
			logs, records = newLogs()
		}
		c.ParseAudit(e)
		c.AppendAudit(records, observed)
		if n++; n == batchSize {
			consume(logs)
			n = 0
		}
		return nil
	})
	if n > 0 {
		consume(logs)
	}
	return err
}

// split are the texts of a page's entries.
func split(tb testing.TB, page []byte) (texts [][]byte) {
	tb.Helper()
	_, err := jsonstream.List(bytes.NewReader(page), "entries", 1<<30, func(e jsonstream.Element) error {
		texts = append(texts, bytes.Clone(e.Text))
		return nil
	})
	require.NoError(tb, err)
	return texts
}

// requireSame checks that all three sides make the same records.
func requireSame(tb testing.TB, page []byte) {
	tb.Helper()
	collect := func(convert func(consume func(plog.Logs))) plog.Logs {
		all := plog.NewLogs()
		convert(func(logs plog.Logs) { logs.ResourceLogs().MoveAndAppendTo(all.ResourceLogs()) })
		normalise(tb, all)
		return all
	}
	streamed := collect(func(consume func(plog.Logs)) { require.NoError(tb, ours(record.New(usual), page, consume)) })
	byMap := collect(func(consume func(plog.Logs)) { require.NoError(tb, naive(page, consume)) })
	texts := split(tb, page)
	lowest := collect(func(consume func(plog.Logs)) { newFloor().page(newTrees(texts), len(texts), consume) })

	require.Equal(tb, len(texts), streamed.LogRecordCount())
	require.NoError(tb, compare(streamed, byMap), "the naive way")
	require.NoError(tb, compare(streamed, lowest), "the floor")
}

// compare compares batch by batch, as comparing takes the square of the size.
func compare(expected, actual plog.Logs) error {
	if expected.ResourceLogs().Len() != actual.ResourceLogs().Len() {
		return plogtest.CompareLogs(expected, actual)
	}
	for i := range expected.ResourceLogs().Len() {
		want, got := expected.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords(), actual.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords()
		if want.Len() != got.Len() {
			return plogtest.CompareResourceLogs(expected.ResourceLogs().At(i), actual.ResourceLogs().At(i))
		}
		for j := range want.Len() {
			if err := plogtest.CompareLogRecord(want.At(j), got.At(j)); err != nil {
				return err
			}
		}
	}
	return nil
}

// normalise takes out what a map loses: the order of users and of the members
// of objects that are kept as text.
func normalise(tb testing.TB, logs plog.Logs) {
	tb.Helper()
	for _, rl := range logs.ResourceLogs().All() {
		for _, rec := range rl.ScopeLogs().At(0).LogRecords().All() {
			for name, value := range rec.Attributes().All() {
				switch {
				case name == "slack.related.users":
					users := value.Slice().AsRaw()
					slices.SortFunc(users, func(a, b any) int { return cmp.Compare(a.(string), b.(string)) })
					require.NoError(tb, value.Slice().FromRaw(users))
				case value.Type() == pcommon.ValueTypeStr && len(value.Str()) > 0 && (value.Str()[0] == '{' || value.Str()[0] == '['):
					var parsed any
					if json.Unmarshal([]byte(value.Str()), &parsed) == nil {
						text, err := json.Marshal(parsed)
						require.NoError(tb, err)
						value.SetStr(string(text))
					}
				}
			}
		}
	}
}

// TestSameRecords says that naive way and floor do the same as the receiver.
func TestSameRecords(t *testing.T) {
	requireSame(t, page(newGenerator().entries(600, noon.Unix(), noon.Unix()+500)))
}

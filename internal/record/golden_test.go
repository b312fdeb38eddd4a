// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

var update = flag.Bool("update", false, "write the golden files anew")

// logTypes are the three kinds of entries.
var logTypes = []string{"audit", "access", "integration"}

// fixtures are the made-up entries of a log type, by name.
func fixtures(tb testing.TB, logType string) map[string][]byte {
	files, err := filepath.Glob(filepath.Join("testdata", logType, "*.json"))
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	texts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		texts[strings.TrimSuffix(filepath.Base(file), ".json")] = bytes.TrimSpace(text)
	}
	return texts
}

// team is the workspace that was asked for.
const team = "T04BWHARBOR"

// appendRecord makes a record of an entry of this log type; of an access row that is seen again.
func appendRecord(c *Converter, logType string, text []byte, to plog.LogRecordSlice) (malformed bool) {
	switch logType {
	case "access":
		c.ParseAccess(team, jsonstream.NewElement(text))
		return c.AppendAccess(to, observed, Change{Delta: 3, DeltaOK: true})
	case "integration":
		c.ParseIntegration(team, jsonstream.NewElement(text))
		return c.AppendIntegration(to, observed, c.IntegrationUID(1))
	}
	c.ParseAudit(jsonstream.NewElement(text))
	return c.AppendAudit(to, observed)
}

// TestGolden compares each entry's records, with the text as the body and with a map, with what a reader has seen and
// found right.
func TestGolden(t *testing.T) {
	for _, logType := range logTypes {
		for name, text := range fixtures(t, logType) {
			t.Run(logType+"/"+name, func(t *testing.T) {
				logs := plog.NewLogs()
				records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
				for _, opts := range []Options{defaults, {Body: BodyMap, Attributes: AttributesCore}} {
					appendRecord(New(opts), logType, text, records)
				}
				file := filepath.Join("testdata", logType, name+".yaml")
				if *update {
					require.NoError(t, golden.WriteLogsToFile(file, logs))
				}
				want, err := golden.ReadLogs(file)
				require.NoError(t, err)
				require.NoError(t, plogtest.CompareLogs(want, logs))
			})
		}
	}
}

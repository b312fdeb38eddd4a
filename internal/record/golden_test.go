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
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixtures are the made-up entries, by name.
func fixtures(tb testing.TB) map[string][]byte {
	files, err := filepath.Glob(filepath.Join("testdata", "audit", "*.json"))
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

// TestGolden compares each entry's records, with the text as the body and with a map, with what a reader has seen and
// found right.
func TestGolden(t *testing.T) {
	for name, text := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			logs := plog.NewLogs()
			records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			for _, opts := range []Options{defaults, {Body: BodyMap, Attributes: AttributesCore}} {
				c := New(opts)
				c.ParseAudit(text)
				c.AppendAudit(records, observed)
			}
			file := filepath.Join("testdata", "audit", name+".yaml")
			if *update {
				require.NoError(t, golden.WriteLogsToFile(file, logs))
			}
			want, err := golden.ReadLogs(file)
			require.NoError(t, err)
			require.NoError(t, plogtest.CompareLogs(want, logs))
		})
	}
}

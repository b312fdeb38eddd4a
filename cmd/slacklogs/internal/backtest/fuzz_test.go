// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// Whatever a file holds, it is read to its end.
func FuzzFiles(f *testing.F) {
	// Small ones: the fuzzer takes its time to make large ones smaller.
	for _, entry := range someEntries()[5:8] {
		f.Add([]byte(entry))
	}
	for _, attributes := range []record.Attributes{record.AttributesAll, record.AttributesCore, record.AttributesNone} {
		for _, request := range requests(f, someEntries()[6:7], record.Options{Body: record.BodyRaw, Attributes: attributes}) {
			f.Add(request)
		}
	}
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x00\x00\x00\x08\x28\xb5\x2f\xfd\x00\x00\x00\x00"))
	p, err := detect.Load(detections.Rules())
	require.NoError(f, err)
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text []byte) {
		tuned, err := p.Tune(lists, time.Time{})
		require.NoError(t, err)
		in := input{files: []string{"-"}, stdin: bytes.NewReader(text)}
		j, err := judgeAll(t.Context(), &in, tuned, "W0ADA")
		require.NoError(t, err)
		j.table(io.Discard)
		require.NoError(t, j.printFindings(io.Discard))
		require.NoError(t, j.json(io.Discard, true))
	})
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

// A record whose batch is refused is looked up anew, and counts once: as it
// was accepted.
func TestRolesOfARefusedBatch(t *testing.T) {
	t.Parallel()
	tel := componenttest.NewTelemetry()
	defer func() { assert.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) }()
	w := newWorld(t, slacktest.Options{})
	for n, actor := range []string{"W0ADA", "W0BRAM", "W0NOBODY", "USLACKUSER"} {
		w.slack.Add(slacktest.Entry{Date: noon.Unix() - 60, JSON: fmt.Appendf(nil,
			`{"id":"e%d","date_create":%d,"action":"user_login","actor":{"type":"user","user":{"id":%q}}}`, n, noon.Unix()-60, actor)})
	}
	refusals := 0
	w.onConsume = func([]string) error {
		if refusals++; refusals < 3 {
			return errors.New("not now")
		}
		return nil
	}
	w.onSettings = func(set *Settings) {
		var err error
		set.Telemetry, err = metadata.NewTelemetryBuilder(tel.NewTelemetrySettings())
		require.NoError(t, err)
		set.Roles = func(id []byte) []string {
			if string(id) == "W0ADA" || string(id) == "W0BRAM" && refusals == 2 {
				return []string{"admin"}
			}
			return nil
		}
	}
	got := map[string]any{}
	w.onRecords = func(logs plog.Logs) {
		for _, lr := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			attrs := lr.Attributes().AsRaw()
			got[attrs["user.id"].(string)] = attrs["user.roles"]
		}
	}
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	assert.Len(t, w.delivered, 4)
	assert.Equal(t, map[string]any{"W0ADA": []any{"admin"}, "W0BRAM": []any{"admin"}, "W0NOBODY": nil, "USLACKUSER": nil}, got)

	m, err := tel.GetMetric("otelcol_slacklogs_actor_roles")
	require.NoError(t, err)
	counted := map[string]int64{}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		outcome, _ := p.Attributes.Value("outcome")
		counted[outcome.AsString()] = p.Value
	}
	assert.Equal(t, map[string]int64{"known": 2, "unknown": 1}, counted)
}

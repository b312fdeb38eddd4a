// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadatatest"
)

var everyKind = []string{"audit", "access", "integration"}

// healthSaid is a health record as a backend sees it.
type healthSaid struct {
	Event     string  `json:"event"`
	Receiver  string  `json:"receiver"`
	LogType   string  `json:"log_type"`
	Problem   string  `json:"problem"`
	From      string  `json:"recovered_from"`
	Since     string  `json:"since"`
	Delivered int     `json:"entries_delivered"`
	Total     int     `json:"entries_delivered_total"`
	Stale     bool    `json:"stale"`
	Staleness float64 `json:"poll_staleness"`
	Gaps      []any   `json:"gaps"`
}

// healthSink takes all records, keeps those of health, and tells of each batch.
type healthSink struct {
	news chan struct{}

	mu      sync.Mutex
	entries int
	said    []healthSaid
	wrong   []string
}

func newHealthSink() *healthSink { return &healthSink{news: make(chan struct{}, 1)} }

func (*healthSink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *healthSink) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		for _, lr := range rl.ScopeLogs().At(0).LogRecords().All() {
			s.take(lr)
		}
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
	return nil
}

func (s *healthSink) take(lr plog.LogRecord) {
	attrs := lr.Attributes().AsRaw()
	if attrs["slack.log.type"] != "collection" {
		s.entries++
		return
	}
	var said healthSaid
	switch err := json.Unmarshal([]byte(lr.Body().Str()), &said); {
	case err != nil,
		lr.EventName() != "slack.collection."+said.Event,
		attrs["slack.log.event"] != said.Event,
		attrs["slack.log.about"] != said.LogType,
		said.Receiver != "slacklogs/emea":
		s.wrong = append(s.wrong, lr.EventName()+" "+lr.Body().Str())
	}
	s.said = append(s.said, said)
}

// await waits until there are n of the event for each log type, and returns the
// last of each.
func (s *healthSink) await(t *testing.T, event string, n int, good func(healthSaid) bool) map[string]healthSaid {
	t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		found, last := map[string]int{}, map[string]healthSaid{}
		s.mu.Lock()
		for _, said := range s.said {
			if said.Event == event && (good == nil || good(said)) {
				found[said.LogType]++
				last[said.LogType] = said
			}
		}
		s.mu.Unlock()
		enough := true
		for _, kind := range everyKind {
			enough = enough && found[kind] >= n
		}
		if enough {
			return last
		}
		select {
		case <-s.news:
		case <-over.C:
			require.FailNow(t, "it does not come", "%d %s of each log type, but %v", n, event, found)
		}
	}
}

// newHealthy returns a receiver of all log types on the real clock, with a
// heartbeat each few milliseconds.
func newHealthy(t *testing.T, set receiver.Settings, next consumer.Logs) (*logsReceiver, fakeSlack, *observer.ObservedLogs) {
	t.Helper()
	fake := newFakeSlack(t, slacktest.Options{})
	identity, now := slacktest.NewOrganisation(1).Identity(), time.Now().Unix()
	for n := range 25 {
		fake.Add(entry(string(rune('a'+n)), time.Unix(now-int64(n)*60, 0)))
		for _, team := range identity.Teams {
			fake.SetLogin(slacktest.Login{Team: team.ID, UserID: "W04BW000001", IP: "198.51.100.7", First: now - int64(n)*60, Last: now - int64(n), Count: 1})
			fake.AddChange(slacktest.NewOrganisation(uint64(n)).Change(team.ID, now-int64(n)*60))
		}
	}
	cfg := fake.config(t)
	cfg.AuditLogs.Get().PollInterval = 20 * time.Millisecond
	access, integration := cfg.AccessLogs.GetOrInsertDefault(), cfg.IntegrationLogs.GetOrInsertDefault()
	access.PollInterval, access.RequestsPerMinute, access.TeamIDs = 20*time.Millisecond, 1e9, []string{"*"}
	integration.PollInterval, integration.RequestsPerMinute, integration.TeamIDs = 20*time.Millisecond, 1e9, []string{"*"}
	cfg.HealthRecords.GetOrInsertDefault().HeartbeatInterval = 5 * time.Millisecond
	set.ID = component.NewIDWithName(metadata.Type, "emea")
	core, logs := observer.New(zapcore.DebugLevel)
	set.Logger = zap.New(core)
	return newLogsReceiver(set, cfg, next, clock.Real{}), fake, logs
}

// Heartbeats of all log types arrive, and what happens between them; neither is
// an entry. All of it races with the pollers, on the real clock.
func TestHealthRecords(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	sink := newHealthSink()
	r, fake, logs := newHealthy(t, metadatatest.NewSettings(tel), sink)
	require.NoError(t, r.Start(t.Context(), &testHost{}))
	stopped := false
	defer func() {
		if !stopped {
			assert.NoError(t, r.Shutdown(context.WithoutCancel(t.Context())))
		}
	}()
	teams := len(slacktest.NewOrganisation(1).Identity().Teams)
	want := map[string]int{"audit": 25, "access": 25 * teams, "integration": 25 * teams}
	beats := sink.await(t, "heartbeat", 3, func(said healthSaid) bool { return said.Total == want[said.LogType] })
	for kind, beat := range beats {
		assert.Zero(t, beat.Delivered, "%s: all of it stood in one before", kind)
		assert.NotEmpty(t, beat.Since)
		assert.Empty(t, beat.Problem)
		assert.False(t, beat.Stale)
		assert.NotNil(t, beat.Gaps)
		assert.Empty(t, beat.Gaps)
	}
	sums := map[string]int{}
	sink.mu.Lock()
	for _, said := range sink.said {
		sums[said.LogType] += said.Delivered
	}
	entries := sink.entries
	sink.mu.Unlock()
	assert.Equal(t, want, sums)
	assert.Equal(t, want["audit"]+want["access"]+want["integration"], entries)

	fake.Revoke(secretToken)
	for kind, said := range sink.await(t, "auth_failing", 1, nil) {
		assert.Contains(t, said.Problem, "invalid_auth", kind)
	}
	failing := sink.await(t, "heartbeat", 1, func(said healthSaid) bool { return said.Problem != "" })
	assert.Contains(t, failing["audit"].Problem, "invalid_auth")
	fake.Restore(secretToken)
	for kind, said := range sink.await(t, "recovered", 1, nil) {
		assert.Equal(t, "auth_failing", said.From, kind)
	}

	// Health records are no entries; only the collector's own counter has them.
	assertDelivered(t, tel, entries)
	accepted, err := tel.GetMetric("otelcol_receiver_accepted_log_records")
	require.NoError(t, err)
	assert.Greater(t, accepted.Data.(metricdata.Sum[int64]).DataPoints[0].Value, int64(entries))
	for _, name := range []string{"gaps", "gap_time"} {
		assert.Equal(t, map[string]float64{"audit": 0, "access": 0, "integration": 0}, sumOfGauge(t, tel, name), name)
	}

	sink.await(t, "heartbeat", 10, nil)
	stopped = true
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Zero(t, logs.FilterMessageSnippet("in time").Len())
	sink.mu.Lock()
	defer sink.mu.Unlock()
	assert.Empty(t, sink.wrong)
	for _, said := range sink.said {
		assert.NotContains(t, said.Problem, "SECRET")
	}
}

// assertDelivered compares the counter of entries, all log types together.
func assertDelivered(t *testing.T, tel *componenttest.Telemetry, want int) {
	t.Helper()
	m, err := tel.GetMetric("otelcol_slacklogs_entries")
	require.NoError(t, err)
	sum := int64(0)
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		if outcome, _ := p.Attributes.Value("outcome"); outcome.AsString() == "delivered" {
			sum += p.Value
		}
		kind, _ := p.Attributes.Value("log_type")
		assert.Contains(t, everyKind, kind.AsString())
	}
	assert.EqualValues(t, want, sum)
}

// sumOfGauge is what a gauge shows for each log type, all workspaces together.
func sumOfGauge(t *testing.T, tel *componenttest.Telemetry, name string) map[string]float64 {
	t.Helper()
	m, err := tel.GetMetric("otelcol_slacklogs_" + name)
	require.NoError(t, err)
	sums := map[string]float64{}
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			kind, _ := p.Attributes.Value("log_type")
			sums[kind.AsString()] += float64(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			kind, _ := p.Attributes.Value("log_type")
			sums[kind.AsString()] += p.Value
		}
	default:
		require.FailNow(t, "no gauge", "%T", data)
	}
	return sums
}

// Shutdown ends in the middle of a health record.
func TestShutdownInTheMiddleOfHealthRecords(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(ctx context.Context) error{
		"that is refused": func(context.Context) error { return errors.New("queue is full") },
		"that hangs": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered := make(chan struct{}, 1000)
			sink := newHealthSink()
			set := metadatatest.NewSettings(newTelemetry(t))
			r, _, logs := newHealthy(t, set, consumerFunc(func(ctx context.Context, batch plog.Logs) error {
				lr := batch.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
				if kind, _ := lr.Attributes().Get("slack.log.type"); kind.Str() != "collection" {
					return sink.ConsumeLogs(ctx, batch)
				}
				entered <- struct{}{}
				return answer(ctx)
			}))
			host := &testHost{}
			require.NoError(t, r.Start(t.Context(), host))
			await(t, entered)
			require.NoError(t, r.Shutdown(t.Context()))
			assert.Zero(t, logs.FilterMessageSnippet("in time").Len())
			assert.Empty(t, host.statuses())
		})
	}
}

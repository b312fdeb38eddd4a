// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadatatest"
)

// labels are the attributes of each metric of a receiver, and more.
func labels(name string, more ...string) attribute.Set {
	all := []attribute.KeyValue{attribute.String("receiver", "slacklogs/"+name), attribute.String("log_type", "audit")}
	for i := 0; i < len(more); i += 2 {
		all = append(all, attribute.String(more[i], more[i+1]))
	}
	return attribute.NewSet(all...)
}

func count(n int64, set attribute.Set) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: set}
}

// newMeasured returns a receiver whose metrics go to tel.
func newMeasured(t *testing.T, tel *componenttest.Telemetry, name string, opt slacktest.Options) (running, fakeSlack) {
	t.Helper()
	c := newStepClock()
	opt.Now = c.Now
	fake := newFakeSlack(t, opt)
	set := metadatatest.NewSettings(tel)
	set.ID = component.NewIDWithName(metadata.Type, name)
	return newRunning(fake.config(t), setup{set: set, clock: c}), fake
}

func newTelemetry(t *testing.T) *componenttest.Telemetry {
	t.Helper()
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { assert.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) })
	return tel
}

func TestTelemetry(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	r, fake := newMeasured(t, tel, "emea", slacktest.Options{})
	fake.Add(
		entry("a", startTime.Add(-30*time.Second)),
		entry("b", startTime.Add(-10*time.Minute)),
		entry("too old", startTime.Add(-25*time.Hour)),
		slacktest.Entry{Date: startTime.Unix() - 60, JSON: []byte(`{"id":7,"date_create":"soon"}`)},
	)
	late := entry("late", startTime.Add(-5*time.Minute))
	late.Shown = startTime.Add(90 * time.Second)
	fake.Add(late)
	r.start(t)
	r.clock.rest(t)

	_, err := tel.GetMetric("otelcol_slacklogs_throttled_time")
	require.Error(t, err, "nothing was waited for")
	r.clock.until(t, func() bool { return r.clock.Now().After(startTime.Add(4 * time.Minute)) })

	ignore := metricdatatest.IgnoreTimestamp()
	entries := func() map[string]int64 {
		m, err := tel.GetMetric("otelcol_slacklogs_entries")
		require.NoError(t, err)
		all := map[string]int64{}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			outcome, _ := p.Attributes.Value("outcome")
			all[outcome.AsString()] = p.Value
		}
		return all
	}()
	// How often the overlap is read again is not this test's business.
	metadatatest.AssertEqualSlacklogsEntries(t, tel, []metricdata.DataPoint[int64]{
		count(4, labels("emea", "outcome", "delivered")),
		count(entries["duplicate"], labels("emea", "outcome", "duplicate")),
	}, ignore)
	assert.Equal(t, 4, r.sink.LogRecordCount())
	assert.GreaterOrEqual(t, entries["duplicate"], int64(6))
	metadatatest.AssertEqualSlacklogsEntriesLate(t, tel, []metricdata.DataPoint[int64]{count(1, labels("emea"))}, ignore)
	metadatatest.AssertEqualSlacklogsEntriesMalformed(t, tel, []metricdata.DataPoint[int64]{count(1, labels("emea"))}, ignore)
	metadatatest.AssertEqualSlacklogsStale(t, tel, []metricdata.DataPoint[int64]{count(0, labels("emea"))}, ignore)

	// The late one was seen by the poll two minutes after the start.
	lateness, err := tel.GetMetric("otelcol_slacklogs_event_lateness")
	require.NoError(t, err)
	points := lateness.Data.(metricdata.Histogram[float64]).DataPoints
	require.Len(t, points, 1)
	assert.Equal(t, labels("emea"), points[0].Attributes)
	assert.EqualValues(t, 1, points[0].Count)
	assert.InDelta(t, (7 * time.Minute).Seconds(), points[0].Sum, 2)
}

func TestTelemetryOfCalls(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	r, fake := newMeasured(t, tel, "emea", slacktest.Options{RetryAfter: 40 * time.Second})
	fake.SetFault(slacktest.Only(slacktest.EveryNth(2, slacktest.FaultInternal, slacktest.FaultRateLimit), slacktest.PathAudit))
	r.start(t)
	r.clock.rest(t)
	r.clock.polls(t, 3)

	// The calls of one outcome, by what Slack remembers of them.
	calls := map[attribute.Set]uint64{}
	throttles := 0
	for _, call := range fake.Calls() {
		switch {
		case call.Path == slacktest.PathAuthTest:
			calls[labels("emea", "method", "auth.test")]++
		case call.Status == 200:
			calls[labels("emea", "method", "audit.logs")]++
		case call.Status == 500:
			calls[labels("emea", "method", "audit.logs", "error_type", "500")]++
		case call.Status == 429:
			calls[labels("emea", "method", "audit.logs", "error_type", "rate_limited")]++
			throttles++
		}
	}
	require.Len(t, calls, 4)
	var want []metricdata.HistogramDataPoint[float64]
	for set, n := range calls {
		want = append(want, metricdata.HistogramDataPoint[float64]{
			Attributes:   set,
			Bounds:       []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60},
			BucketCounts: []uint64{n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			Count:        n,
			Min:          metricdata.NewExtrema(0.0),
			Max:          metricdata.NewExtrema(0.0),
		})
	}
	metadatatest.AssertEqualSlacklogsRequestDuration(t, tel, want, metricdatatest.IgnoreTimestamp())

	throttled, err := tel.GetMetric("otelcol_slacklogs_throttled_time")
	require.NoError(t, err)
	points := throttled.Data.(metricdata.Sum[float64]).DataPoints
	require.Len(t, points, 1)
	assert.Equal(t, labels("emea"), points[0].Attributes)
	assert.InDelta(t, float64(throttles)*40, points[0].Value, 41, "the last wait may not be over")
	assert.GreaterOrEqual(t, points[0].Value, 40.0)
}

// gauge is the value of a gauge, if there is one.
func gauge(t *testing.T, tel *componenttest.Telemetry, name string, set attribute.Set) (float64, bool) {
	t.Helper()
	m, err := tel.GetMetric("otelcol_slacklogs_" + name)
	if err != nil {
		return 0, false
	}
	for _, p := range m.Data.(metricdata.Gauge[float64]).DataPoints {
		if p.Attributes == set {
			return p.Value, true
		}
	}
	return 0, false
}

func TestStaleness(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	r, fake := newMeasured(t, tel, "emea", slacktest.Options{})
	r.cfg.AuditLogs.Get().StaleAfter = time.Hour
	r.cfg.AuditLogs.Get().InitialLookback = 30 * time.Minute
	fake.Down(true)
	assertGauge := func(name string, want time.Duration) {
		t.Helper()
		got, ok := gauge(t, tel, name, labels("emea"))
		require.True(t, ok)
		assert.InDelta(t, want.Seconds(), got, 2, name)
	}
	r.start(t)
	r.clock.rest(t)
	_, ok := gauge(t, tel, "event_staleness", labels("emea"))
	assert.False(t, ok, "absent until the first poll has ended")
	assertGauge("poll_staleness", 0)
	assertGauge("watermark_lag", 30*time.Minute)

	// A failing Slack is no stale one.
	r.clock.polls(t, 90)
	_, ok = gauge(t, tel, "event_staleness", labels("emea"))
	assert.False(t, ok)
	down := r.clock.Now().Sub(startTime)
	assertGauge("poll_staleness", down)
	assertGauge("watermark_lag", 30*time.Minute+down)
	metadatatest.AssertEqualSlacklogsStale(t, tel, []metricdata.DataPoint[int64]{count(0, labels("emea"))}, metricdatatest.IgnoreTimestamp())

	// Nothing was ever delivered: counted from the start.
	fake.Down(false)
	r.clock.polls(t, 5)
	assertGauge("event_staleness", 30*time.Minute+r.clock.Now().Sub(startTime))
	polled, _ := gauge(t, tel, "poll_staleness", labels("emea"))
	assert.LessOrEqual(t, polled, 61.0)
	metadatatest.AssertEqualSlacklogsStale(t, tel, []metricdata.DataPoint[int64]{count(1, labels("emea"))}, metricdatatest.IgnoreTimestamp())
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("no new entries").Len())
	statuses := r.host.statuses()
	assert.Equal(t, statusOK, statuses[len(statuses)-1], "stale is no status")

	// A date in the future does not count; one now does.
	fake.Add(entry("future", r.clock.Now().Add(30*time.Minute)))
	r.clock.polls(t, 2)
	metadatatest.AssertEqualSlacklogsStale(t, tel, []metricdata.DataPoint[int64]{count(1, labels("emea"))}, metricdatatest.IgnoreTimestamp())
	at := r.clock.Now()
	fake.Add(entry("now", at))
	r.clock.polls(t, 2)
	assertGauge("event_staleness", r.clock.Now().Sub(at))
	metadatatest.AssertEqualSlacklogsStale(t, tel, []metricdata.DataPoint[int64]{count(0, labels("emea"))}, metricdatatest.IgnoreTimestamp())
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("New entries arrive again").Len())
}

// A second that can't be read is a gap until a sweep has read it.
func TestTelemetryOfGaps(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	r, fake := newMeasured(t, tel, "emea", slacktest.Options{})
	r.cfg.AuditLogs.Get().SweepInterval = time.Hour
	assertGaps := func(gaps int64, seconds float64) {
		t.Helper()
		ignore := metricdatatest.IgnoreTimestamp()
		metadatatest.AssertEqualSlacklogsGaps(t, tel, []metricdata.DataPoint[int64]{count(gaps, labels("emea"))}, ignore)
		metadatatest.AssertEqualSlacklogsGapTime(t, tel, []metricdata.DataPoint[float64]{
			{Value: seconds, Attributes: labels("emea")},
		}, ignore)
	}
	bad := startTime.Add(-5 * time.Hour)
	fake.Add(entry("a", startTime.Add(-time.Minute)), entry("bad", bad), entry("bad too", bad.Add(time.Second)), entry("b", startTime.Add(-6*time.Hour)))
	fake.Poison(bad.Unix(), bad.Unix()+1, slacktest.FaultHTML)
	r.start(t)
	r.clock.rest(t)
	assertGaps(0, 0)

	r.clock.polls(t, 45)
	assertGaps(1, 2)
	assert.Equal(t, 2, r.sink.LogRecordCount())
	lag, ok := gauge(t, tel, "watermark_lag", labels("emea"))
	assert.True(t, ok)
	assert.Less(t, lag, 120.0, "reading goes on behind the gap")

	fake.Unpoison()
	r.clock.polls(t, 90)
	assertGaps(0, 0)
	assert.Equal(t, 4, r.sink.LogRecordCount())
}

// Each metric of metadata.yaml comes into being when there is something to
// measure.
func TestEveryMetric(t *testing.T) {
	t.Parallel()
	conf, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	sub, err := conf.Sub("telemetry::metrics")
	require.NoError(t, err)
	metrics := sub.ToStringMap()
	require.Contains(t, metrics, "slacklogs_actor_roles")
	delete(metrics, "slacklogs_actor_roles") // only with actor_roles: TestTelemetryOfActorRoles
	require.NotEmpty(t, metrics)

	tel := newTelemetry(t)
	r, fake := newMeasured(t, tel, "emea", slacktest.Options{RetryAfter: 40 * time.Second})
	fake.SetFault(slacktest.Only(slacktest.EveryNth(3, slacktest.FaultRateLimit), slacktest.PathAudit))
	late := entry("late", startTime.Add(-5*time.Minute))
	late.Shown = startTime.Add(90 * time.Second)
	fake.Add(late, slacktest.Entry{Date: startTime.Unix() - 60, JSON: []byte(`{"id":7}`)})
	r.start(t)
	r.clock.rest(t)
	r.clock.polls(t, 10)
	for name := range metrics {
		m, err := tel.GetMetric("otelcol_" + name)
		assert.NoError(t, err)
		assert.NotEmpty(t, m.Description, name)
	}
}

// Two receivers of one collector have each their own series, and a receiver
// that was shut down has none.
func TestTwoReceivers(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	for _, name := range []string{"emea", "apac"} {
		r, fake := newMeasured(t, tel, name, slacktest.Options{})
		fake.Add(entry(name, startTime))
		if name == "apac" {
			fake.Add(entry("more", startTime))
		}
		r.start(t)
		r.clock.rest(t)
	}
	ignore := []metricdatatest.Option{metricdatatest.IgnoreTimestamp()}
	metadatatest.AssertEqualSlacklogsEntries(t, tel, []metricdata.DataPoint[int64]{
		count(1, labels("emea", "outcome", "delivered")),
		count(2, labels("apac", "outcome", "delivered")),
	}, ignore...)
	metadatatest.AssertEqualSlacklogsStale(t, tel, []metricdata.DataPoint[int64]{count(0, labels("emea")), count(0, labels("apac"))}, ignore...)
	for _, name := range []string{"event_staleness", "poll_staleness", "watermark_lag"} {
		for _, id := range []string{"emea", "apac"} {
			_, ok := gauge(t, tel, name, labels(id))
			assert.True(t, ok, "%s of %s", name, id)
		}
	}
}

func TestGaugesEndWithTheReceiver(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	r, _ := newMeasured(t, tel, "emea", slacktest.Options{})
	require.NoError(t, r.Start(t.Context(), r.host))
	r.clock.rest(t)
	_, ok := gauge(t, tel, "poll_staleness", labels("emea"))
	assert.True(t, ok)
	require.NoError(t, r.Shutdown(t.Context()))
	_, ok = gauge(t, tel, "poll_staleness", labels("emea"))
	assert.False(t, ok)
}

// Trouble shows in the metrics alone, with its reason, and leaves them with it.
func TestFailingGauge(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	r, fake := newMeasured(t, tel, "emea", slacktest.Options{})
	assertFailing := func(want metricdata.DataPoint[int64]) {
		t.Helper()
		metadatatest.AssertEqualSlacklogsFailing(t, tel, []metricdata.DataPoint[int64]{want}, metricdatatest.IgnoreTimestamp())
	}
	r.start(t)
	r.clock.rest(t)
	assertFailing(count(0, labels("emea")))
	fake.Revoke(secretToken)
	r.clock.polls(t, 2)
	assertFailing(count(1, labels("emea", "error_type", "invalid_auth")))
	fake.Restore(secretToken)
	r.clock.polls(t, 2)
	assertFailing(count(0, labels("emea")))
}

// Workspaces come and go in a list that is read while the metrics are collected.
func TestTelemetryOfWorkspaces(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	c := newStepClock()
	fake := newFakeSlack(t, slacktest.Options{Now: c.Now})
	cfg := fake.config(t)
	cfg.AuditLogs = createDefaultConfig().(*Config).AuditLogs
	access := cfg.AccessLogs.GetOrInsertDefault()
	access.TeamIDs = []string{"*"}
	set := metadatatest.NewSettings(tel)
	set.ID = component.NewIDWithName(metadata.Type, "emea")
	r := newRunning(cfg, setup{set: set, clock: c})
	identity := slacktest.NewOrganisation(1).Identity()
	teams := identity.Teams
	require.GreaterOrEqual(t, len(teams), 2)
	for _, team := range teams {
		fake.SetLogin(slacktest.Login{Team: team.ID, UserID: "W04BW000001", First: startTime.Unix(), Last: startTime.Unix(), Count: 1})
	}
	r.start(t)
	r.clock.rest(t)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = tel.GetMetric("otelcol_slacklogs_poll_staleness") // none at first
			}
		}
	}()
	r.clock.polls(t, 30)
	identity.Teams = teams[:1]
	fake.SetToken(secretToken, identity)
	r.clock.polls(t, 90)
	close(stop)
	<-stopped

	assert.Equal(t, len(teams), r.sink.LogRecordCount())
	staleness, err := tel.GetMetric("otelcol_slacklogs_poll_staleness")
	require.NoError(t, err)
	points := staleness.Data.(metricdata.Gauge[float64]).DataPoints
	require.Len(t, points, 1, "of the workspace that is left")
	team, _ := points[0].Attributes.Value("team_id")
	assert.Equal(t, teams[0].ID, team.AsString())
	kind, _ := points[0].Attributes.Value("log_type")
	assert.Equal(t, "access", kind.AsString())
}

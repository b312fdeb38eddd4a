// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// watched is a world with health records. Health is a goroutine of its own;
// here it makes its steps whenever asked.
type watched struct {
	*world
	health *Health
	body   record.Body
	// said are the bodies of the health records, by name of the event; uids are
	// theirs.
	said map[string][]map[string]any
	uids map[string]int
	last plog.LogRecord
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{world: newWorld(t, slacktest.Options{}), said: map[string][]map[string]any{}, uids: map[string]int{}}
	w.onRecords = func(logs plog.Logs) {
		lrs := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		for _, lr := range lrs.All() {
			if kind, _ := lr.Attributes().Get("slack.log.type"); kind.Str() != "collection" {
				continue
			}
			text := lr.Body().AsString()
			var body map[string]any
			require.NoError(t, json.Unmarshal([]byte(text), &body), text)
			name := strings.TrimPrefix(lr.EventName(), "slack.collection.")
			require.Equal(t, body["event"], name)
			w.said[name] = append(w.said[name], body)
			uid, _ := lr.Attributes().Get("log.record.uid")
			require.Len(t, uid.Str(), 32)
			w.uids[uid.Str()]++
			w.last = plog.NewLogRecord()
			lr.CopyTo(w.last)
		}
	}
	return w
}

func (w *watched) start() {
	w.t.Helper()
	set := w.settings()
	var err error
	w.health, err = NewHealth(context.Background(), set, HealthSettings{HeartbeatInterval: 10 * time.Minute, Body: w.body})
	require.NoError(w.t, err)
	set.Health = w.health
	w.poller, err = NewAudit(context.Background(), set, w.cfg)
	require.NoError(w.t, err)
	w.audit = w.poller.logType.(*audit)
}

// run polls, and gives Health a turn each second.
func (w *watched) run(d time.Duration) {
	w.t.Helper()
	for turn := time.Second; turn < d; turn += time.Second {
		w.at(w.now.Add(turn), func() { w.health.step(context.Background()) })
	}
	w.world.run(d)
	w.stop = nil
}

func (w *watched) count(name string) int { return len(w.said[name]) }

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.fill("e", 1200, noon.Add(-10*time.Hour), noon.Add(2*time.Hour))
	w.start()
	w.run(35 * time.Minute)
	require.Equal(t, 4, w.count(eventHeartbeat), "at once, and each 10 minutes")

	first, second := w.said[eventHeartbeat][0], w.said[eventHeartbeat][1]
	for _, beat := range w.said[eventHeartbeat] {
		assert.Equal(t, "slacklogs", beat["receiver"])
		assert.Equal(t, "audit", beat["log_type"])
		assert.Equal(t, false, beat["stale"])
		assert.Equal(t, []any{}, beat["gaps"])
		assert.Equal(t, 0.0, beat["entries_dropped_total"])
		assert.NotContains(t, beat, "workspaces")
		assert.NotContains(t, beat, "problem")
	}
	assert.NotContains(t, first, "since")
	assert.Equal(t, first["time"], second["since"])
	assert.Less(t, second["watermark_lag"], 61.0)
	assert.Less(t, second["poll_staleness"], 61.0)
	assert.Less(t, second["event_staleness"], 100.0)
	watermark, err := time.Parse(time.RFC3339, second["watermark"].(string))
	require.NoError(t, err)
	assert.WithinDuration(t, noon.Add(10*time.Minute), watermark, 2*time.Minute)

	// What the heartbeats say was delivered is what arrived, over restarts too.
	w.start()
	w.run(30 * time.Minute)
	w.start()
	w.run(15 * time.Minute)
	total := 0.0
	for _, beat := range w.said[eventHeartbeat] {
		total += beat["entries_delivered"].(float64)
		assert.Equal(t, total, beat["entries_delivered_total"], "nothing is counted twice or left out")
	}
	arrived := 0
	for uid := range w.delivered {
		if strings.HasPrefix(uid, "e") && w.uids[uid] == 0 {
			arrived++
		}
	}
	assert.InDelta(t, arrived, total, 20, "but for what came since the last")
	for uid, n := range w.uids {
		assert.Equal(t, 1, n, uid)
	}
	assert.Equal(t, plog.SeverityNumberInfo, w.last.SeverityNumber())
	attrs := w.last.Attributes().AsRaw()
	delete(attrs, "log.record.uid")
	assert.Equal(t, map[string]any{"slack.log.type": "collection", "slack.log.event": "heartbeat", "slack.log.about": "audit"}, attrs)
	assert.Zero(t, w.slack.Violations())
}

func TestHealthRecordsTellOfEvents(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.cfg.SweepInterval, w.cfg.StaleAfter = time.Hour, 2*time.Hour
	w.fill("e", 600, noon.Add(-10*time.Hour), noon.Add(time.Hour))
	bad := noon.Add(-5 * time.Hour).Unix()
	w.slack.Add(entry("bad", bad))
	w.slack.Poison(bad, bad, slacktest.FaultHTML)
	w.start()
	w.run(time.Hour)
	require.Equal(t, 1, w.count(eventGapOpened))
	opened := w.said[eventGapOpened][0]
	assert.Equal(t, "audit", opened["log_type"])
	at := time.Unix(bad, 0).UTC().Format(time.RFC3339)
	g := opened["gap"].(map[string]any)
	assert.Equal(t, []any{at, at, gapUnreadable}, []any{g["from"], g["to"], g["reason"]})
	beats := w.said[eventHeartbeat]
	assert.Equal(t, []any{g}, beats[len(beats)-1]["gaps"])

	w.slack.Unpoison()
	w.run(130 * time.Minute)
	require.Equal(t, 1, w.count(eventGapClosed))
	assert.Equal(t, outcomeComplete, w.said[eventGapClosed][0]["outcome"])
	require.Equal(t, 1, w.count(eventStale), "nothing new for over two hours")
	w.slack.Add(entry("new", w.now.Unix()))
	w.run(2 * time.Minute)
	require.Equal(t, 1, w.count(eventRecovered))
	assert.Equal(t, eventStale, w.said[eventRecovered][0]["recovered_from"])

	require.Zero(t, w.count(eventAuthFailing))
	w.slack.Revoke(testToken)
	w.run(12 * time.Minute)
	require.Equal(t, 1, w.count(eventAuthFailing))
	problem := w.said[eventAuthFailing][0]["problem"].(string)
	assert.Contains(t, problem, "invalid_auth")
	assert.NotContains(t, problem, testToken)
	assert.Equal(t, plog.SeverityNumberInfo, w.last.SeverityNumber(), "a heartbeat came after it")
	beats = w.said[eventHeartbeat]
	assert.Contains(t, beats[len(beats)-1]["problem"], "invalid_auth")
	assert.Greater(t, beats[len(beats)-1]["poll_staleness"], 60.0)
	w.slack.Down(true)
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.count(eventRecovered), "an outage is no recovery")
	w.slack.Down(false)
	w.slack.Restore(testToken)
	w.run(5 * time.Minute)
	require.Equal(t, 2, w.count(eventRecovered))
	assert.Equal(t, eventAuthFailing, w.said[eventRecovered][1]["recovered_from"])
}

// While the pipeline refuses, what happened waits; what was accepted does not
// come again. A backlog of heartbeats makes no sense.
func TestHealthRecordsWaitForThePipeline(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.retry.Enabled = false
	w.fill("e", 100, noon.Add(-time.Hour), noon)
	w.start()
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.count(eventHeartbeat))
	w.said = map[string][]map[string]any{}

	down := true
	w.onConsume = func([]string) error {
		if down {
			return errors.New("backend down")
		}
		return nil
	}
	w.slack.Revoke(testToken)
	w.run(45 * time.Minute)
	down = false
	w.said, w.uids = map[string][]map[string]any{}, map[string]int{}
	w.run(2 * time.Minute)
	assert.Equal(t, 1, w.count(eventAuthFailing))
	assert.Equal(t, 2, w.count(eventHeartbeat), "the one that was refused, and a new one")

	// What the pipeline will never take does not stand in the way.
	w.onConsume = func([]string) error { return consumererror.NewPermanent(errors.New("no")) }
	w.slack.Restore(testToken)
	w.run(15 * time.Minute)
	w.onConsume = nil
	w.said = map[string][]map[string]any{}
	w.run(12 * time.Minute)
	assert.Equal(t, 1, w.count(eventHeartbeat))
	assert.Zero(t, w.count(eventRecovered))
}

// More happens than can wait: the oldest make room.
func TestHealthRecordsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.start()
	w.run(time.Minute)
	for i := range maxEvents + 10 {
		w.poller.whole.gapsOpened([]gap{{span{int64(i), int64(i)}, gapUnreadable, 0}})
	}
	require.Len(t, w.health.waiting, maxEvents)
	w.health.step(context.Background())
	require.Equal(t, maxEvents, w.count(eventGapOpened))
	assert.Equal(t, "1970-01-01T00:00:10Z", w.said[eventGapOpened][0]["gap"].(map[string]any)["from"])
	require.Empty(t, w.health.waiting)
}

func TestHealthBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[record.Body]pcommon.ValueType{
		record.BodyRaw: pcommon.ValueTypeStr, record.BodyNone: pcommon.ValueTypeStr, record.BodyMap: pcommon.ValueTypeMap,
	} {
		w := newWatched(t)
		w.body, w.cfg.StaleAfter = body, 0
		w.start()
		w.run(time.Minute)
		require.Equal(t, 1, w.count(eventHeartbeat))
		assert.Equal(t, want, w.last.Body().Type(), body)
		if want == pcommon.ValueTypeMap {
			said := w.last.Body().Map().AsRaw()
			assert.Equal(t, int64(0), said["entries_delivered_total"])
			assert.IsType(t, 0.5, said["watermark_lag"])
		}
	}
}

// Of several workspaces each has its own figures.
func TestHeartbeatOfWorkspaces(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.cfg.TeamIDs = []string{"T0PIER", "T0QUAY"}
	w.fillLogins("T0PIER", 30, time.Minute, noon)
	w.fillLogins("T0QUAY", 12, time.Minute, noon.Add(-time.Hour))
	var beats []map[string]any
	inner := w.onRecords
	w.onRecords = func(logs plog.Logs) {
		inner(logs)
		lr := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		if lr.EventName() == "slack.collection.heartbeat" {
			var body map[string]any
			require.NoError(t, json.Unmarshal([]byte(lr.Body().AsString()), &body))
			beats = append(beats, body)
			_, ok := logs.ResourceLogs().At(0).Resource().Attributes().Get("slack.team.id")
			assert.False(t, ok, "it is of no single workspace")
		}
	}
	set := w.settings()
	health, err := NewHealth(context.Background(), set, HealthSettings{HeartbeatInterval: time.Minute, Body: record.BodyRaw})
	require.NoError(t, err)
	set.Health = health
	w.poller, err = NewAccess(context.Background(), set, w.cfg)
	require.NoError(t, err)
	w.lists = w.poller.logType.(*lists)
	w.run(5 * time.Minute)
	w.stop = nil
	health.step(context.Background())
	require.Len(t, beats, 1)
	parts := beats[0]["workspaces"].([]any)
	require.Len(t, parts, 2)
	assert.Equal(t, 42.0, beats[0]["entries_delivered"])
	assert.Equal(t, "T0QUAY", parts[1].(map[string]any)["team_id"])
	assert.Equal(t, 12.0, parts[1].(map[string]any)["entries_delivered"])
	pier, quay := parts[0].(map[string]any)["event_staleness"].(float64), parts[1].(map[string]any)["event_staleness"].(float64)
	assert.InDelta(t, 3600, quay-pier, 1)
	assert.Equal(t, pier, beats[0]["event_staleness"], "the newest of all")
	assert.Equal(t, fmt.Sprint(parts[0].(map[string]any)["watermark"]), beats[0]["watermark"])
}

// A token is often mended by a restart: that is told as well, and what was told
// before is not told again.
func TestHealthRecordsOverARestart(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.cfg.StaleAfter = time.Hour
	w.fill("e", 10, noon.Add(-time.Hour), noon)
	w.start()
	w.run(2 * time.Hour)
	require.Equal(t, 1, w.count(eventStale))
	w.slack.Revoke(testToken)
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.count(eventAuthFailing))
	w.start()
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.count(eventAuthFailing))
	require.Zero(t, w.count(eventRecovered))

	w.slack.Restore(testToken)
	w.start()
	w.run(5 * time.Minute)
	require.Equal(t, 1, w.count(eventRecovered))
	require.Equal(t, 1, w.count(eventStale), "it still is")
	w.slack.Add(entry("new", w.now.Unix()))
	w.start()
	w.run(5 * time.Minute)
	require.Equal(t, 2, w.count(eventRecovered))
	assert.Equal(t, eventAuthFailing, w.said[eventRecovered][0]["recovered_from"])
	assert.Equal(t, eventStale, w.said[eventRecovered][1]["recovered_from"])
	w.start()
	w.run(5 * time.Minute)
	require.Equal(t, 2, w.count(eventRecovered))
}

// However often the pipeline refuses, heartbeats add up: one that was refused
// comes again as it was.
func TestHeartbeatsAddUpWhenRefused(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.retry.Enabled = false
	r := rand.New(rand.NewPCG(1, 2))
	w.onConsume = func([]string) error {
		if r.IntN(2) == 0 {
			return errBackend
		}
		return nil
	}
	w.fill("e", 500, noon.Add(-10*time.Hour), noon.Add(5*time.Hour))
	w.start()
	w.run(3 * time.Hour)
	w.start()
	w.run(3 * time.Hour)
	sum, said := 0.0, map[any]bool{}
	for _, beat := range w.said[eventHeartbeat] {
		if !said[beat["time"]] {
			sum += beat["entries_delivered"].(float64)
			assert.Equal(t, sum, beat["entries_delivered_total"])
		}
		said[beat["time"]] = true
	}
	assert.Greater(t, len(said), 20)
	assert.Equal(t, 500.0, sum)
}

// What the storage says of its failure may name hosts and folders: that stays
// with the collector.
func TestHealthRecordsKeepTheStorageToThemselves(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.start()
	w.run(5 * time.Minute)
	w.onSave = func(func()) error { return errors.New("user hunter at db.internal") }
	w.fill("e", 1, w.now, w.now)
	w.run(15 * time.Minute)
	beats := w.said[eventHeartbeat]
	assert.Equal(t, "the state can't be saved; see the collector's log", beats[len(beats)-1]["problem"])
	assert.NotContains(t, fmt.Sprint(w.said), "hunter")
}

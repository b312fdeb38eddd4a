// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadatatest"
)

const (
	appID          = "404.1007"
	appSecret      = "SECRET-of-the-app"
	statusRotation = "StatusRecoverableError token rotation: oauth.v2.access: "
)

// rotatingSlack is a Slack with an app whose tokens last an hour.
type rotatingSlack struct {
	fakeSlack

	clock   *stepClock
	storage *memoryStorage
	refresh string
}

func newRotatingSlack(t *testing.T, edit func(app *slacktest.App)) rotatingSlack {
	t.Helper()
	s := rotatingSlack{clock: newStepClock(), storage: newMemoryStorage()}
	s.fakeSlack = newFakeSlack(t, slacktest.Options{Now: s.clock.Now})
	org := slacktest.NewOrganisation(1)
	app := slacktest.App{
		ID: "A0ROTATES", ClientID: appID, ClientSecret: appSecret, Scopes: []string{"auditlogs:read", "admin"},
		Rotation: true, TokenLife: time.Hour, Installer: org.Identity(),
	}
	if edit != nil {
		edit(&app)
	}
	s.SetApp(app)
	_, s.refresh = s.InstallApp(appID)
	return s
}

// receiver is one with this Slack, storage and refresh token.
func (s rotatingSlack) receiver(t *testing.T, name string, edit func(cfg *Config), su setup) running {
	t.Helper()
	cfg := s.config(t)
	cfg.Token, cfg.Storage = "", &storageID
	cfg.TokenRotation = &tokenRotationConfig{ClientID: appID, ClientSecret: appSecret, RefreshToken: configopaque.String(s.refresh)}
	if edit != nil {
		edit(cfg)
	}
	require.NoError(t, cfg.Validate())
	if su.set.ID == (component.ID{}) {
		su.set = metadatatest.NewSettings(newTelemetry(t))
	}
	su.set.ID = component.MustNewIDWithName(metadata.Type.String(), name)
	su.clock, su.host = s.clock, &testHost{extensions: map[component.ID]component.Component{storageID: s.storage}}
	r := newRunning(cfg, su)
	t.Cleanup(func() {
		for _, text := range append(r.lines(), r.host.statuses()...) {
			assert.NotContains(t, text, "SECRET")
			assert.NotContains(t, text, "xoxe")
		}
	})
	return r
}

// refreshes are the calls that asked for new tokens.
func (s rotatingSlack) refreshes() (n int) {
	for _, call := range s.Calls() {
		if call.Path == slacktest.PathExchange {
			n++
		}
	}
	return n
}

// warnings are the lines that a person has to read, but for that on the budget of these tests.
func (r running) warnings() int {
	return r.logs.Filter(func(line observer.LoggedEntry) bool {
		return line.Level >= zapcore.WarnLevel && !strings.Contains(line.Message, "above Slack's limit")
	}).Len()
}

// Over many lives of a token, and over restarts, all arrives once and nobody
// has to look.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	want, got := map[string]int{}, map[string]int{}
	for run := range 3 {
		r := s.receiver(t, "emea", nil, setup{})
		require.NoError(t, r.Start(t.Context(), r.host))
		r.clock.rest(t)
		for n := range 30 {
			id := fmt.Sprintf("%d-%d", run, n)
			s.Add(entry(id, r.clock.Now()))
			want[id] = 1
			r.clock.polls(t, 7)
			if n == 20 {
				s.ExpireTokens(appID) // Slack may change its mind
			}
		}
		require.NoError(t, r.Shutdown(t.Context()))
		for id, n := range uids(r.sink) {
			got[id] += n
		}
		assert.Empty(t, r.host.statuses())
		assert.Zero(t, r.warnings())
	}
	assert.Equal(t, want, got)
	assert.InDelta(t, 3*30*7/50+3, s.refreshes(), 2)
	assert.Empty(t, s.Violations())
}

// Of a workspace's list, too, no status tells that a token came to its end.
func TestRotationOfLists(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	r := s.receiver(t, "emea", func(cfg *Config) {
		cfg.AuditLogs = createDefaultConfig().(*Config).AuditLogs
		cfg.IntegrationLogs.GetOrInsertDefault()
		cfg.IntegrationLogs.Get().TeamIDs = []string{"*"}
		cfg.IntegrationLogs.Get().RequestsPerMinute = 1e9
	}, setup{})
	r.start(t)
	r.clock.rest(t)
	for range 20 {
		r.clock.polls(t, 7)
		s.ExpireTokens(appID)
	}
	assert.Greater(t, s.refreshes(), 19)
	assert.Empty(t, r.host.statuses())
	assert.Zero(t, r.warnings())
}

// While Slack can't refresh, polling goes on with the token that is left, then
// stops, and goes on by itself.
func TestRotationFails(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	tel := newTelemetry(t)
	r := s.receiver(t, "emea", nil, setup{set: metadatatest.NewSettings(tel)})
	r.start(t)
	assertFailing := func(want metricdata.DataPoint[int64]) {
		t.Helper()
		metadatatest.AssertEqualSlacklogsFailing(t, tel, []metricdata.DataPoint[int64]{want}, metricdatatest.IgnoreTimestamp())
	}
	r.clock.rest(t)
	assertFailing(count(0, labels("emea")))
	s.Deny(slacktest.PathExchange, "fatal_error")
	r.clock.polls(t, 57)
	s.Add(entry("a", r.clock.Now()))
	r.clock.polls(t, 1)
	assert.Equal(t, 1, r.sink.LogRecordCount(), "with the token that is left")
	assertFailing(count(1, labels("emea", "error_type", "fatal_error")))
	require.Len(t, r.host.statuses(), 1)
	assert.Contains(t, r.host.statuses()[0], statusRotation+"fatal_error")

	r.clock.polls(t, 5)
	s.Add(entry("b", r.clock.Now()))
	r.clock.polls(t, 5)
	assert.Equal(t, 1, r.sink.LogRecordCount())
	require.Len(t, r.host.statuses(), 2)
	assert.Contains(t, r.host.statuses()[1], "audit logs: oauth.v2.access: fatal_error")

	s.Deny(slacktest.PathExchange, "")
	r.clock.polls(t, 3)
	assert.Equal(t, 2, r.sink.LogRecordCount())
	statuses := r.host.statuses()
	assert.Equal(t, statusOK, statuses[len(statuses)-1])
	assertFailing(count(0, labels("emea")))
}

// The answer to a refresh is lost, and asked for again before the next poll:
// Slack takes the old refresh token for half a minute more.
func TestRefreshAnswerLost(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	r := s.receiver(t, "emea", nil, setup{})
	r.start(t)
	r.clock.rest(t)
	r.clock.polls(t, 45)
	var asked atomic.Int64
	s.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault {
		if asked.Add(1) == 1 {
			return slacktest.FaultBrokenTransfer
		}
		return slacktest.FaultNone
	}, slacktest.PathExchange))
	r.clock.polls(t, 120)
	s.Add(entry("a", r.clock.Now()))
	r.clock.polls(t, 2)
	assert.Equal(t, 1, r.sink.LogRecordCount())
	statuses := r.host.statuses()
	assert.Equal(t, statusOK, statuses[len(statuses)-1])
}

// A changed refresh_token is used in place of the saved one.
func TestRotationWithAnotherRefreshToken(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	for run := range 4 {
		if run == 2 {
			_, s.refresh = s.InstallApp(appID)
		}
		r := s.receiver(t, "emea", nil, setup{})
		require.NoError(t, r.Start(t.Context(), r.host))
		r.clock.rest(t)
		require.NoError(t, r.Shutdown(t.Context()))
		changed := r.logs.FilterMessageSnippet("The configured refresh_token is another").Len()
		if run == 2 {
			assert.Equal(t, 1, changed)
		} else {
			assert.Zero(t, changed)
		}
		assert.Equal(t, 1+run/2, s.refreshes())
	}
}

// Collectors that lead in turn share the tokens.
func TestRotationOfLeaders(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, func(app *slacktest.App) { app.Grace = -1 })
	var all []candidate
	for range 2 {
		c := candidate{elector: &fakeElector{}, running: s.receiver(t, "emea", func(cfg *Config) { cfg.K8sLeaderElector = &electorID }, setup{})}
		c.host.extensions[electorID] = c.elector
		c.start(t)
		all = append(all, c)
	}
	want := map[string]int{}
	for round := range 6 {
		id := strconv.Itoa(round)
		s.Add(entry(id, s.clock.Now()))
		want[id] = 1
		c := all[round%2]
		c.elector.win()
		s.clock.rest(t)
		s.clock.polls(t, 40)
		c.elector.lose()
		assert.Empty(t, c.host.statuses())
		assert.Zero(t, c.warnings())
	}
	assert.Equal(t, want, uids(all[0].sink, all[1].sink))
	assert.InDelta(t, 5, s.refreshes(), 1)
}

// Two receivers of one collector with the same refresh token: Slack refuses one
// of them, and its status says why.
func TestTwoReceiversOnOneRefreshToken(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, func(app *slacktest.App) { app.Grace = -1 })
	one := s.receiver(t, "emea", nil, setup{})
	one.start(t)
	one.clock.rest(t)
	two := s.receiver(t, "apac", nil, setup{})
	two.start(t)
	two.clock.rest(t)
	require.NotEmpty(t, two.host.statuses())
	assert.Contains(t, two.host.statuses()[0], statusRotation+"invalid_refresh_token: The configured refresh_token was used already or is wrong: another collector or script uses it")
	assert.Empty(t, one.host.statuses())
}

// All log types ask for the token at once, by the real clock.
func TestRotationRaces(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	s.fakeSlack = newFakeSlack(t, slacktest.Options{})
	s.SetApp(slacktest.App{
		ClientID: appID, ClientSecret: appSecret, Scopes: []string{"auditlogs:read", "admin"}, Rotation: true, TokenLife: time.Second,
		Installer: slacktest.NewOrganisation(1).Identity(),
	})
	_, s.refresh = s.InstallApp(appID)
	r := s.receiver(t, "emea", func(cfg *Config) {
		cfg.AuditLogs.Get().PollInterval = 5 * time.Millisecond
		integration := cfg.IntegrationLogs.GetOrInsertDefault()
		integration.PollInterval, integration.RequestsPerMinute, integration.TeamIDs = 5*time.Millisecond, 1e9, []string{"*"}
		access := cfg.AccessLogs.GetOrInsertDefault()
		access.PollInterval, access.RequestsPerMinute, access.TeamIDs = 5*time.Millisecond, 1e9, []string{"*"}
	}, setup{})
	r.logsReceiver.clock = clock.Real{}
	r.start(t)
	s.Add(entry("a", time.Now()))
	require.Eventually(t, func() bool { return s.refreshes() >= 4 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return r.sink.LogRecordCount() > 0 }, patience, 10*time.Millisecond)
	// Not that there was no status: on a slow machine a token may end on its way.
}

// A refresh is a call to Slack, of no log type.
func TestTelemetryOfRotation(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	s := newRotatingSlack(t, nil)
	s.SetFault(slacktest.Only(slacktest.EveryNth(2, slacktest.FaultInternal), slacktest.PathExchange))
	set := metadatatest.NewSettings(tel)
	set.ID = component.NewID(metadata.Type)
	r := s.receiver(t, "emea", nil, setup{set: set})
	r.start(t)
	r.clock.rest(t)
	r.clock.polls(t, 60)
	m, err := tel.GetMetric("otelcol_slacklogs_request_duration")
	require.NoError(t, err)
	counts := map[attribute.Set]uint64{}
	for _, point := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		if method, _ := point.Attributes.Value("method"); method.AsString() == "oauth.v2.access" {
			counts[point.Attributes] = point.Count
		}
	}
	labels := []attribute.KeyValue{attribute.String("receiver", "slacklogs/emea"), attribute.String("method", "oauth.v2.access")}
	assert.Equal(t, map[attribute.Set]uint64{
		attribute.NewSet(labels...): 2,
		attribute.NewSet(append(labels, attribute.String("error_type", "500"))...): 1,
	}, counts)
}

// A shutdown in the middle of a refresh that hangs keeps to its time, and the
// mark is there for the next start.
func TestShutdownWhileRefreshing(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	s.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultHang), slacktest.PathExchange))
	r := s.receiver(t, "emea", nil, setup{})
	require.NoError(t, r.Start(t.Context(), r.host))
	require.Eventually(t, func() bool { return s.refreshes() == 1 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, r.Shutdown(ctx))
	assert.Contains(t, string(s.storage.contents()["Receiver slacklogs/emea  token_rotation"]), `"refreshing":true`)

	s.SetFault(nil)
	s.Add(entry("a", s.clock.Now()))
	next := s.receiver(t, "emea", nil, setup{})
	next.start(t)
	next.clock.rest(t)
	assert.Equal(t, 1, next.sink.LogRecordCount())
}

// A state that can't be used fails the start.
func TestRotationStateThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s := newRotatingSlack(t, nil)
	s.storage.values["Receiver slacklogs/emea  token_rotation"] = []byte(`{"version":2}`)
	r := s.receiver(t, "emea", nil, setup{})
	require.ErrorContains(t, r.Start(t.Context(), r.host), `the state "token_rotation" has version 2`)
	assert.Zero(t, s.storage.clients())
}

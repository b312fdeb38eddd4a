// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadatatest"
)

// fastClock goes a thousand times as fast as the machine's, so that what takes
// seconds on a budget takes milliseconds, and several may sleep on it.
type fastClock struct{ began time.Time }

const faster = 1000

func newFastClock() *fastClock { return &fastClock{time.Now()} }

func (c *fastClock) Now() time.Time { return startTime.Add(time.Since(c.began) * faster) }

func (*fastClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d / faster)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// company is a receiver with actor_roles and a Slack in which something happens
// again and again.
type company struct {
	*logsReceiver

	t     *testing.T
	slack fakeSlack
	sink  *consumertest.LogsSink
	host  *testHost
	logs  *observer.ObservedLogs
	made  atomic.Int64
	clock *fastClock
}

func newCompany(t *testing.T, edit func(cfg *Config, c *company)) *company {
	t.Helper()
	c := &company{t: t, clock: newFastClock(), sink: &consumertest.LogsSink{}, host: &testHost{extensions: map[component.ID]component.Component{}}}
	c.slack = newFakeSlack(t, slacktest.Options{Now: c.clock.Now, WebLimitPerMinute: 20, RetryAfter: 30 * time.Minute})
	c.slack.SetUser(slacktest.NewOrganisation(1).Users()...)
	cfg := c.slack.config(t)
	cfg.ActorRoles.GetOrInsertDefault()
	access, integration := cfg.AccessLogs.GetOrInsertDefault(), cfg.IntegrationLogs.GetOrInsertDefault()
	access.TeamIDs, integration.TeamIDs = []string{"T04BWHARBOR"}, []string{"T04BWHARBOR"}
	if edit != nil {
		edit(cfg, c)
	}
	require.NoError(t, cfg.Validate())
	set := receivertest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	var core zapcore.Core
	core, c.logs = observer.New(zapcore.DebugLevel)
	set.Logger = zap.New(core)
	c.logsReceiver = newLogsReceiver(set, cfg, c.sink, c.clock)
	return c
}

func (c *company) start() {
	c.t.Helper()
	require.NoError(c.t, c.Start(c.t.Context(), c.host))
	c.t.Cleanup(c.stop)
}

func (c *company) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	assert.NoError(c.t, c.Shutdown(ctx))
}

// acts has this user do something in each log.
func (c *company) acts(id string) {
	n, now := c.made.Add(1), c.clock.Now()
	c.slack.Add(slacktest.Entry{Date: now.Unix(), JSON: fmt.Appendf(nil,
		`{"id":"e%d","date_create":%d,"action":"user_login","actor":{"type":"user","user":{"id":%q}}}`, n, now.Unix(), id)})
	c.slack.SetLogin(slacktest.Login{Team: "T04BWHARBOR", UserID: id, IP: fmt.Sprintf("198.51.100.%d", n%250), UserAgent: strconv.FormatInt(n, 10), First: now.Unix(), Last: now.Unix(), Count: 1})
	c.slack.AddChange(slacktest.Change{Team: "T04BWHARBOR", Date: now.Unix(), JSON: fmt.Appendf(nil,
		`{"user_id":%q,"date":"%d","change_type":"added","app_id":"A%d"}`, id, now.Unix(), n)})
}

// shown are the roles that the records of a user show, "" for none, by log type.
func (c *company) shown(id string) map[string]map[string]bool {
	all := map[string]map[string]bool{"audit": {}, "access": {}, "integration": {}}
	for _, logs := range c.sink.AllLogs() {
		for _, rl := range logs.ResourceLogs().All() {
			for _, lr := range rl.ScopeLogs().At(0).LogRecords().All() {
				attrs := lr.Attributes().AsRaw()
				if attrs["user.id"] != id {
					continue
				}
				roles := ""
				if list, ok := attrs["user.roles"]; ok {
					roles = fmt.Sprint(list)
				}
				all[attrs["slack.log.type"].(string)][roles] = true
			}
		}
	}
	return all
}

// await has somebody act until each log shows these roles.
func (c *company) await(id, want string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		c.acts(id)
		for _, roles := range c.shown(id) {
			if !roles[want] {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond, "%s %s", id, want)
	for logType, roles := range c.shown(id) {
		delete(roles, "")
		delete(roles, want)
		assert.Empty(c.t, roles, logType)
	}
}

func (c *company) asks(path string) (n int) {
	for _, call := range c.slack.Calls() {
		if call.Path == path {
			n++
		}
	}
	return n
}

// Records of all log types carry the roles of their actors, soon after the
// start, while nothing else changes.
func TestActorRoles(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	c.slack.SetUser(slacktest.User{ID: "W0STRANGER", Org: "E04OTHER", Stranger: true})
	c.start()
	c.await("W04BW000000", "[owner admin]")
	c.await("W04BW000003", "[admin]")
	c.await("W04BW000004", "[member]")
	c.await("W04BW000011", "[guest]")
	c.await("U05BWBOT000", "[bot app]")
	c.await("W0STRANGER", "")
	c.await("W0NOBODY", "")
	require.Eventually(t, func() bool { return c.sink.LogRecordCount() == int(c.made.Load())*3 }, patience, time.Millisecond)
	c.stop()
	for uid, n := range uids(c.sink) {
		assert.Equal(t, 1, n, uid)
	}
	assert.Empty(t, c.slack.Violations())
	assert.LessOrEqual(t, c.slack.MaxPerMinute(slacktest.PathUsers), 15)
	for _, status := range c.host.statuses() {
		assert.Equal(t, "StatusOK", status)
	}
}

// Without the section, or where records have no attributes, Slack is not asked.
func TestActorRolesOff(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(cfg *Config){
		"no section":       func(cfg *Config) { cfg.ActorRoles = configoptional.None[actorRolesConfig]() },
		"attributes: none": func(cfg *Config) { cfg.Attributes = record.AttributesNone },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCompany(t, func(cfg *Config, _ *company) { edit(cfg) })
			c.start()
			c.acts("W04BW000000")
			require.Eventually(t, func() bool { return c.sink.LogRecordCount() == 3 }, patience, time.Millisecond)
			c.stop()
			for _, path := range []string{slacktest.PathUsers, slacktest.PathUser, slacktest.PathTeams} {
				assert.Zero(t, c.asks(path), path)
			}
			for _, roles := range c.shown("W04BW000000") {
				assert.LessOrEqual(t, len(roles), 1)
				assert.NotContains(t, roles, "[owner admin]")
			}
			warned := c.logs.FilterMessage("actor_roles has no effect with attributes: none").Len()
			assert.Equal(t, name == "attributes: none", warned == 1)
		})
	}
}

// A token without users:read is told of once. The logs and the status do not
// suffer, and once the scope is there the roles come.
func TestActorRolesWithoutTheScope(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	id := slacktest.NewOrganisation(1).Identity()
	id.Scopes = id.Scopes[:2]
	c.slack.SetToken(secretToken, id)
	c.start()
	require.Eventually(t, func() bool { return c.asks(slacktest.PathUsers) > 2 }, patience, time.Millisecond)
	c.await("W04BW000000", "")
	said := c.logs.Filter(func(line observer.LoggedEntry) bool {
		return line.Level >= zapcore.WarnLevel && line.ContextMap()["error"] != nil
	})
	require.Equal(t, 1, said.Len())
	assert.Contains(t, said.All()[0].ContextMap()["error"], "users.list: missing_scope (needed users:read, provided auditlogs:read,admin)")
	for _, status := range c.host.statuses() {
		assert.Equal(t, "StatusOK", status)
	}
	c.slack.SetToken(secretToken, slacktest.NewOrganisation(1).Identity())
	c.await("W04BW000000", "[owner admin]")
	for _, line := range c.logs.All() {
		assert.NotContains(t, fmt.Sprint(line.Message, line.ContextMap()), "W04BW")
	}
}

// The roles come with each way to bring a token.
func TestActorRolesWithAuth(t *testing.T) {
	t.Parallel()
	c := newCompany(t, func(cfg *Config, c *company) {
		auth := &fakeAuth{token: secretToken}
		c.host.extensions[authID] = auth
		cfg.Token = ""
		cfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: authID})
	})
	c.start()
	c.await("W04BW000000", "[owner admin]")
}

func TestActorRolesWithRotation(t *testing.T) {
	t.Parallel()
	c := newCompany(t, func(cfg *Config, c *company) {
		org := slacktest.NewOrganisation(1)
		c.slack.SetApp(slacktest.App{
			ID: "A0ROTATES", ClientID: appID, ClientSecret: appSecret, Scopes: org.Identity().Scopes,
			Rotation: true, TokenLife: time.Hour, Installer: org.Identity(),
		})
		_, refresh := c.slack.InstallApp(appID)
		c.host.extensions[storageID] = newMemoryStorage()
		cfg.Token, cfg.Storage = "", &storageID
		cfg.TokenRotation = &tokenRotationConfig{ClientID: appID, ClientSecret: appSecret, RefreshToken: configopaque.String(refresh)}
	})
	c.start()
	c.await("W04BW000000", "[owner admin]")
	// The roles are read again with a token that came later.
	before := c.asks(slacktest.PathUsers)
	require.Eventually(t, func() bool { return c.asks(slacktest.PathUsers) > before+3 }, patience, time.Millisecond)
	for _, line := range c.logs.All() {
		assert.Less(t, line.Level, zapcore.ErrorLevel)
		assert.NotContains(t, line.Message, "The roles of actors can't be read")
	}
}

// What Slack asks to wait outlives a restart.
func TestActorRolesAfterARestart(t *testing.T) {
	t.Parallel()
	memory := newMemoryStorage()
	c := newCompany(t, func(cfg *Config, c *company) {
		c.host.extensions[storageID] = memory
		cfg.Storage = &storageID
	})
	c.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultRateLimit), slacktest.PathUsers))
	require.NoError(t, c.Start(t.Context(), c.host))
	// Slack has been asked before its answer was read, and a shutdown in between has nothing to remember.
	require.Eventually(t, func() bool { return memory.holds(`"users.list"`) }, patience, time.Millisecond)
	c.stop()
	c.slack.SetFault(nil)
	c.logsReceiver = newLogsReceiver(c.set, c.cfg, c.sink, c.clock)
	c.start()
	c.await("W04BW000000", "[owner admin]")
	assert.Empty(t, c.slack.Violations())
}

// Only who leads asks, and knows.
func TestActorRolesOfLeaders(t *testing.T) {
	t.Parallel()
	elector := &fakeElector{}
	c := newCompany(t, func(cfg *Config, c *company) {
		c.host.extensions[electorID] = elector
		cfg.K8sLeaderElector = &electorID
	})
	c.start()
	assert.Zero(t, c.slack.CallCount())
	elector.win()
	c.await("W04BW000000", "[owner admin]")
	elector.lose()
	calls := c.slack.CallCount()
	began := c.clock.Now()
	require.Eventually(t, func() bool { return c.clock.Now().Sub(began) > 2*time.Hour }, patience, time.Millisecond)
	assert.Equal(t, calls, c.slack.CallCount())
	elector.win()
	c.await("W04BW000003", "[admin]")
}

// A call that hangs ends with the receiver.
func TestShutdownWhileRolesAreRead(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	c.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultHang), slacktest.PathUsers))
	c.start()
	require.Eventually(t, func() bool { return c.asks(slacktest.PathUsers) > 0 }, patience, time.Millisecond)
	c.await("W04BW000000", "")
	ctx, cancel := context.WithTimeout(t.Context(), shutdownTime)
	defer cancel()
	require.NoError(t, c.Shutdown(ctx))
	assert.Zero(t, c.logs.FilterMessageSnippet("did not finish in time").Len())
}

// The calls for roles are of no log type, and each record with an actor is
// counted once.
func TestTelemetryOfActorRoles(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	c := newCompany(t, nil)
	set := metadatatest.NewSettings(tel)
	set.ID = component.NewIDWithName(metadata.Type, "emea")
	c.logsReceiver = newLogsReceiver(set, c.cfg, c.sink, c.clock)
	c.start()
	c.await("W04BW000000", "[owner admin]")
	c.await("USLACKSECURITY", "")
	c.stop()

	counted := map[string]int64{}
	for _, p := range sums(t, tel, "otelcol_slacklogs_actor_roles") {
		outcome, _ := p.Attributes.Value("outcome")
		logType, _ := p.Attributes.Value("log_type")
		team, _ := p.Attributes.Value("team_id")
		counted[outcome.AsString()] += p.Value
		assert.Equal(t, logType.AsString() == "audit", team.AsString() == "")
	}
	want := map[string]int64{}
	for _, logs := range c.sink.AllLogs() {
		for _, rl := range logs.ResourceLogs().All() {
			for _, lr := range rl.ScopeLogs().At(0).LogRecords().All() {
				_, known := lr.Attributes().Get("user.roles")
				id, _ := lr.Attributes().Get("user.id")
				switch {
				case known:
					want["known"]++
				case id.Str() != "USLACKSECURITY":
					want["unknown"]++
				}
			}
		}
	}
	assert.Positive(t, want["known"])
	assert.Equal(t, want, counted)

	m, err := tel.GetMetric("otelcol_slacklogs_request_duration")
	require.NoError(t, err)
	found := false
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		if method, _ := p.Attributes.Value("method"); method.AsString() == "users.list" {
			_, of := p.Attributes.Value("log_type")
			assert.False(t, of)
			found = true
		}
	}
	assert.True(t, found)
}

func sums(t *testing.T, tel *componenttest.Telemetry, name string) []metricdata.DataPoint[int64] {
	t.Helper()
	m, err := tel.GetMetric(name)
	require.NoError(t, err)
	return m.Data.(metricdata.Sum[int64]).DataPoints
}

func TestRolesTeams(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		audit               bool
		access, integration []string
		want                []string
	}{
		{"audit logs are of all", true, []string{"T04A"}, nil, nil},
		{"the token's own", false, []string{}, nil, nil},
		{"all", false, []string{"*"}, []string{"T04A"}, nil},
		{"those of one", false, []string{"T04B", "T04A"}, nil, []string{"T04A", "T04B"}},
		{"those of both", false, []string{"T04B"}, []string{"T04A", "T04B"}, []string{"T04A", "T04B"}},
	} {
		cfg := createDefaultConfig().(*Config)
		if tt.audit {
			cfg.AuditLogs.GetOrInsertDefault()
		}
		if tt.access != nil {
			cfg.AccessLogs.GetOrInsertDefault().TeamIDs = tt.access
		}
		if tt.integration != nil {
			cfg.IntegrationLogs.GetOrInsertDefault().TeamIDs = tt.integration
		}
		assert.Equal(t, tt.want, cfg.rolesTeams(), tt.name)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	token    = "xoxp-1007-SECRET"
	harbour  = "T04HARBOUR"
	labs     = "T04LABS"
	org      = "E04BRIGHT"
	interval = time.Hour
)

var noon = time.Unix(1_780_000_000, 0)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testClock stands still until the test or a sleep moves it.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

// world is a source and the Slack that it asks.
type world struct {
	*Source
	t     *testing.T
	clock *testClock
	slack *slacktest.Server
	logs  *observer.ObservedLogs
}

// workspace is whom a workspace's token speaks for, and organisation the same
// of an organisation of these workspaces.
func workspace() slacktest.Identity {
	return slacktest.Identity{TeamID: harbour, EnterpriseID: org, Scopes: []string{"users:read"}}
}

func organisation(teams ...string) slacktest.Identity {
	id := slacktest.Identity{EnterpriseID: org, IsEnterpriseInstall: true, Scopes: []string{"users:read"}}
	for _, team := range teams {
		id.Teams = append(id.Teams, slacktest.Team{ID: team})
	}
	return id
}

type option func(*Settings, *slacktest.Options)

func newWorld(t *testing.T, id slacktest.Identity, options ...option) *world {
	t.Helper()
	w := &world{t: t, clock: &testClock{now: noon}}
	opt := slacktest.Options{Now: w.clock.Now, WebLimitPerMinute: 20}
	core, logs := observer.New(zapcore.DebugLevel)
	w.logs = logs
	set := Settings{
		Slack: slack.Settings{Token: token, Endpoint: "https://slack.test/api", Clock: w.clock},
		Clock: w.clock, Pauses: &slack.Pauses{}, Logger: zap.New(core), RefreshInterval: interval,
	}
	for _, o := range options {
		o(&set, &opt)
	}
	w.slack = slacktest.New(opt)
	w.slack.SetToken(token, id)
	set.Slack.HTTP = &http.Client{Transport: w.slack.Transport()}
	var err error
	set.Store, err = checkpoint.Open(t.Context(), componenttest.NewNopHost(), nil, component.MustNewID("slacklogs"))
	require.NoError(t, err)
	w.Source, err = New(t.Context(), set)
	require.NoError(t, err)
	t.Cleanup(func() {
		w.slack.Close()
		assert.Empty(t, w.slack.Violations())
		for _, line := range w.logs.All() {
			assert.NotRegexp(t, `SECRET|[UW]0[A-Z0-9]{3,}`, fmt.Sprint(line.Message, line.ContextMap()))
		}
	})
	return w
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	end := w.clock.Now().Add(d)
	for steps := 0; w.clock.Now().Before(end); steps++ {
		if steps > 1_000_000 {
			w.t.Fatal("it does not rest")
		}
		if wait := w.step(w.t.Context()); wait > 0 {
			_ = w.clock.Sleep(w.t.Context(), min(wait, end.Sub(w.clock.Now())))
		}
	}
}

func (w *world) of(id string) []string { return w.Of([]byte(id)) }

// asks is how often a path was asked, of a user if one is named.
func (w *world) asks(path, user string) (n int) {
	for _, c := range w.slack.Calls() {
		if c.Path == path && (user == "" || c.Query.Get("user") == user) {
			n++
		}
	}
	return n
}

// said are the log lines of at least this level.
func (w *world) said(level zapcore.Level) (lines []string) {
	for _, line := range w.logs.All() {
		if line.Level >= level {
			lines = append(lines, fmt.Sprint(line.Message, " ", line.ContextMap()["error"]))
		}
	}
	return lines
}

func full(id string) slacktest.User {
	return slacktest.User{ID: id, Org: org, Teams: []string{harbour}}
}

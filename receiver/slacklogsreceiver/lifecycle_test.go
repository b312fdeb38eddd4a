// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap/zapcore"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

func TestShutdownWithoutStart(t *testing.T) {
	t.Parallel()
	r := newRunning(audited(t), setup{})
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestShutdownTwice(t *testing.T) {
	t.Parallel()
	slack := newFakeSlack(t, slacktest.Options{})
	r := newRunning(slack.config(t), setup{})
	require.NoError(t, r.Start(t.Context(), r.host))
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}

// The start's context ends with the start, polling does not.
func TestStartContext(t *testing.T) {
	t.Parallel()
	slack := newFakeSlack(t, slacktest.Options{})
	r := newRunning(slack.config(t), setup{})
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, r.Start(ctx, r.host))
	cancel()
	r.clock.rest(t)
	assert.NotZero(t, slack.CallCount())
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestFailedStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// extension stands in the storage's place.
		extension component.Component
		state     string
		auth      bool
		want      string
	}{
		{name: "missing storage", want: `storage: extension "file_storage" is not there; define it under extensions and list it in service::extensions`},
		{name: "no storage", extension: &fakeAuth{}, want: `storage: extension "file_storage" is not a storage extension; name one such as file_storage`},
		{name: "storage in use", extension: &memoryStorage{openErr: errors.New("timeout")}, want: `storage: "file_storage" can't be opened (timeout)`},
		{name: "corrupt state", extension: newMemoryStorage(), state: `{"version":1,"org":`, want: `the state "audit" is not a state of this receiver; restore the storage from a backup, or delete it`},
		{name: "contradictory state", extension: newMemoryStorage(), state: `{"version":1,"start":-5,"anchored":true,"setting":"","high":5,"whole":5,"watermark":5,"ids_since":5,"ids":{}}`, want: `the state "audit" has parts that contradict each other; restore the storage from a backup, or delete it`},
		{name: "state without its ids", extension: newMemoryStorage(), state: `{"version":1,"start":5,"anchored":true,"setting":"","high":5,"whole":5,"watermark":5,"ids_since":5,"ids":{"0":1}}`, want: `is missing or broken; restore the storage from a backup, or delete it`},
		{name: "newer state", extension: newMemoryStorage(), state: `{"version":2,"org":7}`, want: `the state "audit" has version 2, this receiver knows up to 1; run the newer receiver again`},
		{name: "missing authenticator", auth: true, want: `failed to resolve authenticator`},
		{name: "first save", extension: &memoryStorage{values: map[string][]byte{}, setErr: errors.New("disk full")}, want: `storage: the first state can't be saved: disk full; check the storage's space and rights`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			slack := newFakeSlack(t, slacktest.Options{})
			cfg := slack.config(t)
			cfg.Storage = &storageID
			if tt.auth {
				cfg.Token = ""
				cfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: authID})
			}
			r := newRunning(cfg, setup{host: &testHost{extensions: map[component.ID]component.Component{}}})
			if tt.extension != nil {
				r.host.extensions[storageID] = tt.extension
			}
			memory, _ := tt.extension.(*memoryStorage)
			if tt.state != "" {
				client, err := memory.GetClient(t.Context(), component.KindReceiver, r.set.ID, "")
				require.NoError(t, err)
				require.NoError(t, client.Set(t.Context(), "audit", []byte(tt.state)))
				require.NoError(t, client.Close(t.Context()))
			}
			err := r.Start(t.Context(), r.host)
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), secretToken)
			if memory != nil {
				assert.Zero(t, memory.clients(), "the storage is released")
				if tt.state != "" {
					for _, value := range memory.contents() {
						assert.Equal(t, tt.state, string(value), "the state is left as it was")
					}
				}
			}
			assert.Zero(t, slack.CallCount())
			assert.Empty(t, r.host.statuses())
			require.NoError(t, r.Shutdown(t.Context()))
			require.NoError(t, r.Shutdown(t.Context()))
			if memory != nil {
				assert.Zero(t, memory.clients())
			}
		})
	}
}

// A start that failed leaves nothing behind that would keep the next from
// starting, and the storage opens anew.
func TestRestart(t *testing.T) {
	t.Parallel()
	slack := newFakeSlack(t, slacktest.Options{Now: func() time.Time { return startTime }})
	memory := newMemoryStorage()
	for run := range 3 {
		slack.Add(entry(string(rune('a'+run)), startTime.Add(-time.Minute)))
		cfg := slack.config(t)
		cfg.Storage = &storageID
		r := newRunning(cfg, setup{host: &testHost{extensions: map[component.ID]component.Component{storageID: memory}}})
		require.NoError(t, r.Start(t.Context(), r.host))
		assert.Equal(t, 1, memory.clients())
		r.clock.rest(t)
		require.NoError(t, r.Shutdown(t.Context()))
		assert.Zero(t, memory.clients())
		assert.Equal(t, 1, r.sink.LogRecordCount(), "only what is new comes")
		assert.Empty(t, r.host.statuses())
	}
}

// hanging is a consumer that ignores its context until it is let go.
type hanging struct {
	consumer.Logs
	entered, leave chan struct{}
	err            error
}

func newHanging() *hanging {
	return &hanging{entered: make(chan struct{}, 100), leave: make(chan struct{})}
}

func (h *hanging) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (h *hanging) ConsumeLogs(context.Context, plog.Logs) error {
	h.entered <- struct{}{}
	<-h.leave
	return h.err
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.FailNow(t, "it does not happen")
	}
}

func TestShutdownWhileTheConsumerHangs(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"and accepts": nil, "and refuses": errors.New("too late")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newFakeSlack(t, slacktest.Options{Now: func() time.Time { return startTime }})
			slack.Add(entry("a", startTime))
			memory := newMemoryStorage()
			cfg := slack.config(t)
			cfg.Storage = &storageID
			next := newHanging()
			next.err = answer
			r := newRunning(cfg, setup{next: next, host: &testHost{extensions: map[component.ID]component.Component{storageID: memory}}})
			require.NoError(t, r.Start(t.Context(), r.host))
			await(t, next.entered)
			polled := r.term.Load().polled

			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			require.NoError(t, r.Shutdown(ctx), "the storage still has the time to close")
			cancel()
			require.Equal(t, 1, r.logs.FilterMessageSnippet("did not finish in time").Len())
			assert.Zero(t, memory.clients())
			saved := memory.contents()

			// Its answer comes too late to be saved or reported.
			close(next.leave)
			await(t, polled)
			assert.Equal(t, saved, memory.contents())
			assert.Empty(t, r.host.statuses())
			assert.Empty(t, next.entered, "nothing more is handed over")
			require.NoError(t, r.Shutdown(t.Context()))
		})
	}
}

func TestShutdownWhileTheStorageHangs(t *testing.T) {
	t.Parallel()
	slack := newFakeSlack(t, slacktest.Options{Now: func() time.Time { return startTime }})
	memory := newMemoryStorage()
	memory.closing = make(chan struct{})
	cfg := slack.config(t)
	cfg.Storage = &storageID
	r := newRunning(cfg, setup{host: &testHost{extensions: map[component.ID]component.Component{storageID: memory}}})
	require.NoError(t, r.Start(t.Context(), r.host))
	r.clock.rest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.EqualError(t, r.Shutdown(ctx), "the storage did not close in time: context deadline exceeded")
	close(memory.closing)
	require.Eventually(t, func() bool { return memory.clients() == 0 }, patience, time.Millisecond)
}

// Shutdown ends in the middle of anything. That it takes no time shows in that
// no consumer is complained of.
func TestShutdownInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault slacktest.Fault
		path  string
		next  error
	}{
		{name: "of auth.test", fault: slacktest.FaultHang, path: slacktest.PathAuthTest},
		{name: "of a page", fault: slacktest.FaultHang, path: slacktest.PathAudit},
		{name: "of an endless answer", fault: slacktest.FaultEndless, path: slacktest.PathAudit},
		{name: "of a pause after an error", fault: slacktest.FaultInternal, path: slacktest.PathAudit},
		{name: "of Retry-After", fault: slacktest.FaultRateLimit, path: slacktest.PathAudit},
		{name: "of a retry of the pipeline", next: errors.New("queue is full")},
		{name: "of a poll interval"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			called := make(chan struct{}, 1000)
			slack := newFakeSlack(t, slacktest.Options{Now: func() time.Time { return startTime }})
			slack.Add(entry("a", startTime))
			slack.SetFault(func(c slacktest.Call) slacktest.Fault {
				if c.Path == tt.path {
					called <- struct{}{}
					return tt.fault
				}
				return slacktest.FaultNone
			})
			set := setup{}
			if tt.next != nil {
				set.next = consumerFunc(func(context.Context, plog.Logs) error { return tt.next })
			}
			r := newRunning(slack.config(t), set)
			require.NoError(t, r.Start(t.Context(), r.host))
			if tt.path != "" {
				await(t, called)
			}
			if tt.fault != slacktest.FaultHang && tt.fault != slacktest.FaultEndless {
				r.clock.rest(t)
			}
			before := r.host.statuses()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			require.NoError(t, r.Shutdown(ctx))
			assert.Zero(t, r.logs.FilterMessageSnippet("in time").Len())
			assert.Equal(t, before, r.host.statuses(), "to stop is no failure")
			for _, line := range r.lines() {
				assert.NotContains(t, line, "stopped")
			}
		})
	}
}

// consumerFunc is a function that consumes.
type consumerFunc func(ctx context.Context, logs plog.Logs) error

func (f consumerFunc) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (f consumerFunc) ConsumeLogs(ctx context.Context, logs plog.Logs) error { return f(ctx, logs) }

// Start does not wait for Slack.
func TestStartWithoutSlack(t *testing.T) {
	t.Parallel()
	slack := newFakeSlack(t, slacktest.Options{Now: func() time.Time { return startTime }})
	slack.Down(true)
	r := newRunning(slack.config(t), setup{})
	r.start(t)
	r.clock.rest(t)
	assert.Zero(t, r.sink.LogRecordCount())
	slack.Add(entry("a", startTime))
	slack.Down(false)
	r.clock.until(t, func() bool { return r.sink.LogRecordCount() == 1 })
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		rate    float64
		storage bool
		want    []string
	}{
		{name: "none", rate: 50, storage: true},
		{name: "no storage", rate: 30, want: []string{"No storage is configured"}},
		{name: "rate", rate: 51, storage: true, want: []string{"requests_per_minute is above Slack's limit"}},
		{name: "both", rate: 500, want: []string{"No storage is configured", "requests_per_minute is above Slack's limit"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			slack := newFakeSlack(t, slacktest.Options{Now: func() time.Time { return startTime }})
			cfg := slack.config(t)
			cfg.AuditLogs.Get().RequestsPerMinute = tt.rate
			r := newRunning(cfg, setup{host: &testHost{extensions: map[component.ID]component.Component{storageID: newMemoryStorage()}}})
			if tt.storage {
				cfg.Storage = &storageID
			}
			r.start(t)
			r.clock.rest(t)
			warnings := r.logs.FilterLevelExact(zapcore.WarnLevel).All()
			require.Len(t, warnings, len(tt.want), "%v", r.lines())
			for i, want := range tt.want {
				assert.Contains(t, warnings[i].Message, want)
			}
		})
	}
}

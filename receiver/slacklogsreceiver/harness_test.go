// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

const (
	secretToken = "xoxp-1007-SECRET-brightwater"
	secretEntry = "SECRET-entry-of-ada"
	// patience ends a test that would otherwise hang.
	patience = 20 * time.Second
)

var (
	startTime = time.Unix(1_780_000_000, 0)
	storageID = component.MustNewID("file_storage")
	authID    = component.MustNewID("fake_auth")
)

// stepClock stands still until the receiver sleeps and the test wakes it.
type stepClock struct {
	mu     sync.Mutex
	now    time.Time
	asleep chan struct{}
	wake   chan struct{}
}

func newStepClock() *stepClock {
	return &stepClock{now: startTime, asleep: make(chan struct{}), wake: make(chan struct{})}
}

func (c *stepClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stepClock) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case c.asleep <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-c.wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return nil
}

// rest waits until the receiver sleeps.
func (c *stepClock) rest(t *testing.T) {
	t.Helper()
	await(t, c.asleep)
}

// next lets the receiver, which has to be asleep, go on to its next sleep.
func (c *stepClock) next(t *testing.T) {
	t.Helper()
	c.wake <- struct{}{}
	c.rest(t)
}

// until steps until done.
func (c *stepClock) until(t *testing.T, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		c.next(t)
	}
	require.FailNow(t, "it does not happen")
}

// polls lets n polls and what belongs to them go by.
func (c *stepClock) polls(t *testing.T, n int) {
	t.Helper()
	end := c.Now().Add(time.Duration(n) * time.Minute)
	c.until(t, func() bool { return !c.Now().Before(end) })
}

// fakeSlack is a Slack behind a socket.
type fakeSlack struct {
	*slacktest.Server
	address string
}

func newFakeSlack(t *testing.T, opt slacktest.Options) fakeSlack {
	t.Helper()
	s := slacktest.New(opt)
	s.SetToken(secretToken, slacktest.NewOrganisation(1).Identity())
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	return fakeSlack{s, server.URL}
}

// entry is one that a secret stands in.
func entry(id string, at time.Time) slacktest.Entry {
	return slacktest.Entry{Date: at.Unix(), JSON: fmt.Appendf(nil,
		`{"id":%q,"date_create":%d,"action":"user_login","actor":{"type":"user","user":{"id":"W04BW000001","name":%q}}}`, id, at.Unix(), secretEntry)}
}

// config is for a receiver that reads this Slack, as often as a step clock lets it.
func (s fakeSlack) config(t *testing.T) *Config {
	t.Helper()
	cfg := audited(t)
	cfg.Token = secretToken
	cfg.Endpoint, cfg.AuditEndpoint = s.address+"/api", s.address+"/audit/v1"
	cfg.Timeout = patience
	cfg.AuditLogs.Get().RequestsPerMinute = 1e9
	cfg.RetryOnFailure.InitialInterval = time.Second
	cfg.RetryOnFailure.RandomizationFactor = 0
	return cfg
}

// testHost is a host that hears of statuses.
type testHost struct {
	extensions map[component.ID]component.Component

	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *testHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func (h *testHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// statuses are the events so far.
func (h *testHost) statuses() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		text := e.Status().String()
		if e.Err() != nil {
			text += " " + e.Err().Error()
		}
		all = append(all, text)
	}
	return all
}

// memoryStorage is a storage extension that outlives its clients.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc

	openErr error
	// opening and closing, if set, hold GetClient and Close up.
	opening, closing chan struct{}
	// locked allows one client at a time, as with files.
	locked bool

	mu     sync.Mutex
	values map[string][]byte
	// open is how many clients there are, and asked how often one was asked for.
	open, asked int
	setErr      error
}

func newMemoryStorage() *memoryStorage { return &memoryStorage{values: map[string][]byte{}} }

func (m *memoryStorage) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	if m.openErr != nil {
		return nil, m.openErr
	}
	if m.opening != nil {
		<-m.opening
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.locked && m.open > 0 {
		return nil, errors.New("timeout")
	}
	m.open++
	return &memoryClient{m, fmt.Sprintf("%s %s %s ", kind, id, name)}, nil
}

// holds is whether a text stands in what is stored.
func (m *memoryStorage) holds(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, value := range m.values {
		if bytes.Contains(value, []byte(text)) {
			return true
		}
	}
	return false
}

func (m *memoryStorage) clients() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

// fail makes writes fail, or succeed again with nil.
func (m *memoryStorage) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setErr = err
}

func (m *memoryStorage) contents() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values)
}

type memoryClient struct {
	*memoryStorage
	prefix string
}

func (c *memoryClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c *memoryClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *memoryClient) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

func (c *memoryClient) Batch(_ context.Context, ops ...*storage.Operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = bytes.Clone(c.values[c.prefix+op.Key])
		case storage.Set:
			if c.setErr != nil {
				return c.setErr
			}
			c.values[c.prefix+op.Key] = bytes.Clone(op.Value)
		case storage.Delete:
			delete(c.values, c.prefix+op.Key)
		}
	}
	return nil
}

func (c *memoryClient) Close(context.Context) error {
	if c.closing != nil {
		<-c.closing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	return nil
}

// fakeAuth is an authenticator whose token can be changed.
type fakeAuth struct {
	component.StartFunc
	component.ShutdownFunc

	mu    sync.Mutex
	token string
	err   error
}

func (a *fakeAuth) set(token string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token, a.err = token, err
}

// RoundTripper makes it an extensionauth.HTTPClient.
func (a *fakeAuth) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		a.mu.Lock()
		token, err := a.token, a.err
		a.mu.Unlock()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
		return base.RoundTrip(r)
	}), nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// running is a receiver under test with all that belongs to it.
type running struct {
	*logsReceiver
	clock *stepClock
	host  *testHost
	sink  *consumertest.LogsSink
	logs  *observer.ObservedLogs
}

type setup struct {
	set   receiver.Settings
	next  consumer.Logs
	clock *stepClock
	host  *testHost
}

// newRunning builds a receiver; what setup leaves out is made up.
func newRunning(cfg *Config, s setup) running {
	r := running{clock: s.clock, host: s.host, sink: &consumertest.LogsSink{}}
	if r.clock == nil {
		r.clock = newStepClock()
	}
	if r.host == nil {
		r.host = &testHost{}
	}
	if s.next == nil {
		s.next = r.sink
	}
	if s.set.ID == (component.ID{}) {
		s.set = receivertest.NewNopSettings(metadata.Type)
		s.set.ID = component.NewID(metadata.Type)
	}
	var core zapcore.Core
	core, r.logs = observer.New(zapcore.DebugLevel)
	s.set.Logger = zap.New(core)
	r.logsReceiver = newLogsReceiver(s.set, cfg, s.next, r.clock)
	return r
}

// start starts the receiver and shuts it down at the test's end.
func (r running) start(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Start(t.Context(), r.host))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		assert.NoError(t, r.Shutdown(ctx))
	})
}

// lines are the log lines so far, with all their fields.
func (r running) lines() (all []string) {
	for _, line := range r.logs.All() {
		all = append(all, fmt.Sprint(line.Message, line.ContextMap()))
	}
	return all
}

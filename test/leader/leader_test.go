// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package leader // import "github.com/slacklogs/otelcol-slacklogs/test/leader"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/k8sleaderelector"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"
)

const patience = 20 * time.Second

var (
	electorID = component.MustNewID("k8s_leader_elector")
	storageID = component.MustNewID("db_storage")
)

// memory is a storage that collectors share, one client at a time.
type memory struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	values map[string][]byte
	open   bool
}

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		return nil, errors.New("timeout")
	}
	m.open = true
	return client{m}, nil
}

func (m *memory) isOpen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

type client struct{ *memory }

func (c client) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c client) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

func (c client) Batch(_ context.Context, ops ...*storage.Operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = bytes.Clone(c.values[op.Key])
		case storage.Set:
			c.values[op.Key] = bytes.Clone(op.Value)
		case storage.Delete:
			delete(c.values, op.Key)
		}
	}
	return nil
}

func (c client) Close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	return nil
}

// collector is a receiver with a leader elector of its own.
type collector struct {
	elector  extension.Extension
	receiver receiver.Logs
	sink     consumertest.LogsSink
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

func newElector(t *testing.T, settings map[string]any) extension.Extension {
	t.Helper()
	factory := k8sleaderelector.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(settings).Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	elector, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	return elector
}

// newCollector starts a collector of the Slack at address.
func newCollector(t *testing.T, address string, memory *memory) *collector {
	t.Helper()
	c := &collector{elector: newElector(t, map[string]any{
		"auth_type":       "none",
		"lease_name":      leaseName,
		"lease_namespace": namespace,
		"lease_duration":  "3s",
		"renew_deadline":  "2s",
		"retry_period":    "200ms",
	})}
	factory := slacklogsreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"token":              "xoxp-brightwater",
		"endpoint":           address + "/api",
		"audit_endpoint":     address + "/audit/v1",
		"storage":            storageID.String(),
		"k8s_leader_elector": electorID.String(),
		"audit_logs":         map[string]any{"poll_interval": "100ms", "requests_per_minute": 50},
	}).Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	var err error
	set := receivertest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type()) // the state belongs to the name
	c.receiver, err = factory.CreateLogs(t.Context(), set, cfg, &c.sink)
	require.NoError(t, err)
	host := extensions{electorID: c.elector, storageID: memory}
	require.NoError(t, c.elector.Start(t.Context(), host))
	require.NoError(t, c.receiver.Start(t.Context(), host))
	t.Cleanup(func() { c.stop(context.WithoutCancel(t.Context()), t) })
	return c
}

// stop shuts down in the service's order.
func (c *collector) stop(ctx context.Context, t *testing.T) {
	t.Helper()
	assert.NoError(t, c.receiver.Shutdown(ctx))
	assert.NoError(t, c.elector.Shutdown(ctx))
}

func TestTakeover(t *testing.T) {
	k8s := newKubernetes(t)
	slack := slacktest.New(slacktest.Options{})
	slack.SetToken(slacktest.AnyToken, slacktest.NewOrganisation(1).Identity())
	server := httptest.NewServer(slack)
	t.Cleanup(func() {
		slack.Close()
		server.Close()
	})
	added := 0
	add := func() {
		added++
		now := time.Now().Unix()
		slack.Add(slacktest.Entry{Date: now, JSON: fmt.Appendf(nil, `{"id":"e%d","date_create":%d,"action":"user_login"}`, added, now)})
	}
	memory := &memory{values: map[string][]byte{}}
	receives := func(c *collector, n int) {
		t.Helper()
		assert.Eventually(t, func() bool { return c.sink.LogRecordCount() >= n }, patience, 10*time.Millisecond)
		assert.Equal(t, n, c.sink.LogRecordCount(), "only what is new")
	}

	add()
	first := newCollector(t, server.URL, memory)
	receives(first, 1)
	second := newCollector(t, server.URL, memory)
	add()
	receives(first, 2)
	assert.Zero(t, second.sink.LogRecordCount())

	// A collector is shut down.
	first.stop(t.Context(), t)
	assert.False(t, memory.isOpen())
	add()
	receives(second, 1)

	// The lease is lost while both run.
	third := newCollector(t, server.URL, memory)
	k8s.refuseHolder()
	assert.Eventually(t, func() bool { return !memory.isOpen() }, patience, time.Millisecond, "who leads no more lets go of the storage")
	add()
	receives(third, 1)
	assert.Equal(t, 1, second.sink.LogRecordCount())
	assert.Empty(t, slack.Violations())
}

// What the README shows of the extension is what it takes.
func TestREADME(t *testing.T) {
	newKubernetes(t)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?ms)^```yaml\n(extensions:\n  k8s_leader_elector:.*?)^```$").FindSubmatch(readme)
	require.NotNil(t, block)
	parsed, err := confmap.NewRetrievedFromYAML(block[1])
	require.NoError(t, err)
	conf, err := parsed.AsConf()
	require.NoError(t, err)
	all, err := conf.Sub("extensions")
	require.NoError(t, err)
	documented, err := all.Sub(electorID.String())
	require.NoError(t, err)
	settings := documented.ToStringMap()
	require.NotEmpty(t, settings)
	settings["auth_type"] = "none" // by default the pod's account, which is not here
	newElector(t, settings)
}

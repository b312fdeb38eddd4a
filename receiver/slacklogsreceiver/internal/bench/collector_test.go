// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
)

// callTime is how long a call takes by the virtual clock.
const callTime = 200 * time.Millisecond

// collector is what a poller needs around it: a virtual clock, a way to Slack,
// and a consumer that only counts.
type collector struct {
	now   time.Time
	http  http.RoundTripper
	calls []call
	// records is how many came, onRecords is told of more.
	records   int
	onRecords func(plog.Logs)
	// done ends a run when the poller waits.
	done func() bool
	stop context.CancelFunc
}

// call is one that the poller made.
type call struct {
	at   time.Time
	path string
}

func (c *collector) Now() time.Time { return c.now }

func (c *collector) Sleep(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	if c.done() {
		c.stop()
	}
	return ctx.Err()
}

func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	c.now = c.now.Add(callTime)
	c.calls = append(c.calls, call{c.now, r.URL.Path})
	r.Header.Set(nowHeader, strconv.FormatInt(c.now.UnixNano(), 10))
	return c.http.RoundTrip(r)
}

// callsTo counts the calls from a time on to before another, to paths that end
// so.
func (c *collector) callsTo(suffix string, from, to time.Time) (n int) {
	for _, call := range c.calls {
		if strings.HasSuffix(call.path, suffix) && !call.at.Before(from) && call.at.Before(to) {
			n++
		}
	}
	return n
}

func (c *collector) consume(_ context.Context, logs plog.Logs) error {
	c.records += logs.LogRecordCount()
	if c.onRecords != nil {
		c.onRecords(logs)
	}
	return nil
}

// settings are those of a poller that asks the Slack at this address.
func (c *collector) settings(t *testing.T, address string, store *checkpoint.Store) poll.Settings {
	t.Helper()
	builder, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	id := component.NewID(metadata.Type)
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: id, Transport: "http", ReceiverCreateSettings: receivertest.NewNopSettings(metadata.Type),
	})
	require.NoError(t, err)
	next, err := consumer.NewLogs(c.consume)
	require.NoError(t, err)
	return poll.Settings{
		ID: id,
		Slack: slack.Settings{
			HTTP: &http.Client{Transport: c}, Token: testToken, Endpoint: address + "/api",
			AuditEndpoint: address + "/audit/v1", UserAgent: "slacklogsreceiver/bench", Clock: c,
		},
		Clock: c, Store: store, Pauses: &slack.Pauses{}, Next: next, ObsReport: obs, Format: metadata.Type.String(),
		Retry: configretry.NewDefaultBackOffConfig(), Telemetry: builder, Logger: zap.NewNop(),
		ResourceAttributes: metadata.DefaultResourceAttributesConfig(), Scope: pcommon.NewInstrumentationScope(),
		Status: func(error) {},
	}
}

// audits makes a poller of the audit logs.
func (c *collector) audits(t *testing.T, address string, disk storage.Client) *poll.Poller {
	t.Helper()
	p, err := poll.NewAudit(t.Context(), c.settings(t, address, openStore(t, disk)), auditSettings())
	require.NoError(t, err)
	return p
}

// run polls until done.
func (c *collector) run(t *testing.T, p *poll.Poller, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	limit := c.now.Add(24 * time.Hour)
	c.done, c.stop = func() bool { return done() || c.now.After(limit) }, cancel
	p.Run(ctx)
	require.False(t, c.now.After(limit), "the run does not come to its end")
}

// auditSettings are the receiver's defaults, with Slack's largest pages.
func auditSettings() poll.AuditSettings {
	return poll.AuditSettings{
		PollInterval: time.Minute, InitialLookback: 24 * time.Hour, PageSize: maxPage, RequestsPerMinute: 30,
		Overlap: 15 * time.Minute, SweepInterval: 6 * time.Hour, SweepWindow: 24 * time.Hour, StaleAfter: 24 * time.Hour,
		Record: usual,
	}
}

// openStore opens the receiver's storage in disk.
func openStore(t *testing.T, disk storage.Client) *checkpoint.Store {
	t.Helper()
	id := component.MustNewID("file_storage")
	store, err := checkpoint.Open(t.Context(), host{id: extension{client: disk}}, &id, component.NewID(metadata.Type))
	require.NoError(t, err)
	return store
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

type extension struct {
	component.StartFunc
	component.ShutdownFunc

	client storage.Client
}

func (e extension) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return e.client, nil
}

// disk is a storage as the extension file_storage with fsync is: bbolt, each
// batch a transaction that writes, also one that only reads.
type disk struct {
	db *bbolt.DB
}

var bucket = []byte("default")

func newDisk(t *testing.T) *disk {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "state"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	}))
	return &disk{db: db}
}

func (d *disk) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := d.Batch(ctx, op)
	return op.Value, err
}

func (d *disk) Set(ctx context.Context, key string, value []byte) error {
	return d.Batch(ctx, storage.SetOperation(key, value))
}

func (d *disk) Delete(ctx context.Context, key string) error {
	return d.Batch(ctx, storage.DeleteOperation(key))
}

func (*disk) Close(context.Context) error { return nil }

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	return d.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for _, op := range ops {
			var err error
			switch op.Type {
			case storage.Get:
				op.Value = append([]byte(nil), b.Get([]byte(op.Key))...)
			case storage.Set:
				err = b.Put([]byte(op.Key), op.Value)
			case storage.Delete:
				err = b.Delete([]byte(op.Key))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sink is a storage that only counts what is written to it.
type sink struct{ written int }

func (*sink) Get(context.Context, string) ([]byte, error) { return nil, nil }

func (s *sink) Set(ctx context.Context, key string, value []byte) error {
	return s.Batch(ctx, storage.SetOperation(key, value))
}

func (s *sink) Delete(ctx context.Context, key string) error {
	return s.Batch(ctx, storage.DeleteOperation(key))
}

func (*sink) Close(context.Context) error { return nil }

func (s *sink) Batch(_ context.Context, ops ...*storage.Operation) error {
	for _, op := range ops {
		if op.Type != storage.Get {
			s.written += len(op.Key) + len(op.Value)
		}
	}
	return nil
}

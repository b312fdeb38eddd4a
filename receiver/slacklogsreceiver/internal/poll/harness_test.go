// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

const testToken = "xoxp-brightwater"

// noon is when the tests' worlds begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// crash is what ends a process in the middle of anything.
type crash struct{}

// actor is a collector's process: its clock, its way to Slack, its storage and
// its pipeline.
type actor interface {
	clock.Clock
	http.RoundTripper
	storage.Client
	consume(ctx context.Context, logs plog.Logs) error
}

// world is a Slack, a collector and the time, all in one goroutine: a run
// takes no real time and is the same each time.
type world struct {
	t      testing.TB
	now    time.Time
	slack  *slacktest.Server
	cfg    AuditSettings
	retry  configretry.BackOffConfig
	logs   *observer.ObservedLogs
	logger *zap.Logger
	token  string

	// skew is what the local clock is ahead of Slack's.
	skew time.Duration
	// disk survives a crash. onSave may refuse a save before or after it was
	// written, or crash.
	disk   map[string][]byte
	onSave func(write func()) error
	// onBatch comes in place of onSave; diskBytes is what the disk holds, and
	// tear may end a batch between two operations, as a storage would that is
	// not atomic.
	onBatch   func(ops []*storage.Operation, write func() error) error
	diskBytes int
	tear      func() error
	// onConsume decides what the pipeline answers.
	onConsume func(uids []string) error
	// onRecords looks at what arrives.
	onRecords func(plog.Logs)
	onCall    func()
	// onRequest may answer in Slack's place, onAnswer change what it answers.
	onRequest func(r *http.Request) *http.Response
	onAnswer  func(header http.Header)
	// onResponse sees what came of a call.
	onResponse func(r *http.Request, answer *http.Response, err error)
	// onSettings may change those of a poller.
	onSettings func(set *Settings)
	// plain leaves the answers uncompressed.
	plain bool
	// trace is told what happens, if set.
	trace func(format string, args ...any)

	// delivered counts what the backend accepted, by uid.
	delivered map[string]int
	// from is the workspace of the batch that arrives.
	from    string
	batches []int
	status  []error
	// until ends a run.
	until  time.Time
	stop   context.CancelFunc
	audit  *audit
	poller *Poller
	// acting is whose code runs: poller's, or a rival's.
	acting *Poller
	events []timed // by time
}

// timed happens when the time comes.
type timed struct {
	at time.Time
	do func()
}

func newWorld(tb testing.TB, opt slacktest.Options) *world {
	w := &world{
		t: tb, now: noon, token: testToken, disk: map[string][]byte{}, delivered: map[string]int{},
		cfg: AuditSettings{
			PollInterval: time.Minute, InitialLookback: 24 * time.Hour, PageSize: 100, RequestsPerMinute: 30,
			Overlap: 15 * time.Minute, SweepInterval: 6 * time.Hour, SweepWindow: 24 * time.Hour, StaleAfter: 24 * time.Hour,
			Record: record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore},
		},
		retry: configretry.BackOffConfig{Enabled: true, InitialInterval: time.Second, Multiplier: 1.5, MaxInterval: 30 * time.Second},
	}
	opt.Now = func() time.Time { return w.now }
	w.slack = slacktest.New(opt)
	w.slack.SetToken(testToken, slacktest.Identity{
		TeamID: "E0BRIGHT", Team: "Brightwater", EnterpriseID: "E0BRIGHT", URL: "https://brightwater.enterprise.slack.com/",
		UserID: "W0OWNER", User: "owner", Scopes: []string{"auditlogs:read"}, IsEnterpriseInstall: true,
	})
	core, logs := observer.New(zapcore.InfoLevel)
	w.logger, w.logs = zap.New(core), logs
	return w
}

// Now is the collector's clock.
func (w *world) Now() time.Time { return w.now.Add(w.skew) }

func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	if w.stop != nil {
		d = min(d, w.until.Sub(w.now))
	}
	w.pass(d)
	return ctx.Err()
}

// pass lets time go by, and what is due happen.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(max(d, 0))
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		e := w.events[0]
		w.events = w.events[1:]
		if e.at.After(w.now) {
			w.now = e.at
		}
		e.do()
	}
	w.now = end
	if !w.now.Before(w.until) && w.stop != nil {
		w.stop()
	}
}

// at has something happen at a time; of one time, what was said first.
func (w *world) at(t time.Time, do func()) {
	i := sort.Search(len(w.events), func(i int) bool { return w.events[i].at.After(t) })
	w.events = slices.Insert(w.events, i, timed{t, do})
}

// RoundTrip is the way to Slack; each call takes some time.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) { return w.roundTrip(r, w.pass) }

func (w *world) roundTrip(r *http.Request, wait func(time.Duration)) (*http.Response, error) {
	if w.onCall != nil {
		w.onCall()
	}
	wait(120 * time.Millisecond)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if w.onRequest != nil {
		if answer := w.onRequest(r); answer != nil {
			return answer, nil
		}
	}
	if w.plain {
		r.Header.Del("Accept-Encoding")
	}
	answer, err := w.slack.Transport().RoundTrip(r)
	if err == nil && w.onAnswer != nil {
		w.onAnswer(answer.Header)
	}
	if w.onResponse != nil {
		w.onResponse(r, answer, err)
	}
	return answer, err
}

// The storage client; a Batch is applied whole or not at all, as a file
// storage does.
func (w *world) Get(_ context.Context, key string) ([]byte, error) { return w.disk[key], nil }

func (w *world) Set(ctx context.Context, key string, value []byte) error {
	return w.Batch(ctx, storage.SetOperation(key, value))
}

func (w *world) Delete(ctx context.Context, key string) error {
	return w.Batch(ctx, storage.DeleteOperation(key))
}
func (*world) Close(context.Context) error { return nil }

func (w *world) Batch(_ context.Context, ops ...*storage.Operation) error {
	if ops[0].Type == storage.Get { // a start, which what befalls saves does not concern
		for _, op := range ops {
			op.Value = w.disk[op.Key]
		}
		return nil
	}
	write := func() error {
		for i, op := range ops {
			if i > 0 && w.tear != nil {
				if err := w.tear(); err != nil {
					return err
				}
			}
			switch op.Type {
			case storage.Set:
				w.diskBytes += len(op.Value) - len(w.disk[op.Key])
				w.disk[op.Key] = append([]byte(nil), op.Value...)
			case storage.Delete:
				w.diskBytes -= len(w.disk[op.Key])
				delete(w.disk, op.Key)
			default:
				w.t.Fatal("unexpected operation")
			}
		}
		return nil
	}
	switch {
	case w.onBatch != nil:
		return w.onBatch(ops, write)
	case w.onSave != nil:
		return w.onSave(func() { _ = write() })
	default:
		return write()
	}
}

// extension is the storage extension around the world's disk.
type storageExtension struct {
	component.StartFunc
	component.ShutdownFunc
	client storage.Client
}

func (e storageExtension) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return e.client, nil
}

type storageHost struct{ client storage.Client }

var storageID = component.MustNewID("file_storage")

func (h storageHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: storageExtension{client: h.client}}
}

func (w *world) consume(_ context.Context, logs plog.Logs) error {
	uids := make([]string, 0, logs.LogRecordCount())
	for _, rl := range logs.ResourceLogs().All() {
		id, _ := rl.Resource().Attributes().Get("slack.enterprise.id")
		require.Equal(w.t, "E0BRIGHT", id.Str())
		team, _ := rl.Resource().Attributes().Get("slack.team.id")
		w.from = team.Str()
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				uid, ok := lr.Attributes().Get("log.record.uid")
				if !ok {
					w.t.Fatal("a record without uid")
				}
				uids = append(uids, uid.Str())
			}
		}
	}
	if w.onRecords != nil {
		w.onRecords(logs)
	}
	// The records are the consumer's: what it does to them must not come back.
	logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
	if w.onConsume != nil {
		if err := w.onConsume(uids); err != nil {
			return err
		}
	}
	w.accept(uids)
	return nil
}

func (w *world) accept(uids []string) {
	w.batches = append(w.batches, len(uids))
	for _, uid := range uids {
		w.delivered[uid]++
	}
}

// start makes a collector of what the disk holds.
func (w *world) start() (err error) {
	if w.poller, err = NewAudit(context.Background(), w.settings(), w.cfg); err != nil {
		return err
	}
	w.audit = w.poller.logType.(*audit)
	w.acting = w.poller
	return nil
}

func (w *world) settings() Settings {
	store, err := openStore(w)
	require.NoError(w.t, err)
	return w.settingsOf(w, store)
}

func openStore(client storage.Client) (*checkpoint.Store, error) {
	return checkpoint.Open(context.Background(), storageHost{client}, &storageID, component.MustNewID("slacklogs"))
}

func (w *world) settingsOf(a actor, store *checkpoint.Store) Settings {
	tel := componenttest.NewNopTelemetrySettings()
	builder, err := metadata.NewTelemetryBuilder(tel)
	require.NoError(w.t, err)
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: component.MustNewID("slacklogs"), Transport: "http", ReceiverCreateSettings: nopSettings(),
	})
	require.NoError(w.t, err)
	next, err := consumer.NewLogs(a.consume)
	require.NoError(w.t, err)
	set := Settings{
		ID: component.MustNewID("slacklogs"),
		Slack: slack.Settings{
			HTTP: &http.Client{Transport: a}, Token: w.token, Endpoint: "https://slack.example/api",
			AuditEndpoint: "https://slack.example/audit/v1", UserAgent: "slacklogsreceiver/test", Clock: a,
		},
		Clock: a, Store: store, Pauses: &slack.Pauses{}, Next: next, ObsReport: obs, Format: "slacklogs", Retry: w.retry,
		Telemetry: builder, Logger: w.logger, ResourceAttributes: metadata.DefaultResourceAttributesConfig(),
		Scope: pcommon.NewInstrumentationScope(), Status: func(err error) { w.status = append(w.status, err) },
	}
	if w.onSettings != nil {
		w.onSettings(&set)
	}
	return set
}

// run polls for d. It reports whether the process crashed.
func (w *world) run(d time.Duration) (crashed bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.stop, w.until = cancel, w.now.Add(d)
	return crashes(func() { w.poller.Run(ctx) })
}

// crashes does it and reports whether the process died of it.
func crashes(do func()) (crashed bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case crash{}:
			crashed = true
		default:
			panic(p)
		}
	}()
	do()
	return false
}

// entry is a small audit entry.
func entry(id string, date int64) slacktest.Entry {
	return slacktest.Entry{Date: date, JSON: fmt.Appendf(nil,
		`{"id":%q,"date_create":%d,"action":"user_login","actor":{"type":"user","user":{"id":"W0ALICE"}}}`, id, date)}
}

// fill adds n entries from..to, spread evenly.
func (w *world) fill(prefix string, n int, from, to time.Time) {
	entries := make([]slacktest.Entry, n)
	step := to.Sub(from) / time.Duration(max(n, 1))
	for i := range entries {
		entries[i] = entry(fmt.Sprintf("%s%d", prefix, i), from.Add(time.Duration(i)*step).Unix())
	}
	w.slack.Add(entries...)
}

// requireAll checks that each entry of the prefix was delivered exactly once.
func (w *world) requireAll(prefix string, n int) {
	w.t.Helper()
	for i := range n {
		require.Equal(w.t, 1, w.delivered[fmt.Sprintf("%s%d", prefix, i)], "%s%d", prefix, i)
	}
}

// calls are the calls to the audit API so far.
func (w *world) calls() []slacktest.CallRecord {
	var calls []slacktest.CallRecord
	for _, c := range w.slack.Calls() {
		if strings.HasSuffix(c.Path, "/logs") {
			calls = append(calls, c)
		}
	}
	return calls
}

var errFull = errors.New("no space left")

func nopSettings() receiver.Settings { return receivertest.NewNopSettings(metadata.Type) }

func mustInt(tb testing.TB, s string) int64 {
	tb.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	require.NoError(tb, err)
	return n
}

// describe says when an entry was and from when on Slack showed it.
func (w *world) describe(uid string) string {
	for _, e := range w.slack.Shown() {
		if strings.Contains(string(e.JSON), `"id":"`+uid+`"`) {
			return fmt.Sprintf("dated %d, shown from %d", e.Date, e.Shown.Unix())
		}
	}
	return "never shown"
}

// inGap reports whether the entry stands in the state as missing.
func (w *world) inGap(uid string) bool {
	for _, e := range w.slack.Shown() {
		if strings.Contains(string(e.JSON), `"id":"`+uid+`"`) {
			return w.audit.state.inGap(span{e.Date, e.Date})
		}
	}
	return false
}

// rival is a second collector beside the first, with the same storage. It runs
// whenever the first one waits: as a coroutine, so that all stays in one
// goroutine's order.
type rival struct {
	*world
	poller  *Poller
	cancel  context.CancelFunc
	yield   func(time.Duration) bool
	resume  func() (time.Duration, bool)
	kill    func()
	gone    bool
	crashed bool
}

// start has the rival run from now on.
func (p *rival) start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.resume, p.kill = iter.Pull(func(yield func(time.Duration) bool) {
		p.yield = yield
		p.crashed = crashes(func() { p.poller.Run(ctx) })
	})
	p.next()
}

// next lets the rival run until it waits.
func (p *rival) next() {
	if p.gone {
		return
	}
	before := p.acting
	p.acting = p.poller
	d, ok := p.resume()
	p.acting = before
	if p.gone = !ok; ok {
		p.at(p.now.Add(max(d, 0)), p.next)
	}
}

// end stops the rival, or has it die where it is.
func (p *rival) end(dies bool) {
	if p.gone {
		return
	}
	before := p.acting
	p.acting = p.poller
	if dies {
		p.crashed = true
	} else {
		p.cancel()
		p.resume()
	}
	p.kill()
	p.acting, p.gone = before, true
}

func (p *rival) wait(ctx context.Context, d time.Duration) {
	if ctx.Err() == nil && !p.yield(d) {
		panic(crash{})
	}
}

func (p *rival) Sleep(ctx context.Context, d time.Duration) error {
	p.wait(ctx, d)
	return ctx.Err()
}

func (p *rival) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.roundTrip(r, func(d time.Duration) { p.wait(r.Context(), d) })
}

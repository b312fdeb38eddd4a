// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// backend takes logs over OTLP and remembers how often each arrived.
type backend struct {
	url    string
	server *httptest.Server

	mu       sync.Mutex
	decide   func(r *http.Request, n int) verdict
	requests int
	records  int
	arrived  map[bodyHash]*arrival  // audit log entries
	rows     map[string]*rowArrival // of access and integration logs, by uid
	told     []healthRecord         // health records, as they came
	// batches are how many of a log type came from each run of the collector.
	batches map[runOf]int
	// resources are all that came with rows, by log type and workspace.
	resources map[string]map[string]any
	kinds     map[string]string // of attributes
	mixed     []string          // what is wrong with attributes
}

// verdict is what becomes of a request. The zero value takes it.
type verdict struct {
	status int  // 0 = 200
	lose   bool // the records were not taken
	header http.Header
}

// logTypeHeader is where a verdict finds what kind of records a request brings.
const logTypeHeader = "X-Log-Type"

// bodyHash stands for a body, byte for byte, in less memory.
type bodyHash [sha256.Size]byte

type arrival struct {
	times int
	uid   string
}

// rowArrival is what arrived under one uid.
type rowArrival struct {
	body              bodyHash
	kind, team, event string
	delta             int64
	deltaOK           bool
	times, place      int // place among the rows, by their first arrival
	came              []coming
}

// runOf is one run of the collector, as one log type sees it.
type runOf struct{ run, kind string }

// coming is with which batch a row came.
type coming struct {
	runOf
	batch int
}

func makeBackend() *backend {
	return &backend{
		arrived: map[bodyHash]*arrival{}, rows: map[string]*rowArrival{}, batches: map[runOf]int{},
		resources: map[string]map[string]any{}, kinds: map[string]string{},
	}
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := makeBackend()
	b.server = httptest.NewUnstartedServer(b)
	b.url = "http://" + b.server.Listener.Addr().String()
	b.server.Start()
	t.Cleanup(func() {
		b.server.CloseClientConnections()
		b.server.Close()
	})
	return b
}

// newLateBackend has an address but is not there yet: its callers are refused until it opens.
func newLateBackend(t *testing.T) (b *backend, open func()) {
	t.Helper()
	b = makeBackend()
	address := "127.0.0.1:" + freePort(t)
	b.url = "http://" + address
	return b, func() {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		b.server = httptest.NewUnstartedServer(b)
		require.NoError(t, b.server.Listener.Close())
		b.server.Listener = listener
		b.server.Start()
		t.Cleanup(func() {
			b.server.CloseClientConnections()
			b.server.Close()
		})
	}
}

// setDecide has each request ask for its verdict. n counts from 1 from now on.
func (b *backend) setDecide(decide func(r *http.Request, n int) verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decide, b.requests = decide, 0
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	logs, err := read(r)
	if err != nil {
		// The collector was killed while it sent. Else a 400 shows as a dropped batch.
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if logs.ResourceLogs().Len() > 0 {
		rec := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		r.Header.Set(logTypeHeader, text(rec.Attributes(), "slack.log.type"))
	}
	b.mu.Lock()
	b.requests++
	n, decide := b.requests, b.decide
	b.mu.Unlock()
	var v verdict
	if decide != nil {
		v = decide(r, n) // without the lock: it may take its time
	}
	if !v.lose {
		b.take(logs, r.Header.Get("X-Run"))
	}
	maps.Copy(w.Header(), v.header)
	w.Header().Set("Content-Type", "application/x-protobuf")
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
}

func read(r *http.Request) (plog.Logs, error) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return plog.Logs{}, err
		}
		body = unpacked
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return plog.Logs{}, err
	}
	req := plogotlp.NewExportRequest()
	if err := req.UnmarshalProto(text); err != nil {
		return plog.Logs{}, err
	}
	return req.Logs(), nil
}

func (b *backend) take(logs plog.Logs, run string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		from := b.batch(rl, run)
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				b.record(rec, rl.Resource().Attributes(), from)
			}
		}
	}
}

// batch counts a batch; it is of one log type.
func (b *backend) batch(rl plog.ResourceLogs, run string) coming {
	rec := rl.ScopeLogs().At(0).LogRecords().At(0)
	of := runOf{run, text(rec.Attributes(), "slack.log.type")}
	b.batches[of]++
	return coming{of, b.batches[of]}
}

func (b *backend) record(rec plog.LogRecord, resource pcommon.Map, from coming) {
	hash := bodyHash(sha256.Sum256([]byte(rec.Body().Str())))
	uid := text(rec.Attributes(), "log.record.uid")
	switch from.kind {
	case "access", "integration":
		b.row(rec, uid, hash, resource, from)
	case "collection":
		b.tell(rec, uid, from)
	default:
		b.records++
		a := b.arrived[hash]
		if a == nil {
			a = &arrival{}
			b.arrived[hash] = a
		}
		a.times++
		a.uid = uid
	}
	for name, value := range rec.Attributes().All() {
		kind := kindOf(value)
		if before, ok := b.kinds[name]; ok && before != kind {
			b.mixed = append(b.mixed, fmt.Sprintf("%s is %s here and %s there", name, before, kind))
			continue
		}
		b.kinds[name] = kind
	}
}

func (b *backend) row(rec plog.LogRecord, uid string, hash bodyHash, resource pcommon.Map, from coming) {
	kind, team := from.kind, text(resource, "slack.team.id")
	b.resources[kind+" "+team] = resource.AsRaw()
	a := b.rows[uid]
	if a == nil {
		a = &rowArrival{body: hash, kind: kind, team: team, event: rec.EventName(), place: len(b.rows)}
		if delta, ok := rec.Attributes().Get("slack.access.count_delta"); ok {
			a.delta, a.deltaOK = delta.Int(), true
		}
		b.rows[uid] = a
	}
	if a.body != hash {
		b.mixed = append(b.mixed, uid+" came with two bodies")
	}
	if change := text(rec.Attributes(), "slack.access.change"); kind == "access" && "slack.access."+change != rec.EventName() {
		b.mixed = append(b.mixed, fmt.Sprintf("%s is %q and has the change %q", uid, rec.EventName(), change))
	}
	a.times++
	a.came = append(a.came, from)
}

func text(m pcommon.Map, name string) string {
	value, _ := m.Get(name)
	return value.Str()
}

// kindOf is the type of an attribute; a list of strings counts as a string.
func kindOf(v pcommon.Value) string {
	if v.Type() != pcommon.ValueTypeSlice {
		return v.Type().String()
	}
	for _, element := range v.Slice().All() {
		if element.Type() != pcommon.ValueTypeStr {
			return "list of " + element.Type().String()
		}
	}
	return pcommon.ValueTypeStr.String()
}

// distinct is the number of different entries that arrived.
func (b *backend) distinct() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.arrived)
}

// repeats is how many records came although they had come before.
func (b *backend) repeats() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.records - len(b.arrived)
}

// bodies are what has to arrive: Slack's own text, but for invalid UTF-8.
func bodies(entries []slacktest.Entry) map[bodyHash]string {
	all := make(map[bodyHash]string, len(entries))
	for _, e := range entries {
		text := strings.ToValidUTF8(string(e.JSON), "\uFFFD")
		all[sha256.Sum256([]byte(text))] = text
	}
	return all
}

// waitForAll waits until as much has arrived as Slack shows, and looks whether it is the same.
func (b *backend) waitForAll(c *collector, slack *fakeSlack) {
	c.t.Helper()
	want := bodies(slack.Shown())
	c.waitFor(fmt.Sprintf("%d entries arrive", len(want)), func() bool { return b.distinct() >= len(want) })
	b.requireAll(c.t, want)
}

func (b *backend) requireAll(t *testing.T, want map[bodyHash]string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	missing, changed := 0, 0
	for hash, text := range want {
		if b.arrived[hash] == nil {
			if missing++; missing <= 5 {
				t.Logf("missing: %s", text)
			}
		}
	}
	for hash, a := range b.arrived {
		if _, ok := want[hash]; !ok {
			if changed++; changed <= 5 {
				t.Logf("arrived with a body that Slack did not send: uid %s", a.uid)
			}
		}
	}
	require.Zero(t, missing, "entries that did not arrive")
	require.Zero(t, changed, "bodies that are not Slack's")
}

// requireOnce: nothing came twice, though Slack was asked again since.
func (b *backend) requireOnce(c *collector, slack *fakeSlack) {
	c.t.Helper()
	slack.waitForCalls(c, 3)
	if b.repeats() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for hash, text := range bodies(slack.Shown()) {
		if a := b.arrived[hash]; a.times > 1 {
			c.t.Logf("came %d times: %s", a.times, text)
		}
	}
	c.t.Fatalf("%d records came again", b.records-len(b.arrived))
}

// requireOneTypePerName: no name has two types, and none is both a value and a parent.
func (b *backend) requireOneTypePerName(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Empty(t, b.mixed)
	for _, name := range slices.Sorted(maps.Keys(b.kinds)) {
		for at := range name {
			if name[at] == '.' {
				assert.NotContains(t, b.kinds, name[:at], "is both a value and the parent of %s", name)
			}
		}
	}
}

// refuse loses the request with a status.
func refuse(status int) verdict { return verdict{status: status, lose: true} }

// hang answers only when the caller has gone, or the test is over.
func hang(r *http.Request, over <-chan struct{}) verdict {
	select {
	case <-r.Context().Done():
	case <-over:
	case <-time.After(patience):
	}
	return refuse(http.StatusServiceUnavailable)
}

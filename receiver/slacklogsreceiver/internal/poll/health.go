// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// What health records tell of.
const (
	eventHeartbeat   = "heartbeat"
	eventGapOpened   = "gap_opened"
	eventGapClosed   = "gap_closed"
	eventStale       = "stale"
	eventAuthFailing = "auth_failing"
	eventRecovered   = "recovered"
)

// How a gap was closed.
const (
	outcomeComplete = "complete"
	outcomeGivenUp  = "given_up"
)

const (
	healthKey = "health"
	// maxEvents is how many records wait for the pipeline at most; the next
	// heartbeat tells the state in any case.
	maxEvents = 1000
	// maxTold is how many gaps, and how many workspaces, a heartbeat names.
	maxTold = 1000
)

// event is something that a backend has to know.
type event struct {
	name    string
	gap     *gap
	outcome string
	// from is what was recovered from, problem what is failing.
	from, problem string
}

// HealthSettings are those of the health records.
type HealthSettings struct {
	HeartbeatInterval time.Duration
	Body              record.Body

	_ struct{}
}

// Health sends the collector's own records down the pipeline, so that a
// backend alone can watch the watcher: a heartbeat for each log type, and a
// record for each event. It is a goroutine of its own; the pollers hand it
// events. A nil Health does nothing.
type Health struct {
	set     Settings
	cfg     HealthSettings
	out     *delivery
	pollers []*Poller
	state   healthState

	// nextBeat is when the next heartbeat is due, beaten set once there was one,
	// and beat the one that waits.
	nextBeat time.Time
	beaten   bool
	beat     *heartbeat

	mu sync.Mutex
	// waiting are the records that the pipeline has not accepted yet, and made
	// how many there were so far. dropping is set while they are too many.
	waiting  []healthRecord
	made     int
	dropping bool
	wake     context.CancelFunc
	// told becomes the state's with the next save.
	told map[string]bool
}

// heartbeat is what becomes the state once its records were accepted.
type heartbeat struct {
	at       time.Time
	reported map[string]int64
	last     int // the number of its last record
}

// healthState is the saved document of the health records.
type healthState struct {
	Version int `json:"version"`
	// At is the time of the last heartbeat by the local clock, in ms, and Reported what
	// it said to have been delivered since the state began, by log type and
	// workspace.
	At       int64            `json:"at"`
	Reported map[string]int64 `json:"reported"`
	// Told are the troubles that were told of and not taken back, so that they
	// are also when a restart mends them.
	Told map[string]bool `json:"told,omitempty"`
}

// healthRecord waits for the pipeline.
type healthRecord struct {
	number   int
	at       time.Time
	resource pcommon.Resource
	name     string
	logType  string
	body     []byte
}

// NewHealth loads the state of the health records. Pollers whose Settings name
// it are in its heartbeats. Of the settings it uses those of delivery.
func NewHealth(ctx context.Context, set Settings, cfg HealthSettings) (*Health, error) {
	h := &Health{
		set: set, cfg: cfg,
		out: &delivery{
			next: set.Next, obs: set.ObsReport, format: set.Format, retry: set.Retry,
			clock: set.Clock, logger: set.Logger, refused: func() {},
		},
	}
	found, err := set.Store.Load(ctx, healthKey, &h.state, "reported")
	if err != nil {
		return nil, err
	}
	if !found {
		h.state = healthState{Version: checkpoint.Version, Reported: map[string]int64{}}
	}
	if h.state.Reported == nil {
		return nil, set.Store.Invalid(healthKey, "lacks a part")
	}
	h.told = maps.Clone(h.state.Told)
	return h, nil
}

// watch puts a poller into the heartbeats.
func (h *Health) watch(p *Poller) {
	if h != nil {
		h.pollers = append(h.pollers, p)
	}
}

// happened makes a record of an event of the source.
func (h *Health) happened(s *source, e event) {
	if h == nil {
		return
	}
	p, now := s.poller, h.set.Clock.Now()
	body := healthBody{
		Event: e.name, Receiver: h.set.ID.String(), LogType: p.kind, Time: moment(now),
		TeamID: s.team, Outcome: e.outcome, From: e.from, Problem: e.problem,
	}
	if e.gap != nil {
		g := e.gap.report("")
		body.Gap = &g
	}
	h.note(s, e)
	h.put(now, s.named(), body)
	h.rouse()
}

// toldOf reports whether a record told of the trouble and none has taken it
// back.
func (h *Health) toldOf(s *source, trouble string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told[s.key()+" "+trouble]
}

// note keeps what a record tells of, or takes back.
func (h *Health) note(s *source, e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.name {
	case eventStale, eventAuthFailing:
		if h.told == nil {
			h.told = map[string]bool{}
		}
		h.told[s.key()+" "+e.name] = true
	case eventRecovered:
		delete(h.told, s.key()+" "+e.from)
	}
}

// put adds a record to those that wait.
func (h *Health) put(at time.Time, id slack.Identity, body healthBody) {
	text, err := json.Marshal(body)
	if err != nil {
		h.set.Logger.Error("A health record can't be made", zap.Error(err))
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) >= maxEvents {
		// Never a heartbeat: what it counts would not be told.
		if oldest := slices.IndexFunc(h.waiting, func(r healthRecord) bool { return r.name != eventHeartbeat }); oldest >= 0 {
			h.waiting = slices.Delete(h.waiting, oldest, oldest+1)
		}
		if !h.dropping {
			h.dropping = true
			h.set.Logger.Warn("The pipeline refuses health records for too long; the oldest are dropped, the heartbeats go on telling the state")
		}
	}
	h.made++
	h.waiting = append(h.waiting, healthRecord{
		number: h.made, at: at, resource: resource(id, h.set.ResourceAttributes), name: body.Event, logType: body.LogType, body: text,
	})
}

// rouse ends the sleep, as there may be something to send.
func (h *Health) rouse() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wake != nil {
		h.wake()
	}
}

// Run sends records until the context ends.
func (h *Health) Run(ctx context.Context) {
	for ctx.Err() == nil {
		// What happens from here on ends the sleep.
		sleep, cancel := context.WithCancel(ctx)
		h.mu.Lock()
		h.wake = cancel
		h.mu.Unlock()
		if wait := h.step(ctx); wait > 0 {
			_ = h.set.Clock.Sleep(sleep, wait)
		}
		cancel()
	}
}

// step sends what waits, and says how long there is nothing to send.
func (h *Health) step(ctx context.Context) time.Duration {
	now := h.set.Clock.Now()
	if h.nextBeat.IsZero() {
		h.nextBeat = now.Add(h.cfg.HeartbeatInterval)
	}
	// The first one says something once each source was read.
	unread := func(p *Poller) bool { return !p.allPolled() }
	if h.beat == nil && (!now.Before(h.nextBeat) || !h.beaten && !slices.ContainsFunc(h.pollers, unread)) {
		h.makeBeat(now)
	}
	for {
		b, last := h.next()
		if b == nil {
			return max(h.nextBeat.Sub(h.set.Clock.Now()), time.Millisecond)
		}
		if _, err := h.out.send(ctx, b); err != nil {
			return refusedPause
		}
		h.sent(last)
		if h.beat != nil && last >= h.beat.last {
			h.state.At, h.state.Reported, h.beat = h.beat.at.UnixMilli(), h.beat.reported, nil
		}
		h.save(ctx)
	}
}

// makeBeat makes a heartbeat for each log type.
func (h *Health) makeBeat(now time.Time) {
	h.beat = &heartbeat{at: now, reported: maps.Clone(h.state.Reported)}
	h.beaten, h.nextBeat = true, now.Add(h.cfg.HeartbeatInterval)
	since := ""
	if h.state.At > 0 {
		since = moment(time.UnixMilli(h.state.At))
	}
	for _, p := range h.pollers {
		body := healthBody{Event: eventHeartbeat, Receiver: h.set.ID.String(), LogType: p.kind, Time: moment(now), Since: since}
		p.describe(&body, h.state.Reported, h.beat.reported)
		h.put(now, p.whole.named(), body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beat.last = h.made
}

// next is a batch of what waits, of one resource, and the number of its last
// record.
func (h *Health) next() (b *batch, last int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		h.dropping = false
		return nil, 0
	}
	records := slices.Clone(h.waiting)
	b = &batch{resource: records[0].resource, scope: h.set.Scope}
	b.write = func(i int, e jsonstream.Element, to plog.LogRecordSlice) { h.write(&records[i], e.Text, to) }
	for i := range records {
		r := &records[i]
		if b.full() || !r.resource.Attributes().Equal(b.resource.Attributes()) {
			break
		}
		h.write(r, r.body, b.add(r.body, r.uid()))
		last = r.number
	}
	return b, last
}

// sent takes out what was accepted. What was dropped meanwhile is gone already.
func (h *Health) sent(last int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(r healthRecord) bool { return r.number <= last })
}

// save writes the state. What waits is not in it: the next heartbeat tells how
// all stands.
func (h *Health) save(ctx context.Context) {
	h.mu.Lock()
	h.state.Told = maps.Clone(h.told)
	h.mu.Unlock()
	if err := h.set.Store.Save(context.WithoutCancel(ctx), healthKey, &h.state, nil); err != nil && !errors.Is(err, checkpoint.ErrClosed) {
		// The pollers' own saves fail as well, and say what to do.
		h.set.Logger.Debug("The state of the health records can't be saved", zap.Error(err))
	}
}

// uid is the same however often the record is offered, and no other record's:
// its body names the receiver and what happened, and the time makes it unique.
func (r *healthRecord) uid() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", r.at.UnixNano(), r.body))
	return hex.EncodeToString(sum[:16])
}

// write appends the log record.
func (h *Health) write(r *healthRecord, text []byte, to plog.LogRecordSlice) {
	lr := to.AppendEmpty()
	lr.SetTimestamp(pcommon.NewTimestampFromTime(r.at))
	lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(h.set.Clock.Now()))
	lr.SetEventName("slack.collection." + r.name)
	lr.SetSeverityNumber(plog.SeverityNumberInfo)
	switch r.name {
	case eventGapOpened, eventStale, eventAuthFailing:
		lr.SetSeverityNumber(plog.SeverityNumberWarn)
	}
	attrs := lr.Attributes()
	attrs.PutStr("slack.log.type", "collection")
	attrs.PutStr("slack.log.event", r.name)
	attrs.PutStr("slack.log.about", r.logType)
	attrs.PutStr("log.record.uid", r.uid())
	if h.cfg.Body == record.BodyMap {
		var parsed map[string]any
		if json.Unmarshal(text, &parsed) == nil && lr.Body().SetEmptyMap().FromRaw(counted(parsed)) == nil {
			return
		}
	}
	// Also with body: none, as this is all that the record says.
	lr.Body().SetStr(string(text))
}

// key tells the sources of a receiver apart.
func (s *source) key() string {
	if s.team == "" {
		return s.poller.kind
	}
	return s.poller.kind + "." + s.team
}

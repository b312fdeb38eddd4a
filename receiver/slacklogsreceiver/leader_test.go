// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadatatest"
)

var electorID = component.MustNewID("k8s_leader_elector")

const (
	leads     = "This collector leads, and polls"
	standsBy  = "stands by"
	takenOver = "another collector has taken over the state"
)

// fakeElector calls as the extension does: under a lock, the context ends
// before the stop is called, and who comes late is called at once.
type fakeElector struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	starts []func(context.Context)
	stops  []func()
	leads  bool
	cancel context.CancelFunc
}

func (e *fakeElector) SetCallBackFuncs(start func(context.Context), stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.starts, e.stops = append(e.starts, start), append(e.stops, stop)
	if e.leads {
		start(context.Background())
	}
}

func (e *fakeElector) win() {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	e.leads, e.cancel = true, cancel
	for _, start := range e.starts {
		start(ctx)
	}
}

func (e *fakeElector) lose() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancel != nil {
		e.cancel()
	}
	e.leads = false
	for _, stop := range e.stops {
		stop()
	}
}

// candidate is a receiver that waits to lead.
type candidate struct {
	running

	elector *fakeElector
}

// newCandidate builds one of the collectors that share a Slack and a storage.
func newCandidate(t *testing.T, fake fakeSlack, memory component.Component, s setup) candidate {
	t.Helper()
	c := candidate{elector: &fakeElector{}}
	s.host = &testHost{extensions: map[component.ID]component.Component{electorID: c.elector}}
	cfg := fake.config(t)
	cfg.K8sLeaderElector = &electorID
	if memory != nil {
		cfg.Storage = &storageID
		s.host.extensions[storageID] = memory
	}
	c.running = newRunning(cfg, s)
	return c
}

// uids counts the records that the sinks got, by uid.
func uids(sinks ...*consumertest.LogsSink) map[string]int {
	all := map[string]int{}
	for _, sink := range sinks {
		for _, logs := range sink.AllLogs() {
			for _, rl := range logs.ResourceLogs().All() {
				for _, sl := range rl.ScopeLogs().All() {
					for _, lr := range sl.LogRecords().All() {
						uid, _ := lr.Attributes().Get("log.record.uid")
						all[uid.Str()]++
					}
				}
			}
		}
	}
	return all
}

func newShared(t *testing.T) (*stepClock, fakeSlack) {
	t.Helper()
	c := newStepClock()
	return c, newFakeSlack(t, slacktest.Options{Now: c.Now})
}

func TestStandby(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	fake.Add(entry("a", startTime))
	memory := newMemoryStorage()
	c := newCandidate(t, fake, memory, setup{clock: clock})
	c.start(t)
	c.elector.lose()
	assert.Zero(t, memory.asked)
	assert.Zero(t, fake.CallCount())
	assert.Empty(t, c.host.statuses())
	assert.Equal(t, 1, c.logs.FilterMessageSnippet(standsBy).Len())
}

// One leads after the other: all arrives, nothing twice, and who leads reads
// what the other has saved.
func TestTakeover(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	memory := newMemoryStorage()
	memory.locked = true
	var all []candidate
	for range 2 {
		c := newCandidate(t, fake, memory, setup{clock: clock})
		c.start(t)
		all = append(all, c)
	}
	want := map[string]int{}
	for round := range 6 {
		for n := range 3 {
			id := fmt.Sprintf("%d-%d", round, n)
			fake.Add(entry(id, clock.Now()))
			want[id] = 1
		}
		c := all[round%2]
		c.elector.win()
		clock.rest(t)
		clock.polls(t, 2)
		assert.Equal(t, 1, memory.clients())
		c.elector.lose()
		assert.Zero(t, memory.clients(), "who stands by holds no storage")
		assert.Equal(t, want, uids(all[0].sink, all[1].sink))
	}
	for _, c := range all {
		assert.Equal(t, 3, c.logs.FilterMessage(leads).Len())
		assert.Equal(t, 4, c.logs.FilterMessageSnippet(standsBy).Len())
		assert.Empty(t, c.host.statuses())
	}
	assert.Empty(t, fake.Violations())
}

// A collector leads already when the receiver starts.
func TestStartOfALeader(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	fake.Add(entry("a", startTime))
	c := newCandidate(t, fake, newMemoryStorage(), setup{clock: clock})
	c.elector.win()
	c.start(t)
	clock.rest(t)
	assert.Equal(t, 1, c.sink.LogRecordCount())
}

func TestTakeoverWithoutStorage(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	fake.Add(entry("a", startTime))
	c := newCandidate(t, fake, nil, setup{clock: clock})
	c.cfg.AuditLogs.Get().RequestsPerMinute = 60
	c.start(t)
	for n := range 2 {
		c.elector.win()
		clock.rest(t)
		clock.polls(t, 1)
		assert.Equal(t, map[string]int{"a": n + 1}, uids(c.sink), "it begins anew")
		c.elector.lose()
	}
	assert.Equal(t, 1, c.logs.FilterMessageSnippet("No storage is configured: each takeover begins at initial_lookback again").Len())
	assert.Equal(t, 1, c.logs.FilterMessageSnippet("requests_per_minute is above").Len(), "once, not with each takeover")
}

// Only who leads tells of staleness; counters stay.
func TestGaugesOfALeader(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	fake.Add(entry("a", startTime))
	tel := newTelemetry(t)
	set := metadatatest.NewSettings(tel)
	set.ID = component.NewID(metadata.Type)
	c := newCandidate(t, fake, newMemoryStorage(), setup{clock: clock, set: set})
	c.start(t)
	gauges := func() (found []string) {
		for _, name := range []string{"event_staleness", "poll_staleness", "watermark_lag", "stale"} {
			if has(tel, "otelcol_slacklogs_"+name) {
				found = append(found, name)
			}
		}
		return found
	}
	assert.Empty(t, gauges())
	for range 2 {
		c.elector.win()
		clock.rest(t)
		assert.Len(t, gauges(), 4, "%v", c.lines())
		c.elector.lose()
		assert.Empty(t, gauges())
		assert.True(t, has(tel, "otelcol_slacklogs_entries"))
	}
}

func has(tel *componenttest.Telemetry, name string) bool {
	_, err := tel.GetMetric(name)
	return err == nil
}

// Two that lead at once, on a storage without locks: records repeat, none is
// lost, and the one that took over last keeps the state for itself.
func TestTwoLeaders(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			clock, fake := newShared(t)
			memory := newMemoryStorage()
			all := []candidate{
				newCandidate(t, fake, memory, setup{clock: clock}),
				newCandidate(t, fake, memory, setup{clock: clock}),
			}
			for _, c := range all {
				audit := c.cfg.AuditLogs.Get()
				audit.PageSize = 100
				audit.PollInterval, audit.Overlap = 10*time.Minute, 10*time.Minute
				// Ids are dropped after a few hours, and their chunks deleted.
				audit.SweepInterval, audit.SweepWindow = time.Hour, time.Hour
				c.start(t)
			}
			want := map[string]bool{}
			add := func() {
				for range rng.IntN(300) {
					id := fmt.Sprint("e", len(want))
					want[id] = true
					fake.Add(entry(id, clock.Now().Add(-time.Duration(rng.IntN(600))*time.Second)))
				}
			}
			add()
			all[0].elector.win()
			clock.rest(t)
			for round := range 8 {
				old, next := all[round%2], all[1-round%2]
				add()
				clock.polls(t, rng.IntN(60))
				next.elector.win()
				clock.rest(t)
				// Both poll.
				add()
				clock.polls(t, 20+rng.IntN(300))
				statuses := old.host.statuses()
				require.NotEmpty(t, statuses)
				assert.Equal(t, statusFailing+takenOver+"; this one goes on from memory and saves nothing, and records repeat while both poll; check the leader election, or that no other collector uses this storage", statuses[len(statuses)-1])
				old.elector.lose()
				assert.Equal(t, statusOK, old.host.statuses()[len(statuses)], "who stands by is well")
			}
			clock.polls(t, 20)
			got := uids(all[0].sink, all[1].sink)
			for id := range want {
				assert.NotZero(t, got[id], "%s is lost", id)
			}
			assert.Len(t, got, len(want))
			for _, c := range all {
				assert.Zero(t, c.logs.FilterMessageSnippet("Taking over is in trouble").Len(), c.lines())
			}
		})
	}
}

// Two collectors without a leader elector share a storage by mistake: one keeps
// the state, the other says so and polls on.
func TestTwoWithoutElector(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	memory := newMemoryStorage()
	var all []running
	for range 2 {
		cfg := fake.config(t)
		cfg.Storage = &storageID
		r := newRunning(cfg, setup{clock: clock, host: &testHost{extensions: map[component.ID]component.Component{storageID: memory}}})
		r.start(t)
		clock.rest(t)
		all = append(all, r)
	}
	fake.Add(entry("a", clock.Now()))
	clock.polls(t, 10)
	assert.Equal(t, map[string]int{"a": 2}, uids(all[0].sink, all[1].sink))
	require.Len(t, all[0].host.statuses(), 1)
	assert.Contains(t, all[0].host.statuses()[0], statusFailing+takenOver)
	assert.Empty(t, all[1].host.statuses())
}

// A second collector that can't read the state leaves it to the first.
func TestFailedSecond(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	memory := newMemoryStorage()
	start := func() running {
		cfg := fake.config(t)
		cfg.Storage = &storageID
		return newRunning(cfg, setup{clock: clock, host: &testHost{extensions: map[component.ID]component.Component{storageID: memory}}})
	}
	first := start()
	first.start(t)
	clock.rest(t)
	before := memory.contents()
	second := start()
	second.cfg.AccessLogs.GetOrInsertDefault()
	client, err := memory.GetClient(t.Context(), component.KindReceiver, second.set.ID, "")
	require.NoError(t, err)
	require.NoError(t, client.Set(t.Context(), "access", []byte(`{"version":2}`)))
	require.NoError(t, client.Close(t.Context()))
	require.ErrorContains(t, second.Start(t.Context(), second.host), "run the newer receiver again")
	after := memory.contents()
	maps.DeleteFunc(after, func(key string, _ []byte) bool { return strings.HasSuffix(key, " access") })
	assert.Equal(t, before, after)

	fake.Add(entry("a", clock.Now()))
	clock.polls(t, 2)
	assert.Empty(t, first.host.statuses())
}

// A takeover that fails is tried again until it succeeds or another leads.
func TestFailedTakeover(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// spoil and mend what is shared.
		spoil, mend func(m *memoryStorage)
		want        string
	}{
		{
			name:  "another holds the storage",
			spoil: func(m *memoryStorage) { m.locked, m.open = true, 1 },
			mend:  func(m *memoryStorage) { m.open = 0 },
			want:  `: "file_storage" can't be opened (timeout)`,
		},
		{
			name:  "state that can't be read",
			spoil: func(m *memoryStorage) { m.values["Receiver slacklogs  audit"] = []byte("{") },
			mend:  func(m *memoryStorage) { delete(m.values, "Receiver slacklogs  audit") },
			want:  `the state "audit" is not a state of this receiver`,
		},
		{
			name:  "full disk",
			spoil: func(m *memoryStorage) { m.setErr = errors.New("no space left") },
			mend:  func(m *memoryStorage) { m.setErr = nil },
			want:  ": the state can't be claimed (no space left); check the storage's space and rights",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock, fake := newShared(t)
			fake.Add(entry("a", startTime))
			memory := newMemoryStorage()
			change := func(change func(m *memoryStorage)) {
				memory.mu.Lock()
				defer memory.mu.Unlock()
				change(memory)
			}
			c := newCandidate(t, fake, memory, setup{clock: clock})
			c.start(t)
			change(tt.spoil)
			c.elector.win()
			clock.rest(t)
			tries := func() (n int) {
				change(func(m *memoryStorage) { n = m.asked })
				return n
			}
			for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
				before, asked := clock.Now(), tries()
				clock.next(t)
				assert.Equal(t, pause*time.Second, clock.Now().Sub(before))
				assert.Equal(t, asked+1, tries())
			}
			statuses := c.host.statuses()
			require.Len(t, statuses, 1, "on change only")
			assert.Contains(t, statuses[0], "StatusRecoverableError this collector leads but can't take over, and goes on trying: storage")
			assert.Contains(t, statuses[0], tt.want)
			assert.Equal(t, 1, c.logs.FilterMessageSnippet("Taking over is in trouble").Len())

			// Another leads for a while.
			c.elector.lose()
			assert.Equal(t, append(statuses, statusOK), c.host.statuses(), "who stands by is well")
			asked := tries()
			c.elector.win()
			clock.rest(t)
			require.Len(t, c.host.statuses(), 3)
			assert.Equal(t, asked+1, tries())

			change(tt.mend)
			clock.until(t, func() bool { return c.sink.LogRecordCount() == 1 })
			assert.Equal(t, statusOK, c.host.statuses()[3])
			assert.Len(t, c.host.statuses(), 4)
			assert.Zero(t, fake.Violations())
		})
	}
}

func TestStartWithElectorFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		storage, elector component.Component
		want             string
	}{
		{name: "missing elector", storage: newMemoryStorage(), want: `k8s_leader_elector: extension "k8s_leader_elector" is not there; define it under extensions and list it in service::extensions`},
		{name: "no elector", storage: newMemoryStorage(), elector: &fakeAuth{}, want: `k8s_leader_elector: extension "k8s_leader_elector" is not a leader elector; name one such as k8s_leader_elector`},
		{name: "missing storage", elector: &fakeElector{}, want: `storage: extension "file_storage" is not there; define it under extensions and list it in service::extensions`},
		{name: "no storage", storage: &fakeAuth{}, elector: &fakeElector{}, want: `storage: extension "file_storage" is not a storage extension; name one such as file_storage`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock, fake := newShared(t)
			c := newCandidate(t, fake, nil, setup{clock: clock})
			c.cfg.Storage = &storageID
			c.host.extensions = map[component.ID]component.Component{}
			if tt.elector != nil {
				c.host.extensions[electorID] = tt.elector
			}
			if tt.storage != nil {
				c.host.extensions[storageID] = tt.storage
			}
			require.EqualError(t, c.Start(t.Context(), c.host), tt.want)
			if elector, ok := tt.elector.(*fakeElector); ok {
				assert.Empty(t, elector.starts)
			}
			require.NoError(t, c.Shutdown(t.Context()))
		})
	}
}

// Callbacks may come more often than they should, late, and in the wrong order.
func TestOddCallbacks(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	memory := newMemoryStorage()
	memory.locked = true
	c := newCandidate(t, fake, memory, setup{clock: clock})
	require.NoError(t, c.Start(t.Context(), c.host))
	start, stop := c.elector.starts[0], c.elector.stops[0]

	stop()
	ended, end := context.WithCancel(t.Context())
	end()
	start(ended)
	stop()
	assert.Zero(t, memory.asked, "a start that comes after its stop is none")

	start(t.Context())
	start(t.Context())
	clock.rest(t)
	assert.Equal(t, 1, memory.clients())
	stop()
	stop()
	assert.Zero(t, memory.clients())

	// The stop of this one never comes.
	ctx, cancel := context.WithCancel(t.Context())
	start(ctx)
	clock.rest(t)
	cancel()
	start(t.Context())
	clock.rest(t)
	assert.Equal(t, 1, memory.clients())
	assert.Equal(t, 3, memory.asked)

	require.NoError(t, c.Shutdown(t.Context()))
	start(t.Context())
	stop()
	start(t.Context())
	assert.Zero(t, memory.clients())
	assert.Equal(t, 3, memory.asked, "callbacks after the shutdown are ignored")
	assert.Empty(t, c.host.statuses())
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestShutdownWithElector(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, c candidate, memory *memoryStorage)
		want   string
	}{
		{name: "standing by", before: func(*testing.T, candidate, *memoryStorage) {}},
		{name: "leading", before: func(t *testing.T, c candidate, _ *memoryStorage) {
			t.Helper()
			c.elector.win()
			c.clock.rest(t)
		}},
		{name: "leading no more", before: func(t *testing.T, c candidate, _ *memoryStorage) {
			t.Helper()
			c.elector.win()
			c.clock.rest(t)
			c.elector.lose()
		}},
		{name: "just told to lead", before: func(_ *testing.T, c candidate, _ *memoryStorage) { c.elector.win() }},
		{name: "failing to take over", before: func(t *testing.T, c candidate, memory *memoryStorage) {
			t.Helper()
			memory.openErr = errors.New("timeout")
			c.elector.win()
			c.clock.rest(t)
		}},
		{
			name: "while the storage opens",
			before: func(_ *testing.T, c candidate, memory *memoryStorage) {
				memory.opening = make(chan struct{})
				c.elector.win()
			},
			want: "the storage did not open in time: context deadline exceeded",
		},
		{
			name: "while the storage does not close",
			before: func(t *testing.T, c candidate, memory *memoryStorage) {
				t.Helper()
				memory.closing = make(chan struct{})
				c.elector.win()
				c.clock.rest(t)
			},
			want: "the storage did not close in time: context deadline exceeded",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock, fake := newShared(t)
			memory := newMemoryStorage()
			c := newCandidate(t, fake, memory, setup{clock: clock})
			require.NoError(t, c.Start(t.Context(), c.host))
			tt.before(t, c, memory)
			statuses := c.host.statuses()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if tt.want != "" {
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			err := c.Shutdown(ctx)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tt.want)
				if memory.opening != nil {
					close(memory.opening)
				} else {
					close(memory.closing)
				}
			}
			if c.leading != nil {
				await(t, c.leading.done)
			}
			c.elector.win() // has no effect
			c.elector.lose()
			assert.Zero(t, memory.clients())
			assert.Equal(t, statuses, c.host.statuses())
			require.NoError(t, c.Shutdown(t.Context()))
		})
	}
}

// The elector waits for a consumer that ignores its context only so long, and
// the storage is free then.
func TestStopWhileTheConsumerHangs(t *testing.T) {
	t.Parallel()
	clock, fake := newShared(t)
	fake.Add(entry("a", startTime))
	memory := newMemoryStorage()
	memory.locked = true
	next := newHanging()
	c := newCandidate(t, fake, memory, setup{clock: clock, next: next})
	c.start(t)
	c.elector.win()
	await(t, next.entered)
	polled := c.term.Load().polled
	began := time.Now()
	c.elector.lose()
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.Zero(t, memory.clients())
	assert.Equal(t, 1, c.logs.FilterMessageSnippet("did not finish in time").Len())
	saved := memory.contents()

	close(next.leave)
	await(t, polled)
	assert.Equal(t, saved, memory.contents(), "its answer comes too late to be saved")
	c.elector.win()
	clock.rest(t)
	assert.Len(t, next.entered, 1, "so the batch comes again")
	assert.Empty(t, c.host.statuses())
}

// Whatever comes together, for the race detector.
func TestElectorRaces(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			clock, fake := newShared(t)
			memory := newMemoryStorage()
			memory.locked = true
			c := newCandidate(t, fake, memory, setup{clock: clock})
			require.NoError(t, c.Start(t.Context(), c.host))
			var wg sync.WaitGroup
			wg.Go(func() {
				for range 50 {
					c.elector.win()
					c.elector.lose()
				}
				c.elector.win()
			})
			wg.Go(func() {
				for range 20 {
					c.elector.stops[0]()
					c.polling()
				}
			})
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			require.NoError(t, c.Shutdown(t.Context()))
			assert.Zero(t, memory.clients())
			wg.Wait()
			assert.Zero(t, memory.clients())
			assert.Empty(t, c.host.statuses())
		})
	}
}

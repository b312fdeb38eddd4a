// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
)

const storageTeam = "T04BWHARBOR"

var errDisk = errors.New("the disk fails")

// troubledStorage is a storage that does to a batch or a value what a test says.
type troubledStorage struct {
	*memoryStorage

	mu    sync.Mutex
	batch func(ctx context.Context, ops []*storage.Operation, write writeFunc) error
	get   func(value []byte) ([]byte, error)
}

type writeFunc func(ops ...*storage.Operation) error

// set has the next calls do this; nil is to do as one is told.
func (s *troubledStorage) set(batch func(ctx context.Context, ops []*storage.Operation, write writeFunc) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = batch
}

func (s *troubledStorage) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := s.memoryStorage.GetClient(ctx, kind, id, name)
	return &troubledClient{client, s}, err
}

type troubledClient struct {
	storage.Client
	storage *troubledStorage
}

func (c *troubledClient) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := c.Client.Get(ctx, key)
	if c.storage.get != nil && err == nil {
		return c.storage.get(value)
	}
	return value, err
}

func (c *troubledClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *troubledClient) Batch(ctx context.Context, ops ...*storage.Operation) (err error) {
	if ops[0].Type == storage.Get {
		for _, op := range ops {
			if op.Value, err = c.Get(ctx, op.Key); err != nil {
				return err
			}
		}
		return nil
	}
	c.storage.mu.Lock()
	batch := c.storage.batch
	c.storage.mu.Unlock()
	write := func(ops ...*storage.Operation) error { return c.Client.Batch(ctx, ops...) }
	if batch == nil {
		return write(ops...)
	}
	return batch(ctx, ops, write)
}

// storageWorld is one log type over the lives of some receivers.
type storageWorld struct {
	t       *testing.T
	kind    string
	clock   *stepClock
	fake    fakeSlack
	org     *slacktest.Organisation
	storage *troubledStorage
	running

	made int
	mu   sync.Mutex
	// life counts the receivers: what comes from those before is of the dead.
	life  int
	times map[string]int // that a record came, by uid
	// unsaved is how many records came since the last save.
	unsaved int
}

// storageWorlds runs a test for each log type.
func storageWorlds(t *testing.T, test func(t *testing.T, w *storageWorld)) {
	t.Helper()
	for _, kind := range []string{"audit", "access", "integration"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newStepClock()
			test(t, &storageWorld{
				t: t, kind: kind, clock: c, fake: newFakeSlack(t, slacktest.Options{Now: c.Now}), org: slacktest.NewOrganisation(1),
				storage: &troubledStorage{memoryStorage: newMemoryStorage()}, times: map[string]int{},
			})
		})
	}
}

// build makes the next receiver.
func (w *storageWorld) build() {
	w.t.Helper()
	cfg := w.fake.config(w.t)
	cfg.Storage = &storageID
	teams := []string{storageTeam}
	switch w.kind {
	case "access":
		cfg.AuditLogs = configoptional.None[auditLogsConfig]()
		access := cfg.AccessLogs.GetOrInsertDefault()
		access.TeamIDs, access.RequestsPerMinute = teams, 1e9
	case "integration":
		cfg.AuditLogs = configoptional.None[auditLogsConfig]()
		integration := cfg.IntegrationLogs.GetOrInsertDefault()
		integration.TeamIDs, integration.RequestsPerMinute = teams, 1e9
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life++
	life := w.life
	w.running = newRunning(cfg, setup{
		clock: w.clock,
		host:  &testHost{extensions: map[component.ID]component.Component{storageID: w.storage}},
		next:  consumerFunc(func(_ context.Context, logs plog.Logs) error { w.take(life, logs); return nil }),
	})
}

// begin starts the next receiver and lets it rest.
func (w *storageWorld) begin() {
	w.t.Helper()
	w.build()
	w.start(w.t)
	w.clock.rest(w.t)
}

func (w *storageWorld) take(life int, logs plog.Logs) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if life != w.life {
		return
	}
	for _, rl := range logs.ResourceLogs().All() {
		for _, rec := range rl.ScopeLogs().At(0).LogRecords().All() {
			uid, _ := rec.Attributes().Get("log.record.uid")
			w.times[uid.Str()]++
			w.unsaved++
		}
	}
}

// die ends the receiver as a kill does: what is left is what the storage holds.
func (w *storageWorld) die() {
	w.mu.Lock()
	w.life++
	w.mu.Unlock()
	left := newMemoryStorage()
	left.values = w.storage.contents()
	dead := w.storage
	w.storage = &troubledStorage{memoryStorage: left}
	dead.set(nil)
}

// bury shuts the receiver down.
func (w *storageWorld) bury() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	require.NoError(w.t, w.Shutdown(ctx))
}

// happen has Slack show n new entries.
func (w *storageWorld) happen(n int) {
	for range n {
		w.made++
		at := w.clock.Now()
		switch w.kind {
		case "audit":
			w.fake.Add(entry(fmt.Sprint("e", w.made), at))
		case "access":
			l := w.org.Login(storageTeam, at.Unix())
			l.UserID = fmt.Sprint("W", w.made)
			w.fake.SetLogin(l)
		default:
			w.fake.AddChange(slacktest.Change{Team: storageTeam, Date: at.Unix(), JSON: fmt.Appendf(nil,
				`{"app_id":"A%d","user_id":"W1","date":"%d","change_type":"added"}`, w.made, at.Unix())})
		}
	}
}

// polls lets n minutes go by, in each of which something happens.
func (w *storageWorld) polls(n int) {
	w.t.Helper()
	for range n {
		w.happen(2)
		w.clock.polls(w.t, 1)
	}
}

// requireAll waits for all that Slack shows, and returns how many records came again.
func (w *storageWorld) requireAll() (again int) {
	w.t.Helper()
	w.clock.polls(w.t, 2)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(w.t, w.times, w.made, "nothing is lost")
	for _, n := range w.times {
		again += n - 1
	}
	return again
}

// pollStaleness is the gauge.
func (w *storageWorld) pollStaleness() (staleness time.Duration) {
	for _, p := range w.polling() {
		p.Each(func(f poll.Figures, _ metric.MeasurementOption) {
			staleness = time.Duration(f.PollStaleness * float64(time.Second))
		})
	}
	return staleness
}

// saved notes a batch with the state in it that was written.
func (w *storageWorld) saved(ops []*storage.Operation) {
	for _, op := range ops {
		if op.Key == "audit" || op.Key == w.kind+"."+storageTeam {
			w.mu.Lock()
			w.unsaved = 0
			w.mu.Unlock()
		}
	}
}

// pass lets time go by while the receiver is stuck.
func (c *stepClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Whatever the storage does, all is delivered, and once as long as the receiver
// lives. Once the storage is well, so is the receiver. If it dies before, what
// came since the last save comes again.
func TestStorageInTrouble(t *testing.T) {
	t.Parallel()
	const (
		minutes = 10
		failing = "the state can't be saved (the disk fails); polling goes on from memory, a restart would repeat records; check the storage's space and rights"
	)
	for _, tt := range []struct {
		name string
		// batch is what becomes of the n-th batch.
		batch func(w *storageWorld, n int, write func() error) error
		// status is what is reported; none if it is no failure.
		status string
		// staleness is how far poll_staleness rises at least, again whether a
		// death repeats something.
		staleness time.Duration
		again     bool
	}{
		{
			name: "slow",
			batch: func(w *storageWorld, _ int, write func() error) error {
				_ = w.clock.Sleep(context.Background(), 3*time.Minute)
				return write()
			},
			staleness: 3 * time.Minute,
		},
		{
			name:      "fails each time",
			batch:     func(*storageWorld, int, func() error) error { return errDisk },
			status:    failing,
			staleness: (minutes - 1) * time.Minute,
			again:     true,
		},
		{
			name: "fails now and then",
			batch: func(_ *storageWorld, n int, write func() error) error {
				if n%3 > 0 {
					return errDisk
				}
				return write()
			},
			status:    failing,
			staleness: time.Minute,
		},
		{
			name:      "fails after it has written",
			batch:     func(_ *storageWorld, _ int, write func() error) error { return errors.Join(write(), errDisk) },
			status:    failing,
			staleness: (minutes - 1) * time.Minute,
		},
	} {
		for _, dies := range []bool{false, true} {
			name := tt.name
			if dies {
				name += ", then the receiver dies"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				storageWorlds(t, func(t *testing.T, w *storageWorld) {
					t.Helper()
					w.begin()
					w.polls(3)
					require.Empty(t, w.host.statuses())

					n, most := 0, time.Duration(0)
					w.unsaved = 0
					w.storage.set(func(_ context.Context, ops []*storage.Operation, write writeFunc) error {
						n++
						err := tt.batch(w, n, func() error {
							most = max(most, w.pollStaleness())
							w.saved(ops)
							return write(ops...)
						})
						most = max(most, w.pollStaleness())
						return err
					})
					w.polls(minutes)
					assert.GreaterOrEqual(t, most, tt.staleness)
					assert.Greater(t, n, 2)
					statuses := w.host.statuses()
					if tt.status == "" {
						assert.Empty(t, statuses)
					} else {
						require.NotEmpty(t, statuses)
						assert.Equal(t, fmt.Sprintf("StatusRecoverableError %s logs: %s", w.kind, tt.status), statuses[0])
					}

					if !dies {
						w.storage.set(nil)
						w.polls(3)
						assert.Zero(t, w.requireAll())
						if statuses = w.host.statuses(); tt.status != "" {
							assert.Equal(t, statusOK, statuses[len(statuses)-1])
						}
						assert.Less(t, w.pollStaleness(), 2*time.Minute)
						w.bury()
						w.begin()
						w.polls(3)
						assert.Zero(t, w.requireAll(), "all was saved")
						return
					}
					unsaved := w.unsaved
					w.die()
					w.clock.polls(t, 5) // out of the storage, into a pause
					w.bury()
					w.begin()
					w.polls(3)
					again := w.requireAll()
					assert.LessOrEqual(t, again, unsaved, "what came since the last save")
					if tt.again {
						assert.Equal(t, 2*minutes, again, "or else it was saved")
					}
				})
			})
		}
	}
}

// The first batch is not atomic and breaks off after each number of operations,
// and the process with it: the next start finds a state that it can use.
func TestStorageBreaksOffABatch(t *testing.T) {
	t.Parallel()
	for done := range 4 {
		t.Run(strconv.Itoa(done), func(t *testing.T) {
			t.Parallel()
			storageWorlds(t, func(t *testing.T, w *storageWorld) {
				t.Helper()
				w.begin()
				broken := false
				w.storage.set(func(_ context.Context, ops []*storage.Operation, write writeFunc) error {
					if broken {
						return errDisk
					}
					if len(ops) < 2 {
						return write(ops...)
					}
					broken = true
					return errors.Join(write(ops[:min(done, len(ops))]...), errDisk)
				})
				w.happen(2)
				w.clock.until(t, func() bool { return broken })
				w.die()
				w.clock.polls(t, 2)
				w.bury()
				w.begin()
				w.polls(3)
				assert.LessOrEqual(t, w.requireAll(), 2, "of one batch")
			})
		})
	}
}

// A storage that hangs holds polling up, but neither the gauges nor a shutdown.
func TestStorageHangs(t *testing.T) {
	t.Parallel()
	storageWorlds(t, func(t *testing.T, w *storageWorld) {
		t.Helper()
		w.begin()
		w.polls(3)
		entered, leave := make(chan struct{}), make(chan struct{})
		var once sync.Once
		w.storage.set(func(_ context.Context, ops []*storage.Operation, write writeFunc) error {
			once.Do(func() { close(entered) })
			<-leave
			return write(ops...)
		})
		w.happen(2)
		w.clock.wake <- struct{}{}
		await(t, entered)
		calls := w.fake.CallCount()
		before := w.pollStaleness()
		w.clock.pass(10 * time.Minute)
		assert.Equal(t, before+10*time.Minute, w.pollStaleness())

		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		require.EqualError(t, w.Shutdown(ctx), "the storage did not close in time: context deadline exceeded")
		assert.Less(t, time.Since(began), patience/4)
		assert.Equal(t, calls, w.fake.CallCount(), "polling waits")
		close(leave)
		require.Eventually(t, func() bool { return w.storage.clients() == 0 }, patience, time.Millisecond)
		assert.Empty(t, w.host.statuses())

		w.storage.set(nil)
		w.begin()
		w.polls(3)
		assert.Zero(t, w.requireAll(), "what hung was written in the end")
	})
}

// A storage that can't give what it holds, whichever part of it is asked for,
// fails the start, and leaves nothing open behind.
func TestStorageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		get  func(value []byte) ([]byte, error)
		want string
	}{
		{name: "fails", get: func([]byte) ([]byte, error) { return nil, errDisk }, want: "can't be read: the disk fails; restore the storage from a backup, or delete it"},
		{name: "nothing", get: func([]byte) ([]byte, error) { return nil, nil }, want: "restore the storage from a backup, or delete it"},
		{name: "empty", get: func([]byte) ([]byte, error) { return []byte{}, nil }, want: "restore the storage from a backup, or delete it"},
		{name: "half", get: func(value []byte) ([]byte, error) { return value[:len(value)/2], nil }, want: "restore the storage from a backup, or delete it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storageWorlds(t, func(t *testing.T, w *storageWorld) {
				t.Helper()
				w.begin()
				w.polls(3)
				require.Zero(t, w.requireAll())
				w.bury()
				state, calls := w.storage.contents(), w.fake.CallCount()
				failed := 0
				for ; ; failed++ {
					asked := 0
					w.storage.get = func(value []byte) ([]byte, error) {
						if len(value) == 0 || len(value) == len(rand.Text()) {
							return value, nil // what may be left of a save that broke off, or whose the state is
						}
						if asked++; asked == failed+1 {
							return tt.get(value)
						}
						return value, nil
					}
					w.build()
					err := w.Start(t.Context(), w.host)
					if asked <= failed {
						require.NoError(t, err) // nothing was withheld
						break
					}
					require.ErrorContains(t, err, tt.want)
					assert.Zero(t, w.storage.clients())
					require.Equal(t, state, w.storage.contents(), "the state is left as it was")
					require.Equal(t, calls, w.fake.CallCount())
				}
				assert.GreaterOrEqual(t, failed, 2, "a document and a chunk at least")
				w.clock.rest(t)
				w.polls(3)
				assert.Zero(t, w.requireAll())
				w.bury()
			})
		})
	}
}

// Some storages have an empty value for what was never there.
func TestStorageThatIsEmpty(t *testing.T) {
	t.Parallel()
	storageWorlds(t, func(t *testing.T, w *storageWorld) {
		t.Helper()
		w.storage.get = func(value []byte) ([]byte, error) { return append([]byte{}, value...), nil }
		w.begin()
		w.polls(3)
		w.bury()
		w.begin()
		w.polls(3)
		assert.Zero(t, w.requireAll())
	})
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Not parallel: it looks at the heap.
func TestMemoryOfAUser(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	rng := rand.New(rand.NewPCG(1, 2))
	before := heap()
	users := newTable(noon)
	for n := 1; n <= 500_000; n++ {
		k, ok := keyOf([]byte("U0" + strings.ToUpper(strconv.FormatUint(rng.Uint64N(1<<40)+1<<40, 36))))
		require.True(t, ok)
		require.True(t, users.put(k, entry{at: 1, roles: member}))
		if n%125_000 == 0 {
			perUser := float64(heap()-before) / float64(len(users.users))
			assert.LessOrEqual(t, perUser, 72., "%d users", n)
		}
	}
	runtime.KeepAlive(users)
}

// Who finds no place is unknown, and is not asked for over and over.
func TestNoMoreUsersThanFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	w.table.max = 10
	for n := range 20 {
		w.slack.SetUser(full(fmt.Sprintf("W0%02d", n)))
	}
	for range 3 {
		w.pass(interval)
		known := 0
		for n := range 20 {
			known += len(w.of(fmt.Sprintf("W0%02d", n)))
		}
		assert.Equal(t, 10, known)
	}
	assert.Zero(t, w.asks(slacktest.PathUser, ""))
	assert.Len(t, w.said(zapcore.WarnLevel), 1)
}

// What is too old is forgotten, and makes room.
func TestForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	ada := full("W0ADA")
	w.slack.SetUser(ada)
	w.pass(time.Minute)
	w.of("W0NOBODY")
	w.pass(time.Minute)
	assert.Len(t, w.table.users, 2)
	ada.Teams = nil
	w.slack.SetUser(ada)
	w.pass(2 * interval)
	assert.Len(t, w.table.users, 1, "that nobody was found is remembered for an interval")
	w.pass(leastKept)
	assert.Empty(t, w.table.users)
}

func TestALookUpAllocatesNothing(t *testing.T) {
	w := newWorld(t, workspace())
	w.slack.SetUser(full("W0ADA"))
	w.pass(time.Minute)
	id, nobody := []byte("W0ADA"), []byte("W0NOBODY")
	w.Of(nobody)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		w.Of(id)
		w.Of(nobody)
	}))
}

// Records are looked up from several goroutines while the source reads; Run
// ends with its context, in whatever it is.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace(), func(set *Settings, opt *slacktest.Options) {
		set.Clock, set.Slack.Clock, opt.Now = clock.Real{}, clock.Real{}, nil
	})
	w.slack.SetUser(full("W0ADA"), slacktest.User{ID: "U0BOT", Org: org, Bot: true})
	w.lists.budget = slack.NewBudget(1e9, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				w.of("W0ADA")
				w.of("U0BOT")
				runtime.Gosched()
			}
		})
	}
	assert.Eventually(t, func() bool { return len(w.of("W0ADA")) == 1 && len(w.of("U0BOT")) == 1 }, 20*time.Second, time.Millisecond)
	cancel()
	wg.Wait()
}

func TestRunEndsInACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	ctx, cancel := context.WithCancel(t.Context())
	w.slack.SetFault(func(slacktest.Call) slacktest.Fault {
		cancel()
		return slacktest.FaultEndless
	})
	w.Run(ctx)
	assert.Equal(t, 1, w.slack.CallCount())
	assert.Empty(t, w.said(zapcore.InfoLevel), "a stop is no failure")
}

func BenchmarkOf(b *testing.B) {
	users := newTable(time.Now())
	s := &Source{set: Settings{Clock: clock.Real{}, RefreshInterval: time.Hour}, table: users}
	ids := make([][]byte, 100_000)
	for n := range ids {
		ids[n] = fmt.Appendf(nil, "W04BW%06d", n)
		k, _ := keyOf(ids[n])
		users.put(k, entry{at: 1, roles: member, listed: true})
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if len(s.Of(ids[n%len(ids)])) != 1 {
			b.Fatal("unknown")
		}
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// outageBook knows when each entry was shown, and when it arrived.
type outageBook struct {
	mu      sync.Mutex
	places  map[string]int // of uids
	shown   []time.Time    // in order
	arrived []time.Time    // zero = not yet
	bytes   int            // of all entries

	whole            int // how many from the start have arrived without a hole
	newest           int // place of the newest that arrived; -1 = none
	repeats, unknown int
}

func newOutageBook() *outageBook { return &outageBook{places: map[string]int{}, newest: -1} }

// expect notes an entry. It is later than those before.
func (b *outageBook) expect(e slacktest.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const start, length = len(`{"id":"`), 36
	b.places[string(e.JSON[start:start+length])] = len(b.shown)
	b.shown = append(b.shown, e.Shown)
	b.arrived = append(b.arrived, time.Time{})
	b.bytes += len(e.JSON)
}

// serveOutage is a backend for the book, and returns its address.
func serveOutage(t *testing.T, b *outageBook) (url string) {
	t.Helper()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logs, err := read(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		now := time.Now()
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					b.arrive(text(rec.Attributes(), "log.record.uid"), now)
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})
	return served.URL
}

func (b *outageBook) arrive(uid string, now time.Time) {
	place, known := b.places[uid]
	switch {
	case !known:
		b.unknown++
	case !b.arrived[place].IsZero():
		b.repeats++
	default:
		b.arrived[place] = now
		b.newest = max(b.newest, place)
	}
}

// before is the place of the first entry that was shown after t.
func (b *outageBook) before(t time.Time) int {
	place, _ := slices.BinarySearchFunc(b.shown, t, func(shown, t time.Time) int {
		if shown.After(t) {
			return 1
		}
		return -1
	})
	return place
}

// missing is how many of those shown until t have not arrived.
func (b *outageBook) missing(t time.Time) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.whole < len(b.arrived) && !b.arrived[b.whole].IsZero() {
		b.whole++
	}
	for place := b.whole; place < b.before(t); place++ {
		if b.arrived[place].IsZero() {
			n++
		}
	}
	return n
}

// newestArrived is when the newest entry that has arrived was shown.
func (b *outageBook) newestArrived() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest < 0 {
		return time.Time{}
	}
	return b.shown[b.newest]
}

// lastOf is when the last of those shown until t arrived.
func (b *outageBook) lastOf(t time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.MaxFunc(b.arrived[:b.before(t)], time.Time.Compare)
}

// delays are the seconds that those shown from…to took to arrive.
func (b *outageBook) delays(from, to time.Time) (seconds []float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for place := b.before(from); place < b.before(to); place++ {
		seconds = append(seconds, b.arrived[place].Sub(b.shown[place]).Seconds())
	}
	return seconds
}

// spread tells values from the middle to the greatest.
func spread(seconds []float64) string {
	if len(seconds) == 0 {
		return "none"
	}
	slices.Sort(seconds)
	at := func(part float64) float64 { return seconds[int(part*float64(len(seconds)-1))] }
	return fmt.Sprintf("p50 %.1f s, p99 %.1f s, max %.1f s", at(0.5), at(0.99), at(1))
}

func TestOutageBook(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	uid := func(place int) string { return fmt.Sprintf("%036d", place) }
	b := newOutageBook()
	for place := range 4 { // shown at 0, 10, 20 and 30 s
		b.expect(slacktest.Entry{Shown: at(10 * place), JSON: []byte(`{"id":"` + uid(place) + `"}`)})
	}
	assert.Zero(t, b.newestArrived())
	b.arrive(uid(0), at(40))
	b.arrive(uid(2), at(50))
	assert.Equal(t, 0, b.missing(at(9)))
	assert.Equal(t, 1, b.missing(at(10)), "an entry counts from when it is shown")
	assert.Equal(t, 2, b.missing(at(30)))
	assert.Equal(t, at(20), b.newestArrived())

	b.arrive(uid(1), at(45))
	b.arrive(uid(1), at(46))
	b.arrive("another", at(47))
	assert.Equal(t, 1, b.repeats)
	assert.Equal(t, 1, b.unknown)
	assert.Equal(t, 1, b.missing(at(30)))
	assert.Equal(t, at(50), b.lastOf(at(20)))
	assert.Equal(t, []float64{35, 30}, b.delays(at(9), at(20)), "after 9 s, until 20 s")
	assert.Equal(t, "p50 30.0 s, p99 30.0 s, max 35.0 s", spread(b.delays(at(9), at(20))))
}

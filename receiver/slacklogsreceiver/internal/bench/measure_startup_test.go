// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	savedIDs   = 10_000_000
	savedHours = 24
	idsPrefix  = "audit.ids."
)

// restart is when the collector is back.
var restart = noon.Add(time.Minute)

// measureStartup measures a start with ten million saved ids: what it takes
// until the first call to Slack, and in memory.
func measureStartup(t *testing.T, results *goals, slack string) {
	const rounds, polls = 9, 3
	address := slack + "/" + pageWorld
	d := newDisk(t)
	index := saveIDs(t, address, d)

	var start, poll []time.Duration
	var naive time.Duration
	took := inTurns(t, rounds,
		func() { readStorage(t, d, index) },
		func() { start = append(start, timed(func() { firstCall(t, address, d) })) },
	)
	naiveTook := inTurns(t, 1, func() { naive = timed(func() { readIntoMaps(t, d, index) }) })
	for range polls {
		poll = append(poll, firstPoll(t, address, d))
	}
	results.atLeast("start with 10 million ids: until the first call, against the naive way", median(naiveTook[0]).Seconds()/median(took[1]).Seconds(), 10, "×",
		fmt.Sprintf("%.0f ms of CPU (to read the storage and no more %.0f ms), %.2f s by the clock with fsync; chunk by chunk into maps %.2f s, %.2f s; the first poll then %.0f ms",
			median(took[1]).Seconds()*1e3, median(took[0]).Seconds()*1e3, median(start).Seconds(), median(naiveTook[0]).Seconds(), naive.Seconds(), median(poll).Seconds()*1e3))

	loaded, most := loadedIDs(t, d, index)
	results.atMost("start with 10 million ids: peak memory of each, until all were asked for", most, 45, " B", fmt.Sprintf("%.1f B once loaded", loaded))
}

// timed is how long do takes by the clock.
func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

// firstCall starts a poller and ends with its first call.
func firstCall(t *testing.T, address string, d *disk) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &collector{now: restart, http: ending(cancel), done: func() bool { return true }, stop: cancel}
	c.audits(t, address, d).Run(ctx)
	require.Len(t, c.calls, 1)
}

// ending is a way to Slack that ends with the first call.
type ending func()

func (end ending) RoundTrip(*http.Request) (*http.Response, error) {
	end()
	return nil, context.Canceled
}

// firstPoll is the CPU time of the first poll after a start.
func firstPoll(t *testing.T, address string, d *disk) time.Duration {
	t.Helper()
	c := &collector{now: restart, http: overTLS(t)}
	p := c.audits(t, address, d)
	before := cpu()
	c.run(t, p, func() bool { return len(c.calls) > 1 })
	require.Zero(t, c.records, "all are known")
	return cpu() - before
}

// loadedIDs is what ids take in memory, each, once they are loaded, and at most
// while all are asked for.
func loadedIDs(t *testing.T, d *disk, index checkpoint.Index) (loaded, most float64) {
	t.Helper()
	// With so little room the garbage collector runs all the time.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	store := openStore(t, d)
	runtime.GC()
	before := live()
	peak := before
	defer watchGC(func() { peak = max(peak, live()) })()
	ids, err := store.LoadIDs(t.Context(), idsPrefix, index)
	require.NoError(t, err)
	runtime.GC()
	loaded = float64(live()-before) / savedIDs
	for number := range index {
		for range 100 {
			require.False(t, ids.Has(number, checkpoint.Key{}))
		}
	}
	runtime.GC()
	peak = max(peak, live())
	runtime.KeepAlive(ids)
	return loaded, float64(peak-before) / savedIDs
}

// saveIDs saves what a day of ten million entries leaves, with a save each
// minute, and says what that is.
func saveIDs(t *testing.T, address string, d *disk) checkpoint.Index {
	t.Helper()
	d.db.NoSync = true // it takes long, and is not what is measured
	defer func() { d.db.NoSync = false }()
	c := &collector{now: noon, http: overTLS(t)}
	c.run(t, c.audits(t, address, d), func() bool { return c.records >= maxPage })

	store := openStore(t, d)
	var doc map[string]json.RawMessage
	found, err := store.Load(t.Context(), "audit", &doc)
	require.NoError(t, err)
	require.True(t, found)
	delete(doc, "crc")
	var index checkpoint.Index
	require.NoError(t, json.Unmarshal(doc["ids"], &index))

	rng := newGenerator().rng
	var key checkpoint.Key
	for hour := noon.Unix()/3600 - savedHours; hour < noon.Unix()/3600; hour++ {
		ids, err := store.LoadIDs(t.Context(), idsPrefix, checkpoint.Index{hour: index[hour]})
		require.NoError(t, err)
		for range 60 {
			for range savedIDs / savedHours / 60 {
				binary.LittleEndian.PutUint64(key[:], rng.Uint64())
				binary.LittleEndian.PutUint64(key[8:], rng.Uint64())
				ids.Add(hour, key)
			}
			maps.Copy(index, ids.Index())
			doc["ids"], err = json.Marshal(index)
			require.NoError(t, err)
			require.NoError(t, store.Save(t.Context(), "audit", doc, ids))
		}
	}
	return index
}

// readStorage is the floor: all that a start has to read, and nothing done
// with it.
func readStorage(t *testing.T, d *disk, index checkpoint.Index) {
	t.Helper()
	var ops []*storage.Operation
	for name := range chunkNames(index) {
		ops = append(ops, storage.GetOperation(name))
	}
	require.NoError(t, d.Batch(t.Context(), ops...))
	runtime.KeepAlive(ops)
}

// readIntoMaps is the naive way.
func readIntoMaps(t *testing.T, d *disk, index checkpoint.Index) {
	t.Helper()
	const header, size = 8, len(checkpoint.Key{})
	ids := map[int64]map[checkpoint.Key]struct{}{}
	for name, number := range chunkNames(index) {
		chunk, err := d.Get(t.Context(), name)
		require.NoError(t, err)
		if ids[number] == nil {
			ids[number] = map[checkpoint.Key]struct{}{}
		}
		for keys := chunk[header:]; len(keys) > 0; keys = keys[size:] {
			ids[number][checkpoint.Key(keys[:size])] = struct{}{}
		}
	}
	runtime.KeepAlive(ids)
}

// chunkNames are the names of all chunks and their buckets.
func chunkNames(index checkpoint.Index) iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, number := range slices.Sorted(maps.Keys(index)) {
			for n := range index[number] {
				if !yield(fmt.Sprintf("%s%d.%d", idsPrefix, number, n), number) {
					return
				}
			}
		}
	}
}

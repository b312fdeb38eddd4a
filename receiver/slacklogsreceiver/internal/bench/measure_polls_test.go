// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
)

// slackRate is how many entries a second Slack's limit of calls lets through.
const slackRate = 50 * maxPage / 60.0

// measureMemory measures the most that lives on the heap while a full page is
// polled, delivered and saved.
func measureMemory(t *testing.T, results *goals, slack string) {
	const rounds = 9
	size := len(page(newGenerator().entries(maxPage, noon.Unix()-300, noon.Unix()-60)))
	address := slack + "/" + pageWorld
	// With so little room the garbage collector runs all the time.
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	var peaks []float64
	for range rounds {
		c, d := &collector{now: noon, http: overTLS(t)}, newDisk(t)
		runtime.GC()
		before := live()
		peak := before
		stop := watchGC(func() { peak = max(peak, live()) })
		c.onRecords = func(plog.Logs) { runtime.GC() } // a batch is complete
		c.run(t, c.audits(t, address, d), func() bool { return c.records >= maxPage })
		stop()
		require.Equal(t, maxPage, c.records)
		require.Equal(t, 1, c.callsTo("/logs", noon, c.now), "calls")
		peaks = append(peaks, float64(peak-before))
	}
	peak := median(peaks)
	results.atMost("peak live heap for one page, against its bytes", peak/float64(size), 0.8, "×",
		fmt.Sprintf("%.2f MB, page %.2f MB", peak/1e6, float64(size)/1e6))
}

// live is what the last garbage collection found to be alive.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// watchGC calls seen after each garbage collection: the finalizer of an object
// that nobody holds runs then.
func watchGC(seen func()) (stop func()) {
	type canary struct{ _ [16]byte }
	stopped := make(chan struct{})
	var next func(*canary)
	next = func(*canary) {
		select {
		case <-stopped:
		default:
			seen()
			runtime.SetFinalizer(&canary{}, next)
		}
	}
	runtime.SetFinalizer(&canary{}, next)
	return func() { close(stopped) }
}

// measurePoll measures a whole poll of full pages: loopback HTTP, gzip, ids,
// saves with fsync and a consumer that does nothing.
func measurePoll(t *testing.T, results *goals, slack string) {
	const rounds = 5
	const entries = backlogPages * maxPage
	address := slack + "/" + backlogWorld
	calls := 0
	took := inTurns(t, rounds, func() {
		c := &collector{now: noon, http: overTLS(t)}
		c.run(t, c.audits(t, address, newDisk(t)), func() bool { return c.records >= entries })
		require.Equal(t, entries, c.records)
		calls = len(c.calls)
	})
	rate := entries / median(took[0]).Seconds()
	results.atLeast("whole poll on one core, against Slack's limit", rate/slackRate, 12, "×",
		fmt.Sprintf("%.2f µs of CPU an entry, %.0f entries/s, Slack's limit %.0f; %d calls for %d entries", 1e6/rate, rate, slackRate, calls, entries))
}

// measureBacklog counts the calls after a day without the collector, in which
// there were a million entries; meanwhile more come.
func measureBacklog(t *testing.T, results *goals, _ string) {
	const perDay = 1_000_000
	c := &collector{now: noon}
	server := slacktest.New(slacktest.Options{Now: c.Now, CallLog: 1})
	server.SetToken(testToken, slacktest.NewOrganisation(1).Identity())
	c.http = plain{server.Transport()}
	d := newDisk(t)

	const start = 10 * time.Minute
	c.run(t, c.audits(t, "https://slack.example", d), func() bool { return c.now.After(noon.Add(start)) })
	c.now = noon.Add(start + 24*time.Hour)
	restart := c.now
	entries := make([]slacktest.Entry, 0, perDay+perDay/24)
	for i := range cap(entries) {
		date := noon.Add(start).Unix() + int64(i)*24*3600/perDay
		entries = append(entries, slacktest.Entry{Date: date, Shown: time.Unix(date, 0), JSON: fmt.Appendf(nil, `{"id":"%d","date_create":%d,"action":"user_login"}`, i, date)})
	}
	server.Add(entries...)
	late := 0
	c.onRecords = func(logs plog.Logs) {
		for _, rec := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			if rec.Timestamp().AsTime().Before(restart) {
				late++
			}
		}
	}
	c.run(t, c.audits(t, "https://slack.example", d), func() bool { return late >= perDay })
	require.Equal(t, perDay, late)

	calls, fewest := c.callsTo("/logs", restart, c.now.Add(1)), (c.records+maxPage-1)/maxPage
	results.atMost("calls in a backlog, against the fewest possible", float64(calls)/float64(fewest), 1.1, "×",
		fmt.Sprintf("%d calls, fewest %d, for %d entries in %v", calls, fewest, c.records, c.now.Sub(restart).Round(time.Second)))
}

// plain asks for answers that are not compressed.
type plain struct{ http.RoundTripper }

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Del("Accept-Encoding")
	return p.RoundTripper.RoundTrip(r)
}

// measureQuiet measures an hour in which nothing happens, with all log types
// on, by the minute.
func measureQuiet(t *testing.T, results *goals, slack string) {
	const settled, minutes = 90 * time.Minute, 60
	address := slack + "/" + quietWorld
	store := openStore(t, newDisk(t))
	lists := poll.ListSettings{
		PollInterval: time.Minute, InitialLookback: 24 * time.Hour, RequestsPerMinute: 15, Overlap: 24 * time.Hour,
		SweepInterval: time.Hour, SweepWindow: 168 * time.Hour, TeamIDs: []string{poll.EveryTeam}, Record: usual,
	}
	teams := len(slacktest.NewOrganisation(1).Identity().Teams)
	var took time.Duration
	var most float64
	all := 0
	var shares []string
	for _, logType := range []struct {
		path    string
		sources int
		create  func(poll.Settings) (*poll.Poller, error)
	}{
		{"/audit/v1/logs", 1, func(set poll.Settings) (*poll.Poller, error) {
			return poll.NewAudit(t.Context(), set, auditSettings())
		}},
		{"/team.accessLogs", teams, func(set poll.Settings) (*poll.Poller, error) {
			lists := lists
			lists.PageSize = 999
			return poll.NewAccess(t.Context(), set, lists)
		}},
		{"/team.integrationLogs", teams, func(set poll.Settings) (*poll.Poller, error) {
			lists := lists
			lists.PageSize = 1000
			return poll.NewIntegration(t.Context(), set, lists)
		}},
	} {
		c := &collector{now: noon, http: overTLS(t)}
		p, err := logType.create(c.settings(t, address, store))
		require.NoError(t, err)
		c.run(t, p, func() bool { return c.now.Sub(noon) >= settled })
		require.Positive(t, c.records, logType.path)
		from, records, before := c.now, c.records, len(c.calls)
		runtime.GC()
		start := cpu()
		c.run(t, p, func() bool { return c.now.Sub(from) >= minutes*time.Minute })
		share := cpu() - start
		took += share
		shares = append(shares, fmt.Sprintf("%.2f", share.Seconds()*1e3/minutes))
		require.Equal(t, records, c.records, "it is quiet")
		all += len(c.calls) - before
		var calls []float64
		for m := range time.Duration(minutes) {
			n := c.callsTo(logType.path, from.Add(m*time.Minute), from.Add((m+1)*time.Minute))
			calls = append(calls, float64(n)/float64(logType.sources))
		}
		most = max(most, median(calls))
	}
	results.atMost("a quiet minute, all three log types: CPU", took.Seconds()*1e3/minutes, 5, " ms",
		fmt.Sprintf("mean of an hour's %d calls: audit, access, integration %s ms", all, strings.Join(shares, ", ")))
	results.atMost("a quiet minute: calls of a log type and workspace", most, 1, "",
		fmt.Sprintf("median minute of the log type with the most; %d workspaces", teams))
}

// measureIDs measures what ten million ids take.
func measureIDs(t *testing.T, results *goals, _ string) {
	const total, each, hours = 10_000_000, maxPage, 24
	d := &sink{}
	store := openStore(t, d)
	rng := newGenerator().rng
	runtime.GC()
	before := live()
	ids := checkpoint.NewIDs("audit.ids.")
	save := func() {
		require.NoError(t, store.Save(t.Context(), "audit", struct{ IDs checkpoint.Index }{ids.Index()}, ids))
	}
	add := func(hour int64) {
		var key checkpoint.Key
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		ids.Add(hour, key)
	}
	start := cpu()
	for i := range total {
		add(int64(i) * hours / total)
		if i%each == each-1 {
			save()
		}
	}
	save()
	took := cpu() - start
	runtime.GC()
	held := live() - before
	require.Equal(t, total, ids.Len())

	const fresh = 1000
	for range fresh {
		add(hours - 1)
	}
	d.written = 0
	save()
	rest := d.written - 16*fresh
	runtime.KeepAlive(ids)
	results.atMost("10 million ids in the sweep window: memory of each", float64(held)/total, 45, " B",
		fmt.Sprintf("%.0f MB in %d buckets; added and saved in %.1f s", float64(held)/1e6, hours, took.Seconds()))
	results.atMost("10 million ids: a save, beside 16 B for each new id", float64(rest)/1024, 64, " KiB",
		fmt.Sprintf("%d B for %d new ids", d.written, fresh))
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// The three readers: two receivers of one collector that lives on, one of them with the queue on disk that the README
// shows, and one of a collector that is killed and stopped all the time.
const (
	soakDirect = iota
	soakQueued
	soakRestless
)

var soakTokens = [soakReaders]string{token, token + "-queued", token + "-restless"}

const (
	soakOverlap       = 10 * time.Second
	soakSweepInterval = 20 * time.Second
	soakSweepWindow   = 30 * time.Second
)

// soakSections are the log types. Times are short, so that what has to be remembered reaches its full size soon; ids
// of audit entries go by the hour all the same.
var soakSections = fmt.Sprintf(`
    timeout: 1s
    audit_logs:
      poll_interval: 1s
      requests_per_minute: 6000
      page_size: 200
      overlap: %[1]s
      sweep_interval: %[2]s
      sweep_window: %[3]s
      start_time: ${env:SOAK_START}
    access_logs:
      poll_interval: 1s
      requests_per_minute: 6000
      page_size: 100
      sweep_interval: %[2]s
      sweep_window: %[3]s
      team_ids: ["*"]
      start_time: ${env:SOAK_START}
    integration_logs:
      poll_interval: 1s
      requests_per_minute: 6000
      page_size: 100
      overlap: %[1]s
      team_ids: [%[4]s, %[5]s, %[6]s]
      start_time: ${env:SOAK_START}
`, soakOverlap, soakSweepInterval, soakSweepWindow, harbour, labs, field)

var soakConfig = `
extensions:
  pprof:
    endpoint: 127.0.0.1:${env:PPROF_PORT}
receivers:
  slacklogs:` + soakSections + `
exporters:
  otlp_http:
    timeout: 1s
service:
  extensions: [file_storage, pprof]
  telemetry:
    logs:
      level: warn
`

var soakQueuedConfig = `
receivers:
  slacklogs/queued:
    token: ${env:SLACK_TOKEN_QUEUED}
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    storage: file_storage` + soakSections + `
exporters:
  otlp_http/queued:
    endpoint: ${env:OTLP_ENDPOINT_QUEUED}
    timeout: 1s
    headers:
      X-Run: ${env:RUN}
    sending_queue:
      storage: file_storage
      block_on_overflow: true
      sizer: items
      queue_size: 100000
      batch:
        flush_timeout: 1s
        min_size: 1000
        max_size: 5000
    retry_on_failure:
      initial_interval: 50ms
      max_interval: 1s
      max_elapsed_time: 0
service:
  pipelines:
    logs/queued:
      receivers: [slacklogs/queued]
      exporters: [otlp_http/queued]
`

// The built collector for minutes under load and in trouble: nothing grows, nothing is lost, and nothing repeats but
// what a death may repeat. `make soak` runs it.
func TestSoak(t *testing.T) {
	setting := os.Getenv("SOAK_MINUTES")
	if setting == "" {
		t.Skip("SOAK_MINUTES does not say how long; run `make soak`")
	}
	minutes, err := strconv.ParseFloat(setting, 64)
	require.NoError(t, err)
	s := newSoak(t, time.Duration(minutes*float64(time.Minute)))
	s.run()
	s.finish()
}

type soak struct {
	t        *testing.T
	began    time.Time
	warmUp   time.Duration // in which everything grows
	measured time.Duration // three thirds with the same programme

	life     *soakLife
	slack    *fakeSlack
	book     *soakBook
	backends [soakReaders]*soakBackend
	steady   *collector
	restless *collector

	deathSoon  atomic.Bool // no 429 now: nobody could know of it afterwards
	waitMinute atomic.Bool // the next audit call is told to wait without being told how long
	calls      atomic.Int64
	faultsMu   sync.Mutex
	random     *rand.Rand
	faults     map[slacktest.Fault]int
	heavy      time.Time // when the last large answer was given
	kills      int
	stops      int

	figures []*figure
	by      map[string]*figure
}

func newSoak(t *testing.T, total time.Duration) *soak {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("%s, seed %d", total, seed)
	s := &soak{
		t: t, began: time.Now(), warmUp: min(max(total/10, 10*time.Second), time.Minute),
		random: rand.New(rand.NewPCG(seed, 0)), faults: map[slacktest.Fault]int{}, by: map[string]*figure{},
	}
	s.measured = total - s.warmUp
	require.GreaterOrEqual(t, s.measured, 45*time.Second, "of less nothing can be said; SOAK_MINUTES=1 will do")

	// Slack's clock runs apart from the collector's, so that its hour ends with the first third: in soaks that are long
	// enough, the ids of that hour have to be gone in the last one.
	turn := s.began.Add(s.warmUp + s.measured/3)
	ahead := turn.Round(time.Hour).Sub(turn)
	slackNow := func() time.Time { return time.Now().Add(ahead) }

	s.slack = newSlack(t, slacktest.Options{
		Now: slackNow, CallLog: 1000, StaleEvery: 13, EmptyPages: 17, TeamsPerPage: 2, RetryAfter: time.Second,
		SlowFor: 300 * time.Millisecond,
	})
	for _, token := range soakTokens {
		s.slack.SetToken(token, s.slack.org.Identity())
	}
	s.book = newSoakBook()
	s.life = &soakLife{
		slack: s.slack, book: s.book, now: slackNow, random: rand.New(rand.NewPCG(seed, 1)), twins: map[string]int{},
		convert: record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll}),
	}
	for reader := range s.backends {
		s.backends[reader] = newSoakBackend(t, s.book, reader)
	}
	start := slackNow().Add(-time.Minute).UTC().Format(time.RFC3339)
	s.steady = prepare(t, s.slack, &backend{url: s.backends[soakDirect].url}, soakConfig, soakQueuedConfig)
	s.steady.env["SLACK_TOKEN_QUEUED"] = soakTokens[soakQueued]
	s.steady.env["OTLP_ENDPOINT_QUEUED"] = s.backends[soakQueued].url
	s.restless = prepare(t, s.slack, &backend{url: s.backends[soakRestless].url}, soakConfig)
	s.restless.env["SLACK_TOKEN"] = soakTokens[soakRestless]
	for _, c := range []*collector{s.steady, s.restless} {
		c.env["PPROF_PORT"] = freePort(t)
		c.env["SOAK_START"] = start
	}

	s.figures = soakFigures()
	for _, f := range s.figures {
		s.by[f.name] = f
	}
	return s
}

// soakFigures are what must not grow, with room for what comes and goes when all is well.
func soakFigures() []*figure {
	return []*figure{
		// The heap right after a garbage collection. There are 45 B for each audit entry of the hour, rows, and series
		// of metrics that a rare error begins.
		{name: "heap", unit: "MiB", of: least, times: 1.1, plus: 2},
		// The Go runtime gives back what large answers took, but in its own time.
		{name: "resident memory", unit: "MiB", of: least, times: 1.25, plus: 16},
		// Connections are opened and closed with each fault.
		{name: "goroutines", unit: "", of: middle, times: 1.2, plus: 5},
		{name: "open files", unit: "", of: middle, times: 1.2, plus: 5, optional: true},
		// Failing calls are repeated after ever longer pauses, and what is shown very late waits for a sweep. One that
		// falls behind is minutes late soon.
		{name: "poll staleness", unit: "s", of: middle, times: 1, plus: soakSweepInterval.Seconds()},
		{name: "watermark lag", unit: "s", of: middle, times: 1, plus: soakSweepInterval.Seconds()},
		{name: "oldest not delivered", unit: "s", of: middle, times: 1, plus: soakSweepInterval.Seconds()},
		// Without compaction a database never shrinks, and it grows by doubling, from 32 KiB on.
		{name: "files of state", unit: "KiB", of: middle, times: 2, plus: 1024},
		// A journal of rows is written anew when it is 48 KiB longer than it had to be.
		{name: "largest list in state", unit: "KiB", of: middle, times: 1, plus: 64},
		{name: "ids in state beyond need", unit: "KiB", of: middle, times: 1, plus: 4},
		{name: "queue on disk", unit: "KiB", of: middle, times: 1, plus: 64},
		{name: "restless: oldest not delivered", unit: "s", of: middle, times: 1, plus: soakSweepInterval.Seconds()},
		{name: "restless: files of state", unit: "KiB", of: middle, times: 2, plus: 1024},
		{name: "restless: largest list in state", unit: "KiB", of: middle, times: 1, plus: 64},
		{name: "restless: ids in state beyond need", unit: "KiB", of: middle, times: 1, plus: 4},
	}
}

// soakStep is something to do so long after the start.
type soakStep struct {
	at time.Duration
	do func()
}

// steps are what happens to the collectors, in order.
func (s *soak) steps() (all []soakStep) {
	total := s.warmUp + s.measured
	third := s.measured / 3
	programmes := max(1, int(third.Round(time.Minute)/(3*time.Minute)))
	length := third / time.Duration(programmes)
	all = append(all, s.troubles(0, s.warmUp)...)
	for i := range 3 * programmes {
		all = append(all, s.troubles(s.warmUp+time.Duration(i)*length, length)...)
	}

	const life = 20 * time.Second
	for at := life / 4; at < total-5*time.Second; at += life {
		all = append(all, soakStep{at - 3*time.Second, func() { s.deathSoon.Store(true) }}, soakStep{at, s.restart})
	}
	// Not more often than each second: for so long the collector goes by the same figures.
	every := min(max(s.measured/200, 1100*time.Millisecond), 10*time.Second)
	for at := every; at < total; at += every {
		all = append(all, soakStep{at, s.sample})
	}
	for at := time.Minute; at < total; at += time.Minute {
		all = append(all, soakStep{at, s.progress})
	}
	slices.SortStableFunc(all, func(a, b soakStep) int { return int(a.at - b.at) })
	return all
}

// troubles are one programme of what goes wrong beside the faults. Times are those of one of three minutes. After each
// of them there is time to recover, so that in most of a programme all should be well.
func (s *soak) troubles(from, length time.Duration) []soakStep {
	at := func(second float64, do func()) soakStep {
		return soakStep{from + time.Duration(second/180*float64(length)), do}
	}
	refuse := func(on bool) func() {
		return func() {
			for _, b := range s.backends {
				b.refusing.Store(on)
			}
		}
	}
	steps := []soakStep{
		at(9, func() { s.life.burst(450) }),
		at(30, refuse(true)),
		at(38, refuse(false)),
		at(60, func() {
			for _, token := range soakTokens {
				s.slack.Revoke(token)
			}
		}),
		at(66, func() {
			for _, token := range soakTokens {
				s.slack.Restore(token)
			}
		}),
		at(85, func() { s.slack.Down(true) }),
		at(91, func() { s.slack.Down(false) }),
		at(110, func() { s.slack.Refuse(labs, "team_access_not_granted") }),
		at(120, func() { s.slack.Refuse(labs, "") }),
	}
	if length >= 150*time.Second { // else the minute would be most of it
		steps = append(steps, at(100, func() { s.waitMinute.Store(true) }))
	}
	return steps
}

// run starts the collectors and goes through the steps while things happen in Slack.
func (s *soak) run() {
	var happening sync.WaitGroup
	over := make(chan struct{})
	happening.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.life.moment()
			case <-over:
				return
			}
		}
	})
	defer happening.Wait()
	defer close(over)

	s.slack.SetFault(s.fault)
	defer s.slack.SetFault(nil)
	s.life.burst(500)
	s.steady.start()
	s.restless.start()
	for _, step := range s.steps() {
		time.Sleep(time.Until(s.began.Add(step.at)))
		step.do()
	}
}

// fault is what a call meets: each tenth something bad, in every way there is.
func (s *soak) fault(call slacktest.Call) slacktest.Fault {
	s.calls.Add(1)
	s.faultsMu.Lock()
	fault := s.choose(call)
	s.faults[fault]++
	between := s.random.IntN(5) == 0
	s.faultsMu.Unlock()
	if between {
		s.life.moment() // something happens between two pages
	}
	return fault
}

func (s *soak) choose(call slacktest.Call) slacktest.Fault {
	patient := !s.deathSoon.Load()
	if patient && call.Path == slacktest.PathAudit && s.waitMinute.CompareAndSwap(true, false) {
		return [...]slacktest.Fault{slacktest.FaultRateLimitMissing, slacktest.FaultRateLimitNonsense}[s.random.IntN(2)]
	}
	all := slacktest.Faults()
	fault := all[s.random.IntN(len(all))]
	if s.random.IntN(10) > 0 {
		return slacktest.FaultNone
	}
	switch fault {
	case slacktest.FaultRateLimitMissing, slacktest.FaultRateLimitNonsense:
		return slacktest.FaultNone // a minute each
	case slacktest.FaultRateLimit, slacktest.FaultRateLimitDate:
		// All log types ask auth.test at once, so that some are under way when one is told to wait.
		if !patient || call.Path == slacktest.PathAuthTest {
			return slacktest.FaultNone
		}
	case slacktest.FaultEndless, slacktest.FaultGzipBomb:
		// They take time to make, which others may need.
		if time.Since(s.heavy) < 7*time.Second {
			return slacktest.FaultNone
		}
		s.heavy = time.Now()
	}
	return fault
}

// restart ends the restless collector and starts it. It is killed every other time, in turn at any moment and while it
// waits for the backend's answer to a batch, which then comes again.
func (s *soak) restart() {
	if (s.kills+s.stops)%2 == 0 {
		if s.kills%2 == 0 {
			held := &soakHold{make(chan struct{}), make(chan struct{})}
			s.backends[soakRestless].hold.Store(held)
			defer close(held.over)
			select {
			case <-held.reached:
			case <-time.After(2 * time.Second): // it may be told to wait
			}
		}
		s.restless.kill()
		s.kills++
	} else {
		s.restless.stop()
		s.stops++
	}
	s.restless.start()
	s.deathSoon.Store(false)
}

// sample adds a value to each figure.
func (s *soak) sample() {
	at := time.Since(s.began) - s.warmUp
	add := func(name string, value float64) {
		f := s.by[name]
		require.NotNil(s.t, f, name)
		f.add(at, value)
	}
	pprof := "http://127.0.0.1:" + s.steady.env["PPROF_PORT"] + "/debug/pprof/"
	if _, text, err := get(pprof + "goroutine?debug=1"); err == nil {
		var n float64
		_, err := fmt.Sscanf(text, "goroutine profile: total %g", &n)
		require.NoError(s.t, err)
		add("goroutines", n)
	}
	_, _, _ = get(pprof + "heap?gc=1") // only for the collection before it
	page := s.steady.metrics()
	most := func(name string) float64 {
		values := page.values("otelcol_" + name)
		if len(values) == 0 {
			return 0
		}
		return slices.Max(values)
	}
	add("heap", most("process_runtime_heap_alloc_bytes")/(1<<20))
	add("resident memory", most("process_memory_rss")/(1<<20))
	add("poll staleness", most("slacklogs_poll_staleness"))
	add("watermark lag", most("slacklogs_watermark_lag"))
	if n, ok := openFiles(s.steady.cmd.Process.Pid); ok {
		add("open files", float64(n))
	}
	_, direct := s.book.waiting(soakDirect)
	_, queued := s.book.waiting(soakQueued)
	add("oldest not delivered", max(direct, queued).Seconds())
	_, restless := s.book.waiting(soakRestless)
	add("restless: oldest not delivered", restless.Seconds())

	for _, c := range []*collector{s.steady, s.restless} {
		state, err := readStored(filepath.Join(c.dir, "state"))
		if err != nil {
			continue // it is just being created
		}
		prefix, receivers := "restless: ", 1.0
		if c == s.steady {
			prefix, receivers = "", 2
			add("queue on disk", state.queue/1024)
		}
		// Ids are kept by the hour, as long as a sweep may want them. Sweeps wait while there is trouble.
		need := s.life.now().Add(-soakSweepWindow - 2*soakSweepInterval - 90*time.Second).Unix()
		allowed := receivers * 17 * float64(s.book.datedSince(need))
		add(prefix+"ids in state beyond need", max(0, state.ids-allowed)/1024)
		add(prefix+"files of state", state.files/1024)
		add(prefix+"largest list in state", state.list/1024)
	}
	s.book.settle()
}

func (s *soak) progress() {
	var waiting [soakReaders]int
	for reader := range waiting {
		waiting[reader], _ = s.book.waiting(reader)
	}
	s.t.Logf("after %s: %d calls, %d kills, %d stops, not delivered yet: %v",
		time.Since(s.began).Round(time.Second), s.calls.Load(), s.kills, s.stops, waiting)
}

// finish lets the collectors catch up, and judges.
func (s *soak) finish() {
	t := s.t
	defer func() {
		for reader := range s.backends {
			for _, text := range s.book.missing(reader, 5) {
				t.Logf("reader %d lacks: %s", reader, text)
			}
		}
	}()
	for reader, c := range [soakReaders]*collector{s.steady, s.steady, s.restless} {
		c.waitFor(fmt.Sprintf("reader %d has delivered everything", reader), func() bool {
			n, _ := s.book.waiting(reader)
			return n == 0
		})
	}
	time.Sleep(5 * time.Second) // what comes again comes now
	page := s.steady.metrics()
	for _, name := range []string{"poll_staleness", "watermark_lag"} {
		assert.Less(t, slices.Max(page.values("otelcol_slacklogs_"+name)), 15.0, "%s when all is well", name)
	}
	dropped, _ := page.value("otelcol_slacklogs_entries", `outcome="dropped"`)
	assert.Zero(t, dropped, "dropped entries")
	_, goroutines, _ := get("http://127.0.0.1:" + s.steady.env["PPROF_PORT"] + "/debug/pprof/goroutine?debug=1")
	s.steady.stop()
	s.restless.stop()
	assert.Empty(t, s.slack.Violations())

	text, bad := table(s.figures, s.measured)
	s.book.mu.Lock()
	amiss, shown, arrived, repeats := s.book.amiss, s.book.shown, s.book.arrived, s.book.repeats
	s.book.mu.Unlock()
	for _, wrong := range s.book.wrong {
		t.Log(wrong)
	}
	assert.Zero(t, amiss, "records that should not be")
	var kinds []string
	faults := 0
	for _, fault := range slices.Sorted(maps.Keys(s.faults)) {
		if fault != slacktest.FaultNone {
			faults += s.faults[fault]
			kinds = append(kinds, fmt.Sprintf("%s %d", fault, s.faults[fault]))
		}
	}
	var refused int64
	for _, b := range s.backends {
		refused += b.refused.Load()
	}
	t.Logf(`
shown: %d audit entries, %d states of access rows, %d integration rows
delivered: %v by the three receivers, of which came again: %v
calls: %d, with %d faults of %d kinds: %s
batches that the backends refused: %d
deaths of the restless collector: %d by kill -9, %d by SIGTERM

%s`, shown["audit"], shown["access"], shown["integration"], arrived, repeats,
		s.calls.Load(), faults, len(kinds), strings.Join(kinds, ", "), refused, s.kills, s.stops, text)
	if !assert.Empty(t, bad) && slices.ContainsFunc(bad, func(name string) bool { return strings.HasPrefix(name, "goroutines") }) {
		t.Logf("most of the goroutines at the end:\n%s", goroutines[:min(len(goroutines), 3000)])
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	outageLength  = 24 * time.Hour
	outageEntries = 1_000_000

	// What Slack gives an organisation.
	slackPage    = 9999
	slackPerMin  = 50
	slackLatency = 500 * time.Millisecond // for a page; nobody has published how long a large one takes

	// outageAfter is how long it is looked on once all is read.
	outageAfter = 2 * time.Minute
)

// outageConfig is all that the example for production is changed in: where Slack is, the ports, and the two settings
// that the README has raised for a large backlog.
const outageConfig = `
extensions:
  health_check:
    endpoint: 127.0.0.1:${env:HEALTH_PORT}
receivers:
  slacklogs:
    endpoint: ${env:SLACK_URL}/api
    audit_endpoint: ${env:SLACK_URL}/audit/v1
    audit_logs:
      page_size: 9999
      requests_per_minute: ${env:OUTAGE_RATE}
service:
  telemetry:` + metricsConfig

// The built collector was away for a day, in which a busy organisation went on: how soon it has caught up, and what is
// new meanwhile. `make outage` runs it.
func TestOutage(t *testing.T) {
	setting := os.Getenv("OUTAGE_RATE")
	if setting == "" {
		t.Skip("OUTAGE_RATE does not say how many calls a minute; run `make outage`")
	}
	rate, err := strconv.ParseFloat(setting, 64)
	require.NoError(t, err)
	o := newOutage(t, rate)
	o.before()
	o.away()
	o.catchUp()
	o.after()
	o.report()
}

type outage struct {
	t    *testing.T
	rate float64 // the receiver's, in calls a minute

	slack  *fakeSlack
	behind atomic.Int64 // by how much Slack's clock is
	book   *outageBook
	c      *collector

	stopped  time.Time // the first run, by Slack's clock
	started  time.Time // the second one
	caughtUp time.Time
	backlog  int

	idle, caught outageUse // of the first run at rest; of the second one once it has caught up
	peak         float64   // MiB
	ages         []float64 // seconds that the newest delivered entry was old, time after time until all was read
	first        time.Time // when the first one from after the start was there
}

// outageUse is what the process takes.
type outageUse struct {
	cpu, rss float64 // seconds, MiB
	// waited is for how long its threads could have run but had no core, taken together.
	waited   float64
	waitedOK bool
}

func newOutage(t *testing.T, rate float64) *outage {
	t.Helper()
	o := &outage{t: t, rate: rate, book: newOutageBook()}
	o.behind.Store(int64(outageLength))
	o.slack = newSlack(t, slacktest.Options{Now: o.slackNow, LimitPerMinute: slackPerMin, SlowFor: slackLatency})
	o.slack.SetFault(func(slacktest.Call) slacktest.Fault { return slacktest.FaultSlow })

	o.c = newCollector(t, o.slack, &backend{url: serveOutage(t, o.book)})
	rest := filepath.Join(o.c.dir, "rest.yaml")
	require.NoError(t, os.WriteFile(rest, []byte(outageConfig), 0o600))
	o.c.args = []string{"--config", example(t, "audit-logs.yaml"), "--config", rest, statusGate}
	o.c.env["HEALTH_PORT"] = freePort(t)
	o.c.env["OUTAGE_RATE"] = strconv.FormatFloat(rate, 'f', -1, 64)
	return o
}

func (o *outage) slackNow() time.Time { return time.Now().Add(-time.Duration(o.behind.Load())) }

// before is yesterday: the collector reads what little there is, and is stopped.
func (o *outage) before() {
	o.t.Helper()
	now := o.slackNow()
	o.happen(now.Add(-time.Hour), time.Hour, func(int) float64 { return 1 })
	o.c.start()
	o.c.waitFor("the first entries arrive", func() bool { return o.book.missing(now) == 0 })
	o.slack.waitForCalls(o.c, 1) // after a quiet minute
	o.idle = o.use()
	o.c.terminate()
	o.stopped = o.slackNow()
}

// away is the day without a collector, and what happens from then on. Entries can be made up beforehand, as each is
// shown when its time has come.
func (o *outage) away() {
	o.t.Helper()
	began := time.Now()
	day := outageLength.Seconds()
	o.happen(o.stopped, outageLength+o.patience()+outageAfter, func(second int) float64 {
		// Nights are quiet.
		return outageEntries / day * (1 + 0.8*math.Sin(2*math.Pi*float64(second)/day))
	})
	o.behind.Store(0)
	o.t.Logf("%d entries, of %.0f bytes on average, were made up in %s",
		len(o.book.shown), float64(o.book.bytes)/float64(len(o.book.shown)), time.Since(began).Round(time.Second))
}

// happen makes up the entries of so much time; rate says how many a second has.
func (o *outage) happen(from time.Time, length time.Duration, rate func(second int) float64) {
	var entries []slacktest.Entry
	due := 0.0
	for second := range int(length.Seconds()) {
		due += rate(second)
		n := int(due)
		due -= float64(n)
		for i := range n {
			shown := from.Add(time.Duration(second)*time.Second + time.Duration(i)*time.Second/time.Duration(n))
			e := o.slack.org.Entry(shown.Unix())
			e.Shown = shown
			o.book.expect(e)
			entries = append(entries, e)
		}
	}
	o.slack.Add(entries...)
}

// patience is how long catching up may take.
func (o *outage) patience() time.Duration { return 5*time.Minute + 3*o.least(outageEntries, o.rate) }

// least is how long so many entries take at least.
func (o *outage) least(entries int, rate float64) time.Duration {
	return time.Duration(float64(fewestCalls(entries)) / rate * float64(time.Minute))
}

func fewestCalls(entries int) int { return (entries + slackPage - 1) / slackPage }

// catchUp starts the collector and waits until all is there that was shown before.
func (o *outage) catchUp() {
	o.t.Helper()
	o.started = time.Now()
	o.backlog = o.book.missing(o.started)
	o.c.start()
	o.watch("it has caught up", o.patience(), func() bool {
		now := time.Now()
		if newest := o.book.newestArrived(); newest.After(o.started) {
			if o.first.IsZero() {
				o.first = now
			}
			o.ages = append(o.ages, now.Sub(newest).Seconds())
		}
		return o.book.missing(o.started) == 0
	})
	o.caughtUp = o.book.lastOf(o.started)
	o.caught = o.use()
	o.peak = peakMemory(o.t, o.c.cmd.Process.Pid) / 1024
}

// after looks on, stops the collector and compares.
func (o *outage) after() {
	o.t.Helper()
	end := o.caughtUp.Add(outageAfter)
	o.watch("some quiet polls", outageAfter+time.Minute, func() bool { return time.Now().After(end) })
	o.watch("what was shown meanwhile arrives", patience, func() bool { return o.book.missing(end) == 0 })
	o.c.stop()
	assert.Zero(o.t, o.book.repeats, "records that came again")
	assert.Zero(o.t, o.book.unknown, "records that Slack did not show")
	o.slack.requireNoViolations(o.t)
}

// watch is waitFor with another patience, and less often.
func (o *outage) watch(what string, atMost time.Duration, done func() bool) {
	o.t.Helper()
	deadline := time.After(atMost)
	for !done() {
		select {
		case <-o.c.ended:
			o.t.Fatalf("the collector ended by itself (%s) before: %s", o.c.cmd.ProcessState, what)
		case <-deadline:
			o.t.Fatalf("in %s it did not happen: %s", atMost, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (o *outage) use() outageUse {
	o.t.Helper()
	page := o.c.metrics()
	cpu, _ := page.value("otelcol_process_cpu_seconds")
	rss, found := page.value("otelcol_process_memory_rss")
	require.True(o.t, found, "memory on the metrics page")
	use := outageUse{cpu: cpu, rss: rss / (1 << 20)}
	use.waited, use.waitedOK = waitedForCore(o.c.cmd.Process.Pid)
	return use
}

// waitedForCore tells how short of cores a machine was. Not every system tells it.
func waitedForCore(pid int) (seconds float64, ok bool) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, false
	}
	for _, thread := range threads {
		var ran, waited float64 // nanoseconds
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // it has just ended
		}
		if _, err := fmt.Sscan(string(text), &ran, &waited); err != nil {
			return 0, false
		}
		seconds += waited / 1e9
	}
	return seconds, len(threads) > 0
}

// outageCalls are the calls from the start until all was read, by what they were for.
type outageCalls struct {
	tail, backlog, sweep, refused int
}

func (o *outage) calls() (n outageCalls) {
	for _, call := range o.slack.Calls() {
		if call.Path != slacktest.PathAudit || call.Time.Before(o.started) || call.Time.After(o.caughtUp) {
			continue
		}
		oldest, _ := strconv.ParseInt(call.Query.Get("oldest"), 10, 64)
		latest, _ := strconv.ParseInt(call.Query.Get("latest"), 10, 64)
		switch {
		case call.Status != 200:
			n.refused++
		case latest >= o.started.Unix():
			n.tail++
		case oldest < o.stopped.Add(-time.Hour).Unix(): // the backlog begins one overlap before the end of the first run
			n.sweep++
		default:
			n.backlog++
		}
	}
	return n
}

func (o *outage) report() {
	o.t.Helper()
	took := o.caughtUp.Sub(o.started)
	calls := o.calls()
	all := calls.tail + calls.backlog + calls.sweep + calls.refused
	meanwhile := o.book.delays(o.started, o.caughtUp)
	afterwards := o.book.delays(o.caughtUp, o.caughtUp.Add(outageAfter))
	fewest := fewestCalls(o.backlog)
	polls := int(took/time.Minute) + 1
	cpu := o.caught.cpu

	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	row("entries waiting at the start", "%d", o.backlog)
	row("caught up in", "%s", seconds(took))
	for _, rate := range []float64{o.rate, slackPerMin} {
		least := o.least(o.backlog, rate)
		row(fmt.Sprintf("  least at %.0f calls a minute", rate), "%s: %.2f times that", seconds(least), took.Seconds()/least.Seconds())
	}
	row("calls until then", "%d: %d new, %d backlog, %d sweep, %d refused", all, calls.tail, calls.backlog, calls.sweep, calls.refused)
	row("  fewest for the entries", "%d: %.2f times that", fewest, float64(all)/float64(fewest))
	row("  and one for what is new each minute", "%d: %.2f times that", fewest+polls, float64(all)/float64(fewest+polls))
	row("first new entry after", "%s", seconds(o.first.Sub(o.started)))
	row("from being shown to the backend meanwhile", "%s, of %d", spread(meanwhile), len(meanwhile))
	row("  in the 2 minutes after", "%s, of %d", spread(afterwards), len(afterwards))
	row("age of the newest delivered entry meanwhile", "%s", spread(o.ages))
	row("lost, repeated", "%d, %d", o.book.missing(o.caughtUp.Add(outageAfter)), o.book.repeats)
	row("memory of the collector, at rest before", "%.0f MiB", o.idle.rss)
	row("  peak", "%.0f MiB", o.peak)
	row("  right after", "%.0f MiB", o.caught.rss)
	row("CPU until caught up", "%.1f s, %.1f µs an entry, %.0f %% of a core", cpu, cpu*1e6/float64(o.backlog), 100*cpu/took.Seconds())
	if o.caught.waitedOK {
		row("  its threads waited for a core", "%.1f s, taken together; much of it on a busy machine", o.caught.waited)
	}
	_ = w.Flush() // to memory
	o.t.Logf("requests_per_minute %.0f, page_size %d\n\n%s", o.rate, slackPage, out.String())
}

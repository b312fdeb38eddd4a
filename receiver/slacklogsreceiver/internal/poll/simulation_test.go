// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

// simulated and failures are what TestMain tells at the end.
var simulated, failures atomic.Int64

func TestMain(m *testing.M) {
	// The tests make much garbage out of little memory.
	debug.SetGCPercent(1000)
	code := m.Run()
	if n := simulated.Load(); n > 0 && os.Getenv("SEEDS")+os.Getenv("SEED") != "" {
		fmt.Printf("%d seeds, %d failures\n", n, failures.Load())
	}
	os.Exit(code)
}

// seedKinds are what the seeds simulate, in turn.
var seedKinds = []string{"audit", "audit", "audit", "access", "integration"}

// TestSimulation lets the real engine live through a random bad day, seed by
// seed: crashes between any two steps, faults on every call, refusals, full
// storage, late entries, bursts, wrong clocks, changed settings, outages. Then
// all is quiet. The promises have to hold all the time and at the end. SEEDS=n
// runs so many, from FROM (0) on; SEED=n runs one and tells each step.
func TestSimulation(t *testing.T) {
	first, seeds := number("FROM", 0), number("SEEDS", 25)
	alone := os.Getenv("SEED") != ""
	if alone {
		first, seeds = number("SEED", 0), 1
	}
	for seed := first; seed < first+seeds; seed++ {
		kind := seedKinds[seed%uint64(len(seedKinds))]
		t.Run(fmt.Sprintf("%s_seed_%d", kind, seed), func(t *testing.T) {
			t.Parallel()
			if fast := flag.Lookup("test.failfast"); fast != nil && fast.Value.String() == "true" && failures.Load() > 0 {
				t.Skip("another seed has failed")
			}
			simulated.Add(1)
			t.Cleanup(func() {
				if t.Failed() {
					failures.Add(1)
					// At once, as many seeds take a while.
					fmt.Printf("seed %d (%s) failed; repeat it: make sim SEED=%d\n", seed, kind, seed)
				}
			})
			s := newSimulation(t, kind, seed, alone)
			s.live()
		})
	}
}

func number(name string, missing uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return missing
}

func choose[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func within(r *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d)))
}

// simulation is one day of one collector, and the books that are kept of it.
type simulation struct {
	*world
	*chaos

	r    *rand.Rand
	kind string
	logs dayOfLogs
	// until the evening things go wrong. An outage lasts for days.
	evening time.Time
	outage  time.Duration
	// beside is a second collector.
	beside  *rival
	running bool

	tokens   int
	identity slacktest.Identity
	// unpaused are the processes whose Retry-After is not saved.
	unpaused map[*Poller]bool
	minutes  map[*Poller]*minute
	// unsaved counts what was accepted but is in no saved document.
	unsaved   map[*Poller]map[string]int
	mayRepeat int
	// dropped are the uids that the pipeline refused for good.
	dropped map[string]bool
	told    int
}

// minute is the calls of a process in the last 60 s, and the most there may be.
type minute struct {
	calls []time.Time
	most  int
}

// dayOfLogs is what a log type brings: its settings, what happens in Slack,
// and what has to hold.
type dayOfLogs interface {
	open(set Settings) (*Poller, error)
	began(p *Poller)
	anchored(p *Poller) bool
	// change makes other settings, settle the last ones.
	change()
	settle()
	settings() any
	perMinute() float64
	// saved judges what a process has just saved.
	saved(p *Poller)
	// quiet lets the collector make good what went wrong, and judge all.
	quiet()
	judge()
}

func newSimulation(t *testing.T, kind string, seed uint64, traced bool) *simulation {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	s := &simulation{
		r: r, kind: kind, evening: noon.Add(4 * time.Hour),
		unpaused: map[*Poller]bool{}, minutes: map[*Poller]*minute{},
		unsaved: map[*Poller]map[string]int{}, dropped: map[string]bool{},
	}
	if r.IntN(10) == 0 {
		s.outage = 12*time.Hour + within(r, 72*time.Hour)
		s.evening = s.evening.Add(s.outage)
	}
	if kind == "audit" {
		s.logs = newAuditDay(t, s)
	} else {
		s.logs = newListDay(t, s)
	}
	s.logger = zap.NewNop()
	if traced {
		s.traceTo(os.Stdout)
	}
	// Few answers are worth compressing.
	s.plain = r.IntN(8) > 0
	s.chaos = newChaos(s)
	return s
}

// traceTo writes a line for each step.
func (s *simulation) traceTo(out *os.File) {
	s.trace = func(format string, args ...any) {
		fmt.Fprintf(out, "%s "+format+"\n", append([]any{s.now.Format("02 15:04:05.000")}, args...)...)
	}
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m", LevelKey: "l", EncodeLevel: zapcore.LowercaseLevelEncoder})
	s.logger = zap.New(zapcore.NewCore(encoder, traceWriter(s.trace), zapcore.InfoLevel))
}

type traceWriter func(format string, args ...any)

func (to traceWriter) Write(line []byte) (int, error) {
	to("log: %s", strings.TrimSpace(string(line)))
	return len(line), nil
}
func (traceWriter) Sync() error { return nil }

// live is the day.
func (s *simulation) live() {
	r := s.r
	s.begin()
	s.on = true
	outage := s.outage
	for s.now.Before(s.evening) {
		if s.beside == nil && r.IntN(5) == 0 {
			s.at(s.now.Add(within(r, 90*time.Minute)), s.takeOver)
		}
		s.running = true
		crashed := s.run(within(r, 2*time.Hour))
		s.running = false
		s.ended(s.poller, crashed)
		// What happens to a process that is not there: time goes by.
		s.stop = nil
		pause := within(r, choose(r, time.Second, time.Minute, 90*time.Minute))
		if outage > 0 && r.IntN(3) == 0 {
			pause, outage = outage, 0
		}
		s.pass(pause)
		if r.IntN(4) == 0 {
			s.logs.change()
		}
		s.adjustClock()
		s.begin()
	}
	if s.beside != nil {
		s.leave(s.beside)
	}
	s.calm()
	s.ended(s.poller, false)
	s.logs.settle()
	s.begin()
	s.logs.quiet()
	s.logs.judge()
	s.judge()
}

// judge is what has to hold for all log types.
func (s *simulation) judge() {
	t := s.t
	repeats := 0
	for _, n := range s.delivered {
		repeats += n - 1
	}
	assert.LessOrEqual(t, repeats, s.mayRepeat, "repeats")
	for _, n := range s.batches {
		if n > maxBatch {
			t.Errorf("a batch of %d", n)
		}
	}
	assert.Empty(t, s.slack.Violations())
	if t.Failed() {
		t.Logf("faults %v refusals %v save errors %v crashing %v crashes %d restarts %d skew %s settings %+v",
			s.faults, s.refusals, s.saveErrors, s.crashing, s.crashes, s.restarts, s.skew, s.logs.settings())
	}
}

// fail reports what did not hold, but not without end.
func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	if s.told++; s.told <= 5 {
		s.t.Errorf(s.now.Format("02 15:04:05.000 ")+format, args...)
	}
	if s.trace != nil {
		s.trace("FAILS: "+format, args...)
	}
}

// begin makes a collector of what the disk holds.
func (s *simulation) begin() {
	if s.beside != nil {
		// It knows nothing of the other's pauses, nor of what it has not saved.
		s.newToken()
		s.forget(s.beside.poller)
	}
	p := s.opens(s.world)
	s.poller, s.acting = p, p
	s.logs.began(p)
	s.tell("start: skew %s, %+v", s.skew, s.logs.settings())
}

// opens makes a poller of what the disk holds, also when that takes some tries.
func (s *simulation) opens(a actor) (p *Poller) {
	s.acting = nil
	for {
		var err error
		died := crashes(func() {
			var store *checkpoint.Store
			if store, err = openStore(a); err == nil {
				// As the receiver does at a start: a claim that can't be written is
				// written with the first save.
				_ = store.Claim(context.Background())
				if p, err = s.logs.open(s.settingsOf(a, store)); err != nil {
					_ = store.Abandon(context.Background())
				}
			}
		})
		if !died && err == nil {
			return p
		}
		if !died && !errors.Is(err, errFull) && !errors.Is(err, errTorn) {
			require.NoError(s.t, err)
		}
	}
}

// takeOver starts a second collector beside the first, for a while.
func (s *simulation) takeOver() {
	if s.beside != nil || !s.on {
		return
	}
	s.newToken()
	s.forget(s.poller)
	s.tell("a second collector starts")
	acting := s.acting
	beside := &rival{world: s.world}
	beside.poller = s.opens(beside)
	s.acting, s.beside = acting, beside
	beside.start()
	s.at(s.now.Add(within(s.r, 3*time.Hour)), func() { s.leave(beside) })
}

// leave ends the second collector.
func (s *simulation) leave(p *rival) {
	if s.beside != p {
		return
	}
	p.end(s.r.IntN(2) == 0)
	s.beside = nil
	s.ended(p.poller, p.crashed)
}

// alone reports whether one process runs.
func (s *simulation) alone() bool { return !s.running || s.beside == nil || s.beside.gone }

func (s *simulation) tell(format string, args ...any) {
	if s.trace != nil {
		s.trace(format, args...)
	}
}

// ended takes into the books that a process is no more.
func (s *simulation) ended(p *Poller, crashed bool) {
	if crashed {
		s.crashes++
		s.tell("CRASH")
	} else {
		s.restarts++
		s.tell("stop")
	}
	s.forget(p)
	delete(s.minutes, p)
	if s.unpaused[p] {
		// Nobody knows any more how long Slack wants to be left alone.
		s.newToken()
		delete(s.unpaused, p)
	}
}

// forget counts what a process has not saved: others will deliver it again.
func (s *simulation) forget(p *Poller) {
	for _, n := range s.unsaved[p] {
		s.mayRepeat += n
	}
	delete(s.unsaved, p)
}

// newToken has Slack, and with it the books of its Retry-After, take the next
// processes for somebody else.
func (s *simulation) newToken() {
	s.tokens++
	s.token = fmt.Sprintf("%s-%d", testToken, s.tokens)
	s.slack.SetToken(s.token, s.identity)
	if s.revoked {
		s.slack.Revoke(s.token)
	}
}

func (s *simulation) eachToken(do func(string)) {
	do(testToken)
	for i := range s.tokens {
		do(fmt.Sprintf("%s-%d", testToken, i+1))
	}
}

// adjustClock is what may happen to the local clock while nobody looks.
func (s *simulation) adjustClock() {
	if s.r.IntN(8) > 0 || !s.startIsSlacks() {
		return // The start, which is by the local clock until Slack answers, would go wrong with it.
	}
	if s.beside != nil {
		return // A process that runs measures with a clock that no step moves.
	}
	was := s.skew
	s.skew = within(s.r, 2*time.Hour) - time.Hour
	if s.skew > was {
		// By this clock a saved Retry-After is over too early.
		s.newToken()
	}
}

// chaos is what goes wrong on one day.
type chaos struct {
	// on is false once all is quiet.
	on                bool
	faults, refusals  float64
	saveErrors        float64
	crashing          float64
	odd               float64
	revoked           bool
	crashes, restarts int
	cheap             []slacktest.Fault
}

var errBackend = errors.New("backend down")

func newChaos(s *simulation) *chaos {
	r := s.r
	c := &chaos{
		faults:     choose(r, 0, 0, 0.05, 0.3),
		refusals:   choose(r, 0, 0, 0.1, 0.5),
		saveErrors: choose(r, 0, 0, 0.05),
		crashing:   choose(r, 0, 0.001, 0.01),
		odd:        choose(r, 0, 0, 0.01, 0.1),
	}
	for _, f := range slacktest.Faults() {
		if f != slacktest.FaultEndless && f != slacktest.FaultGzipBomb {
			c.cheap = append(c.cheap, f)
		}
	}
	s.slack.SetFault(func(slacktest.Call) slacktest.Fault {
		if s.happens(c.faults) {
			return choose(r, c.cheap...)
		}
		return slacktest.FaultNone
	})
	s.onCall = func() {
		s.mayCrash()
		if s.happens(0.02) {
			s.slack.Others(r.IntN(30))
		}
	}
	s.onRequest, s.onResponse = s.asked, s.answered
	s.onConsume, s.onBatch = s.consumed, s.batch
	if r.IntN(4) == 0 {
		// A storage that is not atomic.
		s.tear = func() error {
			s.mayCrash()
			if s.happens(c.saveErrors / 4) {
				return errFull
			}
			return nil
		}
	}
	s.retry.Enabled = r.IntN(6) > 0
	s.retry.MaxElapsedTime = choose(r, 0, 0, 0, 5*time.Second, time.Minute)

	day := s.evening.Sub(noon)
	span := func(likely int, from, to func()) {
		if r.IntN(likely) == 0 {
			begins := noon.Add(within(r, day))
			s.at(begins, func() {
				if s.on {
					from()
				}
			})
			s.at(begins.Add(within(r, 2*time.Hour)), to)
		}
	}
	span(3, func() { s.slack.Down(true) }, func() { s.slack.Down(false) })
	span(3, func() { c.revoked = true; s.eachToken(s.slack.Revoke) }, s.restore)
	if r.IntN(6) == 0 {
		// A machine that sleeps falls behind.
		for range 1 + r.IntN(3) {
			s.at(noon.Add(within(r, day)), func() {
				if s.startIsSlacks() {
					s.skew -= within(r, choose(r, 3*time.Second, time.Minute, time.Hour))
				}
			})
		}
	}
	return c
}

// startIsSlacks reports whether the saved start is by Slack's clock.
func (s *simulation) startIsSlacks() bool {
	return bytes.Contains(s.disk[s.kind], []byte(`"anchored":true`))
}

func (s *simulation) restore() {
	s.revoked = false
	s.eachToken(s.slack.Restore)
}

// calm ends all that goes wrong.
func (s *simulation) calm() {
	s.on = false
	s.slack.Down(false)
	s.slack.Unpoison()
	s.restore()
}

func (s *simulation) happens(p float64) bool { return s.on && s.r.Float64() < p }

func (s *simulation) mayCrash() {
	if s.happens(s.crashing) {
		panic(crash{})
	}
}

// asked keeps book of the calls: in any 60 s of a process's life, there are
// not more than the budget has.
func (s *simulation) asked(r *http.Request) *http.Response {
	if r.URL.Path == slacktest.PathAuthTest {
		return nil
	}
	m := s.minutes[s.acting]
	if m == nil {
		m = &minute{most: int(s.logs.perMinute()) + 5}
		s.minutes[s.acting] = m
	}
	for len(m.calls) > 0 && s.now.Sub(m.calls[0]) >= time.Minute {
		m.calls = m.calls[1:]
	}
	if m.calls = append(m.calls, s.now); len(m.calls) > m.most {
		s.fail("%d calls within a minute, %d are allowed", len(m.calls), m.most)
	}
	return nil
}

// answered makes some answers odd, and keeps book of Slack's Retry-After.
func (s *simulation) answered(r *http.Request, answer *http.Response, err error) {
	if err == nil && (answer.StatusCode == http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "") {
		s.unpaused[s.acting] = true
	} else if err == nil && s.happens(s.odd) && s.logs.anchored(s.acting) {
		odd := s.r.IntN(3)
		if _, known := s.acting.client.Now(); !known {
			// Where the first answer does not say the time, the local clock counts,
			// right or wrong.
			odd = 2
		}
		switch odd {
		case 0:
			answer.Header.Del("Date")
		case 1:
			answer.Header.Set("Date", "yesterday")
		default:
			off := 3*time.Hour + within(s.r, 1000*time.Hour)
			answer.Header.Set("Date", s.now.Add(choose(s.r, -off, off)).UTC().Format(http.TimeFormat))
		}
	}
	if s.trace != nil {
		what := fmt.Sprint(err)
		if err == nil {
			what = fmt.Sprintf("%d %s", answer.StatusCode, answer.Header.Get("Date"))
			if wait := answer.Header.Get("Retry-After"); wait != "" {
				what += " Retry-After " + wait
			}
		}
		if calls := s.slack.Calls(); len(calls) > 0 {
			last := calls[len(calls)-1]
			what += fmt.Sprintf(" %d rows, fault %s", last.Entries, last.Fault)
		}
		s.trace("call %s?%s: %s", r.URL.Path, r.URL.RawQuery, what)
	}
}

// consumed is what the pipeline says to a batch.
func (s *simulation) consumed(uids []string) error {
	s.mayCrash()
	err, taken := error(nil), true
	if s.happens(s.refusals) {
		forGood := consumererror.NewPermanent(errBackend)
		switch s.r.IntN(10) {
		case 0, 1, 2:
			err = errBackend // Another pipeline of the fan-out took it.
		case 3:
			err = errors.Join(forGood, errBackend)
		case 4:
			err, taken = errors.Join(errBackend, fmt.Errorf("queue: %w", forGood)), false
		case 5:
			err, taken = choose(s.r, forGood, errors.Join(forGood, forGood)), false
			for _, uid := range uids {
				s.dropped[uid] = true
			}
		default:
			err, taken = errBackend, false
		}
	}
	s.tell("batch of %d from %s: %v, taken %t", len(uids), s.from, err, taken)
	if s.trace != nil && taken {
		for _, uid := range uids {
			if s.delivered[uid] > 0 {
				s.trace("repeats %s; %d may repeat so far", uid, s.mayRepeat)
			}
		}
	}
	switch {
	case err == nil && s.alone():
		of := s.unsaved[s.acting]
		if of == nil {
			of = map[string]int{}
			s.unsaved[s.acting] = of
		}
		of[s.document()] += len(uids)
	case taken:
		// While two lead, and in a fan-out, records repeat.
		s.mayRepeat += len(uids)
	}
	if err != nil && taken {
		s.accept(uids)
	}
	return err
}

// document is where it is saved that a batch was accepted.
func (s *simulation) document() string {
	if s.kind == "audit" {
		return auditKey
	}
	return s.kind + "." + s.from
}

var errTorn = errors.New("the disk is gone")

// batch is a save; it may fail before or after it was written, or in the
// middle where the storage is not atomic.
func (s *simulation) batch(ops []*storage.Operation, write func() error) error {
	s.mayCrash()
	fails := s.happens(s.saveErrors)
	if fails && s.r.IntN(2) == 0 {
		s.tell("save: fails")
		return errFull
	}
	if err := write(); err != nil {
		s.tell("save: breaks off")
		return err
	}
	s.wrote(ops)
	if fails {
		s.tell("save: written, but it fails")
		return errTorn
	}
	s.tell("save: %d operations", len(ops))
	s.mayCrash()
	return nil
}

// wrote takes a save into the books.
func (s *simulation) wrote(ops []*storage.Operation) {
	saved := false
	for _, op := range ops {
		if op.Type != storage.Set {
			continue
		}
		if op.Key == s.kind {
			delete(s.unpaused, s.acting)
			saved = true
		}
		// A workspace's document counts once that of the log type names it; a save
		// that broke off may leave it without.
		team, _ := strings.CutPrefix(op.Key, s.kind+".")
		named := op.Key == s.kind || bytes.Contains(s.disk[s.kind], []byte(`"`+team+`"`))
		if of := s.unsaved[s.acting]; named && of[op.Key] > 0 {
			of[op.Key] = 0
		}
		saved = saved || strings.HasPrefix(op.Key, s.kind+".T0") && strings.Count(op.Key, ".") == 1
	}
	if saved && s.acting != nil {
		s.logs.saved(s.acting)
	}
}

// has reports whether a uid is accounted for.
func (s *simulation) has(uid string) bool { return s.delivered[uid] > 0 || s.dropped[uid] }

// mostPerMinute is the most calls in any 60 s.
func mostPerMinute(calls []slacktest.CallRecord) (most int) {
	first := 0
	for i, c := range calls {
		for c.Time.Sub(calls[first].Time) >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

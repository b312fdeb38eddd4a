// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package poll is the engine that reads Slack's logs and loses nothing: one
// goroutine per log type that asks, delivers, saves, and only then goes on.
// What it can't read stands in a ledger of gaps. Health, a goroutine of its
// own, sends records of how all stands.
//
// Poller is what all log types share: the order of steps, the budget of calls,
// delivery, errors, status and metrics. A log type decides what to ask next
// and what its answers mean.
package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

const (
	// refusedPause is the longest time between two tries (promise 9).
	refusedPause = time.Minute
	firstPause   = time.Second
	// identityAge is how long it is taken for granted whose token it is.
	identityAge = time.Hour
	// enoughUndated answers without a Date show that there is none.
	enoughUndated = 3
)

// errNoTime is why polling does not begin.
var errNoTime = errors.New("each answer of Slack comes with another time, and none is near the local clock; check the clock, and whether a proxy changes the Date header")

// errSave is why a log type that can't save its state is in trouble.
var errSave = errors.New("the state can't be saved")

// Settings of a Poller.
type Settings struct {
	// ID of the receiver; it tells the metrics of two receivers apart.
	ID component.ID
	// Slack says how Slack is asked.
	Slack slack.Settings
	Clock clock.Clock
	Store *checkpoint.Store

	Next               consumer.Logs
	ObsReport          *receiverhelper.ObsReport
	Format             string
	Retry              configretry.BackOffConfig
	Telemetry          *metadata.TelemetryBuilder
	Logger             *zap.Logger
	ResourceAttributes metadata.ResourceAttributesConfig
	Scope              pcommon.InstrumentationScope
	// Pauses are shared by the log types of a token; nil = its own.
	Pauses *slack.Pauses
	// Health sends the collector's own records; nil = none.
	Health *Health
	// Roles are those of the user of an id, none if they are not known; nil =
	// nobody asks.
	Roles func(userID []byte) []string
	// Status is told when the log type begins to fail, and nil when it is well.
	Status func(err error)
	// RandomizationFactor of the pause after a failed call, 0 to 1.
	RandomizationFactor float64

	_ struct{}
}

// logType is what a kind of logs brings of its own.
type logType interface {
	// next returns what to ask Slack now, or how long there is nothing to ask.
	next() (read func(ctx context.Context) error, wait time.Duration)
	// identified tells whose token it is, before anything is asked.
	identified(id slack.Identity) error
	// paused notes Slack's Retry-After for a method, so that it outlives a
	// restart.
	paused(method string, until time.Time)
	// trouble is why a part of the log type does not go on, if it does not.
	trouble() error
	// save writes the state.
	save(ctx context.Context) error
	// measure brings the figures of its sources up to date.
	measure()
}

// Poller runs one log type.
type Poller struct {
	set     Settings
	kind    string
	logType logType
	client  *slack.Client
	budget  *slack.Budget
	out     *delivery
	// whole is the log type itself, and from the source that is asked now.
	// sources are those that the gauges show.
	whole, from *source

	// sourcesMu guards what other goroutines ask for; problem is what is wrong,
	// failing the same by its type.
	sourcesMu sync.Mutex
	sources   []*source
	problem   string
	failing   failing

	// batch is what is on its way; duplicates is how many entries were known.
	batch      batch
	duplicates int64

	identity     slack.Identity
	identified   bool
	identifiedAt time.Time
	// undated counts the answers that did not tell Slack's time, unsure those
	// that each told another.
	undated, unsure int

	failures int
	retryAt  time.Time
	// crowded is when it was last logged that Slack's limit was used up.
	crowded time.Time
	pause   *backoff.ExponentialBackOff
	// What is wrong now, each by its own cause, and what was last reported.
	callErr, saveErr, refusedErr error
	reported                     string
}

func newPoller(set Settings, kind string, requestsPerMinute float64) *Poller {
	p := &Poller{
		set:    set,
		kind:   kind,
		budget: slack.NewBudget(requestsPerMinute, set.Clock.Now()),
		pause: &backoff.ExponentialBackOff{
			InitialInterval: firstPause, MaxInterval: refusedPause, Multiplier: 2,
			RandomizationFactor: set.RandomizationFactor,
		},
	}
	p.pause.Reset()
	if p.set.Pauses == nil {
		p.set.Pauses = &slack.Pauses{}
	}
	p.batch.scope = set.Scope
	p.set.Logger = set.Logger.With(zap.String("log_type", kind))
	p.whole = p.newSource("")
	p.from, p.sources = p.whole, []*source{p.whole}
	set.Slack.Observe = p.observe
	p.client = slack.NewClient(set.Slack)
	set.Health.watch(p)
	p.out = &delivery{
		next: set.Next, obs: set.ObsReport, format: set.Format, retry: set.Retry,
		clock: set.Clock, logger: p.set.Logger,
		refused: func() { p.refusedErr = errRefused; p.tell() },
	}
	return p
}

// Run polls until the context ends.
func (p *Poller) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait, throttled := p.step(ctx)
		if wait <= 0 {
			continue
		}
		before := p.set.Clock.Now()
		_ = p.set.Clock.Sleep(ctx, wait)
		if throttled {
			p.set.Telemetry.SlacklogsThrottledTime.Add(ctx, p.set.Clock.Now().Sub(before).Seconds(), p.whole.attrs)
		}
	}
}

// step makes at most one call, or says how long to wait.
func (p *Poller) step(ctx context.Context) (wait time.Duration, throttled bool) {
	now := p.set.Clock.Now()
	if wait := p.retryAt.Sub(now); wait > 0 {
		return wait, false
	}
	if wait := p.budget.Paused(now); wait > 0 {
		return wait, true
	}
	authPause := p.set.Pauses.Left(slack.MethodAuthTest, now)
	if !p.identified && authPause > 0 {
		return authPause, true
	}
	if !p.identified {
		// A token that auth.test takes may still be refused by the logs, so only
		// a failure counts here.
		if err := p.identify(ctx); err != nil {
			p.finish(ctx, err)
		}
		return 0, false
	}
	if now.Sub(p.identifiedAt) >= identityAge && authPause == 0 {
		p.confirm(ctx)
		return 0, false
	}
	read, wait := p.logType.next()
	if read == nil {
		return wait, false
	}
	if wait := p.budget.Take(now); wait > 0 {
		return wait, true
	}
	p.finish(ctx, read(ctx))
	return 0, false
}

// identify asks whose token it is. The first record needs the name, and state
// of another organisation must not be touched.
func (p *Poller) identify(ctx context.Context) error {
	p.from = p.whole
	info, err := p.client.AuthTest(ctx)
	if err != nil {
		return err
	}
	id := info.Identity
	if p.client.Unsure() {
		// Slack's clock and the local one are far apart; a second answer tells
		// whether the first was right. Answers that never agree must not spin.
		if p.unsure++; p.unsure > enoughUndated {
			return errNoTime
		}
		return nil
	}
	p.unsure = 0
	if p.client.Undated() {
		if p.undated++; p.undated < enoughUndated {
			return nil
		}
		if p.undated == enoughUndated {
			p.set.Logger.Warn("Slack's answers come without a Date header; the local clock is trusted, so it has to be right; a proxy may take the header out")
		}
	}
	if err := p.logType.identified(id); err != nil {
		return err
	}
	p.identity, p.identified, p.identifiedAt = id, true, p.set.Clock.Now()
	p.whole.name(id)
	// Whose state it is, and of what sources, is saved before anything is read.
	p.saveState(ctx)
	return nil
}

// confirm asks again whose token it is: where a file holds it, another
// organisation's or workspace's may have come in its place. That it can't be
// asked now is no reason to stop.
func (p *Poller) confirm(ctx context.Context) {
	p.from = p.whole
	id, err := p.client.AuthTest(ctx)
	p.identifiedAt = p.set.Clock.Now()
	var failed *slack.Error
	if errors.As(err, &failed) && failed.RetryAfter > 0 {
		p.hold(ctx, failed)
	}
	if err == nil && (id.Org() != p.identity.Org() || id.TeamID != p.identity.TeamID) {
		p.identified = false
	}
}

// finish takes the outcome of a call: it sets the pause after a failure and
// reports what changed.
func (p *Poller) finish(ctx context.Context, err error) {
	var failed *slack.Error
	switch {
	case err == nil:
		p.failures, p.callErr = 0, nil
		p.pause.Reset()
	case errors.As(err, &failed) && failed.RetryAfter > 0:
		p.failures++
		p.hold(ctx, failed)
		// Others use the organisation's limit too: a 429 now and then is no fault.
		if failed.Class != slack.Throttled || p.failures >= 3 {
			p.callErr = err
		}
	case ctx.Err() != nil:
		return
	case p.mayHeal(failed, p.failures):
		p.failures++
		return // and asks again at once
	default:
		p.failures++
		p.callErr = err
		p.retryAt = p.set.Clock.Now().Add(p.nextPause())
		if failed != nil && failed.Class.NeedsInstall() {
			// The token that mends it may be another organisation's.
			p.identified = false
		}
	}
	p.tell()
}

// mayHeal reports whether a refusal is the first one where a source brings the
// tokens: it has heard of it, and may have a better one by now.
func (p *Poller) mayHeal(failed *slack.Error, failures int) bool {
	return failed != nil && failed.Class == slack.NeedsToken && failures == 0 && p.set.Slack.Tokens != nil
}

// hold keeps Slack's Retry-After, also when the receiver stops: the next start
// has to know.
func (p *Poller) hold(ctx context.Context, failed *slack.Error) {
	now := p.set.Clock.Now()
	until := now.Add(failed.RetryAfter)
	switch {
	case failed.Method == slack.MethodAuthTest:
		p.set.Pauses.Note(failed.Method, until, now)
	case failed.Class != slack.Throttled:
		p.budget.Pause(until, now)
	default:
		if news := p.budget.Refused(until, now); news && now.Sub(p.crowded) > time.Hour {
			p.crowded = now
			p.set.Logger.Info("Slack's limit is used up, by others too; fewer calls are made for some minutes",
				zap.Float64("requests_per_minute", p.budget.PerMinute()))
		}
	}
	p.logType.paused(failed.Method, until)
	p.saveState(ctx)
}

// tell brings status, log and gauges up to date.
func (p *Poller) tell() {
	p.report()
	p.logType.measure()
}

func (p *Poller) nextPause() time.Duration { return min(p.pause.NextBackOff(), refusedPause) }

// saveState saves; when that fails, polling goes on from memory.
func (p *Poller) saveState(ctx context.Context) {
	// What was accepted is saved also when the context has just ended.
	p.saveErr = p.logType.save(context.WithoutCancel(ctx))
	switch {
	case p.saveErr == nil:
		return
	case errors.Is(p.saveErr, checkpoint.ErrTakenOver):
		p.saveErr = checkpoint.ErrTakenOver
	default:
		p.saveErr = fmt.Errorf("%w (%w); polling goes on from memory, a restart would repeat records; check the storage's space and rights", errSave, p.saveErr)
	}
	p.report()
}

// report tells status and log what is wrong, on change only.
func (p *Poller) report() {
	var worst error
	trouble := p.logType.trouble()
	for _, err := range []error{p.callErr, p.refusedErr, trouble, p.saveErr} {
		if err != nil {
			worst = err
			break
		}
	}
	p.reportAuth(trouble)
	// Also while the status says the same: other workspaces may be in it now.
	p.setFailing(failingOf(worst))
	kind := problem(worst)
	if kind == p.reported {
		return
	}
	if worst == nil {
		p.set.Logger.Info("Polling goes on")
		p.setProblem("")
		p.set.Status(nil)
	} else {
		p.set.Logger.Warn("Polling is in trouble", zap.Error(worst))
		told := worst.Error()
		if errors.Is(worst, errSave) {
			// The storage's own words are the collector's matter.
			told = errSave.Error() + "; see the collector's log"
		}
		p.setProblem(told)
		p.set.Status(fmt.Errorf("%s logs: %w", p.kind, worst))
	}
	p.reported = kind
}

// reportAuth tells the health records when a token or its rights are refused,
// and when calls go well again.
func (p *Poller) reportAuth(trouble error) {
	refusal := p.callErr
	if !needsInstall(refusal) {
		refusal = trouble
	}
	switch told := p.set.Health.toldOf(p.whole, eventAuthFailing); {
	case !told && needsInstall(refusal):
		p.whole.happened(event{name: eventAuthFailing, problem: refusal.Error()})
	case told && p.callErr == nil && trouble == nil && p.identified && p.allPolled():
		p.whole.happened(event{name: eventRecovered, from: eventAuthFailing})
	}
}

// setProblem keeps what is wrong for the health records.
func (p *Poller) setProblem(text string) {
	p.sourcesMu.Lock()
	defer p.sourcesMu.Unlock()
	p.problem = text
}

// setFailing keeps what is wrong for the gauges.
func (p *Poller) setFailing(f failing) {
	p.sourcesMu.Lock()
	defer p.sourcesMu.Unlock()
	p.failing = f
}

// needsInstall reports whether a token or its rights are refused.
func needsInstall(err error) bool {
	var failed *slack.Error
	return errors.As(err, &failed) && failed.Class.NeedsInstall()
}

// problem is the kind of an error: two errors of one kind are reported once.
func problem(err error) string {
	var failed *slack.Error
	var refused *workspaceError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused) && !refused.heals():
		return strings.Join(refused.ids, " ") + " " + problem(refused.err)
	case errors.As(err, &failed) && failed.Class == slack.Throttled:
		return "throttled" // whatever is asked meanwhile
	case errors.As(err, &failed):
		return failed.Method + " " + failed.Code
	default:
		return err.Error()
	}
}

// failing is why sources are in trouble, by errorType.
type failing struct {
	// whole is set when all of the log type is, and teams when some of its
	// workspaces are.
	whole string
	teams map[string]string
}

func failingOf(err error) failing {
	var refused *workspaceError
	if !errors.As(err, &refused) {
		return failing{whole: errorType(err)}
	}
	teams := make(map[string]string, len(refused.each))
	for id, err := range refused.each {
		teams[id] = errorType(err)
	}
	return failing{teams: teams}
}

// of is why the source is in trouble; "" = it is not.
func (f failing) of(s *source) string {
	if f.whole != "" {
		return f.whole
	}
	return f.teams[s.team]
}

// errorType names an error for the metrics: as those of the calls do, or with
// a word for each thing that the receiver itself may lack. slacklogs status
// has a sentence for each.
func errorType(err error) string {
	var failed *slack.Error
	var other *otherOrgError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failed):
		return failed.Code
	case errors.Is(err, errRefused):
		return "consumer_refused"
	case errors.Is(err, checkpoint.ErrTakenOver):
		return "storage_taken_over"
	case errors.Is(err, errSave):
		return "storage"
	case errors.Is(err, errNoTime):
		return "no_time"
	case errors.Is(err, errNoWorkspace):
		return "workspace_missing"
	case errors.As(err, &other):
		return "other_organisation"
	default:
		return "other"
	}
}

// pageRead notes a page that was read, delivered and saved.
func (p *Poller) pageRead(ctx context.Context) {
	p.saveState(ctx)
	if p.saveErr == nil {
		p.from.page()
	}
}

// now is Slack's time.
func (p *Poller) now() time.Time {
	now, _ := p.client.Now()
	return now
}

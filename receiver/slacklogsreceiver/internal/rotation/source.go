// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package rotation keeps a token alive that expires. A refresh token is good
// for one use, so what Slack gives for it is saved before it is used, and who
// dies in between finds a mark that a refresh had begun.
package rotation // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/rotation"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	// A refresh that failed is tried again after firstPause, then twice as long
	// each time up to maxPause, or when Slack's Retry-After is over.
	firstPause = time.Second
	maxPause   = time.Minute
	// A token that Slack refuses is replaced at once, but where the new ones are
	// refused too, no more often than these: each costs a refresh token.
	firstForced = time.Minute
	maxForced   = time.Hour
	// settling is how long a new token may not be known everywhere at Slack.
	settling = time.Minute
	// refreshTime is how long an answer is waited for: when it is lost, Slack takes
	// the old refresh token only for a short time more.
	refreshTime = 10 * time.Second
	// lastCall is how long a refresh may go on when the receiver stops: Slack may
	// have used the refresh token up already.
	lastCall = 3 * time.Second
	// maxWait is longer than any wait: what is left of one is more only where the
	// clock was set back.
	maxWait = 2 * time.Hour
	// soonTries are made within one call when what Slack gave may be lost: Slack
	// takes the old refresh token for a short time only, and the next call may be
	// a poll_interval away.
	soonTries = 4
	// warnEvery is how often it is logged that others use the installation.
	warnEvery = time.Hour
)

// Slack's words for an access token that another one may replace.
const (
	codeExpired = "token_expired"
	codeRevoked = "token_revoked"
	codeInvalid = "invalid_auth"
	// codeRefused is also a 401 of the audit API, which may come without a word.
	codeRefused = "invalid_authentication"

	codeBadRefreshToken = "invalid_refresh_token"
	codeThrottled       = "ratelimited"
)

// Settings of a Source.
type Settings struct {
	App slack.App
	// RefreshToken is the configured one.
	RefreshToken configopaque.String
	// Slack says how Slack is asked.
	Slack slack.Settings
	Clock clock.Clock
	Store *checkpoint.Store
	// Pauses are shared with the log types.
	Pauses *slack.Pauses
	Logger *zap.Logger
	// Status is told when refreshing begins to fail, and nil when it is well.
	Status func(err error)

	_ struct{}
}

// Source brings the access token, and a new one in time. It does so within
// Token, so that nothing runs when nobody asks.
type Source struct {
	set Settings
	// client refreshes, and checker asks whose the access token is.
	client, checker *slack.Client

	// turn is held by the one caller that may use what follows up to mu.
	turn  chan struct{}
	state state
	// begun is set once a state was saved, and unsaved while the last tokens
	// could not be.
	begun, unsaved bool
	// unsure is set while it is not known whether Slack has used up the refresh
	// token that is saved: a refresh was begun, and no answer came.
	unsure bool
	// soon is how many tries are left that come at once, as what Slack gave may
	// be lost.
	soon int

	failure  error // of the last try; nil = it went well
	failures int
	reported string
	nextTry  time.Time
	pause    *backoff.ExponentialBackOff
	// refusal is why Slack refuses the access token; nextForced is when it may be
	// replaced for that again, and forced what is between two such times.
	refusal    string
	nextForced time.Time
	forced     time.Duration
	warned     time.Time

	mu      sync.Mutex
	refused refusal
	// current is the token in use: what is said of older ones does not matter.
	current string
	// shared is what the others get while one refreshes.
	shared shared
}

// shared is an access token that nobody has refused. Expires is as in state.
type shared struct {
	token   string
	expires int64
}

// refusal is what a log type was told of a token.
type refusal struct {
	token, code string
	at          time.Time
}

// New returns a source that goes on from the saved state. It does not wait for
// Slack.
func New(ctx context.Context, set Settings) (*Source, error) {
	s := &Source{
		set:    set,
		client: slack.NewClient(set.Slack),
		turn:   make(chan struct{}, 1),
		forced: firstForced,
		pause:  &backoff.ExponentialBackOff{InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2},
	}
	s.pause.Reset()
	set.Slack.Tokens = present{s}
	s.checker = slack.NewClient(set.Slack)
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	s.share()
	return s, nil
}

// Token returns the access token, a new one if need be. While one caller
// refreshes, the others get the token that is left, or wait. Its errors are of
// the type *slack.Error.
func (s *Source) Token(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
	default:
		if token := s.left(); token != "" {
			return token, nil
		}
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return "", slack.NewError(slack.MethodOAuth, slack.CodeNetwork)
		}
	}
	defer func() { <-s.turn }()
	defer s.share()
	if ctx.Err() != nil {
		return "", slack.NewError(slack.MethodOAuth, slack.CodeNetwork)
	}
	s.takeRefusal()
	for now := s.set.Clock.Now(); !s.waits(now) && (s.unsaved || s.due(now)); now = s.set.Clock.Now() {
		s.outcome(s.try(ctx))
		if !s.mayLose() || s.set.Clock.Sleep(ctx, s.nextTry.Sub(s.set.Clock.Now())) != nil {
			break
		}
		s.soon--
	}
	if s.usable(s.set.Clock.Now()) {
		return s.state.AccessToken, nil
	}
	// The pause is the source's own: a log type that is told of one would take
	// it for that of its own calls.
	failed := *slack.NewError(slack.MethodOAuth, codeThrottled)
	if known, ok := errors.AsType[*slack.Error](s.failure); ok {
		failed = *known
	}
	failed.RetryAfter = 0
	return "", &failed
}

// Refused is told that Slack did not take a token.
func (s *Source) Refused(token, code string) {
	switch code {
	case codeExpired, codeRevoked, codeInvalid, codeRefused:
		s.mu.Lock()
		defer s.mu.Unlock()
		if token == s.current {
			s.refused = refusal{token, code, s.set.Clock.Now()}
			s.shared = shared{}
		}
	}
}

// share gives the others the access token as it is now, if it is good.
func (s *Source) share() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.shared = s.state.AccessToken, shared{}
	if s.refusal == "" && s.refused.token != s.state.AccessToken {
		s.shared = shared{s.state.AccessToken, s.state.Expires}
	}
}

// left is the shared token, "" if there is none.
func (s *Source) left() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared.expires > 0 && s.set.Clock.Now().Unix() >= s.shared.expires {
		return ""
	}
	return s.shared.token
}

// takeRefusal takes what Refused was told, if it is about the token in use.
func (s *Source) takeRefusal() {
	s.mu.Lock()
	r := s.refused
	s.refused = refusal{}
	s.mu.Unlock()
	if r.token == "" || r.token != s.state.AccessToken {
		return
	}
	if age := r.at.Sub(s.state.issued()); r.code != codeExpired && age >= 0 && age < settling {
		return
	}
	s.refusal = r.code
}

// waits reports whether it is too early for another try.
func (s *Source) waits(now time.Time) bool {
	return ahead(s.nextTry, now) || ahead(time.Unix(s.state.NotBefore, 0), now)
}

func ahead(t, now time.Time) bool {
	left := t.Sub(now)
	return left > 0 && left <= maxWait
}

// hurry has the next tries follow soon.
func (s *Source) hurry() {
	s.soon = soonTries - 1
	s.pause.Reset()
}

// mayLose reports whether what Slack gave is lost unless it is tried again soon.
func (s *Source) mayLose() bool {
	failed, ok := errors.AsType[*slack.Error](s.failure)
	open := ok && (failed.Class == slack.Heals || failed.Class == slack.Unreadable)
	return open && s.soon > 0 && (s.unsure || s.unsaved)
}

// due reports whether the tokens have to be replaced.
func (s *Source) due(now time.Time) bool {
	return s.unsure || s.state.ending(now) || s.refusal != "" && !ahead(s.nextForced, now)
}

// usable reports whether the access token may be sent. Slack decides what a
// refused one is worth, unless it has said so and there is something better to
// tell.
func (s *Source) usable(now time.Time) bool {
	return s.state.alive(now) && (s.refusal != codeExpired || s.failure == nil)
}

// try saves what could not be saved, and replaces the tokens.
func (s *Source) try(ctx context.Context) error {
	if s.unsaved {
		if err := s.save(ctx); err != nil {
			return err
		}
		s.unsaved = false
	}
	now := s.set.Clock.Now()
	if !s.due(now) {
		return nil
	}
	// Slack says invalid_auth also where only one workspace is refused, and
	// nothing with a 401 of the audit API.
	forced := !s.unsure && !s.state.ending(now)
	if forced && s.refusal != codeExpired {
		if s.refusal != codeRevoked && s.stands(ctx) {
			s.refusal, s.nextForced = "", now.Add(firstForced)
			return nil
		}
		s.warn(now)
	}
	if forced && now.Sub(s.state.issued()) > 2*s.forced {
		s.forced = firstForced // it was taken for long enough
	}
	err := s.refresh(ctx, now)
	if forced && s.refusal == "" {
		s.nextForced = now.Add(s.forced)
		s.forced = min(2*s.forced, maxForced)
	}
	return err
}

// present is the access token as it is, for who has the turn.
type present struct{ source *Source }

func (p present) Token(context.Context) (string, error) { return p.source.state.AccessToken, nil }
func (present) Refused(string, string)                  {}

// stands asks Slack whether the access token is good after all. As long as it
// can't say, it is.
func (s *Source) stands(ctx context.Context) bool {
	if s.set.Pauses.Left(slack.MethodAuthTest, s.set.Clock.Now()) > 0 {
		return true
	}
	_, err := s.checker.AuthTest(ctx)
	failed, ok := errors.AsType[*slack.Error](err)
	if !ok {
		return true
	}
	if failed.RetryAfter > 0 {
		now := s.set.Clock.Now()
		s.set.Pauses.Note(failed.Method, now.Add(failed.RetryAfter), now)
	}
	if failed.Class != slack.NeedsToken {
		return true
	}
	s.refusal = failed.Code
	return false
}

// warn names what else ends a token before its time.
func (s *Source) warn(now time.Time) {
	since := now.Sub(s.warned)
	if s.refusal == codeExpired || since >= 0 && since < warnEvery {
		return
	}
	s.warned = now
	s.set.Logger.Warn("Slack refuses the access token before its life is over, and this receiver has not replaced it: "+
		"another collector, receiver or script refreshes the tokens of the same installation, of which Slack keeps two alive, or somebody revoked it; "+
		"give each an app and a refresh token of its own", zap.String("error_type", s.refusal))
}

// refresh has Slack change the refresh token into new tokens. The mark is saved
// before: tokens that can't be kept are not asked for, nor by who leads no more.
func (s *Source) refresh(ctx context.Context, now time.Time) error {
	s.state.Refreshing = true
	// Where the refresh token may be used up already, Slack takes it for a short
	// time more, and asking can't wait for the storage. It has the mark.
	if err := s.save(ctx); err != nil && (!s.unsure || errors.Is(err, checkpoint.ErrTakenOver)) {
		return err
	}
	if ctx.Err() != nil {
		// The storage took its time, and there is none left to keep an answer.
		return slack.NewError(slack.MethodOAuth, slack.CodeNetwork)
	}
	// From here on the refresh token may be used up: whoever waits for the answer
	// may leave, but the answer is awaited and saved.
	call, cancel := outlive(ctx, lastCall)
	defer cancel()
	call, stop := context.WithTimeout(call, refreshTime)
	defer stop()
	grant, err := s.client.Refresh(call, s.set.App, s.state.RefreshToken)
	if err != nil {
		return s.failed(ctx, err)
	}
	s.unsure, s.refusal = false, ""
	s.state.take(grant, now)
	s.set.Logger.Debug("The token was refreshed", zap.Duration("expires_in", grant.ExpiresIn))
	if err := s.save(ctx); err != nil {
		s.unsaved = true
		s.hurry()
		return err
	}
	return nil
}

// failed notes what a failed refresh says of the refresh token.
func (s *Source) failed(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*slack.Error](err)
	if !ok {
		return err
	}
	// Unless Slack has refused it in so many words, it may have been used.
	if c := failed.Class; !s.unsure && c != slack.Throttled && c != slack.NeedsConfig && !c.NeedsInstall() {
		s.unsure = true
		s.hurry()
	}
	s.state.Refreshing = s.unsure
	if failed.RetryAfter > 0 {
		s.state.NotBefore = s.set.Clock.Now().Add(failed.RetryAfter).Unix() + 1
	}
	if s.state.NotBefore > 0 || !s.unsure {
		_ = s.save(ctx) // if it fails, the mark stays, and the next start asks at once
	}
	switch failed.Code {
	case codeBadRefreshToken:
		failed.Advice = s.whyRefused()
	case slack.CodeTimeout:
		failed.Advice = fmt.Sprintf("Slack did not answer within %s, or timeout if that is shorter; check the network and the proxy.", refreshTime)
	}
	return failed
}

// whyRefused tells who has used the refresh token up, as far as can be known.
func (s *Source) whyRefused() string {
	const again = "; run `slacklogs authorize` again and put the new refresh_token into the config"
	why := "Another collector or script uses this refresh token, as Slack takes the one no more that it gave to this collector; give each an installation (an app) of its own" + again
	switch {
	case s.unsure:
		why = "A refresh was cut short by a crash or a lost answer (or another collector or script uses this refresh token), and Slack takes the old refresh token no more" + again
	case s.refusal == codeRevoked:
		why = "Somebody revoked the tokens or took the app off, or another collector or script uses them: Slack takes neither the access token nor the refresh token any more" + again
	case fingerprint(s.state.RefreshToken) == s.state.From:
		why = "The configured refresh_token was used already or is wrong: another collector or script uses it, or it was copied from one, or the storage that held its successor is gone; each refresh token is good for one use, by one collector" + again
	}
	if s.set.App.ClientSecret == "" {
		why += "; those of a public client (PKCE) end after 30 days in any case"
	}
	return why + "."
}

// outcome takes what came of a try: it sets the pause after a failure, and
// tells status and log what changed.
func (s *Source) outcome(err error) {
	s.failure = err
	if err == nil {
		s.failures, s.nextTry = 0, time.Time{}
		s.pause.Reset()
		if s.reported != "" {
			s.reported = ""
			s.set.Logger.Info("Refreshing the token goes on")
			s.set.Status(nil)
		}
		return
	}
	s.failures++
	s.nextTry = s.set.Clock.Now().Add(s.pause.NextBackOff())
	failed, ok := errors.AsType[*slack.Error](err)
	// A 429 now and then is no fault.
	if ok && failed.Class == slack.Throttled && s.failures < 3 && s.usable(s.set.Clock.Now()) {
		return
	}
	kind := err.Error()
	if ok {
		kind = failed.Code + failed.Advice
	}
	if kind == s.reported {
		return
	}
	s.reported = kind
	fields := []zap.Field{zap.Error(err)}
	if s.state.alive(s.set.Clock.Now()) && s.state.Expires > 0 {
		fields = append(fields, zap.Time("token_lasts_until", time.Unix(s.state.Expires, 0)))
	}
	s.set.Logger.Warn("The token can't be refreshed", fields...)
	s.set.Status(fmt.Errorf("token rotation: %w", err))
}

// outlive is a context that goes on for a while when ctx ends.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

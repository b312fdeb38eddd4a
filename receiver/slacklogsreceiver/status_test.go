// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	statusOK      = "StatusOK"
	statusFailing = "StatusRecoverableError audit logs: "
)

// fault is set while the receiver runs.
type fault struct{ atomic.Int64 }

func (f *fault) hook(slacktest.Call) slacktest.Fault { return slacktest.Fault(f.Load()) }

// newSteady returns a receiver of a Slack that runs by the same clock.
func newSteady(t *testing.T, edit func(cfg *Config), s setup) (running, fakeSlack) {
	t.Helper()
	s.clock = newStepClock()
	fake := newFakeSlack(t, slacktest.Options{Now: s.clock.Now})
	cfg := fake.config(t)
	if edit != nil {
		edit(cfg)
	}
	r := newRunning(cfg, s)
	r.start(t)
	r.clock.rest(t)
	return r, fake
}

func TestStatusOnChangeOnly(t *testing.T) {
	t.Parallel()
	r, fake := newSteady(t, nil, setup{})
	var f fault
	fake.SetFault(slacktest.Only(f.hook, slacktest.PathAudit))
	r.clock.polls(t, 5)
	assert.Empty(t, r.host.statuses(), "to be well from the start on is no change")

	f.Store(int64(slacktest.FaultInternal))
	r.clock.polls(t, 20)
	internal := statusFailing + "audit.logs: 500: Slack is in trouble; the call is repeated until it succeeds."
	assert.Equal(t, []string{internal}, r.host.statuses())

	f.Store(int64(slacktest.FaultForbidden))
	r.clock.polls(t, 20)
	statuses := r.host.statuses()
	require.Len(t, statuses, 2)
	assert.Equal(t, statusFailing+"audit.logs: 403: "+slack.Codes["user_not_authorized"].Advice, statuses[1])

	f.Store(int64(slacktest.FaultNone))
	r.clock.polls(t, 20)
	assert.Equal(t, []string{internal, statuses[1], statusOK}, r.host.statuses())
}

// A 429 now and then is no failure, as others use the organisation's limit too.
func TestStatusOfThrottling(t *testing.T) {
	t.Parallel()
	r, fake := newSteady(t, nil, setup{})
	fake.SetFault(slacktest.EveryNth(2, slacktest.FaultRateLimit, slacktest.FaultRateLimitMissing))
	r.clock.polls(t, 30)
	assert.Empty(t, r.host.statuses())
	fake.SetFault(slacktest.EveryNth(1, slacktest.FaultRateLimit))
	r.clock.polls(t, 30)
	require.Len(t, r.host.statuses(), 1)
	assert.Contains(t, r.host.statuses()[0], statusFailing+"audit.logs: rate_limited")
	fake.SetFault(nil)
	r.clock.polls(t, 5)
	assert.Equal(t, statusOK, r.host.statuses()[1])
	assert.Empty(t, fake.Violations())
}

func TestStatusOfThePipeline(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	sink := &consumertest.LogsSink{}
	r, fake := newSteady(t, nil, setup{next: consumerFunc(func(ctx context.Context, logs plog.Logs) error {
		if refuse.Load() {
			return errors.New("can't take " + secretEntry)
		}
		return sink.ConsumeLogs(ctx, logs)
	})})
	refuse.Store(true)
	fake.Add(entry("a", r.clock.Now()))
	r.clock.polls(t, 10)
	statuses := r.host.statuses()
	require.Len(t, statuses, 1)
	assert.Contains(t, statuses[0], statusFailing+"the pipeline refused a batch of records")
	assert.NotContains(t, statuses[0], "SECRET")
	refuse.Store(false)
	r.clock.polls(t, 2)
	assert.Equal(t, append(statuses, statusOK), r.host.statuses())
	assert.Equal(t, 1, sink.LogRecordCount())
}

func TestStatusOfTheStorage(t *testing.T) {
	t.Parallel()
	memory := newMemoryStorage()
	r, fake := newSteady(t, func(cfg *Config) { cfg.Storage = &storageID },
		setup{host: &testHost{extensions: map[component.ID]component.Component{storageID: memory}}})
	memory.fail(errors.New("no space left"))
	fake.Add(entry("a", r.clock.Now()))
	r.clock.polls(t, 10)
	assert.Equal(t, 1, r.sink.LogRecordCount(), "polling goes on from memory")
	statuses := r.host.statuses()
	require.Len(t, statuses, 1)
	assert.Contains(t, statuses[0], statusFailing+"the state can't be saved (no space left)")
	memory.fail(nil)
	r.clock.polls(t, 2)
	assert.Equal(t, append(statuses, statusOK), r.host.statuses())
}

// A token that was revoked and allowed again, or exchanged, heals without a
// restart, wherever it comes from.
func TestTokenHeals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		auth bool
		// spoil and mend what the token is.
		spoil, mend func(fake fakeSlack, auth *fakeAuth)
		want        string
	}{
		{
			name:  "token revoked",
			spoil: func(fake fakeSlack, _ *fakeAuth) { fake.Revoke(secretToken) },
			mend:  func(fake fakeSlack, _ *fakeAuth) { fake.Restore(secretToken) },
			want:  "audit.logs: invalid_authentication",
		},
		{
			name:  "token of an authenticator revoked",
			auth:  true,
			spoil: func(fake fakeSlack, _ *fakeAuth) { fake.Revoke(secretToken) },
			mend:  func(fake fakeSlack, _ *fakeAuth) { fake.Restore(secretToken) },
			want:  "audit.logs: invalid_authentication",
		},
		{
			name:  "token of an authenticator exchanged",
			auth:  true,
			spoil: func(fake fakeSlack, _ *fakeAuth) { fake.Revoke(secretToken) },
			mend: func(fake fakeSlack, auth *fakeAuth) {
				fake.SetToken(secretToken+"-2", slacktest.NewOrganisation(1).Identity())
				auth.set(secretToken+"-2", nil)
			},
			want: "audit.logs: invalid_authentication",
		},
		{
			name: "authenticator fails",
			auth: true,
			spoil: func(_ fakeSlack, auth *fakeAuth) {
				auth.set("", errors.New("can't refresh "+secretToken))
			},
			mend: func(_ fakeSlack, auth *fakeAuth) { auth.set(secretToken, nil) },
			want: "audit.logs: network",
		},
		{
			name: "scope",
			spoil: func(fake fakeSlack, _ *fakeAuth) {
				id := slacktest.NewOrganisation(1).Identity()
				id.Scopes = []string{"admin"}
				fake.SetToken(secretToken, id)
			},
			mend: func(fake fakeSlack, _ *fakeAuth) {
				fake.SetToken(secretToken, slacktest.NewOrganisation(1).Identity())
			},
			want: "audit.logs: missing_scope (needed auditlogs:read, provided admin)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			auth := &fakeAuth{token: secretToken}
			r, fake := newSteady(t, func(cfg *Config) {
				if tt.auth {
					cfg.Token = ""
					cfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: authID})
				}
			}, setup{host: &testHost{extensions: map[component.ID]component.Component{authID: auth}}})
			r.clock.polls(t, 2)
			require.Empty(t, r.host.statuses())

			tt.spoil(fake, auth)
			fake.Add(entry("a", r.clock.Now()))
			calls := fake.CallCount()
			broken := r.clock.Now()
			r.clock.polls(t, 10)
			assert.Zero(t, r.sink.LogRecordCount())
			if !strings.Contains(tt.name, "fails") {
				asked := fake.Calls()[calls:]
				for i, call := range asked {
					since := broken
					if i > 0 {
						since = asked[i-1].Time
					}
					assert.LessOrEqual(t, call.Time.Sub(since), time.Minute+time.Second)
				}
				assert.GreaterOrEqual(t, len(asked), 10, "it is asked again at least every minute")
			}

			tt.mend(fake, auth)
			r.clock.polls(t, 2)
			assert.Equal(t, 1, r.sink.LogRecordCount())
			statuses := r.host.statuses()
			assert.Contains(t, statuses[0], statusFailing+tt.want)
			assert.Equal(t, statusOK, statuses[len(statuses)-1])
			for i, status := range statuses {
				assert.NotContains(t, status, "SECRET")
				assert.NotContains(t, status, "Permanent")
				if i > 0 {
					assert.NotEqual(t, statuses[i-1], status)
				}
			}
		})
	}
}

// A token of another organisation stops the log type, and goes on with the
// right one.
func TestStateOfAnotherOrganisation(t *testing.T) {
	t.Parallel()
	r, fake := newSteady(t, nil, setup{})
	other := slacktest.NewOrganisation(1).Identity()
	other.EnterpriseID = "E09ELSEWHERE"
	fake.Revoke(secretToken)
	r.clock.polls(t, 2)
	fake.SetToken(secretToken, other)
	fake.Add(entry("a", r.clock.Now()))
	r.clock.polls(t, 5)
	assert.Zero(t, r.sink.LogRecordCount())
	statuses := r.host.statuses()
	assert.Contains(t, statuses[len(statuses)-1], "the token belongs to E09ELSEWHERE but the saved state to E04BRIGHTWA")
	fake.SetToken(secretToken, slacktest.NewOrganisation(1).Identity())
	r.clock.polls(t, 2)
	assert.Equal(t, 1, r.sink.LogRecordCount())
	statuses = r.host.statuses()
	assert.Equal(t, statusOK, statuses[len(statuses)-1])
}

// Neither the token nor anything of an entry but its uid stands in a log line
// or a status, whatever goes wrong.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	for _, f := range slacktest.Faults() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			c := newStepClock()
			fake := newFakeSlack(t, slacktest.Options{Now: c.Now, SlowFor: time.Millisecond})
			for n := range 20 {
				fake.Add(entry(strings.Repeat("e", n+1), startTime.Add(-time.Duration(n)*time.Second)))
			}
			cfg := fake.config(t)
			cfg.AuditLogs.Get().PageSize = 7
			if f == slacktest.FaultHang {
				cfg.Timeout = 20 * time.Millisecond
			}
			var answer atomic.Pointer[error]
			r := newRunning(cfg, setup{clock: c, next: consumerFunc(func(_ context.Context, logs plog.Logs) error {
				assert.NotZero(t, logs.LogRecordCount())
				if err := answer.Swap(nil); err != nil {
					return *err
				}
				return nil
			})})
			// Answers of many megabytes come once.
			heavy := f == slacktest.FaultEndless || f == slacktest.FaultGzipBomb
			fake.SetFault(slacktest.EveryNth(2, f))
			if heavy {
				fake.SetFault(slacktest.EveryNth(2, f, slacktest.FaultInternal, slacktest.FaultHTML, slacktest.FaultReset, slacktest.FaultForbidden))
			}
			refusal := errors.New("can't take " + secretEntry)
			answer.Store(&refusal)
			r.start(t)
			r.clock.rest(t)
			steps := 40
			if heavy || f == slacktest.FaultHang {
				steps = 4
			}
			for n := range steps {
				switch n {
				case steps / 4:
					permanent := consumererror.NewPermanent(refusal)
					answer.Store(&permanent)
					fake.Add(entry("permanent", r.clock.Now()))
				case steps / 2:
					if !heavy {
						fake.SetFault(slacktest.EveryNth(1, f))
					}
				}
				r.clock.next(t)
			}
			for _, text := range append(r.lines(), r.host.statuses()...) {
				assert.NotContains(t, text, "SECRET")
				assert.NotContains(t, text, "oldest=")
				assert.NotContains(t, text, "cursor=")
			}
			for _, status := range r.host.statuses() {
				assert.NotContains(t, status, "Permanent")
			}
			assert.NotEmpty(t, r.lines())
		})
	}
}

// What was dropped is logged once, by its uids.
func TestDroppedRecordsAreLogged(t *testing.T) {
	t.Parallel()
	r, fake := newSteady(t, nil, setup{next: consumerFunc(func(context.Context, plog.Logs) error {
		return consumererror.NewPermanent(errors.New("bad " + secretEntry))
	})})
	fake.Add(entry("a", r.clock.Now()), entry("b", r.clock.Now()))
	r.clock.polls(t, 5)
	dropped := r.logs.FilterMessageSnippet("refused records for good").All()
	require.Len(t, dropped, 1)
	assert.ElementsMatch(t, []any{"a", "b"}, dropped[0].ContextMap()["uids"])
	assert.Empty(t, r.host.statuses())
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Over days, with restarts, each call has a token that Slack takes, and each
// token is replaced once.
func TestLife(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*slacktest.App)
	}{
		{name: "tokens at the top", edit: func(*slacktest.App) {}},
		{name: "tokens of the user", edit: func(a *slacktest.App) { a.RefreshInAuthedUser = true }},
		{name: "no grace", edit: func(a *slacktest.App) { a.Grace = -1 }},
		{name: "public client", edit: func(a *slacktest.App) { a.ClientSecret = "" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.edit)
			const hours = 20 * 10
			for minute := range hours * 60 {
				if minute%(17*60) == 0 {
					w.restart()
				}
				require.Empty(t, w.ask(), "minute %d", minute)
				w.pass(time.Minute)
			}
			assert.InDelta(t, hours/10, w.refreshes(), 1, "one each ten hours")
			assert.Empty(t, w.lines(zapcore.InfoLevel))
			assert.Empty(t, w.statuses)
		})
	}
}

// A token of which Slack does not say how long it lasts is replaced when it is
// refused.
func TestNoExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	expiry := regexp.MustCompile(`"expires_in":\d+,`)
	w.onAnswer = func(_ *http.Request, body []byte) ([]byte, error) { return expiry.ReplaceAll(body, nil), nil }
	require.Empty(t, w.ask())
	w.pass(life - time.Minute)
	w.restart()
	require.Empty(t, w.ask())
	require.Equal(t, 1, w.refreshes())
	w.pass(time.Minute)
	require.Equal(t, codeExpired, w.ask())
	require.Empty(t, w.ask())
	assert.Equal(t, 2, w.refreshes())
	assert.Empty(t, w.lines(zapcore.InfoLevel))
}

// A local clock that is wrong, or is set, costs a call or a refresh, and no more.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		skew, set time.Duration
	}{
		{name: "right"},
		{name: "a year behind", skew: -365 * 24 * time.Hour},
		{name: "a year ahead", skew: 365 * 24 * time.Hour},
		{name: "set back by a year", set: -365 * 24 * time.Hour},
		{name: "set ahead by a year", set: 365 * 24 * time.Hour},
		{name: "put right by a year", skew: 365 * 24 * time.Hour, set: -365 * 24 * time.Hour},
		{name: "set back by an hour", set: -time.Hour},
		{name: "set back by four hours", set: -4 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.skew = tt.skew
			w.restart()
			failures := 0
			for minute := range 48 * 60 {
				if minute == 60 {
					w.skew += tt.set
				}
				if w.ask() != "" {
					failures++
					require.Empty(t, w.ask(), "minute %d", minute)
				}
				w.pass(time.Minute)
			}
			assert.LessOrEqual(t, failures, 1)
			assert.LessOrEqual(t, w.refreshes(), 6)
		})
	}
}

// While Slack can't refresh, the token that is left is used to its end, and
// refreshing goes on as soon as it can.
func TestSlackIsDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault slacktest.Fault
		deny  string
		code  string
		most  int // calls in the two hours that are left
	}{
		{name: "500", fault: slacktest.FaultInternal, code: "500", most: 130},
		{name: "fatal error", fault: slacktest.FaultFatalError, code: "fatal_error", most: 130},
		{name: "reset", fault: slacktest.FaultReset, code: "network", most: 130},
		{name: "HTML", fault: slacktest.FaultHTML, code: slack.CodeUnreadable, most: 130},
		{name: "secret changed", deny: "bad_client_secret", code: "bad_client_secret", most: 130},
		{name: "429", fault: slacktest.FaultRateLimit, code: "ratelimited", most: 26},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			first := w.token()
			w.pass(early + time.Second)
			if tt.deny != "" {
				w.slack.Deny(slacktest.PathExchange, tt.deny)
			} else {
				w.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, tt.fault), slacktest.PathExchange))
			}
			for end := w.now.Add(2*time.Hour - 2*time.Second); w.now.Before(end); w.pass(time.Second) {
				require.Equal(t, first, w.token())
			}
			assert.Greater(t, w.refreshes(), 20)
			assert.LessOrEqual(t, w.refreshes(), tt.most)
			require.Len(t, w.statuses, 1)
			assert.Contains(t, w.statuses[0], "token rotation: oauth.v2.access: "+tt.code)
			require.Len(t, w.lines(zapcore.InfoLevel), 1)
			assert.Contains(t, w.lines(zapcore.InfoLevel)[0], "token_lasts_until")

			w.pass(2 * time.Second)
			assert.Equal(t, tt.code, w.refused().Code, "the token is over")
			w.restart()
			_, err := w.Token(t.Context())
			require.Error(t, err)

			w.slack.Deny(slacktest.PathExchange, "")
			w.slack.SetFault(nil)
			w.pass(6 * time.Minute)
			assert.NotEqual(t, first, w.token())
		})
	}
}

// What Slack gave for a refresh token is lost, and is asked for again within the
// same call: nobody may call again before Slack forgets the old refresh token.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 3} {
		t.Run(fmt.Sprint(times, " times"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			first := w.token()
			w.pass(early + time.Second)
			left := times
			w.onAnswer = func(r *http.Request, body []byte) ([]byte, error) {
				if left--; left >= 0 {
					return lost(r, body)
				}
				return body, nil
			}
			assert.NotEqual(t, first, w.token())
			require.Len(t, w.statuses, 2)
			assert.Equal(t, "<nil>", w.statuses[1])
			w.pass(early + time.Second)
			require.Empty(t, w.ask())
		})
	}
}

// Nor do failures before it keep a lost answer from being asked for in time.
func TestAnswerLostAfterOtherFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.pass(early + time.Second)
	w.slack.Deny(slacktest.PathExchange, "bad_client_secret")
	for range 30 {
		require.Equal(t, first, w.token())
		w.pass(time.Minute)
	}
	w.slack.Deny(slacktest.PathExchange, "")
	w.onAnswer = func(r *http.Request, body []byte) ([]byte, error) {
		w.onAnswer = nil
		return lost(r, body)
	}
	assert.NotEqual(t, first, w.token())
}

// A storage that refuses the new tokens is asked again within the same call.
func TestNewTokensAreSavedSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.onSave = func(n int, write func()) error {
		if n == 2 || n == 3 {
			return errDisk
		}
		write()
		return nil
	}
	token := w.token()
	w.pass(time.Hour)
	w.restart() // as after a death
	assert.Equal(t, token, w.token())
	assert.Equal(t, 1, w.refreshes())
}

// Where Slack may have used the refresh token up, asking again does not wait for
// the storage, which has the mark already.
func TestAnswerLostWhileTheStorageFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.pass(early + time.Second)
	w.onAnswer = func(r *http.Request, body []byte) ([]byte, error) {
		w.onAnswer = nil
		w.onSave = func(int, func()) error { return errDisk }
		return lost(r, body)
	}
	second := w.token()
	require.NotEqual(t, first, second)
	w.pass(time.Hour)
	w.onSave = nil
	require.Equal(t, second, w.token())
	w.restart()
	require.Equal(t, second, w.token())
	w.pass(early)
	require.Empty(t, w.ask())
}

// A receiver that is to stop while the storage takes its time begins no refresh:
// the storage may be closed when the answer comes.
func TestStopWhileTheMarkIsSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.onSave = func(_ int, write func()) error {
		write()
		cancel()
		return nil
	}
	_, err := w.Token(ctx)
	require.Error(t, err)
	assert.Zero(t, w.refreshes())
	w.onSave = nil
	w.restart()
	require.Empty(t, w.ask())
}

// Nothing is asked before Slack's Retry-After is over, also by the next process.
func TestRetryAfterOutlivesARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultRateLimit), slacktest.PathExchange))
	require.Equal(t, "ratelimited", w.refused().Code)
	w.slack.SetFault(nil)
	for range 5 * 60 {
		w.pass(time.Second)
		w.restart()
		if _, err := w.Token(t.Context()); err == nil {
			break
		}
		require.Equal(t, 1, w.refreshes())
	}
	w.pass(2 * time.Second)
	require.Empty(t, w.ask())
	assert.Equal(t, 2, w.refreshes())
}

// No new tokens are asked for that can't be kept.
func TestMarkCannotBeSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.onSave = func(int, func()) error { return errDisk }
	assert.Equal(t, slack.CodeNotSaved, w.refused().Code)
	w.onSave = nil
	w.pass(time.Second)
	first := w.token()
	require.Equal(t, 1, w.refreshes())

	w.onSave = func(int, func()) error { return errDisk }
	w.pass(early + time.Second)
	for range 60 {
		require.Equal(t, first, w.token())
		w.pass(time.Minute)
	}
	w.pass(life)
	assert.Equal(t, slack.CodeNotSaved, w.refused().Code)
	assert.Equal(t, 1, w.refreshes())
	assert.Len(t, w.statuses, 3)
	assert.Contains(t, w.statuses[2], "no space left on device")
	w.onSave = nil
	w.pass(time.Minute)
	require.Empty(t, w.ask())
	assert.Equal(t, "<nil>", w.statuses[3])
}

// Tokens that came and can't be saved are used, but no refresh token of them is.
func TestNewTokensCannotBeSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.pass(early + time.Second)
	w.onSave = func(n int, write func()) error {
		if n > 1 {
			return errDisk
		}
		write()
		return nil
	}
	second := w.token()
	require.NotEqual(t, first, second)
	for range 11 * 60 {
		require.Equal(t, second, w.token())
		w.pass(time.Minute)
	}
	assert.Equal(t, 2, w.refreshes(), "the unsaved refresh token is not used")
	require.Len(t, w.statuses, 1)
	assert.LessOrEqual(t, w.saves, 11*60+10)
	w.pass(2 * time.Hour)
	assert.Equal(t, slack.CodeNotSaved, w.refused().Code)

	w.onSave = nil
	w.pass(time.Minute)
	third := w.token()
	assert.NotEqual(t, second, third)
	assert.Equal(t, "<nil>", w.statuses[1])
	w.restart()
	assert.Equal(t, third, w.token())
	assert.Equal(t, 3, w.refreshes())
}

// Who has lost the state to another collector asks for no new tokens, and uses
// those it has.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	old := w.Source
	w.restart()
	w.pass(early + time.Second)
	token, err := old.Token(t.Context())
	require.NoError(t, err)
	assert.Equal(t, first, token)
	assert.Equal(t, 1, w.refreshes())
	require.Len(t, w.statuses, 1)
	assert.Contains(t, w.statuses[0], "another collector has taken over the state")
	assert.NotEqual(t, first, w.token())
	w.pass(3 * time.Hour)
	_, err = old.Token(t.Context())
	require.ErrorContains(t, err, slack.CodeNotSaved)
	require.Empty(t, w.ask())
}

// What could not be saved is tried once more at the end.
func TestFlush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.onSave = func(n int, write func()) error {
		if n >= 2 {
			return errDisk
		}
		write()
		return nil
	}
	token := w.token()
	w.onSave = nil
	w.Flush(t.Context())
	w.pass(time.Hour)
	w.restart()
	assert.Equal(t, token, w.token())
	assert.Equal(t, 1, w.refreshes())
}

// A process that dies anywhere is followed by one that goes on, as long as
// Slack still takes the refresh token that was used.
func TestDeath(t *testing.T) {
	t.Parallel()
	steps := map[string]func(w *world){
		"before the mark": func(w *world) { w.onSave = func(int, func()) error { panic(crash{}) } },
		"after the mark": func(w *world) {
			w.onSave = func(_ int, write func()) error { write(); panic(crash{}) }
		},
		"before the answer": func(w *world) {
			w.onAnswer = func(*http.Request, []byte) ([]byte, error) { panic(crash{}) }
		},
		"before the new tokens are saved": func(w *world) {
			w.onSave = func(n int, write func()) error {
				if n == 2 {
					panic(crash{})
				}
				write()
				return nil
			}
		},
		"after they are saved": func(w *world) {
			w.onSave = func(n int, write func()) error {
				write()
				if n == 2 {
					panic(crash{})
				}
				return nil
			}
		},
	}
	for name, prepare := range steps {
		for _, replaces := range []bool{false, true} {
			for _, first := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " replaces=", replaces, " first=", first), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, func(a *slacktest.App) { a.GraceReplaces = replaces })
					if !first {
						w.token()
						w.pass(early + time.Second)
						w.restart()
					}
					prepare(w)
					require.True(t, crashes(func() { w.token() }))
					w.onSave, w.onAnswer = nil, nil
					w.pass(20 * time.Second)
					w.restart()
					for range 5 {
						require.Empty(t, w.ask())
						w.pass(early + time.Second)
					}
					assert.Empty(t, w.statuses)
				})
			}
		}
	}
}

// Dead for longer than the grace: the access token is used to its end, and it is
// said what to do.
func TestDeadForTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.pass(early + time.Second)
	w.onAnswer = func(*http.Request, []byte) ([]byte, error) { panic(crash{}) }
	require.True(t, crashes(func() { w.token() }))
	w.onAnswer = nil
	w.pass(time.Minute)
	w.restart()
	for range 118 {
		require.Equal(t, first, w.token())
		w.restart()
		require.Equal(t, first, w.token())
		w.pass(time.Minute)
	}
	w.pass(time.Minute)
	failed := w.refused()
	assert.Equal(t, codeBadRefreshToken, failed.Code)
	assert.Contains(t, failed.Error(), "A refresh was cut short by a crash or a lost answer")
	assert.Contains(t, failed.Error(), "run `slacklogs authorize` again and put the new refresh_token into the config")

	_, w.configured = w.slack.InstallApp(clientID)
	w.restart()
	require.Empty(t, w.ask())
}

// A changed refresh_token in the configuration beats the saved one, and the one
// that the saved tokens came from does not.
func TestChangedConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.restart()
	require.Equal(t, first, w.token())
	require.Empty(t, w.lines(zapcore.InfoLevel))

	_, w.configured = w.slack.InstallApp(clientID)
	w.restart()
	second := w.token()
	assert.NotEqual(t, first, second)
	require.Len(t, w.lines(zapcore.InfoLevel), 1)
	assert.Contains(t, w.lines(zapcore.InfoLevel)[0], "The configured refresh_token is another")
	w.restart()
	assert.Equal(t, second, w.token())
	assert.Len(t, w.lines(zapcore.InfoLevel), 1)
	assert.Equal(t, 2, w.refreshes())
}

// A wrong refresh_token in the configuration, however often, destroys nothing:
// with the right one back, the saved tokens are used.
func TestConfigurationTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	right := w.configured
	first := w.token()
	for _, wrong := range []string{"xoxe-1-wrong", "xoxe-1-wrong-too", "xoxe-1-wrong-too"} {
		w.configured = wrong
		w.restart()
		assert.Equal(t, codeBadRefreshToken, w.refused().Code)
	}
	w.pass(time.Hour)
	w.configured = right
	w.restart()
	assert.Equal(t, first, w.token())
	w.pass(early)
	w.restart()
	assert.NotEqual(t, first, w.token())
	require.Empty(t, w.ask())

	// One that has brought tokens takes the place for good.
	_, w.configured = w.slack.InstallApp(clientID)
	w.restart()
	w.token()
	assert.NotContains(t, string(w.disk[stateKey]), "before")
	w.pass(time.Hour)
	w.configured = right
	w.restart()
	assert.Equal(t, codeBadRefreshToken, w.refused().Code)
}

// What is wrong with a refresh token is told apart as far as can be known.
func TestSentences(t *testing.T) {
	t.Parallel()
	const (
		cut    = "A refresh was cut short by a crash or a lost answer (or another collector or script uses this refresh token)"
		others = "Another collector or script uses this refresh token, as Slack takes the one no more that it gave to this collector"
		used   = "The configured refresh_token was used already or is wrong"
	)
	// elsewhere is a second collector with a copy of what this one has.
	elsewhere := func(w *world, token string) {
		w.t.Helper()
		client := slack.NewClient(slack.Settings{HTTP: &http.Client{Transport: w}, Endpoint: "https://slack.com/api", Clock: w})
		_, err := client.Refresh(w.t.Context(), w.set.App, token)
		require.NoError(w.t, err)
		w.pass(time.Minute)
	}
	for _, tt := range []struct {
		name    string
		edit    func(*slacktest.App)
		prepare func(w *world)
		want    string
	}{
		{name: "the configured one was used", prepare: func(w *world) { elsewhere(w, w.configured) }, want: used},
		{name: "the configured one is wrong", prepare: func(w *world) { w.configured = "xoxe-1-wrong"; w.restart() }, want: used},
		{
			name: "asked twice, in two processes", want: used,
			prepare: func(w *world) {
				elsewhere(w, w.configured)
				_ = w.refused()
				w.restart()
			},
		},
		{
			name: "the storage is gone", want: used,
			prepare: func(w *world) {
				w.token()
				clear(w.disk)
				w.pass(time.Minute)
				w.restart()
			},
		},
		{
			name: "the saved one was used elsewhere", want: others,
			prepare: func(w *world) {
				w.token()
				elsewhere(w, w.state.RefreshToken)
				w.pass(life)
			},
		},
		{
			name: "the saved one was used elsewhere, and a restart", want: others,
			prepare: func(w *world) {
				w.token()
				elsewhere(w, w.state.RefreshToken)
				w.pass(life)
				_ = w.refused()
				w.restart()
			},
		},
		{
			name: "another collector began with the same one within the grace", want: others,
			edit: func(a *slacktest.App) { a.GraceReplaces = true },
			prepare: func(w *world) {
				w.token()
				elsewhere(w, w.configured)
				w.pass(life)
			},
		},
		{
			name: "a death", want: cut,
			prepare: func(w *world) {
				w.onAnswer = func(*http.Request, []byte) ([]byte, error) { panic(crash{}) }
				require.True(w.t, crashes(func() { w.token() }))
				w.onAnswer = nil
				w.pass(time.Minute)
				w.restart()
			},
		},
		{
			name: "a lost answer", want: cut,
			prepare: func(w *world) {
				w.onAnswer = lost
				_ = w.refused()
				w.onAnswer = nil
				w.pass(time.Minute)
			},
		},
		{
			name: "revoked for good", want: "Somebody revoked the tokens or took the app off, or another collector or script uses them",
			prepare: func(w *world) {
				first := w.token()
				w.slack.Deny(slacktest.PathExchange, codeBadRefreshToken)
				w.pass(time.Hour)
				w.Refused(first, codeRevoked)
				w.token()
				w.pass(life)
			},
		},
		{
			name: "a public client after 30 days", want: "those of a public client (PKCE) end after 30 days in any case",
			edit:    func(a *slacktest.App) { a.ClientSecret = "" },
			prepare: func(w *world) { w.pass(31 * 24 * time.Hour) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.edit)
			tt.prepare(w)
			failed := w.refused()
			assert.Equal(t, codeBadRefreshToken, failed.Code)
			assert.Equal(t, slack.NeedsToken, failed.Class)
			assert.Contains(t, failed.Advice, tt.want)
			require.NotEmpty(t, w.statuses)
			assert.Contains(t, w.statuses[len(w.statuses)-1], tt.want)
		})
	}
}

// A token that Slack refuses before its time is replaced, and what else uses
// the installation is named.
func TestRefused(t *testing.T) {
	t.Parallel()
	const warning = "Slack refuses the access token before its life is over, and this receiver has not replaced it: another collector, receiver or script"
	for _, tt := range []struct {
		name string
		age  time.Duration
		code string
		// revoked is set where auth.test refuses the token as well.
		revoked  bool
		replaced bool
		warned   bool
	}{
		{name: "expired", age: time.Hour, code: codeExpired, replaced: true},
		{name: "expired, and new", age: time.Second, code: codeExpired, replaced: true},
		{name: "revoked", age: time.Hour, code: codeRevoked, revoked: true, replaced: true, warned: true},
		{name: "revoked, and new", age: time.Second, code: codeRevoked, revoked: true},
		{name: "401", age: time.Hour, code: codeRefused, revoked: true, replaced: true, warned: true},
		{name: "401, and new", age: time.Second, code: codeRefused, revoked: true},
		{name: "401 of one call", age: time.Hour, code: codeRefused},
		{name: "invalid", age: time.Hour, code: codeInvalid, revoked: true, replaced: true, warned: true},
		{name: "invalid for one workspace", age: time.Hour, code: codeInvalid},
		{name: "of a user who is gone", age: time.Hour, code: "account_inactive", revoked: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			first := w.token()
			w.pass(tt.age)
			if tt.revoked {
				w.slack.Revoke(first)
			}
			w.Refused("xoxe.xoxp-1-of-long-ago", tt.code)
			require.Equal(t, first, w.token(), "another token was refused")
			w.Refused(first, tt.code)
			second := w.token()
			assert.Equal(t, tt.replaced, first != second)
			require.Equal(t, second, w.token())
			lines := w.lines(zapcore.InfoLevel)
			if !tt.warned {
				assert.Empty(t, lines)
				return
			}
			require.Len(t, lines, 1)
			assert.Contains(t, lines[0], warning)
		})
	}
}

// The audit host answers an expired token with an empty 401; that is no
// collector's doing.
func TestExpiredWithoutAWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.pass(time.Hour)
	w.slack.ExpireTokens(clientID)
	w.Refused(first, codeRefused)
	assert.NotEqual(t, first, w.token())
	assert.Empty(t, w.lines(zapcore.InfoLevel))
}

// Slack says that the token is over, and can't refresh it: that is what is told.
func TestExpiredWhileSlackIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.slack.Deny(slacktest.PathExchange, "fatal_error")
	w.Refused(first, codeExpired)
	assert.Equal(t, "fatal_error", w.refused().Code)
	w.slack.Deny(slacktest.PathExchange, "")
	w.pass(time.Minute)
	assert.NotEqual(t, first, w.token())
}

// A clock that is set back makes neither a token new again nor a pause long.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.skew = -365 * 24 * time.Hour
	w.slack.Revoke(first)
	w.slack.Deny(slacktest.PathExchange, "ratelimited")
	w.Refused(first, codeRevoked)
	require.Equal(t, first, w.token())
	w.slack.Deny(slacktest.PathExchange, "")
	w.skew -= 365 * 24 * time.Hour
	w.pass(5 * time.Minute)
	assert.NotEqual(t, first, w.token())
}

// Where the new tokens are refused too, refresh tokens are not burnt.
func TestRefusedAgainAndAgain(t *testing.T) {
	t.Parallel()
	for _, code := range []string{codeExpired, codeRevoked} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			minutes := func(n int) {
				for range n {
					w.Refused(w.token(), code)
					w.pass(time.Minute)
				}
			}
			minutes(60)
			assert.LessOrEqual(t, w.refreshes(), 8)
			before := w.refreshes()
			minutes(24 * 60)
			assert.InDelta(t, 24, w.refreshes()-before, 3)

			// Taken for long enough, and the next refusal is mended at once.
			w.pass(9 * time.Hour)
			first := w.token()
			w.pass(9 * time.Hour)
			w.Refused(first, code)
			second := w.token()
			assert.NotEqual(t, first, second)
			w.pass(2 * time.Minute)
			w.Refused(second, code)
			assert.NotEqual(t, second, w.token(), "and once more")
			if code == codeExpired {
				assert.Empty(t, w.lines(zapcore.InfoLevel))
			} else {
				assert.LessOrEqual(t, len(w.lines(zapcore.InfoLevel)), 27, "once an hour at most")
			}
		})
	}
}

// A token that one workspace refuses is asked about, and not replaced; nor is
// auth.test asked before its Retry-After is over.
func TestRefusedByOneWorkspace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.slack.SetFault(slacktest.Only(slacktest.EveryNth(2, slacktest.FaultRateLimit), slacktest.PathAuthTest))
	for range 4 * 60 {
		w.pass(time.Minute)
		w.Refused(first, codeInvalid)
		require.Equal(t, first, w.token())
	}
	assert.Equal(t, 1, w.refreshes())
	assert.LessOrEqual(t, w.slack.CallCount(), 4*60+2)
}

// Receivers with the same refresh token, as long as Slack lets them live, and
// how they hear of each other then.
func TestSeveralOnOneToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		edit      func(*slacktest.App)
		receivers int
		want      string // of Slack's rules as they are known, empty = they do not meet
	}{
		{name: "within the grace", receivers: 2},
		{
			name: "within a grace in which the second use counts", receivers: 2,
			edit: func(a *slacktest.App) { a.GraceReplaces = true },
			want: "Another collector or script uses this refresh token, as Slack takes the one no more",
		},
		{
			name: "without a grace", receivers: 2,
			edit: func(a *slacktest.App) { a.Grace = -1 },
			want: "The configured refresh_token was used already or is wrong: another collector or script uses it",
		},
		{
			name: "more than Slack has live tokens for", receivers: 3,
			want: "another collector, receiver or script refreshes the tokens of the same installation, of which Slack keeps two alive",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first := newWorld(t, tt.edit)
			all := []*world{first}
			for len(all) < tt.receivers {
				w := newWorld(t, tt.edit)
				w.slack, w.configured = first.slack, first.configured
				w.restart()
				all = append(all, w)
			}
			for range 3 * 24 * 60 {
				for _, w := range all {
					first.pass(2 * time.Second)
					w.now = first.now
					w.ask()
				}
				first.pass(time.Minute)
			}
			var said []string
			for _, w := range all {
				said = append(said, w.lines(zapcore.WarnLevel)...)
			}
			if tt.want == "" {
				assert.Empty(t, said)
				return
			}
			assert.Contains(t, strings.Join(said, "\n"), tt.want)
		})
	}
}

// What can't be read, or is a newer receiver's, is never begun anew in silence.
func TestStateThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(disk map[string][]byte)
		want string
	}{
		{name: "damaged", edit: func(d map[string][]byte) { d[stateKey][40] ^= 1 }, want: "is damaged"},
		{name: "cut", edit: func(d map[string][]byte) { d[stateKey] = d[stateKey][:30] }, want: "is not a state of this receiver"},
		{name: "gone", edit: func(d map[string][]byte) { delete(d, stateKey) }, want: "is gone"},
		{name: "newer", edit: func(d map[string][]byte) { d[stateKey] = []byte(`{"version":2}`) }, want: "has version 2, this receiver knows up to 1"},
		{name: "of wrong types", edit: set("expires", "soon"), want: "has parts of the wrong type"},
		{name: "without a refresh token", edit: set("refresh_token", ""), want: "lacks a part"},
		{name: "without its origin", edit: set("from", nil), want: "lacks a part"},
		{name: "without its mark", edit: unset("refreshing"), want: "lacks a part"},
		{name: "with an impossible life", edit: set("expires", 1), want: "lacks a part"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.token()
			tt.edit(w.disk)
			err := w.open()
			require.ErrorContains(t, err, `the state "token_rotation" `+tt.want)
			require.ErrorContains(t, err, "run `slacklogs authorize` again")
			assert.NotContains(t, err.Error(), "xox")
		})
	}
}

func set(name string, value any) func(disk map[string][]byte) {
	return edit(func(doc map[string]any) { doc[name] = value })
}

func unset(name string) func(disk map[string][]byte) {
	return edit(func(doc map[string]any) { delete(doc, name) })
}

// edit changes a saved state, and leaves the checksum out.
func edit(change func(doc map[string]any)) func(disk map[string][]byte) {
	return func(disk map[string][]byte) {
		var doc map[string]any
		if err := json.Unmarshal(disk[stateKey], &doc); err != nil {
			panic(err)
		}
		delete(doc, "crc")
		change(doc)
		disk[stateKey], _ = json.Marshal(doc)
	}
}

// Whoever stops in the middle of a refresh still has its answer saved.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.onCall = func(*http.Request) { cancel() }
	token, err := w.Token(ctx)
	require.NoError(t, err)
	w.onCall = nil
	_, err = w.Token(ctx)
	require.Error(t, err)
	w.pass(time.Hour)
	w.restart()
	assert.Equal(t, token, w.token())
	assert.Equal(t, 1, w.refreshes())
}

// One refreshes, the others wait for it, and who does not want to wait leaves.
func TestMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	asked, answer := make(chan struct{}), make(chan struct{})
	w.onCall = func(*http.Request) {
		close(asked)
		<-answer
	}
	tokens := make(chan string, 8)
	for range cap(tokens) {
		go func() {
			token, err := w.Token(t.Context())
			assert.NoError(t, err)
			w.Refused(token, codeRevoked) // too new for it to count
			tokens <- token
		}()
	}
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := w.Token(ctx)
		gone <- err
	}()
	cancel()
	var failed *slack.Error
	require.ErrorAs(t, <-gone, &failed)
	assert.Equal(t, slack.CodeNetwork, failed.Code)
	close(answer)
	first := <-tokens
	for range cap(tokens) - 1 {
		assert.Equal(t, first, <-tokens)
	}
	assert.Equal(t, 1, w.refreshes())
}

// While one refreshes, the others go on with the token that is left, unless it
// is refused.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	old := w.token()
	w.pass(life * 9 / 10)
	asked, answer := make(chan struct{}), make(chan struct{})
	w.onCall = func(*http.Request) {
		close(asked)
		<-answer
	}
	fresh := make(chan string)
	go func() {
		token, err := w.Token(t.Context())
		assert.NoError(t, err)
		fresh <- token
	}()
	<-asked
	assert.Equal(t, old, w.token())
	w.Refused(old, codeExpired)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Token(ctx)
	require.Error(t, err, "it waits")
	close(answer)
	token := <-fresh
	assert.NotEqual(t, old, token)
	assert.Equal(t, token, w.token())
	assert.Equal(t, 2, w.refreshes())
}

// What a log type hears late of a token of before says nothing of the one in
// use.
func TestRefusedTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.token()
	w.pass(life)
	second := w.token()
	require.NotEqual(t, first, second)
	w.slack.ExpireTokens(clientID)
	w.Refused(second, codeExpired)
	w.Refused(first, codeExpired)
	assert.NotEqual(t, second, w.token())
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Through random bad weeks the installation is never lost: not by a storage that
// refuses writes or says so of those it made, by Slack's errors, by up to two
// lost answers in a row (but not in an outage), by restarts without
// unsaved tokens, nor by a clock that is set back.
func TestBadWeeks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			chance := func(p float64) bool { return r.Float64() < p }
			w := newWorld(t, func(a *slacktest.App) {
				a.GraceReplaces, a.RefreshInAuthedUser = chance(0.5), chance(0.5)
			})
			badDisk, badSlack, inARow := 0.0, 0.0, 0
			w.onSave = func(_ int, write func()) error {
				bad := chance(badDisk)
				if !bad || chance(0.3) {
					write()
				}
				if bad {
					return errDisk
				}
				return nil
			}
			w.onAnswer = func(req *http.Request, body []byte) ([]byte, error) {
				if !bytes.Contains(body, []byte("refresh_token\"")) || inARow == 2 || inARow == 0 && w.unsure || !chance(badSlack) {
					inARow = 0
					return body, nil
				}
				inARow++
				return lost(req, body)
			}
			for range 7 * 24 * 60 {
				if chance(0.002) {
					badDisk = []float64{0, 0.3, 1}[r.IntN(3)]
				}
				if chance(0.002) {
					badSlack = []float64{0, 0.3, 1}[r.IntN(3)]
				}
				if chance(0.002) {
					w.slack.Deny(slacktest.PathExchange, []string{"", "fatal_error", "ratelimited"}[r.IntN(3)])
				}
				if chance(0.0005) && w.state.NotBefore == 0 {
					w.skew = -time.Duration(r.IntN(26)) * time.Hour
				}
				if chance(0.0005) {
					w.slack.ExpireTokens(clientID)
				}
				if chance(0.003) && !w.unsaved && badDisk == 0 {
					w.restart()
				}
				ctx, cancel := context.WithCancel(t.Context())
				refreshes := 0
				w.onCall = func(req *http.Request) {
					if req.URL.Path == slacktest.PathExchange {
						refreshes++
					}
					if badDisk == 0 && chance(0.01) {
						cancel()
					}
				}
				token, err := w.Token(ctx)
				require.LessOrEqual(t, refreshes, soonTries)
				if ctx.Err() != nil { // the receiver stops, and starts again
					w.Flush(t.Context())
					if !w.unsaved {
						w.restart()
					}
					token, err = w.Token(t.Context())
				}
				cancel()
				if err == nil && chance(0.1) {
					w.Refused(token, []string{codeInvalid, codeRefused}[r.IntN(2)])
				}
				w.pass(time.Minute)
			}
			badDisk, badSlack, w.onCall = 0, 0, nil
			w.slack.Deny(slacktest.PathExchange, "")
			for range 10 {
				w.pass(time.Minute)
				if code := w.ask(); code == "" {
					return
				}
			}
			require.Empty(t, w.ask())
		})
	}
}

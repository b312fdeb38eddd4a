// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// No row has a date: nothing tells when a reading has seen enough, so it reads
// to the end, and each row comes once.
func TestListsWithoutDates(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		w.cfg.PageSize, w.cfg.SweepWindow = 20, 2*time.Hour
		for i := range 150 {
			if kind == "access" {
				l := login("T0PIER", fmt.Sprintf("W%d", i), noon, noon, 1)
				l.JSON = fmt.Appendf(nil, `{"user_id":"W%d","date_first":null,"date_last":null,"count":1,"ip":"","user_agent":""}`, i)
				w.slack.SetLogin(l)
				continue
			}
			w.slack.AddChange(slacktest.Change{Team: "T0PIER", Date: noon.Unix(), JSON: fmt.Appendf(nil, `{"user_id":"W%d","change_type":"added"}`, i)})
		}
		require.NoError(t, w.start())
		for range 4 {
			w.run(2 * time.Hour)
			require.NoError(t, w.start())
		}
		require.Len(t, w.delivered, 150)
		for uid, n := range w.delivered {
			require.Equal(t, 1, n, uid)
		}
	}
}

// Answers without Slack's time: the local one is all there is.
func TestListsWithoutSlacksTime(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{OmitDate: true})
		require.NoError(t, w.start())
		var uids []string
		for i := range 20 {
			uids = append(uids, w.add("T0PIER", fmt.Sprint("A", i)))
			w.run(10 * time.Minute)
		}
		w.requireDelivered(uids...)
	}
}

// One answer with a time years ahead (a cache, a server gone astray) moves
// neither what was read nor what is forgotten.
func TestListsTimeGoneAstray(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		n := 0
		w.onAnswer = func(header http.Header) {
			if n++; n%7 == 3 {
				header.Set("Date", w.now.AddDate(5, 0, 0).UTC().Format(http.TimeFormat))
			}
		}
		require.NoError(t, w.start())
		var uids []string
		for i := range 20 {
			uids = append(uids, w.add("T0PIER", fmt.Sprint("A", i)))
			w.run(10 * time.Minute)
		}
		w.requireDelivered(uids...)
	}
}

// Slack shows more rows than were asked for.
func TestListsLongPages(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		w := newListWorld(t, kind, slacktest.Options{})
		w.cfg.PageSize = 10
		uids := w.fillRows(300, time.Minute, noon)
		w.onRequest = func(r *http.Request) *http.Response {
			if !isList(r) {
				return nil
			}
			r = r.Clone(r.Context())
			q := r.URL.Query()
			for _, name := range []string{"count", "limit"} {
				if q.Has(name) {
					q.Set(name, "100")
				}
			}
			r.URL.RawQuery = q.Encode()
			return w.rewritten(r, func(map[string]json.RawMessage) {})
		}
		require.NoError(t, w.start())
		w.run(30 * time.Minute)
		w.requireDelivered(uids...)
	}
}

// Slack refuses the call itself: the status says what to do, and once it is
// mended reading goes on without a restart.
func TestListsRefusedCalls(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for code, advice := range map[string]string{
			"invalid_limit": "page_size", "missing_scope": "scope", "paid_only": "paid", "token_revoked": "token",
			"invalid_team_id": "team_ids", "ekm_access_denied": "Org Owner", "some_new_code": "does not know",
		} {
			t.Run(kind+" "+code, func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, kind, slacktest.Options{})
				w.cfg.Overlap = time.Hour
				uids := []string{w.add("T0PIER", "A")}
				refusing := true
				w.onRequest = func(r *http.Request) *http.Response {
					if isList(r) && refusing {
						return w.says(`{"ok":false,"error":"` + code + `"}`)
					}
					return nil
				}
				require.NoError(t, w.start())
				w.run(5 * time.Hour)
				require.ErrorContains(t, w.lastStatus(), code)
				require.ErrorContains(t, w.lastStatus(), advice)
				require.Len(t, w.status, 1, "told once")
				refusing = false
				uids = append(uids, w.add("T0PIER", "B"))
				w.run(3 * time.Minute)
				require.NoError(t, w.lastStatus())
				w.requireDelivered(uids...)
			})
		}
	}
}

// An outage longer than all windows, in a list that polls had read well.
func TestListsLongOutage(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, fault := range []slacktest.Fault{slacktest.FaultHTML, slacktest.FaultInternal, slacktest.FaultReset} {
			t.Run(kind+" "+fault.String(), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, kind, slacktest.Options{})
				w.cfg.Overlap, w.cfg.SweepWindow, w.cfg.PageSize = time.Hour, 2*time.Hour, 20
				uids := []string{w.add("T0PIER", "A")}
				require.NoError(t, w.start())
				w.run(10 * time.Minute)
				w.slack.SetFault(func(slacktest.Call) slacktest.Fault { return fault })
				for i := range 100 {
					w.run(5 * time.Minute)
					uids = append(uids, w.add("T0PIER", fmt.Sprint("B", i)))
				}
				w.slack.SetFault(nil)
				w.run(2 * time.Hour)
				w.requireDelivered(uids...)
			})
		}
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// A refused batch restarts the first reading; with a total that Slack caps,
// the restarted reading takes the first page for all there is.
func TestRefusedBatchAndCappedTotal(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{TotalCap: 40})
	w.cfg.Overlap = time.Hour
	w.retry.Enabled = false
	uids := w.fillChanges("T0PIER", 300, 4*time.Minute, noon)
	n := 0
	w.onConsume = func([]string) error {
		if n++; n == 2 {
			return errors.New("full")
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	require.Zero(t, w.missing(uids))
}

// Access logs by number, with a total below the truth or none: a full page
// is not the last.
func TestPagesOnlyAndPoorPaging(t *testing.T) {
	t.Parallel()
	for _, paging := range []string{`{"count":100,"total":40,"page":PAGE,"pages":1}`, `{"count":100,"total":0,"page":PAGE,"pages":0}`, `{"count":100,"total":null,"page":PAGE,"pages":null}`, `null`} {
		t.Run(paging, func(t *testing.T) {
			w := newListWorld(t, "access", slacktest.Options{AccessPagesOnly: true})
			uids := w.fillLogins("T0PIER", 300, 4*time.Minute, noon)
			w.onRequest = func(r *http.Request) *http.Response {
				if !isList(r) {
					return nil
				}
				return w.rewritten(r, func(m map[string]json.RawMessage) {
					page := max(r.URL.Query().Get("page"), "1")
					m["paging"] = json.RawMessage(strings.ReplaceAll(paging, "PAGE", page))
				})
			}
			require.NoError(t, w.start())
			w.run(30 * time.Minute)
			require.Zero(t, w.missing(uids))
		})
	}
}

// Pages of HTML instead of answers (a proxy) for a while, whatever while:
// nothing can be read, so nothing may be left out.
func TestOutageWithPagesLosesNone(t *testing.T) {
	t.Parallel()
	outages(t, func(w *listWorld, down time.Time, long time.Duration) {
		w.slack.SetFault(func(c slacktest.Call) slacktest.Fault {
			if c.Time.After(down) && c.Time.Before(down.Add(long)) {
				return slacktest.FaultHTML
			}
			return slacktest.FaultNone
		})
	})
}

// One workspace is in trouble for a while; the others are well.
func TestOutageOfAWorkspaceLosesNone(t *testing.T) {
	t.Parallel()
	outages(t, func(w *listWorld, down time.Time, long time.Duration) {
		w.slack.SetToken(testToken, orgToken(testTeams...))
		w.cfg.TeamIDs = []string{"T0PIER", "T0QUAY"}
		w.at(down, func() { w.slack.Refuse("T0PIER", "fatal_error") })
		w.at(down.Add(long), func() { w.slack.Refuse("T0PIER", "") })
	})
}

// outages lets first readings live through an outage of any length.
func outages(t *testing.T, happen func(w *listWorld, down time.Time, long time.Duration)) {
	t.Helper()
	for _, kind := range kinds {
		lost := map[string]int{}
		for long := 10 * time.Minute; long < 26*time.Minute; long += 150 * time.Second {
			w := newListWorld(t, kind, slacktest.Options{})
			w.cfg.Overlap, w.cfg.InitialLookback, w.cfg.PageSize, w.cfg.RequestsPerMinute = time.Hour, 30*24*time.Hour, 100, 15
			w.cfg.SweepInterval, w.cfg.SweepWindow = 0, 30*24*time.Hour
			uids := w.fillRows(600, 30*time.Minute, noon)
			happen(w, noon.Add(10*time.Second), long)
			require.NoError(t, w.start())
			w.run(2 * time.Hour)
			if n := w.missing(uids); n > 0 {
				lost[long.String()] = n
			}
		}
		assert.Empty(t, lost, kind)
	}
}

// over_pagination_limit for the first page is no end of the list.
func TestPageLimitAtTheFirstPage(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.Overlap = time.Hour
	uids := w.fillChanges("T0PIER", 50, 20*time.Minute, noon)
	refusing := true
	w.onRequest = func(r *http.Request) *http.Response {
		if isList(r) && refusing {
			return w.says(`{"ok":false,"error":"over_pagination_limit"}`)
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	assert.NotEmpty(t, w.status, "nothing can be read: not a word")
	refusing = false
	w.run(10 * time.Minute)
	assert.Zero(t, w.missing(uids))
}

// A restart while auth.teams.list is throttled: the workspaces are known.
func TestTeamsListThrottledAtRestart(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{RetryAfter: time.Hour})
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.cfg.TeamIDs = []string{"*"}
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	w.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault { return slacktest.FaultRateLimit }, slacktest.PathTeams))
	l := login("T0PIER", "WALICE", w.now, w.now, 1)
	w.slack.SetLogin(l)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	require.Equal(t, 1, w.delivered[loginUID(l)])
}

// One answer that is out of order must not make every poll read the whole
// list for ever.
func TestOrderIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.cfg.PageSize, w.cfg.InitialLookback = 20, 30*24*time.Hour
	for i := range 400 {
		last := noon.Add(-time.Duration(i) * time.Minute)
		w.slack.SetLogin(login("T0PIER", fmt.Sprintf("W%d", i), last.Add(-time.Duration(i*7919%3000)*time.Minute), last, 1))
	}
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	calls := len(w.listCalls())
	w.run(10 * time.Minute)
	require.LessOrEqual(t, len(w.listCalls())-calls, 11)
	// One answer has two rows exchanged.
	once := true
	w.onRequest = func(r *http.Request) *http.Response {
		if !isList(r) || !once {
			return nil
		}
		once = false
		return w.rewritten(r, func(m map[string]json.RawMessage) {
			var rows []json.RawMessage
			require.NoError(t, json.Unmarshal(m["logins"], &rows))
			rows[2], rows[5] = rows[5], rows[2]
			m["logins"], _ = json.Marshal(rows)
		})
	}
	w.run(3 * time.Hour)
	calls = len(w.listCalls())
	w.run(30 * time.Minute)
	require.LessOrEqual(t, len(w.listCalls())-calls, 60)
}

// A row that can't be read is warned of once, not with each poll.
func TestPoisonIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"access", "integration"} {
		t.Run(kind, func(t *testing.T) {
			w := newListWorld(t, kind, slacktest.Options{})
			if kind == "access" {
				w.fillLogins("T0PIER", 300, time.Minute, noon)
				w.slack.PoisonText(`"F290"`, slacktest.FaultHTML)
			} else {
				w.fillChanges("T0PIER", 300, time.Minute, noon)
				w.slack.PoisonText(`"F290"`, slacktest.FaultHTML)
			}
			require.NoError(t, w.start())
			w.run(2 * time.Hour)
			require.Len(t, w.delivered, 299)
			require.LessOrEqual(t, w.logs.FilterMessageSnippet("is left out").Len(), 2, "by polls and by sweeps")
		})
	}
}

// Slack gives fewer rows than asked for, and numbers its pages by that.
func TestSmallerPagesThanAskedFor(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"integration", "access"} {
		t.Run(kind, func(t *testing.T) {
			w := newListWorld(t, kind, slacktest.Options{AccessPagesOnly: true})
			w.cfg.Overlap, w.cfg.PageSize = time.Hour, 500
			uids := w.fillRows(1000, time.Minute, noon)
			w.onRequest = func(r *http.Request) *http.Response {
				if !isList(r) {
					return nil
				}
				r = r.Clone(r.Context())
				q := r.URL.Query()
				for _, name := range []string{"count", "limit"} {
					if n, _ := strconv.Atoi(q.Get(name)); n > 100 {
						q.Set(name, "100")
					}
				}
				r.URL.RawQuery = q.Encode()
				return w.rewritten(r, func(map[string]json.RawMessage) {})
			}
			require.NoError(t, w.start())
			w.run(2 * time.Hour)
			require.Zero(t, w.missing(uids))
		})
	}
}

// Empty pages with ever new cursors: new rows must still be met.
func TestListEmptyPagesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	uids := w.fillLogins("T0PIER", 300, time.Minute, noon)
	n := 0
	w.onRequest = func(r *http.Request) *http.Response {
		if isList(r) && r.URL.Query().Get("cursor") != "" {
			n++
			return w.says(fmt.Sprintf(`{"ok":true,"logins":[],"response_metadata":{"next_cursor":"c%d"}}`, n))
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	assert.Zero(t, w.missing(uids), "by number they can be read")
	l := login("T0PIER", "WALICE", w.now, w.now, 1)
	w.slack.SetLogin(l)
	w.run(30 * time.Minute)
	assert.Equal(t, 1, w.delivered[loginUID(l)], "a new row")
}

// The same page with ever new cursors.
func TestPagesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.cfg.RequestsPerMinute = 1200
	w.fillLogins("T0PIER", 300, time.Minute, noon)
	n := 0
	w.onRequest = func(r *http.Request) *http.Response {
		if isList(r) && r.URL.Query().Get("cursor") != "" {
			n++
			return w.says(fmt.Sprintf(`{"ok":true,"logins":[{"user_id":"W","date_first":%d,"date_last":%d,"count":1,"ip":"","user_agent":""}],"response_metadata":{"next_cursor":"c%d"}}`, noon.Unix()-7200, noon.Unix()-7200, n))
		}
		return nil
	}
	require.NoError(t, w.start())
	w.run(20 * time.Minute)
	l := login("T0PIER", "WALICE", w.now, w.now, 1)
	w.slack.SetLogin(l)
	w.run(20 * time.Minute)
	assert.Equal(t, 1, w.delivered[loginUID(l)], "a new row")
	if p := w.lists.ring[0].poll; p != nil {
		assert.Less(t, len(p.cursors), 10_000)
	}
}

// Cursors in a circle.
func TestCursorCircle(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	uids := w.fillLogins("T0PIER", 500, time.Minute, noon)
	w.onRequest = func(r *http.Request) *http.Response {
		if !isList(r) || r.URL.Query().Has("page") {
			return nil
		}
		next := map[string]string{"": "A", "A": "B", "B": "A"}[r.URL.Query().Get("cursor")]
		r = r.Clone(r.Context())
		q := r.URL.Query()
		q.Del("cursor")
		r.URL.RawQuery = q.Encode()
		return w.rewritten(r, func(m map[string]json.RawMessage) {
			m["response_metadata"] = json.RawMessage(`{"next_cursor":"` + next + `"}`)
		})
	}
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	l := login("T0PIER", "WALICE", w.now, w.now, 1)
	w.slack.SetLogin(l)
	w.run(30 * time.Minute)
	assert.Equal(t, 1, w.delivered[loginUID(l)], "a new row")
	assert.Zero(t, w.missing(uids))
}

// An empty answer in the middle, while the total says that there is more.
func TestEmptyAnswerIsNoEnd(t *testing.T) {
	t.Parallel()
	for _, paging := range []string{`{"count":100,"total":0,"page":3,"pages":0}`, `{"count":100,"total":300,"page":3,"pages":3}`} {
		t.Run(paging, func(t *testing.T) {
			w := newListWorld(t, "integration", slacktest.Options{})
			w.cfg.Overlap = time.Hour
			uids := w.fillChanges("T0PIER", 300, 4*time.Minute, noon)
			n := 0
			w.onRequest = func(r *http.Request) *http.Response {
				if isList(r) {
					if n++; n == 3 {
						return w.says(`{"ok":true,"logs":[],"paging":` + paging + `}`)
					}
				}
				return nil
			}
			require.NoError(t, w.start())
			w.run(30 * time.Minute)
			require.Zero(t, w.missing(uids))
		})
	}
}

// Cursors of auth.teams.list in a circle don't starve the polls.
func TestTeamsCircle(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{})
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.cfg.TeamIDs = []string{"*"}
	w.cfg.RequestsPerMinute = 15
	require.NoError(t, w.start())
	w.run(5 * time.Minute)
	w.onRequest = func(r *http.Request) *http.Response {
		if r.URL.Path != slacktest.PathTeams {
			return nil
		}
		next := map[string]string{"": "A", "A": "B", "B": "A"}[r.URL.Query().Get("cursor")]
		return w.says(`{"ok":true,"teams":[{"id":"T0PIER","name":"Pier"}],"response_metadata":{"next_cursor":"` + next + `"}}`)
	}
	w.run(time.Hour)
	calls := len(w.listCalls())
	w.run(time.Hour)
	require.Greater(t, len(w.listCalls())-calls, 120, "3 workspaces, polled each minute")
}

// The local clock was ahead when auth.teams.list had to wait; it is right
// after the restart.
func TestTeamsWaitByAWrongClock(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{RetryAfter: 30 * time.Second})
	w.slack.SetToken(testToken, orgToken(testTeams...))
	w.cfg.TeamIDs = []string{"*"}
	w.skew = 10 * time.Hour
	w.slack.SetFault(slacktest.Only(func(slacktest.Call) slacktest.Fault { return slacktest.FaultRateLimit }, slacktest.PathTeams))
	require.NoError(t, w.start())
	w.run(20 * time.Second)
	w.slack.SetFault(nil)
	w.skew = 0
	require.NoError(t, w.start())
	l := login("T0PIER", "WALICE", w.now, w.now, 1)
	w.slack.SetLogin(l)
	w.run(90 * time.Minute)
	require.Equal(t, 1, w.delivered[loginUID(l)])
}

// What was left out because Slack was down is asked for again also where old
// rows behind it end the reading.
func TestOutageBeforeOldRowsLosesNone(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.InitialLookback, w.cfg.PageSize = 30*24*time.Hour, 1000
	w.fillChanges("T0PIER", 200, time.Hour, noon.Add(-31*24*time.Hour))
	uids := w.fillChanges("T0PIER", 1050, 20*time.Minute, noon)
	calls := 0
	var down time.Time
	w.slack.SetFault(func(c slacktest.Call) slacktest.Fault {
		if c.Path != slacktest.PathIntegration {
			return slacktest.FaultNone
		}
		if calls++; calls == 2 {
			down = w.now
		}
		if calls > 1 && w.now.Before(down.Add(11*time.Minute)) {
			return slacktest.FaultHTML
		}
		return slacktest.FaultNone
	})
	require.NoError(t, w.start())
	w.run(2 * time.Hour)
	require.Zero(t, w.missing(uids))
}

// The newest row can't be read, and Slack says so with a server error: what is
// behind it is read.
func TestTopRowEndsInServerErrors(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"access", "integration"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, kind, slacktest.Options{})
			if kind == "access" {
				w.fillLogins("T0PIER", 300, time.Minute, noon)
				w.slack.SetLogin(login("T0PIER", "WPOISON", noon, noon, 1))
				w.slack.PoisonText("WPOISON", slacktest.FaultInternal)
			} else {
				w.fillChanges("T0PIER", 300, time.Minute, noon)
				w.slack.AddChange(change("T0PIER", "APOISON", noon))
				w.slack.PoisonText("APOISON", slacktest.FaultInternal)
			}
			require.NoError(t, w.start())
			w.run(time.Hour)
			require.Len(t, w.delivered, 300)
		})
	}
}

// Sweeps come when they are due, however rare polls are.
func TestSweepsDoNotWaitForPolls(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{AccessOrder: slacktest.ByFirst})
	w.cfg.PollInterval, w.cfg.SweepInterval = 6*time.Hour, time.Hour
	w.fillLogins("T0PIER", 20, time.Minute, noon)
	require.NoError(t, w.start())
	w.run(5 * time.Hour)
	require.Less(t, w.now.Unix()-w.lists.ring[0].state.Swept, int64(2*3600))
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// Rows are active again, and new ones come, between any two pages of a reading:
// whatever the order of the list, the last state of each arrives, and no state
// twice.
func TestAccessRowsMoveWhileRead(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		for _, offset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s_%t", name, offset), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, "access", slacktest.Options{AccessOrder: order, AccessOffsetCursor: offset})
				w.cfg.PageSize = 10
				r := rand.New(rand.NewPCG(1, 2))
				var rows []slacktest.Login
				states := map[string]bool{}
				set := func(i int) {
					states[loginUID(rows[i])] = true
					w.slack.SetLogin(rows[i])
				}
				for i := range 300 {
					first := noon.Add(-within(r, 20*time.Hour))
					rows = append(rows, login("T0PIER", fmt.Sprintf("W%d", i), first, first.Add(within(r, noon.Sub(first))), 1))
					set(i)
				}
				calls := 0
				w.onRequest = func(q *http.Request) *http.Response {
					if calls++; !isList(q) || calls > 150 {
						return nil
					}
					for range 3 {
						i := r.IntN(len(rows))
						rows[i].Last, rows[i].Count = w.now.Unix(), rows[i].Count+1
						set(i)
					}
					rows = append(rows, login("T0PIER", fmt.Sprintf("N%d", calls), w.now, w.now, 1))
					set(len(rows) - 1)
					return nil
				}
				require.NoError(t, w.start())
				require.False(t, w.run(3*time.Hour))
				for _, l := range rows {
					require.Equal(t, 1, w.delivered[loginUID(l)], "%+v", l)
				}
				for uid, n := range w.delivered {
					require.Equal(t, 1, n)
					require.True(t, states[uid], "made up")
				}
			})
		}
	}
}

// The first reading takes each row of the span once and nothing older, beyond
// Slack's hundred pages too, for there are cursors.
func TestAccessBeyondHundredPages(t *testing.T) {
	t.Parallel()
	for _, stale := range []int{0, 1} {
		t.Run(fmt.Sprintf("stale_%d", stale), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{StaleEvery: stale})
			w.cfg.PageSize, w.cfg.RequestsPerMinute, w.cfg.SweepInterval = 50, 300, 0
			w.cfg.InitialLookback = 10_000 * time.Second
			uids := w.fillLogins("T0PIER", 12_500, time.Second, noon)
			require.NoError(t, w.start())
			require.False(t, w.run(20*time.Minute))
			w.requireOnce(uids[2500:])
			w.requireNone(uids[2500:])
			require.Less(t, len(w.listCalls()), 1000, "progress also where each cursor is stale")
			require.Empty(t, w.slack.Violations())
		})
	}
}

// Where Slack gives pages by number only, what is behind its limit is asked for
// with before, if the order proves that this works. Otherwise it is said.
func TestAccessBehindTheLimitOfPages(t *testing.T) {
	t.Parallel()
	for _, order := range []slacktest.AccessOrder{slacktest.ByLast, slacktest.ByFirst, slacktest.Unordered} {
		for _, cutsFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d_%t", order, cutsFirst), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, "access", slacktest.Options{AccessOrder: order, AccessPagesOnly: true, BeforeCutsFirst: cutsFirst})
				w.cfg.PageSize, w.cfg.RequestsPerMinute = 100, 300
				r := rand.New(rand.NewPCG(3, 4))
				var uids []string
				for i := range 2000 {
					first := noon.Add(-within(r, 20*time.Hour))
					last := first.Add(within(r, min(noon.Sub(first), 10*time.Minute)))
					l := login("T0PIER", fmt.Sprintf("W%d", i), first, last, 1)
					w.slack.SetLogin(l)
					uids = append(uids, loginUID(l))
				}
				w.onRequest = func(q *http.Request) *http.Response {
					count, _ := strconv.Atoi(q.URL.Query().Get("count"))
					if page, _ := strconv.Atoi(q.URL.Query().Get("page")); isList(q) && page*count > 500 {
						return w.says(`{"ok":false,"error":"over_pagination_limit"}`)
					}
					return nil
				}
				require.NoError(t, w.start())
				require.False(t, w.run(30*time.Minute))
				for uid, n := range w.delivered {
					require.Equal(t, 1, n, uid)
				}
				told := w.logs.FilterMessageSnippet("Slack's limit of pages").Len() > 0
				if order == slacktest.ByLast || order == slacktest.ByFirst && cutsFirst {
					require.Zero(t, w.missing(uids))
				}
				require.True(t, told || w.missing(uids) == 0, "rows are missing and not a word is said")
				require.Equal(t, told, w.gaps().has(gapPageLimit))
				f := w.lists.ring[0].figures()
				require.Less(t, f.PollStaleness, 120.0, "polls go on")
			})
		}
	}
}

// However often the first reading is broken, by a restart or by the death of
// the process, it is read to its end and a row comes again at most where a
// batch was accepted but not saved.
func TestAccessFirstReadingIsBroken(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("dies_%t", dies), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{})
			w.cfg.PageSize = 20
			uids := w.fillLogins("T0PIER", 1000, time.Minute, noon)
			saves := 0
			w.onSave = func(write func()) error {
				if saves++; dies && saves%20 == 0 {
					panic(crash{})
				}
				write()
				return nil
			}
			deaths := 0
			for range 12 {
				for {
					if err := func() (err error) {
						defer func() {
							if recover() != nil {
								err = errFull
							}
						}()
						return w.start()
					}(); err == nil {
						break
					}
				}
				if w.run(20 * time.Second) {
					deaths++
				}
			}
			w.onSave = nil
			require.NoError(t, w.start())
			require.False(t, w.run(10*time.Minute))
			repeats := 0
			for _, uid := range uids {
				require.NotZero(t, w.delivered[uid])
				repeats += w.delivered[uid] - 1
			}
			w.requireNone(uids)
			require.LessOrEqual(t, repeats, deaths*w.cfg.PageSize)
			require.Equal(t, dies, deaths > 0)
		})
	}
}

// What a row's states say of each other, by Slack's documentation of the fields
// and the contract's of ours.
func TestAccessChanges(t *testing.T) {
	t.Parallel()
	at := func(minutes int, count string) string {
		return fmt.Sprintf(`{"user_id":"W1","username":"a","date_first":%d,"date_last":%d,"count":%s,"ip":"192.0.2.7","user_agent":"x"}`,
			noon.Unix()-600, noon.Unix()+int64(minutes)*60, count)
	}
	for _, tt := range []struct {
		name   string
		states []string
		want   []string // of each state; "" = no record
	}{
		{"grows", []string{at(0, "5"), at(10, "8")}, []string{"new +5", "seen_again +3"}},
		{"same second, more", []string{at(0, "5"), at(0, "8")}, []string{"new +5", "seen_again +3"}},
		{"same second, less", []string{at(0, "5"), at(0, "4")}, []string{"new +5", ""}},
		{"later, same count", []string{at(0, "5"), at(10, "5")}, []string{"new +5", "seen_again +0"}},
		{"later, less: never negative", []string{at(0, "5"), at(10, "4")}, []string{"new +5", "seen_again"}},
		{"lagging replica", []string{at(10, "5"), at(0, "3"), at(10, "5"), at(5, "9")}, []string{"new +5", "", "", ""}},
		{"count unknown at first", []string{at(0, "null"), at(10, "7"), at(20, "9")}, []string{"new", "seen_again", "seen_again +2"}},
		{"count unknown then", []string{at(0, "5"), at(10, "null"), at(20, "9")}, []string{"new +5", "seen_again", "seen_again"}},
		{"count known later in the same second", []string{at(0, "null"), at(0, "7")}, []string{"new", "seen_again"}},
		{"count as text", []string{at(0, `"5"`), at(10, `"8"`)}, []string{"new +5", "seen_again +3"}},
	} {
		for name, order := range orders {
			t.Run(tt.name+"_"+name, func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
				w.fillLogins("T0PIER", 50, time.Minute, noon)
				require.NoError(t, w.start())
				for i, state := range tt.states {
					l := login("T0PIER", "W1", noon, noon, 1)
					l.JSON = []byte(state)
					w.slack.SetLogin(l)
					before := len(w.batches)
					clear(w.said)
					w.run(30 * time.Minute)
					if tt.want[i] == "" {
						require.Len(t, w.batches, before, "state %d", i)
						continue
					}
					require.Equal(t, tt.want[i], w.said[loginUID(l)], "state %d", i)
					w.run(2 * time.Hour)
				}
			})
		}
	}
}

// Whatever a row looks like, it is delivered once: not again with each poll and
// sweep, nor after a restart.
func TestAccessOddRowsComeOnce(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.SweepWindow = 3 * time.Hour
			org := slacktest.NewOrganisation(7)
			for i := range 300 {
				l := org.OddLogin("T0PIER", noon.Unix()-int64(i)*20)
				l.UserID = fmt.Sprintf("%s-%d", l.UserID, i)
				w.slack.SetLogin(l)
			}
			want := map[string]bool{}
			c := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore})
			for _, l := range w.slack.Logins("T0PIER") {
				if row := c.ParseAccess("T0PIER", jsonstream.NewElement(l.Text())); !row.LastOK || row.Last >= noon.Add(-24*time.Hour).Unix() {
					want[row.UID] = true
				}
			}
			require.NoError(t, w.start())
			w.run(2*time.Hour + 30*time.Minute)
			for uid := range want {
				require.Equal(t, 1, w.delivered[uid])
			}
			for range 4 {
				require.NoError(t, w.start())
				w.run(2 * time.Hour)
			}
			for uid, n := range w.delivered {
				require.Equal(t, 1, n, uid)
			}
			require.Len(t, w.delivered, len(want))
		})
	}
}

// Rows that were inactive for sweep_window are forgotten, so that memory holds
// only the active ones. Active again, such a row is seen again.
func TestAccessForgets(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.SweepInterval, w.cfg.SweepWindow, w.cfg.InitialLookback = 30*time.Minute, 2*time.Hour, 2*time.Hour
			w.fillLogins("T0PIER", 100, time.Minute, noon)
			require.NoError(t, w.start())
			w.run(time.Minute)
			require.Equal(t, 100, w.lists.ring[0].rows.Len())
			w.run(6 * time.Hour)
			require.Zero(t, w.lists.ring[0].rows.Len())
			require.Len(t, w.delivered, 100, "forgotten rows are read past")

			l := login("T0PIER", "F50", noon.Add(-50*time.Minute), w.now, 9)
			w.slack.SetLogin(l)
			w.run(90 * time.Minute)
			require.Equal(t, "seen_again", w.said[loginUID(l)], "how often before is not known any more")
			require.Len(t, w.delivered, 101)
		})
	}
}

// The collector is away for longer than sweep_window: what happened meanwhile
// is read all the same.
func TestAccessLongAbsence(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		for _, sweep := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(name, sweep), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
				w.cfg.SweepInterval, w.cfg.SweepWindow, w.cfg.PageSize = sweep, 2*time.Hour, 20
				w.fillLogins("T0PIER", 100, time.Minute, noon)
				require.NoError(t, w.start())
				w.run(3 * time.Hour)
				w.stop = nil
				var uids []string
				for i := range 200 {
					w.pass(6 * time.Minute)
					l := login("T0PIER", fmt.Sprintf("A%d", i), w.now, w.now, 1)
					w.slack.SetLogin(l)
					uids = append(uids, loginUID(l))
				}
				require.NoError(t, w.start())
				w.run(3 * time.Hour)
				w.requireOnce(uids)
			})
		}
	}
}

// A poll ends with the first page that shows nothing newer than the last poll,
// however long the list: one call when nothing happens, at most two when something
// did.
func TestAccessPollIsShort(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]slacktest.AccessOrder{"by last": slacktest.ByLast, "by first": slacktest.ByFirst} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.SweepInterval = 0
			r := rand.New(rand.NewPCG(5, 6))
			for i := range 1000 {
				first := noon.Add(-within(r, 20*time.Hour))
				w.slack.SetLogin(login("T0PIER", fmt.Sprintf("W%d", i), first, first.Add(within(r, noon.Sub(first))), 1))
			}
			require.NoError(t, w.start())
			w.run(10 * time.Minute)
			before := len(w.listCalls())
			w.run(time.Hour)
			require.InDelta(t, 60, len(w.listCalls())-before, 1)
			before = len(w.listCalls())
			for i := range 60 {
				w.slack.SetLogin(login("T0PIER", fmt.Sprintf("N%d", i), w.now, w.now, 1))
				w.run(time.Minute)
			}
			require.LessOrEqual(t, len(w.listCalls())-before, 122)
			require.Len(t, w.delivered, 1060)
		})
	}
}

// Polls that could use up all calls leave sweeps a tenth of them: a row deep in
// a list by date_first that was active again has no other way.
func TestAccessSweepHasItsShare(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{AccessOrder: slacktest.ByFirst})
	w.cfg.PageSize, w.cfg.PollInterval, w.cfg.RequestsPerMinute = 10, time.Second, 15
	w.fillLogins("T0PIER", 100, time.Minute, noon)
	require.NoError(t, w.start())
	w.run(30 * time.Minute)
	l := login("T0PIER", "F3", noon.Add(-97*time.Minute), w.now, 7)
	w.slack.SetLogin(l)
	before := len(w.listCalls())
	w.run(50 * time.Minute)
	require.Equal(t, "seen_again +6", w.said[loginUID(l)])
	swept := 0
	for _, c := range w.listCalls()[before:] {
		if c.Query.Has("cursor") {
			swept++
		}
	}
	require.Less(t, swept, 50*15/5, "the other calls are the polls'")
}

// A local clock that is hours wrong changes neither the start nor what is
// delivered.
func TestAccessWrongLocalClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-30 * time.Hour, -5 * time.Hour, -time.Minute, time.Minute, 5 * time.Hour, 30 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{})
			w.skew = skew
			w.cfg.InitialLookback = 100*time.Minute + 30*time.Second
			uids := w.fillLogins("T0PIER", 200, time.Minute, noon)
			require.NoError(t, w.start())
			for i := range 20 {
				l := login("T0PIER", fmt.Sprintf("N%d", i), w.now, w.now, 1)
				w.slack.SetLogin(l)
				uids = append(uids, loginUID(l))
				w.run(10 * time.Minute)
			}
			w.requireOnce(uids[100:])
			w.requireNone(uids[100:])
		})
	}
}

// Pages of one row are silly, but allowed.
func TestAccessPagesOfOneRow(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]slacktest.AccessOrder{"by last": slacktest.ByLast, "by first": slacktest.ByFirst} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.PageSize, w.cfg.RequestsPerMinute = 1, 300
			uids := w.fillLogins("T0PIER", 60, time.Minute, noon)
			require.NoError(t, w.start())
			w.run(5 * time.Minute)
			for i := range 5 {
				l := login("T0PIER", fmt.Sprintf("N%d", i), w.now, w.now, 1)
				w.slack.SetLogin(l)
				uids = append(uids, loginUID(l))
			}
			l := login("T0PIER", "F7", noon.Add(-53*time.Minute), w.now, 4)
			w.slack.SetLogin(l)
			w.run(2 * time.Hour)
			w.requireOnce(append(uids, loginUID(l)))
		})
	}
}

// Dates that can't be: rows of 1970, of 2200 and beyond what is kept. They
// neither end a reading nor come again.
func TestAccessImpossibleDates(t *testing.T) {
	t.Parallel()
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
			w.cfg.PageSize = 10
			uids := w.fillLogins("T0PIER", 200, time.Minute, noon)
			for i, at := range []int64{1, 1 << 32, 7_258_118_400} {
				l := login("T0PIER", fmt.Sprintf("ODD%d", i), noon, noon, 1)
				l.JSON = fmt.Appendf(nil, `{"user_id":"ODD%d","date_first":%d,"date_last":%d,"count":1,"ip":"192.0.2.7","user_agent":"x"}`, i, at, at)
				w.slack.SetLogin(l)
				if at > 1 {
					uids = append(uids, loginUID(l))
				}
			}
			require.NoError(t, w.start())
			for i := range 10 {
				w.run(20 * time.Minute)
				l := login("T0PIER", fmt.Sprintf("N%d", i), w.now, w.now, 1)
				w.slack.SetLogin(l)
				uids = append(uids, loginUID(l))
			}
			require.NoError(t, w.start())
			w.run(2 * time.Hour)
			w.requireOnce(uids)
			w.requireNone(uids)
			require.Less(t, w.lists.ring[0].state.Newest, w.now.Unix()+1, "staleness does not count what lies in the future")
		})
	}
}

// A row without a date is not forgotten while Slack shows it, however short
// sweep_window is.
func TestAccessUndatedRowAndShortWindow(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "access", slacktest.Options{AccessOrder: slacktest.ByFirst})
	w.cfg.SweepInterval, w.cfg.SweepWindow = 20*time.Minute, 20*time.Minute
	w.cfg.InitialLookback = time.Hour
	w.fillLogins("T0PIER", 30, time.Minute, noon)
	odd := login("T0PIER", "WODD", noon, noon, 1)
	odd.JSON = []byte(`{"user_id":"WODD","date_first":1772452800,"date_last":null,"count":1,"ip":"192.0.2.1","user_agent":"x"}`)
	w.slack.SetLogin(odd)
	require.NoError(t, w.start())
	w.run(6 * time.Hour)
	require.Equal(t, 1, w.delivered[loginUID(odd)])
}

// TestAccessPollShowsLateRows says that a row which Slack shows late comes with one of the next polls, as far down as a
// full page reaches, though most polls ask for less.
func TestAccessPollShowsLateRows(t *testing.T) {
	for _, sweep := range []time.Duration{0, time.Hour} {
		for name, order := range orders {
			t.Run(fmt.Sprintf("%s, sweeps each %v", name, sweep), func(t *testing.T) {
				w := newListWorld(t, "access", slacktest.Options{AccessOrder: order})
				w.cfg.PageSize, w.cfg.SweepInterval = 999, sweep
				w.fillLogins("T0PIER", 600, time.Minute, noon)
				require.NoError(t, w.start())
				w.run(5 * time.Minute)
				at := w.now.Add(-300 * time.Minute)
				late := login("T0PIER", "LATE", at, at, 1)
				w.slack.SetLogin(late)
				w.run(fullEvery*time.Minute + 10*time.Second)
				require.Equal(t, 1, w.delivered[loginUID(late)])
			})
		}
	}
}

// TestAccessPollGrows says that many rows at once come with the next poll, and that the one after it asks for as many.
func TestAccessPollGrows(t *testing.T) {
	w := newListWorld(t, "access", slacktest.Options{})
	w.cfg.PageSize = 999
	w.fillLogins("T0PIER", 1500, time.Second, noon)
	require.NoError(t, w.start())
	w.run(3 * time.Minute)
	require.Equal(t, fewRows, w.lastLimit(), "all rows are known")

	for i := range 800 {
		w.slack.SetLogin(login("T0PIER", fmt.Sprintf("NEW%d", i), w.now, w.now, 1))
	}
	before := len(w.delivered)
	w.run(time.Minute + 10*time.Second)
	require.Equal(t, 800, len(w.delivered)-before)
	w.run(time.Minute)
	require.Equal(t, 999, w.lastLimit())
	w.run(time.Minute)
	require.Equal(t, fewRows, w.lastLimit())
}

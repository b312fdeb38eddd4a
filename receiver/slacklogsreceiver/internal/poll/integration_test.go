// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// requireChanges checks that each row of the workspace, twins counted, was
// delivered exactly once, and nothing else.
func (w *listWorld) requireChanges() {
	w.t.Helper()
	uids := changeUIDs(w.slack.Changes("T0PIER"))
	w.requireOnce(uids)
	w.requireNone(uids)
}

// Pages end in the middle of equal rows of one second while new rows shift the
// list: none is lost, and a row that shifted is not taken for a twin.
func TestIntegrationTwinsShiftWhileRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 5, 10} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "integration", slacktest.Options{})
			w.cfg.PageSize, w.cfg.RequestsPerMinute = size, 300
			r := rand.New(rand.NewPCG(8, uint64(size)))
			for i := range 40 {
				at := noon.Add(-time.Duration(i) * time.Minute)
				for range 1 + r.IntN(6) {
					w.slack.AddChange(change("T0PIER", fmt.Sprintf("A%d", r.IntN(3)), at))
				}
			}
			calls := 0
			w.onRequest = func(q *http.Request) *http.Response {
				if calls++; isList(q) && calls < 80 && r.IntN(2) == 0 {
					for range 1 + r.IntN(2*size) {
						w.slack.AddChange(change("T0PIER", fmt.Sprintf("A%d", r.IntN(2)), w.now))
					}
				}
				return nil
			}
			require.NoError(t, w.start())
			require.False(t, w.run(2*time.Hour))
			w.requireChanges()
			require.Empty(t, w.slack.Violations())
		})
	}
}

// Up to 500 rows in one second can always be seen in one answer, wherever a
// page's edge falls.
func TestIntegrationManyInOneSecond(t *testing.T) {
	t.Parallel()
	for _, size := range []int{7, 100, 999, 1000} {
		for _, newer := range []int{0, 1, 99, 130, 501, 820} {
			t.Run(fmt.Sprintf("%d_%d", size, newer), func(t *testing.T) {
				t.Parallel()
				w := newListWorld(t, "integration", slacktest.Options{})
				w.cfg.PageSize, w.cfg.RequestsPerMinute = size, 300
				w.fillChanges("T0PIER", 50, time.Minute, noon.Add(-10*time.Hour))
				row := change("T0PIER", "MANY", noon.Add(-9*time.Hour))
				w.slack.AddChange(slices.Repeat([]slacktest.Change{row}, 498)...)
				w.fillChanges("T0PIER", newer, 30*time.Second, noon)
				require.NoError(t, w.start())
				require.False(t, w.run(10*time.Minute))
				w.requireChanges()
			})
		}
	}
}

// Equal rows that come one by one, later: each is one more.
func TestIntegrationTwinsGrow(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 100} {
		w := newListWorld(t, "integration", slacktest.Options{})
		w.cfg.PageSize = size
		row := change("T0PIER", "A", noon)
		other := change("T0PIER", "B", noon)
		require.NoError(t, w.start())
		for i := range 6 {
			w.slack.AddChange(row)
			if i%2 == 0 {
				w.slack.AddChange(other)
			}
			w.run(3 * time.Minute)
			w.requireChanges()
		}
		require.NoError(t, w.start())
		w.slack.AddChange(row, other)
		w.run(10 * time.Minute)
		w.requireChanges()
	}
}

// Rows go while the list is read, so that others shift up, past the reading:
// what stays is read all the same.
func TestIntegrationRowsGoWhileRead(t *testing.T) {
	t.Parallel()
	for _, gone := range []int{1, 5, 25} {
		t.Run(strconv.Itoa(gone), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "integration", slacktest.Options{})
			w.cfg.PageSize, w.cfg.Overlap = 20, 10*time.Minute
			w.fillChanges("T0PIER", 300, 4*time.Minute, noon)
			calls := 0
			w.onRequest = func(q *http.Request) *http.Response {
				if calls++; isList(q) && (calls == 4 || calls == 9 || calls == 20) {
					for range gone {
						w.slack.RemoveChange("T0PIER", 3)
					}
				}
				return nil
			}
			require.NoError(t, w.start())
			require.False(t, w.run(30*time.Minute))
			w.requireOnce(changeUIDs(w.slack.Changes("T0PIER")))
		})
	}
}

// Slack shows rows late: up to overlap late they arrive with the next poll.
func TestIntegrationLateRows(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.Overlap = 2 * time.Hour
	w.fillChanges("T0PIER", 30, 10*time.Minute, noon)
	require.NoError(t, w.start())
	w.run(5 * time.Hour)
	for i, late := range []time.Duration{time.Second, time.Minute, time.Hour, 118 * time.Minute} {
		row := change("T0PIER", fmt.Sprintf("L%d", i), w.now.Add(-late))
		w.slack.AddChange(row)
		w.run(2 * time.Minute)
		require.Equal(t, 1, w.delivered[changeUIDs([]slacktest.Change{row})[0]], late)
	}
	w.run(5 * time.Hour)
	w.requireChanges()
}

// Numbers and their text are the same, and names, which can change, are not
// looked at: the row is still the same.
func TestIntegrationSameRowWrittenDifferently(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	row := slacktest.Change{Team: "T0PIER", Date: noon.Unix(), JSON: fmt.Appendf(nil, `{"user_id":"W1","user_name":"a","date":"%d","change_type":"added","service_id":1234567890,"rss_feed":true,"channel":null}`, noon.Unix())}
	w.slack.AddChange(row)
	rewrites := []string{
		`{"service_id":"1234567890","user_id":"W1","user_name":"a","date":%d,"change_type":"added","rss_feed":true}`,
		`{"user_id":"W1","user_name":"renamed","date":%d,"change_type":"added","service_id":"1234567890","rss_feed":"true","channel":"","new_field":[1]}`,
	}
	n := -1
	w.onRequest = func(q *http.Request) *http.Response {
		if !isList(q) || n < 0 {
			return nil
		}
		return w.rewritten(q, func(m map[string]json.RawMessage) {
			m["logs"] = fmt.Appendf(nil, "["+rewrites[n]+"]", noon.Unix())
		})
	}
	require.NoError(t, w.start())
	for n = range rewrites {
		w.run(5 * time.Minute)
	}
	w.requireDelivered(changeUIDs([]slacktest.Change{row})...)
}

// A reading that a restart broke begins at the top again, and passes what was
// delivered. A row comes again at most where a batch was accepted but not
// saved.
func TestIntegrationReadingIsBroken(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("dies_%t", dies), func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "integration", slacktest.Options{})
			w.cfg.PageSize, w.cfg.Overlap = 20, time.Hour
			for i := range 300 {
				row := change("T0PIER", fmt.Sprintf("A%d", i%7), noon.Add(-time.Duration(i/4)*10*time.Minute))
				w.slack.AddChange(slices.Repeat([]slacktest.Change{row}, 1+i%3)...)
			}
			saves := 0
			w.onSave = func(write func()) error {
				if saves++; dies && saves%17 == 0 {
					panic(crash{})
				}
				write()
				return nil
			}
			deaths := 0
			for range 10 {
				for w.startDies() {
					continue
				}
				if w.run(12 * time.Second) {
					deaths++
				}
			}
			w.onSave = nil
			require.NoError(t, w.start())
			require.False(t, w.run(10*time.Minute))
			uids := changeUIDs(w.slack.Changes("T0PIER"))
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

func (w *listWorld) startDies() (died bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != (crash{}) {
				panic(p)
			}
			died = true
		}
	}()
	require.NoError(w.t, w.start())
	return false
}

// What Slack says of the list's length may be anything: rows are what counts.
func TestIntegrationPagingLies(t *testing.T) {
	t.Parallel()
	for _, paging := range []string{
		`null`, `{}`, `"many"`, `{"count":20,"total":0,"page":PAGE,"pages":0}`, `{"count":20,"total":40,"page":PAGE,"pages":2}`,
		`{"count":20,"total":-1,"page":PAGE,"pages":-1}`, `{"count":"20","total":"300","page":"PAGE","pages":"15"}`,
		`{"count":20,"total":300,"page":null,"pages":null}`, `{"count":20,"total":SHRINKS,"page":PAGE,"pages":15}`,
	} {
		t.Run(paging, func(t *testing.T) {
			t.Parallel()
			w := newListWorld(t, "integration", slacktest.Options{})
			w.cfg.PageSize, w.cfg.Overlap = 20, time.Hour
			w.fillChanges("T0PIER", 300, 4*time.Minute, noon)
			total := 100_000
			w.onRequest = func(q *http.Request) *http.Response {
				if !isList(q) {
					return nil
				}
				total--
				return w.rewritten(q, func(m map[string]json.RawMessage) {
					text := strings.ReplaceAll(paging, "PAGE", q.URL.Query().Get("page"))
					m["paging"] = json.RawMessage(strings.ReplaceAll(text, "SHRINKS", strconv.Itoa(total)))
				})
			}
			require.NoError(t, w.start())
			w.run(20 * time.Minute)
			w.requireChanges()
			row := change("T0PIER", "NEW", w.now)
			w.slack.AddChange(row)
			w.run(3 * time.Minute)
			w.requireChanges()
		})
	}
}

// Rows that can't be understood are delivered once, also where equal ones stand
// at several places.
func TestIntegrationOddRowsComeOnce(t *testing.T) {
	t.Parallel()
	w := newListWorld(t, "integration", slacktest.Options{})
	w.cfg.Overlap, w.cfg.PageSize = 2*time.Hour, 20
	org := slacktest.NewOrganisation(9)
	for i := range 300 {
		at := noon.Add(-time.Duration(i) * 2 * time.Minute).Add(-time.Second)
		o := org.OddChange("T0PIER", at.Unix())
		w.slack.AddChange(o, change("T0PIER", fmt.Sprintf("A%d", i), at.Add(time.Second)))
	}
	require.NoError(t, w.start())
	for range 5 {
		w.run(time.Hour)
		require.NoError(t, w.start())
	}
	for uid, n := range w.delivered {
		require.Equal(t, 1, n, uid)
	}
	// Dates that lie before the start are what they say.
	require.Greater(t, len(w.delivered), 560, "equal ones that no answer shows together count as one")
}

// A row without a date is known as long as Slack shows it, also at the top of a
// quiet list, where it has no neighbour to take its time from.
func TestIntegrationUndatedRowAtTheTop(t *testing.T) {
	t.Parallel()
	for _, overlap := range []time.Duration{0, time.Hour, 24 * time.Hour} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprint(overlap, later), func(t *testing.T) {
				w := newListWorld(t, "integration", slacktest.Options{})
				w.cfg.Overlap = overlap
				w.fillChanges("T0PIER", 10, 4*time.Minute, noon)
				odd := slacktest.Change{Team: "T0PIER", Date: noon.Unix(), JSON: []byte(`{"user_id":"W0ALICE","date":"soon","change_type":"added","app_id":"A1"}`)}
				w.slack.AddChange(odd)
				if later {
					w.at(noon.Add(30*time.Minute), func() { w.slack.AddChange(change("T0PIER", "N", w.now)) })
				}
				require.NoError(t, w.start())
				w.run(3*overlap + 2*time.Hour)
				require.Equal(t, 1, w.delivered[changeUIDs([]slacktest.Change{odd})[0]])
			})
		}
	}
}

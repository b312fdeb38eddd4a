// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// rewritten is the fake's answer with some members changed.
func (w *world) rewritten(r *http.Request, change func(members map[string]json.RawMessage)) *http.Response {
	r = r.Clone(r.Context())
	r.Header.Del("Accept-Encoding")
	answer, err := w.slack.Transport().RoundTrip(r)
	require.NoError(w.t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	var members map[string]json.RawMessage
	require.NoError(w.t, json.Unmarshal(body, &members))
	change(members)
	body, err = json.Marshal(members)
	require.NoError(w.t, err)
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer.Header.Del("Content-Length")
	return answer
}

// says is an answer of Slack's that holds just this.
func (w *listWorld) says(body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Date": {w.now.UTC().Format(http.TimeFormat)}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}
}

// fillChanges adds n integration rows, one each step, the newest at the end.
func (w *listWorld) fillChanges(team string, n int, step time.Duration, end time.Time) (uids []string) {
	var rows []slacktest.Change
	for i := range n {
		rows = append(rows, change(team, fmt.Sprintf("F%d", i), end.Add(-time.Duration(n-i)*step)))
	}
	w.slack.AddChange(rows...)
	return changeUIDs(rows)
}

// fillLogins adds n access rows that were active once, one each step.
func (w *listWorld) fillLogins(team string, n int, step time.Duration, end time.Time) (uids []string) {
	for i := range n {
		at := end.Add(-time.Duration(n-i) * step)
		l := login(team, fmt.Sprintf("F%d", i), at, at, 1)
		w.slack.SetLogin(l)
		uids = append(uids, loginUID(l))
	}
	return uids
}

// missing counts those that were not delivered.
func (w *listWorld) missing(uids []string) (n int) {
	for _, uid := range uids {
		if w.delivered[uid] == 0 {
			n++
		}
	}
	return n
}

func isList(r *http.Request) bool {
	return r.URL.Path == slacktest.PathAccess || r.URL.Path == slacktest.PathIntegration
}

// requireOnce checks that each of these was delivered exactly once.
func (w *listWorld) requireOnce(uids []string) {
	w.t.Helper()
	for i, uid := range uids {
		require.Equal(w.t, 1, w.delivered[uid], "%d of %d: %s", i, len(uids), uid)
	}
}

// requireNone checks that nothing else was delivered.
func (w *listWorld) requireNone(but []string) {
	w.t.Helper()
	known := map[string]bool{}
	for _, uid := range but {
		known[uid] = true
	}
	for uid := range w.delivered {
		require.True(w.t, known[uid], "made up: %s %s", uid, w.said[uid])
	}
}

// fillRows is fillLogins or fillChanges, as the world reads the one or the other.
func (w *listWorld) fillRows(n int, step time.Duration, end time.Time) []string {
	if w.kind == "access" {
		return w.fillLogins("T0PIER", n, step, end)
	}
	return w.fillChanges("T0PIER", n, step, end)
}

// gaps are those of the first workspace.
func (w *listWorld) gaps() ledger { return w.lists.ring[0].state.Gaps }

// lastLimit is how many rows the last call asked for.
func (w *listWorld) lastLimit() int {
	w.t.Helper()
	calls := w.listCalls()
	limit, err := strconv.Atoi(calls[len(calls)-1].Query.Get("limit"))
	require.NoError(w.t, err)
	return limit
}

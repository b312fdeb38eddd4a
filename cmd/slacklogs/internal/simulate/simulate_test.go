// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
)

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return verb.Func(Run).Exit(ctx, args[0], args[1:], stdout, stderr)
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"help", []string{"simulate", "--help"}, 0, "-backlog", ""},
		{"unknown flag", []string{"simulate", "--nope"}, 2, "", "-nope"},
		{"argument", []string{"simulate", "now"}, 2, "", `"now" is no flag`},
		{"open to all", []string{"simulate", "--listen", ":8765"}, 2, "", "must be a loopback address"},
		{"open to the network", []string{"simulate", "--listen", "192.0.2.1:8765"}, 2, "", "must be a loopback address"},
		{"no port", []string{"simulate", "--listen", "127.0.0.1"}, 2, "", "with a port"},
		{"below zero", []string{"simulate", "--rate", "-1"}, 2, "", "must not be below 0"},
		{"no history", []string{"simulate", "--history", "0s"}, 2, "", "--history must be more than 0"},
		{"no token", []string{"simulate", "--token", ""}, 2, "", "--token must not be empty"},
		{"no client id", []string{"simulate", "--client-id", ""}, 2, "", "--client-id must not be empty"},
		{"no token life", []string{"simulate", "--token-life", "0s"}, 2, "", "--token-life must be at least 1s"},
		{"grace below zero", []string{"simulate", "--grace", "-1s"}, 2, "", "--grace not below 0"},
		{"no such file", []string{"simulate", "--entries", "nowhere.jsonl"}, 1, "", "nowhere.jsonl"},
		{"no such file of logins", []string{"simulate", "--logins-file", "nowhere.jsonl"}, 1, "", "nowhere.jsonl"},
		{"no such file of changes", []string{"simulate", "--changes-file", "nowhere.jsonl"}, 1, "", "nowhere.jsonl"},
		{"logins below zero", []string{"simulate", "--logins", "-1"}, 2, "", "must not be below 0"},
		{"no workspace", []string{"simulate", "--workspaces", "0"}, 2, "", "--workspaces must be 1, 2 or 3"},
		{"too many workspaces", []string{"simulate", "--workspaces", "4"}, 2, "", "--workspaces must be 1, 2 or 3"},
		{"refused is none", []string{"simulate", "--refused", "3"}, 2, "", "--refused must be 0 or the number of a workspace"},
		{"unknown order", []string{"simulate", "--access-order", "newest"}, 2, "", `must be last, first or none, not "newest"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, tt.code, run(t.Context(), tt.args, &stdout, &stderr))
			assert.Contains(t, stdout.String(), tt.stdout)
			assert.Contains(t, stderr.String(), tt.stderr)
		})
	}
}

// simulation is a running `slacklogs simulate`.
type simulation struct {
	t     *testing.T
	url   string
	setup string // what was printed after the first line
	stop  func() int
}

func start(t *testing.T, flags ...string) simulation {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		args := append([]string{"simulate", "--listen", "127.0.0.1:0"}, flags...)
		code <- run(ctx, args, w, io.Discard)
		_ = w.Close()
	}()
	lines := bufio.NewReader(r)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	s := simulation{t: t, url: strings.TrimPrefix(strings.TrimSpace(first), "listening on "), stop: func() int {
		cancel()
		return <-code
	}}
	for strings.Count(s.setup, "team_ids") < 2 {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		s.setup += line
	}
	t.Cleanup(cancel)
	return s
}

func (s simulation) do(method, path, token string) (int, string) {
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(body)
}

func (s simulation) stats() (st struct {
	Held, Shown, Logins, Changes, Calls int
	Violations                          []string
},
) {
	_, body := s.do(http.MethodGet, "/control/stats", "")
	require.NoError(s.t, json.Unmarshal([]byte(body), &st))
	return st
}

func TestSimulate(t *testing.T) {
	s := start(t, "--backlog", "50", "--rate", "0")
	assert.True(t, strings.HasPrefix(s.url, "http://127.0.0.1:"), s.url)
	assert.Contains(t, s.setup, "endpoint: "+s.url+"/api\n")
	assert.Contains(t, s.setup, "audit_endpoint: "+s.url+"/audit/v1\n")
	assert.Contains(t, s.setup, "    audit_logs:\n      start_time: ", "the backlog is as old as the receiver looks back")
	assert.Contains(t, s.setup, "    access_logs:\n      initial_lookback: ")
	assert.True(t, strings.HasSuffix(s.setup, "    integration_logs:\n      initial_lookback: 26h\n      team_ids: [\"*\"]\n"), s.setup)

	status, body := s.do(http.MethodGet, "/audit/v1/logs?limit=1000", "xoxp-whatever")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, 50, strings.Count(body, `"date_create":`))
	_, body = s.do(http.MethodPost, "/api/auth.test", "xoxp-whatever")
	assert.Contains(t, body, `"team":"Brightwater"`)
	status, _ = s.do(http.MethodGet, "/control/stats", "")
	assert.Equal(t, http.StatusNotFound, status, "nobody asked for /control/")
	assert.Zero(t, s.stop())
}

func TestSimulateOneToken(t *testing.T) {
	s := start(t, "--token", "xoxp-1", "--history", "1h")
	assert.Contains(t, s.setup, `token: "xoxp-1"`)
	assert.True(t, strings.HasSuffix(s.setup, `
    audit_logs: {}
    access_logs:
      team_ids: ["*"]
    integration_logs:
      team_ids: ["*"]
`), s.setup)
	status, _ := s.do(http.MethodGet, "/audit/v1/logs", "xoxp-1")
	assert.Equal(t, http.StatusOK, status)
	status, _ = s.do(http.MethodGet, "/audit/v1/logs", "xoxp-2")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestSimulateLive(t *testing.T) {
	s := start(t, "--backlog", "0", "--rate", "60000", "--control")
	before := s.stats()
	assert.Eventually(t, func() bool {
		st := s.stats()
		return st.Shown > 0 && st.Logins > before.Logins && st.Changes > before.Changes
	}, 5*time.Second, 10*time.Millisecond)
}

// The entries that the README serves are good.
func TestSimulateTestdata(t *testing.T) {
	file := func(name string) string { return filepath.Join("..", "..", "..", "..", "testdata", name) }
	s := start(t, "--entries", file("audit.jsonl"), "--logins-file", file("access.jsonl"), "--changes-file", file("integration.jsonl"), "--control")
	st := s.stats()
	assert.Equal(t, 60, st.Held)
	assert.Equal(t, 30, st.Logins)
	assert.Equal(t, 20, st.Changes)
}

func TestSimulateWorkspaces(t *testing.T) {
	s := start(t, "--rate", "0", "--workspaces", "3", "--refused", "2", "--logins", "31", "--changes", "17", "--control")
	st := s.stats()
	assert.Equal(t, 31, st.Logins)
	assert.Equal(t, 17, st.Changes)
	_, body := s.do(http.MethodGet, "/api/auth.teams.list", "any")
	teams := regexp.MustCompile(`T04BW\w+`).FindAllString(body, -1)
	require.Len(t, teams, 3)
	for i, team := range teams {
		for path, least := range map[string]int{"/api/team.accessLogs": 10, "/api/team.integrationLogs": 4} {
			_, body := s.do(http.MethodGet, path+"?team_id="+team, "any")
			if i == 1 {
				assert.Equal(t, `{"ok":false,"error":"team_access_not_granted"}`, body)
			} else {
				assert.GreaterOrEqual(t, strings.Count(body, `"user_id":`), least)
			}
		}
	}
	_, body = s.do(http.MethodGet, "/control/changes", "")
	rows := map[string]int{}
	for row := range strings.Lines(body) {
		rows[row]++
	}
	assert.Equal(t, 2, slices.Max(slices.Collect(maps.Values(rows))), "twins")
}

func TestSimulateAccessOrder(t *testing.T) {
	for order, want := range map[string][2]bool{"last": {true, false}, "first": {false, true}, "none": {false, false}} {
		s := start(t, "--rate", "0", "--workspaces", "1", "--access-order", order)
		_, body := s.do(http.MethodGet, "/api/team.accessLogs?limit=999&team_id=T04BWHARBOR", "any")
		var v struct {
			Logins []struct {
				First int64 `json:"date_first"`
				Last  int64 `json:"date_last"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(body), &v))
		require.Len(t, v.Logins, 60)
		falling := [2]bool{true, true}
		for i, l := range v.Logins[1:] {
			falling[0] = falling[0] && l.Last <= v.Logins[i].Last
			falling[1] = falling[1] && l.First <= v.Logins[i].First
		}
		assert.Equal(t, want, falling, order)
	}
}

func TestMeasure(t *testing.T) {
	var stdout bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"simulate", "--measure"}, &stdout, io.Discard))
	assert.Regexp(t, `audit logs +25000 records +2\d{7} bytes`, stdout.String())
	assert.Regexp(t, `access logs +16000 records +\d{7} bytes`, stdout.String())
	assert.Regexp(t, `integration logs +20 records +\d{4} bytes`, stdout.String())
}

func TestControl(t *testing.T) {
	s := start(t, "--backlog", "10", "--rate", "0", "--control")
	post := func(path string) {
		status, _ := s.do(http.MethodPost, path, "")
		require.Equal(t, http.StatusOK, status, path)
	}
	logs := func() int {
		status, _ := s.do(http.MethodGet, "/audit/v1/logs", "any")
		return status
	}

	post("/control/add?n=20&date=1700000000")
	_, ids := s.do(http.MethodGet, "/control/ids", "")
	assert.Len(t, strings.Fields(ids), 30)
	_, body := s.do(http.MethodGet, "/audit/v1/logs?latest=1700000000", "any")
	assert.Equal(t, 20, strings.Count(body, `"date_create":1700000000`))

	post("/control/revoke")
	assert.Equal(t, http.StatusUnauthorized, logs())
	post("/control/restore")
	assert.Equal(t, http.StatusOK, logs())

	post("/control/faults?every=1")
	assert.Equal(t, http.StatusInternalServerError, logs())
	post("/control/faults?every=0")
	assert.Equal(t, http.StatusOK, logs())

	post("/control/down?on=1")
	_, err := http.Get(s.url + "/audit/v1/logs") // the first or the second is reset
	if err == nil {
		_, err = http.Get(s.url + "/audit/v1/logs")
	}
	require.Error(t, err)
	post("/control/down?on=0")
	assert.Equal(t, http.StatusOK, logs())

	post("/control/login?n=3")
	post("/control/login?team=T04BWLABORA")
	st := s.stats()
	assert.Equal(t, 64, st.Logins)
	began := time.Now().Unix()
	post("/control/again?team=T04BWLABORA&n=2")
	_, rows := s.do(http.MethodGet, "/control/logins", "")
	active := 0
	for row := range strings.Lines(rows) {
		var v struct {
			Team  string `json:"team_id"`
			Event struct {
				Last int64 `json:"date_last"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(row), &v))
		if v.Team == "T04BWLABORA" && v.Event.Last >= began {
			active++
		}
	}
	assert.GreaterOrEqual(t, active, 2)
	post("/control/change?n=2&twins=2")
	assert.Equal(t, 18, s.stats().Changes)
	_, rows = s.do(http.MethodGet, "/control/changes", "")
	first, _, _ := strings.Cut(rows, "\n")
	assert.Equal(t, 3, strings.Count(rows, first), "one row and two twins")

	post("/control/refuse?team=T04BWLABORA&code=access_denied")
	changes := func() string {
		_, body := s.do(http.MethodGet, "/api/team.integrationLogs?team_id=T04BWLABORA", "any")
		return body
	}
	assert.Contains(t, changes(), "access_denied")
	post("/control/refuse?team=T04BWLABORA&code=")
	assert.Contains(t, changes(), `"ok":true`)
	status, _ := s.do(http.MethodPost, "/control/login?team=T04BWFIELD0", "")
	assert.Equal(t, http.StatusNotFound, status, "the token can't read it")

	st = s.stats()
	assert.Equal(t, 30, st.Held)
	assert.Equal(t, 30, st.Shown)
	assert.Greater(t, st.Calls, 5)
	assert.Empty(t, st.Violations)
}

func TestSimulateEntries(t *testing.T) {
	name := filepath.Join(t.TempDir(), "entries.jsonl")
	require.NoError(t, os.WriteFile(name, []byte(`{"id":"a","date_create":1600000000}

{"source":"somewhere","event":{"id":"b","date_create":"1600000001"}}
{"id":"c","date_create":null}`), 0o600))
	s := start(t, "--entries", name, "--control")
	assert.Contains(t, s.setup, `start_time: "2020-09-13T12:26:40Z"`)
	assert.Equal(t, 3, s.stats().Held)
	_, body := s.do(http.MethodGet, "/audit/v1/logs?latest=1600000001", "any")
	assert.True(t, strings.HasPrefix(body, `{"entries":[{"id":"b","date_create":"1600000001"},{"id":"a","date_create":1600000000}]`), body)
	_, body = s.do(http.MethodGet, "/audit/v1/logs?oldest=1600000002", "any")
	assert.Contains(t, body, `[{"id":"c","date_create":null}]`)
}

func TestSimulateRows(t *testing.T) {
	file := func(name, text string) string {
		name = filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	logins := file("logins.jsonl", `{"user_id":"U1","ip":"192.0.2.1","date_first":1600000000,"date_last":1600000007}
{"team_id":"T04BWLABORA","event":{"user_id":"U1","ip":"192.0.2.1","date_first":1600000000,"date_last":1600000008}}
{"user_id":7,"date_last":"soon"}
{"user_id":8,"date_last":"soon"}`)
	changes := file("changes.jsonl", `{"date":"1600000001","app_id":"A1"}
{"event":{"date":1600000002,"app_id":"A2","team_id":"T04BWLABORA"}}
{"app_id":"A3"}`)
	s := start(t, "--logins-file", logins, "--changes-file", changes, "--control")
	assert.Contains(t, s.setup, "audit_logs: {}\n    access_logs:\n      initial_lookback: ")
	st := s.stats()
	assert.Equal(t, []int{0, 4, 3}, []int{st.Held, st.Logins, st.Changes}, "nothing is made up")

	_, body := s.do(http.MethodGet, "/api/team.accessLogs?team_id=T04BWHARBOR", "any")
	assert.Contains(t, body, `{"user_id":8,"date_last":"soon"},{"user_id":7,"date_last":"soon"},{"user_id":"U1","ip":"192.0.2.1","date_first":1600000000,"date_last":1600000007}]`)
	_, body = s.do(http.MethodGet, "/api/team.accessLogs?team_id=T04BWLABORA", "any")
	assert.Contains(t, body, `"logins":[{"user_id":"U1","ip":"192.0.2.1","date_first":1600000000,"date_last":1600000008}]`)
	_, body = s.do(http.MethodGet, "/api/team.integrationLogs?team_id=T04BWHARBOR", "any")
	assert.Contains(t, body, `"logs":[{"app_id":"A3"},{"date":"1600000001","app_id":"A1"}]`)
	_, body = s.do(http.MethodGet, "/api/team.integrationLogs?team_id=T04BWLABORA", "any")
	assert.Contains(t, body, `"app_id":"A2"`)

	_, rows := s.do(http.MethodGet, "/control/changes", "")
	again := start(t, "--changes-file", file("again.jsonl", rows), "--control")
	_, body = again.do(http.MethodGet, "/control/changes", "")
	assert.Equal(t, rows, body, "what one simulation shows another can serve")

	var stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"simulate", "--changes-file", file("bad.jsonl", `{"team_id":"T1"}`)}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), `bad.jsonl:1: "T1" is no workspace of the simulation; there are T04BWHARBOR, T04BWLABORA`)
}

func TestSimulateBadEntries(t *testing.T) {
	for _, bad := range []string{`{"id":`, `null`, `42`, `plain text`} {
		name := filepath.Join(t.TempDir(), "entries.jsonl")
		require.NoError(t, os.WriteFile(name, []byte(`{"id":"a"}`+"\n"+bad+"\n"), 0o600))
		var stderr bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), []string{"simulate", "--entries", name}, io.Discard, &stderr))
		assert.Contains(t, stderr.String(), name+":2: not a JSON object")
	}
}

func TestWorld(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := newWorld(simulateFlags{token: "any", late: true, workspaces: 2}, func() time.Time { return now })
	w.past(1000, 100, 40, 24*time.Hour)
	assert.Equal(t, 1000, w.slack.Len())
	assert.Len(t, w.slack.Logins(""), 100)
	assert.Len(t, w.slack.Changes(""), 40)
	assert.Equal(t, now.Add(-24*time.Hour), w.oldest())

	w.live(90, true)
	assert.Equal(t, 1000, w.slack.Len(), "the first entry is not due yet")
	now = now.Add(time.Minute)
	for range 9 {
		w.live(90, true)
	}
	assert.Equal(t, 1001+burstSize, w.slack.Len())

	began := now.Unix()
	for range 10_000 {
		now = now.Add(tick)
		w.live(8, false)
	}
	added, again := 0, 0
	for _, l := range w.slack.Logins("") {
		switch {
		case l.First > began:
			added++
		case l.Last > began:
			again++
		}
	}
	assert.InDelta(t, 6, added, 1, "of 133 entries a twentieth")
	assert.InDelta(t, 26, again, 1, "and a fifth")
	assert.InDelta(t, 46, len(w.slack.Changes("")), 1)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"nothing", nil, 2, "", "Usage: slacklogs VERB"},
		{"help", []string{"help"}, 0, "simulate", ""},
		{"unknown verb", []string{"emulate"}, 2, "", `there is no verb "emulate"`},
		{"help of a verb", []string{"simulate", "--help"}, 0, "", "-backlog"},
		{"unknown flag", []string{"simulate", "--nope"}, 2, "", "-nope"},
		{"argument", []string{"simulate", "now"}, 2, "", `"now" is no flag`},
		{"open to all", []string{"simulate", "--listen", ":8765"}, 2, "", "must be a loopback address"},
		{"open to the network", []string{"simulate", "--listen", "192.0.2.1:8765"}, 2, "", "must be a loopback address"},
		{"no port", []string{"simulate", "--listen", "127.0.0.1"}, 2, "", "with a port"},
		{"below zero", []string{"simulate", "--rate", "-1"}, 2, "", "must not be below 0"},
		{"no history", []string{"simulate", "--history", "0s"}, 2, "", "--history must be more than 0"},
		{"no token", []string{"simulate", "--token", ""}, 2, "", "--token must not be empty"},
		{"no such file", []string{"simulate", "--entries", "nowhere.jsonl"}, 1, "", "nowhere.jsonl"},
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
	for !strings.Contains(s.setup, "audit_logs: {}\n") && !strings.Contains(s.setup, "start_time") {
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
	Held, Shown, Calls int
	Violations         []string
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
	assert.Contains(t, s.setup, "start_time: ", "the backlog is as old as the receiver looks back")

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
	assert.Contains(t, s.setup, "audit_logs: {}")
	status, _ := s.do(http.MethodGet, "/audit/v1/logs", "xoxp-1")
	assert.Equal(t, http.StatusOK, status)
	status, _ = s.do(http.MethodGet, "/audit/v1/logs", "xoxp-2")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestSimulateLive(t *testing.T) {
	s := start(t, "--backlog", "0", "--rate", "60000", "--control")
	assert.Eventually(t, func() bool { return s.stats().Shown > 0 }, 5*time.Second, 10*time.Millisecond)
}

// The entries that the README serves are good.
func TestSimulateTestdata(t *testing.T) {
	s := start(t, "--entries", filepath.Join("..", "..", "testdata", "audit.jsonl"), "--control")
	assert.Equal(t, 60, s.stats().Held)
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

	st := s.stats()
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
	w := newWorld(simulateFlags{token: "any", late: true}, func() time.Time { return now })
	w.past(1000, 24*time.Hour)
	assert.Equal(t, 1000, w.slack.Len())
	assert.Equal(t, now.Add(-24*time.Hour), w.oldest())

	w.live(90, true)
	assert.Equal(t, 1000, w.slack.Len(), "the first entry is not due yet")
	now = now.Add(time.Minute)
	for range 9 {
		w.live(90, true)
	}
	assert.Equal(t, 1001+burstSize, w.slack.Len())
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// captured is what a collector's page said.
func captured(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(text)
}

// served is the address of a page.
func served(t *testing.T, code int, header, page string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", header)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// runStatus runs the verb and returns what it printed.
func runStatus(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := verb.Func(Run).Exit(t.Context(), "status", args, &out, &errs)
	assert.Equal(t, want, code, "%s%s", &out, &errs)
	return out.String(), errs.String()
}

// The same is read whatever the reader makes of the names.
func TestStatusReadsEachFormOfNames(t *testing.T) {
	t.Parallel()
	plain := captured(t, "default.txt")
	dotted := regexp.MustCompile(`(?m)^(# (?:HELP|TYPE) )otelcol_slacklogs_(\w+)`).ReplaceAllString(plain, `$1"otelcol.slacklogs.$2"`)
	dotted = regexp.MustCompile(`(?m)^otelcol_slacklogs_(\w+)\{`).ReplaceAllString(dotted, `{"otelcol.slacklogs.$1",`)
	for _, tt := range []struct {
		name, page         string
		delivered, failed  int64
		lastPoll, lateRead float64
	}{
		{"default", plain, 2549, 4, 17.95921824, 86435.965221251},
		{"with units, types and scope", captured(t, "suffixes.txt"), 2031, 5, 35.977435124, 86449.966724577},
		{"with a namespace", strings.ReplaceAll(plain, "otelcol_slacklogs_", "soc_otelcol_slacklogs_"), 2549, 4, 17.95921824, 86435.965221251},
		{"without a prefix", strings.ReplaceAll(plain, "otelcol_slacklogs_", "slacklogs_"), 2549, 4, 17.95921824, 86435.965221251},
		{"with dots", dotted, 2549, 4, 17.95921824, 86435.965221251},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := parsePage(strings.NewReader(tt.page))
			require.NoError(t, err)
			require.Len(t, m.polling, 4)
			audit := m.polling[source{"slacklogs", "audit", ""}]
			require.NotNil(t, audit)
			assert.Equal(t, tt.delivered, audit.Delivered)
			assert.False(t, audit.Failing)
			assert.Zero(t, audit.FailedCalls)
			require.NotNil(t, audit.PollStaleness)
			assert.Equal(t, tt.lastPoll, *audit.PollStaleness)
			require.NotNil(t, audit.EventStaleness)

			refused := m.polling[source{"slacklogs", "access", "T04BWLABORA"}]
			require.NotNil(t, refused)
			assert.True(t, refused.Failing)
			assert.Equal(t, "team_access_not_granted", refused.ErrorType)
			assert.Equal(t, tt.failed, refused.FailedCalls)
			assert.Nil(t, refused.EventStaleness, "absent before the first poll")
			require.NotNil(t, refused.WatermarkLag)
			assert.Equal(t, tt.lateRead, *refused.WatermarkLag)
			assert.Zero(t, m.polling[source{"slacklogs", "access", "T04BWFIELD0"}].FailedCalls)
		})
	}
}

// A call for no workspace concerns each of them, and nobody else's log type.
func TestStatusCountsFailedCalls(t *testing.T) {
	t.Parallel()
	m, err := parsePage(strings.NewReader(`
slacklogs_gaps{receiver="slacklogs",log_type="access",team_id="T1"} 1
slacklogs_gaps{receiver="slacklogs",log_type="access",team_id="T2"} 0
slacklogs_gaps{receiver="slacklogs",log_type="audit"} 0
slacklogs_gaps{receiver="slacklogs/2",log_type="access",team_id="T1"} 0
# TYPE slacklogs_request_duration histogram
slacklogs_request_duration_count{receiver="slacklogs",log_type="access",method="auth.test",error_type="timeout"} 3
slacklogs_request_duration_count{receiver="slacklogs",log_type="access",team_id="T1",method="team.accessLogs",error_type="500"} 4
slacklogs_request_duration_count{receiver="slacklogs",log_type="access",team_id="T1",method="team.accessLogs"} 5
slacklogs_request_duration_count{receiver="slacklogs",method="oauth.v2.access",error_type="timeout"} 1
# TYPE slacklogs_entries counter
slacklogs_entries{receiver="slacklogs",log_type="access",team_id="T1",outcome="dropped"} 6
slacklogs_entries{receiver="slacklogs",log_type="access",team_id="T1",outcome="duplicate"} 7
slacklogs_entries{receiver="slacklogs",log_type="access",team_id="T9",outcome="delivered"} 8
`))
	require.NoError(t, err)
	assert.Equal(t, map[source]*figures{
		{"slacklogs", "access", "T1"}:   {Gaps: 1, FailedCalls: 8, FailedBy: map[string]int64{"timeout": 4, "500": 4}, Dropped: 6},
		{"slacklogs", "access", "T2"}:   {FailedCalls: 4, FailedBy: map[string]int64{"timeout": 4}},
		{"slacklogs", "audit", ""}:      {FailedCalls: 1, FailedBy: map[string]int64{"timeout": 1}},
		{"slacklogs/2", "access", "T1"}: {},
	}, m.polling)
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// well is a source that works.
func well() *figures {
	return &figures{EventStaleness: seconds(12 * time.Second), WatermarkLag: seconds(15 * time.Second), PollStaleness: seconds(3 * time.Second)}
}

func TestStates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(f *figures)
		want state
	}{
		{"well", func(*figures) {}, stateOK},
		{"failing", func(f *figures) { f.Failing, f.Gaps, f.PollStaleness = true, 2, seconds(time.Hour) }, stateFailing},
		{"failing from the start on", func(f *figures) { f.Failing, f.EventStaleness = true, nil }, stateFailing},
		{"nothing comes through", func(f *figures) { f.PollStaleness = seconds(15*time.Minute + time.Second) }, stateStalled},
		{"nothing for a while", func(f *figures) { f.PollStaleness = seconds(15 * time.Minute) }, stateOK},
		{"never polled", func(f *figures) { f.EventStaleness, f.WatermarkLag = nil, seconds(24*time.Hour) }, stateNew},
		{"never polled for long", func(f *figures) { f.EventStaleness, f.PollStaleness = nil, seconds(time.Hour) }, stateStalled},
		{"entries were dropped", func(f *figures) { f.Dropped, f.WatermarkLag = 1, seconds(3*time.Hour) }, stateDropped},
		{"entries were dropped, and gaps", func(f *figures) { f.Dropped, f.Gaps = 1, 1 }, stateGaps},
		{"no new entries", func(f *figures) { f.Stale, f.EventStaleness = true, seconds(30*time.Hour) }, stateStale},
		{"gaps", func(f *figures) { f.Gaps, f.WatermarkLag = 1, seconds(3*time.Hour) }, stateGaps},
		{"a backlog", func(f *figures) { f.WatermarkLag = seconds(3 * time.Hour) }, stateBehind},
		{"a quiet organisation", func(f *figures) { f.EventStaleness = seconds(20 * time.Hour) }, stateOK},
		{"an older receiver's page", func(f *figures) { *f = figures{EventStaleness: f.EventStaleness} }, stateOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := well()
			tt.edit(f)
			got := stateOf(f, 15*time.Minute)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, got == stateOK, statusAdvice(got, "") == "", "each other state has a hint")
		})
	}
}

func TestAdviceOnErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"invalid_auth":     slack.Codes["invalid_auth"].Advice,
		"503":              slack.Codes["internal_error"].Advice,
		"403":              slack.Codes["user_not_authorized"].Advice,
		"407":              "The proxy wants a login; check proxy_url.",
		"consumer_refused": ownErrors["consumer_refused"],
		"other":            "The collector's log says what is wrong.",
		"new_in_2030":      "This version has no advice on that; the collector's log says more.",
		"":                 "This version has no advice on that; the collector's log says more.",
	} {
		require.NotEmpty(t, want)
		assert.Equal(t, want, statusAdvice(stateFailing, code), code)
	}
	// Each word of metadata.yaml has a sentence.
	text, err := os.ReadFile("../../../../metadata.yaml")
	require.NoError(t, err)
	_, text, _ = bytes.Cut(text, []byte("    slacklogs_failing:\n"))
	text, _, _ = bytes.Cut(text, []byte("unit:"))
	words := regexp.MustCompile("`([a-z_]+)` \\(").FindAllSubmatch(text, -1)
	assert.Len(t, words, len(ownErrors))
	for _, word := range words {
		assert.Contains(t, ownErrors, string(word[1]))
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	failing := func(code string) *figures { return &figures{Failing: true, ErrorType: code} }
	behind, stale := well(), well()
	behind.WatermarkLag, stale.Stale = seconds(5*time.Hour), true
	starting := &figures{PollStaleness: seconds(time.Second)}
	for _, tt := range []struct {
		name string
		m    map[source]*figures
		ok   bool
		want string
	}{
		{"one", map[source]*figures{{"s", "audit", ""}: well()}, true, "The audit logs work; newest entry 12s ago."},
		{"one that fails", map[source]*figures{{"s", "audit", ""}: failing("timeout")}, false, "It needs attention: audit FAILING (timeout)."},
		{
			"workspaces",
			map[source]*figures{{"s", "audit", ""}: well(), {"s", "access", "T1"}: well(), {"s", "access", "T2"}: well()},
			true, "All 2 log types work; newest entry 12s ago.",
		},
		{
			"two receivers",
			map[source]*figures{{"s", "audit", ""}: well(), {"s/2", "audit", ""}: failing("timeout")},
			false, "1 of 2 needs attention: s/2 audit FAILING (timeout); newest entry 12s ago.",
		},
		{
			"a backlog",
			map[source]*figures{{"s", "audit", ""}: behind, {"s", "access", "T1"}: well()},
			true, "All 2 log types work; 1 of 2 reads a backlog; newest entry 12s ago.",
		},
		{
			"starting",
			map[source]*figures{{"s", "audit", ""}: starting, {"s", "access", "T1"}: starting},
			false, "2 of 2 wait for the first poll to end.",
		},
		{
			"much",
			map[source]*figures{
				{"s", "access", "T1"}: failing("a"), {"s", "access", "T2"}: stale, {"s", "access", "T3"}: failing("b"),
				{"s", "access", "T4"}: failing("c"), {"s", "audit", ""}: starting,
			},
			false, "4 of 5 need attention: access of T1 FAILING (a), access of T2 STALE, access of T3 FAILING (b) and 1 more; newest entry 12s ago.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReport(time.Time{}, metrics{polling: tt.m}, 15*time.Minute)
			assert.Equal(t, tt.want, r.Summary)
			assert.Equal(t, tt.ok, r.OK)
		})
	}
	r := newReport(time.Time{}, metrics{counted: true}, time.Hour)
	assert.False(t, r.OK)
	assert.Contains(t, r.Summary, "stands by")
	r = newReport(time.Time{}, metrics{}, time.Hour)
	assert.False(t, r.OK)
	assert.Contains(t, r.Summary, "no slacklogs receiver")
}

func TestStatusTable(t *testing.T) {
	t.Parallel()
	out, _ := runStatus(t, 1, "--metrics-url", served(t, 200, "text/plain", captured(t, "default.txt")))
	assert.Equal(t, `1 of 4 needs attention: access of T04BWLABORA FAILING (team_access_not_granted); newest entry 29s ago.

STATE    RECEIVER   LOG TYPE  WORKSPACE    NEWEST ENTRY  READ UP TO  LAST POLL  GAPS  ENTRIES  FAILED CALLS
ok       slacklogs  access    T04BWFIELD0  29s ago       35s ago     23s ago    0     29       0
ok       slacklogs  access    T04BWHARBOR  39s ago       35s ago     31s ago    0     30       0
FAILING  slacklogs  access    T04BWLABORA  -             1d00h ago   never      0     0        4 (team_access_not_granted)
ok       slacklogs  audit     -            36s ago       35s ago     17s ago    0     2549     0

FAILING (team_access_not_granted): access of T04BWLABORA
  `+slack.Codes["team_access_not_granted"].Advice+"\n", out)
}

// Lines in the same trouble share a paragraph.
func TestStatusAdvisesOnce(t *testing.T) {
	t.Parallel()
	m := map[source]*figures{
		{"s", "access", "T1"}: {Failing: true, ErrorType: "storage"},
		{"s", "access", "T2"}: {Failing: true, ErrorType: "no_time"},
		{"s", "audit", ""}:    {Failing: true, ErrorType: "storage"},
	}
	r := newReport(time.Time{}, metrics{polling: m}, time.Hour)
	var out bytes.Buffer
	r.advise(&out)
	assert.Equal(t, "\nFAILING (storage): access of T1, audit\n  "+ownErrors["storage"]+
		"\n\nFAILING (no_time): access of T2\n  "+ownErrors["no_time"]+"\n", out.String())
}

func TestStatusJSON(t *testing.T) {
	t.Parallel()
	page := regexp.MustCompile(`(?m)^.*T04BWLABORA.*\n`).ReplaceAllString(captured(t, "default.txt"), "")
	out, _ := runStatus(t, 0, "--output", "json", "--metrics-url", served(t, 200, "text/plain", page))
	assert.Equal(t, 1, strings.Count(out, "\n"), "one line")
	var got struct {
		OK      bool
		Summary string
		Lines   []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	assert.True(t, got.OK)
	assert.Equal(t, "All 2 log types work; newest entry 29s ago.", got.Summary)
	require.Len(t, got.Lines, 3)
	assert.Equal(t, map[string]any{
		"state": "ok", "receiver": "slacklogs", "log_type": "audit",
		"event_staleness": 36.971484419, "watermark_lag": 35.971506741, "poll_staleness": 17.95921824,
		"gaps": 0.0, "gap_time": 0.0, "stale": false, "failing": false,
		"entries_delivered": 2549.0, "entries_dropped": 0.0, "failed_calls": 0.0,
	}, got.Lines[2])
}

// Whatever stands at the address: a sentence that says what to do, and 1.
func TestStatusWithoutAPage(t *testing.T) {
	t.Parallel()
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	for _, tt := range []struct{ name, url, want string }{
		{"nobody listens", nobody.URL, "is the collector running"},
		{"no such host", "http://collector.invalid:8888", "is the collector running"},
		{"another page", served(t, 404, "text/html", "not here"), "status 404"},
		{"a redirect", served(t, 302, "", ""), "status 302"},
		{"HTML", served(t, 200, "text/html; charset=utf-8", "<html>hello</html>"), `content type "text/html"`},
		{"another collector", served(t, 200, "text/plain", "otelcol_process_uptime 3\n"), "no slacklogs receiver"},
		{"nothing", served(t, 200, "", ""), "no slacklogs receiver"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, _ := runStatus(t, 1, "--metrics-url", tt.url)
			assert.Contains(t, out, tt.want)
			assert.Equal(t, 1, strings.Count(out, "\n"), "one sentence: %s", out)
			out, _ = runStatus(t, 1, "--metrics-url", tt.url, "--output", "json")
			var r statusReport
			require.NoError(t, json.Unmarshal([]byte(out), &r))
			assert.False(t, r.OK)
			assert.Contains(t, r.Summary, tt.want)
		})
	}
}

// A page may be anybody's: it can't command the terminal, and a password in the address is
// not repeated.
func TestStatusTrustsNoPage(t *testing.T) {
	t.Parallel()
	m, err := parsePage(strings.NewReader("slacklogs_gaps{receiver=\"a\x1b[2Jb\",log_type=\"audit\"} 0\n"))
	require.NoError(t, err)
	assert.Contains(t, m.polling, source{"a?[2Jb", "audit", ""})

	out, _ := runStatus(t, 1, "--metrics-url", "http://me:hunter2@collector.invalid/metrics")
	assert.NotContains(t, out, "hunter2")
}

// bodyOf is a collector whose page is read from here.
type bodyOf struct{ io.Reader }

func (b bodyOf) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(b)}, nil
}

// A page that is too long or breaks off is not taken for a whole one, though its part can be read.
func TestStatusTakesNoPart(t *testing.T) {
	t.Parallel()
	// The limit is where a line ends.
	const lineLen = 1 << 16
	page := captured(t, "default.txt")
	page += "#" + strings.Repeat(" ", lineLen-2-len(page)%lineLen) + "\n"
	line := "#" + strings.Repeat(" ", lineLen-2) + "\n"
	for _, tt := range []struct {
		name string
		rest io.Reader
		want string
	}{
		{"too long", strings.NewReader(strings.Repeat(line, maxPage/lineLen)), "http://collector.invalid is over 64 MiB long"},
		{"hanging", iotest.ErrReader(context.DeadlineExceeded), "http://collector.invalid has not answered to the end"},
		{"broken off", iotest.ErrReader(io.ErrUnexpectedEOF), "http://collector.invalid can't be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watcher{
				statusFlags: statusFlags{page: &url.URL{Scheme: "http", Host: "collector.invalid"}},
				client:      &http.Client{Transport: bodyOf{io.MultiReader(strings.NewReader(page), tt.rest)}},
			}
			_, err := w.readPage(t.Context())
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// What is no number of ours counts as absent, and never as well.
func TestStatusOfOddNumbers(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"NaN", "+Inf", "-Inf", "1e300"} {
		var page strings.Builder
		for _, name := range []string{"event_staleness", "watermark_lag", "poll_staleness", "gaps", "gap_time", "stale"} {
			fmt.Fprintf(&page, "slacklogs_%s{receiver=\"slacklogs\",log_type=\"audit\"} %s\n", name, odd)
		}
		fmt.Fprintf(&page, "# TYPE slacklogs_entries counter\nslacklogs_entries{receiver=\"slacklogs\",log_type=\"audit\",outcome=\"delivered\"} %s\n", odd)
		address := served(t, 200, "text/plain", page.String())
		out, _ := runStatus(t, 1, "--metrics-url", address, "--output", "json")
		var r statusReport
		require.NoError(t, json.Unmarshal([]byte(out), &r), odd)
		assert.Len(t, r.Lines, 1)
		out, _ = runStatus(t, 1, "--metrics-url", address)
		assert.NotContains(t, out, "922337", odd)
	}
	m, err := parsePage(strings.NewReader(`slacklogs_event_staleness{receiver="slacklogs",log_type="audit"} -0.4` + "\n"))
	require.NoError(t, err)
	assert.Equal(t, seconds(0), m.polling[source{"slacklogs", "audit", ""}].EventStaleness, "clocks differ")
}

// The same metric under two names is the same each time.
func TestStatusOfAMetricTwice(t *testing.T) {
	t.Parallel()
	for range 50 {
		m, err := parsePage(strings.NewReader(`
otelcol_slacklogs_poll_staleness{receiver="slacklogs",log_type="audit"} 1
slacklogs_poll_staleness{receiver="slacklogs",log_type="audit"} 5000
`))
		require.NoError(t, err)
		require.Equal(t, seconds(5000*time.Second), m.polling[source{"slacklogs", "audit", ""}].PollStaleness)
	}
}

func TestStatusUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"now"}, `"now" is no flag`},
		{[]string{"--nope"}, "-nope"},
		{[]string{"--metrics-url", "localhost:8888"}, "--metrics-url must be"},
		{[]string{"--metrics-url", "file:///metrics"}, "--metrics-url must be"},
		{[]string{"--metrics-url", "http://%zz"}, "--metrics-url must be"},
		{[]string{"--interval", "0s"}, "--interval and --stalled-after must be"},
		{[]string{"--output", "xml"}, `not "xml"`},
	} {
		_, errs := runStatus(t, 2, tt.args...)
		assert.Contains(t, errs, tt.want)
	}
	help, _ := runStatus(t, 0, "--help")
	assert.Contains(t, help, "-watch")
}

// scene is a collector that changes between two looks, on a clock of its own.
type scene struct {
	pages  []string // "" = it is down
	at     int
	cancel context.CancelFunc
	slept  []time.Duration
}

func (s *scene) RoundTrip(*http.Request) (*http.Response, error) {
	if s.pages[s.at] == "" {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s.pages[s.at]))}, nil
}

func (s *scene) Now() time.Time {
	return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).Add(time.Duration(s.at) * 2 * time.Second)
}

// Sleep goes on to the next page; after the last, the user presses Ctrl-C.
func (s *scene) Sleep(ctx context.Context, d time.Duration) error {
	s.slept = append(s.slept, d)
	if s.at++; s.at == len(s.pages) {
		s.cancel()
	}
	return ctx.Err()
}

func TestStatusWatch(t *testing.T) {
	t.Parallel()
	const page = "slacklogs_failing{receiver=\"s\",log_type=\"audit\"} 0\nslacklogs_event_staleness{receiver=\"s\",log_type=\"audit\"} 3\n"
	broken := strings.NewReplacer("} 0", `,error_type="invalid_auth"} 1`).Replace(page)
	watch := func(output string, terminal bool) string {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &scene{pages: []string{page, "", broken, page}, cancel: cancel}
		var out bytes.Buffer
		w := watcher{
			statusFlags: statusFlags{page: &url.URL{Scheme: "http", Host: "collector:8888", Path: "/metrics"}, watch: true, interval: 2 * time.Second, output: output},
			client:      &http.Client{Transport: s}, clock: s, to: &out, terminal: terminal,
		}
		require.NoError(t, w.run(ctx), "Ctrl-C is no failure")
		assert.Equal(t, []time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}, s.slept)
		return out.String()
	}
	for _, tt := range []struct {
		name, output string
		terminal     bool
		begin        string
	}{
		{"on a terminal", "table", true, clearScreen},
		{"into a file", "table", false, "2026-11-22T08:00:0"},
		{"JSON", "json", true, `{"time":"2026-11-22T08:00:0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			blocks := strings.Split(watch(tt.output, tt.terminal), tt.begin)
			require.Len(t, blocks, 5)
			assert.Empty(t, blocks[0])
			for i, want := range []string{
				"The audit logs work; newest entry 3s ago.", "connection refused", "audit FAILING (invalid_auth)", "The audit logs work",
			} {
				assert.Contains(t, blocks[i+1], want)
			}
		})
	}
}

// Who stops reading ends it.
func TestStatusWatchEndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := &scene{pages: []string{"", ""}, cancel: func() {}}
	r, to := io.Pipe()
	require.NoError(t, r.Close())
	w := watcher{statusFlags: statusFlags{page: &url.URL{}, watch: true}, client: &http.Client{Transport: s}, clock: s, to: to}
	require.ErrorIs(t, w.run(t.Context()), io.ErrClosedPipe)
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 400 * time.Millisecond, "59s": 59900 * time.Millisecond, "1m00s": time.Minute, "59m05s": 59*time.Minute + 5*time.Second,
		"2h05m": 2*time.Hour + 5*time.Minute, "1d00h": 24 * time.Hour, "12d07h": 295 * time.Hour,
	} {
		assert.Equal(t, want, span(d.Seconds()), fmt.Sprint(d))
	}
}

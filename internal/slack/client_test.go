// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// What must never stand in an error.
const (
	secretToken  = "xoxp-1007-SECRET-brightwater"
	secretCursor = "c2VjcmV0LWN1cnNvcg=="
	secretEntry  = "SECRET-entry-of-ada"
)

// startTime is a whole second, as dates in headers are.
var startTime = time.Unix(1_780_000_000, 0)

// testClock is moved by hand. Nothing here waits.
type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

func (c *testClock) Sleep(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return ctx.Err()
}

// roundTripper is a function that answers.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type outcome struct{ method, errorType string }

type observed struct{ calls []outcome }

func (o *observed) observe(_ context.Context, method, errorType string, _ time.Duration) {
	o.calls = append(o.calls, outcome{method, errorType})
}

func newClient(transport http.RoundTripper, c *testClock, o *observed) *Client {
	set := Settings{
		HTTP:          &http.Client{Transport: transport},
		Token:         secretToken,
		Endpoint:      "https://slack.test/api",
		AuditEndpoint: "https://api.slack.test/audit/v1",
		UserAgent:     "slacklogsreceiver/1.2.3",
		Clock:         c,
	}
	if o != nil {
		set.Observe = o.observe
	}
	return NewClient(set)
}

// newFake returns a Slack with a few entries and a client for it.
func newFake(opt slacktest.Options) (*slacktest.Server, *Client, *testClock, *observed) {
	c := &testClock{now: startTime}
	if opt.Now == nil {
		opt.Now = c.Now
	}
	s := slacktest.New(opt)
	s.SetToken(secretToken, slacktest.NewOrganisation(1).Identity())
	for n := range 5 {
		date := startTime.Unix() - int64(n)
		s.Add(slacktest.Entry{Date: date, JSON: fmt.Appendf(nil, `{"id":"entry-%d","date_create":%d,"action":%q}`, n, date, secretEntry)})
	}
	o := &observed{}
	return s, newClient(s.Transport(), c, o), c, o
}

// fixed answers every call in the same way.
func fixed(status int, body string, header ...string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func query() AuditQuery {
	return AuditQuery{Oldest: startTime.Unix() - 3600, Latest: startTime.Unix(), Limit: 2}
}

// readPage asks for one page and reads it.
func readPage(ctx context.Context, c *Client, q AuditQuery) (texts []string, next string, err error) {
	page, err := c.AuditLogs(ctx, q)
	if err != nil {
		return nil, "", err
	}
	next, err = page.Each(ctx, func(e jsonstream.Element) error {
		texts = append(texts, string(e.Text))
		return nil
	})
	return texts, next, err
}

func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

func assertNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{secretToken, "SECRET", secretCursor, url.QueryEscape(secretCursor), "oldest=", "slack.test"} {
		assert.NotContains(t, text, secret)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault slacktest.Fault
		// audit and auth are the codes of the two methods; "" = no error.
		audit, auth string
		class       Class
		retryAfter  time.Duration
		status      string // what the error says of the HTTP status
	}{
		{fault: slacktest.FaultInternal, audit: "500", auth: "500", class: Heals},
		{fault: slacktest.FaultUnavailable, audit: "503", auth: "503", class: Heals},
		{fault: slacktest.FaultRateLimit, audit: "rate_limited", auth: "ratelimited", class: Throttled, retryAfter: 30 * time.Second},
		{fault: slacktest.FaultRateLimitDate, audit: "rate_limited", auth: "ratelimited", class: Throttled, retryAfter: 30 * time.Second},
		{fault: slacktest.FaultRateLimitMissing, audit: "rate_limited", auth: "ratelimited", class: Throttled, retryAfter: time.Minute},
		{fault: slacktest.FaultRateLimitNonsense, audit: "rate_limited", auth: "ratelimited", class: Throttled, retryAfter: time.Minute},
		{fault: slacktest.FaultFatalError, audit: "fatal_error", auth: "fatal_error", class: Heals},
		{fault: slacktest.FaultUnauthorized, audit: "invalid_authentication", auth: "invalid_authentication", class: NeedsToken, status: "status 401"},
		{fault: slacktest.FaultForbidden, audit: "403", auth: "403", class: NeedsPerson},
		{fault: slacktest.FaultHTML, audit: CodeUnreadable, auth: CodeUnreadable, class: Unreadable},
		{fault: slacktest.FaultNoBody, audit: CodeUnreadable, auth: CodeUnreadable, class: Unreadable},
		{fault: slacktest.FaultTruncated, audit: CodeUnreadable, auth: CodeUnreadable, class: Unreadable},
		{fault: slacktest.FaultBrokenTransfer, audit: CodeNetwork, auth: CodeNetwork, class: Heals},
		{fault: slacktest.FaultReset, audit: CodeNetwork, auth: CodeNetwork, class: Heals},
		{fault: slacktest.FaultHang, audit: CodeTimeout, auth: CodeTimeout, class: Heals},
		{fault: slacktest.FaultEndless, audit: CodeTooLarge, auth: CodeTooLarge, class: Unreadable},
		{fault: slacktest.FaultGzipBomb, audit: CodeTooLarge, auth: CodeTooLarge, class: Unreadable},
		{fault: slacktest.FaultCorruptGzip, audit: CodeUnreadable, auth: CodeUnreadable, class: Unreadable},
		{fault: slacktest.FaultRedirect, audit: CodeRedirect, auth: CodeRedirect, class: NeedsConfig, status: "status 302"},
		{fault: slacktest.FaultInvalidCursor, audit: "invalid_cursor", class: StaleCursor},
		{fault: slacktest.FaultEmptyPage},
		{fault: slacktest.FaultEntriesObject, audit: CodeUnreadable, auth: CodeUnreadable, class: Unreadable},
		{fault: slacktest.FaultEntriesMissing, audit: CodeUnreadable, auth: CodeUnreadable, class: Unreadable},
		{fault: slacktest.FaultSlow},
	}
	covered := map[slacktest.Fault]bool{}
	for _, tt := range tests {
		covered[tt.fault] = true
		t.Run(tt.fault.String(), func(t *testing.T) {
			t.Parallel()
			s, client, _, seen := newFake(slacktest.Options{})
			_, cursor, err := readPage(t.Context(), client, query())
			require.NoError(t, err)
			require.NotEmpty(t, cursor)

			s.SetFault(func(slacktest.Call) slacktest.Fault { return tt.fault })
			q := query()
			q.Cursor = cursor
			for method, code := range map[string]string{"audit.logs": tt.audit, "auth.test": tt.auth} {
				seen.calls = nil
				if method == "audit.logs" {
					_, _, err = readPage(t.Context(), client, q)
				} else {
					_, err = client.AuthTest(t.Context())
				}
				assert.Equal(t, []outcome{{method, code}}, seen.calls, "each call is reported once")
				if code == "" {
					require.NoError(t, err)
					continue
				}
				e := asError(t, err)
				assert.Equal(t, method, e.Method)
				assert.Equal(t, code, e.Code)
				assert.Equal(t, tt.class, e.Class, "%s", e.Class)
				assert.Equal(t, tt.retryAfter, e.RetryAfter)
				assert.Contains(t, e.Detail, tt.status)
				if known, ok := Codes[code]; ok {
					assert.Equal(t, known.Advice, e.Advice)
				}
				assert.NotEmpty(t, e.Advice)
				assert.True(t, strings.HasPrefix(err.Error(), method+": "+code), err.Error())
				assert.True(t, strings.HasSuffix(err.Error(), ": "+e.Advice), err.Error())
				assertNoSecret(t, err.Error())
				assert.NotContains(t, err.Error(), cursor)
				assert.NotContains(t, err.Error(), url.QueryEscape(cursor))
			}
		})
	}
	for _, f := range slacktest.Faults() {
		assert.True(t, covered[f], "no test for fault %s", f)
	}
}

func TestStatusAndBody(t *testing.T) {
	t.Parallel()
	missingScope := `{"ok":false,"error":"missing_scope","needed":"auditlogs:read","provided":"users:read, admin"}`
	for _, tt := range []struct {
		name   string
		status int
		body   string
		cursor bool
		want   Error
	}{
		{name: "no content", status: 204, want: Error{Code: "204", Class: Heals}},
		{name: "moved without an address", status: 301, want: Error{Code: CodeRedirect, Class: NeedsConfig, Detail: "status 301"}},
		{name: "not modified", status: 304, want: Error{Code: CodeRedirect, Class: NeedsConfig, Detail: "status 304"}},
		{name: "400 with a code", status: 400, body: `{"ok":false,"error":"invalid_range"}`, want: Error{Code: "invalid_range", Class: BadRange}},
		{name: "400 without ok", status: 400, body: `{"error":"invalid_range"}`, want: Error{Code: "invalid_range", Class: BadRange}},
		{name: "400 without a word", status: 400, want: Error{Code: "400", Class: Fault}},
		{name: "400 without a word to a cursor", status: 400, cursor: true, want: Error{Code: "invalid_cursor", Class: StaleCursor, Detail: "status 400"}},
		{name: "400 with a code to a cursor", status: 400, body: `{"ok":false,"error":"invalid_range"}`, cursor: true, want: Error{Code: "invalid_range", Class: BadRange}},
		{name: "400 with an unknown code to a cursor", status: 400, body: `{"ok":false,"error":"cursor_expired"}`, cursor: true, want: Error{Code: "invalid_cursor", Class: StaleCursor, Detail: "status 400"}},
		{name: "401 with a code", status: 401, body: `{"ok":false,"error":"token_revoked"}`, want: Error{Code: "token_revoked", Class: NeedsToken}},
		{name: "403 with a code", status: 403, body: missingScope, want: Error{Code: "missing_scope", Class: NeedsScope, Needed: "auditlogs:read", Provided: "users:read, admin"}},
		{name: "403 with an unknown code", status: 403, body: `{"error":"tide_too_high"}`, want: Error{Code: "403", Class: NeedsPerson, Detail: "tide_too_high"}},
		{name: "403 with prose", status: 403, body: `{"error":"` + secretEntry + ` is not allowed"}`, want: Error{Code: "403", Class: NeedsPerson}},
		{name: "403 with another kind of error", status: 403, body: `{"error":{"code":"x"}}`, want: Error{Code: "403", Class: NeedsPerson}},
		{name: "404", status: 404, want: Error{Code: "404", Class: NeedsConfig}},
		{name: "407", status: 407, body: "<html>", want: Error{Code: "407", Class: NeedsConfig}},
		{name: "408", status: 408, want: Error{Code: "408", Class: Heals}},
		{name: "429 without a body", status: 429, want: Error{Code: "rate_limited", Class: Throttled, RetryAfter: time.Minute, Detail: "status 429"}},
		{name: "429 with another code", status: 429, body: `{"ok":false,"error":"internal_error"}`, want: Error{Code: "internal_error", Class: Heals, RetryAfter: time.Minute}},
		{name: "502", status: 502, want: Error{Code: "502", Class: Heals}},
		{name: "200 and a refusal", status: 200, body: missingScope, want: Error{Code: "missing_scope", Class: NeedsScope, Needed: "auditlogs:read", Provided: "users:read, admin"}},
		{name: "200 and a refusal of odd scopes", status: 200, body: `{"ok":false,"error":"missing_scope","needed":"<` + secretEntry + `>","provided":["a"]}`, want: Error{Code: "missing_scope", Class: NeedsScope, Needed: "none", Provided: "none"}},
		{name: "200 and a throttle", status: 200, body: `{"ok":false,"error":"ratelimited"}`, want: Error{Code: "ratelimited", Class: Throttled, RetryAfter: time.Minute}},
		{name: "200 and a new code", status: 200, body: `{"ok":false,"error":"tide_too_high"}`, want: Error{Code: "tide_too_high", Class: Heals}},
		{name: "200 and prose", status: 200, body: `{"ok":false,"error":"Sorry, ` + secretEntry + `"}`, want: Error{Code: "_OTHER", Class: Heals}},
		{name: "200 and a bare no", status: 200, body: `{"ok":false}`, want: Error{Code: "_OTHER", Class: Heals}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := &observed{}
			client := newClient(fixed(tt.status, tt.body), &testClock{now: startTime}, seen)
			q := query()
			if tt.cursor {
				q.Cursor = secretCursor
			}
			_, _, err := readPage(t.Context(), client, q)
			e := asError(t, err)
			tt.want.Method = "audit.logs"
			tt.want.Advice = e.Advice
			assert.Equal(t, tt.want, *e)
			assert.NotEmpty(t, e.Advice)
			assertNoSecret(t, err.Error())
			assert.Len(t, seen.calls, 1)
		})
	}
}

func TestTransferErrors(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		err    error
		code   string
		detail string
	}{
		{name: "name", err: &net.DNSError{Err: "no such host", Name: "slack.example"}, code: CodeNetwork, detail: "name not found: slack.example"},
		{name: "dial", err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}, code: CodeNetwork, detail: "can't connect"},
		{name: "stopped", ctx: ended, err: context.Canceled, code: CodeNetwork, detail: "stopped"},
		{name: "TLS", err: errors.New("tls: failed to verify certificate"), code: CodeNetwork, detail: "the TLS handshake failed"},
		{name: "deadline", err: context.DeadlineExceeded, code: CodeTimeout},
		{name: "an authenticator that quotes the token", err: errors.New("can't refresh " + secretToken), code: CodeNetwork, detail: "the connection broke"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			client := newClient(roundTripper(func(*http.Request) (*http.Response, error) { return nil, tt.err }), &testClock{now: startTime}, nil)
			q := query()
			q.Cursor = secretCursor
			_, err := client.AuditLogs(ctx, q)
			e := asError(t, err)
			assert.Equal(t, tt.code, e.Code)
			assert.Equal(t, Heals, e.Class)
			assert.Equal(t, tt.detail, e.Detail)
			assertNoSecret(t, err.Error())
		})
	}
}

func TestAddressThatIsNone(t *testing.T) {
	t.Parallel()
	client := newClient(fixed(200, "{}"), &testClock{now: startTime}, nil)
	client.set.AuditEndpoint = "https://api.slack.test:port"
	_, err := client.AuditLogs(t.Context(), query())
	assert.Equal(t, "bad_endpoint", asError(t, err).Code)
	assertNoSecret(t, err.Error())
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var got []*http.Request
	answer := fixed(200, `{"ok":true,"entries":[],"team_id":"E04BRIGHTWA"}`)
	client := newClient(roundTripper(func(r *http.Request) (*http.Response, error) {
		got = append(got, r)
		return answer(r)
	}), &testClock{now: startTime}, nil)
	_, err := client.AuthTest(t.Context())
	require.NoError(t, err)
	_, _, err = readPage(t.Context(), client, AuditQuery{Oldest: 5, Latest: 10, Limit: 7, Cursor: "a+b/c=="})
	require.NoError(t, err)
	client.set.Token = "" // an authenticator adds it
	_, _, err = readPage(t.Context(), client, AuditQuery{Oldest: 5, Latest: 10, Limit: 7})
	require.NoError(t, err)

	require.Len(t, got, 3)
	assert.Equal(t, "POST https://slack.test/api/auth.test", got[0].Method+" "+got[0].URL.String())
	assert.Equal(t, "GET https://api.slack.test/audit/v1/logs?cursor=a%2Bb%2Fc%3D%3D&latest=10&limit=7&oldest=5", got[1].Method+" "+got[1].URL.String())
	assert.Equal(t, "GET https://api.slack.test/audit/v1/logs?latest=10&limit=7&oldest=5", got[2].Method+" "+got[2].URL.String())
	for i, r := range got {
		assert.Equal(t, "slacklogsreceiver/1.2.3", r.Header.Get("User-Agent"))
		assert.Equal(t, "gzip", r.Header.Get("Accept-Encoding"))
		if i < 2 {
			assert.Equal(t, "Bearer "+secretToken, r.Header.Get("Authorization"))
		} else {
			assert.NotContains(t, r.Header, "Authorization")
		}
	}
}

// A redirect is not followed, so that an authenticator which adds the token to
// each hop can't give it to another host.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var elsewhere atomic.Int64
			second := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
			defer second.Close()
			first := httptest.NewServer(http.RedirectHandler(second.URL, status))
			defer first.Close()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := NewClient(Settings{
				HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					r = r.Clone(r.Context())
					r.Header.Set("Authorization", "Bearer "+secretToken)
					return transport.RoundTrip(r)
				})},
				Endpoint: first.URL, AuditEndpoint: first.URL, Clock: &testClock{now: startTime},
			})
			_, err := client.AuthTest(t.Context())
			assert.Equal(t, CodeRedirect, asError(t, err).Code)
			_, err = client.AuditLogs(t.Context(), query())
			assert.Equal(t, CodeRedirect, asError(t, err).Code)
			assert.NotContains(t, err.Error(), second.URL)
			assert.Zero(t, elsewhere.Load())
		})
	}
}

// TestDamagedAnswer says that nothing of an answer is handed over that may have been changed on the way, which only its
// last bytes tell. What came over TLS has not been.
func TestDamagedAnswer(t *testing.T) {
	t.Parallel()
	body := []byte(gzipped(t, `{"entries":[{"id":"a"},{"id":"b"}]}`))
	body[len(body)-5]++ // of the checksum
	for _, tt := range []struct {
		name string
		tls  *tls.ConnectionState
		want []string
	}{
		{"plain", nil, nil},
		{"over TLS", &tls.ConnectionState{}, []string{`{"id":"a"}`, `{"id":"b"}`}},
	} {
		client := newClient(roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := fixed(200, string(body), "Content-Encoding", "gzip")(r)
			resp.TLS, resp.ContentLength = tt.tls, int64(len(body))
			return resp, err
		}), &testClock{now: startTime}, nil)
		texts, _, err := readPage(t.Context(), client, query())
		assert.Equal(t, CodeUnreadable, asError(t, err).Code, tt.name)
		assert.Equal(t, tt.want, texts, tt.name)
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestGzip(t *testing.T) {
	t.Parallel()
	body := gzipped(t, `{"entries":[{"id":"a"},{"id":"b"}],"response_metadata":{"next_cursor":"on"}}`)
	client := newClient(fixed(200, body, "Content-Encoding", "GZIP"), &testClock{now: startTime}, nil)
	texts, next, err := readPage(t.Context(), client, query())
	require.NoError(t, err)
	assert.Equal(t, []string{`{"id":"a"}`, `{"id":"b"}`}, texts)
	assert.Equal(t, "on", next)

	client = newClient(fixed(403, gzipped(t, `{"ok":false,"error":"missing_scope"}`), "Content-Encoding", "gzip"), &testClock{now: startTime}, nil)
	_, err = client.AuthTest(t.Context())
	assert.Equal(t, "missing_scope", asError(t, err).Code)

	client = newClient(fixed(200, "plain", "Content-Encoding", "gzip"), &testClock{now: startTime}, nil)
	_, err = client.AuthTest(t.Context())
	assert.Equal(t, CodeUnreadable, asError(t, err).Code)
}

// countingBody counts what is read of an answer.
type countingBody struct {
	io.ReadCloser
	n *int64
}

func (b countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	*b.n += int64(n)
	return n, err
}

// Not parallel, because it measures what the process allocates.
func TestAnswerSizeIsLimited(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault slacktest.Fault
		wire  int64
		alloc uint64
	}{
		// io.ReadAll grows by steps, so that what it allocates is a multiple.
		{name: "an answer without an end", fault: slacktest.FaultEndless, wire: maxWireBytes + 1, alloc: 8 * maxWireBytes},
		{name: "a gzip bomb", fault: slacktest.FaultGzipBomb, wire: 8 << 20, alloc: 64 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, client, _, _ := newFake(slacktest.Options{})
			s.SetFault(func(slacktest.Call) slacktest.Fault { return tt.fault })
			var wire int64
			transport := s.Transport()
			client.set.HTTP.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := transport.RoundTrip(r)
				if err == nil {
					resp.Body = countingBody{resp.Body, &wire}
				}
				return resp, err
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := readPage(t.Context(), client, query())
			runtime.ReadMemStats(&after)
			assert.Equal(t, CodeTooLarge, asError(t, err).Code)
			assert.LessOrEqual(t, wire, tt.wire)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, tt.alloc)
		})
	}
}

func TestLongErrorPageIsNotRead(t *testing.T) {
	t.Parallel()
	var wire int64
	client := newClient(roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := fixed(502, strings.Repeat("x", 1<<20))(r)
		resp.Body = countingBody{resp.Body, &wire}
		return resp, err
	}), &testClock{now: startTime}, nil)
	_, err := client.AuthTest(t.Context())
	assert.Equal(t, "502", asError(t, err).Code)
	assert.LessOrEqual(t, wire, int64(maxErrorBytes+1))
}

// With one connection to a host, a call inside of Each can only be answered if
// the connection of the page is free already.
func TestConnectionIsFreeBeforeEach(t *testing.T) {
	t.Parallel()
	s := slacktest.New(slacktest.Options{})
	s.SetToken(secretToken, slacktest.NewOrganisation(1).Identity())
	s.Add(slacktest.Entry{Date: 100, JSON: []byte(`{"id":"a"}`)})
	var handlers, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Add(-1)
		s.ServeHTTP(w, r)
	}))
	idle := make(chan struct{}, 10)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateIdle:
			idle <- struct{}{}
		default:
		}
	}
	server.Start()
	defer server.Close()
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := NewClient(Settings{
		HTTP: &http.Client{Transport: transport, Timeout: 10 * time.Second}, Token: secretToken,
		Endpoint: server.URL + "/api", AuditEndpoint: server.URL + "/audit/v1", Clock: &testClock{now: startTime},
	})
	page, err := client.AuditLogs(t.Context(), AuditQuery{Latest: 200, Limit: 10})
	require.NoError(t, err)
	yielded := 0
	_, err = page.Each(t.Context(), func(jsonstream.Element) error {
		yielded++
		<-idle // the server has seen the answer off
		assert.Zero(t, handlers.Load())
		_, err := client.AuthTest(t.Context())
		return err
	})
	require.NoError(t, err)
	assert.Equal(t, 1, yielded)
	assert.EqualValues(t, 1, connections.Load())
}

func TestEndsOfPaging(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rest, next string
		unreadable       bool
	}{
		{name: "empty cursor", rest: `,"response_metadata":{"next_cursor":""}`},
		{name: "no cursor", rest: `,"response_metadata":{"warnings":["x"]}`},
		{name: "empty metadata", rest: `,"response_metadata":{}`},
		{name: "no metadata"},
		{name: "null cursor", rest: `,"response_metadata":{"next_cursor":null}`},
		{name: "null metadata", rest: `,"response_metadata":null`},
		{name: "empty list for metadata", rest: `,"response_metadata":[]`},
		{name: "a cursor", rest: `,"response_metadata":{"next_cursor":"YWJj="}`, next: "YWJj="},
		{name: "a cursor before the entries", rest: `,"ok":true,"response_metadata":{"next_cursor":"YWJj="}`, next: "YWJj="},
		{name: "a cursor that is a number", rest: `,"response_metadata":{"next_cursor":17}`, unreadable: true},
		{name: "a cursor that is an object", rest: `,"response_metadata":{"next_cursor":{}}`, unreadable: true},
		{name: "metadata that is text", rest: `,"response_metadata":"none"`, unreadable: true},
		{name: "metadata that is no JSON", rest: `,"response_metadata":{"next_cursor" "a"}`, unreadable: true},
		{name: "an ok that is no bool", rest: `,"ok":"yes"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, entries := range []string{`[]`, `[{"id":"a"}]`} {
				client := newClient(fixed(200, `{"entries":`+entries+tt.rest+`}`), &testClock{now: startTime}, nil)
				texts, next, err := readPage(t.Context(), client, query())
				if tt.unreadable {
					assert.Equal(t, CodeUnreadable, asError(t, err).Code)
				} else {
					require.NoError(t, err)
				}
				assert.Equal(t, tt.next, next)
				assert.Len(t, texts, strings.Count(entries, "id"), "what was read is good")
			}
		})
	}
}

func TestWalkToTheEnd(t *testing.T) {
	t.Parallel()
	// Each end comes in another of the four forms, and half of the pages are empty.
	s, client, _, _ := newFake(slacktest.Options{EmptyPages: 2})
	for range 4 {
		var all []string
		pages, q := 0, query()
		for {
			texts, next, err := readPage(t.Context(), client, q)
			require.NoError(t, err)
			all = append(all, texts...)
			pages++
			if next == "" {
				break
			}
			q.Cursor = next
		}
		require.Len(t, all, 5)
		for n, text := range all {
			assert.Contains(t, text, "entry-"+strconv.Itoa(n))
		}
		assert.Greater(t, pages, 3)
	}
	assert.Empty(t, s.Violations())
}

func TestEachEnds(t *testing.T) {
	t.Parallel()
	_, client, _, seen := newFake(slacktest.Options{})
	page, err := client.AuditLogs(t.Context(), query())
	require.NoError(t, err)
	assert.Equal(t, startTime.Unix(), page.Date().Unix())
	errStop := errors.New("stop")
	calls := 0
	_, err = page.Each(t.Context(), func(jsonstream.Element) error {
		calls++
		return errStop
	})
	assert.Equal(t, errStop, err, "an error of yield comes back as it is")
	assert.Equal(t, 1, calls)

	texts := 0
	next, err := page.Each(t.Context(), func(jsonstream.Element) error {
		texts++
		return nil
	})
	require.NoError(t, err)
	assert.NotEmpty(t, next, "a page can be read again")
	assert.Equal(t, 2, texts)
	assert.Equal(t, []outcome{{"audit.logs", ""}}, seen.calls)
}

func TestEntriesBeforeTheBreakAreGood(t *testing.T) {
	t.Parallel()
	client := newClient(fixed(200, `{"entries":[{"id":"a"},{"id":"b"},{"id":"`+secretEntry), &testClock{now: startTime}, nil)
	texts, next, err := readPage(t.Context(), client, query())
	e := asError(t, err)
	assert.Equal(t, CodeUnreadable, e.Code)
	assert.NotEmpty(t, e.Detail)
	assertNoSecret(t, err.Error())
	assert.Empty(t, next)
	assert.Equal(t, []string{`{"id":"a"}`, `{"id":"b"}`}, texts)
}

func TestAuthTest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       Identity
		org        string
		code       string
	}{
		{
			name: "organisation",
			body: `{"ok":true,"url":"https:\/\/brightwater.enterprise.slack.com\/","team":"Brightwater","team_id":"E04BRIGHTWA","enterprise_id":"E04BRIGHTWA","is_enterprise_install":true}`,
			want: Identity{EnterpriseID: "E04BRIGHTWA", EnterpriseName: "Brightwater", EnterpriseDomain: "brightwater"},
			org:  "E04BRIGHTWA",
		},
		{
			name: "organisation without a team",
			body: `{"ok":true,"url":"https://brightwater.enterprise.slack.com/","team":null,"team_id":null,"enterprise_id":"E04BRIGHTWA","enterprise_name":"Brightwater"}`,
			want: Identity{EnterpriseID: "E04BRIGHTWA", EnterpriseName: "Brightwater", EnterpriseDomain: "brightwater"},
			org:  "E04BRIGHTWA",
		},
		{
			name: "workspace",
			body: `{"ok":true,"url":"https://brightwater-labs.slack.com/","team":"Brightwater Labs","team_id":"T04BWLABORA","user":"ada"}`,
			want: Identity{TeamID: "T04BWLABORA", TeamName: "Brightwater Labs", TeamDomain: "brightwater-labs"},
			org:  "T04BWLABORA",
		},
		{
			name: "workspace of an organisation",
			body: `{"ok":true,"url":"https://brightwater-labs.slack.com/","team":"Brightwater Labs","team_id":"T04BWLABORA","enterprise_id":"E04BRIGHTWA","enterprise_name":"Brightwater"}`,
			want: Identity{EnterpriseID: "E04BRIGHTWA", EnterpriseName: "Brightwater", TeamID: "T04BWLABORA", TeamName: "Brightwater Labs", TeamDomain: "brightwater-labs"},
			org:  "E04BRIGHTWA",
		},
		{
			name: "without an address",
			body: `{"ok":true,"team_id":"T04BWLABORA"}`,
			want: Identity{TeamID: "T04BWLABORA"},
			org:  "T04BWLABORA",
		},
		{
			name: "an address that is none",
			body: `{"ok":true,"team_id":"T04BWLABORA","url":":"}`,
			want: Identity{TeamID: "T04BWLABORA"},
			org:  "T04BWLABORA",
		},
		{name: "refused", body: `{"ok":false,"error":"invalid_auth"}`, code: "invalid_auth"},
		{name: "nobody", body: `{"ok":true}`, code: CodeUnreadable},
		{name: "other types", body: `{"ok":true,"team_id":5}`, code: CodeUnreadable},
		{name: "a list", body: `[]`, code: CodeUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(fixed(200, tt.body), &testClock{now: startTime}, nil)
			info, err := client.AuthTest(t.Context())
			if tt.code != "" {
				assert.Equal(t, tt.code, asError(t, err).Code)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, tt.want, info.Identity)
			assert.Equal(t, tt.org, info.Org())
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, header string
		want         time.Duration
	}{
		{"seconds", "17", 17 * time.Second},
		{"white space", " 17 ", 17 * time.Second},
		{"fraction", "1.5", 1500 * time.Millisecond},
		{"date", startTime.Add(90 * time.Second).UTC().Format(http.TimeFormat), 90 * time.Second},
		{"date that is over", startTime.Add(-time.Hour).UTC().Format(http.TimeFormat), time.Second},
		{"date far ahead", startTime.Add(1000 * time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		{"missing", "", time.Minute},
		{"nonsense", "soon", time.Minute},
		{"not a number", "NaN", time.Minute},
		{"two values", "30, 60", time.Minute},
		{"negative", "-5", time.Minute},
		{"zero", "0", time.Second},
		{"huge", "99999999999999999999", time.Hour},
		{"endless", "Inf", time.Hour},
		{"beyond numbers", "1e999", time.Minute},
		{"over an hour", "3601", time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, ahead := range []time.Duration{0, 20 * time.Minute, -20 * time.Minute} {
				// Slack's own Date counts, however wrong the local clock is.
				local := &testClock{now: startTime.Add(ahead)}
				header := []string{"Date", startTime.UTC().Format(http.TimeFormat)}
				if tt.header != "" {
					header = append(header, "Retry-After", tt.header)
				}
				for status, body := range map[int]string{429: "", 200: `{"ok":false,"error":"ratelimited"}`} {
					_, _, err := readPage(t.Context(), newClient(fixed(status, body, header...), local, nil), query())
					assert.Equal(t, tt.want, asError(t, err).RetryAfter, "status %d, local clock %s ahead", status, ahead)
				}
			}
		})
	}
}

func TestRetryAfterOfOtherStatuses(t *testing.T) {
	t.Parallel()
	client := newClient(fixed(503, "", "Retry-After", "120"), &testClock{now: startTime}, nil)
	_, err := client.AuditLogs(t.Context(), query())
	e := asError(t, err)
	assert.Equal(t, Heals, e.Class)
	assert.Equal(t, 2*time.Minute, e.RetryAfter)
}

func TestNow(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, 20 * time.Minute, -20 * time.Minute} {
		t.Run("local clock "+ahead.String()+" ahead", func(t *testing.T) {
			t.Parallel()
			local := &testClock{now: startTime.Add(ahead)}
			// Slack's clock runs beside the local one, in the middle of a second.
			slackNow := func() time.Time { return local.now.Add(300*time.Millisecond - ahead) }
			s, client, _, _ := newFake(slacktest.Options{Now: slackNow})
			client.set.Clock = local

			now, known := client.Now()
			assert.False(t, known)
			assert.Equal(t, local.now, now)

			for _, wait := range []time.Duration{0, 100 * time.Millisecond, 900 * time.Millisecond, time.Minute, 25 * time.Hour} {
				local.now = local.now.Add(wait)
				_, err := client.AuthTest(t.Context())
				require.NoError(t, err)
				for range 5 {
					local.now = local.now.Add(777 * time.Millisecond)
					now, known := client.Now()
					assert.True(t, known)
					assert.False(t, now.After(slackNow()), "%s is ahead of %s", now, slackNow())
					assert.Less(t, slackNow().Sub(now), time.Second)
				}
			}
			// A page counts too, and a local clock that is set back stops the time at most.
			_, _, err := readPage(t.Context(), client, query())
			require.NoError(t, err)
			before, _ := client.Now()
			local.now = local.now.Add(-time.Hour)
			now, _ = client.Now()
			assert.Equal(t, before, now)
			assert.NotZero(t, s.CallCount())
		})
	}
}

func TestNowWithoutDate(t *testing.T) {
	t.Parallel()
	_, client, local, _ := newFake(slacktest.Options{OmitDate: true})
	page, err := client.AuditLogs(t.Context(), query())
	require.NoError(t, err)
	assert.True(t, page.Date().IsZero())
	_, err = page.Each(t.Context(), func(jsonstream.Element) error { return nil })
	require.NoError(t, err)
	now, known := client.Now()
	assert.False(t, known)
	assert.Equal(t, local.now, now)
}

// Only an answer that is surely Slack's moves Slack's time: a proxy or a
// captive portal may have any date.
func TestNowIgnoresTheDateOfOthers(t *testing.T) {
	t.Parallel()
	portal := startTime.Add(40 * time.Minute).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		name   string
		status int
		body   string
		slack  bool
	}{
		{name: "sign-in page", status: 200, body: "<html>"},
		{name: "other JSON", status: 200, body: `{"status":"sign in"}`},
		{name: "bad gateway", status: 502, body: "<html>"},
		{name: "proxy login", status: 407},
		{name: "unauthorized without a body", status: 401},
		{name: "refusal", status: 200, body: `{"ok":false,"error":"invalid_auth"}`, slack: true},
		{name: "refusal with a status", status: 403, body: `{"ok":false,"error":"missing_scope"}`, slack: true},
		{name: "page", status: 200, body: `{"entries":[],"ok":true,"team_id":"T04BWLABORA"}`, slack: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(fixed(tt.status, tt.body, "Date", portal), &testClock{now: startTime}, nil)
			_, _, _ = readPage(t.Context(), client, query())
			now, known := client.Now()
			assert.Equal(t, tt.slack, known)
			assert.Equal(t, tt.slack, now.After(startTime))
			_, _ = client.AuthTest(t.Context())
			_, known = client.Now()
			assert.Equal(t, tt.slack, known)
		})
	}
}

// A date that does not fit is believed once the next one fits it.
func TestNowDoubtsADateThatDoesNotFit(t *testing.T) {
	t.Parallel()
	local := &testClock{now: startTime}
	ahead := 1000 * time.Hour
	s, client, _, _ := newFake(slacktest.Options{Now: func() time.Time { return local.now.Add(ahead) }})
	client.set.Clock = local
	ask := func() {
		_, err := client.AuthTest(t.Context())
		require.NoError(t, err)
	}
	ask()
	_, known := client.Now()
	assert.False(t, known)
	assert.True(t, client.Unsure())
	ask()
	now, known := client.Now()
	assert.True(t, known)
	assert.False(t, client.Unsure())
	assert.Equal(t, startTime.Add(ahead).Unix(), now.Unix())

	// Later, too: one astray is left out, two that fit each other are not.
	for _, astray := range []time.Duration{0, -24 * time.Hour, 24 * time.Hour} {
		ahead = astray
		ask()
		now, _ := client.Now()
		assert.Equal(t, startTime.Add(1000*time.Hour).Unix(), now.Unix(), astray)
	}
	ask()
	now, _ = client.Now()
	assert.Equal(t, startTime.Add(24*time.Hour).Unix(), now.Unix())
	assert.NotZero(t, s.CallCount())
}

func TestStuckCursor(t *testing.T) {
	t.Parallel()
	e := asError(t, StuckCursor("audit.logs"))
	assert.Equal(t, StaleCursor, e.Class)
	assert.Equal(t, "audit.logs: invalid_cursor (the cursor does not move on): "+e.Advice, e.Error())
}

// Whatever a server answers, its text stands in no error.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"entries":[{"id":"a"}],"response_metadata":{"next_cursor":"x"}}`), "", "")
	f.Add(200, []byte(`{"ok":false,"error":"missing_scope","needed":"a","provided":"b"}`), "gzip", "")
	f.Add(429, []byte(`{"ok":false,"error":"ratelimited"}`), "", "1")
	f.Add(200, []byte(`{"ok":true,"team_id":"T1","authed_user":{"access_token":"xoxe.xoxp-1","refresh_token":"xoxe-1","expires_in":43200}}`), "", "")
	f.Add(403, []byte(`{"error":null}`), "", "Fri, 21 Nov 2025 22:00:00 GMT")
	f.Fuzz(func(t *testing.T, status int, body []byte, encoding, retry string) {
		answer := func(r *http.Request) (*http.Response, error) {
			h := http.Header{"Content-Encoding": {encoding}, "Retry-After": {retry}}
			return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		}
		client := newClient(roundTripper(answer), &testClock{now: startTime}, nil)
		_, next, err := readPage(t.Context(), client, query())
		if err != nil {
			e := asError(t, err)
			assert.Empty(t, next)
			assert.NotEmpty(t, e.Advice)
			assert.LessOrEqual(t, e.RetryAfter, time.Hour)
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 2000)
		}
		_, err = client.AuthTest(t.Context())
		if err != nil {
			assert.NotEmpty(t, asError(t, err).Advice)
		}
		grant, err := client.Refresh(t.Context(), App{ClientID: "1.2"}, "xoxe-1")
		if err != nil {
			assert.NotEmpty(t, asError(t, err).Advice)
			assert.Less(t, len(err.Error()), 2000)
		} else {
			assert.NotEmpty(t, grant.AccessToken)
			assert.NotEmpty(t, grant.RefreshToken)
			assert.GreaterOrEqual(t, grant.ExpiresIn, time.Duration(0))
		}
	})
}

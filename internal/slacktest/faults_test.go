// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readBody reads what a client would, up to a limit.
func readBody(res *http.Response) (string, error) {
	defer res.Body.Close()
	var from io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(from)
		if err != nil {
			return "", err
		}
		from = plain
	}
	body, err := io.ReadAll(io.LimitReader(from, 8<<20))
	return string(body), err
}

// TestFaults sees each fault as a client does, over a socket and without: both must look the same.
func TestFaults(t *testing.T) {
	isJSON := func(body string) bool { return json.Valid([]byte(body)) }
	for _, tt := range []struct {
		fault   Fault
		status  int
		body    string        // the answer begins so
		after   string        // Retry-After
		wait    time.Duration // recorded
		doErr   error
		readErr error
		check   func(t *testing.T, body string)
	}{
		{fault: FaultNone, status: 200, body: `{"entries":[{"id":"a"`},
		{fault: FaultInternal, status: 500, body: "Internal"},
		{fault: FaultUnavailable, status: 503, body: "<html>"},
		{fault: FaultRateLimit, status: 429, body: `{"ok":false,"error":"rate_limited"}`, after: "30", wait: 30 * time.Second},
		{fault: FaultRateLimitDate, status: 429, after: "Mon, 12 Jan 1970 13:47:10 GMT", wait: 30 * time.Second},
		{fault: FaultRateLimitMissing, status: 429, wait: time.Minute},
		{fault: FaultRateLimitNonsense, status: 429, after: "soon", wait: time.Minute},
		{fault: FaultFatalError, status: 200, body: `{"ok":false,"error":"fatal_error"}`},
		{fault: FaultUnauthorized, status: 401, check: func(t *testing.T, body string) { assert.Empty(t, body) }},
		{fault: FaultForbidden, status: 403, body: "Forbidden"},
		{fault: FaultHTML, status: 200, body: "<html>"},
		{fault: FaultNoBody, status: 200, check: func(t *testing.T, body string) { assert.Empty(t, body) }},
		{fault: FaultTruncated, status: 200, body: `{"entries":[`, check: func(t *testing.T, body string) { assert.False(t, isJSON(body)) }},
		{fault: FaultBrokenTransfer, status: 200, readErr: io.ErrUnexpectedEOF},
		{fault: FaultReset, doErr: syscall.ECONNRESET},
		{fault: FaultHang, doErr: context.DeadlineExceeded},
		{fault: FaultEndless, status: 200, body: listStart(PathAudit), check: func(t *testing.T, body string) { assert.Len(t, body, 8<<20) }},
		{fault: FaultGzipBomb, status: 200, body: listStart(PathAudit), check: func(t *testing.T, body string) { assert.Len(t, body, 8<<20) }},
		{fault: FaultCorruptGzip, status: 200, readErr: errAny},
		{fault: FaultRedirect, status: 302},
		{fault: FaultInvalidCursor, status: 400, body: `{"ok":false,"error":"invalid_cursor"}`},
		{fault: FaultEmptyPage, status: 200, body: `{"entries":[],"response_metadata":{"next_cursor":"`},
		{fault: FaultEntriesObject, status: 200, body: `{"entries":{`},
		{fault: FaultEntriesMissing, status: 200, body: `{"response_metadata"`},
		{fault: FaultSlow, status: 200, body: `{"entries":[{"id":"a"`},
	} {
		for _, way := range []string{"socket", "transport"} {
			t.Run(tt.fault.String()+"/"+way, func(t *testing.T) {
				s, _ := newTestServer(Options{SlowFor: time.Nanosecond})
				s.Add(entryAt("a", 10), entryAt("b", 20))
				cursor := readPage(t, s, "limit", "1").cursor
				s.SetFault(func(Call) Fault { return tt.fault })
				base, rt := "http://slack.test", s.Transport()
				if way == "socket" {
					server := httptest.NewServer(s)
					defer server.Close()
					defer s.Close()
					base, rt = server.URL, server.Client().Transport
				}
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.fault == FaultHang {
					ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				}
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+PathAudit+"?limit=1&cursor="+strings.ReplaceAll(cursor, "=", "%3D"), nil)
				require.NoError(t, err)
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Accept-Encoding", "gzip")

				res, err := rt.RoundTrip(r)
				calls := s.Calls()
				require.Len(t, calls, 2)
				assert.Equal(t, tt.fault, calls[1].Fault)
				assert.Equal(t, tt.status, calls[1].Status)
				assert.Equal(t, tt.wait, calls[1].RetryAfter)
				if tt.doErr != nil {
					require.ErrorIs(t, err, tt.doErr)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, tt.status, res.StatusCode)
				assert.Equal(t, tt.after, res.Header.Get("Retry-After"))
				if tt.fault == FaultRedirect {
					assert.Equal(t, "https://elsewhere.invalid/", res.Header.Get("Location"))
				}
				body, err := readBody(res)
				switch {
				case errors.Is(tt.readErr, errAny):
					require.Error(t, err)
				case tt.readErr != nil:
					require.ErrorIs(t, err, tt.readErr)
				default:
					require.NoError(t, err)
					assert.True(t, strings.HasPrefix(body, tt.body), body[:min(len(body), 200)])
					if tt.check != nil {
						tt.check(t, body)
					}
				}
			})
		}
	}
}

var errAny = errors.New("any error will do")

func TestFaultsAreAllNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults() {
		assert.NotEmpty(t, f.String())
		assert.False(t, seen[f.String()], f)
		seen[f.String()] = true
	}
	assert.Len(t, seen, int(faultCount)-1)
}

func TestWebAPISpellsItsLimitDifferently(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetFault(func(Call) Fault { return FaultRateLimit })
	_, body := call(t, s, PathAuthTest, token)
	assert.Equal(t, `{"ok":false,"error":"ratelimited"}`, body)
}

func TestNobodyMustWaitLongerThanAnHour(t *testing.T) {
	s, c := newTestServer(Options{RetryAfter: 3 * time.Hour})
	s.SetFault(func(Call) Fault { return FaultRateLimit })
	call(t, s, PathAudit, token)
	c.pass(time.Hour)
	call(t, s, PathAudit, token)
	assert.Empty(t, s.Violations())
	c.pass(time.Hour - time.Second)
	call(t, s, PathAudit, token)
	assert.Len(t, s.Violations(), 1)
}

func TestInvalidCursorNeedsACursor(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetFault(func(Call) Fault { return FaultInvalidCursor })
	readPage(t, s)
	assert.Equal(t, FaultNone, s.Calls()[0].Fault)
}

func TestEveryNthOnly(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetFault(Only(EveryNth(2, FaultInternal, FaultForbidden), PathAudit))
	var got []int
	for range 6 {
		res, _ := call(t, s, PathAudit, token)
		got = append(got, res.StatusCode)
		res, _ = call(t, s, PathAuthTest, token)
		assert.Equal(t, 200, res.StatusCode)
	}
	assert.Equal(t, []int{200, 500, 200, 403, 200, 500}, got)
}

func TestHookMayChangeTheServer(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetFault(func(c Call) Fault {
		s.Add(entryAt("seen", int64(c.Seq)))
		return FaultNone
	})
	assert.Equal(t, []string{"seen"}, readPage(t, s).ids)
}

func TestPoison(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.Add(entryAt("a", 10), entryAt("b", 20), entryAt("c", 30))
	s.Poison(20, 25, FaultTruncated)
	readable := func(query ...string) bool {
		_, body := call(t, s, PathAudit, token, query...)
		return json.Valid([]byte(body))
	}
	assert.False(t, readable())
	assert.False(t, readable("limit", "2"))
	assert.False(t, readable("oldest", "20", "latest", "20"))
	assert.True(t, readable("limit", "1"))
	assert.True(t, readable("latest", "19"))
	assert.True(t, readable("oldest", "21", "latest", "25"), "nothing is there")
	s.Unpoison()
	assert.True(t, readable())
}

func TestDown(t *testing.T) {
	s, _ := newTestServer(Options{LimitPerMinute: 1})
	client := http.Client{Transport: s.Transport()}
	s.Down(true)
	res, _ := call(t, s, PathAudit, token)
	assert.Equal(t, 503, res.StatusCode)
	_, err := client.Get("http://slack.test" + PathAudit)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	s.Down(false)
	readPage(t, s)
}

func TestTransportEnds(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetFault(func(Call) Fault { return FaultEndless })
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://slack.test"+PathAudit, nil)
	require.NoError(t, err)
	endless := func() io.Reader {
		res, err := s.Transport().RoundTrip(r)
		require.NoError(t, err)
		return io.LimitReader(res.Body, 1<<30)
	}

	body := endless()
	cancel()
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, context.Canceled, "with its request")
	_, err = s.Transport().RoundTrip(r)
	require.ErrorIs(t, err, context.Canceled, "a call that has been given up is not made")
	assert.Equal(t, 1, s.CallCount())

	r = r.WithContext(t.Context())
	body = endless()
	s.Close()
	s.Close()
	_, err = io.ReadAll(body)
	require.Error(t, err, "with the server")
}

func TestCloseEndsHangingCalls(t *testing.T) {
	s, _ := newTestServer(Options{})
	asked := make(chan struct{})
	s.SetFault(func(Call) Fault {
		close(asked)
		return FaultHang
	})
	server := httptest.NewServer(s)
	go func() {
		<-asked
		s.Close()
	}()
	_, err := server.Client().Post(server.URL+PathAuthTest, "text/plain", strings.NewReader("x"))
	require.Error(t, err)
	server.Close()
}

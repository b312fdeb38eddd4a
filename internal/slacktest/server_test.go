// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const token = "xoxp-good"

// clock is Slack's clock in tests; nothing here sleeps.
type clock struct{ now time.Time }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func newTestServer(opt Options) (*Server, *clock) {
	c := &clock{now: time.Unix(1_000_000, 0)}
	opt.Now = func() time.Time { return c.now }
	s := New(opt)
	s.SetToken(token, Identity{Scopes: []string{auditScope}})
	return s, c
}

func entryAt(id string, date int64) Entry {
	return Entry{Date: date, JSON: fmt.Appendf(nil, `{"id":%q,"date_create":%d}`, id, date)}
}

// call makes one in-process call and returns the answer with its body read.
func call(t *testing.T, s *Server, path, bearer string, query ...string) (*http.Response, string) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://slack.test"+path+"?"+values.Encode(), nil)
	require.NoError(t, err)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := s.Transport().RoundTrip(r)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

type auditPage struct {
	ids    []string
	cursor string
}

func readPage(t *testing.T, s *Server, query ...string) auditPage {
	t.Helper()
	res, body := call(t, s, PathAudit, token, query...)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	var v struct {
		Entries []struct{ ID string }
		Meta    struct {
			Cursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &v))
	p := auditPage{cursor: v.Meta.Cursor}
	for _, e := range v.Entries {
		p.ids = append(p.ids, e.ID)
	}
	return p
}

// readAll walks to the end, repeating its parameters as it should.
func readAll(t *testing.T, s *Server, query ...string) (pages [][]string) {
	t.Helper()
	p := readPage(t, s, query...)
	for pages = [][]string{p.ids}; p.cursor != ""; pages = append(pages, p.ids) {
		p = readPage(t, s, append(slices.Clone(query), "cursor", p.cursor)...)
	}
	return pages
}

func TestAuditPages(t *testing.T) {
	add := []Entry{entryAt("a", 10), entryAt("c", 20), entryAt("b", 15), entryAt("d", 20), entryAt("e", 20), entryAt("f", 30)}
	for _, tt := range []struct {
		name  string
		opt   Options
		query []string
		want  [][]string
	}{
		{"newest first", Options{}, nil, [][]string{{"f", "e", "d", "c", "b", "a"}}},
		{"default limit", Options{DefaultLimit: 4}, nil, [][]string{{"f", "e", "d", "c"}, {"b", "a"}}},
		{"both ends inclusive", Options{}, []string{"oldest", "15", "latest", "20"}, [][]string{{"e", "d", "c", "b"}}},
		{"a page ends inside a second", Options{}, []string{"limit", "2"}, [][]string{{"f", "e"}, {"d", "c"}, {"b", "a"}}},
		{"a page takes the whole second", Options{Overshoot: true}, []string{"limit", "2"}, [][]string{{"f", "e", "d", "c"}, {"b", "a"}}},
		{"empty pages between", Options{EmptyPages: 2}, []string{"limit", "4"}, [][]string{{"f", "e", "d", "c"}, nil, {"b", "a"}}},
		{"nothing there", Options{}, []string{"oldest", "40"}, [][]string{nil}},
		{"unknown parameters", Options{}, []string{"oldest", "30", "sort", "asc"}, [][]string{{"f"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newTestServer(tt.opt)
			s.Add(add...)
			assert.Equal(t, tt.want, readAll(t, s, tt.query...))
			assert.Empty(t, s.Violations())
			assert.Equal(t, len(add), s.Len())
		})
	}
}

func TestCursorIsAPositionOnly(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.Add(entryAt("old", 10), entryAt("x", 20), entryAt("y", 20), entryAt("z", 20))
	p := readPage(t, s, "oldest", "20", "latest", "25", "limit", "1")
	assert.True(t, strings.HasSuffix(p.cursor, "="), "callers must escape it")

	s.Add(entryAt("late", 20), entryAt("new", 21)) // neither moves the position
	assert.Equal(t, []string{"y", "x", "old"}, readPage(t, s, "cursor", p.cursor).ids, "oldest is forgotten")
	assert.Equal(t, []string{`call 2 to /audit/v1/logs: cursor of oldest=20 latest=25 used with oldest= latest=`}, s.Violations())
	assert.Equal(t, []string{"old"}, readPage(t, s, "cursor", p.cursor, "latest", "19").ids)
}

func TestLateEntries(t *testing.T) {
	s, c := newTestServer(Options{})
	late := entryAt("late", 50)
	late.Shown = c.now.Add(time.Hour)
	s.Add(entryAt("a", 40), late, entryAt("b", 60))
	assert.Equal(t, [][]string{{"b"}, {"a"}}, readAll(t, s, "limit", "1"))
	assert.Len(t, s.Shown(), 2)
	c.pass(time.Hour)
	assert.Equal(t, [][]string{{"b"}, {"late"}, {"a"}}, readAll(t, s, "limit", "1"))
	assert.Len(t, s.Shown(), 3)
}

func TestEndForms(t *testing.T) {
	s, _ := newTestServer(Options{})
	var forms []string
	for range 5 {
		_, body := call(t, s, PathAudit, token)
		forms = append(forms, body)
	}
	assert.Equal(t, []string{
		`{"entries":[],"response_metadata":{"next_cursor":""}}`,
		`{"entries":[],"response_metadata":{"warnings":[]}}`,
		`{"entries":[],"response_metadata":{}}`,
		`{"entries":[]}`,
		`{"entries":[],"response_metadata":{"next_cursor":""}}`,
	}, forms)
}

func TestAuditRefusals(t *testing.T) {
	day := Options{OrgStart: time.Unix(500, 0), RejectFuture: true}
	for _, tt := range []struct {
		name   string
		token  string
		query  []string
		status int
		body   string
	}{
		{"no token", "", nil, 401, ""},
		{"unknown token", "xoxp-other", nil, 401, ""},
		{"missing scope", "xoxp-admin", nil, 403, `{"ok":false,"error":"missing_scope","needed":"auditlogs:read","provided":"admin,users:read"}`},
		{"limit too large", token, []string{"limit", "10000"}, 400, `{"ok":false,"error":"invalid_limit"}`},
		{"limit 0", token, []string{"limit", "0"}, 400, `{"ok":false,"error":"invalid_limit"}`},
		{"oldest no number", token, []string{"oldest", "now"}, 400, `{"ok":false,"error":"invalid_range"}`},
		{"upside down", token, []string{"oldest", "600", "latest", "599"}, 400, `{"ok":false,"error":"invalid_range"}`},
		{"before the organisation", token, []string{"latest", "499"}, 400, `{"ok":false,"error":"invalid_range"}`},
		{"in the future", token, []string{"latest", "1000001"}, 400, `{"ok":false,"error":"invalid_range"}`},
		{"made-up cursor", token, []string{"cursor", "bm9uc2Vuc2U="}, 400, `{"ok":false,"error":"invalid_cursor"}`},
		{"overlapping the start", token, []string{"oldest", "0", "latest", "500"}, 200, ""},
		{"largest limit, until now", token, []string{"limit", "9999", "latest", "1000000"}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newTestServer(day)
			s.SetToken("xoxp-admin", Identity{Scopes: []string{"admin", "users:read"}})
			res, body := call(t, s, PathAudit, tt.token, tt.query...)
			assert.Equal(t, tt.status, res.StatusCode)
			if tt.status != http.StatusOK {
				assert.Equal(t, tt.body, body)
			}
		})
	}
}

func TestAuditIsGETOnly(t *testing.T) {
	s, _ := newTestServer(Options{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://slack.test"+PathAudit, strings.NewReader("x"))
	require.NoError(t, err)
	res, err := s.Transport().RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
}

func TestCursorsGoStale(t *testing.T) {
	s, c := newTestServer(Options{CursorAge: time.Minute, StaleEvery: 3})
	s.Add(entryAt("a", 1), entryAt("b", 2))
	cursor := readPage(t, s, "limit", "1").cursor
	use := func() int {
		res, _ := call(t, s, PathAudit, token, "limit", "1", "cursor", cursor)
		return res.StatusCode
	}
	assert.Equal(t, []int{200, 200, 400, 200}, []int{use(), use(), use(), use()}, "each third use")
	c.pass(time.Minute + time.Second)
	assert.Equal(t, 400, use(), "too old")
}

func TestTokens(t *testing.T) {
	s, _ := newTestServer(Options{})
	status := func(bearer string) int {
		res, _ := call(t, s, PathAudit, bearer)
		return res.StatusCode
	}
	s.Revoke(token)
	assert.Equal(t, 401, status(token))
	s.Restore(token)
	assert.Equal(t, 200, status(token))
	s.Revoke("xoxp-other") // unknown: nothing happens

	s.SetToken(AnyToken, Identity{Scopes: []string{auditScope}})
	assert.Equal(t, 200, status("xoxp-other"))
	assert.Equal(t, 401, status(""))
	s.Revoke(AnyToken)
	assert.Equal(t, 401, status("xoxp-other"))
	assert.Equal(t, 200, status(token))
}

func TestAuthTest(t *testing.T) {
	s, _ := newTestServer(Options{})
	s.SetToken("xoxp-team", Identity{
		TeamID: "T1", Team: "Harbour", URL: "https://harbour.slack.com/", UserID: "U1", User: "ada", Scopes: []string{"admin", "users:read"},
	})
	s.SetToken("xoxp-org", NewOrganisation(1).Identity())

	res, body := call(t, s, PathAuthTest, "xoxp-team")
	assert.Equal(t, `{"ok":true,"url":"https:\/\/harbour.slack.com\/","team":"Harbour","user":"ada","team_id":"T1","user_id":"U1","is_enterprise_install":false}`, body)
	assert.Equal(t, "admin,users:read", res.Header.Get("x-oauth-scopes"))
	_, body = call(t, s, PathAuthTest, "xoxp-org")
	assert.Contains(t, body, `"team_id":"E04BRIGHTWA"`)
	assert.Contains(t, body, `"enterprise_id":"E04BRIGHTWA","is_enterprise_install":true`)

	res, body = call(t, s, PathAuthTest, "xoxp-unknown")
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, `{"ok":false,"error":"invalid_auth"}`, body)
	_, body = call(t, s, "/api/chat.dance", token)
	assert.Equal(t, `{"ok":false,"error":"unknown_method"}`, body)
	res, _ = call(t, s, "/elsewhere", token)
	assert.Equal(t, 404, res.StatusCode)
}

func TestOrganisationLimit(t *testing.T) {
	s, c := newTestServer(Options{LimitPerMinute: 3})
	get := func() (int, string) {
		res, _ := call(t, s, PathAudit, token)
		return res.StatusCode, res.Header.Get("Retry-After")
	}
	s.Others(1)
	c.pass(10500 * time.Millisecond)
	for range 2 {
		status, _ := get()
		assert.Equal(t, 200, status)
	}
	status, after := get()
	assert.Equal(t, 429, status)
	assert.Equal(t, "50", after, "until the others' call is a minute old, in whole seconds")
	_, body := call(t, s, PathAuthTest, token)
	assert.Contains(t, body, `"ok":true`, "the limit is the audit API's")

	c.pass(49 * time.Second)
	get()
	require.Len(t, s.Violations(), 1)
	assert.Contains(t, s.Violations()[0], "1s before Retry-After ended")
	c.pass(time.Second)
	status, _ = get()
	assert.Equal(t, 200, status)
	assert.Len(t, s.Violations(), 1)
}

func TestDateHeader(t *testing.T) {
	s, _ := newTestServer(Options{})
	res, _ := call(t, s, PathAudit, token)
	assert.Equal(t, "Mon, 12 Jan 1970 13:46:40 GMT", res.Header.Get("Date"))
	s, _ = newTestServer(Options{OmitDate: true})
	res, _ = call(t, s, PathAudit, token)
	assert.Empty(t, res.Header.Get("Date"))
}

func TestGzip(t *testing.T) {
	s, _ := newTestServer(Options{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://slack.test"+PathAudit, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept-Encoding", "gzip")
	res, err := s.Transport().RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	plain, err := gzip.NewReader(res.Body)
	require.NoError(t, err)
	body, err := io.ReadAll(plain)
	require.NoError(t, err)
	assert.JSONEq(t, `{"entries":[],"response_metadata":{"next_cursor":""}}`, string(body))
}

func TestCalls(t *testing.T) {
	s, c := newTestServer(Options{CallLog: 4})
	s.Add(entryAt("a", 1))
	for range 8 {
		call(t, s, PathAudit, token, "oldest", "1")
		c.pass(30 * time.Second)
	}
	call(t, s, PathAuthTest, "wrong")
	calls := s.Calls()
	assert.Equal(t, 9, s.CallCount())
	require.Len(t, calls, 5, "at least four are kept, less than eight")
	assert.False(t, calls[4].AuthOK)
	first := calls[0]
	assert.Equal(t, 5, first.Seq)
	assert.Equal(t, PathAudit, first.Path)
	assert.Equal(t, "1", first.Query.Get("oldest"))
	assert.Equal(t, 200, first.Status)
	assert.Equal(t, 1, first.Entries)
	assert.True(t, first.AuthOK)
	assert.Equal(t, 2, s.MaxPerMinute(PathAudit), "the third is a whole minute after the first")
	assert.Equal(t, 1, s.MaxPerMinute(PathAuthTest))
}

func TestMillionEntries(t *testing.T) {
	s, c := newTestServer(Options{})
	text := []byte(`{}`)
	entries := make([]Entry, 1_000_000)
	for i := range entries {
		entries[i] = Entry{Date: int64(i / 3), JSON: text}
	}
	s.Add(entries...)
	began := time.Now()
	for i := range 1000 {
		s.Add(Entry{Date: int64(333_000 - i), Shown: c.now, JSON: text})
	}
	p := readPage(t, s, "latest", "200000", "limit", "9999")
	assert.Len(t, p.ids, 9999)
	assert.Less(t, time.Since(began), 20*time.Second, "usable also under the race detector")
}

func TestConcurrentUse(t *testing.T) {
	s := New(Options{LimitPerMinute: 1000})
	s.SetToken(AnyToken, Identity{Scopes: []string{auditScope}})
	s.SetFault(EveryNth(3, FaultTruncated, FaultEmptyPage))
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			client := http.Client{Transport: s.Transport()}
			for i := range 50 {
				s.Add(entryAt("x", int64(i)))
				r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://slack.test"+PathAudit, nil)
				r.Header.Set("Authorization", "Bearer x")
				if res, err := client.Do(r); assert.NoError(t, err) {
					_ = res.Body.Close()
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	assert.Equal(t, 200, s.CallCount())
	assert.Equal(t, 200, s.Len())
}

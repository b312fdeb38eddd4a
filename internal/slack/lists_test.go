// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// listCall is one of the lists of the Web API.
type listCall struct {
	method, key string
	call        func(c *Client, ctx context.Context, q ListQuery) (*Page, error)
}

var listCalls = []listCall{
	{"team.accessLogs", "logins", (*Client).AccessLogs},
	{"team.integrationLogs", "logs", (*Client).IntegrationLogs},
}

// withKey names the list in an answer.
func withKey(body, key string) string { return strings.ReplaceAll(body, "KEY", key) }

// observedCode is what the metrics show: of a 400 without a word only that.
func observedCode(status int, code string) string {
	if status == 400 && code == "invalid_cursor" {
		return "400"
	}
	return code
}

// read asks for one page and reads it.
func (l listCall) read(ctx context.Context, c *Client, q ListQuery) (texts []string, paging Paging, next string, err error) {
	page, err := l.call(c, ctx, q)
	if err != nil {
		return nil, Paging{}, "", err
	}
	next, err = page.Each(ctx, func(e jsonstream.Element) error {
		texts = append(texts, string(e.Text))
		return nil
	})
	return texts, page.Paging(), next, err
}

func TestListRequest(t *testing.T) {
	t.Parallel()
	const (
		access      = "GET https://slack.test/api/team.accessLogs?"
		integration = "GET https://slack.test/api/team.integrationLogs?"
	)
	for _, tt := range []struct {
		name                string
		q                   ListQuery
		access, integration string
	}{
		{"by cursor", ListQuery{Limit: 999}, "limit=999", "count=999&page=1"},
		{"next cursor", ListQuery{TeamID: "T04B", Limit: 5, Cursor: "a+b/c=="}, "cursor=a%2Bb%2Fc%3D%3D&limit=5&team_id=T04B", "count=5&page=1&team_id=T04B"},
		{"a cursor knows its time", ListQuery{Limit: 5, Before: 1_780_000_000}, "limit=5", "count=5&page=1"},
		{"by number", ListQuery{Limit: 5, Page: 1}, "count=5&page=1", "count=5&page=1"},
		{"another number", ListQuery{TeamID: "T04B", Limit: 5, Page: 7, Cursor: "x"}, "count=5&page=7&team_id=T04B", "count=5&page=7&team_id=T04B"},
		{"before", ListQuery{Limit: 5, Page: 2, Before: 1_780_000_000}, "before=1780000000&count=5&page=2", "count=5&page=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i, want := range []string{access + tt.access, integration + tt.integration} {
				var got *http.Request
				answer := fixed(200, `{"ok":true,"logins":[],"logs":[]}`)
				client := newClient(roundTripper(func(r *http.Request) (*http.Response, error) {
					got = r
					return answer(r)
				}), &testClock{now: startTime}, nil)
				_, _, _, err := listCalls[i].read(t.Context(), client, tt.q)
				require.NoError(t, err)
				assert.Equal(t, want, got.Method+" "+got.URL.String())
				assert.Equal(t, "Bearer "+secretToken, got.Header.Get("Authorization"))
			}
		})
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// body has the list's key as KEY.
		status int
		body   string
		cursor string
		rows   []string
		paging Paging
		next   string
		code   string
	}{
		{
			name: "by number", body: `{"ok":true,"KEY":[{"a":1},{"b":2}],"paging":{"count":2,"total":5,"page":1,"pages":3}}`,
			rows: []string{`{"a":1}`, `{"b":2}`}, paging: Paging{Page: 1, Pages: 3, Total: 5, Known: true},
		},
		{
			name: "by cursor", body: `{"ok":true,"response_metadata":{"next_cursor":"on"},"KEY":[{"a":1}]}`,
			rows: []string{`{"a":1}`}, next: "on",
		},
		{
			name: "the last one", body: `{"ok":true,"KEY":[],"response_metadata":{"next_cursor":""},"paging":{"total":0,"page":1,"pages":0}}`,
			paging: Paging{Page: 1, Known: true},
		},
		{name: "rows that are none", body: `{"ok":true,"KEY":[null,5,[]]}`, rows: []string{"null", "5", "[]"}},
		{name: "without ok", body: `{"KEY":[{}]}`, rows: []string{"{}"}},
		{name: "null", body: `{"ok":true,"KEY":null}`, code: CodeUnreadable},
		{name: "an object", body: `{"ok":true,"KEY":{"0":{"a":1}}}`, code: CodeUnreadable},
		{name: "text", body: `{"ok":true,"KEY":"[]"}`, code: CodeUnreadable},
		{name: "none", body: `{"ok":true,"paging":{"total":5,"page":1,"pages":3}}`, code: CodeUnreadable},
		{name: "of the audit API", body: `{"ok":true,"entries":[{}]}`, code: CodeUnreadable},
		{name: "cut off", body: `{"ok":true,"KEY":[{"a":1},{"b"`, rows: []string{`{"a":1}`}, code: CodeUnreadable},
		{name: "a list", body: `[]`, code: CodeUnreadable},
		{name: "HTML", body: `<html>`, code: CodeUnreadable},
		{name: "refused", body: `{"ok":false,"error":"missing_argument"}`, code: "missing_argument"},
		{name: "refused with rows", body: `{"ok":false,"error":"over_pagination_limit","KEY":[]}`, code: CodePageLimit},
		{name: "400", status: 400, code: "400"},
		{name: "400 to a cursor", status: 400, cursor: secretCursor, code: "invalid_cursor"},
		{name: "400 with a code to a cursor", status: 400, cursor: secretCursor, body: `{"ok":false,"error":"invalid_limit"}`, code: "invalid_limit"},
		{name: "403", status: 403, code: "403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, list := range listCalls {
				if list.key == "logs" && tt.cursor != "" {
					continue
				}
				seen := &observed{}
				status := tt.status
				if status == 0 {
					status = 200
				}
				client := newClient(fixed(status, withKey(tt.body, list.key)), &testClock{now: startTime}, seen)
				rows, paging, next, err := list.read(t.Context(), client, ListQuery{Limit: 2, Cursor: tt.cursor})
				assert.Equal(t, []outcome{{list.method, observedCode(tt.status, tt.code)}}, seen.calls)
				assert.Equal(t, tt.rows, rows)
				assert.Equal(t, tt.paging, paging)
				assert.Equal(t, tt.next, next)
				if tt.code == "" {
					require.NoError(t, err)
					continue
				}
				e := asError(t, err)
				assert.Equal(t, list.method, e.Method)
				assert.Equal(t, tt.code, e.Code)
				assertNoSecret(t, err.Error())
			}
		})
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rest string
		want       Paging
	}{
		{"numbers", `,"paging":{"count":100,"total":250,"page":2,"pages":3}`, Paging{2, 3, 250, true}},
		{"text", `,"paging":{"count":"100","total":"250","page":"2","pages":"3"}`, Paging{2, 3, 250, true}},
		{"no rows", `,"paging":{"total":0,"page":1,"pages":0}`, Paging{1, 0, 0, true}},
		{"with warnings", `,"paging":{"total":1,"page":1,"pages":1,"warnings":["x"]}`, Paging{1, 1, 1, true}},
		{"before the rows", `,"paging":{"total":9,"page":9,"pages":9},"paging":{"total":1,"page":1,"pages":1}`, Paging{1, 1, 1, true}},
		{"missing", ``, Paging{}},
		{"null", `,"paging":null`, Paging{}},
		{"a list", `,"paging":[]`, Paging{}},
		{"a number", `,"paging":3`, Paging{}},
		{"no JSON", `,"paging":{"total" 5}`, Paging{}},
		{"empty", `,"paging":{}`, Paging{}},
		{"no total", `,"paging":{"page":1,"pages":3}`, Paging{}},
		{"a null", `,"paging":{"total":null,"page":1,"pages":3}`, Paging{}},
		{"a bool", `,"paging":{"total":true,"page":1,"pages":3}`, Paging{}},
		{"an object", `,"paging":{"total":5,"page":{},"pages":3}`, Paging{}},
		{"negative", `,"paging":{"total":-1,"page":1,"pages":3}`, Paging{}},
		{"a fraction", `,"paging":{"total":2.5,"page":1,"pages":3}`, Paging{}},
		{"too large", `,"paging":{"total":99999999999999999999,"page":1,"pages":3}`, Paging{}},
		{"empty text", `,"paging":{"total":"","page":1,"pages":3}`, Paging{}},
		{"words", `,"paging":{"total":"many","page":1,"pages":3}`, Paging{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, list := range listCalls {
				client := newClient(fixed(200, withKey(`{"ok":true,"KEY":[]`+tt.rest+"}", list.key)), &testClock{now: startTime}, nil)
				page, err := list.call(client, t.Context(), ListQuery{Limit: 2})
				require.NoError(t, err)
				assert.Equal(t, Paging{}, page.Paging())
				_, err = page.Each(t.Context(), func(jsonstream.Element) error { return nil })
				require.NoError(t, err)
				assert.Equal(t, tt.want, page.Paging())
			}
		})
	}
}

func TestTeams(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		cursor string
		teams  []Team
		next   string
		code   string
	}{
		{
			name:  "a page",
			body:  `{"ok":true,"teams":[{"id":"T04B","name":"Tides"},{"id":"T04C","name":"Gräben"}],"response_metadata":{"next_cursor":"on"}}`,
			teams: []Team{{"T04B", "Tides"}, {"T04C", "Gräben"}}, next: "on",
		},
		{name: "the last one", body: `{"ok":true,"teams":[{"id":"T04B","name":"Tides"}],"response_metadata":{"next_cursor":""}}`, teams: []Team{{"T04B", "Tides"}}},
		{name: "none", body: `{"ok":true,"teams":[]}`},
		{
			name: "without a name",
			body: `{"ok":true,"teams":[{"id":"T04B"},{"id":"T04C","name":null},{"id":"T04D","name":7}]}`, teams: []Team{{"T04B", ""}, {"T04C", ""}, {"T04D", ""}},
		},
		{
			name:  "ids that are none",
			body:  `{"ok":true,"teams":[null,5,[],{},{"name":"x"},{"id":null},{"id":7},{"id":""},{"id":"T"},{"id":"t04b"},{"id":"T04/B"},{"id":"T04B "},{"id":"T04B\n"},{"id":"T0123456789012345678901234567890"},{"id":"T04B"},{"id" "T04C"}]}`,
			teams: []Team{{"T04B", ""}},
		},
		{name: "no teams", body: `{"ok":true}`, code: CodeUnreadable},
		{name: "null", body: `{"ok":true,"teams":null}`, code: CodeUnreadable},
		{name: "an object", body: `{"ok":true,"teams":{}}`, code: CodeUnreadable},
		{name: "no ok", body: `{"teams":[{"id":"T04B"}]}`, code: CodeUnreadable},
		{name: "an ok that is none", body: `{"ok":1,"teams":[{"id":"T04B"}]}`, code: CodeUnreadable},
		{name: "cut off", body: `{"ok":true,"teams":[{"id":"T04B"}`, code: CodeUnreadable},
		{name: "an odd cursor", body: `{"ok":true,"teams":[{"id":"T04B"}],"response_metadata":{"next_cursor":5}}`, code: CodeUnreadable},
		{name: "refused", body: `{"ok":false,"error":"invalid_auth"}`, code: "invalid_auth"},
		{name: "400 to a cursor", status: 400, cursor: secretCursor, code: "invalid_cursor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.status == 0 {
				tt.status = 200
			}
			var got *http.Request
			answer := fixed(tt.status, tt.body)
			seen := &observed{}
			client := newClient(roundTripper(func(r *http.Request) (*http.Response, error) {
				got = r
				return answer(r)
			}), &testClock{now: startTime}, seen)
			teams, next, err := client.Teams(t.Context(), tt.cursor)
			query := "limit=1000"
			if tt.cursor != "" {
				query = "cursor=c2VjcmV0LWN1cnNvcg%3D%3D&limit=1000"
			}
			assert.Equal(t, "GET https://slack.test/api/auth.teams.list?"+query, got.Method+" "+got.URL.String())
			assert.Equal(t, []outcome{{"auth.teams.list", observedCode(tt.status, tt.code)}}, seen.calls)
			assert.Equal(t, tt.teams, teams)
			assert.Equal(t, tt.next, next)
			if tt.code == "" {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, tt.code, asError(t, err).Code)
			assertNoSecret(t, err.Error())
		})
	}
}

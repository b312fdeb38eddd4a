// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsersRequests(t *testing.T) {
	t.Parallel()
	for want, call := range map[string]func(c *Client) error{
		"GET https://slack.test/api/users.list?limit=999": func(c *Client) error {
			_, err := c.Users(t.Context(), UsersQuery{Limit: MaxUsers}, func(User) {})
			return err
		},
		"GET https://slack.test/api/users.list?cursor=a%2Bb%3D&limit=200&team_id=T04B": func(c *Client) error {
			_, err := c.Users(t.Context(), UsersQuery{TeamID: "T04B", Limit: 200, Cursor: "a+b="}, func(User) {})
			return err
		},
		"GET https://slack.test/api/users.info?user=W0ADA": func(c *Client) error {
			_, err := c.User(t.Context(), "W0ADA")
			return err
		},
	} {
		answer := fixed(200, `{"ok":true,"members":[],"user":{"id":"W0ADA"}}`)
		got := ""
		client := newClient(roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.Method + " " + r.URL.String()
			return answer(r)
		}), &testClock{now: startTime}, nil)
		require.NoError(t, call(client))
		assert.Equal(t, want, got)
	}
}

func TestUsersAnswers(t *testing.T) {
	t.Parallel()
	const ada = `{"id":"W0ADA","team_id":"T04","deleted":false,"is_admin":true,"is_owner":false,"is_primary_owner":false,"is_restricted":false,"is_ultra_restricted":false,"is_bot":false,
		"enterprise_user":{"enterprise_id":"E04","teams":["T04","T05"]}}`
	want := User{ID: "W0ADA", TeamID: "T04", EnterpriseID: "E04", Teams: []string{"T04", "T05"}, Sound: true, Admin: true}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		list   any // the users or the code
		info   any
	}{
		{"both", 200, `{"ok":true,"members":[` + ada + `],"user":` + ada + `}`, []User{want}, want},
		{"what is no user", 200, `{"ok":true,"members":[7,null,{},{"id":""},{"id":7},` + ada + `],"user":{"id":7}}`, []User{want}, CodeUnreadable},
		{"another user", 200, `{"ok":true,"members":[],"user":{"id":"W0EVE"}}`, []User(nil), CodeUnreadable},
		{"no ok", 200, `{"members":[],"user":` + ada + `}`, CodeUnreadable, CodeUnreadable},
		{"nothing", 200, `{"ok":true}`, CodeUnreadable, CodeUnreadable},
		{"lists", 200, `{"ok":true,"members":{},"user":[]}`, CodeUnreadable, CodeUnreadable},
		{"cut off", 200, `{"ok":true,"members":[{"id":"W0`, CodeUnreadable, CodeUnreadable},
		{"refused", 200, `{"ok":false,"error":"missing_scope","needed":"users:read","provided":"admin"}`, "missing_scope", "missing_scope"},
		{"not found", 200, `{"ok":false,"error":"user_not_found"}`, "user_not_found", "user_not_found"},
		{"an outage", 503, `<html>`, "503", "503"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := &observed{}
			client := newClient(fixed(tt.status, tt.body), &testClock{now: startTime}, seen)
			var users []User
			_, err := client.Users(t.Context(), UsersQuery{Limit: 10}, func(u User) { users = append(users, u) })
			if code, ok := tt.list.(string); ok {
				assert.Equal(t, code, asError(t, err).Code)
			} else {
				require.NoError(t, err)
				assert.Equal(t, tt.list, users)
			}
			user, err := client.User(t.Context(), "W0ADA")
			if code, ok := tt.info.(string); ok {
				assert.Equal(t, code, asError(t, err).Code)
				assert.NotContains(t, err.Error(), "W0")
				assert.Zero(t, user)
			} else {
				require.NoError(t, err)
				assert.Equal(t, tt.info, user)
			}
		})
	}
}

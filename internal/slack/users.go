// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// The methods that tell who somebody is.
const (
	MethodUsers = "users.list"
	MethodUser  = "users.info"
)

// MaxUsers is the largest page of users.list: Slack wants a limit under 1000.
const MaxUsers = 999

// slackbot is a bot of which Slack says that it is none.
const slackbot = "USLACKBOT"

// User is what Slack's user object tells of who somebody is.
type User struct {
	ID string
	// TeamID is the user's home and EnterpriseID the organisation; "" = Slack
	// does not say.
	TeamID, EnterpriseID string
	// Teams are the workspaces of the organisation that the user is in.
	Teams []string
	// Deleted is set for a deactivated user, and Stranger for one of another
	// organisation.
	Deleted, Stranger bool
	// Sound is false when one of the flags below is missing or is no bool: then
	// none of them says anything.
	Sound bool
	// Owner and Admin are those of the workspace or of the organisation, and
	// primary owners are owners.
	Owner, Admin bool
	// Guest is set for those of one channel too.
	Guest bool
	// Bot is set for what is no person, and App for a bot that is an app's or a
	// workflow's.
	Bot, App bool
}

// UsersQuery is one call of users.list.
type UsersQuery struct {
	TeamID string // the workspace; empty = the token's own
	Limit  int    // 1 to MaxUsers
	Cursor string
}

// Users asks users.list for a page, in no order, and returns the cursor of the
// next one. What has no id is left out.
func (c *Client) Users(ctx context.Context, q UsersQuery, yield func(User)) (next string, err error) {
	values := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.TeamID != "" {
		values.Set("team_id", q.TeamID)
	}
	if q.Cursor != "" {
		values.Set("cursor", q.Cursor)
	}
	page, err := c.webList(ctx, MethodUsers, "members", values, q.Cursor)
	if err != nil {
		return "", err
	}
	page.needsOK = true
	return page.Each(ctx, func(e jsonstream.Element) error {
		if u, ok := userOf(e.Root); ok {
			yield(u)
		}
		return nil
	})
}

// User asks users.info for the user of this id.
func (c *Client) User(ctx context.Context, id string) (User, error) {
	ans, err := c.call(ctx, request{method: MethodUser, verb: http.MethodGet, address: c.set.Endpoint + "/" + MethodUser, query: url.Values{"user": {id}}})
	if err != nil {
		return User{}, err
	}
	var a struct {
		refusal
		User json.RawMessage `json:"user"`
	}
	if err := c.decode(ctx, ans, &a, &a.refusal); err != nil {
		return User{}, err
	}
	user, ok := userOf(jsonstream.NewElement(a.User).Root)
	if a.OK == nil || !ok || user.ID != id {
		return User{}, c.failed(ctx, ans, newError(ans.method, CodeUnreadable, "not the user that was asked for"))
	}
	c.keepTime(ans)
	c.observe(ctx, ans, "")
	return user, nil
}

// userOf reads a user object.
//
// is_app_user is not looked at: it does not say that the user is an app, but
// that the user has allowed the app that asks, as whoever installed it has.
func userOf(n jsonstream.Node) (User, bool) {
	id := n.Get("id")
	if id.Kind() != jsonstream.String || len(id.Bytes()) == 0 {
		return User{}, false
	}
	org := n.Get("enterprise_user")
	u := User{
		ID: string(id.Bytes()), TeamID: textOf(n.Get("team_id")), EnterpriseID: textOf(org.Get("enterprise_id")),
		Sound: true,
	}
	for team := range org.Get("teams").Elements() {
		u.Teams = append(u.Teams, textOf(team))
	}
	need := func(name string) bool { return u.flag(n.Get(name), true) }
	may := func(n jsonstream.Node) bool { return u.flag(n, false) }

	u.Deleted, u.Stranger = may(n.Get("deleted")), may(n.Get("is_stranger"))
	owners := []bool{need("is_owner"), need("is_primary_owner"), may(org.Get("is_owner")), may(org.Get("is_primary_owner"))}
	admins := []bool{need("is_admin"), may(org.Get("is_admin"))}
	guests := []bool{need("is_restricted"), need("is_ultra_restricted")}
	// Workflows and connectors act as bots of their own.
	apps := []bool{may(n.Get("is_workflow_bot")), may(n.Get("is_connector_bot"))}
	u.Owner, u.Admin, u.Guest = slices.Contains(owners, true), slices.Contains(admins, true), slices.Contains(guests, true)
	u.App = slices.Contains(apps, true)
	u.Bot = need("is_bot") || u.App || u.ID == slackbot
	u.App = u.App || u.Bot && textOf(n.Get("profile").Get("api_app_id")) != ""
	return u, true
}

// flag reads a bool, and notes one that is not sound.
func (u *User) flag(n jsonstream.Node, needed bool) bool {
	switch n.Kind() {
	case jsonstream.Bool:
		return string(n.Bytes()) == "true"
	case jsonstream.Absent, jsonstream.Null:
		u.Sound = u.Sound && !needed
	default:
		u.Sound = false
	}
	return false
}

// textOf is a string, and empty for anything else.
func textOf(n jsonstream.Node) string {
	if n.Kind() != jsonstream.String {
		return ""
	}
	return string(n.Bytes())
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

var flags = map[string]any{
	"id": "W0ADA", "team_id": harbour, "deleted": false, "is_admin": false, "is_owner": false, "is_primary_owner": false,
	"is_restricted": false, "is_ultra_restricted": false, "is_bot": false, "is_app_user": false,
}

// object is a user object in which something is other than usual; nil takes it
// out.
func object(t *testing.T, other map[string]any) slacktest.User {
	t.Helper()
	v := map[string]any{}
	for _, members := range []map[string]any{flags, other} {
		for key, value := range members {
			if v[key] = value; value == nil {
				delete(v, key)
			}
		}
	}
	text, err := json.Marshal(v)
	require.NoError(t, err)
	id, _ := v["id"].(string)
	return slacktest.User{ID: id, Teams: []string{harbour}, JSON: text}
}

// What the flags of a user say, in the list and by users.info. What is not
// certain is no role, and never that of a member.
func TestRolesOfAnObject(t *testing.T) {
	t.Parallel()
	is := func(members ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(members); i += 2 {
			m[members[i].(string)] = members[i+1]
		}
		return m
	}
	for name, tt := range map[string]struct {
		other map[string]any
		want  []string
	}{
		"full member":                        {nil, []string{"member"}},
		"admin":                              {is("is_admin", true), []string{"admin"}},
		"owner":                              {is("is_admin", true, "is_owner", true), []string{"owner", "admin"}},
		"primary owner":                      {is("is_admin", true, "is_owner", true, "is_primary_owner", true), []string{"owner", "admin"}},
		"primary owner only":                 {is("is_primary_owner", true), []string{"owner"}},
		"owner of the organisation":          {is("enterprise_user", is("enterprise_id", org, "is_owner", true)), []string{"owner"}},
		"primary owner of the organisation":  {is("enterprise_user", is("enterprise_id", org, "is_primary_owner", true)), []string{"owner"}},
		"admin of the organisation":          {is("enterprise_user", is("enterprise_id", org, "is_admin", true)), []string{"admin"}},
		"guest":                              {is("is_restricted", true), []string{"guest"}},
		"guest of one channel":               {is("is_restricted", true, "is_ultra_restricted", true), []string{"guest"}},
		"who installed this app":             {is("is_admin", true, "is_app_user", true), []string{"admin"}},
		"member who allowed this app":        {is("is_app_user", true), []string{"member"}},
		"bot without an app":                 {is("is_bot", true, "profile", is("api_app_id", "")), []string{"bot"}},
		"bot of an app":                      {is("is_bot", true, "profile", is("api_app_id", "A05TIDE")), []string{"bot", "app"}},
		"workflow":                           {is("is_bot", true, "is_workflow_bot", true), []string{"bot", "app"}},
		"connector":                          {is("is_bot", true, "is_connector_bot", true), []string{"bot", "app"}},
		"bot with rights":                    {is("is_bot", true, "is_admin", true), []string{"admin", "bot"}},
		"slackbot":                           {is("id", "USLACKBOT"), []string{"bot"}},
		"bot of another organisation":        {is("is_bot", true, "is_stranger", true), []string{"bot"}},
		"deactivated":                        {is("deleted", true), nil},
		"deactivated, with nothing else":     {is("deleted", true, "is_admin", nil, "is_owner", nil, "is_restricted", nil), nil},
		"deactivated admin":                  {is("deleted", true, "is_admin", true), nil},
		"stranger":                           {is("is_stranger", true), nil},
		"stranger who is an admin elsewhere": {is("is_stranger", true, "is_admin", true), nil},
		"of another workspace":               {is("team_id", labs), nil},
		"of no workspace":                    {is("team_id", nil), nil},
		"admin of another workspace":         {is("team_id", labs, "is_admin", true), nil},
		"of another workspace but here too":  {is("team_id", labs, "enterprise_user", is("teams", []any{labs, harbour})), []string{"member"}},
		"is_admin missing":                   {is("is_admin", nil), nil},
		"is_owner missing":                   {is("is_owner", nil), nil},
		"is_primary_owner missing":           {is("is_primary_owner", nil), nil},
		"is_restricted missing":              {is("is_restricted", nil), nil},
		"is_ultra_restricted missing":        {is("is_ultra_restricted", nil), nil},
		"is_bot missing":                     {is("is_bot", nil), nil},
		"is_admin is text":                   {is("is_admin", "false"), nil},
		"is_owner is a number":               {is("is_owner", 0), nil},
		"deleted is text":                    {is("deleted", "false"), nil},
		"is_stranger is text":                {is("is_stranger", "no"), nil},
		"organisation's flag is text":        {is("enterprise_user", is("is_admin", "false")), nil},
		"enterprise_user is a list":          {is("enterprise_user", []any{}), []string{"member"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := object(t, tt.other)
			w := newWorld(t, workspace())
			w.slack.SetUser(user)
			w.pass(time.Minute)
			assert.Equal(t, tt.want, w.of(user.ID), "users.list")

			w = newWorld(t, workspace())
			user.Teams = nil
			w.slack.SetUser(user)
			w.pass(time.Minute)
			assert.Empty(t, w.of(user.ID), "it is not in the list")
			w.pass(time.Minute)
			assert.Equal(t, tt.want, w.of(user.ID), "users.info")
		})
	}
}

func TestIDsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	w.pass(time.Minute)
	calls := w.slack.CallCount()
	for _, id := range []string{"", "W", "B04BOT", "w04ada", "W04 ADA", "W04ÅDA", "W0123456789ABCDEF", "../etc"} {
		assert.Empty(t, w.of(id), id)
	}
	w.pass(time.Minute)
	assert.Equal(t, calls, w.slack.CallCount(), "nobody is asked for them")
}

// A list of many pages, some of them empty, is read to its end.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace(), func(_ *Settings, opt *slacktest.Options) { opt.EmptyPages = 3 })
	const users = 4500
	for n := range users {
		w.slack.SetUser(full(fmt.Sprintf("W0%05d", n)))
	}
	w.pass(time.Second) // which has one call, and the next in six seconds
	assert.Equal(t, []string{"member"}, w.of("W000001"), "those of a page are known at once")
	assert.Empty(t, w.of("W004499"))
	w.pass(5 * time.Minute)
	for n := range users {
		require.Equal(t, []string{"member"}, w.of(fmt.Sprintf("W0%05d", n)))
	}
	calls := w.slack.CallCount()
	w.pass(50 * time.Minute)
	assert.Equal(t, calls, w.slack.CallCount(), "not before the next interval")
	w.pass(10 * time.Minute)
	assert.Greater(t, w.slack.CallCount(), calls)
}

func TestWorkspacesOfAnOrganisation(t *testing.T) {
	t.Parallel()
	both := []string{harbour, labs}
	w := newWorld(t, organisation(both...))
	w.slack.SetUser(
		slacktest.User{ID: "W0ONE", Org: org, Teams: both[1:]},
		slacktest.User{ID: "W0BOTH", Org: org, Teams: both},
		slacktest.User{ID: "W0ADMIN", Org: org, Teams: both, AdminOf: both[1:]},
		slacktest.User{ID: "W0EARLY", Org: org, Teams: both, AdminOf: both[:1]},
		slacktest.User{ID: "W0MORE", Org: org, Teams: []string{harbour, "T04ELSEWHERE"}},
		slacktest.User{ID: "W0CHIEF", Org: org, Teams: []string{harbour, "T04ELSEWHERE"}, OrgOwner: true},
		slacktest.User{ID: "W0GONE", Org: org, Teams: both, Deleted: true},
		slacktest.User{ID: "W0OTHER", Org: "E04OTHER", Teams: both},
		slacktest.User{ID: "W0OLD", Org: "T04", Teams: both[:1]},
		slacktest.User{ID: "U0BOT", Org: org, Teams: both, Bot: true},
	)
	// auth.test, auth.teams.list and the first workspace.
	for w.asks(slacktest.PathUsers, "") == 0 {
		w.pass(time.Second)
	}
	assert.Equal(t, []string{"admin"}, w.of("W0EARLY"), "that somebody is one is certain at once")
	assert.Equal(t, []string{"bot"}, w.of("U0BOT"))
	assert.Empty(t, w.of("W0BOTH"), "who is a member here may be an admin in the other workspace")
	assert.Empty(t, w.of("W0ADMIN"))

	w.pass(time.Minute)
	for id, want := range map[string][]string{
		"W0ONE": {"member"}, "W0BOTH": {"member"}, "W0ADMIN": {"admin"}, "W0EARLY": {"admin"}, "W0CHIEF": {"owner", "admin"},
		"W0MORE": nil, "W0GONE": nil, "W0OTHER": nil, "W0OLD": nil,
	} {
		assert.Equal(t, want, w.of(id), id)
	}
	w.pass(time.Minute)
	assert.Empty(t, w.of("W0MORE"), "users.info does not say of which workspace its flags are")
}

// Somebody who waits to be asked for when the list comes is not asked for:
// users.info would say less.
func TestTheListKnowsMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, organisation(harbour))
	w.pass(time.Minute)
	// Nobody is in the list yet, and users.info is held up until it is read again.
	w.slack.SetUser(full("W0ADA"))
	w.users.budget.Pause(w.clock.Now().Add(time.Hour), w.clock.Now())
	assert.Empty(t, w.of("W0ADA"))
	w.pass(2 * time.Hour)
	assert.Equal(t, []string{"member"}, w.of("W0ADA"))
	assert.Zero(t, w.asks(slacktest.PathUser, ""))
}

func TestTeamIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, organisation(harbour, labs), func(set *Settings, _ *slacktest.Options) { set.TeamIDs = []string{labs} })
	w.slack.SetUser(slacktest.User{ID: "W0ADA", Org: org, Teams: []string{labs}})
	w.pass(time.Minute)
	assert.Equal(t, []string{"member"}, w.of("W0ADA"))
	assert.Equal(t, 1, w.asks(slacktest.PathUsers, ""))
	assert.Zero(t, w.asks(slacktest.PathTeams, ""))
}

// A workspace that is refused, or whose list breaks off, keeps nobody else from
// being known; but who is in it too may be an admin there.
func TestWorkspaceThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	both := []string{harbour, labs}
	for name, spoil := range map[string]func(w *world){
		"refused": func(w *world) { w.slack.Refuse(harbour, "team_access_not_granted") },
		"broken": func(w *world) {
			w.slack.SetFault(func(c slacktest.Call) slacktest.Fault {
				if c.Path == slacktest.PathUsers && c.Query.Get("team_id") == harbour {
					return slacktest.FaultTruncated
				}
				return slacktest.FaultNone
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, organisation(both...))
			w.slack.SetUser(
				slacktest.User{ID: "W0ONE", Org: org, Teams: both[1:]},
				slacktest.User{ID: "W0BOTH", Org: org, Teams: both},
				slacktest.User{ID: "W0ADMIN", Org: org, Teams: both, AdminOf: both[1:]},
				slacktest.User{ID: "W0DEMOTED", Org: org, Teams: both},
			)
			spoil(w)
			w.pass(10 * time.Minute)
			assert.Equal(t, []string{"member"}, w.of("W0ONE"))
			assert.Equal(t, []string{"admin"}, w.of("W0ADMIN"))
			assert.Empty(t, w.of("W0BOTH"))
			w.pass(3 * interval)
			assert.Len(t, w.said(zapcore.WarnLevel), 1, "it is named once")

			w.slack.Refuse(harbour, "")
			w.slack.SetFault(nil)
			w.pass(interval)
			assert.Equal(t, []string{"member"}, w.of("W0BOTH"))
			assert.Len(t, w.said(zapcore.InfoLevel), 2, "and that it is over")
		})
	}
}

func TestOrganisationWithoutWorkspaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, organisation())
	w.slack.SetUser(slacktest.User{ID: "W0CHIEF", Org: org, OrgOwner: true}, slacktest.User{ID: "W0ADA", Org: org})
	w.pass(time.Minute)
	require.Len(t, w.said(zapcore.WarnLevel), 1)
	assert.Contains(t, w.said(zapcore.WarnLevel)[0], "add the app to the workspaces")
	w.of("W0CHIEF")
	w.of("W0ADA")
	w.pass(time.Minute)
	assert.Equal(t, []string{"owner", "admin"}, w.of("W0CHIEF"))
	assert.Empty(t, w.of("W0ADA"))
	w.pass(3 * interval)
	assert.Len(t, w.said(zapcore.WarnLevel), 1)
}

// Whom the list does not name is asked for once in an interval, found or not,
// and not before the list has had its chance.
func TestStrangersAreAskedForOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	strangers := map[string]slacktest.User{
		"W0FOUND":    {ID: "W0FOUND", Org: org, Stranger: true},
		"U0BOT":      {ID: "U0BOT", Org: "E04OTHER", Bot: true},
		"W0NOTFOUND": {},
	}
	for id, u := range strangers {
		if u.ID != "" {
			w.slack.SetUser(u)
		}
		assert.Empty(t, w.of(id))
	}
	w.pass(time.Minute)
	assert.Zero(t, w.asks(slacktest.PathUser, ""), "who was asked for before the list came")
	for minute := range 300 {
		for id := range strangers {
			roles := w.of(id)
			if id != "U0BOT" {
				assert.Empty(t, roles)
			} else if minute > 1 {
				assert.Equal(t, []string{"bot"}, roles)
			}
		}
		w.pass(time.Minute)
	}
	for id := range strangers {
		assert.Equal(t, 5, w.asks(slacktest.PathUser, id), id)
	}
}

// What changes in Slack is known with the next reading.
func TestRolesChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	promoted, demoted, gone, left := full("W0UP"), full("W0DOWN"), full("W0GONE"), full("W0LEFT")
	demoted.OwnerOf, gone.AdminOf = []string{harbour}, []string{harbour}
	w.slack.SetUser(promoted, demoted, gone, left)
	w.pass(time.Minute)
	assert.Equal(t, []string{"member"}, w.of("W0UP"))
	assert.Equal(t, []string{"owner", "admin"}, w.of("W0DOWN"))
	assert.Equal(t, []string{"admin"}, w.of("W0GONE"))

	promoted.AdminOf, demoted.OwnerOf, gone.Deleted, left.Teams = []string{harbour}, nil, true, nil
	left.Stranger = true
	w.slack.SetUser(promoted, demoted, gone, left)
	w.pass(interval)
	assert.Equal(t, []string{"admin"}, w.of("W0UP"))
	assert.Equal(t, []string{"member"}, w.of("W0DOWN"))
	assert.Empty(t, w.of("W0GONE"))
	w.of("W0LEFT")
	w.pass(time.Minute)
	assert.Empty(t, w.of("W0LEFT"), "users.info has told")
	assert.Equal(t, 1, w.asks(slacktest.PathUser, ""), "who is deactivated need not be asked for")
}

// What is known stays so for a day while it can't be read again, then it is a
// guess. Nothing is forgotten because of a failure before.
func TestKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ refresh, kept time.Duration }{
		{time.Hour, 24 * time.Hour},
		{20 * time.Hour, 40 * time.Hour},
	} {
		w := newWorld(t, workspace(), func(set *Settings, _ *slacktest.Options) { set.RefreshInterval = tt.refresh })
		w.slack.SetUser(full("W0ADA"))
		w.pass(time.Minute)
		for _, path := range []string{slacktest.PathUsers, slacktest.PathUser} {
			w.slack.Deny(path, "fatal_error")
		}
		w.pass(tt.kept - 2*time.Minute)
		assert.Equal(t, []string{"member"}, w.of("W0ADA"))
		w.pass(2 * time.Minute)
		assert.Empty(t, w.of("W0ADA"))
		for _, path := range []string{slacktest.PathUsers, slacktest.PathUser} {
			w.slack.Deny(path, "")
		}
		w.pass(10 * time.Minute)
		assert.Equal(t, []string{"member"}, w.of("W0ADA"))
	}
}

// Whatever answers do, calls keep to budget and Retry-After, nobody becomes
// what he is not, and all are known once Slack is well.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range slacktest.Faults() {
		if fault == slacktest.FaultEndless || fault == slacktest.FaultGzipBomb {
			continue // take their time, and are the client's matter
		}
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, organisation(harbour, labs))
			both := []string{harbour, labs}
			for n := range 30 {
				w.slack.SetUser(slacktest.User{ID: fmt.Sprintf("W0A%02d", n), Org: org, Teams: both, AdminOf: both[n%2:][:1]})
			}
			w.slack.SetUser(slacktest.User{ID: "U0BOT", Org: org, Bot: true})
			w.slack.SetFault(slacktest.EveryNth(2, fault))
			look := func() {
				assert.NotContains(t, w.of("U0BOT"), "member")
				for n := range 30 {
					assert.NotContains(t, w.of(fmt.Sprintf("W0A%02d", n)), "member")
				}
			}
			for range 120 {
				look()
				w.pass(time.Minute)
			}
			w.slack.SetFault(nil)
			w.pass(2 * interval)
			look()
			w.pass(time.Minute)
			assert.Equal(t, []string{"bot"}, w.of("U0BOT"))
			for n := range 30 {
				assert.Equal(t, []string{"admin"}, w.of(fmt.Sprintf("W0A%02d", n)))
			}
			assert.LessOrEqual(t, w.slack.MaxPerMinute(slacktest.PathUsers), listsPerMinute+5)
			assert.LessOrEqual(t, w.slack.MaxPerMinute(slacktest.PathUser), usersPerMinute+5)
		})
	}
}

// A list whose cursors are always refused ends the reading; others are still
// asked for one by one.
func TestCursorsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace(), func(_ *Settings, opt *slacktest.Options) { opt.StaleEvery = 1 })
	for n := range 2000 {
		w.slack.SetUser(full(fmt.Sprintf("W0%05d", n)))
	}
	w.pass(5 * time.Minute)
	calls := w.asks(slacktest.PathUsers, "")
	assert.Equal(t, []string{"member"}, w.of("W000001"))
	assert.Empty(t, w.of("W001999"))
	w.pass(30 * time.Minute)
	assert.Equal(t, calls, w.asks(slacktest.PathUsers, ""), "it does not go round and round")
	assert.Equal(t, []string{"member"}, w.of("W001999"))
	assert.Len(t, w.said(zapcore.WarnLevel), 1)
}

// The calls stay well under Slack's limits, with a list and strangers enough
// for an hour.
func TestBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	for n := range 8_000 {
		w.slack.SetUser(full(fmt.Sprintf("W0%05d", n)))
	}
	w.pass(10 * time.Minute)
	for n := range 2 * maxWanted {
		w.of(fmt.Sprintf("W0X%05d", n))
	}
	assert.Len(t, w.wanted, maxWanted, "others come with a later record")
	w.pass(time.Hour)
	assert.Equal(t, maxWanted, w.asks(slacktest.PathUser, ""))
	assert.LessOrEqual(t, w.slack.MaxPerMinute(slacktest.PathUsers), 15)
	assert.LessOrEqual(t, w.slack.MaxPerMinute(slacktest.PathUser), 35)
	for _, c := range w.slack.Calls() {
		assert.NotEqual(t, 429, c.Status)
	}
}

// What only a person mends is named once, with what to do, and heals by itself.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, advice := range map[string]string{
		"missing_scope":            "users:read for actor_roles",
		"not_allowed_token_type":   "use the user token",
		"enterprise_is_restricted": "ask an Org Owner",
		"invalid_auth":             "install the app again",
		"something_new":            "does not know",
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, workspace())
			w.slack.SetUser(full("W0ADA"), slacktest.User{ID: "U0BOT", Org: org, Bot: true})
			for _, path := range []string{slacktest.PathUsers, slacktest.PathUser} {
				w.slack.Deny(path, code)
			}
			for range 90 {
				assert.Empty(t, w.of("W0ADA"))
				assert.Empty(t, w.of("U0BOT"))
				w.pass(time.Minute)
			}
			require.Len(t, w.said(zapcore.WarnLevel), 1)
			assert.Contains(t, w.said(zapcore.WarnLevel)[0], advice)
			assert.Less(t, w.asks(slacktest.PathUsers, ""), 100)

			for _, path := range []string{slacktest.PathUsers, slacktest.PathUser} {
				w.slack.Deny(path, "")
			}
			w.pass(refusedPause + time.Minute)
			assert.Equal(t, []string{"member"}, w.of("W0ADA"))
			w.of("U0BOT")
			w.pass(interval)
			w.of("U0BOT")
			w.pass(time.Minute)
			assert.Equal(t, []string{"bot"}, w.of("U0BOT"))
			assert.Len(t, w.said(zapcore.InfoLevel), 2)
		})
	}
}

// oneToken brings a token that Slack refuses, and then one that it knows.
type oneToken struct{ refused bool }

func (o *oneToken) Token(context.Context) (string, error) {
	if o.refused {
		return token, nil
	}
	return "xoxp-old", nil
}

func (o *oneToken) Refused(_, _ string) { o.refused = true }

func TestTokenThatWasReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace(), func(set *Settings, _ *slacktest.Options) { set.Slack.Tokens = &oneToken{} })
	w.slack.SetUser(full("W0ADA"))
	w.pass(time.Minute)
	assert.Equal(t, []string{"member"}, w.of("W0ADA"))
	assert.Empty(t, w.said(zapcore.InfoLevel))
}

// A Retry-After for auth.test or auth.teams.list is everybody's, and others'
// counts here.
func TestPausesAreShared(t *testing.T) {
	t.Parallel()
	for path, method := range map[string]string{slacktest.PathAuthTest: slack.MethodAuthTest, slacktest.PathTeams: slack.MethodTeams} {
		w := newWorld(t, organisation(harbour))
		w.slack.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultRateLimit), path))
		w.pass(10 * time.Second)
		assert.Positive(t, w.set.Pauses.Left(method, w.clock.Now()), method)
		w.set.Pauses.Note(method, w.clock.Now().Add(20*time.Minute), w.clock.Now())
		w.slack.SetFault(nil)
		w.pass(19 * time.Minute)
		assert.Equal(t, 1, w.asks(path, ""), method)
		w.pass(2 * time.Minute)
		assert.Equal(t, 2, w.asks(path, ""), method)
	}
}

// A user who can't be read does not keep others waiting.
func TestOneUserThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, workspace())
	w.slack.SetUser(
		slacktest.User{ID: "W0BAD", JSON: []byte(`{"id":"W0SOMEBODYELSE","is_admin":true}`)},
		slacktest.User{ID: "U0BOT", Org: org, Bot: true},
	)
	w.pass(time.Minute)
	w.of("W0BAD")
	w.of("U0BOT")
	w.pass(2 * time.Minute)
	assert.Empty(t, w.of("W0BAD"))
	assert.Equal(t, []string{"bot"}, w.of("U0BOT"))
	assert.Equal(t, maxTries, w.asks(slacktest.PathUser, "W0BAD"))
	w.pass(30 * time.Minute)
	assert.Equal(t, maxTries, w.asks(slacktest.PathUser, "W0BAD"))
}

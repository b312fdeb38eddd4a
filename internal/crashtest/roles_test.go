// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const actorRoles = `
receivers:
  slacklogs:
    actor_roles: {}
`

// rolesSeen remembers the roles that the records of each user bring, on their way to a backend.
type rolesSeen struct {
	mu  sync.Mutex
	all map[string]string
}

func seeRoles(t *testing.T, to *backend) *rolesSeen {
	t.Helper()
	seen := &rolesSeen{all: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, err := io.ReadAll(r.Body); err == nil {
			r.Body = io.NopCloser(bytes.NewReader(text))
			seen.look(r)
			r.Body = io.NopCloser(bytes.NewReader(text))
		}
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	to.url = server.URL
	return seen
}

func (s *rolesSeen) look(r *http.Request) {
	logs, err := read(r)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		for _, rec := range rl.ScopeLogs().At(0).LogRecords().All() {
			attrs := rec.Attributes().AsRaw()
			if roles, ok := attrs["user.roles"]; ok {
				s.all[fmt.Sprint(attrs["user.id"])] = fmt.Sprint(roles)
			}
		}
	}
}

func (s *rolesSeen) take() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = map[string]string{}
	return all
}

// counted waits until records are counted so: that is after the backend has taken them. People go on meanwhile: what has
// come so far may be of the collector before.
func counted(c *collector, outcome string, act func()) {
	c.t.Helper()
	c.waitFor(outcome+" roles are counted", func() bool {
		act()
		n, _ := c.metrics().value("otelcol_slacklogs_actor_roles", fmt.Sprintf("outcome=%q", outcome), `log_type="access"`)
		return n > 0
	})
}

// The built collector tells who the actors are, also after kill -9; where Slack does not let it know, it says so once
// and goes on.
func TestActorRoles(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	id := slack.org.Identity()
	id.TeamID, id.IsEnterpriseInstall, id.Teams = harbour, false, nil
	slack.SetToken(token, id)
	slack.SetUser(slack.org.Users()...)
	people := map[string]string{
		"W04BW000000": "[owner admin]", "W04BW000003": "[admin]", "W04BW000012": "[member]", "W04BW000033": "[guest]", "U05BWBOT000": "[bot app]",
	}
	n := int64(0)
	act := func() {
		now := time.Now().Unix()
		for id := range people {
			n++
			slack.SetLogin(slacktest.Login{Team: harbour, UserID: id, IP: "198.51.100.7", UserAgent: strconv.FormatInt(n, 10), First: now, Last: now, Count: 1})
		}
	}

	to := newBackend(t)
	seen := seeRoles(t, to)
	c := prepare(t, slack, to, accessConfig(hoursAgo(1)), actorRoles)
	for range 2 {
		c.start()
		seen.take()
		found := map[string]string{}
		c.waitFor("the roles are known", func() bool {
			act()
			maps.Copy(found, seen.take())
			return len(found) == len(people)
		})
		assert.Equal(t, people, found)
		counted(c, "known", act)
		c.kill()
	}

	for _, path := range []string{slacktest.PathUsers, slacktest.PathUser} {
		slack.Deny(path, "missing_scope")
	}
	c.start()
	seen.take()
	act()
	c.waitFor("all has arrived", func() bool { return to.arrivedRows("access") == int(n) })
	assert.Empty(t, seen.take())
	counted(c, "unknown", act)
	failing, _ := c.metrics().value("otelcol_slacklogs_failing")
	assert.Zero(t, failing)
	assert.Equal(t, 1, strings.Count(c.out.String(), "missing_scope (needed users:read"))
	require.Empty(t, slack.Violations())
	c.stop()
}

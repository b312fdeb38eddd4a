// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// One of the workspaces can't be read: the others are complete, and it is named. Once it can, it is complete too.
func TestWorkspaces(t *testing.T) {
	t.Parallel()
	everything := []string{"access", "integration"}
	for name, test := range map[string]struct {
		setting, refused string
		read             []string
	}{
		// What a workspace says whose member the token's owner is not.
		"named": {"team_ids: [" + harbour + ", " + labs + "]", "invalid_auth", []string{harbour, labs}},
		"all":   {`team_ids: ["*"]`, "team_access_not_granted", []string{harbour, labs, field}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, slacktest.Options{TeamsPerPage: 2})
			start := hoursAgo(24)
			g := newLedger(t, slack, start)
			for _, team := range test.read {
				g.past(team, 800, 300)
			}
			if len(test.read) < 3 {
				slack.SetLogin(slack.org.Login(field, time.Now().Unix()))
				slack.AddChange(slack.org.Change(field, time.Now().Unix()))
			}
			slack.Refuse(labs, test.refused)
			to := newBackend(t)
			c := prepare(t, slack, to, healthConfig, accessConfig(start, "page_size: 100", "sweep_interval: 1s", test.setting),
				integrationConfig(start, "page_size: 100", test.setting))
			c.args = append(c.args, statusGate)
			c.env["HEALTH_PORT"] = freePort(t)
			c.start()

			var others []string
			for _, team := range test.read {
				if team != labs {
					others = append(others, team)
				}
			}
			g.waitForAll(c, to, others...)
			c.waitFor("the receiver is in trouble", func() bool {
				h := c.health()
				return h.receiver().Status == "StatusRecoverableError" && !h.Healthy
			})
			said := c.health().receiver().Error
			t.Logf("status: %s", said)
			assert.Contains(t, said, labs, "which workspace fails")
			assert.Contains(t, said, test.refused, "why")
			for _, team := range others {
				assert.NotContains(t, said, team)
			}
			for range 200 {
				g.moment(everything, others...)
			}
			g.waitForAll(c, to, others...)
			require.Zero(t, to.allRows(labs))

			g.moment([]string{"access"}, labs)
			slack.Refuse(labs, "")
			g.waitForAll(c, to)
			c.waitFor("the receiver is well again", func() bool {
				h := c.health()
				return h.receiver().Status == "StatusOK" && h.Healthy
			})
			g.requireOnce(c, to, listPaths...)
			requireResources(t, slack, to, test.read, name == "all")
			requireTeamMetrics(t, c.metrics(), to, test.read)
			c.stop()
		})
	}
}

// requireResources: each workspace comes with what Slack calls it and its organisation.
func requireResources(t *testing.T, slack *fakeSlack, to *backend, teams []string, named bool) {
	t.Helper()
	to.mu.Lock()
	defer to.mu.Unlock()
	id := slack.org.Identity()
	names := map[string]string{}
	for _, team := range id.Teams {
		names[team.ID] = team.Name
	}
	for _, team := range teams {
		for _, kind := range []string{"access", "integration"} {
			want := map[string]any{"slack.team.id": team, "slack.enterprise.id": id.EnterpriseID, "slack.enterprise.name": id.EnterpriseName, "slack.enterprise.domain": "brightwater"}
			if named { // auth.teams.list told
				want["slack.team.name"] = names[team]
			}
			assert.Equal(t, want, to.resources[kind+" "+team], kind)
		}
	}
	assert.Len(t, to.resources, 2*len(teams))
}

// requireTeamMetrics: the metrics tell the workspaces apart.
func requireTeamMetrics(t *testing.T, page metricsPage, to *backend, teams []string) {
	t.Helper()
	for _, team := range teams {
		for _, kind := range []string{"access", "integration"} {
			of := []string{`receiver="slacklogs"`, `log_type="` + kind + `"`, `team_id="` + team + `"`}
			delivered, _ := page.value("otelcol_slacklogs_entries", append(of, `outcome="delivered"`)...)
			assert.Equal(t, float64(to.arrivedRows(kind, team)), delivered, of)
			for _, name := range []string{"event_staleness", "poll_staleness", "watermark_lag", "stale"} {
				_, found := page.value("otelcol_slacklogs_"+name, of...)
				assert.True(t, found, "%s %s", name, of)
			}
		}
	}
	_, found := page.value("otelcol_slacklogs_request_duration_count", `method="team.accessLogs"`, `team_id="`+labs+`"`, "error_type=")
	assert.True(t, found, "calls that were refused")
}

// All three log types of one organisation at once, stopped, killed and started.
func TestAllLogTypes(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{TeamsPerPage: 1, Overshoot: true})
	start := hoursAgo(24)
	g := newLedger(t, slack, start)
	everything, teams := []string{"access", "integration"}, []string{harbour, labs, field}
	for _, team := range teams {
		g.past(team, 1000, 400)
	}
	slack.past(3000, start.Add(time.Hour), time.Now())
	to := newBackend(t)
	c := prepare(t, slack, to, auditConfig, accessConfig(start, "page_size: 100", "sweep_interval: 1s", `team_ids: ["*"]`),
		integrationConfig(start, "page_size: 100", `team_ids: ["*"]`))
	all := func() {
		g.waitForAll(c, to)
		to.waitForAll(c, slack)
	}
	paths := append([]string{slacktest.PathAudit}, listPaths...)

	c.start()
	all()
	g.requireOnce(c, to, paths...)
	for range 3 {
		g.live(c, everything, time.Second, teams...)
		slack.happen(50, time.Now())
		c.terminate()
		for range 100 {
			g.moment(everything, teams...)
		}
		slack.happen(50, time.Now())
		c.start()
		g.live(c, everything, time.Second, teams...)
		all()
	}
	g.requireOnce(c, to, paths...)
	require.Zero(t, to.repeats())
	requireResources(t, slack, to, teams, true)

	for range 3 {
		g.live(c, everything, time.Second, teams...)
		slack.happen(50, time.Now())
		c.kill()
		for range 100 {
			g.moment(everything, teams...)
		}
		c.start()
	}
	all()
	g.requireTrue(t, to)
	to.requireOnlyLastBatches(t)
	t.Logf("%d audit log entries came again after 3 kills", to.repeats())
	assert.LessOrEqual(t, to.repeats(), 3*maxBatch)
	to.requireOneTypePerName(t)
	slack.requireNoViolations(t)
	c.stop()
}

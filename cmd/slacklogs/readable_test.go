// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

func TestReadable(t *testing.T) {
	org := slacktest.NewOrganisation(1).Identity()
	with := func(change func(*slacktest.Identity)) slacktest.Identity {
		id := org
		change(&id)
		return id
	}
	workspace := slacktest.Identity{TeamID: "T04BWHARBOR", Team: "Harbour", URL: "https://harbour.slack.com/", Scopes: []string{"admin"}}
	const all = "audit_logs: {}\naccess_logs: {team_ids: [\"*\"]}\nintegration_logs: {team_ids: [\"*\"]}\n"
	for _, tt := range []struct {
		name   string
		id     slacktest.Identity
		set    func(*slacktest.Server)
		stdout string
		lines  [3]string // each log type's line begins so
	}{
		{"all", org, nil, all, [3]string{"audit logs: on", "access logs: on", "integration logs: on"}},
		{
			"a workspace's token", workspace, nil, "access_logs: {}\nintegration_logs: {}\n",
			[3]string{"audit logs: off, audit.logs: missing_scope (needed auditlogs:read, provided admin): ", "access logs: on", "integration logs: on"},
		},
		{
			"audit only", with(func(id *slacktest.Identity) { id.Scopes = []string{"auditlogs:read"} }), nil, "audit_logs: {}\n",
			[3]string{
				"audit logs: on", "access logs: off, team.accessLogs: missing_scope (needed admin, provided auditlogs:read): ",
				"integration logs: off, team.integrationLogs: missing_scope (needed admin, provided auditlogs:read): ",
			},
		},
		{
			"one workspace is closed", org, func(s *slacktest.Server) { s.Refuse(org.Teams[0].ID, "team_access_not_granted") }, all,
			[3]string{"audit logs: on", "access logs: on", "integration logs: on"},
		},
		{
			"all workspaces are closed", org,
			func(s *slacktest.Server) {
				for _, team := range org.Teams {
					s.Refuse(team.ID, "team_access_not_granted")
				}
			},
			"audit_logs: {}\n",
			[3]string{"audit logs: on", "access logs: off, team.accessLogs: team_access_not_granted: The app is not approved", "integration logs: off, "},
		},
		{
			"no workspace", with(func(id *slacktest.Identity) { id.Teams = nil }), nil, "audit_logs: {}\n",
			[3]string{"audit logs: on", "access logs: off, the app is on no workspace: ", "integration logs: off, the app is on no workspace: "},
		},
		{
			"revoked", org, func(s *slacktest.Server) { s.Revoke("xoxp-1") }, "",
			[3]string{"audit logs: off, auth.test: invalid_auth: ", "access logs: off, auth.test: ", "integration logs: off, auth.test: "},
		},
		{
			"Slack is in trouble", org, func(s *slacktest.Server) {
				s.SetFault(slacktest.Only(slacktest.EveryNth(1, slacktest.FaultInternal), slacktest.PathAudit, slacktest.PathTeams))
			}, all,
			[3]string{"audit logs: on, but not proven: audit.logs: 500", "access logs: on, but not proven: auth.teams.list: 500", "integration logs: on, but not proven: "},
		},
		{
			"not Slack", org, func(s *slacktest.Server) { s.SetFault(slacktest.EveryNth(1, slacktest.FaultRedirect)) }, "",
			[3]string{"audit logs: off, auth.test: redirect", "access logs: off, ", "integration logs: off, "},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := slacktest.New(slacktest.Options{EmptyPages: 2})
			s.SetToken("xoxp-1", tt.id)
			if tt.set != nil {
				tt.set(s)
			}
			server := httptest.NewServer(s)
			defer server.Close()
			t.Setenv("SLACK_TOKEN", "xoxp-1\n")
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"readable", "--endpoint", server.URL + "/api/", "--audit-endpoint", server.URL + "/audit/v1"}, &stdout, &stderr)
			assert.Zero(t, code, stderr.String())
			assert.Equal(t, tt.stdout, stdout.String())
			lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
			if assert.Len(t, lines, 3, "one line each") {
				for i, want := range tt.lines {
					if strings.HasSuffix(want, ": on") {
						assert.Equal(t, want, lines[i])
					} else {
						assert.True(t, strings.HasPrefix(lines[i], want), lines[i])
					}
				}
			}
			assert.NotContains(t, stderr.String(), "xoxp-1")
			assert.Empty(t, s.Violations())
		})
	}
}

func TestReadableUsage(t *testing.T) {
	t.Setenv("SLACK_TOKEN", "")
	for _, tt := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{nil, 1, "set SLACK_TOKEN"},
		{[]string{"xoxp-1"}, 2, "the token comes from SLACK_TOKEN"},
		{[]string{"--nope"}, 2, "-nope"},
		{[]string{"--help"}, 0, "-audit-endpoint"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, tt.code, run(t.Context(), append([]string{"readable"}, tt.args...), &stdout, &stderr))
		assert.Contains(t, stderr.String(), tt.stderr)
	}

	t.Setenv("SLACK_TOKEN", "xoxp-1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, run(ctx, []string{"readable", "--endpoint", "http://127.0.0.1:1/api"}, &stdout, &stderr))
	assert.Empty(t, stdout.String())
}

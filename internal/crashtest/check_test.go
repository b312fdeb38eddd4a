// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// checkExample has the built helper check the example for production, but for where Slack is.
func checkExample(t *testing.T, slack *fakeSlack, env ...string) (code int, checks map[string]string, said string) {
	t.Helper()
	cmd := exec.Command(binary(t, "SLACKLOGS_HELPER"), "check", "--config", example(t, "all-logs.yaml"),
		"--config", "yaml:receivers::slacklogs::endpoint: "+slack.url+"/api",
		"--config", "yaml:receivers::slacklogs::audit_endpoint: "+slack.url+"/audit/v1", "--output", "json")
	cmd.Env = append([]string{"SLACK_TOKEN=" + token, "STATE_DIR=" + t.TempDir()}, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, _ := cmd.Output()
	said = string(stdout) + stderr.String()
	assert.NotContains(t, said, token)
	var answer struct {
		OK     bool
		Checks []struct{ Check, Result, Detail, Advice string }
	}
	require.NoError(t, json.Unmarshal(stdout, &answer), said)
	code = cmd.ProcessState.ExitCode()
	assert.Equal(t, answer.OK, code == 0)
	checks = map[string]string{}
	for _, c := range answer.Checks {
		if c.Result == "fail" {
			assert.NotEmpty(t, c.Advice, said)
			checks[c.Check] = c.Detail
		}
	}
	return code, checks, said
}

func TestCheckOfExample(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	code, fails, said := checkExample(t, slack, "OTLP_ENDPOINT=http://127.0.0.1:4318")
	assert.Zero(t, code, said)
	assert.Empty(t, fails)
	assert.Len(t, slack.Calls(), 2*len(slack.org.Identity().Teams)+3, "auth.test, the audit logs, the workspaces, and two lists of each")
	assert.Empty(t, slack.Violations())

	slack.Deny(slacktest.PathAudit, "user_not_authorized")
	code, fails, said = checkExample(t, slack)
	assert.Equal(t, 1, code)
	assert.Equal(t, map[string]string{"environment": "OTLP_ENDPOINT is not set", "call": "audit.logs: user_not_authorized"}, fails, said)
}

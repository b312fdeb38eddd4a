// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const clientSecret = "0123456789abcdef-nobody-may-print"

// theApp is installed by an Owner on the organisation.
func (s *fakeSlack) theApp() slacktest.App {
	return slacktest.App{
		ID: "A04SLACKLOGS", ClientID: "111.222", ClientSecret: clientSecret,
		Scopes: s.org.Identity().Scopes, Installer: s.org.Identity(),
	}
}

// authorize runs the built helper's verb in the folder, with a browser on the same machine, and returns the
// configuration that it prints.
func authorize(t *testing.T, slack *fakeSlack, app slacktest.App, dir string, flags ...string) (config string) {
	t.Helper()
	back := "https://localhost:" + freePort(t) + "/slack/callback"
	app.RedirectURLs = []string{back}
	slack.SetApp(app)
	cmd := exec.Command(binary(t, "SLACKLOGS_HELPER"), append([]string{
		"authorize", "--client-id", "111.222", "--endpoint", slack.url + "/api", "--redirect-url", back,
	}, flags...)...)
	cmd.Dir = dir
	cmd.Env = []string{"SLACK_CLIENT_SECRET=" + clientSecret}
	var said output
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &said
	helper := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	require.NoError(t, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(helper.ended)
	}()
	t.Cleanup(helper.kill)

	var link string
	shown := regexp.MustCompile(`(?m)^   (http://\S+/oauth/v2/authorize\?\S+)$`)
	helper.waitFor("the link is shown", func() bool {
		if found := shown.FindStringSubmatch(said.String()); found != nil {
			link = found[1]
		}
		return link != ""
	})
	// The owner allows, and goes on in spite of the certificate.
	browser := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer browser.CloseIdleConnections()
	resp, err := browser.Get(link)
	require.NoError(t, err)
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	require.NoError(t, err)
	require.Contains(t, string(page), "Close this window")

	select {
	case <-helper.ended:
	case <-time.After(patience):
		t.Fatal("authorize did not end")
	}
	all := said.String() + printed.String()
	require.Zero(t, cmd.ProcessState.ExitCode(), "%s", all)
	for _, secret := range []string{clientSecret, "xoxp-", "xoxe", "xoxb-"} {
		assert.NotContains(t, all, secret)
	}
	return printed.String()
}

// The built collector understands what is printed, and polls with the token that was written. Once that dies, another
// run heals it without a restart.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	slack.past(500, time.Now().Add(-6*time.Hour), time.Now())
	to := newBackend(t)
	dir := t.TempDir()
	printed := authorize(t, slack, slack.theApp(), dir)
	first := readSecret(t, filepath.Join(dir, "slack-token"))

	c := prepare(t, slack, to, auditConfig)
	rest := filepath.Join(c.dir, "rest.yaml")
	require.NoError(t, os.WriteFile(rest, []byte(`
exporters:
  otlp_http:
    endpoint: ${env:OTLP_ENDPOINT}
    compression: none
    headers:
      X-Run: ${env:RUN}
    sending_queue:
      enabled: false
service:
  pipelines:
    logs:
      exporters: [otlp_http]
`+telemetryConfig), 0o600))
	c.args = []string{"--config", write(t, printed), "--config", filepath.Join(c.dir, "config1.yaml"), "--config", rest}
	c.start()
	to.waitForAll(c, slack)

	slack.Revoke(first)
	slack.happen(50, time.Now())
	slack.waitForRefusals(c, 1)
	authorize(t, slack, slack.theApp(), dir)
	second := readSecret(t, filepath.Join(dir, "slack-token"))
	require.NotEqual(t, first, second)
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)
	c.stop()
	assert.NotContains(t, c.out.String(), first)
	assert.NotContains(t, c.out.String(), second)
	slack.requireNoViolations(t)
}

func readSecret(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, `^xox[pe]\S+$`, string(text))
	return string(text)
}

// Whatever authorize prints is a whole configuration.
func TestAuthorizePrintsConfigurations(t *testing.T) {
	t.Parallel()
	collector := binary(t, "SLACKLOGS_COLLECTOR")
	for _, tt := range []struct {
		name  string
		app   func(*slacktest.App)
		flags []string
		want  string
	}{
		{name: "all logs", flags: []string{"--logs", "audit,access,integration"}, want: `team_ids: ["*"]`},
		{name: "a path with signs", flags: []string{"--output", `a "token's" file, ü: #1`}, want: "#1"},
		{
			name: "a workspace", flags: []string{"--logs", "access,integration"}, want: "access_logs: {}",
			app: func(app *slacktest.App) {
				app.Installer.TeamID, app.Installer.IsEnterpriseInstall = harbour, false
			},
		},
		{name: "rotation", app: func(app *slacktest.App) { app.Rotation = true }, want: "token_rotation:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, slacktest.Options{})
			dir := t.TempDir()
			app := slack.theApp()
			if tt.app != nil {
				tt.app(&app)
			}
			printed := authorize(t, slack, app, dir, tt.flags...)
			assert.Contains(t, printed, tt.want)
			cmd := exec.Command(collector, "validate", "--config", write(t, printed))
			cmd.Dir = dir
			cmd.Env = []string{"SLACK_CLIENT_SECRET=" + clientSecret}
			said, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s\n%s", said, printed)
		})
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// setup is a configuration of the collector for what was granted. It runs as it stands.
func (w *walk) setup(g granted) string {
	var b strings.Builder
	extensions := "file_storage"
	fmt.Fprintf(&b, `extensions:
  file_storage: # keeps the position
    directory: %q
    create_directory: true
    fsync: true
`, w.stateFolder())
	if !g.rotates() {
		extensions = "file_storage, bearertokenauth/slack"
		fmt.Fprintf(&b, `  bearertokenauth/slack:
    filename: %q # a new token in it needs no restart
`, w.file.path)
	}
	b.WriteString(`
receivers:
  slacklogs:
    storage: file_storage
`)
	if g.rotates() {
		fmt.Fprintf(&b, "    token_rotation:\n      client_id: %q\n", w.app.ClientID)
		if w.app.ClientSecret != "" {
			b.WriteString("      client_secret: ${env:SLACK_CLIENT_SECRET}\n")
		}
		fmt.Fprintf(&b, "      refresh_token: %q\n", "${file:"+w.file.path+"}")
	} else {
		b.WriteString("    auth:\n      authenticator: bearertokenauth/slack\n")
	}
	if w.endpoint != slack.Endpoint {
		fmt.Fprintf(&b, "    endpoint: %q\n", w.endpoint)
		if slack.AuditEndpoint(w.endpoint) == "" {
			fmt.Fprintf(&b, "    audit_endpoint: %q # as the simulator has it\n", strings.TrimSuffix(w.endpoint, "/api")+"/audit/v1")
		}
	}
	for _, l := range g.logs {
		if l == verb.Audit || !g.ofOrganisation() {
			fmt.Fprintf(&b, "    %s: {}\n", l.Section)
			continue
		}
		fmt.Fprintf(&b, "    %s:\n      team_ids: [\"*\"] # all workspaces that the app is on; or their ids\n", l.Section)
	}
	if w.actorRoles {
		b.WriteString("    actor_roles: {}\n")
	}
	fmt.Fprintf(&b, `
# To see that it works. For a backend see examples/ of slacklogs.
exporters:
  debug:
    verbosity: detailed

service:
  extensions: [%s]
  pipelines:
    logs:
      receivers: [slacklogs]
      exporters: [debug]
`, extensions)
	return b.String()
}

// stateFolder is beside the configuration, else where this was called: the token's folder may end with the machine.
func (w *walk) stateFolder() string {
	const name = "slacklogs-state"
	path, err := filepath.Abs(name)
	if w.configOutput != "" {
		path, err = filepath.Join(filepath.Dir(w.configOutput), name), nil
	}
	if err != nil || !nameable(path) {
		return name // in the folder that the collector is started from
	}
	return path
}

// next is what is left to do.
func (w *walk) next(g granted) string {
	var b strings.Builder
	if g.ofOrganisation() && g.logs[len(g.logs)-1] != verb.Audit {
		where := "on the organisation's admin pages"
		if w.endpoint == slack.Endpoint && g.AppID != "" {
			where = fmt.Sprintf("at\n  https://app.slack.com/manage/%s/integrations/profile/%s/workspaces/add\n ",
				url.PathEscape(g.info.EnterpriseID), url.PathEscape(g.AppID))
		}
		fmt.Fprintf(&b, "- Add the app to the workspaces whose access and integration logs are to be read, %s.\n", where)
	}
	if w.configOutput == "" {
		b.WriteString("- Save the configuration that was printed, or take its receiver and extensions over into yours.\n")
	}
	if g.rotates() {
		if w.app.ClientSecret != "" {
			b.WriteString("- Set SLACK_CLIENT_SECRET for the collector.\n")
		}
		b.WriteString("- Restart the collector after each run of this: it reads the file when it starts.\n")
		b.WriteString("- Give this refresh token to one collector only: two on one end each other's tokens.\n")
	}
	b.WriteString("- Let the user that the collector runs as read the token's file.\n")
	if g.rotates() {
		b.WriteString("- Ask `slacklogs check` whether the rest is right: it leaves this refresh token alone. Then start the collector, and\n" +
			"  ask `slacklogs status` whether Slack lets it read all of it.")
	} else {
		b.WriteString("- Ask `slacklogs check` whether Slack lets the collector read all of it, then start the collector.")
	}
	return b.String()
}

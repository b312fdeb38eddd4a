// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// The manifests ask for what their logs need, and hold nothing that Slack would refuse.
func TestManifests(t *testing.T) {
	logsOf := map[string]string{
		"audit-logs.yaml":                  "audit",
		"access-and-integration-logs.yaml": "access,integration",
		"all-logs.yaml":                    "audit,access,integration",
	}
	files, err := filepath.Glob("../../../../examples/slack-app/*")
	require.NoError(t, err)
	require.Len(t, files, len(logsOf))
	names := map[any]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			logs := logsOf[filepath.Base(file)]
			assert.Contains(t, string(text), "bin/slacklogs authorize --client-id CLIENT_ID --logs "+logs+"\n")
			parsed, err := confmap.NewRetrievedFromYAML(text)
			require.NoError(t, err)
			manifest, err := parsed.AsConf()
			require.NoError(t, err)

			var scopes []any
			for _, scope := range scopesOf((&authorizeFlags{logs: logs}).wanted()) {
				scopes = append(scopes, scope)
			}
			said := manifest.ToStringMap()
			shown := said["display_information"].(map[string]any)
			delete(said, "display_information")
			assert.Equal(t, map[string]any{
				"oauth_config": map[string]any{
					"redirect_urls": []any{defaultRedirect},
					"scopes":        map[string]any{"user": scopes},
				},
				"settings": map[string]any{
					"org_deploy_enabled": true, "socket_mode_enabled": false, "token_rotation_enabled": false,
				},
			}, said)
			assert.Equal(t, []string{"description", "name"}, slices.Sorted(maps.Keys(shown)))
			assert.LessOrEqual(t, len(shown["name"].(string)), 35)
			assert.LessOrEqual(t, len(shown["description"].(string)), 140)
			assert.False(t, names[shown["name"]], "two apps of one name can't be told apart")
			names[shown["name"]] = true
		})
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"
)

const root = "../../"

// aroundSnippets is the least that makes a whole configuration of a part of one.
const aroundSnippets = `
receivers:
  slacklogs:
    token: ${env:SLACK_TOKEN}
    audit_logs: {}
exporters:
  debug:
service:
  pipelines:
    logs:
      receivers: [slacklogs]
      exporters: [debug]
`

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(root + path))
	require.NoError(t, err)
	return string(text)
}

func parseYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	parsed, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	raw, err := parsed.AsRaw()
	require.NoError(t, err)
	document, ok := raw.(map[string]any)
	require.True(t, ok, "not a map: %s", text)
	return document
}

// Whatever a reader may copy from the documents is understood by what it is for.
func TestDocumentedYAML(t *testing.T) {
	collector := binary(t, "SLACKLOGS_COLLECTOR")
	block := regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$")
	configs := 0
	for _, file := range documents(t) {
		for _, found := range block.FindAllStringSubmatch(readText(t, file), -1) {
			text := strings.ReplaceAll("\n"+found[2], "\n"+found[1], "\n")
			document := parseYAML(t, text)
			switch receivers, isList := document["receivers"].([]any); {
			case isList: // a manifest of ocb
				ours := parseYAML(t, readText(t, "builder-config.yaml"))["receivers"].([]any)
				require.Len(t, ours, 1)
				delete(ours[0].(map[string]any), "path")
				assert.Equal(t, ours, receivers, file)
			default:
				configs++
				t.Logf("%s: configuration %d", file, configs)
				text = withoutForeign(t, document, text)
				args := []string{"validate"}
				service, _ := document["service"].(map[string]any)
				if service["pipelines"] == nil || document["exporters"] == nil {
					args = append(args, "--config", write(t, aroundSnippets))
				}
				cmd := exec.Command(collector, append(args, "--config", write(t, text))...)
				cmd.Env = []string{
					"SLACK_TOKEN=" + token, "SLACK_TOKEN_APAC=" + token, "OTLP_ENDPOINT=http://127.0.0.1:4318",
					"SLACK_CLIENT_SECRET=" + appSecret, "SLACK_REFRESH_TOKEN=xoxe-1-first", "STATE_DIR=" + t.TempDir(),
				}
				said, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s: %s\n%s", file, said, text)
			}
		}
	}
	assert.Positive(t, configs)
}

// foreign are extensions that documents show and the built collector lacks. The
// one that elects is tested in test/leader.
var foreign = []string{"k8s_leader_elector", "db_storage"}

// withoutForeign takes them out, and leaves what refers to them.
func withoutForeign(t *testing.T, document map[string]any, text string) string {
	t.Helper()
	extensions, _ := document["extensions"].(map[string]any)
	all := len(extensions)
	for _, name := range foreign {
		delete(extensions, name)
	}
	if len(extensions) == all {
		return text
	}
	service := document["service"].(map[string]any)
	service["extensions"] = slices.DeleteFunc(service["extensions"].([]any), func(name any) bool {
		return slices.Contains(foreign, name.(string))
	})
	changed, err := json.Marshal(document) // which is YAML too
	require.NoError(t, err)
	return string(changed)
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// documents are all that hold something to copy, from the root.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(root + "docs/*.md")
	require.NoError(t, err)
	names := []string{"README.md", "receiver/slacklogsreceiver/README.md"}
	for _, file := range files {
		names = append(names, "docs/"+filepath.Base(file))
	}
	return names
}

// No setting and no metric is left out of the tables, and no metric stands there that does not exist.
func TestREADMENamesSettingsAndMetrics(t *testing.T) {
	readme := readText(t, "README.md")

	metadata := parseYAML(t, readText(t, "metadata.yaml"))
	var metrics []string
	for name := range metadata["telemetry"].(map[string]any)["metrics"].(map[string]any) {
		metrics = append(metrics, "otelcol_"+name)
	}
	assert.ElementsMatch(t, metrics, firstCells(readme, `otelcol_slacklogs_\w+`))

	sections := []string{"audit_logs", "access_logs", "integration_logs", "health_records", "token_rotation", "actor_roles"}
	on := map[string]any{}
	for _, section := range sections {
		on[section] = map[string]any{}
	}
	cfg := slacklogsreceiver.NewFactory().CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(on).Unmarshal(cfg))
	settings := confmap.New()
	require.NoError(t, settings.Marshal(cfg))
	// The client settings are confighttp's.
	ours := []string{"token", "audit_endpoint", "storage", "k8s_leader_elector", "retry_on_failure", "body", "attributes", "resource_attributes"}
	for _, key := range append(ours, sections...) {
		require.True(t, settings.IsSet(key), key)
	}
	for _, name := range sections {
		section, err := settings.Sub(name)
		require.NoError(t, err)
		require.NotEmpty(t, section.AllKeys())
		ours = append(append(ours, name), section.AllKeys()...)
	}
	assert.Subset(t, firstCells(readme, `\w+`), ours)
}

// firstCells are the names in backquotes that rows of tables begin with.
func firstCells(text, name string) (cells []string) {
	for _, row := range regexp.MustCompile("(?m)^\\| `("+name+")` \\|").FindAllStringSubmatch(text, -1) {
		cells = append(cells, row[1])
	}
	return cells
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detections_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

const playbooks = "playbooks/"

var (
	names    = []string{"contact-actor", "disable-token", "end-sessions", "freeze-app", "revert-setting", "stop-export"}
	sections = []string{"When", "Fill in", "Approve", "Contain", "Verify", "Recover", "What can go wrong"}

	codeSpan  = regexp.MustCompile("`([^`\n]+)`")
	attribute = regexp.MustCompile(`^slack\.[A-Za-z0-9_.]+`)
	method    = regexp.MustCompile(`https://slack\.com/api/([A-Za-z.]+)`)
	variable  = regexp.MustCompile(`\$\{?([A-Z][A-Z0-9_]*)`)
	link      = regexp.MustCompile(`\]\(([^)]+)\)`)
	// What looks like an action: words joined by underscores. Under Verify errors are written as JSON, so that nothing
	// else looks so.
	action = regexp.MustCompile(`^(pref\.)?[a-z0-9]+(_[a-z0-9]+)+$`)
)

// document is a Markdown file: its prose with the sections, and what is fenced in.
type document struct {
	headings []string
	prose    map[string]string // by heading of level two
	fenced   string
	all      string // prose alone
}

func read(t *testing.T, file string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(file))
	require.NoError(t, err)

	d := document{prose: map[string]string{}}
	heading, inFence := "", false
	for line := range strings.Lines(string(text)) {
		switch title, ok := strings.CutPrefix(line, "## "); {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inFence = !inFence
		case inFence:
			d.fenced += line
		case ok:
			heading = strings.TrimSpace(title)
			d.headings = append(d.headings, heading)
		default:
			d.prose[heading] += line
			d.all += line
		}
	}
	require.False(t, inFence, "a fence stays open")
	return d
}

// found is what the first group matches, each once, in order of the alphabet.
func found(pattern *regexp.Regexp, text string) []string {
	seen := map[string]bool{}
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		seen[m[1]] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// producible are the receiver's attributes: those of its schema, and any key of details. Those of fields that Slack
// does not document would be made too, but no playbook should count on them.
func producible() func(string) bool {
	known := map[string]bool{}
	for _, a := range record.ResourceAttributes {
		known[a.Name] = true
	}
	for _, l := range record.LogTypes() {
		for _, a := range l.Attributes {
			known[a.Name] = true
		}
		for _, f := range l.Fields {
			known["slack."+f.Path] = true
		}
	}
	return func(name string) bool {
		key, details := strings.CutPrefix(name, "slack.details.")
		return known[name] || details && key != "" && !strings.Contains(key, ".")
	}
}

func TestPlaybooksAreTheSix(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(playbooks + "*.md")
	require.NoError(t, err)
	var got []string
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".md"); name != "README" {
			got = append(got, name)
		}
	}
	assert.Equal(t, names, got)
}

func TestPlaybooks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../test/schemas/testdata/actions.txt")
	require.NoError(t, err)
	actions := strings.Fields(string(text))
	methods := found(codeSpan, read(t, playbooks+"README.md").prose["The token"])

	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := read(t, playbooks+name+".md")
			assert.Equal(t, sections, d.headings)
			for _, s := range sections {
				assert.NotEmpty(t, strings.TrimSpace(d.prose[s]), s)
			}

			// Each variable is explained, and each that is explained is used.
			explained := []string{}
			for line := range strings.Lines(d.prose["Fill in"]) {
				if cells := strings.Split(line, "|"); len(cells) > 2 {
					explained = append(explained, found(codeSpan, cells[1])...)
				}
			}
			assert.ElementsMatch(t, found(variable, d.fenced), explained)

			for _, m := range found(method, d.fenced) {
				assert.Contains(t, methods, m, "the README has no scope for it")
			}
			for line := range strings.Lines(d.fenced) {
				assert.NotRegexp(t, `xox[a-z]|Bearer [^$]`, line, "tokens come from variables")
			}

			var proofs int
			for _, span := range found(codeSpan, d.prose["Verify"]) {
				if action.MatchString(span) {
					proofs++
					assert.Contains(t, actions, span)
				}
			}
			assert.Positive(t, proofs, "no record proves that it worked")
		})
	}
}

func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	can := producible()
	files := []string{"coverage-gaps.md", playbooks + "README.md"}
	for _, name := range names {
		files = append(files, playbooks+name+".md")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			d := read(t, file)
			for _, span := range found(codeSpan, d.all) {
				if name := attribute.FindString(span); name != "" {
					assert.True(t, can(name), "no record has %s", name)
				}
			}
			for _, to := range found(link, d.all) {
				if strings.HasPrefix(to, "https://") {
					continue
				}
				path, _, _ := strings.Cut(to, "#")
				if path != "" {
					assert.FileExists(t, filepath.Join(filepath.Dir(file), path))
				}
			}
		})
	}
}

// What the tests above rest on.
func TestProducible(t *testing.T) {
	t.Parallel()
	can := producible()
	for name, want := range map[string]bool{
		"slack.actor.user.id":             true,
		"slack.entity.app.id":             true,
		"slack.entity.id":                 true,
		"slack.enterprise.id":             true,
		"slack.user_id":                   true,
		"slack.details.target_user":       true,
		"slack.audit.scopes_added":        true,
		"slack.actor.id":                  false,
		"slack.entity.app.owner":          false,
		"slack.details.":                  false,
		"slack.details.new_value.type":    false,
		"slack.context.user_agent":        false,
		"slack.context.session.id":        false,
		"slack.entity.user.profile.email": false,
	} {
		assert.Equal(t, want, can(name), name)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package deploy // import "github.com/slacklogs/otelcol-slacklogs/test/deploy"

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// anyImage stands for the registries, which a test doesn't ask.
type anyImage struct{}

func (anyImage) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	image := ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}}
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		image.Platform = *opt.ImageOpt.Platform
	}
	config, err := json.Marshal(image)
	return ref, digest.FromBytes(config), config, err
}

func dockerfile(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "Dockerfile"))
	require.NoError(t, err)
	return text
}

// What `docker build --check` does, and the image that would come out.
func TestDockerfile(t *testing.T) {
	for _, binaries := range []string{"build", "prebuilt"} {
		for _, architecture := range []string{"amd64", "arm64"} {
			t.Run(binaries+" "+architecture, func(t *testing.T) {
				opt := dockerfile2llb.ConvertOpt{
					Config:         dockerui.Config{BuildArgs: map[string]string{"BINARIES": binaries}},
					TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: architecture},
					MetaResolver:   anyImage{},
					Warn: func(rule, description, _, message string, _ []parser.Range) {
						t.Errorf("%s: %s (%s)", rule, message, description)
					},
				}
				opt.AllStages = true // as the check does
				built, err := dockerfile2llb.Dockerfile2LLB(t.Context(), dockerfile(t), opt)
				require.NoError(t, err)
				container := render(t).container(t)
				config := built.Image.Config
				assert.Equal(t, "65532:65532", config.User, "as the manifests say")
				assert.Equal(t, []string{"/usr/local/bin/otelcol-slacklogs"}, config.Entrypoint)
				assert.Equal(t, container.Args, config.Cmd)
				assert.Contains(t, config.Volumes, "/var/lib/otelcol-slacklogs")
				assert.Len(t, config.ExposedPorts, len(container.Ports))
				assert.Equal(t, architecture, built.Image.Architecture)
			})
		}
	}
}

// What the Dockerfile copies is there, and sent to the builder; a token that lies around is not.
func TestDockerContext(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "Dockerfile.dockerignore"))
	require.NoError(t, err)
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	require.NoError(t, err)
	ignored, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	isIgnored := func(name string) bool {
		is, err := ignored.MatchesOrParentMatches(name)
		require.NoError(t, err)
		return is
	}

	parsed, err := parser.Parse(bytes.NewReader(dockerfile(t)))
	require.NoError(t, err)
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{}))
	require.NoError(t, err)
	copied := 0
	for _, stage := range stages {
		for _, command := range stage.Commands {
			from, ok := command.(*instructions.CopyCommand)
			if !ok || from.From != "" {
				continue
			}
			for _, name := range from.SourcePaths {
				copied++
				if name != "." {
					assert.False(t, isIgnored(name), name)
				}
				if name != "dist" { // make's
					_, err := os.Stat(filepath.Join("../..", name))
					assert.NoError(t, err)
				}
			}
		}
	}
	assert.Positive(t, copied)
	for _, name := range []string{"go.mod", "cmd/slacklogs/main.go", "internal/tools/go.mod", "scripts/dist.sh"} {
		assert.False(t, isIgnored(name), name)
	}
	for _, name := range []string{"slack-token", ".slack-token.1", "collector.yaml", ".env", ".git/config", ".run/slack.yaml", "slacklogs-state/x"} {
		assert.True(t, isIgnored(name), name)
	}
}

// The unit, the image and the pod run the collector alike, and wait for its end alike.
func TestUnitRunsWhatTheImageRuns(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "systemd", "otelcol-slacklogs.service"))
	require.NoError(t, err)
	unit := func(key string) string {
		found := regexp.MustCompile("(?m)^" + key + "=(.*)$").FindSubmatch(text)
		require.NotNil(t, found, key)
		return string(found[1])
	}
	m := render(t)
	assert.Equal(t, "/usr/local/bin/otelcol-slacklogs "+strings.Join(m.container(t).Args, " "), unit("ExecStart"))
	assert.Equal(t, unit("TimeoutStopSec"), fmt.Sprintf("%ds", *m.set.Spec.Template.Spec.TerminationGracePeriodSeconds))
	limits := m.container(t).Resources.Limits
	assert.Equal(t, unit("MemoryMax")+"i", limits.Memory().String())
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// packed is a file of an archive.
type packed struct {
	*tar.Header
	text []byte
}

func unpack(t *testing.T, archive []byte) (files map[string]packed) {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	assert.True(t, unzipped.ModTime.IsZero(), "a time in gzip's header")
	files = map[string]packed{}
	for all := tar.NewReader(unzipped); ; {
		header, err := all.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		text, err := io.ReadAll(all)
		require.NoError(t, err)
		files[header.Name] = packed{header, text}
	}
}

// What `make dist` leaves: for each of PLATFORMS an archive with static binaries, and nothing in it of the machine that
// built it. `make dist-check` runs this.
func TestDist(t *testing.T) {
	dist := os.Getenv("SLACKLOGS_DIST")
	if dist == "" {
		t.Skip("SLACKLOGS_DIST does not name a folder; run `make dist-check`")
	}
	version := os.Getenv("VERSION")
	sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	require.NoError(t, err)
	var platforms []string
	for line := range strings.Lines(string(sums)) {
		fields := strings.Fields(line)
		require.Len(t, fields, 2)
		sum, name := fields[0], fields[1]
		platform, named := strings.CutPrefix(strings.TrimSuffix(name, ".tar.gz"), "slacklogs_"+version+"_")
		require.True(t, named, name)
		platforms = append(platforms, platform)
		t.Run(platform, func(t *testing.T) {
			archive, err := os.ReadFile(filepath.Join(dist, name))
			require.NoError(t, err)
			actual := sha256.Sum256(archive)
			assert.Equal(t, sum, hex.EncodeToString(actual[:]))
			checkArchive(t, unpack(t, archive), strings.TrimSuffix(name, ".tar.gz")+"/", platform, version)
		})
	}
	asked := strings.Fields(strings.ReplaceAll(os.Getenv("PLATFORMS"), "/", "_"))
	require.NotEmpty(t, asked, "PLATFORMS")
	assert.ElementsMatch(t, asked, platforms)
	archives, err := filepath.Glob(filepath.Join(dist, "*.tar.gz"))
	require.NoError(t, err)
	assert.Len(t, archives, len(platforms), "archives without a checksum")
}

func checkArchive(t *testing.T, files map[string]packed, top, platform, version string) {
	t.Helper()
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	require.NoError(t, err)
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	var built time.Time
	for name, file := range files {
		assert.True(t, strings.HasPrefix(name, top), name)
		assert.Zero(t, file.Uid+file.Gid, name)
		assert.Empty(t, file.Uname+file.Gname, name)
		if built.IsZero() {
			built = file.ModTime
		}
		assert.Equal(t, built, file.ModTime, "one time for all: %s", name)
		for _, machine := range []string{here, strings.TrimSpace(string(modules))} {
			if bytes.Contains(file.text, []byte(machine)) {
				t.Errorf("%s contains the path %s", name, machine)
			}
		}
	}
	for _, name := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "examples/all-logs.yaml", "deploy/config.yaml", "docs/schema.md",
		"test/schemas/testdata/ecs.tsv", "test/schemas/testdata/ocsf.tsv",
	} {
		assert.Equal(t, readText(t, name), string(files[top+name].text), name)
	}
	for _, module := range []string{"go.opentelemetry.io/collector/otelcol v", "go.etcd.io/bbolt v", "Go go1"} {
		assert.Contains(t, string(files[top+"LICENSES-of-modules.txt"].text), "==== "+module)
	}
	for _, name := range []string{"otelcol-slacklogs", "slacklogs"} {
		file, there := files[top+name]
		require.True(t, there, name)
		assert.EqualValues(t, 0o755, file.Mode, name)
		system, architecture, _ := strings.Cut(platform, "_")
		switch system {
		case "linux":
			checkELF(t, file.text, architecture)
		case "darwin":
			checkMachO(t, file.text, architecture)
		}
		if system != runtime.GOOS || architecture != runtime.GOARCH {
			continue
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, file.text, 0o700))
		said, err := exec.Command(path, "--version").CombinedOutput()
		require.NoError(t, err, "%s", said)
		assert.Contains(t, string(said), version)
	}
}

func checkELF(t *testing.T, binary []byte, architecture string) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(binary))
	require.NoError(t, err)
	assert.Equal(t, map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[architecture], file.Machine)
	for _, part := range file.Progs {
		assert.NotEqual(t, elf.PT_INTERP, part.Type, "not static")
		assert.NotEqual(t, elf.PT_DYNAMIC, part.Type, "not static")
	}
}

// Nothing is static on a Mac; it needs no more than what each has.
func checkMachO(t *testing.T, binary []byte, architecture string) {
	t.Helper()
	file, err := macho.NewFile(bytes.NewReader(binary))
	require.NoError(t, err)
	assert.Equal(t, map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[architecture], file.Cpu)
	assert.Equal(t, macho.TypeExec, file.Type)
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	for _, library := range libraries {
		assert.True(t, strings.HasPrefix(library, "/usr/lib/") || strings.HasPrefix(library, "/System/Library/"), library)
	}
}

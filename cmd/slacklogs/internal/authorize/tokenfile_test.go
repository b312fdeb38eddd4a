// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTokenFileCheck(t *testing.T) {
	dir := t.TempDir()
	assert.ErrorContains(t, newTokenFile(dir).check(), "is no file")
	assert.ErrorContains(t, newTokenFile(filepath.Join(dir, "none", "token")).check(), "--output can't be written")
	assert.NoError(t, newTokenFile(filepath.Join(dir, "token")).check())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Who reads the file sees the old token or the new one, and never a part.
func TestTokenFileIsReplacedAsAWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("xoxp-old"), 0o644))
	reader, err := os.Open(path)
	require.NoError(t, err)
	defer reader.Close()
	require.NoError(t, newTokenFile(path).write("xoxp-new"))
	old := make([]byte, 100)
	n, err := reader.Read(old)
	require.NoError(t, err)
	assert.Equal(t, "xoxp-old", string(old[:n]), "the old file was not written to")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "xoxp-new", string(text), "without a line break")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestTokenFileFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "safe"), 0o700))
	target, link := filepath.Join(dir, "safe", "token"), filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(target, nil, 0o600))
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, newTokenFile(link).write("xoxp-new"))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
	text, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "xoxp-new", string(text))
}

func TestTokenFileRemarks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	assert.Empty(t, newTokenFile(path).remarks())
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chmod(path, 0o644))
	require.NoError(t, os.Chmod(dir, 0o777))
	said := newTokenFile(path).remarks()
	require.Len(t, said, 2)
	assert.Contains(t, said[0], "everybody may write into "+dir)
	assert.Contains(t, said[1], "has the mode 0644")
}

// The folder is there when the walk begins, and gone when the token comes.
func TestAuthorizeCannotWriteInTheEnd(t *testing.T) {
	p := newOperator(t, nil, "--redirect-url", elsewhere)
	p.sees = func(link string) {
		assert.NoError(t, os.Remove(p.dir))
		p.pastes(link)
	}
	require.ErrorContains(t, p.authorizes(), "Mend that and run this again: the owner has to click once more")
	assert.Empty(t, p.stdout.String())
	assert.Equal(t, 2, p.slack.CallCount()-1, "the exchange and auth.test")
}

// No link is shown for nothing.
func TestAuthorizeCannotWrite(t *testing.T) {
	p := newOperator(t, nil, "--redirect-url", elsewhere)
	require.NoError(t, os.Remove(p.dir))
	require.ErrorContains(t, p.authorizes(), "--output can't be written")
	assert.NotContains(t, p.stderr.String(), "oauth/v2/authorize")
	assert.Zero(t, p.slack.CallCount())
}

func TestTokenFileLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "token"), 0o700)) // since the check
	require.Error(t, newTokenFile(filepath.Join(dir, "token")).write("xoxp-new"))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "token", left[0].Name())
}

// A link to nothing would be replaced, and the token be where nobody wants it.
func TestTokenFileLinks(t *testing.T) {
	dir := t.TempDir()
	nowhere, loop, odd := filepath.Join(dir, "nowhere"), filepath.Join(dir, "loop"), filepath.Join(dir, "odd")
	require.NoError(t, os.Symlink(filepath.Join(dir, "none", "token"), nowhere))
	require.NoError(t, os.Symlink(loop, loop))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "${env:B}"), nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(dir, "${env:B}"), odd))
	assert.ErrorContains(t, newTokenFile(nowhere).check(), "is a link to nothing")
	assert.ErrorContains(t, newTokenFile(loop).check(), "is a link to nothing")
	assert.ErrorContains(t, newTokenFile(odd).check(), "must be without $")

	target := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(target, nil, 0o600))
	laid := filepath.Join(dir, "laid")
	require.NoError(t, os.Symlink(target, laid))
	require.NoError(t, newTokenFile(laid).check())
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	assert.ErrorContains(t, newTokenFile(laid).check(), "anybody may have laid it")
}

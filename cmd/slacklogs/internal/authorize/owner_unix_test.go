// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package authorize

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Root would otherwise lock out the collector, which runs as somebody else.
func TestTokenFileKeepsItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chown(path, 4711, 4712))
	require.NoError(t, newTokenFile(path).write("xoxp-new"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	owner, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	assert.Equal(t, []uint32{4711, 4712}, []uint32{owner.Uid, owner.Gid})
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

// Where everybody may write, a file of another's is a trap: it would get the token.
func TestTokenFileIsNotGivenAwayWhereEverybodyWrites(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	path := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chown(path, 4711, 4712))
	require.NoError(t, newTokenFile(path).write("xoxp-new"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	owner, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	assert.Zero(t, owner.Uid)
}

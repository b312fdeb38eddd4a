// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"os"
	"path/filepath"
	"syscall"
)

// keepOwner gives a file to the owner of the one whose place it takes, if there is one and the system allows it: root
// would otherwise lock out the collector, which runs as somebody else. Where everybody may write, the old one may be a
// trap.
func keepOwner(file *os.File, path string) {
	old, err := os.Stat(path)
	if err != nil || openToAll(filepath.Dir(path)) {
		return
	}
	if owner, ok := old.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		_ = file.Chown(int(owner.Uid), int(owner.Gid))
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// tokenFile is a file that holds a token and nothing else, for its owner only.
type tokenFile struct{ path string }

// newTokenFile follows a link, which otherwise would be replaced. It follows none that anybody may have laid.
func newTokenFile(path string) tokenFile {
	if target, err := filepath.EvalSymlinks(path); err == nil && !openToAll(filepath.Dir(path)) {
		path = target
	}
	return tokenFile{path}
}

const notNameable = "must be without $, {, }, line breaks and what is not UTF-8, else a collector's configuration can't name it"

func nameable(path string) bool {
	return !strings.ContainsAny(path, "${}\n\r") && utf8.ValidString(path)
}

// openToAll reports whether everybody may make files in a folder.
func openToAll(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode()&0o002 != 0 && runtime.GOOS != "windows" // its rights are other ones
}

// check tells beforehand whether a token could be written. It leaves nothing behind.
func (f tokenFile) check() error {
	if old, err := os.Stat(f.path); err == nil && !old.Mode().IsRegular() {
		return fmt.Errorf("--output %s is no file; name a file in it, or another", f.path)
	}
	if old, err := os.Lstat(f.path); err == nil && old.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("--output %s is a link to nothing, or stands where anybody may have laid it; name the file that it is to be", f.path)
	}
	if !nameable(f.path) {
		return errors.New("what --output links to " + notNameable)
	}
	temp, err := f.stage(strings.Repeat("#", 512))
	if err != nil {
		return fmt.Errorf("--output can't be written: %w", err)
	}
	return os.Remove(temp)
}

// remarks are what a careful person would want to know about the place.
func (f tokenFile) remarks() []string {
	if runtime.GOOS == "windows" {
		return nil // its rights are other ones
	}
	var said []string
	dir := filepath.Dir(f.path)
	if in, err := os.Stat(dir); err == nil && in.Mode()&0o002 != 0 && in.Mode()&fs.ModeSticky == 0 {
		said = append(said, fmt.Sprintf("everybody may write into %s, and so put another token in place of this one", dir))
	}
	if old, err := os.Stat(f.path); err == nil && old.Mode().Perm()&0o077 != 0 {
		said = append(said, fmt.Sprintf("%s has the mode %04o; the new file gets 0600, so only its owner can read it", f.path, old.Mode().Perm()))
	}
	return said
}

// write replaces the file as a whole, or not at all. There is no line break at the end: ${file:…} would hand it on.
func (f tokenFile) write(token string) error {
	temp, err := f.stage(token)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, f.path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if dir, err := os.Open(filepath.Dir(f.path)); err == nil {
		_ = dir.Sync() // some systems can't; the file is there all the same
		_ = dir.Close()
	}
	return nil
}

// stage writes a temporary file beside the other one, and removes it if that fails.
func (f tokenFile) stage(text string) (temp string, err error) {
	file, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	keepOwner(file, f.path)
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

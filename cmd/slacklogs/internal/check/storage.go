// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"

	"go.opentelemetry.io/collector/confmap"
)

// defaultStorageDirectory is file_storage's own.
const defaultStorageDirectory = "/var/lib/otelcol/file_storage"

// storage looks at where a receiver keeps its positions. It does not open the
// file there, which a collector that runs has locked.
func (c *checker) storage(s *subject, conf *collectorConfig) {
	line := finding{Receiver: s.name, Check: "storage"}
	if s.cfg.Storage == nil {
		line.Result, line.Detail = warned, "none: each restart begins at initial_lookback again, and records come twice or, if older, not at all"
		line.Advice = "Set storage to an extension that keeps the positions, such as file_storage."
		c.add(line)
		return
	}
	id := s.cfg.Storage.String()
	settings, ok := c.extension(s, "storage", id, conf)
	if !ok {
		return
	}
	if s.cfg.Storage.Type().String() != "file_storage" {
		line.Result, line.Detail = skipped, id+" is there; whether it works is only seen by the collector"
		c.add(line)
		return
	}
	directory := defaultStorageDirectory
	var f struct {
		Directory       string `mapstructure:"directory"`
		CreateDirectory bool   `mapstructure:"create_directory"`
	}
	if err := settings.Unmarshal(&f, confmap.WithIgnoreUnused()); err != nil {
		line.Result, line.Detail, line.Advice = failed, err.Error(), "Mend the configuration of "+id+"."
		c.add(line)
		return
	}
	if f.Directory != "" {
		directory = f.Directory
	}
	line.Result, line.Detail, line.Advice = tryDirectory(directory, f.CreateDirectory)
	c.add(line)
}

// tryDirectory writes a file into a directory and takes it away again. One that
// is to be created is not: then the file goes where it would be.
func tryDirectory(directory string, create bool) (r result, detail, advice string) {
	who := "this user"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	at := directory
	for {
		info, err := os.Stat(at)
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case missing && !create:
			return failed, directory + " does not exist", "Create it for the collector's user, or set create_directory: true."
		case missing && filepath.Dir(at) != at:
			at = filepath.Dir(at)
			continue
		case err != nil:
			return failed, cause(err) + ": " + at, "Give the folder to the collector's user; run check as that user."
		case !info.IsDir():
			return failed, at + " is not a directory", "Set directory to a folder."
		}
		break
	}
	f, err := os.CreateTemp(at, ".slacklogs-check-*")
	if err != nil {
		return failed, fmt.Sprintf("%s can't write to %s: %s", who, at, cause(err)), "Give the folder to the collector's user; run check as that user."
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	if at != directory {
		return passed, fmt.Sprintf("%s does not exist yet; %s can create it", directory, who), ""
	}
	return passed, fmt.Sprintf("%s is writable by %s", directory, who), ""
}

// cause leaves the path out of an error.
func cause(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return err.Error()
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package detections holds the files of the detection pack, so that the helper has them with it.
package detections // import "github.com/slacklogs/otelcol-slacklogs/detections"

import (
	"embed"
	"io/fs"
)

//go:embed rules lists.yml
var files embed.FS

// Rules are the Sigma documents.
func Rules() fs.FS {
	rules, err := fs.Sub(files, "rules")
	if err != nil {
		panic(err) // it is embedded
	}
	return rules
}

// Lists is the file of the lists, all of them empty.
func Lists() []byte {
	text, err := files.ReadFile("lists.yml")
	if err != nil {
		panic(err)
	}
	return text
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

// identity is a list of fields whose hash tells entries apart that have no id of their own. The hashes are kept by
// backends and in the receiver's state: what goes into them must never change.
type identity []byte

// add appends a field. It comes with its length, so that no two lists of fields read the same.
func (id *identity) add(field []byte) {
	*id = strconv.AppendInt(*id, int64(len(field)), 10)
	*id = append(*id, ':')
	*id = append(*id, field...)
}

// addMembers appends the text of some members of an object. A number is the same as its digits in a string, and a
// member that is null or not there the same as an empty one: Slack has sent both for the same field.
func (id *identity) addMembers(object jsonstream.Node, names []string) {
	for _, name := range names {
		switch n := object.Get(name); n.Kind() {
		case jsonstream.Absent, jsonstream.Null:
			id.add(nil)
		case jsonstream.Array, jsonstream.Object:
			id.add([]byte(n.Raw()))
		default:
			id.add(n.Bytes())
		}
	}
}

func hash(text []byte) [16]byte {
	sum := sha256.Sum256(text)
	return [16]byte(sum[:])
}

// uid writes a hash as log.record.uid.
func uid(hash [16]byte) string {
	var text [32]byte
	hex.Encode(text[:], hash[:])
	return string(text[:])
}

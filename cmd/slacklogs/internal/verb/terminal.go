// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package verb // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"

import (
	"strings"
	"unicode"
)

// Printable keeps what a terminal could take for commands out of what others say.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// printableLines is Printable of each line: an error may be several, and quote a file or an answer.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Printable(line)
	}
	return strings.Join(lines, "\n")
}

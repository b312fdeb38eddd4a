// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

// docs/errors.md says what the code does. -update writes its table.
func TestErrorsDocument(t *testing.T) {
	const (
		file  = "../../docs/errors.md"
		begin = "<!-- table of codes -->\n"
		end   = "<!-- end of table -->\n"
	)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)

	want := before + begin + codesTable() + end + after
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
		return
	}
	assert.Equal(t, want, string(text), "run: go test ./internal/slack -run TestErrorsDocument -update")
}

// codesTable has a row for each code, then one for each status that an answer without a known code is taken by.
func codesTable() string {
	var b strings.Builder
	b.WriteString("| code | class | what it means and what mends it |\n|---|---|---|\n")
	codes := slices.SortedFunc(maps.Keys(Codes), func(x, y string) int {
		return cmp.Or(cmp.Compare(Codes[x].Class, Codes[y].Class), cmp.Compare(x, y))
	})
	for _, code := range codes {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", code, Codes[code].Class, Codes[code].Advice)
	}
	b.WriteString("\nAn answer whose body names none of these codes is taken by its HTTP status:\n\n")
	b.WriteString("| status | `error_type` | class | what it means and what mends it |\n|---|---|---|---|\n")
	for _, row := range []struct {
		name   string
		status int
		same   bool // the status itself is the code
	}{
		{"3xx", 302, false},
		{"401", 401, false},
		{"403", 403, true},
		{"404", 404, true},
		{"407", 407, true},
		{"408, 425", 408, true},
		{"429", 429, false},
		{"other 4xx", 400, true},
		{"5xx", 503, true},
	} {
		e := statusError("", row.status)
		code := "`" + e.Code + "`"
		if row.same {
			code = "the status"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.name, code, e.Class, e.Advice)
	}
	unknown := newError("", "unheard_of", "")
	fmt.Fprintf(&b, "\nA code that is in neither table, with status 200: %s. %s\n", unknown.Class, unknown.Advice)
	return b.String()
}

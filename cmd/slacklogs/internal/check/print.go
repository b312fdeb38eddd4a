// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// result is what came of one check.
type result string

const (
	passed  result = "ok"
	warned  result = "warn"
	failed  result = "fail"
	skipped result = "skipped"
)

// finding is one line of what check prints.
type finding struct {
	Receiver string `json:"receiver"`
	Section  string `json:"section"`
	Check    string `json:"check"`
	TeamID   string `json:"team_id"`
	Result   result `json:"result"`
	Detail   string `json:"detail"`
	// Advice is the sentence that mends it.
	Advice string `json:"advice"`
	TookMS int64  `json:"took_ms"`
}

// findings are collected and, as a table, printed one by one: with many
// workspaces it takes a while.
type findings struct {
	w      io.Writer
	output string
	all    []finding
	// receiver is whose lines are printed, and secrets are what no line may show.
	receiver string
	secrets  []string
}

func newFindings(w io.Writer, output string) *findings {
	return &findings{w: w, output: output, all: []finding{}}
}

// leastSecret is how long a secret is at least: "true" is a header's value too.
const leastSecret = 6

// hide keeps a secret out of all that is printed.
func (f *findings) hide(secret string) {
	if len(secret) < leastSecret || slices.Contains(f.secrets, secret) {
		return
	}
	f.secrets = append(f.secrets, secret)
	if quoted := strconv.Quote(secret); quoted != `"`+secret+`"` {
		f.secrets = append(f.secrets, quoted[1:len(quoted)-1]) // as errors repeat it
	}
	// A secret may be part of another one.
	slices.SortFunc(f.secrets, func(a, b string) int { return len(b) - len(a) })
}

// anyToken is what looks like one of Slack's tokens, wherever it comes from.
// They have digits, other than the beginning of one in a sentence.
var anyToken = regexp.MustCompile(`\b(xox[a-z]|xapp)[-.][A-Za-z.%-]*[0-9][A-Za-z0-9.%-]*`)

// masked is text without secrets, and without what a terminal obeys: names
// are Slack's, and errors may repeat a configuration.
func (f *findings) masked(text string) string {
	for _, secret := range f.secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	text = anyToken.ReplaceAllString(text, "$1-…")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' ' // not verb.Printable's mark: an error of several lines becomes one
	}, text)
}

func (f *findings) add(line finding) {
	line.Detail, line.Advice = f.masked(line.Detail), f.masked(line.Advice)
	f.all = append(f.all, line)
	if f.output == outputTable {
		f.print(line)
	}
}

// refused adds what an error says: in the detail what it is, in the advice what
// mends it.
func (f *findings) refused(line finding, err error) {
	line.Detail, line.Advice = line.Detail+err.Error(), "Check the network between here and Slack."
	if e, ok := errors.AsType[*slack.Error](err); ok {
		bare := *e
		bare.Advice = ""
		line.Detail, line.Advice = bare.Error(), e.Advice
		if e.RetryAfter > 0 {
			line.Detail += fmt.Sprintf("; Slack asks to wait for %s", e.RetryAfter.Round(time.Second))
		}
	}
	f.add(line)
}

// print writes a line of the table, below its receiver's name.
func (f *findings) print(line finding) {
	if line.Receiver != f.receiver {
		f.receiver = line.Receiver
		fmt.Fprintf(f.w, "%s\n", f.receiver)
	}
	word := string(line.Result)
	if line.Result == failed {
		word = "FAIL"
	}
	what := strings.Join(slices.DeleteFunc([]string{line.Section, line.TeamID}, func(s string) bool { return s == "" }), " ")
	if what != "" {
		what += ": "
	}
	took := ""
	if line.TookMS > 0 {
		took = fmt.Sprintf(" (%d ms)", line.TookMS)
	}
	fmt.Fprintf(f.w, "  %-7s  %-13s  %s%s%s\n", word, line.Check, what, line.Detail, took)
	if line.Advice != "" {
		fmt.Fprintf(f.w, "  %-7s  %-13s  → %s\n", "", "", line.Advice)
	}
}

// finish prints what remains, and fails if a check has, with strict also if one
// has warned.
func (f *findings) finish(strict bool) error {
	fails, warns := 0, 0
	for _, line := range f.all {
		switch line.Result {
		case failed:
			fails++
		case warned:
			warns++
		}
	}
	ok := fails == 0 && (warns == 0 || !strict)
	if f.output == outputJSON {
		encoder := json.NewEncoder(f.w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{ok, f.all}); err != nil {
			return err
		}
	}
	if ok {
		return nil
	}
	return fmt.Errorf("%d failed, %d warned", fails, warns)
}

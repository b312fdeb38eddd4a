// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package status // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/status"

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// clearScreen goes to the upper left corner and clears what is there.
const clearScreen = "\x1b[H\x1b[2J"

// print shows the report in the form that the flags want.
func (w *watcher) print(r *statusReport) error {
	if w.output == "json" {
		return json.NewEncoder(w.to).Encode(r)
	}
	text := &strings.Builder{}
	switch {
	case w.watch && w.terminal:
		fmt.Fprintf(text, "%s%s  every %s, Ctrl-C ends\n", clearScreen, r.Time.Local().Format(time.TimeOnly), w.interval)
	case w.watch:
		fmt.Fprintf(text, "%s\n", r.Time.Format(time.RFC3339))
	}
	r.table(text)
	if w.watch && !w.terminal {
		fmt.Fprintln(text)
	}
	_, err := io.WriteString(w.to, text.String())
	return err
}

// table writes the summary, a line for each source, and what to do.
func (r *statusReport) table(to io.Writer) {
	fmt.Fprintln(to, r.Summary)
	if len(r.Lines) == 0 {
		return
	}
	fmt.Fprintln(to)
	rows := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "STATE\tRECEIVER\tLOG TYPE\tWORKSPACE\tNEWEST ENTRY\tREAD UP TO\tLAST POLL\tGAPS\tENTRIES\tFAILED CALLS")
	for i := range r.Lines {
		l := &r.Lines[i]
		team := l.TeamID
		if team == "" {
			team = "-"
		}
		fmt.Fprintln(rows, strings.Join([]string{
			string(l.State), l.Receiver, l.LogType, team, age(l.EventStaleness), age(l.WatermarkLag), l.lastPoll(),
			l.gaps(), strconv.FormatInt(l.Delivered, 10), l.failed(),
		}, "\t"))
	}
	_ = rows.Flush() // writes to memory
	r.advise(to)
}

// advise writes a paragraph for each trouble, with all lines that have it.
func (r *statusReport) advise(to io.Writer) {
	var troubles []string
	names := map[string][]string{}
	advice := map[string]string{}
	several := r.severalReceivers()
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.Advice == "" {
			continue
		}
		trouble := l.why()
		if names[trouble] == nil {
			troubles = append(troubles, trouble)
		}
		names[trouble] = append(names[trouble], l.name(several))
		advice[trouble] = l.Advice
	}
	for _, trouble := range troubles {
		fmt.Fprintf(to, "\n%s: %s\n  %s\n", trouble, strings.Join(names[trouble], ", "), advice[trouble])
	}
}

// lastPoll says never rather than since when it is waited for.
func (l *statusLine) lastPoll() string {
	if l.EventStaleness == nil {
		return "never"
	}
	return age(l.PollStaleness)
}

func (l *statusLine) gaps() string {
	if l.Gaps == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", l.Gaps, span(l.GapTime))
}

// failed also names the error that most of the failed calls had.
func (l *statusLine) failed() string {
	if l.FailedCalls == 0 {
		return "0"
	}
	most := slices.MaxFunc(slices.Sorted(maps.Keys(l.FailedBy)), func(a, b string) int {
		return cmp.Compare(l.FailedBy[a], l.FailedBy[b])
	})
	if l.FailedBy[most] < l.FailedCalls {
		most = "mostly " + most
	}
	return fmt.Sprintf("%d (%s)", l.FailedCalls, most)
}

// age is how long ago something was.
func age(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return span(*seconds) + " ago"
}

// span is a time to its two leading units.
func span(seconds float64) string {
	s := int64(seconds)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
}

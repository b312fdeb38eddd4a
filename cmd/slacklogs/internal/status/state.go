// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package status // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/status"

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// state is how a source stands, in a word.
type state string

const (
	stateOK      state = "ok"
	stateFailing state = "FAILING"
	stateStalled state = "STALLED"
	stateNew     state = "NEW"
	stateDropped state = "DROPPED"
	stateStale   state = "STALE"
	stateGaps    state = "GAPS"
	stateBehind  state = "BEHIND"
)

// behindAfter is as in README's alerts, and so is the default of --stalled-after.
const behindAfter = 2 * time.Hour

// stateOf names the worst of what there is to say.
func stateOf(f *figures, stalledAfter time.Duration) state {
	over := func(seconds *float64, limit time.Duration) bool { return seconds != nil && *seconds > limit.Seconds() }
	switch {
	case f.Failing:
		return stateFailing
	case over(f.PollStaleness, stalledAfter):
		return stateStalled
	case f.EventStaleness == nil:
		return stateNew
	case f.Stale:
		return stateStale
	case f.Gaps > 0:
		return stateGaps
	case f.Dropped > 0: // below what passes, as it stays until the collector starts anew
		return stateDropped
	case over(f.WatermarkLag, behindAfter):
		return stateBehind
	default:
		return stateOK
	}
}

// works reports whether nobody has to do anything, and nothing is left to be seen.
func (s state) works() bool { return s == stateOK || s == stateBehind }

// hints say what the other states mean, and what to do.
var hints = map[state]string{
	stateStalled: "For longer than --stalled-after no page was read, delivered and saved, though nothing is known to fail: " +
		"a component behind the receiver may hold a batch without an answer, or a poll_interval or a pause of Slack's is that long; look at the collector's log.",
	stateNew: "The first poll has not ended yet; wait, and if this stays, look at the collector's log.",
	stateDropped: "The pipeline refused entries for good, and they are lost to it; the collector's log says which, and that of the " +
		"processor or exporter why. The count begins at 0 when the collector starts.",
	stateStale: "Polls succeed, but Slack has shown no new entry for longer than stale_after: " +
		"unless the organisation is just quiet, check that the app is still installed and its owner still an owner.",
	stateGaps: "Some intervals are known not to be complete; they are tried again, and the collector's log names each with its reason. " +
		"Worth a look when it stays for longer than two sweep_interval.",
	stateBehind: "A backlog is being read, after an outage or at a first start, or the next sweep of access logs is due; new entries come meanwhile. It passes by itself.",
}

// ownErrors are the receiver's own values of error_type.
var ownErrors = map[string]string{
	"consumer_refused":   "The pipeline refuses the records, and they are offered again until it takes them; the log of the processor or exporter that does says why.",
	"storage":            "The state can't be saved; polling goes on from memory, and a restart would repeat records. Check the storage's space and rights.",
	"storage_taken_over": "Another collector has taken over the state, and records repeat while both poll; check the leader election, or that no other collector uses this storage.",
	"other_organisation": "The token belongs to another organisation than the saved state; use a token of the same one, or a receiver of another name (slacklogs/other).",
	"workspace_missing":  "Slack names no workspace for the token; add the app to the workspaces whose logs are wanted, or name them in team_ids.",
	"no_time":            "Slack's time can't be told from its answers; check the collector's clock, and whether a proxy changes the Date header.",
	"other":              "The collector's log says what is wrong.",
}

// statusAdvice is what the line means and what to do; "" while all is well.
func statusAdvice(s state, errorType string) string {
	if s != stateFailing {
		return hints[s]
	}
	if own, ok := ownErrors[errorType]; ok {
		return own
	}
	return cmp.Or(slack.Advice(errorType), "This version has no advice on that; the collector's log says more.")
}

// statusLine is one source of a report.
type statusLine struct {
	State state `json:"state"`
	source
	figures
	Advice string `json:"advice,omitempty"`
}

// statusReport is how a collector stands.
type statusReport struct {
	Time time.Time `json:"time"`
	// OK is set when all works.
	OK bool `json:"ok"`
	// Summary says so in one sentence.
	Summary string       `json:"summary"`
	Lines   []statusLine `json:"lines"`
}

// newReport judges each source, in an order that stays.
func newReport(now time.Time, m metrics, stalledAfter time.Duration) statusReport {
	r := statusReport{Time: now, Lines: []statusLine{}}
	for s, f := range m.polling {
		l := statusLine{State: stateOf(f, stalledAfter), source: s, figures: *f}
		l.Advice = statusAdvice(l.State, l.ErrorType)
		r.Lines = append(r.Lines, l)
	}
	slices.SortFunc(r.Lines, func(a, b statusLine) int {
		return cmp.Or(cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.LogType, b.LogType), cmp.Compare(a.TeamID, b.TeamID))
	})
	r.OK = len(r.Lines) > 0 && !slices.ContainsFunc(r.Lines, func(l statusLine) bool { return !l.State.works() })
	switch {
	case len(r.Lines) > 0:
		r.Summary = r.sentence()
	case m.counted:
		r.Summary = "Nothing is polled: this collector stands by while another leads, or it can't take over; its log says which."
	default:
		r.Summary = "This page knows no slacklogs receiver: it is another collector's, or this one stands by and has never led, " +
			"or service::telemetry::metrics::level is none."
	}
	return r
}

// sentence says whether all works.
func (r *statusReport) sentence() string {
	logTypes := map[source]bool{}
	count := map[state]int{}
	var bad []string
	newest := math.Inf(1)
	several := r.severalReceivers()
	for i := range r.Lines {
		l := &r.Lines[i]
		logTypes[source{Receiver: l.Receiver, LogType: l.LogType}] = true
		count[l.State]++
		if !l.State.works() && l.State != stateNew {
			bad = append(bad, l.name(several)+" "+l.why())
		}
		if l.EventStaleness != nil {
			newest = min(newest, *l.EventStaleness)
		}
	}
	works := fmt.Sprintf("All %d log types work", len(logTypes))
	if len(logTypes) == 1 {
		works = "The " + r.Lines[0].LogType + " logs work"
	}
	of := func(n int, one, many, rest string) string {
		if n == 1 {
			many = one
		}
		return fmt.Sprintf("%d of %d %s %s", n, len(r.Lines), many, rest)
	}
	text := works
	switch {
	case len(bad) == len(r.Lines) && len(bad) == 1:
		text = "It needs attention: " + bad[0]
	case len(bad) > 0:
		text = of(len(bad), "needs", "need", "attention: ") + strings.Join(bad[:min(len(bad), 3)], ", ")
		if more := len(bad) - 3; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	case count[stateNew] > 0:
		text = of(count[stateNew], "waits", "wait", "for the first poll to end")
	case count[stateBehind] > 0:
		text += "; " + of(count[stateBehind], "reads", "read", "a backlog")
	}
	if !math.IsInf(newest, 1) {
		text += "; newest entry " + age(&newest)
	}
	return text + "."
}

// severalReceivers reports whether a log type alone does not say which one is meant.
func (r *statusReport) severalReceivers() bool {
	return len(r.Lines) > 0 && r.Lines[0].Receiver != r.Lines[len(r.Lines)-1].Receiver
}

// name is what the line is about, with the receiver if there are several.
func (l *statusLine) name(withReceiver bool) string {
	name := l.LogType
	if withReceiver {
		name = l.Receiver + " " + name
	}
	if l.TeamID != "" {
		name += " of " + l.TeamID
	}
	return name
}

// why is the state, and of a failing line also the error.
func (l *statusLine) why() string {
	if l.State == stateFailing && l.ErrorType != "" {
		return fmt.Sprintf("%s (%s)", l.State, l.ErrorType)
	}
	return string(l.State)
}

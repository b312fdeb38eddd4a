// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

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

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// ruleReport is what became of a rule or correlation.
type ruleReport struct {
	Name     string              `json:"name"`
	Level    sigma.Level         `json:"level"`
	Tier     detect.Tier         `json:"tier"`
	Findings int                 `json:"findings"`
	Matches  int                 `json:"matches"`
	Days     map[string]dayCount `json:"days,omitempty"`
}

type dayCount struct {
	Findings int `json:"findings"`
	Matches  int `json:"matches"`
}

// reports are those of all rules and correlations with a tier, the most severe first.
func (j *judged) reports() []ruleReport {
	var all []ruleReport
	for _, r := range j.tuned.Rules {
		if r.Tier != "" {
			all = append(all, ruleReport{Name: r.Name, Level: r.Level, Tier: r.Tier})
		}
	}
	for _, c := range j.tuned.Correlations {
		if c.Tier != "" {
			all = append(all, ruleReport{Name: c.Name, Level: c.Level, Tier: c.Tier})
		}
	}
	slices.SortFunc(all, func(a, b ruleReport) int {
		return cmp.Or(cmp.Compare(b.Level.Rank(), a.Level.Rank()), strings.Compare(a.Name, b.Name))
	})
	for i := range all {
		r := &all[i]
		r.Days = map[string]dayCount{}
		for at, n := range j.matches[r.Name] {
			r.Matches += n
			r.Days[at] = dayCount{Matches: n}
		}
		for k := range j.findings {
			if f := &j.findings[k]; f.Rule == r.Name {
				r.Findings++
				count := r.Days[day(f.Last)]
				count.Findings++
				r.Days[day(f.Last)] = count
			}
		}
	}
	return all
}

// by are the findings in each column.
func (r *ruleReport) by(columns []column) []int {
	counts := make([]int, len(columns))
	rest := r.Findings
	for i, c := range slices.Backward(columns) {
		for _, d := range c.days {
			counts[i] += r.Days[d].Findings
		}
		if c.days == nil {
			counts[i] = rest
		}
		rest -= counts[i]
	}
	return counts
}

const (
	// maxDays is how many days the table shows by themselves; of more it shows weeks.
	maxDays = 31
	// maxWeeks is how many weeks it shows, the last ones in which something was found: a clock that was wrong must not make
	// a table of centuries.
	maxWeeks = 26
)

// column is a day, or the week that begins with it; without days, all that is earlier.
type column struct {
	title string
	days  []string
}

func (j *judged) columns() (what string, all []column) {
	if j.Records == 0 {
		return "day", nil
	}
	first, last := j.first.UTC().Truncate(24*time.Hour), j.last.UTC()
	if last.Sub(first) < maxDays*24*time.Hour {
		for ; !first.After(last); first = first.AddDate(0, 0, 1) {
			all = append(all, column{first.Format("01-02"), []string{day(first)}})
		}
		return "day", all
	}
	mondays := map[time.Time]bool{}
	for _, f := range j.findings {
		at := f.Last.UTC().Truncate(24 * time.Hour)
		mondays[at.AddDate(0, 0, -(int(at.Weekday())+6)%7)] = true
	}
	weeks := slices.SortedFunc(maps.Keys(mondays), time.Time.Compare)
	if earlier := len(weeks) - maxWeeks; earlier > 0 {
		weeks = weeks[earlier:]
		all = append(all, column{title: "earlier"})
	}
	for _, monday := range weeks {
		c := column{title: monday.Format(time.DateOnly)}
		for i := range 7 {
			c.days = append(c.days, day(monday.AddDate(0, 0, i)))
		}
		all = append(all, c)
	}
	return "week", all
}

// table shows findings by rule and day, and what matched nothing.
func (j *judged) table(to io.Writer) {
	fmt.Fprintf(to, "%d records", j.Records)
	if j.Records > 0 {
		fmt.Fprintf(to, ", %s to %s", j.first.UTC().Format(time.RFC3339), j.last.UTC().Format(time.RFC3339))
	}
	if j.Outside > 0 {
		fmt.Fprintf(to, "; %d others outside of the time asked for", j.Outside)
	}
	if j.Foreign > 0 {
		fmt.Fprintf(to, "; %d others not of the receiver's logs, or without a time", j.Foreign)
	}
	fmt.Fprintln(to)
	what, columns := j.columns()
	var never []string
	reports := j.reports()
	head := []string{"RULE", "LEVEL", "TIER"}
	for _, c := range columns {
		head = append(head, c.title)
	}
	rows := [][]string{append(head, "FINDINGS", "MATCHES")}
	sums := make([]int, len(columns)+2)
	for _, r := range reports {
		if r.Matches == 0 && r.Findings == 0 {
			if _, inert := j.tuned.Inert[r.Name]; !inert {
				never = append(never, r.Name)
			}
			continue
		}
		row := []string{r.Name, string(r.Level), string(r.Tier)}
		for i, n := range append(r.by(columns), r.Findings, r.Matches) {
			row = append(row, figure(n))
			sums[i] += n
		}
		rows = append(rows, row)
	}
	if len(rows) == 1 {
		fmt.Fprintln(to, "\nNothing was found.")
	} else {
		fmt.Fprintf(to, "\nFindings by %s; matches are findings, and what was held back after one.\n\n", what)
		all := []string{"all", "", ""}
		for _, n := range sums {
			all = append(all, figure(n))
		}
		layOut(to, append(rows, all), 3)
	}
	if len(never) > 0 {
		fmt.Fprintf(to, "\nMatched nothing (%d): %s\n", len(never), strings.Join(never, ", "))
	}
	if len(j.tuned.Inert) > 0 {
		var inert []string
		for _, r := range reports {
			if _, ok := j.tuned.Inert[r.Name]; ok {
				inert = append(inert, r.Name)
			}
		}
		if len(inert) > 0 {
			fmt.Fprintf(to, "\nCould not match, as a list is empty (%d): %s\n", len(inert), strings.Join(inert, ", "))
		}
	}
}

func figure(n int) string {
	if n == 0 {
		return "."
	}
	return strconv.Itoa(n)
}

// layOut writes rows of cells: those of the first columns to the left, the others to the right.
func layOut(to io.Writer, rows [][]string, left int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			width := widths[i]
			if i < left {
				width = -width
			}
			row[i] = fmt.Sprintf("%*s", width, cell)
		}
		fmt.Fprintln(to, strings.Join(row, "  "))
	}
}

// printFindings shows each, in the order of time.
func (j *judged) printFindings(to io.Writer) error {
	rows := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "TIME\tLEVEL\tTIER\tRULE\tOF\tHELD BACK\tUIDS")
	for i := range j.findings {
		f := &j.findings[i]
		fmt.Fprintln(rows, strings.Join([]string{
			f.Last.UTC().Format(time.RFC3339), string(f.Level), string(f.Tier), f.Rule, verb.Printable(group(f)),
			strconv.Itoa(f.HeldBack), verb.Printable(uids(f.UIDs)),
		}, "\t"))
	}
	return rows.Flush()
}

// group are the values that a finding is of.
func group(f *detect.Finding) string {
	var parts []string
	for i, field := range f.Fields {
		if f.Values[i] != "" {
			parts = append(parts, field+"="+f.Values[i])
		}
	}
	return strings.Join(parts, " ")
}

func uids(all []string) string {
	const most = 5
	if len(all) <= most {
		return strings.Join(all, " ")
	}
	return strings.Join(all[:most], " ") + fmt.Sprintf(" and %d more", len(all)-most)
}

// findingReport is a finding as JSON.
type findingReport struct {
	Time     time.Time         `json:"time"`
	First    time.Time         `json:"first"`
	Rule     string            `json:"rule"`
	Level    sigma.Level       `json:"level"`
	Tier     detect.Tier       `json:"tier"`
	Group    map[string]string `json:"group"`
	UIDs     []string          `json:"uids"`
	HeldBack int               `json:"held_back"`
}

func newFindingReport(f *detect.Finding) findingReport {
	values := map[string]string{}
	for i, field := range f.Fields {
		if f.Values[i] != "" {
			values[field] = f.Values[i]
		}
	}
	return findingReport{f.Last.UTC(), f.First.UTC(), f.Rule, f.Level, f.Tier, values, f.UIDs, f.HeldBack}
}

// json writes one object with all of it.
func (j *judged) json(to io.Writer, findings bool) error {
	report := struct {
		tally
		From     *time.Time          `json:"from,omitempty"`
		To       *time.Time          `json:"to,omitempty"`
		Rules    []ruleReport        `json:"rules"`
		Inert    map[string][]string `json:"inert,omitempty"`
		Findings []findingReport     `json:"findings,omitempty"`
	}{tally: j.tally, Rules: j.reports(), Inert: maps.Clone(j.tuned.Inert)}
	maps.DeleteFunc(report.Inert, func(name string, _ []string) bool {
		return !slices.ContainsFunc(report.Rules, func(r ruleReport) bool { return r.Name == name })
	})
	if j.Records > 0 {
		first, last := j.first.UTC(), j.last.UTC()
		report.From, report.To = &first, &last
	}
	if findings {
		report.Findings = []findingReport{}
		for i := range j.findings {
			report.Findings = append(report.Findings, newFindingReport(&j.findings[i]))
		}
	}
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

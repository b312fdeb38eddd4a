// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// judged is what rules make of the records. Of those that nothing matches it keeps nothing.
type judged struct {
	tally
	tuned       *detect.Tuned
	first, last time.Time // of the records
	findings    []detect.Finding
	// matches are, by rule and day, how many different records match. A correlation's are its findings, and what was
	// held back.
	matches map[string]map[string]int
	// found are the uids of all that a finding is made of, also those that were held back after one of a rule's.
	found map[string]bool
	// whom is about the user of --context.
	whom whom
}

// match is one of a rule: a record that comes twice is the same.
type match struct {
	rule, uid string
	at        int64
}

// whom is the person that somebody asks for.
type whom struct {
	name string // id or e-mail address, as given
	ids  map[string]bool
	uids map[string]bool // of this person's records
}

func newWhom(name string) whom {
	return whom{name, map[string]bool{name: true}, map[string]bool{}}
}

// acted is whether the record is of something that the person did. It learns the ids that belong to an address.
func (w *whom) acted(s *seen) bool {
	id := s.str("user.id")
	if strings.Contains(w.name, "@") && strings.EqualFold(s.str("user.email"), w.name) {
		if id != "" {
			w.ids[id] = true
		}
		return true
	}
	return id != "" && w.ids[id]
}

// concerned is whether the person is in the record at all.
func (w *whom) concerned(s *seen) bool {
	return w.acted(s) || slices.ContainsFunc(s.Values("related.users"), func(id string) bool { return w.ids[id] })
}

// found is whether a finding is about the person: it names them, or holds something that they did.
func (w *whom) found(f *detect.Finding) bool {
	return slices.ContainsFunc(f.Values, func(v string) bool { return w.ids[v] || strings.EqualFold(v, w.name) }) ||
		slices.ContainsFunc(f.UIDs, func(uid string) bool { return w.uids[uid] })
}

func judgeAll(ctx context.Context, in *input, tuned *detect.Tuned, user string) (*judged, error) {
	j := &judged{tuned: tuned, matches: map[string]map[string]int{}, found: map[string]bool{}, whom: newWhom(user)}
	evaluator := tuned.NewEvaluator()
	counted := map[match]bool{}
	var err error
	j.tally, err = in.each(ctx, func(s *seen) {
		if j.first.IsZero() || s.Time.Before(j.first) {
			j.first = s.Time
		}
		if s.Time.After(j.last) {
			j.last = s.Time
		}
		if user != "" && j.whom.acted(s) {
			j.whom.uids[strings.Clone(s.UID)] = true
		}
		matches := evaluator.Add(s.Event)
		if len(matches) == 0 {
			return
		}
		uid := strings.Clone(s.UID)
		for _, rule := range matches {
			m := match{rule.Name, uid, s.Time.Unix()}
			if counted[m] {
				continue
			}
			counted[m] = true
			j.add(rule.Name, s.Time, 1)
			j.found[uid] = true
		}
	})
	if err != nil {
		return nil, err
	}
	j.findings = evaluator.Findings()
	for i := range j.findings {
		f := &j.findings[i]
		if slices.ContainsFunc(tuned.Correlations, func(c *detect.Correlation) bool { return c.Name == f.Rule }) {
			j.add(f.Rule, f.Last, 1+f.HeldBack)
		}
		for _, uid := range f.UIDs {
			j.found[uid] = true
		}
	}
	return j, nil
}

func (j *judged) add(rule string, at time.Time, n int) {
	if j.matches[rule] == nil {
		j.matches[rule] = map[string]int{}
	}
	j.matches[rule][day(at)] += n
}

func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect // import "github.com/slacklogs/otelcol-slacklogs/internal/detect"

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Finding is what somebody is told: a rule, a group of values, and the events.
type Finding struct {
	Rule     string
	Level    sigma.Level
	Tier     Tier
	Fields   []string // that the values are of: group-by of a correlation, suppress.by of a rule
	Values   []string
	First    time.Time // of the events
	Last     time.Time // when it was complete
	UIDs     []string  // of the events, in the order of time
	HeldBack int       // how many more like it followed within the time of suppression
}

// Evaluator collects what matches, and makes findings of it.
type Evaluator struct {
	tuned *Tuned
	// hits are the matches of rules: of a rule's own findings by its name, of a correlation's member by both names.
	hits map[string][]hit
}

// hit is an event that a rule matches, or the event with which a correlation becomes complete.
type hit struct {
	at    time.Time
	uid   string
	group []string
	value string   // what ValueCount counts
	spare []string // correlations whose exceptions take the event away
	// window are the hits that make it complete, the last one included; of a rule's own hit none.
	window []hit
}

func (h *hit) key() string { return key(h.group) }

// key is the same for the same values only.
func key(values []string) string {
	var b strings.Builder
	for _, value := range values {
		b.WriteString(strconv.Itoa(len(value)))
		b.WriteByte(':')
		b.WriteString(value)
	}
	return b.String()
}

// NewEvaluator returns one that has seen nothing.
func (t *Tuned) NewEvaluator() *Evaluator { return &Evaluator{tuned: t, hits: map[string][]hit{}} }

// Add judges an event, and returns the rules that match it: those with a tier, the most severe first, which is what a
// collector tags. The event is not kept.
func (e *Evaluator) Add(event Event) (matches []*Rule) {
	var blocks []*Rule
	for _, rule := range e.tuned.Rules {
		if rule.LogType() != event.LogType || !sigma.Matches(rule.Match, event) {
			continue
		}
		blocks = append(blocks, rule)
		if rule.Tier != "" {
			matches = append(matches, rule)
			e.add(rule.Name, event, rule.Suppress.By, "", nil, true)
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	var spare []string
	for name, excepted := range e.tuned.except {
		if sigma.Matches(excepted, event) {
			spare = append(spare, name)
		}
	}
	for _, c := range e.tuned.Correlations {
		for _, member := range c.Members {
			if slices.Contains(blocks, member.Rule) {
				e.add(c.Name+" "+member.Name(), event, c.GroupFields(member.Name()), c.Field, spare, false)
			}
		}
	}
	return matches
}

// add keeps a hit. Whoever is missing a field of a group is in no group, unless only the findings of one rule are held
// back by it.
func (e *Evaluator) add(name string, event Event, fields []string, counted string, spare []string, empty bool) {
	group := make([]string, len(fields))
	for i, field := range fields {
		value, ok := event.one(field)
		if !ok && !empty {
			return
		}
		group[i] = strings.Clone(value)
	}
	value := ""
	if counted != "" {
		var ok bool
		if value, ok = event.one(counted); !ok {
			return
		}
	}
	e.hits[name] = append(e.hits[name], hit{event.Time, strings.Clone(event.UID), group, strings.Clone(value), spare, nil})
}

// Findings are what the events so far make, in the order of time.
func (e *Evaluator) Findings() []Finding {
	var findings []Finding
	for _, rule := range e.tuned.Rules {
		if rule.Tier != "" {
			findings = append(findings, suppress(e.hits[rule.Name], &rule.Header, &rule.Handling, rule.Suppress.By)...)
		}
	}
	for _, c := range e.tuned.Correlations {
		if c.Tier != "" {
			findings = append(findings, suppress(e.complete(c, nil), &c.Header, &c.Handling, c.GroupBy)...)
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(a.Last.Compare(b.Last), strings.Compare(a.Rule, b.Rule), slices.Compare(a.Values, b.Values))
	})
	return findings
}

// suppress makes findings of hits: of each group the first, and then the first after each time of suppression.
func suppress(hits []hit, header *sigma.Header, handling *Handling, fields []string) []Finding {
	var findings []Finding
	kept := make([]int, 0, len(handling.Suppress.By)) // the places of suppress.by among the fields
	for _, by := range handling.Suppress.By {
		kept = append(kept, slices.Index(fields, by))
	}
	last := map[string]int{}
	for _, h := range inOrder(hits) {
		var by []string
		for _, i := range kept {
			by = append(by, h.group[i])
		}
		who := key(by)
		if i, ok := last[who]; ok && h.at.Sub(findings[i].Last) <= handling.Quiet {
			findings[i].HeldBack++
			continue
		}
		events := h.events(nil)
		slices.SortFunc(events, func(a, b hit) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.uid, b.uid)) })
		finding := Finding{
			Rule: header.Name, Level: header.Level, Tier: handling.Tier, Fields: fields, Values: h.group, First: events[0].at, Last: h.at,
		}
		for _, event := range events {
			// In a chain an event can stand twice.
			if n := len(finding.UIDs); n == 0 || finding.UIDs[n-1] != event.uid {
				finding.UIDs = append(finding.UIDs, event.uid)
			}
		}
		last[who] = len(findings)
		findings = append(findings, finding)
	}
	return findings
}

// events adds those of a hit, and of the hits in its window.
func (h *hit) events(all []hit) []hit {
	if h.window == nil {
		return append(all, *h)
	}
	for i := range h.window {
		all = h.window[i].events(all)
	}
	return all
}

// inOrder sorts hits by time, and takes out those of entries that came again.
func inOrder(hits []hit) []hit {
	hits = slices.Clone(hits)
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.uid, b.uid), slices.Compare(a.group, b.group))
	})
	return slices.CompactFunc(hits, func(a, b hit) bool { return a.at.Equal(b.at) && a.uid == b.uid && slices.Equal(a.group, b.group) })
}

// complete returns the events with which a correlation becomes complete, without those that the exceptions of
// correlations around it take away.
func (e *Evaluator) complete(c *Correlation, around []string) []hit {
	around = append(slices.Clone(around), c.Name)
	// By group, and then by member.
	groups := map[string][][]hit{}
	for i, member := range c.Members {
		var hits []hit
		if member.Correlation != nil {
			hits = regroup(e.complete(member.Correlation, around), member.Correlation, c)
		} else {
			hits = e.hits[c.Name+" "+member.Name()]
		}
		for _, h := range hits {
			if slices.ContainsFunc(h.spare, func(name string) bool { return slices.Contains(around, name) }) {
				continue
			}
			if groups[h.key()] == nil {
				groups[h.key()] = make([][]hit, len(c.Members))
			}
			groups[h.key()][i] = append(groups[h.key()][i], h)
		}
	}
	var found []hit
	for _, members := range groups {
		switch c.Type {
		case sigma.EventCount, sigma.ValueCount:
			found = append(found, c.counted(inOrder(slices.Concat(members...)))...)
		case sigma.Temporal, sigma.TemporalOrdered:
			for i := range members {
				members[i] = inOrder(members[i])
			}
			found = append(found, c.sequences(members)...)
		}
	}
	return found
}

// regroup gives the hits of a correlation the groups of the one that it is a member of.
func regroup(hits []hit, inner, outer *Correlation) []hit {
	var places []int
	for _, field := range outer.GroupFields(inner.Name) {
		places = append(places, slices.Index(inner.GroupBy, field))
	}
	counted := slices.Index(inner.GroupBy, outer.Field)
	for i := range hits {
		group := make([]string, len(places))
		for j, place := range places {
			group[j] = hits[i].group[place]
		}
		if counted >= 0 {
			hits[i].value = hits[i].group[counted]
		}
		hits[i].group = group
	}
	return hits
}

// counted slides a window of the timespan over the hits of a group, one end of it at each hit.
func (c *Correlation) counted(hits []hit) []hit {
	var (
		found  []hit
		oldest int
		values = map[string]int{}
	)
	for i, h := range hits {
		values[h.value]++
		for ; h.at.Sub(hits[oldest].at) > c.Timespan; oldest++ {
			if values[hits[oldest].value]--; values[hits[oldest].value] == 0 {
				delete(values, hits[oldest].value)
			}
		}
		n := i + 1 - oldest
		if c.Type == sigma.ValueCount {
			n = len(values)
		}
		// Those of the same second belong together.
		if next := i + 1; next < len(hits) && hits[next].at.Equal(h.at) {
			continue
		}
		if c.Holds(n) {
			h.window = hits[oldest : i+1]
			found = append(found, h)
		}
	}
	return found
}

// sequences looks for events of all members within the timespan; no event stands for two members that are rules. One that
// makes a correlation complete may also be another member. Of events of the same second any may have been first.
func (c *Correlation) sequences(members [][]hit) []hit {
	var found []hit
	last := len(members) - 1
	if c.Type == sigma.Temporal {
		// Any member may be the last.
		for i := range members {
			others := slices.Concat(members[:i], members[i+1:])
			for _, h := range members[i] {
				if window := c.before(others, []hit{h}, h.at, false); window != nil {
					h.window = window
					found = append(found, h)
				}
			}
		}
		return inOrder(found)
	}
	for _, h := range members[last] {
		if window := c.before(members[:last], []hit{h}, h.at, true); window != nil {
			h.window = window
			found = append(found, h)
		}
	}
	return found
}

// before finds an event of each member that is not after those found so far, and returns them all in the order of time.
func (c *Correlation) before(members [][]hit, found []hit, end time.Time, ordered bool) []hit {
	if len(members) == 0 {
		slices.SortStableFunc(found, func(a, b hit) int { return a.at.Compare(b.at) })
		return found
	}
	latest := end
	if ordered {
		latest = found[len(found)-1].at
	}
	hits := members[len(members)-1]
	after, _ := slices.BinarySearchFunc(hits, latest, func(h hit, at time.Time) int {
		if h.at.After(at) {
			return 1
		}
		return -1
	})
	// The latest first: it leaves the most room for those before it. An earlier one is of use only where another member
	// needs the same event, so as many as there are members left are enough: without that end, a day of many events would
	// take the square of their number.
	tries := len(members)
	for i := after - 1; i >= 0 && tries > 0 && end.Sub(hits[i].at) <= c.Timespan; i-- {
		if hits[i].window == nil && slices.ContainsFunc(found, func(h hit) bool { return h.window == nil && h.uid == hits[i].uid }) {
			continue
		}
		tries--
		if window := c.before(members[:len(members)-1], append(slices.Clone(found), hits[i]), end, ordered); window != nil {
			return window
		}
	}
	return nil
}

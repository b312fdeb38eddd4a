// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package splunk // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/splunk"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// writer writes searches of a pack.
type writer struct {
	pack  *detect.Pack
	lists *detect.Lists
	// macros are the conditions of rules that correlations use, by name.
	macros map[string]string
}

// condition is what a rule asks, as a macro if correlations use it too, and the lookups that it needs before.
func (w *writer) condition(r *detect.Rule) (condition string, lookups []string, err error) {
	em := &emitter{logType: r.LogType(), lists: w.lists, lookups: map[string]string{}}
	parts := sigma.And{r.Match}
	condition, err = em.expr(sigma.Map(parts, func(t *sigma.Test) sigma.Expr { return t }))
	if err != nil {
		return "", nil, err
	}
	if condition, err = w.without(em, condition, r.Name); err != nil {
		return "", nil, err
	}
	for _, found := range slices.Sorted(maps.Keys(em.lookups)) {
		lookups = append(lookups, em.lookups[found])
	}
	if slices.ContainsFunc(w.pack.Correlations, func(c *detect.Correlation) bool { return slices.Contains(c.Rules, r.Name) }) {
		name := "slacklogs_is_" + r.Name
		w.macros[name] = condition
		condition = "`" + name + "`"
	}
	return condition, lookups, nil
}

// without adds to a condition what exceptions take away. They end by themselves, in Splunk too.
func (w *writer) without(em *emitter, condition, name string) (string, error) {
	for _, exception := range w.lists.Exceptions {
		if !slices.Contains(exception.Rules, name) {
			continue
		}
		day, err := time.Parse(time.DateOnly, exception.Expires)
		if err != nil {
			return "", fmt.Errorf("exceptions: expires: %w", err)
		}
		var parts sigma.And
		for _, field := range slices.Sorted(maps.Keys(exception.Match)) {
			parts = append(parts, &sigma.Test{Field: field, Op: sigma.Equal, Values: exception.Match[field]})
		}
		excepted, err := em.expr(parts)
		if err != nil {
			return "", err
		}
		condition = fmt.Sprintf("(%s AND NOT (now()<%d AND %s))", condition, day.AddDate(0, 0, 1).Unix(), excepted)
	}
	return condition, nil
}

// base is what the search command of some rules of a log type finds.
func base(logType string, rules []*detect.Rule) string {
	var all []string
	for _, r := range rules {
		found := terms(logType, r.Match)
		if found == nil {
			return macroOf(logType)
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for i, value := range all {
		all[i] = quote(value)
	}
	return fmt.Sprintf("%s slack.%s IN (%s)", macroOf(logType), first[logType], strings.Join(all, ", "))
}

func macroOf(logType string) string { return "`slacklogs_" + logType + "`" }

// key joins the values of some fields, each of which must have one; null if one has none.
func (w *writer) key(em *emitter, names []string, always bool) (string, error) {
	var texts []string
	for _, name := range names {
		f, err := em.field(name)
		if err != nil {
			return "", err
		}
		text := f.clean
		if f.kind == detect.Many {
			text = fmt.Sprintf("if(mvcount(%s)=1,%s,null())", f.clean, f.clean)
		}
		if always {
			text = fmt.Sprintf(`coalesce(%s,"-")`, text)
		} else {
			text = fmt.Sprintf(`nullif(%s,"")`, text)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ` . "|" . `), nil
}

// rule is the search of a rule's findings.
func (w *writer) rule(r *detect.Rule) (string, error) {
	condition, lookups, err := w.condition(r)
	if err != nil {
		return "", err
	}
	em := &emitter{logType: r.LogType(), lists: w.lists}
	key, err := w.key(em, r.Suppress.By, true)
	if err != nil {
		return "", err
	}
	lines := []string{
		fmt.Sprintf("%s `slacklogs_arrived(%s)`", base(r.LogType(), []*detect.Rule{r}), timings[r.Tier].lookback),
		"dedup log.record.uid _time",
	}
	lines = append(lines, lookups...)
	lines = append(lines, "where "+strip(condition), "eval finding_key="+key+", first_time=_time")
	shown, err := w.shown(em, r.Fields)
	if err != nil {
		return "", err
	}
	return strings.Join(append(lines, finding(r.LogType(), shown), call(&r.Header, &r.Handling)), "\n| "), nil
}

// shown are aggregations of the fields that an analyst wants to see.
func (w *writer) shown(em *emitter, names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		f, err := em.field(name)
		if err != nil {
			return nil, err
		}
		for _, source := range f.names {
			all = append(all, fmt.Sprintf("values(%s) AS %s", source, quote(source)))
		}
	}
	return all, nil
}

// pivots are the attributes by which more is looked for, where a log type has them.
var pivots = [][2]string{{"user.id", "actor"}, {"session.id", "session"}, {"client.address", "address"}}

// finding makes one row of all that has the same key.
func finding(logType string, shown []string) string {
	all := []string{"count AS matches", "min(first_time) AS first_time", "max(_time) AS last_time", "values(log.record.uid) AS uids"}
	for _, t := range record.LogTypes() {
		for _, pivot := range pivots {
			if t.Name == logType && slices.ContainsFunc(t.Attributes, func(a record.Attribute) bool { return a.Name == pivot[0] }) {
				all = append(all, fmt.Sprintf("latest(%s) AS %s", pivot[0], pivot[1]))
			}
		}
	}
	return "stats " + strings.Join(append(all, shown...), " ") + " BY finding_key"
}

// call is the macro that finishes a finding.
func call(h *sigma.Header, handling *detect.Handling) string {
	playbooks := "none"
	if len(handling.Playbooks) > 0 {
		playbooks = strings.Join(handling.Playbooks, "+")
	}
	return fmt.Sprintf("`slacklogs_finding(%s,%s,%s,%s)`", h.Name, h.Level, handling.Tier, playbooks)
}

// strip takes the parentheses around a whole condition away.
func strip(condition string) string {
	if !strings.HasPrefix(condition, "(") {
		return condition
	}
	depth, quoted := 0, false
	for i := range len(condition) {
		switch c := condition[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 && i < len(condition)-1 {
				return condition
			}
		}
	}
	return condition[1 : len(condition)-1]
}

// correlation is the search of a correlation's findings.
func (w *writer) correlation(c *detect.Correlation) (string, error) {
	rules := rulesOf(c, nil)
	logType := rules[0].LogType()
	if slices.ContainsFunc(rules, func(r *detect.Rule) bool { return r.LogType() != logType }) {
		return "", errors.New("rules of several logs in one correlation are not covered")
	}
	em := &emitter{logType: logType, lists: w.lists, lookups: map[string]string{}}
	// What both the search and its subsearch begin with.
	name := "slacklogs_from_" + c.Name
	w.macros[name] = base(logType, rules)
	from := "`" + name + "`"
	arrived := fmt.Sprintf("`slacklogs_arrived(%s)`", timings[c.Tier].lookback)
	lines := []string{
		fmt.Sprintf("%s [search %s %s | `slacklogs_around(%d)`]", from, from, arrived, int(reach(c).Seconds())),
		"dedup log.record.uid _time",
	}
	var lookups, flags []string
	for _, r := range rules {
		condition, needed, err := w.condition(r)
		if err != nil {
			return "", err
		}
		lookups = append(lookups, needed...)
		flags = append(flags, fmt.Sprintf("is_%s=if(%s,1,0)", r.Name, strip(condition)))
	}
	s := sequence{w: w, em: em, lines: lines}
	slices.Sort(lookups)
	s.lines = append(s.lines, slices.Compact(lookups)...)
	s.lines = append(s.lines, "eval "+strings.Join(flags, ", "))
	var members []string
	for _, r := range rules {
		members = append(members, "is_"+r.Name+"=1")
	}
	s.lines = append(s.lines, "where "+strings.Join(members, " OR "), "eval arrived=_indextime")
	if _, err := s.write(c, nil); err != nil {
		return "", err
	}
	// What is held back may be wider than the group.
	held := "key"
	if !slices.Equal(c.Suppress.By, c.GroupBy) {
		var parts []string
		for _, by := range c.Suppress.By {
			parts = append(parts, fmt.Sprintf(`mvindex(split(key,"|"),%d)`, slices.Index(c.GroupBy, by)))
		}
		held = strings.Join(parts, ` . "|" . `)
	}
	var shown []string
	if c.Type == sigma.EventCount || c.Type == sigma.ValueCount {
		shown = []string{"max(n) AS counted"}
	}
	s.lines = append(s.lines,
		fmt.Sprintf("where done=1 AND arrived >= relative_time(now(),%s)", quote("-"+timings[c.Tier].lookback)),
		"eval finding_key="+held+", first_time=since",
		finding(logType, shown), call(&c.Header, &c.Handling))
	return strings.Join(s.lines, "\n| "), nil
}

// rulesOf are the rules whose events a correlation judges in the end.
func rulesOf(c *detect.Correlation, rules []*detect.Rule) []*detect.Rule {
	for _, member := range c.Members {
		if member.Correlation != nil {
			rules = rulesOf(member.Correlation, rules)
		} else if !slices.Contains(rules, member.Rule) {
			rules = append(rules, member.Rule)
		}
	}
	return rules
}

// reach is how long before its last event the first one of a correlation can be.
func reach(c *detect.Correlation) time.Duration {
	var deepest time.Duration
	for _, member := range c.Members {
		if member.Correlation != nil {
			deepest = max(deepest, reach(member.Correlation))
		}
	}
	return c.Timespan + deepest
}

// sequence writes the part of a search that judges events together.
type sequence struct {
	w     *writer
	em    *emitter
	lines []string
}

// completed says what a correlation left behind. done is a field that is 1 in the event that makes it complete.
type completed struct {
	done, group, since, counted string
}

func (s *sequence) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// write writes a correlation. around are the correlations that it is a member of.
func (s *sequence) write(c *detect.Correlation, around []string) (completed, error) {
	// The fields of a member have its name.
	suffix := ""
	if len(around) > 0 {
		suffix = "_" + c.Name
	}
	around = append(slices.Clone(around), c.Name)
	if suffix != "" && len(c.Aliases) > 0 {
		return completed{}, fmt.Errorf("%s: aliases in a member are not covered", c.Name)
	}
	done := completed{"done" + suffix, "key" + suffix, "since" + suffix, "n" + suffix}
	var keys, names []string
	for i, member := range c.Members {
		name := fmt.Sprintf("key%s_%d", suffix, i+1)
		names = append(names, name)
		condition := "is_" + member.Name() + "=1"
		if member.Correlation != nil {
			inner, err := s.write(member.Correlation, around)
			if err != nil {
				return completed{}, err
			}
			condition = inner.done + "=1"
		} else {
			for _, name := range around {
				var err error
				if condition, err = s.w.without(s.em, condition, name); err != nil {
					return completed{}, err
				}
			}
		}
		key, err := s.w.key(s.em, c.GroupFields(member.Name()), false)
		if err != nil {
			return completed{}, err
		}
		if c.Type == sigma.ValueCount {
			counted, err := s.w.key(s.em, []string{c.Field}, false)
			if err != nil {
				return completed{}, err
			}
			condition = fmt.Sprintf("%s AND isnotnull(%s)", condition, counted)
		}
		keys = append(keys, fmt.Sprintf("%s=if(%s,%s,null())", name, condition, key))
	}
	s.add("eval %s", strings.Join(keys, ", "))
	switch {
	case len(c.Aliases) > 0:
		// An event can be in two groups, of each as another member.
		s.add("eval key=mvdedup(mvappend(%s))", strings.Join(names, ","))
		s.add("where isnotnull(key)")
		s.add("mvexpand key")
		var same []string
		for _, name := range names {
			same = append(same, fmt.Sprintf("%s=if(%s=key,key,null())", name, name))
		}
		s.add("eval %s", strings.Join(same, ", "))
	case suffix == "":
		key := names[0]
		if len(names) > 1 {
			key = "coalesce(" + strings.Join(names, ",") + ")"
		}
		s.add("eval key=%s", key)
		s.add("where isnotnull(key)")
	default:
		// Others may be members of what is around it: they get a group without a meaning.
		s.add(`eval %s=coalesce(%s,"-")`, done.group, strings.Join(names, ","))
	}
	switch c.Type {
	case sigma.EventCount, sigma.ValueCount:
		if err := s.count(c, done, suffix); err != nil {
			return completed{}, err
		}
	case sigma.TemporalOrdered, sigma.Temporal:
		// No event stands for two members that are rules; one that completes a correlation may also be another member.
		current := "current=f "
		if slices.ContainsFunc(c.Members, func(m detect.Member) bool { return m.Correlation != nil }) {
			if current = ""; len(c.Members) > 2 {
				return completed{}, fmt.Errorf("%s: correlations among more than two members are not covered", c.Name)
			}
		}
		if c.Type == sigma.TemporalOrdered {
			s.ordered(c, done, suffix, current, names)
		} else {
			s.unordered(c, done, suffix, current, names)
		}
	default:
		return completed{}, fmt.Errorf("%s: %s is not covered", c.Name, c.Type)
	}
	s.add("eval arrived=if(%s=1,newest%s,arrived)", done.done, suffix)
	return done, nil
}

// count slides a window over the events of a group. Splunk does not say whether time_window holds an event that is
// exactly so old; the pack's window does. So the clock runs twice as fast here: of whole seconds, those at most n apart
// are then the ones less than 2n+1 apart, and the ones at most 2n+1 apart as well.
func (s *sequence) count(c *detect.Correlation, done completed, suffix string) error {
	compare, ok := map[string]string{"gt": ">", "gte": ">="}[c.Compare]
	if !ok {
		return fmt.Errorf("%s: the condition %s is not covered", c.Name, c.Compare)
	}
	what := "count"
	if c.Type == sigma.ValueCount {
		counted, err := s.em.field(c.Field)
		if err != nil {
			return err
		}
		s.add("eval counted%s=%s", suffix, counted.clean)
		what = "dc(counted" + suffix + ")"
	}
	s.add("eval real_time=_time, _time=2*_time - now()")
	s.add("sort 0 _time")
	s.add("streamstats time_window=%ds %s AS %s min(real_time) AS %s max(arrived) AS newest%s BY %s",
		2*int(c.Timespan.Seconds())+1, what, done.counted, done.since, suffix, done.group)
	member := ""
	if suffix != "" {
		member = done.group + `!="-" AND `
	}
	s.add(`eval _time=real_time, %s=if(%s%s %s %d,1,0)`, done.done, member, done.counted, compare, c.Count)
	return nil
}

// ordered goes through the events of a group once for each member but the first: step_i is the latest time at which a
// row of the first i members, the last one in this event, can have begun. Of one second those of earlier members come
// first.
func (s *sequence) ordered(c *detect.Correlation, done completed, suffix, current string, names []string) {
	var places, held []string
	for i, name := range names {
		places = append(places, fmt.Sprintf("if(isnotnull(%s),%d,0)", name, i+1))
		held = append(held, fmt.Sprintf("if(isnotnull(%s),1,0)", name))
	}
	s.add("eval place=(%s)/(%s)", strings.Join(places, "+"), strings.Join(held, "+"))
	s.add("sort 0 _time place")
	s.add("eval step_1=if(isnotnull(%s),_time,null())", names[0])
	for i := 1; i < len(names); i++ {
		s.add("streamstats %smax(step_%d) AS before_%d BY %s", current, i, i, done.group)
		s.add("eval step_%d=if(isnotnull(%s),before_%d,null())", i+1, names[i], i)
	}
	s.add("streamstats max(arrived) AS newest%s BY %s", suffix, done.group)
	s.add("eval %s=step_%d, %s=if(_time - step_%d <= %d,1,0)", done.since, len(names), done.done, len(names), int(c.Timespan.Seconds()))
}

// unordered asks of each event of a group whether all other members have one before it.
func (s *sequence) unordered(c *detect.Correlation, done completed, suffix, current string, names []string) {
	var times, latest, starts []string
	for i, name := range names {
		times = append(times, fmt.Sprintf("time_%d=if(isnotnull(%s),_time,null())", i+1, name))
		latest = append(latest, fmt.Sprintf("max(time_%d) AS before_%d", i+1, i+1))
		// The event as the member i, with the latest one of each other member.
		var others []string
		for j := range names {
			if j != i {
				others = append(others, fmt.Sprintf("before_%d", j+1))
			}
		}
		start := others[0]
		if len(others) > 1 {
			start = "min(" + strings.Join(others, ",") + ")"
		}
		for _, other := range others {
			start = fmt.Sprintf("if(_time - %s <= %d,%s,null())", other, int(c.Timespan.Seconds()), start)
		}
		starts = append(starts, fmt.Sprintf("if(isnotnull(%s),%s,null())", name, start))
	}
	s.add("eval %s", strings.Join(times, ", "))
	s.add("sort 0 _time")
	s.add("streamstats %s%s BY %s", current, strings.Join(latest, " "), done.group)
	s.add("streamstats max(arrived) AS newest%s BY %s", suffix, done.group)
	s.add("eval %s=coalesce(%s)", done.since, strings.Join(starts, ","))
	s.add("eval %s=if(isnotnull(%s),1,0)", done.done, done.since)
}

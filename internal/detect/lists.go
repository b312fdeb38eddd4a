// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect // import "github.com/slacklogs/otelcol-slacklogs/internal/detect"

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// ListKind is what a list holds.
type ListKind string

// The kinds.
const (
	Users    ListKind = "user"
	Apps     ListKind = "app"
	Orgs     ListKind = "org"
	Networks ListKind = "network" // addresses and ranges
)

// List is one that rules ask for by name.
type List struct {
	About  string   `yaml:"about"`
	Kind   ListKind `yaml:"kind"`
	Values []string `yaml:"values"`
}

// Exception takes events away from rules and correlations until a day: for these, the events do not exist.
type Exception struct {
	Rules []string `yaml:"rules"`
	// Match are fields and the value or values that each must have.
	Match   map[string]oneOrMore `yaml:"match"`
	Owner   string               `yaml:"owner"`
	Reason  string               `yaml:"reason"`
	Expires string               `yaml:"expires"` // YYYY-MM-DD, the last day on which it holds (UTC)

	until time.Time
}

// oneOrMore are texts; a single one may stand without a list.
type oneOrMore []string

func (s *oneOrMore) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*s = oneOrMore{node.Value}
		return nil
	}
	var list []string
	err := node.Decode(&list)
	*s = list
	return err
}

// Lists are what tunes a pack: detections/lists.yml.
type Lists struct {
	// OwnApps are those whose tokens the collectors use. They are among critical_apps, whatever that list says: who removes
	// one blinds the rules.
	OwnApps    []string        `yaml:"own_apps"`
	Lists      map[string]List `yaml:"lists"`
	Exceptions []Exception     `yaml:"exceptions"`
}

// criticalApps is the list that OwnApps are added to.
const criticalApps = "critical_apps"

// Names and ids become parts of files, settings and queries elsewhere, so they hold nothing that means something there.
var (
	listForm = regexp.MustCompile(`^[a-z0-9_]{1,100}$`)
	idForm   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// ParseLists reads a lists file.
func ParseLists(text []byte) (*Lists, error) {
	var lists Lists
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	switch err := decoder.Decode(&lists); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("holds no lists")
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds a second document, which would go unheard")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(lists.Lists)) {
		if !listForm.MatchString(name) {
			errs = append(errs, fmt.Errorf("lists: %q can't be the name of a list: use small letters, digits and _", name))
		} else if err := lists.Lists[name].check(); err != nil {
			errs = append(errs, fmt.Errorf("lists: %s: %w", name, err))
		}
	}
	for i := range lists.Exceptions {
		if err := lists.Exceptions[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("exceptions: number %d: %w", i+1, err))
		}
	}
	if err := (List{Kind: Apps, Values: lists.OwnApps}).check(); err != nil {
		errs = append(errs, fmt.Errorf("own_apps: %w", err))
	}
	if critical, ok := lists.Lists[criticalApps]; ok {
		for _, app := range lists.OwnApps {
			if !slices.Contains(critical.Values, app) {
				critical.Values = append(critical.Values, app)
			}
		}
		lists.Lists[criticalApps] = critical
	}
	return &lists, errors.Join(errs...)
}

func (l List) check() error {
	switch l.Kind {
	case Users, Apps, Orgs:
		for _, value := range l.Values {
			if !idForm.MatchString(value) {
				return fmt.Errorf("%q is no id", value)
			}
		}
	case Networks:
		for _, value := range l.Values {
			if _, err := sigma.Network(value); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("kind: %q is none of user, app, org, network", l.Kind)
	}
	return nil
}

func (e *Exception) check() error {
	day, err := time.Parse(time.DateOnly, e.Expires)
	if err == nil {
		e.until = day.AddDate(0, 0, 1)
	}
	switch {
	case len(e.Rules) == 0:
		return errors.New("rules: name those it is for")
	case len(e.Match) == 0:
		return errors.New("match: say what it is for; without it the rule would be off")
	case slices.ContainsFunc(slices.Collect(maps.Values(e.Match)), func(v oneOrMore) bool { return len(v) == 0 }):
		return errors.New("match: a field has no value")
	case e.Owner == "":
		return errors.New("owner: who answers for it?")
	case e.Reason == "":
		return errors.New("reason: why?")
	case err != nil:
		return fmt.Errorf("expires: %q is not YYYY-MM-DD", e.Expires)
	}
	return nil
}

// Expired are the exceptions that hold no more. One without a day never held.
func (l *Lists) Expired(now time.Time) []Exception {
	return slices.DeleteFunc(slices.Clone(l.Exceptions), func(e Exception) bool { return e.until.IsZero() || now.Before(e.until) })
}

// expr is what the events hold that an exception takes away.
func (e *Exception) expr() sigma.Expr {
	var parts sigma.And
	for _, field := range slices.Sorted(maps.Keys(e.Match)) {
		parts = append(parts, &sigma.Test{Field: field, Op: sigma.Equal, Values: e.Match[field]})
	}
	return parts
}

// Tuned is a pack with what lists hold in place of their names, and without what exceptions take away.
type Tuned struct {
	Pack
	// Inert are the rules and correlations that can't find anything, with the empty lists that are to blame.
	Inert map[string][]string
	// except are, by correlation, what its events must not be.
	except map[string]sigma.Expr
}

// Tune applies lists, and the exceptions that hold at a time. A list that a rule names and the lists do not is an error;
// an empty one matches nothing.
func (p *Pack) Tune(lists *Lists, now time.Time) (*Tuned, error) {
	tuned := &Tuned{Inert: map[string][]string{}, except: map[string]sigma.Expr{}}
	var errs []error
	known := map[string]bool{}
	exceptions := map[string]sigma.Or{}
	for _, exception := range lists.Exceptions {
		if !now.Before(exception.until) {
			continue
		}
		for _, name := range exception.Rules {
			exceptions[name] = append(exceptions[name], exception.expr())
		}
	}
	rules := map[string]*Rule{}
	for _, r := range p.Rules {
		known[r.Name] = true
		match := sigma.Map(r.Match, func(t *sigma.Test) sigma.Expr {
			if t.Op != sigma.InList {
				return t
			}
			var parts sigma.Or
			for _, name := range t.Values {
				list, ok := lists.Lists[name]
				if !ok {
					errs = append(errs, fmt.Errorf("%s: needs the list %s, which is not there; an empty one would do", r.Name, name))
				}
				if field, _ := FieldOf(r.LogType(), t.Field); ok && list.Kind == Networks && field.Kind != Single {
					errs = append(errs, fmt.Errorf("%s: %s may be a list, for which a list of networks is not covered", r.Name, t.Field))
				}
				if len(list.Values) == 0 {
					continue
				}
				// Ids are compared as they stand.
				replaced := &sigma.Test{Field: t.Field, Op: sigma.Equal, Values: list.Values, Cased: true}
				if list.Kind == Networks {
					inNetworks, err := sigma.InNetworks(t.Field, list.Values)
					if err != nil {
						continue // as ParseLists has said
					}
					replaced = inNetworks
				}
				parts = append(parts, replaced)
			}
			return parts
		})
		if sigma.IsNever(match) {
			tuned.Inert[r.Name] = emptyLists(r.Match, lists, true, nil)
		}
		if excepted := exceptions[r.Name]; excepted != nil {
			if err := checkFields(r.Logsource, excepted); err != nil {
				errs = append(errs, fmt.Errorf("an exception for %s: %w", r.Name, err))
			}
			match = sigma.Map(sigma.And{match, sigma.Not{Expr: excepted}}, func(t *sigma.Test) sigma.Expr { return t })
		}
		copied := *r
		copied.Match = match
		rules[r.Name] = &copied
		tuned.Rules = append(tuned.Rules, &copied)
	}
	correlations := map[string]*Correlation{}
	for _, c := range p.Correlations {
		known[c.Name] = true
		copied := *c
		correlations[c.Name] = &copied
		tuned.Correlations = append(tuned.Correlations, &copied)
	}
	for _, c := range tuned.Correlations {
		c.Members = slices.Clone(c.Members)
		for i, member := range c.Members {
			c.Members[i] = Member{rules[member.Name()], correlations[member.Name()]}
		}
	}
	for _, c := range tuned.Correlations {
		if excepted := exceptions[c.Name]; excepted != nil {
			for _, rule := range c.base(nil) {
				if err := checkFields(rule.Logsource, excepted); err != nil {
					errs = append(errs, fmt.Errorf("an exception for %s: %w", c.Name, err))
				}
			}
			tuned.except[c.Name] = excepted
		}
		if empty, inert := c.inert(tuned.Inert); inert {
			tuned.Inert[c.Name] = empty
		}
	}
	for name := range exceptions {
		if !known[name] {
			errs = append(errs, fmt.Errorf("an exception names the rule %s, which is not there", name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return tuned, errors.Join(errs...)
}

// emptyLists adds the empty lists that are to blame if an expression that should be true can't be, or the other way round.
func emptyLists(e sigma.Expr, lists *Lists, should bool, names []string) []string {
	switch e := e.(type) {
	case sigma.And:
		for _, part := range e {
			names = emptyLists(part, lists, should, names)
		}
	case sigma.Or:
		for _, part := range e {
			names = emptyLists(part, lists, should, names)
		}
	case sigma.Not:
		return emptyLists(e.Expr, lists, !should, names)
	case *sigma.Test:
		for _, name := range e.Values {
			if e.Op == sigma.InList && should && len(lists.Lists[name].Values) == 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Except is what the events of a correlation must not be, or nil.
func (t *Tuned) Except(correlation string) sigma.Expr { return t.except[correlation] }

// base are the rules whose events a correlation judges in the end.
func (c *Correlation) base(rules []*Rule) []*Rule {
	for _, member := range c.Members {
		if member.Correlation != nil {
			rules = member.Correlation.base(rules)
		} else if !slices.Contains(rules, member.Rule) {
			rules = append(rules, member.Rule)
		}
	}
	return rules
}

// inert is whether too few members are left for a finding, and the lists to blame.
func (c *Correlation) inert(rules map[string][]string) (empty []string, inert bool) {
	dead := 0
	for _, member := range c.Members {
		lists, no := rules[member.Name()]
		if member.Correlation != nil {
			lists, no = member.Correlation.inert(rules)
		}
		if no {
			dead++
			for _, name := range lists {
				if !slices.Contains(empty, name) {
					empty = append(empty, name)
				}
			}
		}
	}
	counts := c.Type == sigma.EventCount || c.Type == sigma.ValueCount
	return empty, counts && dead == len(c.Members) || !counts && dead > 0
}

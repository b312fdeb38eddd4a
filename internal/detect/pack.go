// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect // import "github.com/slacklogs/otelcol-slacklogs/internal/detect"

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Tier is who looks at a finding. What has none is a building block of correlations and no finding.
type Tier string

// The tiers.
const (
	Page   Tier = "page"   // somebody is called
	Review Tier = "review" // looked at daily
	Hunt   Tier = "hunt"   // context
)

// Tiers are all of them, the most urgent first.
var Tiers = []Tier{Page, Review, Hunt}

// Home is where the pack's documents can be read by whoever has no copy.
const Home = "https://github.com/slacklogs/otelcol-slacklogs/blob/main/detections"

// Playbooks are the names of those in detections/playbooks.
var Playbooks = []string{"disable-token", "end-sessions", "freeze-app", "contact-actor", "revert-setting", "stop-export"}

// Handling is what a rule says of its findings, in the key slacklogs.
type Handling struct {
	Tier     Tier `yaml:"tier"`
	Suppress struct {
		By  []string `yaml:"by"`
		For string   `yaml:"for"`
	} `yaml:"suppress"`
	Playbooks []string `yaml:"playbooks"`
	Response  string   `yaml:"response"`
	Tuning    string   `yaml:"tuning"`

	// Quiet is Suppress.For: after a finding, those with the same values are held back so long.
	Quiet time.Duration `yaml:"-"`
}

// Rule judges one event: its own test, and the filters that act on it.
type Rule struct {
	*sigma.Rule
	Handling
	Match sigma.Expr
	// Filters are the names of those that act on it.
	Filters []string
}

// LogType is audit, access or integration.
func (r *Rule) LogType() string { return r.Logsource.Service }

// Correlation judges events together.
type Correlation struct {
	*sigma.Correlation
	Handling
	Members []Member // in the order of Rules
}

// Member is one of the Rules of a correlation: a rule or another correlation.
type Member struct {
	Rule        *Rule
	Correlation *Correlation
}

// Name is the member's.
func (m Member) Name() string {
	if m.Rule != nil {
		return m.Rule.Name
	}
	return m.Correlation.Name
}

// Pack is a set of documents that fit together.
type Pack struct {
	// The most severe first, then by name.
	Rules        []*Rule
	Correlations []*Correlation
}

// Load reads all documents (*.yml, *.yaml) below folders. A mistake in one fails it: a rule that is left out in silence is worse.
func Load(folders ...fs.FS) (*Pack, error) {
	var (
		docs sigma.Documents
		errs []error
	)
	for _, files := range folders {
		err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir // where Kubernetes keeps the files of a mounted ConfigMap, which then stand twice, and git its own
			}
			if err != nil || entry.IsDir() || path.Ext(name) != ".yml" && path.Ext(name) != ".yaml" {
				return err
			}
			text, err := fs.ReadFile(files, name)
			if err != nil {
				return err
			}
			if err := docs.Parse(text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return newPack(&docs)
}

func newPack(docs *sigma.Documents) (*Pack, error) {
	var (
		pack         Pack
		errs         []error
		rules        = map[string]*Rule{}
		correlations = map[string]*Correlation{}
		ids          = map[string]string{}
	)
	fail := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	unique := func(h *sigma.Header) {
		for _, key := range []string{h.ID, h.Name} {
			if other, taken := ids[key]; taken {
				fail(h.Name, "%s is also %s", key, other)
			}
			ids[key] = h.Name
		}
	}
	for _, r := range docs.Rules {
		unique(&r.Header)
		rule := &Rule{Rule: r, Match: r.Match}
		if err := rule.read(&r.Header); err != nil {
			fail(r.Name, "%v", err)
		}
		if err := checkFields(r.Logsource, r.Match); err != nil {
			fail(r.Name, "%v", err)
			continue
		}
		for _, field := range r.Fields {
			if _, err := FieldOf(r.Logsource.Service, field); err != nil {
				fail(r.Name, "fields: %v", err)
			}
		}
		for _, field := range rule.Suppress.By {
			if _, err := testable(r.Logsource.Service, field); err != nil {
				fail(r.Name, "slacklogs.suppress.by: %v", err)
			}
		}
		rules[r.Name] = rule
		pack.Rules = append(pack.Rules, rule)
	}
	for _, f := range docs.Filters {
		unique(&f.Header)
		if err := checkFields(f.Logsource, f.Match); err != nil {
			fail(f.Name, "%v", err)
			continue
		}
		for _, name := range f.Rules {
			rule := rules[name]
			if rule == nil || rule.Logsource != f.Logsource {
				fail(f.Name, "there is no rule %s for the %s log", name, f.Logsource.Service)
				continue
			}
			rule.Match = sigma.Map(sigma.And{rule.Match, f.Match}, func(t *sigma.Test) sigma.Expr { return t })
			rule.Filters = append(rule.Filters, f.Name)
		}
	}
	for _, c := range docs.Correlations {
		unique(&c.Header)
		correlation := &Correlation{Correlation: c}
		if err := correlation.read(&c.Header); err != nil {
			fail(c.Name, "%v", err)
		}
		for _, field := range correlation.Suppress.By {
			if !slices.Contains(c.GroupBy, field) {
				fail(c.Name, "suppress.by: %s is not among group-by", field)
			}
		}
		correlations[c.Name] = correlation
		pack.Correlations = append(pack.Correlations, correlation)
	}
	for _, c := range pack.Correlations {
		for _, name := range c.Rules {
			member := Member{rules[name], correlations[name]}
			if member == (Member{}) {
				fail(c.Name, "there is no rule %s", name)
				continue
			}
			c.Members = append(c.Members, member)
		}
	}
	if len(errs) == 0 {
		for _, c := range pack.Correlations {
			if err := c.check(nil); err != nil {
				fail(c.Name, "%v", err)
			}
		}
		used := map[string]bool{}
		for _, c := range pack.Correlations {
			for _, name := range c.Rules {
				used[name] = true
			}
		}
		for _, r := range pack.Rules {
			if r.Tier == "" && !used[r.Name] {
				fail(r.Name, "has no slacklogs.tier, and no correlation uses it")
			}
		}
		for _, c := range pack.Correlations {
			if c.Tier == "" && !used[c.Name] {
				fail(c.Name, "has no slacklogs.tier, and no correlation uses it")
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(pack.Rules, func(a, b *Rule) int { return compare(&a.Header, &b.Header) })
	slices.SortFunc(pack.Correlations, func(a, b *Correlation) int { return compare(&a.Header, &b.Header) })
	return &pack, nil
}

func compare(a, b *sigma.Header) int {
	return cmp.Or(cmp.Compare(b.Level.Rank(), a.Level.Rank()), strings.Compare(a.Name, b.Name))
}

// read takes the handling out of a document's own key.
func (h *Handling) read(header *sigma.Header) error {
	if header.Custom.Kind != 0 {
		text, err := yaml.Marshal(&header.Custom)
		if err != nil {
			return err
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(h); err != nil {
			return fmt.Errorf("slacklogs: %w", err)
		}
	}
	if header.Level == "" {
		return errors.New("level: give one")
	}
	if h.Suppress.For != "" {
		quiet, err := sigma.Duration(h.Suppress.For)
		if err != nil {
			return fmt.Errorf("slacklogs.suppress.for: %w", err)
		}
		h.Quiet = quiet
	}
	switch {
	case h.Tier == "" && header.Level != "informational":
		return errors.New("slacklogs.tier: give page, review or hunt; only a building block, of level informational, has none")
	case h.Tier == "":
		return nil
	case !slices.Contains(Tiers, h.Tier):
		return fmt.Errorf("slacklogs.tier: %q is none of %v", h.Tier, Tiers)
	case h.Tier == Page && header.Level.Rank() < sigma.Level("high").Rank():
		return errors.New("slacklogs.tier: what pages is high or critical")
	case h.Quiet == 0 || len(h.Suppress.By) == 0:
		return errors.New("slacklogs.suppress: say by which fields and for how long")
	case len(h.Playbooks) == 0 && h.Tier != Hunt:
		return errors.New("slacklogs.playbooks: name at least one")
	}
	for _, name := range h.Playbooks {
		if !slices.Contains(Playbooks, name) {
			return fmt.Errorf("slacklogs.playbooks: there is no %q", name)
		}
	}
	return nil
}

// checkFields holds the tests of an expression to what records can have.
func checkFields(source sigma.Logsource, match sigma.Expr) error {
	if source.Product != "slack" || fields()[source.Service] == nil {
		return fmt.Errorf("logsource: product slack, service audit, access or integration; not %s, %s", source.Product, source.Service)
	}
	var errs []error
	sigma.Walk(match, func(t *sigma.Test) {
		field, err := testable(source.Service, t.Field)
		if err != nil {
			errs = append(errs, err)
			return
		}
		switch t.Op {
		case sigma.FieldRef:
			for _, name := range t.Values {
				other, err := testable(source.Service, name)
				if err == nil && (field.Kind == Bool || other.Kind == Bool) {
					err = fmt.Errorf("%s: fieldref is not covered for what is true or false", t.Field)
				}
				if err != nil {
					errs = append(errs, err)
				}
			}
		case sigma.Regexp, sigma.CIDR:
			// OTTL has no way to ask each element of a list.
			if field.Kind == Many {
				errs = append(errs, fmt.Errorf("%s: may be a list, for which %s is not covered", t.Field, t.Op))
			}
			if field.Kind == Bool {
				errs = append(errs, fmt.Errorf("%s: is true or false, for which %s is not covered", t.Field, t.Op))
			}
		case sigma.Equal:
			if field.Kind == Bool && slices.ContainsFunc(t.Values, func(v string) bool { return v != "true" && v != "false" }) {
				errs = append(errs, fmt.Errorf("%s: is true or false", t.Field))
			}
		case sigma.Exists, sigma.Null:
		default:
			if field.Kind == Bool {
				errs = append(errs, fmt.Errorf("%s: is true or false, for which %s is not covered", t.Field, t.Op))
			}
		}
	})
	return errors.Join(errs...)
}

// check holds the groups of a correlation to the fields of its members.
func (c *Correlation) check(above []string) error {
	if slices.Contains(above, c.Name) {
		return fmt.Errorf("refers to itself by way of %v", above)
	}
	for _, member := range c.Members {
		fields := c.GroupFields(member.Name())
		if c.Field != "" {
			fields = append(fields, c.Field)
		}
		if member.Correlation != nil {
			for _, field := range fields {
				if !slices.Contains(member.Correlation.GroupBy, field) {
					return fmt.Errorf("%s does not group by %s", member.Name(), field)
				}
			}
			if err := member.Correlation.check(append(above, c.Name)); err != nil {
				return err
			}
			continue
		}
		for _, field := range fields {
			if _, err := testable(member.Rule.LogType(), field); err != nil {
				return fmt.Errorf("%s: %w", member.Name(), err)
			}
		}
	}
	return nil
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package sigma // import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Level is how bad it is.
type Level string

// Levels, the least first.
var Levels = []Level{"informational", "low", "medium", "high", "critical"}

// Rank is the place of a level among Levels.
func (l Level) Rank() int { return slices.Index(Levels, l) }

// Header is what all documents have.
type Header struct {
	Title          string    `yaml:"title"`
	ID             string    `yaml:"id"`
	Name           string    `yaml:"name"`
	Status         string    `yaml:"status"`
	Description    string    `yaml:"description"`
	References     []string  `yaml:"references"`
	Author         string    `yaml:"author"`
	Date           string    `yaml:"date"`
	Modified       string    `yaml:"modified"`
	License        string    `yaml:"license"`
	Tags           []string  `yaml:"tags"`
	FalsePositives []string  `yaml:"falsepositives"`
	Level          Level     `yaml:"level"`
	Custom         yaml.Node `yaml:"slacklogs"` // a key of ours; Sigma lets others ignore it
}

// Version is the day of the last change.
func (h *Header) Version() string {
	if h.Modified != "" {
		return h.Modified
	}
	return h.Date
}

// Logsource is which logs a document speaks of.
type Logsource struct {
	Product string `yaml:"product"`
	Service string `yaml:"service"`
}

// Rule judges one event.
type Rule struct {
	Header
	Logsource Logsource
	Fields    []string // what an analyst wants to see
	Match     Expr
}

// Filter takes events away from rules: they must hold Match too.
type Filter struct {
	Header
	Logsource Logsource
	Rules     []string
	Match     Expr
}

// CorrelationType is what a correlation asks of the events of its rules.
type CorrelationType string

// The covered types.
const (
	EventCount      CorrelationType = "event_count"
	ValueCount      CorrelationType = "value_count"
	Temporal        CorrelationType = "temporal"
	TemporalOrdered CorrelationType = "temporal_ordered"
)

// Correlation judges events of the same group together.
type Correlation struct {
	Header
	Type    CorrelationType
	Rules   []string // rules and correlations, by name
	GroupBy []string
	// Aliases are, by the name that GroupBy uses and the rule, the fields that stand for it.
	Aliases  map[string]map[string]string
	Timespan time.Duration
	// Of EventCount and ValueCount: how many (Compare is gt, gte, lt, lte or eq), and of ValueCount of which field.
	Compare string
	Count   int
	Field   string
}

// GroupFields are the fields of a rule's events that GroupBy means.
func (c *Correlation) GroupFields(rule string) []string {
	fields := make([]string, len(c.GroupBy))
	for i, field := range c.GroupBy {
		fields[i] = field
		if alias, ok := c.Aliases[field][rule]; ok {
			fields[i] = alias
		}
	}
	return fields
}

// Holds is whether so many are what the correlation asks for.
func (c *Correlation) Holds(n int) bool {
	switch c.Compare {
	case "gt":
		return n > c.Count
	case "gte":
		return n >= c.Count
	case "lt":
		return n < c.Count
	case "lte":
		return n <= c.Count
	}
	return n == c.Count
}

// Documents are what one or several texts hold.
type Documents struct {
	Rules        []*Rule
	Correlations []*Correlation
	Filters      []*Filter
}

// document is the text of any of the three.
type document struct {
	Header    `yaml:",inline"`
	Logsource Logsource            `yaml:"logsource"`
	Fields    []string             `yaml:"fields"`
	Detection map[string]yaml.Node `yaml:"detection"`
	Filter    map[string]yaml.Node `yaml:"filter"`

	Correlation *struct {
		Type      CorrelationType              `yaml:"type"`
		Rules     []string                     `yaml:"rules"`
		GroupBy   []string                     `yaml:"group-by"`
		Aliases   map[string]map[string]string `yaml:"aliases"`
		Timespan  string                       `yaml:"timespan"`
		Condition map[string]yaml.Node         `yaml:"condition"`
		// Where Sigma's schema looks for it, beside where its specification has it.
		Field string `yaml:"field"`
	} `yaml:"correlation"`
}

// Parse adds the documents of a text.
func (d *Documents) Parse(text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true) // an unknown key may be a demand that would go unheard
	for n := 0; ; n++ {
		var doc document
		err := decoder.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return errors.New("holds no document")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := d.add(&doc); err != nil {
			return fmt.Errorf("%s: %w", doc.Name, err)
		}
	}
}

func (d *Documents) add(doc *document) error {
	if err := doc.validate(); err != nil {
		return err
	}
	switch {
	case doc.Detection != nil && doc.Filter == nil && doc.Correlation == nil:
		if err := unique(doc.Fields); err != nil {
			return err
		}
		match, err := detection(doc.Detection)
		if err != nil {
			return err
		}
		d.Rules = append(d.Rules, &Rule{doc.Header, doc.Logsource, doc.Fields, match})
	case doc.Filter != nil && doc.Detection == nil && doc.Correlation == nil:
		var rules []string
		named := doc.Filter["rules"]
		if err := named.Decode(&rules); err != nil || len(rules) == 0 {
			return errors.New("filter: name the rules it acts on")
		}
		if err := unique(rules); err != nil {
			return err
		}
		delete(doc.Filter, "rules")
		match, err := detection(doc.Filter)
		if err != nil {
			return err
		}
		d.Filters = append(d.Filters, &Filter{doc.Header, doc.Logsource, rules, match})
	case doc.Correlation != nil && doc.Detection == nil && doc.Filter == nil:
		if doc.Logsource != (Logsource{}) || doc.Fields != nil {
			return errors.New("a correlation has no logsource and no fields: its rules have them")
		}
		c, err := doc.correlation()
		if err != nil {
			return err
		}
		d.Correlations = append(d.Correlations, c)
	default:
		return errors.New("a document holds one of detection, correlation and filter")
	}
	return nil
}

var (
	uuidForm  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	dateForm  = regexp.MustCompile(`^\d{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])$`)
	nameForm  = regexp.MustCompile(`^[a-z0-9_]{1,256}$`)
	aliasForm = regexp.MustCompile(`^[A-Za-z0-9_.]{1,256}$`)
	tagForm   = regexp.MustCompile(`^[a-z0-9_-]+\.[a-z0-9._-]+$`)
	timeForm  = regexp.MustCompile(`^([1-9]\d*)([smhdw])$`)
	statuses  = []string{"stable", "test", "experimental", "deprecated", "unsupported"}
	timeUnits = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
)

// validate holds the header to what Sigma's schemas demand.
func (h *Header) validate() error {
	switch {
	case !nameForm.MatchString(h.Name):
		return errors.New("name: give one of small letters, digits and _; correlations, tags and tests use it")
	case h.Title == "" || utf8.RuneCountInString(h.Title) > 256 || strings.ContainsFunc(h.Title, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("title: one line of 1 to 256 characters")
	case utf8.RuneCountInString(h.Description) > 65535:
		return errors.New("description: at most 65535 characters")
	case !uuidForm.MatchString(h.ID):
		return fmt.Errorf("id: %q is no UUID", h.ID)
	case !slices.Contains(statuses, h.Status):
		return fmt.Errorf("status: %q is none of %v", h.Status, statuses)
	case !dateForm.MatchString(h.Date):
		return fmt.Errorf("date: %q is not YYYY-MM-DD", h.Date)
	case h.Modified != "" && !dateForm.MatchString(h.Modified):
		return fmt.Errorf("modified: %q is not YYYY-MM-DD", h.Modified)
	case h.Level != "" && h.Level.Rank() < 0:
		return fmt.Errorf("level: %q is none of %v", h.Level, Levels)
	}
	if err := unique(h.References, h.Tags, h.FalsePositives); err != nil {
		return err
	}
	for _, item := range h.FalsePositives {
		if utf8.RuneCountInString(item) < 2 {
			return fmt.Errorf("falsepositives: %q is too short", item)
		}
	}
	for _, tag := range h.Tags {
		if !tagForm.MatchString(tag) {
			return fmt.Errorf("tags: %q has not the form namespace.name", tag)
		}
	}
	return nil
}

func unique(lists ...[]string) error {
	for _, list := range lists {
		for i, item := range list {
			if slices.Contains(list[:i], item) {
				return fmt.Errorf("%q stands twice in a list", item)
			}
		}
	}
	return nil
}

func (doc *document) correlation() (*Correlation, error) {
	in := doc.Correlation
	c := &Correlation{Header: doc.Header, Type: in.Type, Rules: in.Rules, GroupBy: in.GroupBy, Aliases: in.Aliases}
	if len(in.Rules) == 0 {
		return nil, errors.New("rules: name at least one")
	}
	if len(in.GroupBy) == 0 {
		return nil, errors.New("group-by: name at least one field; without it strangers would be counted together")
	}
	if err := unique(in.Rules, in.GroupBy); err != nil {
		return nil, err
	}
	span, err := Duration(in.Timespan)
	if err != nil {
		return nil, fmt.Errorf("timespan: %w", err)
	}
	c.Timespan = span
	for name, node := range in.Condition {
		switch name {
		case "gt", "gte", "lt", "lte", "eq":
			if c.Compare != "" {
				return nil, errors.New("condition: one comparison only")
			}
			c.Compare = name
			if err := node.Decode(&c.Count); err != nil || node.Tag != "!!int" || c.Count < 0 {
				return nil, fmt.Errorf("condition: %s must be a number that is not negative", name)
			}
		case "field":
			if err := node.Decode(&c.Field); err != nil || c.Field == "" {
				return nil, errors.New("condition: field is one name")
			}
		default:
			return nil, fmt.Errorf("condition: %q is not covered", name)
		}
	}
	if in.Field != "" && in.Field != c.Field {
		return nil, errors.New("field: is another than condition.field")
	}
	switch c.Type {
	case EventCount, ValueCount:
		if c.Compare == "" {
			return nil, errors.New("condition: how many? gt, gte, lt, lte or eq")
		}
		// Nothing looks for a group of which there is no event.
		if c.Holds(0) {
			return nil, errors.New("condition: holds where nothing happened, which no event shows")
		}
		if c.Compare == "lt" && c.Count == 0 {
			return nil, errors.New("condition: nothing is less than 0")
		}
		if (c.Field != "") != (c.Type == ValueCount) {
			return nil, errors.New("condition: value_count needs a field, event_count none")
		}
	case Temporal, TemporalOrdered:
		// Sigma's schema demands a condition here too, which says nothing that the type does not.
		if len(in.Condition) > 0 && (c.Compare != "gte" || c.Count != len(c.Rules) || c.Field != "") {
			return nil, fmt.Errorf("condition: of %s only gte with the number of rules is covered", c.Type)
		}
		c.Compare, c.Count = "", 0
		if len(c.Rules) < 2 {
			return nil, fmt.Errorf("rules: %s needs two", c.Type)
		}
	default:
		return nil, fmt.Errorf("type: %q is not covered", c.Type)
	}
	for alias, fields := range c.Aliases {
		if !aliasForm.MatchString(alias) {
			return nil, fmt.Errorf("aliases: %q is no name of letters, digits, dots and underscores", alias)
		}
		if !slices.Contains(c.GroupBy, alias) {
			return nil, fmt.Errorf("aliases: group-by does not use %s", alias)
		}
		for _, rule := range c.Rules {
			if fields[rule] == "" {
				return nil, fmt.Errorf("aliases: %s has no field for %s", alias, rule)
			}
		}
		if len(fields) != len(c.Rules) {
			return nil, fmt.Errorf("aliases: %s names a rule that is not among rules", alias)
		}
	}
	return c, nil
}

// maxDuration is longer than anybody keeps records.
const maxDuration = 10 * 366 * 24 * time.Hour

// Duration reads a timespan such as 15m: a number and one of s, m, h, d, w.
func Duration(text string) (time.Duration, error) {
	m := timeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is not a number and one of s, m, h, d, w", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > int(maxDuration/timeUnits[m[2]]) {
		return 0, fmt.Errorf("%q is too long", text)
	}
	return time.Duration(n) * timeUnits[m[2]], nil
}

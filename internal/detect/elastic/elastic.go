// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/packdoc"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Rule is one of Kibana's detection rules.
type Rule struct {
	ID          string   `json:"rule_id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Type        string   `json:"type"`
	Language    string   `json:"language"`
	Index       []string `json:"index,omitempty"`
	Query       string   `json:"query"`
	Filters     []filter `json:"filters,omitempty"`

	NewTerms []string `json:"new_terms_fields,omitempty"`
	History  string   `json:"history_window_start,omitempty"`

	Severity  string `json:"severity"`
	RiskScore int    `json:"risk_score"`
	// BuildingBlock is "default" for findings that are context only: Kibana hides their alerts unless asked for them.
	BuildingBlock string `json:"building_block_type,omitempty"`
	Enabled       bool   `json:"enabled"`

	// TimestampOverride makes the rule look at what arrived between From and To, not at what happened then.
	TimestampOverride string       `json:"timestamp_override"`
	Interval          string       `json:"interval"`
	From              string       `json:"from"`
	To                string       `json:"to"`
	MaxSignals        int          `json:"max_signals"`
	Suppression       *suppression `json:"alert_suppression,omitempty"`

	Threat         []threat   `json:"threat"`
	Tags           []string   `json:"tags"`
	Author         []string   `json:"author"`
	License        string     `json:"license"`
	Version        int        `json:"version"`
	References     []string   `json:"references"`
	FalsePositives []string   `json:"false_positives"`
	Note           string     `json:"note"`
	Setup          string     `json:"setup"`
	Required       []required `json:"required_fields"`
	Highlighted    *struct {
		Fields []string `json:"field_names"`
	} `json:"investigation_fields,omitempty"`

	// Source is the name of the rule of the pack, Summary what is searched for in few words, and Differs how that differs
	// from the rule of the pack.
	Source  string   `json:"-"`
	Summary string   `json:"-"`
	Differs []string `json:"-"`
}

type suppression struct {
	GroupBy  []string `json:"group_by"`
	Duration struct {
		Value int    `json:"value"`
		Unit  string `json:"unit"`
	} `json:"duration"`
	Missing string `json:"missing_fields_strategy"`
}

type required struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// link is a tactic or technique of ATT&CK.
type link struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Reference string `json:"reference"`
}

type technique struct {
	link
	Sub []link `json:"subtechnique,omitempty"`
}

type threat struct {
	Framework  string      `json:"framework"`
	Tactic     link        `json:"tactic"`
	Techniques []technique `json:"technique"`
}

// Rules writes the rules and correlations of these tiers, what watches the collector, and what needs memory: one JSON
// object a line. What can't find anything is left out.
func Rules(tuned *detect.Tuned, tiers []detect.Tier) (string, error) {
	rules, err := Make(tuned, tiers)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // people read the queries
	for _, r := range rules {
		if err := encoder.Encode(r); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// Make is what Rules writes.
func Make(tuned *detect.Tuned, tiers []detect.Tier) (rules []*Rule, err error) {
	for _, r := range tuned.Rules {
		if _, inert := tuned.Inert[r.Name]; inert || !slices.Contains(tiers, r.Tier) {
			continue
		}
		made, err := single(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		rules = append(rules, made)
	}
	for _, c := range tuned.Correlations {
		if _, inert := tuned.Inert[c.Name]; inert || !slices.Contains(tiers, c.Tier) {
			continue
		}
		made, err := correlation(tuned, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		rules = append(rules, made)
	}
	for _, own := range slices.Concat(memory, watcher) {
		if slices.Contains(tiers, own.tier) {
			rules = append(rules, own.rule())
		}
	}
	return rules, nil
}

// single writes a rule that judges one record.
func single(r *detect.Rule) (*Rule, error) {
	made := rule(&r.Header, &r.Handling)
	asked := fields{logType: keyword}
	w := writer{r.LogType(), asked}
	filters, err := w.filters(r.Match)
	if err != nil {
		return nil, err
	}
	made.Type, made.Language = "query", "kuery"
	made.Index = patterns([]string{r.LogType()})
	made.Query, made.Filters = logType+": "+quote(r.LogType()), filters
	made.Summary = words(r.Rule.Match)
	made.every(interval(0), 0)
	if err := made.suppress(w, r.Suppress.By, r.Quiet); err != nil {
		return nil, err
	}
	made.needs(asked)
	if len(r.Fields) > 0 {
		// What is worth seeing need not be there, so it is not required.
		made.Highlighted = &struct {
			Fields []string `json:"field_names"`
		}{}
		for _, name := range r.Fields {
			field, err := detect.FieldOf(r.LogType(), name)
			if err != nil {
				return nil, err
			}
			made.Highlighted.Fields = append(made.Highlighted.Fields, "attributes."+field.Attribute)
		}
	}
	made.Tags = append(made.Tags, "Log: "+r.LogType())
	made.note(&r.Handling, pivots(r.LogType(), nil))
	return made, nil
}

// correlation writes one that has a tier.
func correlation(tuned *detect.Tuned, c *detect.Correlation) (*Rule, error) {
	made := rule(&c.Header, &c.Handling)
	asked := fields{}
	span := longest(c)
	var err error
	if c.Type == sigma.TemporalOrdered {
		made.Type, made.Language = "eql", "eql"
		made.Index = patterns(logTypes(c))
		made.Query, made.Differs, err = sequence(tuned, c, asked)
	} else {
		made.Type, made.Language = "esql", "esql"
		made.Query, made.Differs, err = counting(tuned, c, asked)
		span += step(span)
	}
	if err != nil {
		return nil, err
	}
	made.Summary = summary(c)
	made.every(interval(span), span+apart)
	w := writer{logTypes(c)[0], asked}
	var by []string
	if len(c.Aliases) == 0 {
		by = c.Suppress.By
	} else {
		made.Differs = append(made.Differs, "nothing is held back: the events share no field; what was found is not found again")
	}
	if err := made.suppress(w, by, c.Quiet); err != nil {
		return nil, err
	}
	made.needs(asked)
	for _, source := range logTypes(c) {
		made.Tags = append(made.Tags, "Log: "+source)
	}
	var groups []string
	if made.Type == "esql" {
		// The alert has the columns of the result and nothing else.
		groups = c.GroupBy
	}
	made.note(&c.Handling, pivots(logTypes(c)[0], groups))
	return made, nil
}

// risks are Elastic's own scores for its severities.
var risks = map[string]int{"low": 21, "medium": 47, "high": 73, "critical": 99}

// rule has what comes from the header alone.
func rule(h *sigma.Header, handling *detect.Handling) *Rule {
	made := &Rule{
		ID: h.ID, Name: h.Title, Description: strings.TrimSpace(h.Description), Source: h.Name,
		Severity: string(h.Level), Enabled: true, MaxSignals: 1000,
		TimestampOverride: arrived, To: "now",
		Author: []string{h.Author}, License: h.License,
		References: slices.Concat([]string{}, h.References), FalsePositives: slices.Concat([]string{}, h.FalsePositives),
		Tags:   []string{"Data Source: Slack", "Tier: " + string(handling.Tier), "Pack: " + h.Name},
		Threat: threats(h), Setup: setup,
	}
	if made.Severity == "informational" {
		made.Severity = "low"
	}
	made.RiskScore = risks[made.Severity]
	if handling.Tier == detect.Hunt {
		made.BuildingBlock = "default"
	}
	made.Version, _ = strconv.Atoi(strings.ReplaceAll(h.Version(), "-", "")) // the form was checked
	return made
}

func threats(h *sigma.Header) []threat {
	all := []threat{}
	for _, tactic := range packdoc.Threat(h) {
		one := threat{Framework: "MITRE ATT&CK", Tactic: link{tactic.ID, tactic.Name, "https://attack.mitre.org/tactics/" + tactic.ID + "/"}, Techniques: []technique{}}
		for _, t := range tactic.Techniques {
			of := func(id string) string {
				return "https://attack.mitre.org/techniques/" + strings.ReplaceAll(id, ".", "/") + "/"
			}
			parent, _, sub := strings.Cut(t.ID, ".")
			name := t.Name
			if sub {
				name = packdoc.ParentName(t.ID)
			}
			i := slices.IndexFunc(one.Techniques, func(other technique) bool { return other.ID == parent })
			if i < 0 {
				i = len(one.Techniques)
				one.Techniques = append(one.Techniques, technique{link: link{parent, name, of(parent)}})
			}
			if sub {
				one.Techniques[i].Sub = append(one.Techniques[i].Sub, link{t.ID, t.Name, of(t.ID)})
			}
		}
		all = append(all, one)
	}
	return all
}

// every says how often a rule runs, and how much further back it looks than it must: so that what was not searchable at
// once is seen by the next run.
func (r *Rule) every(interval, back time.Duration) {
	r.Interval = timespan(interval)
	r.From = fmt.Sprintf("now-%dm", int((interval + late + back).Minutes()))
}

// suppress holds back what a rule finds again.
func (r *Rule) suppress(w writer, by []string, quiet time.Duration) error {
	if len(by) == 0 {
		return nil
	}
	if len(by) > 3 {
		return errors.New("suppress.by: Elastic holds back by three fields at most")
	}
	s := &suppression{Missing: "suppress"}
	seen := writer{w.logType, fields{}}
	for _, name := range by {
		field, err := seen.field(name)
		if err != nil {
			return err
		}
		s.GroupBy = append(s.GroupBy, field.Attribute)
	}
	s.Duration.Value, s.Duration.Unit = int(quiet.Minutes()), "m"
	if quiet%time.Hour == 0 {
		s.Duration.Value, s.Duration.Unit = int(quiet.Hours()), "h"
	}
	r.Suppression = s
	return nil
}

func (r *Rule) needs(asked fields) {
	r.Required = []required{}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		r.Required = append(r.Required, required{name, asked[name]})
	}
}

// setup is what must be there for the rules to see everything.
const setup = "The rules read the data streams that examples/elastic of slacklogs make, with the receiver's `attributes: all`. " +
	"They judge records by when they arrived, so that late ones and those of an outage are judged too: put the ingest pipeline " +
	"`slack@arrival` and the component template `slack@detections` into the cluster first, as detections/elastic.md says, " +
	"and roll the data streams over.\n"

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package packdoc writes what documents say of the detection pack, from the pack: its tables, its place in ATT&CK, and a
// layer for ATT&CK's Navigator.
package packdoc // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/packdoc"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Tables are those of all rules, correlations and building blocks, in Markdown.
func Tables(p *detect.Pack) string {
	var b strings.Builder
	for _, log := range []struct{ name, title string }{
		{"audit", "Audit logs"}, {"access", "Access logs"}, {"integration", "Integration logs"},
	} {
		fmt.Fprintf(&b, "### %s\n\n", log.title)
		heading(&b, "rule", "what happened", "condition", "held back", "level", "tier", "ATT&CK", "response")
		for _, r := range p.Rules {
			if r.Tier != "" && r.LogType() == log.name {
				what, and := codes(happenings(r.Match)), condition(r.Match)
				if what == "" {
					what = "any"
				}
				row(&b, file(r.LogType(), r.Name)+"<br>"+cell(r.Title), what, brief(and), quiet(&r.Handling), string(r.Level), string(r.Tier),
					links(&r.Header), cell(r.Response))
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("### Correlations\n\n")
	heading(&b, "correlation", "of", "threshold, window, group", "held back", "level", "tier", "ATT&CK", "response")
	for _, c := range p.Correlations {
		if c.Tier != "" {
			row(&b, file("correlations", c.Name)+"<br>"+cell(c.Title), members(c), cell(Threshold(c)), quiet(&c.Handling), string(c.Level), string(c.Tier),
				links(&c.Header), cell(c.Response))
		}
	}
	b.WriteString("\n### Building blocks\n\nThey find nothing by themselves.\n\n")
	heading(&b, "name", "log", "part of")
	for _, r := range p.Rules {
		if r.Tier == "" {
			row(&b, file(r.LogType(), r.Name)+"<br>"+cell(r.Title), r.LogType(), users(p, r.Name))
		}
	}
	for _, c := range p.Correlations {
		if c.Tier == "" {
			row(&b, file("correlations", c.Name)+"<br>"+cell(c.Title), strings.Join(LogTypes(c), ", "), users(p, c.Name))
		}
	}
	return b.String()
}

// file is a name that leads to the document.
func file(folder, name string) string {
	return "[" + code(name) + "](rules/" + folder + "/" + name + ".yml)"
}

// brief is a condition, unless it is too long for a table.
func brief(condition string) string {
	if len(condition) > 450 {
		return "see the file"
	}
	return condition
}

func heading(b *strings.Builder, names ...string) {
	row(b, names...)
	b.WriteString("|" + strings.Repeat("---|", len(names)) + "\n")
}

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		if c == "" {
			c = "–"
		}
		b.WriteString("| " + c + " ")
	}
	b.WriteString("|\n")
}

func codes(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = code(name)
	}
	return strings.Join(texts, ", ")
}

func quiet(h *detect.Handling) string {
	return span(h.Quiet) + " by " + codes(h.Suppress.By)
}

func links(h *sigma.Header) string {
	_, ids := attackTags(h)
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = techniqueLink(id)
	}
	return strings.Join(texts, " ")
}

func members(c *detect.Correlation) string {
	between := ", "
	if c.Type == sigma.TemporalOrdered {
		between = ", then "
	}
	texts := make([]string, len(c.Rules))
	for i, name := range c.Rules {
		texts[i] = code(name)
	}
	return strings.Join(texts, between)
}

// users are the correlations that a building block is part of.
func users(p *detect.Pack, name string) string {
	var names []string
	for _, c := range p.Correlations {
		if slices.Contains(c.Rules, name) {
			names = append(names, c.Name)
		}
	}
	return codes(names)
}

// found are the names of what finds something, by technique and by a tactic that it serves.
type found map[[2]string][]string // technique, tactic

func (f found) add(h *sigma.Header) {
	_, ids := attackTags(h)
	for _, id := range ids {
		for _, tactic := range serves(h, id) {
			f[[2]string{id, tactic}] = append(f[[2]string{id, tactic}], h.Name)
		}
	}
}

func coverage(p *detect.Pack) found {
	f := found{}
	for _, r := range p.Rules {
		if r.Tier != "" {
			f.add(&r.Header)
		}
	}
	for _, c := range p.Correlations {
		if c.Tier != "" {
			f.add(&c.Header)
		}
	}
	for _, names := range f {
		slices.Sort(names)
	}
	return f
}

// keys are in the order of the tactics, and then of the techniques.
func (f found) keys() [][2]string {
	var keys [][2]string
	for _, tactic := range Tactics {
		var ids []string
		for key := range f {
			if key[1] == tactic {
				ids = append(ids, key[0])
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			keys = append(keys, [2]string{id, tactic})
		}
	}
	return keys
}

// Coverage is the document on what the pack sees of ATT&CK, and, in the text of gaps, what it does not.
func Coverage(p *detect.Pack, gaps string) string {
	var b strings.Builder
	b.WriteString("<!-- Made from the rules' tags and coverage-gaps.md: go test ./internal/detect/packdoc -update -->\n")
	fmt.Fprintf(&b, "# What the rules see\n\nBy tactic and technique of [ATT&CK](https://attack.mitre.org/) %s. A rule stands in a row when its tags name both.\n", AttackVersion)
	b.WriteString("That a technique has a rule does not mean that each way of using it is found. For ATT&CK's\n" +
		"[Navigator](https://mitre-attack.github.io/attack-navigator/): [navigator.json](navigator.json).\n\n")
	heading(&b, "tactic", "technique", "rules")
	f := coverage(p)
	keys := f.keys()
	for _, tactic := range Tactics {
		none := true
		for _, key := range keys {
			if key[1] == tactic {
				row(&b, tactic, techniqueLink(key[0])+" "+techniques[key[0]].name, codes(f[key]))
				none = false
			}
		}
		if none {
			row(&b, tactic, "none", "")
		}
	}
	b.WriteByte('\n')
	for line := range strings.Lines(gaps) {
		if strings.HasPrefix(line, "#") {
			b.WriteByte('#')
		}
		b.WriteString(line)
	}
	return b.String()
}

type layer struct {
	Name        string            `json:"name"`
	Versions    map[string]string `json:"versions"`
	Domain      string            `json:"domain"`
	Description string            `json:"description"`
	Sorting     int               `json:"sorting"` // by score, the highest first
	Techniques  []layerTechnique  `json:"techniques"`
	Gradient    layerGradient     `json:"gradient"`
}

type layerTechnique struct {
	TechniqueID string `json:"techniqueID"`
	Tactic      string `json:"tactic"`
	Score       int    `json:"score"`
	Comment     string `json:"comment"`
	Enabled     bool   `json:"enabled"`
}

type layerGradient struct {
	Colors   []string `json:"colors"`
	MinValue int      `json:"minValue"`
	MaxValue int      `json:"maxValue"`
}

// Layer is the coverage as a layer of ATT&CK's Navigator, in its format 4.5.
func Layer(p *detect.Pack) ([]byte, error) {
	l := layer{
		Name:     "slacklogs",
		Versions: map[string]string{"attack": AttackVersion, "navigator": "5.2.0", "layer": "4.5"},
		Domain:   "enterprise-attack",
		Description: "Rules of the slacklogs detection pack by technique; the score is how many there are. " +
			"What they do not see: coverage.md",
		Sorting: 3,
	}
	f := coverage(p)
	most := 0
	for _, key := range f.keys() {
		names := f[key]
		most = max(most, len(names))
		l.Techniques = append(l.Techniques, layerTechnique{key[0], key[1], len(names), strings.Join(names, ", "), true})
	}
	l.Gradient = layerGradient{[]string{"#e8f1fa", "#1f5fa8"}, 0, most}
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	err := to.Encode(l)
	return b.Bytes(), err
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package packdoc // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/packdoc"

import (
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Tactic is one of ATT&CK's, with the techniques of a document that serve it.
type Tactic struct {
	ID, Name   string
	Techniques []Technique
}

// Technique is one of ATT&CK's; of a sub-technique the parent's name is cut off.
type Technique struct{ ID, Name string }

// tacticIDs are ATT&CK's; the page of a tactic has the id in its address.
var tacticIDs = map[string]string{
	"reconnaissance": "TA0043", "resource-development": "TA0042", "initial-access": "TA0001", "execution": "TA0002",
	"persistence": "TA0003", "privilege-escalation": "TA0004", "stealth": "TA0005", "defense-impairment": "TA0112",
	"credential-access": "TA0006", "discovery": "TA0007", "lateral-movement": "TA0008", "collection": "TA0009",
	"command-and-control": "TA0011", "exfiltration": "TA0010", "impact": "TA0040",
}

// Threat is what a document's tags say, by tactic.
func Threat(h *sigma.Header) (all []Tactic) {
	tactics, ids := attackTags(h)
	for _, name := range tactics {
		tactic := Tactic{ID: tacticIDs[name], Name: title(name)}
		for _, id := range ids {
			for _, served := range serves(h, id) {
				if served == name {
					tactic.Techniques = append(tactic.Techniques, Technique{id, techniqueName(id)})
				}
			}
		}
		all = append(all, tactic)
	}
	return all
}

// techniqueName is what ATT&CK calls a technique, without its parent's name.
func techniqueName(id string) string {
	name := techniques[id].name
	if _, own, sub := strings.Cut(name, ": "); sub && strings.Contains(id, ".") {
		return own
	}
	if parent, _, sub := strings.Cut(name, ": "); sub {
		return parent
	}
	return name
}

// ParentName is what ATT&CK calls the technique that a sub-technique belongs to.
func ParentName(id string) string {
	parent, _, _ := strings.Cut(techniques[id].name, ": ")
	return parent
}

func title(name string) string {
	words := strings.Split(name, "-")
	for i, word := range words {
		if word != "and" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, " ")
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"encoding/json"
	"strings"
)

// ignoreAbove is as in examples/elastic/slack@mappings.json.
const ignoreAbove = 8191

// Template is the component template slack@detections: it maps each field that rules ask for before a document has it,
// since EQL and ES|QL end with an error for a field that is not mapped, takes addresses for addresses too, and has each
// document stamped with the time at which it arrived.
func Template(rules []*Rule) ([]byte, error) {
	properties := object{}
	for _, r := range rules {
		for _, required := range r.Required {
			name, ours := strings.CutPrefix(required.Name, "attributes.")
			switch {
			case !ours || required.Type == address:
			case required.Type == boolean:
				properties[name] = object{"type": boolean}
			default:
				properties[name] = object{"type": keyword, "ignore_above": ignoreAbove}
			}
		}
	}
	for _, field := range addresses {
		properties[strings.TrimPrefix(field, "attributes.")] = object{
			"type": keyword, "ignore_above": ignoreAbove,
			"fields": object{strings.TrimPrefix(asAddress, "."): object{"type": address, "ignore_malformed": true}},
		}
	}
	return indented(object{
		"_meta": object{"description": "What the detection rules for Slack's logs need: see detections/elastic.md of slacklogs"},
		"template": object{
			"settings": object{"index.final_pipeline": "slack@arrival"},
			"mappings": object{"properties": object{
				"event":      object{"properties": object{"ingested": object{"type": datetime}}},
				"attributes": object{"type": "passthrough", "dynamic": true, "priority": 20, "properties": properties},
			}},
		},
	})
}

// Pipeline is the ingest pipeline slack@arrival.
func Pipeline() ([]byte, error) {
	return indented(object{
		"description": "Stamps each document with the time at which it arrived, by which the detection rules look for it",
		"processors":  []object{{"set": object{"field": arrived, "value": "{{{_ingest.timestamp}}}"}}},
	})
}

func indented(value any) ([]byte, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return append(text, '\n'), err
}

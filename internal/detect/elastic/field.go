// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"fmt"
	"slices"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// Field types of Elasticsearch.
const (
	keyword  = "keyword"
	boolean  = "boolean"
	address  = "ip"
	datetime = "date"
)

// The fields that are of no log type alone.
const (
	logType = "attributes.slack.log.type"
	uid     = "attributes.log.record.uid"
	event   = "attributes.slack.log.event"
	about   = "attributes.slack.log.about"
	// arrived is when Elasticsearch got a document, by the ingest pipeline slack@arrival.
	arrived = "event.ingested"
)

// asAddress is the part of a field of addresses that knows networks.
const asAddress = ".ip"

// fields are those that a rule asks for, with their types.
type fields map[string]string

// writer knows the fields of a log type, and notes those that it is asked for.
type writer struct {
	logType string
	fields  fields
}

func (w writer) field(name string) (detect.Field, error) {
	field, err := detect.FieldOf(w.logType, name)
	if err != nil {
		return field, err
	}
	field.Attribute = "attributes." + field.Attribute
	w.fields[field.Attribute] = keyword
	if field.Kind == detect.Bool {
		w.fields[field.Attribute] = boolean
	}
	return field, nil
}

// address is the field by which networks are asked for.
func (w writer) address(name string) (string, error) {
	field, err := w.field(name)
	if err != nil {
		return "", err
	}
	if !slices.Contains(addresses, field.Attribute) {
		return "", fmt.Errorf("%s: no address, for which cidr is not covered", name)
	}
	w.fields[field.Attribute+asAddress] = address
	return field.Attribute + asAddress, nil
}

// addresses are the fields that slack@detections maps as addresses too.
var addresses = []string{"attributes.slack.context.ip_address", "attributes.slack.ip"}

// networks are the values of a test as ranges.
func networks(t *sigma.Test) ([]string, error) {
	var all []string
	for _, value := range t.Values {
		network, err := sigma.Network(value)
		if err != nil {
			return nil, err
		}
		all = append(all, network.String())
	}
	return all, nil
}

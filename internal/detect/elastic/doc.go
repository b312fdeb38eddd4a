// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package elastic writes the pack as detection rules for Elastic Security, one JSON object a line, which is what Kibana
// imports. It writes for the documents that the examples in examples/elastic make: attributes.slack.… keywords in
// logs-slack.<log type>.otel-*, with the component template slack@detections, which this package makes too.
//
// Which kind of rule what becomes:
//
//   - A rule that judges one record: a custom query, whose filters are Elasticsearch's own queries. They alone ask a list
//     for any of its values, mind no case, take a missing field for no match below not, and take a field that no document
//     ever had for a missing one. KQL minds case; EQL and ES|QL end with an error for a field that is not mapped, and ES|QL
//     compares a list with null. What stands in the query bar is KQL.
//   - event_count, value_count and temporal: ES|QL over many windows, each a tenth of the timespan after the one before and
//     as much longer than it, so that each burst lies in one of them as a whole.
//   - temporal_ordered: an EQL sequence.
package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// input are the files to read, and which of their records count.
type input struct {
	files        []string // - is stdin
	stdin        io.Reader
	since, until time.Time // zero: no limit
}

// tally is what became of what was read.
type tally struct {
	Files      int    `json:"files"`
	Records    int    `json:"records"` // judged
	Outside    int    `json:"outside"` // before since, or not before until
	Foreign    int    `json:"foreign"` // of others than the receiver, or without a time
	Unreadable int    `json:"unreadable_lines"`
	First      string `json:"first_unreadable,omitempty"`
}

// seen is a record that counts.
type seen struct {
	detect.Event
	record   plog.LogRecord
	resource pcommon.Map
}

// str is an attribute as text, to keep: the record's own would keep all of its entry.
func (s *seen) str(name string) string {
	value, ok := s.record.Attributes().Get(name)
	if !ok {
		return ""
	}
	return strings.Clone(value.AsString())
}

// each calls visit with each record, which is valid until visit returns.
func (in *input) each(ctx context.Context, visit func(*seen)) (tally, error) {
	r := reader{
		input: in, visit: visit,
		converter: record.New(record.Options{Body: record.BodyNone, Attributes: record.AttributesAll}),
	}
	for _, name := range in.files {
		if err := r.file(ctx, name); err != nil {
			return r.tally, err
		}
		r.tally.Files++
	}
	return r.tally, nil
}

type reader struct {
	*input
	visit     func(*seen)
	converter *record.Converter
	parser    jsonstream.Parser
	otlp      plog.JSONUnmarshaler
	tally     tally
}

func (r *reader) file(ctx context.Context, name string) error {
	from := r.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	return eachLine(from, maxLine, func(number int, line []byte, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = r.line(line)
		}
		if err != nil {
			if r.tally.Unreadable++; r.tally.First == "" {
				r.tally.First = fmt.Sprintf("%s:%d: %v", name, number, err)
			}
		}
		return nil
	})
}

var (
	errNoJSON = errors.New("no JSON object")
	errNoSort = errors.New("neither a request of OTLP logs nor an entry or row of Slack's")
)

// line reads a request, or an entry or row as Slack has it.
func (r *reader) line(line []byte) error {
	element := r.parser.Element(line)
	root := element.Root
	if root.Kind() != jsonstream.Object {
		return errNoJSON
	}
	if root.Get("resourceLogs").Kind() == jsonstream.Array {
		logs, err := r.otlp.UnmarshalLogs(line)
		if err != nil {
			return err
		}
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, lr := range scope.LogRecords().All() {
					r.record(resource.Resource().Attributes(), lr)
				}
			}
		}
		return nil
	}
	logType := logTypeOf(root)
	if logType == "" {
		return errNoSort
	}
	// Nothing says whether a row was there before; as if each row were new, nothing is missed.
	r.count(r.convert(logType, element, pcommon.NewMap(), record.Change{New: true}), pcommon.NewMap())
	return nil
}

// logTypeOf tells what Slack's object is by the fields that only such objects have.
func logTypeOf(root jsonstream.Node) string {
	has := func(name string) bool { return root.Get(name).Kind() != jsonstream.Absent }
	switch {
	case has("action") && has("date_create"):
		return "audit"
	case has("user_id") && has("date_last"):
		return "access"
	case has("change_type") && has("date"):
		return "integration"
	}
	return ""
}

// allHave are attributes that records of `attributes: all` have and those of core have not.
var allHave = map[string]string{"audit": "slack.date_create", "access": "slack.date_last", "integration": "slack.date"}

// record judges one of a request. What lacks attributes gets them from its body.
func (r *reader) record(resource pcommon.Map, lr plog.LogRecord) {
	logType, ok := lr.Attributes().Get("slack.log.type")
	name := ""
	if ok {
		name = logType.AsString()
	} else if rest, found := strings.CutPrefix(lr.EventName(), "slack."); found {
		name, _, _ = strings.Cut(rest, ".")
	}
	marker, known := allHave[name]
	if !known {
		r.tally.Foreign++
		return
	}
	if _, complete := lr.Attributes().Get(marker); !complete {
		// A parsed body becomes text again: its numbers and order may differ from Slack's, which no rule asks for.
		if element := jsonstream.NewElement([]byte(lr.Body().AsString())); element.Root.Kind() == jsonstream.Object {
			converted := r.convert(name, element, resource, record.Change{New: lr.EventName() != "slack.access.seen_again"})
			// These the body does not hold, or not as the collector knew it.
			for _, key := range []string{"log.record.uid", "user.roles", "slack.access.change"} {
				if value, ok := lr.Attributes().Get(key); ok {
					value.CopyTo(converted.Attributes().PutEmpty(key))
				}
			}
			lr = converted
		}
	}
	r.count(lr, resource)
}

// convert makes a record of what Slack sent. Equal rows of one second can't be told apart here, and count once.
func (r *reader) convert(logType string, element jsonstream.Element, resource pcommon.Map, change record.Change) plog.LogRecord {
	to := plog.NewLogRecordSlice()
	team := ""
	if id, ok := resource.Get("slack.team.id"); ok {
		team = id.AsString()
	}
	switch logType {
	case "access":
		r.converter.ParseAccess(team, element)
		r.converter.AppendAccess(to, time.Time{}, change)
	case "integration":
		r.converter.ParseIntegration(team, element)
		r.converter.AppendIntegration(to, time.Time{}, r.converter.IntegrationUID(1))
	default:
		r.converter.ParseAudit(element)
		r.converter.AppendAudit(to, time.Time{})
	}
	return to.At(0)
}

func (r *reader) count(lr plog.LogRecord, resource pcommon.Map) {
	event, ok := detect.FromRecord(lr)
	switch {
	case !ok:
		r.tally.Foreign++
	case !r.since.IsZero() && event.Time.Before(r.since), !r.until.IsZero() && !event.Time.Before(r.until):
		r.tally.Outside++
	default:
		r.tally.Records++
		r.visit(&seen{event, lr, resource})
	}
}

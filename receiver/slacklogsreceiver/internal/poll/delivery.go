// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

const (
	// maxBatch is the most records of one batch. Promise 2 allows 1000; with that
	// a page of 9999 takes half as much memory again, and the garbage collector
	// walks through what waits to be a batch.
	maxBatch = 500
	// maxBatchBytes keeps the records of a batch under the 4 MiB that a gRPC
	// receiver takes by default.
	maxBatchBytes = 1 << 20
	// lastAnswer is how long a consumer may still answer once the receiver
	// stops; a shutdown has 5 s (promise 10).
	lastAnswer = 2 * time.Second
)

// errRefused ends an attempt to deliver when retry_on_failure sets a limit.
// The entries stay where they are and are read again.
var errRefused = errors.New("the pipeline refused a batch of records; see the log of the processor or exporter that did; the batch is offered again")

// delivery hands batches to the next consumer.
type delivery struct {
	next   consumer.Logs
	obs    *receiverhelper.ObsReport
	format string
	retry  configretry.BackOffConfig
	clock  clock.Clock
	logger *zap.Logger
	// refused is told while a batch is refused, so that status shows it.
	refused func()
}

// batch holds the text of entries and the records made of them. The text
// stays, because a refused batch belongs to the consumer and is made anew.
type batch struct {
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
	// write appends the record of the i-th entry.
	write  func(i int, e jsonstream.Element, to plog.LogRecordSlice)
	parser jsonstream.Parser

	text []byte
	ends []int
	uids []string
	logs plog.Logs
	// known and unknown are of how many records the actor's roles are so.
	known, unknown int64
}

func (b *batch) reset() {
	b.text, b.ends, b.uids = b.text[:0], b.ends[:0], b.uids[:0]
	b.logs = plog.Logs{}
	b.known, b.unknown = 0, 0
}

func (b *batch) len() int { return len(b.ends) }

func (b *batch) full() bool { return len(b.ends) >= maxBatch || len(b.text) >= maxBatchBytes }

// add keeps the text of an entry and returns where its record goes.
func (b *batch) add(text []byte, uid string) plog.LogRecordSlice {
	if len(b.ends) == 0 {
		b.logs = b.newLogs()
	}
	b.text = append(b.text, text...)
	b.ends = append(b.ends, len(b.text))
	b.uids = append(b.uids, uid)
	return b.records()
}

func (b *batch) records() plog.LogRecordSlice {
	return b.logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
}

func (b *batch) newLogs() plog.Logs {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl(semconv.SchemaURL)
	b.resource.CopyTo(rl.Resource())
	sl := rl.ScopeLogs().AppendEmpty()
	b.scope.CopyTo(sl.Scope())
	return logs
}

// rebuild makes the records again from the kept text.
func (b *batch) rebuild() {
	b.logs = b.newLogs()
	b.known, b.unknown = 0, 0
	records := b.records()
	records.EnsureCapacity(len(b.ends))
	start := 0
	for i, end := range b.ends {
		b.write(i, b.parser.Element(b.text[start:end]), records)
		start = end
	}
}

// send offers the batch until it is accepted, and returns dropped when every
// part of the pipeline says that it never will be (promise 1). An error means
// that nothing was decided: the context ended, or retry_on_failure did.
func (d *delivery) send(ctx context.Context, b *batch) (dropped bool, err error) {
	var wait *backoff.ExponentialBackOff
	started := d.clock.Now()
	for {
		err := d.offer(ctx, b)
		switch {
		case err == nil:
			return false, nil
		case permanent(err):
			// The consumer's words may quote an entry, so they are not repeated.
			d.logger.Error("The pipeline refused records for good; they are dropped",
				zap.Int("records", b.len()), zap.Strings("uids", b.uids))
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
		d.refused()
		if !d.retry.Enabled {
			return false, errRefused
		}
		if wait == nil {
			wait = &backoff.ExponentialBackOff{
				InitialInterval:     d.retry.InitialInterval,
				RandomizationFactor: d.retry.RandomizationFactor,
				Multiplier:          d.retry.Multiplier,
				MaxInterval:         d.retry.MaxInterval,
			}
			wait.Reset()
		}
		// An interval of 0 must not spin.
		delay := max(wait.NextBackOff(), time.Millisecond)
		if limit := d.retry.MaxElapsedTime; limit > 0 && d.clock.Now().Add(delay).Sub(started) > limit {
			return false, errRefused
		}
		if err := d.clock.Sleep(ctx, delay); err != nil {
			return false, err
		}
		b.rebuild()
	}
}

// offer hands the batch over once. A consumer that is at it when the receiver
// stops gets a moment to answer, so that its batch need not come again.
func (d *delivery) offer(ctx context.Context, b *batch) error {
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		// Real time, as the shutdown's is.
		timer := time.NewTimer(lastAnswer)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-patient.Done():
		}
	})()

	ops := d.obs.StartLogsOp(patient)
	err := d.next.ConsumeLogs(ops, b.logs)
	// The records belong to the consumer now, whatever it answered.
	b.logs = plog.Logs{}
	d.obs.EndLogsOp(ops, d.format, b.len(), err)
	return err
}

// permanent reports whether every leaf of err is permanent. IsPermanent alone
// is true as soon as one is, and would drop for the others of a fan-out.
func permanent(err error) bool {
	if !consumererror.IsPermanent(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // the tree is walked level by level
	case interface{ Unwrap() []error }:
		for _, leaf := range e.Unwrap() {
			if !permanent(leaf) {
				return false
			}
		}
	case interface{ Unwrap() error }:
		// Where only this level says so, it is the mark itself.
		if inner := e.Unwrap(); consumererror.IsPermanent(inner) {
			return permanent(inner)
		}
	}
	return true
}

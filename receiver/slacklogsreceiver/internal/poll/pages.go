// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// readPage is the way of each entry: take decides whether it goes into the
// batch, a full batch goes to the pipeline, and once that has accepted it,
// accepted is told and the state saved; only then the page is read on. It
// returns the cursor of the next page.
func (p *Poller) readPage(ctx context.Context, page *slack.Page, take func(text []byte), accepted func(dropped bool)) (next string, err error) {
	p.batch.resource = p.resource()
	var refused error
	next, err = page.Each(ctx, func(text []byte) error {
		take(text)
		if p.batch.full() {
			refused = p.deliver(ctx, accepted)
		}
		return refused
	})
	if refused == nil {
		// Also what came before an answer broke is good.
		refused = p.deliver(ctx, accepted)
	}
	if refused != nil {
		return "", refused
	}
	return next, err
}

// deliver offers the batch until it is accepted, and saves that.
func (p *Poller) deliver(ctx context.Context, accepted func(dropped bool)) error {
	p.count(ctx, "duplicate", p.duplicates)
	p.duplicates = 0
	if p.batch.len() == 0 {
		accepted(false)
		return nil
	}
	defer p.batch.reset()
	dropped, err := p.out.send(ctx, &p.batch)
	if err != nil {
		return err
	}
	p.refusedErr = nil
	outcome := "delivered"
	if dropped {
		outcome = "dropped"
	}
	p.count(ctx, outcome, int64(p.batch.len()))
	accepted(dropped)
	p.saveState(ctx)
	return nil
}

func (p *Poller) count(ctx context.Context, outcome string, n int64) {
	if n > 0 {
		p.set.Telemetry.SlacklogsEntries.Add(ctx, n, p.from.attrs, metric.WithAttributes(attribute.String("outcome", outcome)))
	}
}

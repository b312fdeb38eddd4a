// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

// readPage is the way of each entry: take decides whether it goes into the
// batch, a full batch goes to the pipeline, and once that has accepted it,
// accepted is told and the state saved; only then the page is read on. It
// returns the cursor of the next page.
func (p *Poller) readPage(ctx context.Context, page *slack.Page, take func(jsonstream.Element), accepted func(dropped bool)) (next string, err error) {
	p.batch.resource = resource(p.from.named(), p.set.ResourceAttributes)
	var refused error
	next, err = page.Each(ctx, func(e jsonstream.Element) error {
		take(e)
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
	p.countRoles(ctx)
	accepted(dropped)
	p.saveState(ctx)
	return nil
}

func (p *Poller) count(ctx context.Context, outcome string, n int64) {
	if n > 0 {
		p.set.Telemetry.SlacklogsEntries.Add(ctx, n, p.from.attrs, metric.WithAttributes(attribute.String("outcome", outcome)))
	}
}

// converter makes records as cfg says, with the roles of actors.
func (p *Poller) converter(cfg record.Options) *record.Converter {
	c := record.New(cfg)
	if p.set.Roles != nil {
		c.Roles(func(userID []byte) []string {
			roles := p.set.Roles(userID)
			if len(roles) > 0 {
				p.batch.known++
			} else {
				p.batch.unknown++
			}
			return roles
		})
	}
	return c
}

// countRoles counts of how many records of the batch the actor's roles are known.
func (p *Poller) countRoles(ctx context.Context) {
	for _, o := range []struct {
		outcome string
		n       int64
	}{{"known", p.batch.known}, {"unknown", p.batch.unknown}} {
		if o.n > 0 {
			p.set.Telemetry.SlacklogsActorRoles.Add(ctx, o.n, p.from.attrs, metric.WithAttributes(attribute.String("outcome", o.outcome)))
		}
	}
}

// seen is what the metrics want to know of an entry that was accepted.
type seen struct {
	date            int64 // 0 = none
	late, malformed bool
}

// tally adds up what was seen in a batch.
type tally struct {
	// measured is set when lateness is Slack's, and not of a backlog.
	measured        bool
	late, malformed int64
	// lateBy is the most seconds that one of the late ones is old.
	lateBy int64
	// newest is the newest date, but for those in the future.
	newest int64
}

func (p *Poller) tally(ctx context.Context, t *tally, e seen) {
	if e.malformed {
		t.malformed++
	}
	if e.date == 0 {
		return
	}
	if e.late {
		t.late++
		t.lateBy = max(t.lateBy, p.now().Unix()-e.date)
	}
	if age := p.now().Sub(time.Unix(e.date, 0)); age >= -futureDate {
		t.newest = max(t.newest, e.date)
		if t.measured {
			p.set.Telemetry.SlacklogsEventLateness.Record(ctx, max(0, age.Seconds()), p.from.attrs)
		}
	}
}

func (p *Poller) tallied(ctx context.Context, t *tally) {
	if t.late > 0 {
		p.set.Telemetry.SlacklogsEntriesLate.Add(ctx, t.late, p.from.attrs)
	}
	if t.malformed > 0 {
		p.set.Telemetry.SlacklogsEntriesMalformed.Add(ctx, t.malformed, p.from.attrs)
	}
}

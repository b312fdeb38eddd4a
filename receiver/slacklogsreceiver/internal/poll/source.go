// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

// futureDate is how far ahead an entry's date may lie and still count for the
// staleness.
const futureDate = 5 * time.Minute

// source is where entries come from: the organisation for audit logs, a
// workspace for the others. Each has its own resource, metrics and figures. The
// poller writes the figures; the metric reader asks at any time, also while a
// consumer blocks the poller.
type source struct {
	clock  clock.Clock
	attrs  metric.MeasurementOption
	logger *zap.Logger
	poller *Poller
	team   string
	// well is since when polls succeed, by Slack's clock; see wellSince.
	well int64

	mu sync.Mutex
	// identity is what Slack calls it.
	identity slack.Identity
	lastPage time.Time
	offset   time.Duration
	standing standing
	stale    bool
}

// standing is where a source stands, in Unix seconds by Slack's clock.
type standing struct {
	// newest is the date of the newest entry delivered, or the start.
	newest, watermark int64
	// seen is up to when Slack was asked for new entries: it is not Slack's
	// silence where nobody listened.
	seen int64
	// polled is set once the first poll has ended.
	polled bool
	// judged is set while polls succeed and no backlog is read, so that it can
	// be said whether new entries come.
	judged bool
	gaps   ledger
	accepted
}

// newSource makes the source of a workspace, or of the organisation.
func (p *Poller) newSource(team string) *source {
	s := &source{clock: p.set.Clock, attrs: p.attributes(team), logger: p.set.Logger, poller: p, team: team, lastPage: p.set.Clock.Now()}
	if team != "" {
		s.logger = s.logger.With(zap.String("team_id", team))
	}
	return s
}

// attributes are those of all metrics of the log type, or of one workspace.
func (p *Poller) attributes(team string) metric.MeasurementOption {
	attrs := []attribute.KeyValue{attribute.String("receiver", p.set.ID.String()), attribute.String("log_type", p.kind)}
	if team != "" {
		attrs = append(attrs, attribute.String("team_id", team))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// expose makes these sources the ones that the gauges show.
func (p *Poller) expose(sources ...*source) {
	p.sourcesMu.Lock()
	defer p.sourcesMu.Unlock()
	p.sources = sources
}

// Each calls yield with the figures and attributes of each source. It may be
// called from any goroutine.
func (p *Poller) Each(yield func(Figures, metric.MeasurementOption)) {
	p.sourcesMu.Lock()
	sources, failing := slices.Clone(p.sources), p.failing
	p.sourcesMu.Unlock()
	for _, s := range sources {
		f := s.figures()
		f.Failing = failing.of(s)
		yield(f, s.attrs)
	}
}

// allPolled reports whether each source was read once by this process.
func (p *Poller) allPolled() bool {
	all := true
	p.Each(func(f Figures, _ metric.MeasurementOption) { all = all && f.Polled })
	return all
}

// observe is told of each call to Slack.
func (p *Poller) observe(ctx context.Context, method, errorType string, took time.Duration) {
	p.set.Telemetry.SlacklogsRequestDuration.Record(ctx, took.Seconds(), p.from.attrs, CallAttributes(method, errorType))
}

// CallAttributes tell calls to Slack apart in the metrics; errorType is empty
// for one that succeeded.
func CallAttributes(method, errorType string) metric.MeasurementOption {
	attrs := []attribute.KeyValue{attribute.String("method", method)}
	if errorType != "" {
		attrs = append(attrs, attribute.String("error_type", errorType))
	}
	return metric.WithAttributes(attrs...)
}

// name notes what Slack calls the source, and named tells.
func (s *source) name(id slack.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = id
}

func (s *source) named() slack.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity
}

// page notes a page that was read, delivered and saved.
func (s *source) page() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPage = s.clock.Now()
}

// update notes the standing at Slack's time now, and logs when the source
// falls silent or speaks again.
func (s *source) update(at standing, staleAfter time.Duration, now time.Time) {
	quiet := time.Unix(at.seen, 0).Sub(time.Unix(at.newest, 0))
	stale := at.judged && staleAfter > 0 && quiet > staleAfter
	switch {
	case stale && !s.stale:
		if !s.poller.set.Health.toldOf(s, eventStale) {
			s.happened(event{name: eventStale})
		}
		s.logger.Warn("Slack shows no new entries though it answers; check the token's installation if the organisation is not just quiet",
			zap.Duration("since", now.Sub(time.Unix(at.newest, 0)).Round(time.Second)))
	case !stale && s.stale && at.judged:
		s.logger.Info("New entries arrive again")
	case !stale && s.stale:
		s.logger.Info("Whether new entries arrive can't be judged while polls fail or a backlog is read")
	}
	if at.judged && !stale && s.poller.set.Health.toldOf(s, eventStale) {
		s.happened(event{name: eventRecovered, from: eventStale})
	}
	at.gaps = slices.Clone(at.gaps)
	s.mu.Lock()
	first := at.polled && !s.standing.polled
	s.standing, s.stale, s.offset = at, stale, now.Sub(s.clock.Now())
	s.mu.Unlock()
	if first {
		s.poller.set.Health.rouse()
	}
}

// wellSince is since when polls succeed, in this process: what an outage or a
// stop keeps from being finished is no news.
func (s *source) wellSince(now int64, failing bool) int64 {
	if failing || s.well == 0 || s.well > now {
		s.well = now
	}
	return s.well
}

// happened tells the health records of an event.
func (s *source) happened(e event) { s.poller.set.Health.happened(s, e) }

// missed says what a sweep found that the polls had missed, and how late it
// came, so that the user learns what overlap his Slack needs; 0 = has none.
func (s *source) missed(entries, lateBy int64, overlap time.Duration) {
	if entries == 0 {
		return
	}
	fields := []zap.Field{zap.Int64("entries", entries), zap.Duration("latest_by", time.Duration(lateBy)*time.Second)}
	text := "A sweep found entries that Slack had shown too late for the polls"
	if overlap > 0 {
		text += "; an overlap of latest_by would have found them sooner"
		fields = append(fields, zap.Duration("overlap", overlap))
	}
	s.logger.Info(text, fields...)
}

// Figures are the gauges of one source; times in seconds.
type Figures struct {
	// Polled tells whether EventStaleness means anything yet.
	Polled         bool
	EventStaleness float64
	PollStaleness  float64
	WatermarkLag   float64
	Stale          bool
	// Gaps are known not to be complete, and cover GapTime together.
	Gaps    int64
	GapTime float64
	// Failing is why the source is in trouble, "" while it is not.
	Failing string
}

func (s *source) figures() Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	since := func(second int64) float64 {
		return max(0, now.Add(s.offset).Sub(time.Unix(second, 0)).Seconds())
	}
	return Figures{
		Polled:         s.standing.polled,
		EventStaleness: since(s.standing.newest),
		PollStaleness:  max(0, now.Sub(s.lastPage).Seconds()),
		WatermarkLag:   since(s.standing.watermark),
		Stale:          s.stale,
		Gaps:           int64(len(s.standing.gaps)),
		GapTime:        float64(s.standing.gaps.seconds()),
	}
}

// resource names the organisation or workspace as Slack does.
func resource(id slack.Identity, switched metadata.ResourceAttributesConfig) pcommon.Resource {
	rb := metadata.NewResourceBuilder(switched)
	for _, set := range []struct {
		value string
		put   func(string)
	}{
		{id.EnterpriseID, rb.SetSlackEnterpriseID},
		{id.EnterpriseName, rb.SetSlackEnterpriseName},
		{id.EnterpriseDomain, rb.SetSlackEnterpriseDomain},
		{id.TeamID, rb.SetSlackTeamID},
		{id.TeamName, rb.SetSlackTeamName},
		{id.TeamDomain, rb.SetSlackTeamDomain},
	} {
		if set.value != "" {
			set.put(set.value)
		}
	}
	return rb.Emit()
}

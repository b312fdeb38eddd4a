// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/roles"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/rotation"
)

// jitter is the part of a pause after a failure that is left to chance.
const jitter = 0.2

// shutdownTime is the longest that a shutdown waits for a consumer or storage
// that ignores its context (promise 10).
const shutdownTime = 4500 * time.Millisecond

// logsReceiver runs a poller for each log type that is switched on.
type logsReceiver struct {
	set   receiver.Settings
	cfg   *Config
	next  consumer.Logs
	clock clock.Clock

	host      component.Host
	http      *http.Client
	telemetry *metadata.TelemetryBuilder
	// term is the one that runs, or still ends.
	term atomic.Pointer[term]

	mu       sync.Mutex
	problems map[string]error
	// leading is the last time that the leader elector made this collector lead.
	leading *leadership
	started bool
	// stopped is set once the service knows of the shutdown: whatever a late
	// consumer, storage or leader elector brings is no status any more.
	stopped bool
}

func newLogsReceiver(set receiver.Settings, cfg *Config, next consumer.Logs, c clock.Clock) *logsReceiver {
	return &logsReceiver{set: set, cfg: cfg, next: next, clock: c, problems: map[string]error{}}
}

// Start reads the saved state and begins to poll, or with a leader elector
// stands by until this collector leads. It does not wait for Slack.
func (r *logsReceiver) Start(ctx context.Context, host component.Host) (err error) {
	r.host = host
	defer func() {
		if err != nil {
			// The service does not shut down what did not start.
			r.release()
		}
	}()
	if r.http, err = r.cfg.ToClient(ctx, host.GetExtensions(), r.set.TelemetrySettings); err != nil {
		return err
	}
	if r.telemetry, err = metadata.NewTelemetryBuilder(r.set.TelemetrySettings); err != nil {
		return err
	}
	if err = r.registerGauges(); err != nil {
		return err
	}
	if r.cfg.K8sLeaderElector == nil {
		t, err := r.newTerm(ctx)
		if err != nil {
			return err
		}
		r.warn("a restart")
		r.term.Store(t)
		// The start's context ends with the start; polling has its own.
		t.run(context.Background())
		r.started = true
		return nil
	}
	// The storage is opened only while leading, but has to be there.
	if err = checkpoint.Check(host, r.cfg.Storage); err != nil {
		return err
	}
	elector, err := findElector(host, *r.cfg.K8sLeaderElector)
	if err != nil {
		return err
	}
	r.warn("each takeover")
	r.set.Logger.Info("This collector stands by until the leader elector says that it leads")
	r.started = true
	elector.SetCallBackFuncs(r.startLeading, r.stopLeading)
	return nil
}

// warn says once what is unwise about the settings.
func (r *logsReceiver) warn(start string) {
	if r.cfg.Storage == nil {
		r.set.Logger.Warn("No storage is configured: " + start + " begins at initial_lookback again, and records come twice or, if older, not at all")
	}
	budget := func(section string, perMinute, limit float64) {
		if perMinute > limit {
			r.set.Logger.Warn(section+"::requests_per_minute is above Slack's limit",
				zap.Float64("requests_per_minute", perMinute), zap.Float64("slack_limit", limit))
		}
	}
	if r.cfg.ActorRoles.HasValue() && r.cfg.Attributes == record.AttributesNone {
		r.set.Logger.Warn("actor_roles has no effect with attributes: none")
	}
	if r.cfg.AuditLogs.HasValue() {
		budget("audit_logs", r.cfg.AuditLogs.Get().RequestsPerMinute, slackAuditLimit)
	}
	if r.cfg.AccessLogs.HasValue() {
		budget("access_logs", r.cfg.AccessLogs.Get().RequestsPerMinute, slackListLimit)
	}
	if r.cfg.IntegrationLogs.HasValue() {
		budget("integration_logs", r.cfg.IntegrationLogs.Get().RequestsPerMinute, slackListLimit)
	}
}

// newRotation brings the tokens of a term, with what is in its storage.
func (r *logsReceiver) newRotation(ctx context.Context, t *term) (*rotation.Source, error) {
	cfg := r.cfg.TokenRotation
	set := r.slackSettings()
	set.Observe = r.observe
	return rotation.New(ctx, rotation.Settings{
		App:          slack.App{ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret},
		RefreshToken: cfg.RefreshToken,
		Slack:        set,
		Clock:        r.clock,
		Store:        t.store,
		Pauses:       &t.pauses,
		Logger:       r.set.Logger,
		Status:       func(err error) { r.reportStatus(t, rotating, err) },
	})
}

// newRoles brings the roles of actors during a term.
func (r *logsReceiver) newRoles(ctx context.Context, t *term) (*roles.Source, error) {
	set := r.slackSettings()
	set.Observe = r.observe
	if t.tokens != nil {
		set.Tokens = t.tokens
	}
	return roles.New(ctx, roles.Settings{
		Slack:               set,
		Clock:               r.clock,
		Store:               t.store,
		Pauses:              &t.pauses,
		Logger:              r.set.Logger,
		RefreshInterval:     r.cfg.ActorRoles.Get().RefreshInterval,
		TeamIDs:             r.cfg.rolesTeams(),
		RandomizationFactor: jitter,
	})
}

// observe is told of each call that is of no log type.
func (r *logsReceiver) observe(ctx context.Context, method, errorType string, took time.Duration) {
	receiver := metric.WithAttributes(attribute.String("receiver", r.set.ID.String()))
	r.telemetry.SlacklogsRequestDuration.Record(ctx, took.Seconds(), receiver, poll.CallAttributes(method, errorType))
}

func (r *logsReceiver) addPollers(ctx context.Context, t *term) error {
	if r.cfg.TokenRotation != nil {
		var err error
		if t.tokens, err = r.newRotation(ctx, t); err != nil {
			return err
		}
	}
	if r.cfg.ActorRoles.HasValue() && r.cfg.Attributes != record.AttributesNone {
		var err error
		if t.roles, err = r.newRoles(ctx, t); err != nil {
			return err
		}
	}
	if r.cfg.HealthRecords.HasValue() {
		set, err := r.pollerSettings(t, "")
		if err != nil {
			return err
		}
		if t.health, err = poll.NewHealth(ctx, set, poll.HealthSettings{
			HeartbeatInterval: r.cfg.HealthRecords.Get().HeartbeatInterval,
			Body:              r.cfg.Body,
		}); err != nil {
			return err
		}
	}
	options := record.Options{Body: r.cfg.Body, Attributes: r.cfg.Attributes}
	if r.cfg.AuditLogs.HasValue() {
		audit := r.cfg.AuditLogs.Get()
		if err := r.addPoller(t, "audit", func(set poll.Settings) (*poll.Poller, error) {
			return poll.NewAudit(ctx, set, poll.AuditSettings{
				PollInterval:      audit.PollInterval,
				InitialLookback:   audit.InitialLookback,
				StartTime:         audit.StartTime,
				PageSize:          audit.PageSize,
				RequestsPerMinute: audit.RequestsPerMinute,
				Overlap:           audit.Overlap,
				SweepInterval:     audit.SweepInterval,
				SweepWindow:       audit.SweepWindow,
				StaleAfter:        audit.StaleAfter,
				Record:            options,
			})
		}); err != nil {
			return err
		}
	}
	if r.cfg.AccessLogs.HasValue() {
		access := r.cfg.AccessLogs.Get()
		if err := r.addPoller(t, "access", func(set poll.Settings) (*poll.Poller, error) {
			return poll.NewAccess(ctx, set, poll.ListSettings{
				PollInterval:      access.PollInterval,
				InitialLookback:   access.InitialLookback,
				StartTime:         access.StartTime,
				PageSize:          access.PageSize,
				RequestsPerMinute: access.RequestsPerMinute,
				SweepInterval:     access.SweepInterval,
				SweepWindow:       access.SweepWindow,
				TeamIDs:           access.TeamIDs,
				StaleAfter:        access.StaleAfter,
				Record:            options,
			})
		}); err != nil {
			return err
		}
	}
	if r.cfg.IntegrationLogs.HasValue() {
		integration := r.cfg.IntegrationLogs.Get()
		return r.addPoller(t, "integration", func(set poll.Settings) (*poll.Poller, error) {
			return poll.NewIntegration(ctx, set, poll.ListSettings{
				PollInterval:      integration.PollInterval,
				InitialLookback:   integration.InitialLookback,
				StartTime:         integration.StartTime,
				PageSize:          integration.PageSize,
				RequestsPerMinute: integration.RequestsPerMinute,
				Overlap:           integration.Overlap,
				TeamIDs:           integration.TeamIDs,
				StaleAfter:        integration.StaleAfter,
				Record:            options,
			})
		})
	}
	return nil
}

// addPoller adds the poller of a log type.
func (r *logsReceiver) addPoller(t *term, logType string, create func(poll.Settings) (*poll.Poller, error)) error {
	set, err := r.pollerSettings(t, logType)
	if err != nil {
		return err
	}
	poller, err := create(set)
	if err != nil {
		return err
	}
	t.pollers = append(t.pollers, poller)
	return nil
}

// slackSettings say how Slack is asked.
func (r *logsReceiver) slackSettings() slack.Settings {
	return slack.Settings{
		HTTP:          r.http,
		Token:         string(r.cfg.Token),
		Endpoint:      strings.TrimRight(r.cfg.Endpoint, "/"),
		AuditEndpoint: r.cfg.auditEndpoint(),
		UserAgent:     "slacklogsreceiver/" + r.set.BuildInfo.Version,
		Clock:         r.clock,
	}
}

// pollerSettings are what the poller of one log type gets.
func (r *logsReceiver) pollerSettings(t *term, logType string) (poll.Settings, error) {
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: r.set.ID, Transport: "http", ReceiverCreateSettings: r.set,
	})
	if err != nil {
		return poll.Settings{}, err
	}
	scope := pcommon.NewInstrumentationScope()
	scope.SetName(metadata.ScopeName)
	scope.SetVersion(r.set.BuildInfo.Version)
	set := r.slackSettings()
	if t.tokens != nil {
		set.Tokens = t.tokens
	}
	ps := poll.Settings{
		ID:                  r.set.ID,
		Slack:               set,
		Clock:               r.clock,
		Store:               t.store,
		Next:                r.next,
		ObsReport:           obs,
		Format:              metadata.Type.String(),
		Retry:               r.cfg.RetryOnFailure,
		Telemetry:           r.telemetry,
		Logger:              r.set.Logger,
		ResourceAttributes:  r.cfg.ResourceAttributes,
		Scope:               scope,
		Pauses:              &t.pauses,
		Health:              t.health,
		Status:              func(err error) { r.reportStatus(t, logType, err) },
		RandomizationFactor: jitter,
	}
	if t.roles != nil {
		ps.Roles = t.roles.Of
	}
	return ps, nil
}

func (r *logsReceiver) registerGauges() error {
	integer := func(value func(poll.Figures) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			for _, p := range r.polling() {
				p.Each(func(f poll.Figures, attrs metric.MeasurementOption) { o.Observe(value(f), attrs) })
			}
			return nil
		}
	}
	number := func(value func(poll.Figures) (float64, bool)) metric.Float64Callback {
		return func(_ context.Context, o metric.Float64Observer) error {
			for _, p := range r.polling() {
				p.Each(func(f poll.Figures, attrs metric.MeasurementOption) {
					if v, ok := value(f); ok {
						o.Observe(v, attrs)
					}
				})
			}
			return nil
		}
	}
	failing := func(_ context.Context, o metric.Int64Observer) error {
		// A token that can't be refreshed is everybody's, also while it lasts.
		token := r.tokenTrouble()
		for _, p := range r.polling() {
			p.Each(func(f poll.Figures, attrs metric.MeasurementOption) {
				if why := cmp.Or(f.Failing, token); why == "" {
					o.Observe(0, attrs)
				} else {
					o.Observe(1, attrs, metric.WithAttributes(attribute.String("error_type", why)))
				}
			})
		}
		return nil
	}
	return errors.Join(
		r.telemetry.RegisterSlacklogsFailingCallback(failing),
		r.telemetry.RegisterSlacklogsEventStalenessCallback(number(func(f poll.Figures) (float64, bool) { return f.EventStaleness, f.Polled })),
		r.telemetry.RegisterSlacklogsPollStalenessCallback(number(func(f poll.Figures) (float64, bool) { return f.PollStaleness, true })),
		r.telemetry.RegisterSlacklogsWatermarkLagCallback(number(func(f poll.Figures) (float64, bool) { return f.WatermarkLag, true })),
		r.telemetry.RegisterSlacklogsStaleCallback(integer(func(f poll.Figures) int64 {
			if f.Stale {
				return 1
			}
			return 0
		})),
		r.telemetry.RegisterSlacklogsGapsCallback(integer(func(f poll.Figures) int64 { return f.Gaps })),
		r.telemetry.RegisterSlacklogsGapTimeCallback(number(func(f poll.Figures) (float64, bool) { return f.GapTime, true })),
	)
}

// polling are the pollers of the term that runs. Who stands by has none, and
// so no gauges.
func (r *logsReceiver) polling() []*poll.Poller {
	if t := r.term.Load(); t != nil && !t.over.Load() {
		return t.pollers
	}
	return nil
}

// tokenTrouble is the code of why the token can't be refreshed, "" if it can.
func (r *logsReceiver) tokenTrouble() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if failed, ok := errors.AsType[*slack.Error](r.problems[rotating]); ok {
		return failed.Code
	}
	return ""
}

// reportStatus reports the component as failing while any log type of the term
// is, or taking over, and as well after. It never reports a permanent error:
// that can't be taken back, while a token can.
func (r *logsReceiver) reportStatus(t *term, what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || t != nil && t.over.Load() {
		return
	}
	if err == nil {
		delete(r.problems, what)
	} else {
		r.problems[what] = err
	}
	event := componentstatus.NewEvent(componentstatus.StatusOK)
	var problems []error
	for _, kind := range slices.Sorted(maps.Keys(r.problems)) {
		problems = append(problems, r.problems[kind])
	}
	if len(problems) > 0 {
		event = componentstatus.NewRecoverableErrorEvent(errors.Join(problems...))
	}
	componentstatus.ReportStatus(r.host, event)
}

// Shutdown ends polling, and takes part in no election any more. It waits for a
// consumer or a storage that ignores its context only until the context's
// deadline or a few seconds.
func (r *logsReceiver) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	if !r.started || r.stopped {
		r.mu.Unlock()
		return nil
	}
	r.stopped = true
	t, l := r.term.Load(), r.leading
	r.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, shutdownTime)
	defer cancel()
	defer r.release()
	if l != nil {
		l.cancel()
	}
	if t != nil {
		if err := r.end(ctx, t); err != nil {
			return err
		}
	}
	if l != nil {
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("the storage did not open in time: %w", ctx.Err())
		}
	}
	return nil
}

// release frees what Start has taken, apart from the term.
func (r *logsReceiver) release() {
	if r.telemetry != nil {
		r.telemetry.Shutdown()
	}
	if r.http != nil {
		r.http.CloseIdleConnections()
	}
}

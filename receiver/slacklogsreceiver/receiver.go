// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
)

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
	store     *checkpoint.Store
	telemetry *metadata.TelemetryBuilder
	pollers   []*poll.Poller
	health    *poll.Health // nil = no health records

	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	problems map[string]error
	// stopped is set once the service knows of the shutdown: whatever a late
	// consumer or storage brings is no status any more.
	stopped bool
}

func newLogsReceiver(set receiver.Settings, cfg *Config, next consumer.Logs, c clock.Clock) *logsReceiver {
	return &logsReceiver{set: set, cfg: cfg, next: next, clock: c, problems: map[string]error{}}
}

// Start reads the saved state and begins to poll. It does not wait for Slack.
func (r *logsReceiver) Start(ctx context.Context, host component.Host) (err error) {
	r.host = host
	defer func() {
		if err != nil {
			// The service does not shut down what did not start.
			err = errors.Join(err, r.release(context.WithoutCancel(ctx)))
		}
	}()
	if r.http, err = r.cfg.ToClient(ctx, host.GetExtensions(), r.set.TelemetrySettings); err != nil {
		return err
	}
	if r.telemetry, err = metadata.NewTelemetryBuilder(r.set.TelemetrySettings); err != nil {
		return err
	}
	if r.store, err = checkpoint.Open(ctx, host, r.cfg.Storage, r.set.ID); err != nil {
		return err
	}
	if r.cfg.Storage == nil {
		r.set.Logger.Warn("No storage is configured: a restart begins at initial_lookback again, and records come twice or, if older, not at all")
	}
	if err = r.addPollers(ctx); err != nil {
		return err
	}
	if err = r.registerGauges(); err != nil {
		return err
	}
	// The start's context ends with the start; polling has its own.
	background, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	for _, p := range r.pollers {
		r.wg.Go(func() { p.Run(background) })
	}
	if r.health != nil {
		r.wg.Go(func() { r.health.Run(background) })
	}
	return nil
}

func (r *logsReceiver) addPollers(ctx context.Context) error {
	if r.cfg.HealthRecords.HasValue() {
		set, err := r.pollerSettings("")
		if err != nil {
			return err
		}
		if r.health, err = poll.NewHealth(ctx, set, poll.HealthSettings{
			HeartbeatInterval: r.cfg.HealthRecords.Get().HeartbeatInterval,
			Body:              r.cfg.Body,
		}); err != nil {
			return err
		}
	}
	options := record.Options{Body: r.cfg.Body, Attributes: r.cfg.Attributes}
	if r.cfg.AuditLogs.HasValue() {
		audit := r.cfg.AuditLogs.Get()
		if err := r.addPoller("audit", audit.RequestsPerMinute, slackAuditLimit, func(set poll.Settings) (*poll.Poller, error) {
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
		if err := r.addPoller("access", access.RequestsPerMinute, slackListLimit, func(set poll.Settings) (*poll.Poller, error) {
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
		return r.addPoller("integration", integration.RequestsPerMinute, slackListLimit, func(set poll.Settings) (*poll.Poller, error) {
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

// addPoller adds the poller of a log type, for which Slack has a limit of
// calls a minute.
func (r *logsReceiver) addPoller(logType string, budget, limit float64, create func(poll.Settings) (*poll.Poller, error)) error {
	if budget > limit {
		r.set.Logger.Warn(logType+"_logs::requests_per_minute is above Slack's limit",
			zap.Float64("requests_per_minute", budget), zap.Float64("slack_limit", limit))
	}
	set, err := r.pollerSettings(logType)
	if err != nil {
		return err
	}
	poller, err := create(set)
	if err != nil {
		return err
	}
	r.pollers = append(r.pollers, poller)
	return nil
}

// pollerSettings are what the poller of one log type gets.
func (r *logsReceiver) pollerSettings(logType string) (poll.Settings, error) {
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: r.set.ID, Transport: "http", ReceiverCreateSettings: r.set,
	})
	if err != nil {
		return poll.Settings{}, err
	}
	scope := pcommon.NewInstrumentationScope()
	scope.SetName(metadata.ScopeName)
	scope.SetVersion(r.set.BuildInfo.Version)
	return poll.Settings{
		ID: r.set.ID,
		Slack: slack.Settings{
			HTTP:          r.http,
			Token:         string(r.cfg.Token),
			Endpoint:      strings.TrimRight(r.cfg.Endpoint, "/"),
			AuditEndpoint: r.cfg.auditEndpoint(),
			UserAgent:     "slacklogsreceiver/" + r.set.BuildInfo.Version,
			Clock:         r.clock,
		},
		Clock:               r.clock,
		Store:               r.store,
		Next:                r.next,
		ObsReport:           obs,
		Format:              metadata.Type.String(),
		Retry:               r.cfg.RetryOnFailure,
		Telemetry:           r.telemetry,
		Logger:              r.set.Logger,
		ResourceAttributes:  r.cfg.ResourceAttributes,
		Scope:               scope,
		Health:              r.health,
		Status:              func(err error) { r.reportStatus(logType, err) },
		RandomizationFactor: 0.2,
	}, nil
}

func (r *logsReceiver) registerGauges() error {
	integer := func(value func(poll.Figures) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			for _, p := range r.pollers {
				p.Each(func(f poll.Figures, attrs metric.MeasurementOption) { o.Observe(value(f), attrs) })
			}
			return nil
		}
	}
	number := func(value func(poll.Figures) (float64, bool)) metric.Float64Callback {
		return func(_ context.Context, o metric.Float64Observer) error {
			for _, p := range r.pollers {
				p.Each(func(f poll.Figures, attrs metric.MeasurementOption) {
					if v, ok := value(f); ok {
						o.Observe(v, attrs)
					}
				})
			}
			return nil
		}
	}
	return errors.Join(
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

// reportStatus reports the component as failing while any log type is, and as
// well after. It never reports a permanent error: that can't be taken back,
// while a token can.
func (r *logsReceiver) reportStatus(logType string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	if err == nil {
		delete(r.problems, logType)
	} else {
		r.problems[logType] = err
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

// Shutdown ends polling. It waits for a consumer or a storage that ignores its
// context only until the context's deadline or a few seconds.
func (r *logsReceiver) Shutdown(ctx context.Context) error {
	if r.cancel == nil {
		return nil
	}
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	r.cancel = nil

	ctx, cancel := context.WithTimeout(ctx, shutdownTime)
	defer cancel()
	deadline, _ := ctx.Deadline()
	// The rest of the time is the storage's.
	patience, stop := context.WithTimeout(ctx, time.Until(deadline)*9/10)
	defer stop()
	polled := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(polled)
	}()
	select {
	case <-polled:
	case <-patience.Done():
		r.set.Logger.Warn("A consumer or the storage did not finish in time; a batch that was accepted and not saved comes again after the restart")
	}
	released := make(chan error, 1)
	go func() { released <- r.release(context.WithoutCancel(ctx)) }()
	select {
	case err := <-released:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the storage did not close in time: %w", ctx.Err())
	}
}

// release frees what Start has taken.
func (r *logsReceiver) release(ctx context.Context) error {
	if r.telemetry != nil {
		r.telemetry.Shutdown()
	}
	if r.http != nil {
		r.http.CloseIdleConnections()
	}
	if r.store == nil {
		return nil
	}
	return r.store.Close(ctx)
}

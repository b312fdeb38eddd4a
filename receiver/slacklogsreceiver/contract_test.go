// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

// generator makes entries. Each scenario has a Slack of its own, so that none
// meets the entries of the one before.
type generator struct {
	mu    sync.Mutex
	slack *slacktest.Server
	n     int
}

func newGenerator() *generator {
	g := &generator{}
	g.Stop()
	return g
}

func (*generator) Start() {}

func (g *generator) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slack = slacktest.New(slacktest.Options{CallLog: 1, EmptyPages: 5})
	company := slacktest.NewOrganisation(1)
	g.slack.SetToken(slacktest.AnyToken, company.Identity())
	g.slack.SetUser(company.Users()...)
}

func (g *generator) Generate() []receivertest.UniqueIDAttrVal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	id := fmt.Sprintf("entry-%06d", g.n)
	g.slack.Add(entry(id, time.Now()))
	return []receivertest.UniqueIDAttrVal{receivertest.UniqueIDAttrVal(id)}
}

func (g *generator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	slack := g.slack
	g.mu.Unlock()
	slack.ServeHTTP(w, r)
}

// withHost is a receiver that meets another host than it is started with.
type withHost struct {
	receiver.Logs
	host component.Host
}

func (w withHost) Start(ctx context.Context, _ component.Host) error {
	return w.Logs.Start(ctx, w.host)
}

// marked puts the uid where the contract looks for it.
func marked(next consumer.Logs) consumer.Logs {
	return consumerFunc(func(ctx context.Context, logs plog.Logs) error {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					if uid, ok := record.Attributes().Get("log.record.uid"); ok {
						record.Attributes().PutStr(receivertest.UniqueIDAttrName, uid.Str())
					}
				}
			}
		}
		return next.ConsumeLogs(ctx, logs)
	})
}

func TestConsumeContract(t *testing.T) {
	for _, tt := range []struct {
		name    string
		storage bool
		roles   bool
	}{
		{name: "without storage"},
		{name: "with storage", storage: true},
		{name: "with actor_roles", roles: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGenerator()
			server := httptest.NewServer(g)
			defer server.Close()
			cfg := fakeSlack{address: server.URL}.config(t)
			cfg.RetryOnFailure.InitialInterval = time.Millisecond
			cfg.RetryOnFailure.MaxInterval = time.Millisecond
			audit := cfg.AuditLogs.Get()
			audit.PollInterval = time.Millisecond
			audit.PageSize = 7
			audit.Overlap = 3 * time.Second
			host := &testHost{}
			if tt.roles {
				cfg.ActorRoles.GetOrInsertDefault()
			}
			if tt.storage {
				cfg.Storage = &storageID
				host.extensions = map[component.ID]component.Component{storageID: newMemoryStorage()}
			}
			factory := receiver.NewFactory(metadata.Type, createDefaultConfig, receiver.WithLogs(
				func(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
					// The receivers of all scenarios share their state.
					set.ID = component.NewID(metadata.Type)
					r, err := createLogsReceiver(ctx, set, cfg, marked(next))
					return withHost{r, host}, err
				}, metadata.LogsStability))
			receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
				T:             t,
				Factory:       factory,
				Signal:        pipeline.SignalLogs,
				Config:        cfg,
				Generator:     g,
				GenerateCount: 500,
			})
		})
	}
}

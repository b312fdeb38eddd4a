// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

func TestFactory(t *testing.T) {
	t.Parallel()
	f := NewFactory()
	assert.Equal(t, "slacklogs", f.Type().String())
	assert.Equal(t, component.StabilityLevelAlpha, f.LogsStability())

	set := receivertest.NewNopSettings(metadata.Type)
	r, err := f.CreateLogs(t.Context(), set, audited(t), consumertest.NewNop())
	require.NoError(t, err)
	assert.NotNil(t, r)
	_, err = f.CreateMetrics(t.Context(), set, audited(t), consumertest.NewNop())
	require.ErrorIs(t, err, pipeline.ErrSignalNotSupported)
	_, err = f.CreateTraces(t.Context(), set, audited(t), consumertest.NewNop())
	require.ErrorIs(t, err, pipeline.ErrSignalNotSupported)
}

func TestDefaultConfig(t *testing.T) {
	t.Parallel()
	cfg := createDefaultConfig().(*Config)
	require.Error(t, confmap.Validate(cfg), "a token and a log type are needed")
	assert.False(t, cfg.AuditLogs.HasValue())
	assert.Equal(t, "https://slack.com/api", cfg.Endpoint)
	assert.Equal(t, 30*time.Second, cfg.Timeout)
	assert.True(t, cfg.RetryOnFailure.Enabled)
	assert.Zero(t, cfg.RetryOnFailure.MaxElapsedTime)
	assert.Nil(t, cfg.Storage)
	assert.Equal(t, record.BodyRaw, cfg.Body)
	assert.Equal(t, record.AttributesAll, cfg.Attributes)
	assert.Equal(t, auditLogsConfig{
		PollInterval:      time.Minute,
		InitialLookback:   24 * time.Hour,
		PageSize:          1000,
		RequestsPerMinute: 30,
		Overlap:           15 * time.Minute,
		SweepInterval:     6 * time.Hour,
		SweepWindow:       24 * time.Hour,
		StaleAfter:        24 * time.Hour,
	}, *cfg.AuditLogs.GetOrInsertDefault())
	// Two configurations share nothing.
	other := createDefaultConfig().(*Config)
	assert.False(t, other.AuditLogs.HasValue())
}

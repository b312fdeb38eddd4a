// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
)

// loadConfig reads a section of testdata/config.yaml; err is that of reading it.
func loadConfig(t *testing.T, name string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	id := component.NewIDWithName(metadata.Type, name)
	require.Contains(t, conf.ToStringMap(), id.String())
	sub, err := conf.Sub(id.String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	return cfg, sub.Unmarshal(cfg)
}

// audited returns the default configuration with a token and the audit logs on.
func audited(t *testing.T) *Config {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Token = "xoxp-brightwater"
	cfg.AuditLogs.GetOrInsertDefault()
	return cfg
}

// rotated sets token_rotation in place of the token.
func rotated(secret configopaque.String) func(cfg *Config) {
	return func(cfg *Config) {
		cfg.Token, cfg.Storage = "", &storageID
		cfg.TokenRotation = &tokenRotationConfig{
			ClientID: "404.1007", ClientSecret: secret, RefreshToken: "xoxe-1-brightwater",
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		set   func(cfg *Config)
		audit string
	}{
		{name: ""},
		{name: "null_section"},
		{
			name: "all",
			set: func(cfg *Config) {
				cfg.Endpoint = "https://slack.com/api/"
				cfg.AuditEndpoint = "https://proxy.brightwater.example/audit/v1/"
				id := component.MustNewIDWithName("file_storage", "slack")
				cfg.Storage = &id
				elector := component.MustNewIDWithName("k8s_leader_elector", "slack")
				cfg.K8sLeaderElector = &elector
				cfg.Timeout = 5 * time.Second
				cfg.ProxyURL = "http://proxy.brightwater.example:3128"
				cfg.Headers.Set("X-Team", configopaque.String("tides"))
				*cfg.AuditLogs.Get() = auditLogsConfig{
					PollInterval:      30 * time.Second,
					InitialLookback:   48 * time.Hour,
					StartTime:         time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
					PageSize:          9999,
					RequestsPerMinute: 0.5,
					SweepWindow:       12 * time.Hour,
				}
				cfg.RetryOnFailure.InitialInterval = time.Second
				cfg.RetryOnFailure.MaxElapsedTime = time.Minute
				cfg.Body = record.BodyMap
				cfg.Attributes = record.AttributesCore
				cfg.ResourceAttributes.SlackTeamID.Enabled = false
			},
			audit: "https://proxy.brightwater.example/audit/v1",
		},
		{
			name: "quoted_start_time",
			set: func(cfg *Config) {
				cfg.AuditLogs.Get().StartTime = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
			},
		},
		{
			name:  "govslack",
			set:   func(cfg *Config) { cfg.Endpoint = "https://slack-gov.com/api" },
			audit: "https://api.slack-gov.com/audit/v1",
		},
		{
			name: "loopback",
			set: func(cfg *Config) {
				cfg.Endpoint = "http://localhost:8080/api"
				cfg.AuditEndpoint = "http://[::1]:8080/audit/v1"
			},
			audit: "http://[::1]:8080/audit/v1",
		},
		{
			name: "auth",
			set: func(cfg *Config) {
				cfg.Token = ""
				cfg.Auth.GetOrInsertDefault().AuthenticatorID = component.MustNewIDWithName("bearertokenauth", "slack")
			},
		},
		{name: "token_rotation", set: rotated("brightwater-app-SECRET")},
		{name: "token_rotation_of_a_public_client", set: rotated("")},
		{
			name: "smallest",
			set: func(cfg *Config) {
				a := cfg.AuditLogs.Get()
				a.PollInterval, a.PageSize, a.RequestsPerMinute = 1, 1, 0.001
				a.InitialLookback, a.SweepWindow = 0, 0
				cfg.Body = record.BodyNone
			},
		},
		{
			name: "lists",
			set: func(cfg *Config) {
				cfg.AuditLogs = createDefaultConfig().(*Config).AuditLogs
				cfg.AccessLogs.GetOrInsertDefault()
				cfg.IntegrationLogs.GetOrInsertDefault()
			},
		},
		{
			name: "lists_of_another_host",
			set: func(cfg *Config) {
				cfg.Endpoint = "https://slack.brightwater.example/api"
				cfg.AuditLogs = createDefaultConfig().(*Config).AuditLogs
				cfg.AccessLogs.GetOrInsertDefault()
			},
			audit: "none",
		},
		{
			name: "lists_all",
			set: func(cfg *Config) {
				*cfg.AccessLogs.GetOrInsertDefault() = accessLogsConfig{
					PollInterval:      2 * time.Minute,
					InitialLookback:   48 * time.Hour,
					StartTime:         time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
					PageSize:          100,
					RequestsPerMinute: 10,
					SweepInterval:     2 * time.Hour,
					SweepWindow:       2 * time.Hour,
					TeamIDs:           []string{"T1", "T04BRIGHTWATER"},
					StaleAfter:        time.Hour,
				}
				*cfg.IntegrationLogs.GetOrInsertDefault() = integrationLogsConfig{
					PollInterval:      time.Hour,
					InitialLookback:   48 * time.Hour,
					StartTime:         time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
					PageSize:          500,
					RequestsPerMinute: 0.5,
					Overlap:           time.Hour,
					TeamIDs:           []string{"*"},
					StaleAfter:        720 * time.Hour,
				}
			},
		},
		{
			name: "lists_smallest",
			set: func(cfg *Config) {
				a := cfg.AccessLogs.GetOrInsertDefault()
				a.PollInterval, a.PageSize, a.RequestsPerMinute = 1, 1, 0.001
				a.InitialLookback, a.SweepInterval, a.SweepWindow, a.StaleAfter = 0, 0, 1, 0
				a.TeamIDs = []string{}
				i := cfg.IntegrationLogs.GetOrInsertDefault()
				i.PollInterval, i.PageSize, i.RequestsPerMinute = 1, 1, 0.001
				i.InitialLookback, i.Overlap = 0, 0
			},
		},
		{
			name: "health_records",
			set:  func(cfg *Config) { cfg.HealthRecords.GetOrInsertDefault().HeartbeatInterval = 90 * time.Second },
		},
		{
			name: "health_records_null",
			set: func(cfg *Config) {
				*cfg.HealthRecords.GetOrInsertDefault() = healthRecordsConfig{HeartbeatInterval: 10 * time.Minute}
			},
		},
		{
			name: "actor_roles",
			set:  func(cfg *Config) { cfg.ActorRoles.GetOrInsertDefault().RefreshInterval = 5 * time.Minute },
		},
		{
			name: "actor_roles_null",
			set:  func(cfg *Config) { *cfg.ActorRoles.GetOrInsertDefault() = actorRolesConfig{RefreshInterval: time.Hour} },
		},
		{name: "attributes_none", set: func(cfg *Config) { cfg.Attributes = record.AttributesNone }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := loadConfig(t, tt.name)
			require.NoError(t, err)
			require.NoError(t, confmap.Validate(cfg))
			want := audited(t)
			if tt.set != nil {
				tt.set(want)
			}
			if got := cfg.AuditLogs.Get(); got != nil && !got.StartTime.IsZero() {
				got.StartTime = got.StartTime.UTC()
			}
			// A field of no interest tells who has set it.
			assert.Equal(t, want.ResourceAttributes.SlackTeamID.Enabled, cfg.ResourceAttributes.SlackTeamID.Enabled)
			want.ResourceAttributes.SlackTeamID = cfg.ResourceAttributes.SlackTeamID
			assert.Equal(t, want, cfg)
			assert.Equal(t, strings.HasPrefix(tt.name, "health_records"), cfg.HealthRecords.HasValue(), "off unless the section is there")
			assert.Equal(t, strings.HasPrefix(tt.name, "actor_roles"), cfg.ActorRoles.HasValue(), "off unless the section is there")
			switch tt.audit {
			case "":
				tt.audit = "https://api.slack.com/audit/v1"
			case "none":
				tt.audit = ""
			}
			assert.Equal(t, tt.audit, cfg.auditEndpoint())
		})
	}
}

func TestConfigThatIsRefused(t *testing.T) {
	t.Parallel()
	const (
		noToken       = "token: empty; set it to a Slack user token (xoxp-…), for example ${env:SLACK_TOKEN} with that variable set, or name an extension with auth::authenticator, or set token_rotation"
		body          = `body: "json" is none of raw, map, none`
		page          = "audit_logs::page_size: %d is outside 1 to 9999, the largest page that Slack gives"
		rate          = "audit_logs::requests_per_minute: must be above 0; Slack allows 50 for all apps of an organisation"
		oneID         = `access_logs::team_ids: %q is not the id of a workspace, such as T0123ABCD`
		timeout       = "timeout: must be above 0, such as 30s; without it a call could hang for ever"
		beat          = "health_records::heartbeat_interval: must be above 0, such as 10m; to have no health records, take the section out"
		noClient      = "token_rotation::client_id: empty, or contains white space; set it to the Client ID under Basic Information of the Slack app"
		accessInPlace = "token_rotation::refresh_token: is an access token (xoxe.xoxp-…, xoxp-… or xoxb-…); give the refresh token (xoxe-…) that came with it"
		noLogs        = "no log type is on; add a section such as audit_logs: {}"
	)
	for _, tt := range []struct{ name, want string }{
		{"no_token", noToken},
		{"empty_token", noToken},
		{"token_and_auth", "token: set together with auth; keep one of the two"},
		{"token_and_rotation", "token_rotation: set together with token; keep one of the two"},
		{"auth_and_rotation", "token_rotation: set together with auth; keep one of the two"},
		{"rotation_without_storage", "token_rotation: needs storage, as each refresh token is good for one use and the next has to be kept; set storage to an extension such as file_storage"},
		{"rotation_null", noToken},
		{"rotation_with_an_unset_secret", "token_rotation::client_secret: empty; set the variable that it comes from, or take the key out for a public client (PKCE)"},
		{"rotation_with_white_space", noClient + "\ntoken_rotation::client_secret: contains white space; give the bare secret, or leave it out for a public client (PKCE)\n" +
			"token_rotation::refresh_token: contains white space; give the bare refresh token (xoxe-…)"},
		{"rotation_with_access_token", accessInPlace},
		{"rotation_with_old_access_token", accessInPlace},
		{"rotation_with_bot_token", accessInPlace},
		{"token_with_newline", "token: contains white space; give the bare token (xoxp-…)"},
		{"authorization_header", "headers: Authorization is the receiver's own; take it out (the token belongs into token, auth or token_rotation)"},
		{"host_header", "headers: Host is the receiver's own; take it out (the token belongs into token, auth or token_rotation)\n" +
			"headers: User-Agent is the receiver's own; take it out (the token belongs into token, auth or token_rotation)"},
		{"no_section", noLogs},
		{"plain_http", `endpoint: "http://slack.com/api" must begin with https://; http:// is for loopback only, because the token goes with each call`},
		{"plain_http_audit", `audit_endpoint: "http://api.slack.com/audit/v1" must begin with https://; http:// is for loopback only, because the token goes with each call`},
		{"other_scheme", `endpoint: "ftp://slack.com/api" must begin with https://; http:// is for loopback only, because the token goes with each call`},
		{"empty_endpoint", `endpoint: "" is not a base address such as https://slack.com/api`},
		{"endpoint_with_password", "endpoint: comes with a user, a query or a fragment; give the bare address, such as https://slack.com/api"},
		{"endpoint_with_query", "audit_endpoint: comes with a user, a query or a fragment; give the bare address, such as https://api.slack.com/audit/v1"},
		{"endpoint_that_is_none", `audit_endpoint: "…" is not a base address such as https://api.slack.com/audit/v1`},
		{"other_host", `audit_endpoint: unset, and endpoint "https://slack.brightwater.example/api" is neither slack.com nor slack-gov.com; set the address of the audit API`},
		{"no_timeout", timeout},
		{"negative_timeout", timeout},
		{"body", body},
		{"attributes", `attributes: "some" is none of all, core, none`},
		{"nothing_left", "attributes: none together with body: none would leave empty records; choose another value for one of them"},
		{"poll_interval", "audit_logs::poll_interval: must be above 0, such as 1m"},
		{"page_size_low", fmt.Sprintf(page, 0)},
		{"page_size_high", fmt.Sprintf(page, 10000)},
		{"requests_per_minute", rate},
		{"requests_per_minute_nan", rate},
		{"initial_lookback", "audit_logs::initial_lookback: -24h0m0s is negative; use 0 or a time such as 24h"},
		{"overlap", "audit_logs::overlap: -1s is negative; use 0 or a time such as 24h"},
		{"sweep_interval", "audit_logs::sweep_interval: -1s is negative; use 0 or a time such as 24h"},
		{"sweep_window", "audit_logs::sweep_window: -1s is negative; use 0 or a time such as 24h"},
		{"stale_after", "audit_logs::stale_after: -1s is negative; use 0 or a time such as 24h"},
		{"access", `access_logs::poll_interval: must be above 0, such as 1m
access_logs::page_size: 1000 is outside 1 to 999, the largest page that Slack gives
access_logs::requests_per_minute: must be above 0; Slack allows 20 for each app and workspace
access_logs::initial_lookback: -1h0m0s is negative; use 0 or a time such as 24h
access_logs::sweep_interval: -1s is negative; use 0 or a time such as 24h
access_logs::sweep_window: 0s is too short; rows inactive for longer are forgotten, so it must be above 0 and no less than poll_interval and sweep_interval, such as 168h
access_logs::stale_after: -1s is negative; use 0 or a time such as 24h`},
		{"access_page_size", "access_logs::page_size: 0 is outside 1 to 999, the largest page that Slack gives"},
		{"access_window_and_poll", "access_logs::sweep_window: 1h59m0s is too short; rows inactive for longer are forgotten, so it must be above 0 and no less than poll_interval and sweep_interval, such as 168h"},
		{"access_window_and_sweep", "access_logs::sweep_window: 59m0s is too short; rows inactive for longer are forgotten, so it must be above 0 and no less than poll_interval and sweep_interval, such as 168h"},
		{"integration", `integration_logs::poll_interval: must be above 0, such as 1m
integration_logs::page_size: 1001 is outside 1 to 1000, the largest page that Slack gives
integration_logs::requests_per_minute: must be above 0; Slack allows 20 for each app and workspace
integration_logs::initial_lookback: -1h0m0s is negative; use 0 or a time such as 24h
integration_logs::overlap: -1s is negative; use 0 or a time such as 24h
integration_logs::team_ids: "" is not the id of a workspace, such as T0123ABCD
integration_logs::stale_after: -1s is negative; use 0 or a time such as 24h`},
		{"teams", fmt.Sprintf(oneID+"\n"+oneID+"\n"+oneID, "t04brightwater", "T", "T04 B")},
		{"teams_twice", "access_logs::team_ids: T04B is there twice; take one out"},
		{"teams_and_all", `access_logs::team_ids: "*" stands for all workspaces; keep it alone, or take it out and name them`},
		{"health_records_zero", beat},
		{"health_records_negative", beat},
		{"health_records_alone", noLogs},
		{"actor_roles_too_often", "actor_roles::refresh_interval: 4m59s is less than 5m0s, more often than users.list can be read; use a time such as 1h"},
		{"actor_roles_negative", "actor_roles::refresh_interval: -1h0m0s is less than 5m0s, more often than users.list can be read; use a time such as 1h"},
		{"several", noToken + "\n" + fmt.Sprintf(page, 0) + "\n" + body},
		{"retry", "retry_on_failure: 'multiplier' must be non-negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := loadConfig(t, tt.name)
			require.NoError(t, err)
			err = confmap.Validate(cfg)
			require.EqualError(t, err, tt.want)
			assert.NotRegexp(t, "xox(e.*|b|p)-brightwater|SECRET", err.Error())
		})
	}
}

func TestConfigThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want string }{
		{"unknown_key", "has invalid keys: poll_interval"},
		{"unknown_key_in_section", "has invalid keys: interval"},
		{"unknown_key_in_access", "has invalid keys: overlap"},
		{"unknown_key_in_integration", "has invalid keys: sweep_interval"},
		{"unknown_key_in_health_records", "has invalid keys: interval"},
		{"unknown_key_in_actor_roles", "has invalid keys: interval"},
		{"unknown_key_in_rotation", "has invalid keys: token"},
		{"start_time", `'start_time' parsing time "yesterday"`},
		{"storage", `'storage' `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig(t, tt.name)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Each case of the file belongs to a test.
func TestConfigCases(t *testing.T) {
	t.Parallel()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	assert.Len(t, conf.ToStringMap(), 19+54+9)
}

func TestAuditEndpoint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, set, want string }{
		{"https://slack.com/api", "", "https://api.slack.com/audit/v1"},
		{"https://SLACK.com/api", "", "https://api.slack.com/audit/v1"},
		{"https://www.slack.com/api", "", "https://api.slack.com/audit/v1"},
		{"https://slack-gov.com/api", "", "https://api.slack-gov.com/audit/v1"},
		{"https://brightwater.slack.com/api", "", ""},
		{"https://slack.com.brightwater.example/api", "", ""},
		{"https://slack.com:8443/api", "", ""},
		{"://", "", ""},
		{"https://slack.com/api", "https://x.example/v1//", "https://x.example/v1"},
	} {
		t.Run(tt.endpoint, func(t *testing.T) {
			t.Parallel()
			cfg := audited(t)
			cfg.Endpoint, cfg.AuditEndpoint = tt.endpoint, tt.set
			assert.Equal(t, tt.want, cfg.auditEndpoint())
		})
	}
}

// A secret of the configuration is not in its text.
func TestTokenIsOpaque(t *testing.T) {
	t.Parallel()
	cfg := audited(t)
	rotated("brightwater-app-SECRET")(cfg)
	cfg.Token = "xoxp-brightwater"
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	text := fmt.Sprintf("%v %+v %#v %+v %v", cfg, *cfg, *cfg, *cfg.TokenRotation, conf.ToStringMap())
	for _, secret := range []string{"xoxp-brightwater", "xoxe-1-brightwater", "SECRET"} {
		assert.NotContains(t, text, secret)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"

	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/metadata"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
)

const (
	// slackAuditLimit is Slack's own limit of audit calls a minute, for all
	// apps of an organisation together.
	slackAuditLimit = 50
	// slackListLimit is Slack's limit a minute of access, and of integration
	// log calls, for each app and workspace.
	slackListLimit = 20
	// leastRefresh is the shortest time between two readings of users.list.
	leastRefresh = 5 * time.Minute

	whiteSpace = " \t\r\n"
)

// workspaceID is what the id of a workspace looks like.
var workspaceID = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,29}$`)

// accessToken is what a token that is no refresh token looks like.
var accessToken = regexp.MustCompile(`^(xoxe\.)?xox[bp]-`)

// Config is the receiver's configuration.
type Config struct {
	// ClientConfig holds endpoint (Slack's Web API) and how it is reached.
	confighttp.ClientConfig `mapstructure:",squash"`
	// Token is the user token (xoxp-…). Either this, auth or token_rotation is
	// set.
	Token configopaque.String `mapstructure:"token"`
	// TokenRotation is the app and the refresh token that bring tokens which
	// expire. It is a pointer, as fmt prints the secrets in an Optional.
	TokenRotation *tokenRotationConfig `mapstructure:"token_rotation"`
	// AuditEndpoint is the audit API; unset, it follows endpoint.
	AuditEndpoint string `mapstructure:"audit_endpoint"`
	// Storage names the storage extension that keeps the cursors.
	Storage *component.ID `mapstructure:"storage"`
	// K8sLeaderElector names the leader elector extension that says when this
	// collector polls; unset, it always does.
	K8sLeaderElector *component.ID `mapstructure:"k8s_leader_elector"`
	// AuditLogs switches the audit logs on.
	AuditLogs configoptional.Optional[auditLogsConfig] `mapstructure:"audit_logs"`
	// AccessLogs switches the access logs on.
	AccessLogs configoptional.Optional[accessLogsConfig] `mapstructure:"access_logs"`
	// IntegrationLogs switches the integration logs on.
	IntegrationLogs configoptional.Optional[integrationLogsConfig] `mapstructure:"integration_logs"`
	// HealthRecords switches the collector's own records on.
	HealthRecords configoptional.Optional[healthRecordsConfig] `mapstructure:"health_records"`
	// ActorRoles has records carry the roles of the actor.
	ActorRoles configoptional.Optional[actorRolesConfig] `mapstructure:"actor_roles"`
	// RetryOnFailure says how a batch that the pipeline refused is offered
	// again. A limit ends the attempt, never the entry.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// Body is what stands in the record's body: raw, map or none.
	Body record.Body `mapstructure:"body"`
	// Attributes is how much stands in the attributes: all, core or none.
	Attributes record.Attributes `mapstructure:"attributes"`
	// ResourceAttributes switches resource attributes on and off.
	ResourceAttributes metadata.ResourceAttributesConfig `mapstructure:"resource_attributes"`

	_ struct{}
}

// tokenRotationConfig is the section token_rotation.
type tokenRotationConfig struct {
	// ClientID and ClientSecret are the Slack app's; one that is a public client
	// (PKCE) has no secret.
	ClientID     string              `mapstructure:"client_id"`
	ClientSecret configopaque.String `mapstructure:"client_secret"`
	// RefreshToken (xoxe-…) is the first one; those that follow are saved.
	RefreshToken configopaque.String `mapstructure:"refresh_token"`

	// emptySecret is set where client_secret stands there without a value.
	emptySecret bool
}

// Unmarshal notes an empty secret: a variable that is not set must not make a
// public client of the app.
func (c *tokenRotationConfig) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	c.emptySecret = conf.IsSet("client_secret") && c.ClientSecret == ""
	return nil
}

// auditLogsConfig is the section audit_logs.
type auditLogsConfig struct {
	// PollInterval is from the start of one poll to the start of the next.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// InitialLookback sets the start of the logs at the very first start.
	InitialLookback time.Duration `mapstructure:"initial_lookback"`
	// StartTime (RFC 3339) wins over InitialLookback. YAML makes a time of it
	// by itself unless it is quoted.
	StartTime time.Time `mapstructure:"start_time"`
	// PageSize is the most entries asked for with one call, 1 to 9999.
	PageSize int `mapstructure:"page_size"`
	// RequestsPerMinute is this receiver's own budget of calls.
	RequestsPerMinute float64 `mapstructure:"requests_per_minute"`
	// Overlap is how far polls look behind the watermark.
	Overlap time.Duration `mapstructure:"overlap"`
	// SweepInterval is the time between two slow second readings; 0 = none.
	SweepInterval time.Duration `mapstructure:"sweep_interval"`
	// SweepWindow is what a sweep covers beyond the time since the last one.
	SweepWindow time.Duration `mapstructure:"sweep_window"`
	// StaleAfter is how long no new entry may come; 0 = for ever.
	StaleAfter time.Duration `mapstructure:"stale_after"`

	_ struct{}
}

// accessLogsConfig is the section access_logs.
type accessLogsConfig struct {
	// PollInterval is from the start of one poll to the start of the next.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// InitialLookback sets the start of the logs at the very first start.
	InitialLookback time.Duration `mapstructure:"initial_lookback"`
	// StartTime (RFC 3339) wins over InitialLookback.
	StartTime time.Time `mapstructure:"start_time"`
	// PageSize is the most rows asked for with one call, 1 to 999.
	PageSize int `mapstructure:"page_size"`
	// RequestsPerMinute is this receiver's own budget of calls.
	RequestsPerMinute float64 `mapstructure:"requests_per_minute"`
	// SweepInterval is the time between two readings of the whole list; 0 = none.
	SweepInterval time.Duration `mapstructure:"sweep_interval"`
	// SweepWindow is how long a row may be inactive before it is forgotten.
	SweepWindow time.Duration `mapstructure:"sweep_window"`
	// TeamIDs are the workspaces to read with a token of the organisation;
	// ["*"] = all, empty = the token's own.
	TeamIDs []string `mapstructure:"team_ids"`
	// StaleAfter is how long no new entry may come; 0 = for ever.
	StaleAfter time.Duration `mapstructure:"stale_after"`

	_ struct{}
}

// integrationLogsConfig is the section integration_logs.
type integrationLogsConfig struct {
	// PollInterval is from the start of one poll to the start of the next.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// InitialLookback sets the start of the logs at the very first start.
	InitialLookback time.Duration `mapstructure:"initial_lookback"`
	// StartTime (RFC 3339) wins over InitialLookback.
	StartTime time.Time `mapstructure:"start_time"`
	// PageSize is the most rows asked for with one call, 1 to 1000.
	PageSize int `mapstructure:"page_size"`
	// RequestsPerMinute is this receiver's own budget of calls.
	RequestsPerMinute float64 `mapstructure:"requests_per_minute"`
	// Overlap is how far polls look behind the watermark.
	Overlap time.Duration `mapstructure:"overlap"`
	// TeamIDs are the workspaces to read with a token of the organisation;
	// ["*"] = all, empty = the token's own.
	TeamIDs []string `mapstructure:"team_ids"`
	// StaleAfter is how long no new entry may come; 0 = for ever.
	StaleAfter time.Duration `mapstructure:"stale_after"`

	_ struct{}
}

// healthRecordsConfig is the section health_records.
type healthRecordsConfig struct {
	// HeartbeatInterval is the time between two heartbeats of a log type.
	HeartbeatInterval time.Duration `mapstructure:"heartbeat_interval"`

	_ struct{}
}

// actorRolesConfig is the section actor_roles.
type actorRolesConfig struct {
	// RefreshInterval is from the start of one reading of users.list to the
	// start of the next.
	RefreshInterval time.Duration `mapstructure:"refresh_interval"`

	_ struct{}
}

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Endpoint = slack.Endpoint
	client.Timeout = 30 * time.Second
	retry := configretry.NewDefaultBackOffConfig()
	retry.MaxElapsedTime = 0
	return &Config{
		ClientConfig: client,
		AuditLogs: configoptional.Default(auditLogsConfig{
			PollInterval:      time.Minute,
			InitialLookback:   24 * time.Hour,
			PageSize:          1000,
			RequestsPerMinute: 30,
			Overlap:           15 * time.Minute,
			SweepInterval:     6 * time.Hour,
			SweepWindow:       24 * time.Hour,
			StaleAfter:        24 * time.Hour,
		}),
		AccessLogs: configoptional.Default(accessLogsConfig{
			PollInterval:      time.Minute,
			InitialLookback:   24 * time.Hour,
			PageSize:          999,
			RequestsPerMinute: 15,
			SweepInterval:     time.Hour,
			SweepWindow:       168 * time.Hour,
			StaleAfter:        24 * time.Hour,
		}),
		IntegrationLogs: configoptional.Default(integrationLogsConfig{
			PollInterval:      time.Minute,
			InitialLookback:   24 * time.Hour,
			PageSize:          1000,
			RequestsPerMinute: 15,
			Overlap:           24 * time.Hour,
		}),
		HealthRecords:      configoptional.Default(healthRecordsConfig{HeartbeatInterval: 10 * time.Minute}),
		ActorRoles:         configoptional.Default(actorRolesConfig{RefreshInterval: time.Hour}),
		RetryOnFailure:     retry,
		Body:               record.BodyRaw,
		Attributes:         record.AttributesAll,
		ResourceAttributes: metadata.DefaultResourceAttributesConfig(),
	}
}

// Validate says in one sentence what is wrong, where, and what would be right.
func (c *Config) Validate() error {
	var errs []error
	switch {
	case c.TokenRotation != nil && c.Token != "":
		errs = append(errs, errors.New("token_rotation: set together with token; keep one of the two"))
	case c.TokenRotation != nil && c.Auth.HasValue():
		errs = append(errs, errors.New("token_rotation: set together with auth; keep one of the two"))
	case c.TokenRotation != nil:
		errs = append(errs, c.TokenRotation.validate())
		if c.Storage == nil {
			errs = append(errs, errors.New("token_rotation: needs storage, as each refresh token is good for one use and the next has to be kept; set storage to an extension such as file_storage"))
		}
	case c.Token == "" && !c.Auth.HasValue():
		errs = append(errs, errors.New("token: empty; set it to a Slack user token (xoxp-…), for example ${env:SLACK_TOKEN} with that variable set, or name an extension with auth::authenticator, or set token_rotation"))
	case c.Token != "" && c.Auth.HasValue():
		errs = append(errs, errors.New("token: set together with auth; keep one of the two"))
	case strings.ContainsAny(string(c.Token), whiteSpace):
		errs = append(errs, errors.New("token: contains white space; give the bare token (xoxp-…)"))
	}
	for _, name := range []string{"Authorization", "Host", "User-Agent"} {
		for header := range c.Headers.Iter {
			if strings.EqualFold(header, name) {
				errs = append(errs, fmt.Errorf("headers: %s is the receiver's own; take it out (the token belongs into token, auth or token_rotation)", name))
			}
		}
	}
	if err := checkEndpoint("endpoint", c.Endpoint, slack.Endpoint); err != nil {
		errs = append(errs, err)
	}
	if !c.AuditLogs.HasValue() && !c.AccessLogs.HasValue() && !c.IntegrationLogs.HasValue() {
		errs = append(errs, errors.New("no log type is on; add a section such as audit_logs: {}"))
	}
	if c.AuditLogs.HasValue() {
		errs = append(errs, c.AuditLogs.Get().validate())
		// Only the audit logs need this address.
		if audit := c.auditEndpoint(); audit == "" {
			errs = append(errs, fmt.Errorf("audit_endpoint: unset, and endpoint %q is neither slack.com nor slack-gov.com; set the address of the audit API", redacted(c.Endpoint)))
		} else if err := checkEndpoint("audit_endpoint", audit, slack.AuditEndpoint(slack.Endpoint)); err != nil {
			errs = append(errs, err)
		}
	}
	if c.AccessLogs.HasValue() {
		errs = append(errs, c.AccessLogs.Get().validate())
	}
	if c.IntegrationLogs.HasValue() {
		errs = append(errs, c.IntegrationLogs.Get().validate())
	}
	if c.HealthRecords.HasValue() && c.HealthRecords.Get().HeartbeatInterval <= 0 {
		errs = append(errs, errors.New("health_records::heartbeat_interval: must be above 0, such as 10m; to have no health records, take the section out"))
	}
	if c.ActorRoles.HasValue() && c.ActorRoles.Get().RefreshInterval < leastRefresh {
		errs = append(errs, fmt.Errorf("actor_roles::refresh_interval: %s is less than %s, more often than users.list can be read; use a time such as 1h", c.ActorRoles.Get().RefreshInterval, leastRefresh))
	}
	if c.Compression.IsCompressed() {
		errs = append(errs, errors.New("compression: the calls have no body to compress; take it out (answers are compressed by themselves)"))
	}
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("timeout: must be above 0, such as 30s; without it a call could hang for ever"))
	}
	switch c.Body {
	case record.BodyRaw, record.BodyMap, record.BodyNone:
	default:
		errs = append(errs, fmt.Errorf("body: %q is none of raw, map, none", c.Body))
	}
	switch c.Attributes {
	case record.AttributesAll, record.AttributesCore:
	case record.AttributesNone:
		if c.Body == record.BodyNone {
			errs = append(errs, errors.New("attributes: none together with body: none would leave empty records; choose another value for one of them"))
		}
	default:
		errs = append(errs, fmt.Errorf("attributes: %q is none of all, core, none", c.Attributes))
	}
	return errors.Join(errs...)
}

// rolesTeams are the workspaces whose members matter: those of the lists, or
// none = all. Audit logs are of all.
func (c *Config) rolesTeams() (teams []string) {
	if c.AuditLogs.HasValue() {
		return nil
	}
	var wanted [][]string
	if c.AccessLogs.HasValue() {
		wanted = append(wanted, c.AccessLogs.Get().TeamIDs)
	}
	if c.IntegrationLogs.HasValue() {
		wanted = append(wanted, c.IntegrationLogs.Get().TeamIDs)
	}
	for _, ids := range wanted {
		if len(ids) == 0 || ids[0] == poll.EveryTeam {
			return nil
		}
		teams = append(teams, ids...)
	}
	slices.Sort(teams)
	return slices.Compact(teams)
}

// auditEndpoint is the audit API's base address, empty when it has to be set.
func (c *Config) auditEndpoint() string {
	if c.AuditEndpoint != "" {
		return strings.TrimRight(c.AuditEndpoint, "/")
	}
	return slack.AuditEndpoint(c.Endpoint)
}

// checkEndpoint wants https, as the token travels with each call; http only to
// this machine.
func checkEndpoint(key, address, example string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%s: %q is not a base address such as %s", key, redacted(address), example)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: comes with a user, a query or a fragment; give the bare address, such as %s", key, example)
	case u.Scheme == "https", u.Scheme == "http" && slack.IsLoopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%s: %q must begin with https://; http:// is for loopback only, because the token goes with each call", key, redacted(address))
	}
}

// redacted leaves out of an address what may be secret.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "…"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (c *tokenRotationConfig) validate() error {
	s := section{name: "token_rotation"}
	if c.ClientID == "" || strings.ContainsAny(c.ClientID, whiteSpace) {
		s.add("client_id", "empty, or contains white space; set it to the Client ID under Basic Information of the Slack app")
	}
	switch {
	case c.emptySecret:
		s.add("client_secret", "empty; set the variable that it comes from, or take the key out for a public client (PKCE)")
	case strings.ContainsAny(string(c.ClientSecret), whiteSpace):
		s.add("client_secret", "contains white space; give the bare secret, or leave it out for a public client (PKCE)")
	}
	refresh := string(c.RefreshToken)
	switch {
	case refresh == "":
		s.add("refresh_token", "empty; set it to the refresh token (xoxe-…) that slacklogs authorize brings, for example ${env:SLACK_REFRESH_TOKEN} with that variable set")
	case strings.ContainsAny(refresh, whiteSpace):
		s.add("refresh_token", "contains white space; give the bare refresh token (xoxe-…)")
	case accessToken.MatchString(refresh):
		s.add("refresh_token", "is an access token (xoxe.xoxp-…, xoxp-… or xoxb-…); give the refresh token (xoxe-…) that came with it")
	}
	return errors.Join(s.errs...)
}

func (c *auditLogsConfig) validate() error {
	s := section{name: "audit_logs"}
	s.checkPolls(c.PollInterval, c.PageSize, 9999)
	s.checkRate(c.RequestsPerMinute, fmt.Sprintf("%d for all apps of an organisation", slackAuditLimit))
	s.checkNotNegative("initial_lookback", c.InitialLookback)
	s.checkNotNegative("overlap", c.Overlap)
	s.checkNotNegative("sweep_interval", c.SweepInterval)
	s.checkNotNegative("sweep_window", c.SweepWindow)
	s.checkNotNegative("stale_after", c.StaleAfter)
	return errors.Join(s.errs...)
}

func (c *accessLogsConfig) validate() error {
	s := section{name: "access_logs"}
	s.checkPolls(c.PollInterval, c.PageSize, 999)
	s.checkRate(c.RequestsPerMinute, fmt.Sprintf("%d for each app and workspace", slackListLimit))
	s.checkNotNegative("initial_lookback", c.InitialLookback)
	s.checkNotNegative("sweep_interval", c.SweepInterval)
	// A row that is forgotten before it is read is lost.
	if least := max(c.PollInterval, c.SweepInterval); c.SweepWindow < least || c.SweepWindow <= 0 {
		s.add("sweep_window", "%s is too short; rows inactive for longer are forgotten, so it must be above 0 and no less than poll_interval and sweep_interval, such as 168h", c.SweepWindow)
	}
	s.checkTeams(c.TeamIDs)
	s.checkNotNegative("stale_after", c.StaleAfter)
	return errors.Join(s.errs...)
}

func (c *integrationLogsConfig) validate() error {
	s := section{name: "integration_logs"}
	s.checkPolls(c.PollInterval, c.PageSize, 1000)
	s.checkRate(c.RequestsPerMinute, fmt.Sprintf("%d for each app and workspace", slackListLimit))
	s.checkNotNegative("initial_lookback", c.InitialLookback)
	s.checkNotNegative("overlap", c.Overlap)
	s.checkTeams(c.TeamIDs)
	s.checkNotNegative("stale_after", c.StaleAfter)
	return errors.Join(s.errs...)
}

// section collects what is wrong in one.
type section struct {
	name string
	errs []error
}

func (s *section) add(key, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("%s::%s: %s", s.name, key, fmt.Sprintf(format, args...)))
}

func (s *section) checkPolls(interval time.Duration, pageSize, largest int) {
	if interval <= 0 {
		s.add("poll_interval", "must be above 0, such as 1m")
	}
	if pageSize < 1 || pageSize > largest {
		s.add("page_size", "%d is outside 1 to %d, the largest page that Slack gives", pageSize, largest)
	}
}

func (s *section) checkRate(perMinute float64, allowed string) {
	// NaN compares false with everything.
	if !(perMinute > 0) {
		s.add("requests_per_minute", "must be above 0; Slack allows %s", allowed)
	}
}

func (s *section) checkNotNegative(key string, d time.Duration) {
	if d < 0 {
		s.add(key, "%s is negative; use 0 or a time such as 24h", d)
	}
}

func (s *section) checkTeams(ids []string) {
	for i, id := range ids {
		switch {
		case id == poll.EveryTeam && len(ids) > 1:
			s.add("team_ids", `"*" stands for all workspaces; keep it alone, or take it out and name them`)
			return
		case id == poll.EveryTeam:
		case !workspaceID.MatchString(id):
			s.add("team_ids", "%q is not the id of a workspace, such as T0123ABCD", id)
		case slices.Contains(ids[:i], id):
			s.add("team_ids", "%s is there twice; take one out", id)
		}
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"
)

// collectorConfig is of a collector's whole configuration what concerns the
// receivers.
type collectorConfig struct {
	receivers, extensions *confmap.Conf
	exporters, connectors *confmap.Conf
	service               struct {
		Extensions []string `mapstructure:"extensions"`
		Pipelines  map[string]struct {
			Receivers []string `mapstructure:"receivers"`
			Exporters []string `mapstructure:"exporters"`
		} `mapstructure:"pipelines"`
	}
}

// collector checks each receiver of a collector's configuration.
func (c *checker) collector(ctx context.Context, uris []string) {
	conf := c.resolve(ctx, uris)
	if conf == nil {
		return
	}
	names := c.receiverNames(conf)
	if len(names) == 0 {
		c.add(finding{Check: "configuration", Result: failed, Detail: "there is no receiver slacklogs", Advice: "Add one under receivers, and to a logs pipeline."})
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		s := c.receiver(name, conf)
		if s == nil {
			continue
		}
		c.pipelines(s, conf)
		c.storage(s, conf)
		c.token(s)
		c.slack(ctx, s)
	}
}

// resolve reads the configuration as otelcol does; nil if it can't be read.
func (c *checker) resolve(ctx context.Context, uris []string) *collectorConfig {
	unreadable := func(detail, advice string) {
		c.add(finding{Check: "configuration", Result: failed, Detail: detail, Advice: advice})
	}
	core, logs := observer.New(zapcore.InfoLevel)
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              uris,
		ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory()},
		ProviderSettings:  confmap.ProviderSettings{Logger: zap.New(core)},
		DefaultScheme:     "env",
	})
	if err != nil {
		// The error repeats what was given.
		unreadable("a --config is of no known form", "Give a file, or what begins with file:, env: or yaml:.")
		return nil
	}
	defer func() { _ = resolver.Shutdown(context.WithoutCancel(ctx)) }()
	conf, err := resolver.Resolve(ctx)
	c.environment(logs)
	if err != nil {
		unreadable(err.Error(), "Mend the YAML, or what --config names.")
		return nil
	}
	c.hideSecrets(conf.ToStringMap(), false)

	found := &collectorConfig{}
	for _, part := range []struct {
		name string
		to   **confmap.Conf
	}{
		{"receivers", &found.receivers},
		{"extensions", &found.extensions},
		{"exporters", &found.exporters},
		{"connectors", &found.connectors},
	} {
		if *part.to, err = conf.Sub(part.name); err != nil {
			unreadable(part.name+" is not a map of components", "Mend the YAML.")
			return nil
		}
	}
	service, err := conf.Sub("service")
	if err == nil {
		err = service.Unmarshal(&found.service, confmap.WithIgnoreUnused())
	}
	if err != nil {
		unreadable("service: "+err.Error(), "Mend the section service.")
		return nil
	}
	return found
}

// environment names the variables that the configuration refers to in vain.
func (c *checker) environment(logs *observer.ObservedLogs) {
	unset := map[string]bool{}
	for _, entry := range logs.All() {
		if name, ok := entry.ContextMap()["name"].(string); ok && name != "" {
			unset[name] = unset[name] || entry.Level > zapcore.InfoLevel
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unset)) {
		if unset[name] {
			c.add(finding{
				Check: "environment", Result: failed, Detail: name + " is not set",
				Advice: fmt.Sprintf("Set it where the collector runs, and here; or, if it is no secret, give it a default: ${env:%s:-value}.", name),
			})
			continue
		}
		c.add(finding{Check: "environment", Result: warned, Detail: name + " is set, but empty", Advice: "Give it a value."})
	}
	if len(unset) == 0 {
		c.add(finding{Check: "environment", Result: passed, Detail: "no variable is missing"})
	}
}

// secretKey is how settings are called whose values nobody may see.
var secretKey = regexp.MustCompile(`(?i)token|secret|password|credential|authorization|cookie|headers|api_?key|key_pem`)

// hideSecrets hides all below such a setting. Names of files are none.
func (c *checker) hideSecrets(value any, secret bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			isFile := strings.HasSuffix(key, "file") || strings.HasSuffix(key, "filename")
			// An address may hold a password.
			text, _ := below.(string)
			address := strings.Contains(text, "://") && strings.Contains(text, "@")
			c.hideSecrets(below, (secret || secretKey.MatchString(key) || address) && !isFile)
		}
	case []any:
		for _, below := range v {
			c.hideSecrets(below, secret)
		}
	default:
		if secret && v != nil {
			c.hide(fmt.Sprint(v))
		}
	}
}

// receiverNames are the receivers of our type, sorted.
func (c *checker) receiverNames(conf *collectorConfig) []string {
	ours := slacklogsreceiver.NewFactory().Type()
	var names []string
	for name := range conf.receivers.ToStringMap() {
		var id component.ID
		if id.UnmarshalText([]byte(name)) == nil && id.Type() == ours {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// receiver reads the settings of one receiver; nil if they are not valid. Those
// are not tried: the token might go where it must not.
func (c *checker) receiver(name string, conf *collectorConfig) *subject {
	s := &subject{name: name, cfg: slacklogsreceiver.NewFactory().CreateDefaultConfig().(*slacklogsreceiver.Config)}
	settings, err := conf.receivers.Sub(name)
	if err != nil {
		err = errors.New("it is not a map of settings") // the error repeats the value
	} else {
		err = settings.Unmarshal(s.cfg)
	}
	if err == nil {
		err = confmap.Validate(s.cfg)
	}
	if err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			// mapstructure writes a headline and a blank line before what it has to say.
			if problem = strings.TrimSpace(problem); problem == "" || strings.HasPrefix(problem, "decoding failed due to") {
				continue
			}
			c.add(finding{Receiver: name, Check: "configuration", Result: failed, Detail: problem, Advice: "Mend the receiver's configuration; Slack is asked once it is valid."})
		}
		return nil
	}
	c.add(finding{Receiver: name, Check: "configuration", Result: passed, Detail: "valid"})
	s.sections = sectionsOf(s.cfg)
	switch {
	case s.cfg.TokenRotation != nil:
		c.refreshToken(s)
		s.noToken = "token_rotation: a refresh token can be used once, and is the collector's; slacklogs status says how the collector does with it"
	case s.cfg.Auth.HasValue():
		s.token, s.noToken = c.authenticator(s, conf)
	default:
		s.token = string(s.cfg.Token)
	}
	c.hide(s.token)
	return s
}

// refreshToken fails where another receiver has the same: the first that
// refreshes takes it from the other.
func (c *checker) refreshToken(s *subject) {
	token := string(s.cfg.TokenRotation.RefreshToken)
	if other, ok := c.refreshTokens[token]; ok {
		c.add(finding{
			Receiver: s.name, Check: "token_rotation", Result: failed, Detail: "it has the same refresh_token as " + other,
			Advice: "Give each an app, or an installation by another account, and a refresh token of its own: slacklogs authorize.",
		})
	}
	c.refreshTokens[token] = s.name
}

// authenticator takes the token that an extension would add, or says why it
// can't. The extension itself is not started: check asks with the token alone.
func (c *checker) authenticator(s *subject, conf *collectorConfig) (token, noToken string) {
	id := s.cfg.Auth.Get().AuthenticatorID
	s.cfg.Auth = configoptional.None[configauth.Config]()
	settings, ok := c.extension(s, "auth", id.String(), conf)
	if !ok {
		return "", "there is none to ask with"
	}
	if id.Type().String() != "bearertokenauth" {
		return "", fmt.Sprintf("the token comes from %s, with which check can't ask", id)
	}
	fail := func(detail, advice string) (string, string) {
		c.add(finding{Receiver: s.name, Check: "auth", Result: failed, Detail: detail, Advice: advice})
		return "", "there is none to ask with"
	}
	bearer := struct {
		Header   string   `mapstructure:"header"`
		Scheme   string   `mapstructure:"scheme"`
		Token    string   `mapstructure:"token"`
		Tokens   []string `mapstructure:"tokens"`
		Filename string   `mapstructure:"filename"`
	}{Header: "Authorization", Scheme: "Bearer"}
	if err := settings.Unmarshal(&bearer); err != nil {
		return fail(err.Error(), "Mend the configuration of "+id.String()+".")
	}
	switch {
	case !strings.EqualFold(bearer.Header, "Authorization") || bearer.Scheme != "Bearer":
		return fail(id.String()+" sends the token in another header or with another scheme than Slack takes", "Take header and scheme out, or set them to Authorization and Bearer.")
	case bearer.Filename != "":
		token, err := readTokenFile(bearer.Filename)
		if err != nil {
			return fail(err.Error(), "Put the token into the file, and let the collector's user read it; run check as that user.")
		}
		line := finding{Receiver: s.name, Check: "auth", Result: passed, Detail: "the token is in " + bearer.Filename}
		if open := openTo(bearer.Filename); open != "" {
			line.Result, line.Detail, line.Advice = warned, open, adviceTokenFile
		}
		c.add(line)
		return token, ""
	case bearer.Token != "":
		return bearer.Token, ""
	case len(bearer.Tokens) > 0:
		return bearer.Tokens[0], ""
	default:
		return fail(id.String()+" has no token", "Set filename or token.")
	}
}

// extension finds an extension that a receiver names, and whether the service
// starts it.
func (c *checker) extension(s *subject, what, id string, conf *collectorConfig) (*confmap.Conf, bool) {
	line := finding{Receiver: s.name, Check: what, Result: failed}
	key, ok := named(conf.extensions, id)
	if !ok {
		line.Detail, line.Advice = id+" is not under extensions", "Add it there and to service::extensions, or name another one."
		c.add(line)
		return nil, false
	}
	if !slices.ContainsFunc(conf.service.Extensions, func(name string) bool { return strings.TrimSpace(name) == id }) {
		line.Detail, line.Advice = id+" is not in service::extensions, so it does not start", "Add it to service::extensions."
		c.add(line)
		return nil, false
	}
	settings, err := conf.extensions.Sub(key)
	if err != nil {
		line.Detail, line.Advice = id+" is not a map of settings", "Mend its configuration."
		c.add(line)
		return nil, false
	}
	return settings, true
}

// named finds a component as the configuration writes it.
func named(components *confmap.Conf, id string) (key string, ok bool) {
	for key := range components.ToStringMap() {
		if strings.TrimSpace(key) == id {
			return key, true
		}
	}
	return "", false
}

// pipelines says where a receiver's records go.
func (c *checker) pipelines(s *subject, conf *collectorConfig) {
	line := finding{Receiver: s.name, Check: "pipeline", Result: failed}
	fail := func(detail, advice string) {
		line.Detail, line.Advice = detail, advice
		c.add(line)
	}
	var to []string
	used, whole := false, true
	for _, name := range slices.Sorted(maps.Keys(conf.service.Pipelines)) {
		pipeline := conf.service.Pipelines[name]
		if kind, _, _ := strings.Cut(name, "/"); kind != "logs" || !slices.Contains(pipeline.Receivers, s.name) {
			continue
		}
		used = true
		if len(pipeline.Exporters) == 0 {
			whole = false
			fail(name+" has no exporter", "Add one to it.")
		}
		for _, exporter := range pipeline.Exporters {
			_, exports := named(conf.exporters, exporter)
			_, connects := named(conf.connectors, exporter)
			if !exports && !connects {
				whole = false
				fail(name+" names "+exporter+", which is not under exporters", "Add it there, or take it out of the pipeline.")
			}
		}
		to = append(to, name+" to "+strings.Join(pipeline.Exporters, ", "))
	}
	switch {
	case !used:
		fail("no logs pipeline uses it, so it does not run", "Add it to the receivers of a pipeline under service::pipelines, such as logs.")
	case whole:
		line.Result, line.Detail = passed, strings.Join(to, "; ")
		c.add(line)
	}
}

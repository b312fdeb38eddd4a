// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package check is the verb check: it asks Slack each thing that a configuration or a token needs.
package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"
)

// The forms of what check prints.
const (
	outputTable    = "table"
	outputJSON     = "json"
	outputSections = "sections"
)

type checkFlags struct {
	configs                 []string
	tokenFile               string
	endpoint, auditEndpoint string
	gov, strict             bool
	logs, teamIDs           []string
	output                  string
}

const about = `Usage: slacklogs check --config FILE [flags]
       slacklogs check [--token-file FILE] [flags]

Asks Slack what the collector with this configuration needs, or what a token can read, and says what mends what fails.
The first form reads the collector's own configuration, with the environment variables that it names; the second takes
the token from the file, or from SLACK_TOKEN. The exit code is 0 when nothing failed, 1 when something did.
`

func parseCheck(args []string, stdout, stderr io.Writer) (checkFlags, error) {
	var f checkFlags
	set := verb.NewFlags("check", about, stdout, stderr)
	list := func(to *[]string) func(string) error {
		return func(text string) error {
			for part := range strings.SplitSeq(text, ",") {
				if part = strings.TrimSpace(part); part != "" {
					*to = append(*to, part)
				}
			}
			return nil
		}
	}
	set.Func("config", "the collector's configuration, a `file` or what else otelcol takes (env:…, yaml:…); may be repeated", func(uri string) error {
		f.configs = append(f.configs, uri)
		return nil
	})
	set.StringVar(&f.tokenFile, "token-file", "", "check the token in this `file`, in place of SLACK_TOKEN's")
	set.StringVar(&f.endpoint, "endpoint", slack.Endpoint, "base `address` of the Web API")
	set.StringVar(&f.auditEndpoint, "audit-endpoint", "", "base `address` of the audit API (default: the one that belongs to the Web API)")
	set.BoolVar(&f.gov, "gov", false, "ask GovSlack")
	set.Func("logs", "`log types` that the token has to read: audit,access,integration\n(default: says which it can read)", list(&f.logs))
	set.Func("team-ids", "`ids` of the workspaces to read (default: with a token of the organisation, all)", list(&f.teamIDs))
	set.StringVar(&f.output, "output", outputTable, "`form` of what is printed: table, json, or sections = the receiver's sections that the token can read")
	set.BoolVar(&f.strict, "strict", false, "warnings fail too")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	named := map[string]bool{}
	set.Visit(func(fl *flag.Flag) { named[fl.Name] = true })
	if problem := f.problem(set.NArg(), named); problem != "" {
		return f, set.Wrong(problem)
	}
	if f.gov {
		f.endpoint = slack.EndpointGov
	}
	return f, nil
}

// problem says in a sentence what is wrong with the flags, if anything is. It
// repeats no argument: that may be a token.
func (f checkFlags) problem(rest int, named map[string]bool) string {
	if rest > 0 {
		return "it takes no arguments; the token comes from SLACK_TOKEN or --token-file"
	}
	if len(f.configs) > 0 {
		for _, name := range []string{"token-file", "endpoint", "audit-endpoint", "gov", "logs", "team-ids"} {
			if named[name] {
				return "--" + name + " does not go together with --config, which says all of that"
			}
		}
	}
	switch {
	case f.gov && named["endpoint"]:
		return "--gov and --endpoint are two answers to one question"
	case !slices.Contains([]string{outputTable, outputJSON, outputSections}, f.output):
		return "--output must be table, json or sections"
	case f.output == outputSections && len(f.configs) > 0:
		return "--output sections is for a token, not for --config"
	}
	for _, log := range f.logs {
		if !slices.ContainsFunc(verb.LogTypes, func(l verb.LogType) bool { return l.Name == log }) {
			return "--logs must be of audit, access and integration, with commas between"
		}
	}
	return ""
}

// checker checks one subject after the other.
type checker struct {
	*findings
	clock clock.Clock
	// oneEach lets a section go once one workspace could be read.
	oneEach bool
	// asked counts the calls of each token and method.
	asked map[callsOf]int
	// refreshTokens are those of the receivers so far.
	refreshTokens map[string]string
}

// subject is a receiver that is checked, or the flags that stand for one.
type subject struct {
	name string // the receiver's id; empty = flags
	cfg  *slacklogsreceiver.Config
	// token is what to ask with. Without one, noToken says why.
	token, noToken string
	sections       []*section
}

// section is a log type that is on.
type section struct {
	name, title string
	scope       string
	method      string
	teams       []string
	// optional is what nobody asked for by name: it need not be readable.
	optional bool
	// readable and err are what came of asking.
	readable bool
	err      error
}

// sectionsOf are the log types that a configuration switches on.
func sectionsOf(cfg *slacklogsreceiver.Config) []*section {
	var all []*section
	add := func(l verb.LogType, method string, teams []string) {
		all = append(all, &section{name: l.Section, title: l.Name + " logs", scope: l.Scope, method: method, teams: teams})
	}
	if cfg.AuditLogs.HasValue() {
		add(verb.Audit, "audit.logs", nil)
	}
	if cfg.AccessLogs.HasValue() {
		add(verb.Access, "team.accessLogs", cfg.AccessLogs.Get().TeamIDs)
	}
	if cfg.IntegrationLogs.HasValue() {
		add(verb.Integration, "team.integrationLogs", cfg.IntegrationLogs.Get().TeamIDs)
	}
	return all
}

// Run asks Slack what the collector is going to ask, and prints what came of
// it and what mends it.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseCheck(args, stdout, stderr)
	if err != nil {
		return err
	}
	c := &checker{findings: newFindings(stdout, f.output), clock: clock.Real{}, oneEach: f.output == outputSections, asked: map[callsOf]int{}, refreshTokens: map[string]string{}}
	var s *subject
	if len(f.configs) > 0 {
		c.collector(ctx, f.configs)
	} else {
		if s, err = f.subject(c.findings); err != nil {
			fmt.Fprintf(stderr, "slacklogs check: %v\n", err)
			return verb.ErrUsage
		}
		c.token(s)
		c.slack(ctx, s)
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("stopped")
	case f.output == outputSections:
		return printSections(stdout, stderr, s.sections)
	case s != nil && len(f.logs) == 0:
		c.conclude(s)
	}
	return c.finish(f.strict)
}

// subject makes of the flags what a configuration says of a receiver.
func (f checkFlags) subject(r *findings) (*subject, error) {
	s := &subject{cfg: slacklogsreceiver.NewFactory().CreateDefaultConfig().(*slacklogsreceiver.Config)}
	if f.tokenFile != "" {
		token, err := readTokenFile(f.tokenFile)
		if err != nil {
			return nil, err
		}
		s.token = token
		if open := openTo(f.tokenFile); open != "" {
			r.add(finding{Check: "token file", Result: warned, Detail: open, Advice: adviceTokenFile})
		}
	} else if s.token = strings.TrimSpace(os.Getenv("SLACK_TOKEN")); s.token == "" {
		return nil, errors.New("set SLACK_TOKEN to the token, or name its file with --token-file, or the collector's configuration with --config")
	}
	r.hide(s.token)

	logs := f.logs
	if len(logs) == 0 {
		for _, l := range verb.LogTypes {
			logs = append(logs, l.Name)
		}
	}
	settings := map[string]any{"token": s.token, "endpoint": strings.TrimRight(f.endpoint, "/")}
	if f.auditEndpoint != "" {
		settings["audit_endpoint"] = f.auditEndpoint
	}
	for _, log := range logs {
		section := map[string]any{}
		if len(f.teamIDs) > 0 && log != "audit" {
			section["team_ids"] = f.teamIDs
		}
		settings[log+"_logs"] = section
	}
	err := confmap.NewFromStringMap(settings).Unmarshal(s.cfg)
	if err == nil {
		err = confmap.Validate(s.cfg)
	}
	if err != nil {
		return nil, errors.New(r.masked(err.Error()))
	}
	s.sections = sectionsOf(s.cfg)
	for _, section := range s.sections {
		section.optional = len(f.logs) == 0
	}
	return s, nil
}

// conclude says what a token can read of which nobody has said what it has to.
func (c *checker) conclude(s *subject) {
	var readable []string
	for _, section := range s.sections {
		if section.readable {
			readable = append(readable, section.name)
		}
	}
	if len(readable) == 0 {
		c.add(finding{Check: "log types", Result: failed, Detail: "the token can't be seen to read any", Advice: "What mends it stands above."})
		return
	}
	c.add(finding{Check: "log types", Result: passed, Detail: "the token reads " + strings.Join(readable, ", ")})
}

// on also when Slack could not be asked: the receiver goes on asking.
func (s *section) on() bool {
	e, ok := errors.AsType[*slack.Error](s.err)
	switch {
	case s.readable:
		return true
	case !ok:
		return false
	default:
		return e.Class != slack.NeedsConfig && e.Class != slack.Fault && !e.Class.NeedsInstall()
	}
}

// printSections prints what is on as sections of the receiver's configuration,
// and a line for each log type to stderr.
func printSections(stdout, stderr io.Writer, sections []*section) error {
	on := false
	for _, s := range sections {
		switch {
		case s.readable:
			fmt.Fprintf(stderr, "%s: on\n", s.title)
		case s.on():
			fmt.Fprintf(stderr, "%s: on, but not proven: %v\n", s.title, s.err)
		default:
			fmt.Fprintf(stderr, "%s: off, %v\n", s.title, s.err)
			continue
		}
		on = true
		settings := "{}"
		if len(s.teams) > 0 {
			settings = fmt.Sprintf(`{team_ids: ["%s"]}`, strings.Join(s.teams, `", "`))
		}
		if _, err := fmt.Fprintf(stdout, "%s: %s\n", s.name, settings); err != nil {
			return err
		}
	}
	if !on {
		return errors.New("there is nothing that this token can read")
	}
	return nil
}

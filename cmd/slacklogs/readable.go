// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

const (
	readableTimeout = 15 * time.Second
	// workspacesTried is how many of an organisation's workspaces are asked before its log type counts as off: some
	// may be closed to the app.
	workspacesTried = 3
)

// readable tries each log type with one call. What is on goes to stdout, as sections of the receiver's configuration,
// and a line for each log type to stderr.
func readable(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var endpoint, auditEndpoint string
	set := flag.NewFlagSet("slacklogs readable", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&endpoint, "endpoint", "https://slack.com/api", "base `address` of the Web API")
	set.StringVar(&auditEndpoint, "audit-endpoint", "https://api.slack.com/audit/v1", "base `address` of the audit API")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return verb.ErrUsage
	}
	if set.NArg() > 0 {
		fmt.Fprintln(stderr, "slacklogs readable: it takes no arguments; the token comes from SLACK_TOKEN") // it may stand there
		return verb.ErrUsage
	}
	token := strings.TrimSpace(os.Getenv("SLACK_TOKEN"))
	if token == "" {
		return errors.New("set SLACK_TOKEN to the token")
	}
	c := slack.NewClient(slack.Settings{
		HTTP:     &http.Client{Timeout: readableTimeout},
		Token:    token,
		Endpoint: strings.TrimRight(endpoint, "/"), AuditEndpoint: strings.TrimRight(auditEndpoint, "/"),
		UserAgent: "slacklogs/" + verb.Version, Clock: clock.Real{},
	})
	found, err := tryAll(ctx, c)
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintf(stderr, "%s: %s\n", f.name, f.verdict())
		if f.on() {
			fmt.Fprintf(stdout, "%s: %s\n", f.section, f.settings)
		}
	}
	return nil
}

// finding is what came of trying a log type.
type finding struct {
	name, section, settings string
	err                     error
}

// on also when Slack could not be asked: the receiver goes on asking.
func (f finding) on() bool {
	e, ok := errors.AsType[*slack.Error](f.err)
	switch {
	case f.err == nil:
		return true
	case !ok:
		return false
	default:
		return e.Class != slack.NeedsConfig && e.Class != slack.Fault && !e.Class.NeedsInstall()
	}
}

func (f finding) verdict() string {
	switch {
	case f.err == nil:
		return "on"
	case f.on():
		return "on, but not proven: " + f.err.Error()
	default:
		return "off, " + f.err.Error()
	}
}

// tryAll fails only when ctx ends.
func tryAll(ctx context.Context, c *slack.Client) ([]finding, error) {
	audit := finding{name: "audit logs", section: "audit_logs", settings: "{}"}
	access := finding{name: "access logs", section: "access_logs", settings: "{}"}
	integration := finding{name: "integration logs", section: "integration_logs", settings: "{}"}

	id, err := c.AuthTest(ctx)
	if err != nil {
		audit.err, access.err, integration.err = err, err, err
	} else {
		now, _ := c.Now()
		audit.err = read(ctx, func() (*slack.Page, error) {
			return c.AuditLogs(ctx, slack.AuditQuery{Oldest: now.Unix() - 60, Latest: now.Unix(), Limit: 1})
		})
		teams, err := []string{""}, error(nil)
		if id.TeamID == "" {
			access.settings, integration.settings = `{team_ids: ["*"]}`, `{team_ids: ["*"]}`
			teams, err = workspaces(ctx, c)
		}
		access.err, integration.err = err, err
		if err == nil {
			access.err = readOne(ctx, teams, func(team string) (*slack.Page, error) {
				return c.AccessLogs(ctx, slack.ListQuery{TeamID: team, Limit: 1})
			})
			integration.err = readOne(ctx, teams, func(team string) (*slack.Page, error) {
				return c.IntegrationLogs(ctx, slack.ListQuery{TeamID: team, Limit: 1, Page: 1})
			})
		}
	}
	return []finding{audit, access, integration}, ctx.Err()
}

// workspaces are the first of those that an organisation's token can read.
func workspaces(ctx context.Context, c *slack.Client) ([]string, error) {
	var ids []string
	cursor := ""
	for range workspacesTried { // empty pages may come first
		teams, next, err := c.Teams(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for _, team := range teams {
			ids = append(ids, team.ID)
		}
		if len(ids) > 0 || next == "" {
			break
		}
		cursor = next
	}
	if len(ids) == 0 {
		return nil, errors.New("the app is on no workspace: let an Org Owner add it to the workspaces that are to be read")
	}
	return ids[:min(len(ids), workspacesTried)], nil
}

// readOne succeeds once one workspace's logs can be read, and tells why the first one's can't.
func readOne(ctx context.Context, teams []string, ask func(team string) (*slack.Page, error)) error {
	var first error
	for _, team := range teams {
		err := read(ctx, func() (*slack.Page, error) { return ask(team) })
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func read(ctx context.Context, ask func() (*slack.Page, error)) error {
	page, err := ask()
	if err != nil {
		return err
	}
	_, err = page.Each(ctx, func([]byte) error { return nil })
	return err
}

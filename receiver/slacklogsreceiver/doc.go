// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package slacklogsreceiver receives Slack's logs as log records.
package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

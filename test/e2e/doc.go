// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the examples for backends as they stand: a fake Slack, the receiver, the real exporter, and a real
// peer where one can be had. What arrives is compared with testdata.
// It is a module of its own, so that nobody else has to build these exporters. Of kafkaexporter and awss3exporter it has
// older versions than builder-config.yaml names, as not every module proxy has those.
package e2e // import "github.com/slacklogs/otelcol-slacklogs/test/e2e"

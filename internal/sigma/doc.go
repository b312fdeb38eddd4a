// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package sigma reads Sigma 2.1 documents (rules, correlations and filters) into trees of field tests. It knows nothing of
// Slack. It covers a named part of Sigma and refuses the rest, so that no rule means less here than its author wrote.
package sigma // import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

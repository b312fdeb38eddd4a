// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package leader tests the receiver with the real extension k8s_leader_elector.
// It is a module of its own, so that nobody else has to build Kubernetes.
package leader // import "github.com/slacklogs/otelcol-slacklogs/test/leader"

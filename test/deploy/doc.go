// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package deploy tests what deploy/ holds for Kubernetes and Docker with their own code: kustomize, the API's types,
// the Pod Security Standards and BuildKit. It is a module of its own, so that nobody else has to build them.
package deploy // import "github.com/slacklogs/otelcol-slacklogs/test/deploy"

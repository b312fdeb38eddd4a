// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import "os"

// keepOwner is for systems whose files have an owner and a mode.
func keepOwner(*os.File, string) {}

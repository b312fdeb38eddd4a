// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package bench

import "time"

// cpu can't be told here; TestGoals wants a Unix.
func cpu() time.Duration { panic("the goals are measured on Unix") }

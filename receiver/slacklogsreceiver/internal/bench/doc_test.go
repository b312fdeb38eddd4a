// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the goals for CPU, memory and calls, in one run and in
// turns, so that a machine that is busy with other things disturbs all sides
// of a ratio alike. `make bench` runs it; otherwise only the tests run which
// say that the sides of a ratio do the same.
package bench

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package clock is the only way in which the receiver reads or waits for time,
// so that tests and simulations can run on a virtual one.
package clock // import "github.com/slacklogs/otelcol-slacklogs/internal/clock"

import (
	"context"
	"time"
)

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d. It returns the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// Real is the machine's own clock.
type Real struct{}

// Now returns the machine's time.
func (Real) Now() time.Time { return time.Now() }

// Sleep waits for d of real time.
func (Real) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

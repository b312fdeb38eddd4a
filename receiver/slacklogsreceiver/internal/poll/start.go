// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"
)

// startSetting is what the start was made of, to notice a later change.
func startSetting(lookback time.Duration, startTime time.Time) string {
	if startTime.IsZero() {
		return "initial_lookback " + lookback.String()
	}
	return "start_time " + startTime.UTC().Format(time.RFC3339)
}

// firstSecond is the start of a log type at its first start.
func firstSecond(logger *zap.Logger, now time.Time, lookback time.Duration, startTime time.Time) int64 {
	start := now.Add(-lookback)
	if !startTime.IsZero() {
		start = startTime
	}
	if start.After(now) {
		logger.Warn("start_time lies in the future; nothing is read before it", zap.Time("start_time", start))
	}
	return min(max(0, start.Unix()), maxSecond)
}

// bySlack sets a start that was made by the local clock by Slack's: a local
// clock that is wrong must not lose the first entries.
func bySlack(start int64, local, slackNow time.Time) int64 {
	ahead := local.Sub(slackNow)
	return min(max(0, start-int64(math.Round(ahead.Seconds()))), maxSecond)
}

// logFirstStart says that there was no state: also an emptied storage looks so.
func logFirstStart(logger *zap.Logger, start int64) {
	logger.Info("No state is saved yet; the logs are read from their start on", zap.Time("start", time.Unix(start, 0).UTC()))
}

func logKeptStart(logger *zap.Logger, start int64) {
	logger.Info("The start of the logs is kept in the storage; initial_lookback and start_time have no effect any more",
		zap.Time("start", time.Unix(start, 0).UTC()))
}

// sameOrg keeps state and token of two organisations apart (promise 8).
func sameOrg(saved, org string) error {
	if saved == "" || saved == org {
		return nil
	}
	return &otherOrgError{saved: saved, org: org}
}

// otherOrgError is why a token can't go on with the saved state.
type otherOrgError struct{ saved, org string }

func (e *otherOrgError) Error() string {
	return fmt.Sprintf("the token belongs to %s but the saved state to %s; use a token of %s, or a receiver of another name (slacklogs/other) for %s",
		e.org, e.saved, e.saved, e.org)
}

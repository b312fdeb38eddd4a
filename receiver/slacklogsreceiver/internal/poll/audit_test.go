// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

func TestFirstPollReadsTailThenBacklog(t *testing.T) {
	w := newWorld(t, slacktest.Options{})
	w.fill("old", 50, noon.Add(-48*time.Hour), noon.Add(-25*time.Hour))
	w.fill("back", 3000, noon.Add(-23*time.Hour), noon.Add(-time.Hour))
	w.fill("tail", 30, noon.Add(-14*time.Minute), noon)
	require.NoError(t, w.start())
	w.run(10 * time.Minute)
	w.requireAll("back", 3000)
	w.requireAll("tail", 30)
	require.Zero(t, w.delivered["old0"])
	first := w.calls()[0]
	require.Equal(t, noon.Add(-15*time.Minute).Unix(), mustInt(t, first.Query.Get("oldest")))
	require.Empty(t, w.slack.Violations())
	require.Less(t, w.poller.Figures().WatermarkLag, 61.0)
}

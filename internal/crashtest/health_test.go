// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const healthRecords = `
receivers:
  slacklogs:
    health_records:
      heartbeat_interval: 1s
`

// healthRecord is one that arrived, from which run of the collector.
type healthRecord struct {
	run, uid, text string

	Event          string    `json:"event"`
	Receiver       string    `json:"receiver"`
	LogType        string    `json:"log_type"`
	Time           time.Time `json:"time"`
	TeamID         string    `json:"team_id"`
	Problem        string    `json:"problem"`
	From           string    `json:"recovered_from"`
	Outcome        string    `json:"outcome"`
	Since          time.Time `json:"since"`
	Watermark      time.Time `json:"watermark"`
	Stale          bool      `json:"stale"`
	Delivered      int       `json:"entries_delivered"`
	DeliveredTotal int       `json:"entries_delivered_total"`
	DroppedTotal   int       `json:"entries_dropped_total"`
	Gap            gapSaid   `json:"gap"`
	Gaps           []gapSaid `json:"gaps"`
}

type gapSaid struct {
	TeamID string    `json:"team_id"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// tell takes a health record. What it has of the outside has to be what its body says.
func (b *backend) tell(rec plog.LogRecord, uid string, from coming) {
	h := healthRecord{run: from.run, uid: uid, text: rec.Body().Str()}
	severity := plog.SeverityNumberInfo
	err := json.Unmarshal([]byte(h.text), &h)
	switch h.Event {
	case "gap_opened", "stale", "auth_failing":
		severity = plog.SeverityNumberWarn
	}
	switch about := text(rec.Attributes(), "slack.log.about"); {
	case err != nil, rec.EventName() != "slack.collection."+h.Event, rec.SeverityNumber() != severity,
		text(rec.Attributes(), "slack.log.event") != h.Event, about != h.LogType, rec.Attributes().Len() != 4,
		h.Receiver != "slacklogs", !rec.Timestamp().AsTime().Truncate(time.Millisecond).Equal(h.Time):
		b.mixed = append(b.mixed, fmt.Sprintf("%s about %s is %s (%v)", rec.EventName(), about, h.text, err))
	}
	b.told = append(b.told, h)
}

// health are the records of an event of a log type so far; no event means all.
func (b *backend) health(logType, event string) (all []healthRecord) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.told {
		if h.LogType == logType && (event == "" || h.Event == event) {
			all = append(all, h)
		}
	}
	return all
}

// waitForHealth waits for a record that is good, and returns it.
func (b *backend) waitForHealth(c *collector, what, logType, event string, good func(healthRecord) bool) (found healthRecord) {
	c.t.Helper()
	c.waitFor(what, func() bool {
		all := b.health(logType, event)
		at := slices.IndexFunc(all, good)
		if at >= 0 {
			found = all[at]
		}
		return at >= 0
	})
	return found
}

// The collector is killed while the backend has a batch, and then a heartbeat, of which it never learns that they
// arrived. What the heartbeats say was delivered is what arrived, to the entry.
func TestHeartbeatsAddUp(t *testing.T) {
	t.Parallel()
	slack := newSlack(t, slacktest.Options{})
	began := time.Now()
	slack.past(6000, began.Add(-3*time.Hour), began)
	to := newBackend(t)
	c := newCollector(t, slack, to, healthRecords, `
receivers:
  slacklogs:
    audit_logs:
      page_size: 400
      overlap: 1m
      stale_after: 3s
`)
	// killedAt kills the collector when the n-th request with such records is there. They are taken, and so are those
	// before; of heartbeats only if they are waited for.
	killedAt := func(logType string, n int) {
		t.Helper()
		reached, dead := make(chan struct{}), make(chan struct{})
		requests := make(chan struct{}, n)
		to.setDecide(func(r *http.Request, _ int) verdict {
			switch r.Header.Get(logTypeHeader) {
			case logType:
				select {
				case requests <- struct{}{}:
				default:
					<-dead
					return verdict{lose: true}
				}
				if len(requests) == n {
					close(reached)
					<-dead // the collector never learns the answer
				}
			case "collection":
				return refuse(http.StatusServiceUnavailable)
			}
			return verdict{}
		})
		c.start()
		c.waitFor(fmt.Sprintf("request %d of %s", n, logType), func() bool {
			select {
			case <-reached:
				return true
			default:
				return false
			}
		})
		c.kill()
		close(dead)
	}
	killedAt("audit", 3)
	require.Empty(t, to.health("audit", ""))
	require.Zero(t, to.repeats())
	killedAt("collection", 1)
	to.setDecide(nil)
	c.waitFor("the heartbeat is taken", func() bool { return len(to.health("audit", "heartbeat")) == 1 })
	lost := to.health("audit", "heartbeat")[0]
	require.Positive(t, lost.Delivered)

	c.start()
	to.waitForAll(c, slack)
	slack.happen(7, time.Now())
	to.waitForAll(c, slack)
	complete := func(h healthRecord) bool { return h.DeliveredTotal == slack.Len() }
	beat := to.waitForHealth(c, "a heartbeat that counts all", "audit", "heartbeat", complete)
	t.Logf("%d records came again; a heartbeat: %s", to.repeats(), beat.text)
	assert.Positive(t, to.repeats(), "of the batch that was not answered")
	assert.LessOrEqual(t, to.repeats(), maxBatch)
	c.terminate()

	// A quiet organisation, a refused token, and both mended.
	c.start()
	inRun := func(good func(healthRecord) bool) func(healthRecord) bool {
		return func(h healthRecord) bool { return h.run == "4" && good(h) }
	}
	is := inRun(anyOne)
	to.waitForHealth(c, "the organisation is quiet", "audit", "stale", is)
	to.waitForHealth(c, "a heartbeat says so", "audit", "heartbeat", inRun(func(h healthRecord) bool { return h.Stale }))
	slack.happen(5, time.Now())
	to.waitForHealth(c, "it speaks again", "audit", "recovered", inRun(func(h healthRecord) bool { return h.From == "stale" }))
	slack.Revoke(token)
	failing := to.waitForHealth(c, "the token is refused", "audit", "auth_failing", is)
	assert.Contains(t, failing.Problem, "invalid_auth")
	to.waitForHealth(c, "a heartbeat says so", "audit", "heartbeat", inRun(func(h healthRecord) bool { return h.Problem != "" }))
	slack.Restore(token)
	to.waitForHealth(c, "the token is good again", "audit", "recovered", inRun(func(h healthRecord) bool { return h.From == "auth_failing" }))
	to.waitForAll(c, slack)
	to.waitForHealth(c, "a heartbeat that counts all", "audit", "heartbeat", complete)
	c.stop()

	requireHeartbeatsAddUp(t, to.health("audit", "heartbeat"), lost, slack.Len())
	require.Empty(t, to.mixed)
	for _, h := range to.health("audit", "") {
		require.NotContains(t, h.text, token)
	}
}

// requireHeartbeatsAddUp: each heartbeat tells what came since the one that it names, and none but the lost one, which
// the collector could not know to have arrived, is told twice.
func requireHeartbeatsAddUp(t *testing.T, beats []healthRecord, lost healthRecord, delivered int) {
	t.Helper()
	uids, sum := map[string]bool{}, 0
	for i, h := range beats {
		require.False(t, uids[h.uid], "twice: %s", h.text)
		uids[h.uid] = true
		assert.Zero(t, h.DroppedTotal)
		assert.Empty(t, h.Gaps)
		before := 0
		if !h.Since.IsZero() {
			at := -1
			for j := range i {
				if beats[j].Time.Equal(h.Since) {
					at = j
				}
			}
			require.NotEqual(t, -1, at, "no heartbeat of the time that this one names: %s", h.text)
			before = beats[at].DeliveredTotal
		}
		assert.Equal(t, h.DeliveredTotal-before, h.Delivered, h.text)
		sum += h.Delivered
	}
	assert.Equal(t, delivered, beats[len(beats)-1].DeliveredTotal)
	assert.Equal(t, delivered, sum-lost.Delivered, "what the lost heartbeat said was said again")
}

// Slack hides the end of a list: the records name the gap, also after a kill, and say that it closed.
//
// A time that can't be read becomes a gap only after ten minutes; the engine's tests show that, on a virtual clock.
func TestGapIsTold(t *testing.T) {
	t.Parallel()
	const changes, shown = 130, 60
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	var limit atomic.Int64
	limit.Store(shown)
	limited := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count, _ := strconv.ParseInt(r.FormValue("count"), 10, 64)
		page, _ := strconv.ParseInt(r.FormValue("page"), 10, 64)
		if r.URL.Path == slacktest.PathIntegration && page*count > limit.Load() {
			w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
			_, _ = w.Write([]byte(`{"ok":false,"error":"over_pagination_limit"}`))
			return
		}
		slack.ServeHTTP(w, r)
	}))
	t.Cleanup(limited.Close)
	slack.url = limited.URL
	start := hoursAgo(1)
	g := newLedger(t, slack, start)
	g.past(harbour, 20, 0)
	for i := range changes {
		g.change(harbour, start.Add(time.Duration(i+1)*20*time.Second), 1)
	}
	to := newBackend(t)
	c := prepare(t, slack, to, accessConfig(start), integrationConfig(start, "page_size: 20"), healthRecords)
	c.start()
	opened := to.waitForHealth(c, "the gap is told", "integration", "gap_opened", anyOne)
	t.Logf("%s", opened.text)
	assert.Equal(t, harbour, opened.TeamID)
	assert.Equal(t, "page_limit", opened.Gap.Reason)
	assert.Equal(t, start.UTC(), opened.Gap.From)
	assert.Equal(t, start.Add((changes-shown+1)*20*time.Second).UTC(), opened.Gap.To, "the oldest row that is shown")
	opened.Gap.TeamID = harbour
	named := func(run string) {
		t.Helper()
		beat := to.waitForHealth(c, "a heartbeat names it", "integration", "heartbeat", func(h healthRecord) bool {
			return h.run == run && h.DeliveredTotal == shown
		})
		assert.Equal(t, []gapSaid{opened.Gap}, beat.Gaps)
	}
	named("1")
	others := to.waitForHealth(c, "one of access logs", "access", "heartbeat", func(h healthRecord) bool { return h.DeliveredTotal > 0 })
	assert.Empty(t, others.Gaps)
	page := c.metrics()
	gaps, _ := page.value("otelcol_slacklogs_gaps", `log_type="integration"`, `team_id="`+harbour+`"`)
	assert.Equal(t, 1.0, gaps)
	seconds, _ := page.value("otelcol_slacklogs_gap_time", `log_type="integration"`)
	assert.Equal(t, opened.Gap.To.Sub(opened.Gap.From).Seconds()+1, seconds)
	gaps, found := page.value("otelcol_slacklogs_gaps", `log_type="access"`)
	assert.True(t, found)
	assert.Zero(t, gaps)

	c.kill()
	c.start()
	named("2")
	assert.Len(t, to.health("integration", "gap_opened"), 1, "it is no news")
	limit.Store(changes * 20)
	closed := to.waitForHealth(c, "the gap is closed", "integration", "gap_closed", anyOne)
	t.Logf("%s", closed.text)
	assert.Equal(t, "complete", closed.Outcome)
	assert.Equal(t, "page_limit", closed.Gap.Reason)
	assert.Equal(t, opened.Gap.Since, closed.Gap.Since)
	g.waitForAll(c, to)
	to.waitForHealth(c, "a heartbeat without it", "integration", "heartbeat", func(h healthRecord) bool {
		return len(h.Gaps) == 0 && h.DeliveredTotal == changes
	})
	gaps, _ = c.metrics().value("otelcol_slacklogs_gaps")
	assert.Zero(t, gaps)
	require.Empty(t, to.mixed)
	c.stop()
}

// More equal rows in one second than an answer shows: that some are missing is told, and that nothing will change that
// once the second is older than the overlap.
func TestGapIsGivenUp(t *testing.T) {
	t.Parallel()
	const equal, shown = 1200, 1000
	slack := newSlack(t, slacktest.Options{})
	slack.ofOneWorkspace()
	at := time.Now().Truncate(time.Second)
	slack.AddChange(slices.Repeat([]slacktest.Change{slack.org.Change(harbour, at.Unix())}, equal)...)
	to := newBackend(t)
	c := prepare(t, slack, to, integrationConfig(at.Add(-time.Minute), "overlap: 3s"), healthRecords)
	c.start()
	opened := to.waitForHealth(c, "the gap is told", "integration", "gap_opened", anyOne)
	assert.Equal(t, "equal_rows", opened.Gap.Reason)
	assert.Equal(t, at.UTC(), opened.Gap.From)
	assert.Equal(t, at.UTC(), opened.Gap.To)
	closed := to.waitForHealth(c, "the gap is given up", "integration", "gap_closed", anyOne)
	assert.Equal(t, "given_up", closed.Outcome)
	assert.Equal(t, opened.Gap, closed.Gap)
	assert.Greater(t, closed.Time.Sub(at), 3*time.Second)
	to.waitForHealth(c, "a heartbeat without it", "integration", "heartbeat", func(h healthRecord) bool {
		return h.Time.After(closed.Time) && len(h.Gaps) == 0 && h.DeliveredTotal == shown
	})
	assert.Equal(t, shown, to.arrivedRows("integration"))
	require.Empty(t, to.mixed)
	c.stop()
}

func anyOne(healthRecord) bool { return true }

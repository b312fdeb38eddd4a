// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/ottl"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// detectionsConfig has the collector read all three logs from a start on, so that it also looks for what is shown late,
// and tag the records. Told to say all, the processor would say each record several times.
const detectionsConfig = `
receivers:
  slacklogs:
    audit_logs:
      poll_interval: 500ms
      requests_per_minute: 60000
      start_time: %[1]q
      overlap: 720h
      page_size: 100
    access_logs:
      team_ids: [` + detecttest.Team + `]
      poll_interval: 500ms
      requests_per_minute: 60000
      start_time: %[1]q
      page_size: 100
    integration_logs:
      team_ids: [` + detecttest.Team + `]
      poll_interval: 500ms
      requests_per_minute: 60000
      start_time: %[1]q
      page_size: 100
service:
  telemetry:
    logs:
      level: info
  pipelines:
    logs:
      processors: [%[2]s]
`

// keeper takes records over OTLP and keeps them in the order in which they come. Of each few requests one is taken, and
// answered as if it were not.
type keeper struct {
	mu       sync.Mutex
	requests int
	records  plog.LogRecordSlice
	bodies   map[string]int
}

func newKeeper(t *testing.T) (*keeper, *backend) {
	t.Helper()
	k := &keeper{records: plog.NewLogRecordSlice(), bodies: map[string]int{}}
	server := httptest.NewServer(k)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return k, &backend{url: server.URL}
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	logs, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				k.bodies[rec.Body().Str()]++
				rec.CopyTo(k.records.AppendEmpty())
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	if k.requests++; k.requests%4 == 2 {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "\n")
	}
}

// packEntries are the entries of all tests of the pack, each once, in the order of their time. Those of one test can't
// be mistaken for those of another.
func packEntries(t *testing.T, cases []detecttest.Case, start time.Time) []detecttest.Entry {
	t.Helper()
	var entries []detecttest.Entry
	for n, c := range cases {
		seen := map[string]bool{}
		for _, e := range c.Entries {
			if seen[e.UID] {
				continue
			}
			seen[e.UID] = true
			var object map[string]any
			require.NoError(t, json.Unmarshal(e.JSON, &object))
			switch number := len(entries); e.LogType {
			case "audit":
				object["id"] = fmt.Sprintf("%d-%s", n, e.UID)
				object["date_create"] = e.Time.Unix()
			case "access":
				// When a row was first there tells it from others, and whether the receiver takes it for a new one.
				object["date_first"] = start.Unix() + int64(number)
				if e.SeenAgain {
					object["date_first"] = start.Unix() - int64(number) - 1
				}
				object["date_last"] = e.Time.Unix()
			case "integration":
				object["rss_feed_title"] = strconv.Itoa(number) // rows that are the same would be twins
			}
			text, err := json.Marshal(object)
			require.NoError(t, err)
			e.JSON = text
			entries = append(entries, e)
		}
	}
	slices.SortStableFunc(entries, func(a, b detecttest.Entry) int { return a.Time.Compare(b.Time) })
	return entries
}

// show has Slack hold the entries; each 20th of the audit entries is shown only at a later time, and each 30th twice.
func (s *fakeSlack) show(t *testing.T, entries []detecttest.Entry, later time.Time) {
	t.Helper()
	for n, e := range entries {
		switch e.LogType {
		case "audit":
			entry := slacktest.Entry{Date: e.Time.Unix(), JSON: e.JSON}
			if n%20 == 7 {
				entry.Shown = later
			}
			s.Add(entry)
			if n%30 == 11 {
				s.Add(entry)
			}
		case "access":
			var row struct {
				UserID    string `json:"user_id"`
				IP        string `json:"ip"`
				UserAgent string `json:"user_agent"`
				First     int64  `json:"date_first"`
			}
			require.NoError(t, json.Unmarshal(e.JSON, &row))
			s.SetLogin(slacktest.Login{
				Team: detecttest.Team, UserID: row.UserID, IP: row.IP, UserAgent: row.UserAgent, First: row.First, Last: e.Time.Unix(), JSON: e.JSON,
			})
		case "integration":
			s.AddChange(slacktest.Change{Team: detecttest.Team, Date: e.Time.Unix(), JSON: e.JSON})
		}
	}
}

// recordsOf are those that the receiver makes of entries.
func recordsOf(entries []detecttest.Entry) plog.LogRecordSlice {
	records := plog.NewLogRecordSlice()
	c := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll})
	for _, e := range entries {
		switch element := jsonstream.NewElement(e.JSON); e.LogType {
		case "audit":
			c.ParseAudit(element)
			c.AppendAudit(records, e.Time)
		case "access":
			c.ParseAccess(detecttest.Team, element)
			c.AppendAccess(records, e.Time, record.Change{New: !e.SeenAgain})
		case "integration":
			c.ParseIntegration(detecttest.Team, element)
			c.AppendIntegration(records, e.Time, c.IntegrationUID(1))
		}
	}
	return records
}

// The entries of all tests of the detection pack, through Slack's pages, the receiver and the compiled rules: the tags
// are those that the evaluator gives the records as they came, and what it finds in them, newest first, late and
// repeated as they were, is what it finds in the entries in order.
func TestDetectionsOfTheCollector(t *testing.T) {
	t.Parallel()
	binary(t, "SLACKLOGS_COLLECTOR")
	pack, err := detect.Load(detections.Rules())
	require.NoError(t, err)
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(t, err)
	began := time.Now().Truncate(time.Second).AddDate(0, 0, -25)
	start := began.AddDate(0, 0, -1)
	cases, err := detecttest.Load(os.DirFS("../../detections/tests"), pack, began)
	require.NoError(t, err)
	entries := packEntries(t, cases, start)
	require.NotEmpty(t, entries)
	require.True(t, entries[len(entries)-1].Time.Before(time.Now()), "an entry that has not happened yet")

	all := detecttest.Case{Rule: "all", Lists: map[string][]string{}}
	for _, c := range cases {
		for name, values := range c.Lists {
			all.Lists[name] = append(all.Lists[name], values...)
		}
	}
	for name, lists := range map[string]func() (*detect.Tuned, error){
		"empty lists":        func() (*detect.Tuned, error) { return pack.Tune(lists, time.Now()) },
		"lists of all tests": func() (*detect.Tuned, error) { return all.Tune(pack, lists) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tuned, err := lists()
			require.NoError(t, err)
			compiled, err := ottl.Config(tuned, detect.Tiers)
			require.NoError(t, err)

			slack := newSlack(t, slacktest.Options{})
			id := slack.org.Identity()
			id.Teams = []slacktest.Team{{ID: detecttest.Team, Name: "Detectors"}}
			slack.SetToken(token, id)
			slack.show(t, entries, time.Now().Add(3*time.Second))
			to, backend := newKeeper(t)
			c := prepare(t, slack, backend, compiled, fmt.Sprintf(detectionsConfig, start.UTC().Format(time.RFC3339), ottl.Processor))
			c.start()
			c.waitFor("all entries arrive", func() bool {
				to.mu.Lock()
				defer to.mu.Unlock()
				return len(to.bodies) >= len(entries)
			})
			c.stop()
			require.Len(t, to.bodies, len(entries))
			assert.Greater(t, to.records.Len(), len(entries), "nothing was repeated")

			inOrder, asDelivered := tuned.NewEvaluator(), tuned.NewEvaluator()
			for _, rec := range recordsOf(entries).All() {
				event, ok := detect.FromRecord(rec)
				require.True(t, ok)
				inOrder.Add(event)
			}
			newestFirst, tagged := false, map[string]bool{}
			for i, rec := range to.records.All() {
				event, ok := detect.FromRecord(rec)
				require.True(t, ok)
				newestFirst = newestFirst || i > 0 && rec.Timestamp() < to.records.At(i-1).Timestamp()
				requireTags(t, rec, asDelivered.Add(event), tagged)
			}
			assert.True(t, newestFirst)
			for _, r := range tuned.Rules {
				if _, inert := tuned.Inert[r.Name]; r.Tier != "" && !inert && name == "empty lists" {
					assert.True(t, tagged[r.Name], "%s has tagged nothing", r.Name)
				}
			}
			want := inOrder.Findings()
			require.NotEmpty(t, want)
			assert.Equal(t, want, asDelivered.Findings())
			t.Logf("%d entries, %d records, %d findings of %d rules and correlations", len(entries), to.records.Len(), len(want),
				len(slices.CompactFunc(slices.SortedFunc(slices.Values(want), func(a, b detect.Finding) int { return cmp.Compare(a.Rule, b.Rule) }),
					func(a, b detect.Finding) bool { return a.Rule == b.Rule })))
		})
	}
}

// requireTags holds a record to the rules that match it.
func requireTags(t *testing.T, rec plog.LogRecord, matches []*detect.Rule, tagged map[string]bool) {
	t.Helper()
	got, want := map[string]any{}, map[string]any{}
	for name, value := range rec.Attributes().AsRaw() {
		switch name {
		case ottl.Detections, ottl.Level, "security_rule.name", "security_rule.uuid", "security_rule.version", "security_rule.ruleset.name":
			got[name] = value
		}
	}
	if len(matches) > 0 {
		first := matches[0]
		want = map[string]any{
			ottl.Level: string(first.Level), "security_rule.ruleset.name": "slacklogs",
			"security_rule.name": first.Name, "security_rule.uuid": first.ID, "security_rule.version": first.Version(),
		}
		var names []any
		for _, r := range matches {
			names = append(names, r.Name)
			tagged[r.Name] = true
		}
		want[ottl.Detections] = names
	}
	require.Equal(t, want, got, rec.Body().Str())
}

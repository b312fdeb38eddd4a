// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

var update = flag.Bool("update", false, "draw docs/dashboard.svg anew, from this run")

// hurried makes the collector poll so often that an outage of seconds shows.
const hurried = `
receivers:
  slacklogs:
    audit_logs: {poll_interval: 2s, requests_per_minute: 60}
    access_logs: {poll_interval: 2s, requests_per_minute: 60}
    integration_logs: {poll_interval: 2s, requests_per_minute: 60}
`

// impatient is the alerts with other times, so that a test sees them.
var impatient = strings.NewReplacer(
	"otelcol_slacklogs_poll_staleness > 900\n        for: 2m", "otelcol_slacklogs_poll_staleness > 8\n        for: 2s",
	"absent(otelcol_slacklogs_poll_staleness)\n        for: 10m", "absent(otelcol_slacklogs_poll_staleness)\n        for: 2s",
)

// A real Prometheus scrapes the collector. One alert fires while Slack is down, another when the collector is gone, and
// each query of the dashboard returns data. `make collector helper`, then, to draw the README's picture anew:
//
//	SLACKLOGS_COLLECTOR=$PWD/bin/otelcol-slacklogs SLACKLOGS_HELPER=$PWD/bin/slacklogs \
//	  go test ./internal/crashtest -run '^TestPrometheus$' -update
func TestPrometheus(t *testing.T) {
	t.Parallel()
	alerts := readText(t, "examples/prometheus/alerts.yml")
	rules := impatient.Replace(alerts)
	require.Equal(t, 2, strings.Count(rules, "for: 2s"))

	simulated := []string{"--rate", "120", "--limit", "0", "--web-limit", "0", "--history", "5m", "--control"}
	slack, address := simulator(t, simulated...)
	dir := t.TempDir()
	c := &collector{process: process{
		t: t, path: binary(t, "SLACKLOGS_COLLECTOR"), dir: dir,
		args: []string{"--config", example(t, "simulator.yaml"), "--config", write(t, hurried)},
		env:  map[string]string{"SIMULATOR_URL": address},
	}}
	t.Cleanup(c.kill)
	c.start()
	p := newPrometheus(t, c.env["METRICS_PORT"], rules)

	p.waitUntil("the backlog is read", `max(max_over_time(otelcol_slacklogs_watermark_lag[2s])) < 60`)
	began := time.Now()
	// Twice: a counter is born with its first event, and only the second one shows as a rate.
	late := url.Values{"n": {"5"}, "date": {strconv.FormatInt(began.Add(-30*time.Second).Unix(), 10)}}
	for _, least := range []string{"5", "10"} {
		resp, err := http.PostForm(address+"/control/add", late)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		p.waitUntil("entries that came late show", `sum(otelcol_slacklogs_entries_late) >= `+least)
	}
	p.waitUntil("it is well for a while", `min(count_over_time((max(otelcol_slacklogs_watermark_lag) < 60)[25s:1s])) >= 20`)
	assert.Empty(t, p.firing("SlackLogsPollStalled"), "before the outage")
	assert.Len(t, p.firing("SlackLogsWatchdog"), 1)
	requireSameNamesWithDots(t, c.env["METRICS_PORT"])

	slack.kill()
	c.waitFor("the alert fires", func() bool { return len(p.firing("SlackLogsPollStalled")) == 5 })
	for _, a := range p.firing("SlackLogsPollStalled") {
		t.Logf("%s: %s", a.Labels["severity"], a.Annotations["summary"])
		assert.Contains(t, a.Annotations["summary"], a.Labels["log_type"]+" logs")
	}

	// Without a history: it would be another one, and late.
	slack.args = append([]string{"simulate", "--listen", strings.TrimPrefix(address, "http://")}, simulated...)
	slack.args = append(slack.args, "--backlog", "0", "--logins", "0", "--changes", "0")
	slack.run()
	c.waitFor("the alert is resolved", func() bool { return len(p.firing("SlackLogsPollStalled")) == 0 })
	p.waitUntil("all is well again", `max(otelcol_slacklogs_watermark_lag) < 8 and max(otelcol_slacklogs_failing) == 0`)
	p.waitUntil("it is well for a while", `min(count_over_time((max(otelcol_slacklogs_failing) == 0)[15s:1s])) >= 10`)

	p.requireDashboard(began, time.Now())

	c.stop()
	p.waitFor("the collector is missed", func() bool { return len(p.firing("SlackLogsTelemetryAbsent")) == 5 })
}

// A code that only a new token or installation mends is one that the alert knows.
func TestAlertKnowsEachCodeOfAuthorisation(t *testing.T) {
	want := []string{"403"}
	for code, known := range slack.Codes {
		if known.Class.NeedsInstall() {
			want = append(want, code)
		}
	}
	slices.Sort(want)
	found := regexp.MustCompile(`otelcol_slacklogs_failing\{error_type=~"(403[^"]*)"\}\) == 1`).
		FindStringSubmatch(readText(t, "examples/prometheus/alerts.yml"))
	require.NotNil(t, found)
	assert.Equal(t, strings.Join(want, "|"), found[1])
}

// prometheus is a real one, on loopback, that asks everything each second.
type prometheus struct {
	process
	url string
}

func newPrometheus(t *testing.T, metricsPort, rules string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		require.Empty(t, os.Getenv("CI"), "prometheus is not installed; it is Debian's package prometheus")
		t.Skip("prometheus is not installed")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yml"), []byte(rules), 0o600))
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: otelcol
    static_configs: [{targets: ["127.0.0.1:%s"]}]
`, metricsPort), 0o600))
	port := freePort(t)
	p := &prometheus{url: "http://127.0.0.1:" + port, process: process{t: t, path: path, dir: dir, args: []string{
		"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:" + port,
		"--log.level=warn",
	}}}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("Prometheus's last words:\n%s", last(p.out.String(), 2000))
		}
	})
	p.run()
	p.waitFor("Prometheus answers", func() bool {
		status, _, err := get(p.url + "/-/ready")
		return err == nil && status == http.StatusOK
	})
	return p
}

// ask decodes what the API answers.
func (p *prometheus) ask(path string, parameters url.Values, into any) {
	p.t.Helper()
	status, text, err := get(p.url + "/api/v1/" + path + "?" + parameters.Encode())
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, status, "%s: %s", parameters, text)
	answer := struct{ Data any }{into}
	require.NoError(p.t, json.Unmarshal([]byte(text), &answer), text)
}

type series struct {
	Metric map[string]string
	Values []point
}

// point is a time and a value, as the API writes them: [1, "2"].
type point struct{ at, value float64 }

func (p *point) UnmarshalJSON(text []byte) error {
	var value string
	if err := json.Unmarshal(text, &[]any{&p.at, &value}); err != nil {
		return err
	}
	var err error
	p.value, err = strconv.ParseFloat(value, 64)
	return err
}

func (p *prometheus) queryRange(query string, from, to time.Time) []series {
	p.t.Helper()
	var matrix struct{ Result []series }
	p.ask("query_range", url.Values{
		"query": {query}, "start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix(), 10)}, "step": {"1"},
	}, &matrix)
	return matrix.Result
}

// waitUntil waits until the query returns something.
func (p *prometheus) waitUntil(what, query string) {
	p.t.Helper()
	p.waitFor(what, func() bool {
		var vector struct{ Result []json.RawMessage }
		p.ask("query", url.Values{"query": {query}}, &vector)
		return len(vector.Result) > 0
	})
}

type alert struct {
	Labels, Annotations map[string]string
	State               string
}

func (p *prometheus) firing(name string) []alert {
	p.t.Helper()
	var all struct{ Alerts []alert }
	p.ask("alerts", nil, &all)
	return slices.DeleteFunc(all.Alerts, func(a alert) bool { return a.State != "firing" || a.Labels["alertname"] != name })
}

// requireSameNamesWithDots asks as a scraper does that keeps dots. What is not the receiver's has some then, and what
// the alerts and the dashboard use has none.
func requireSameNamesWithDots(t *testing.T, port string) {
	t.Helper()
	names := func(accept string) (ours []string, page string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/metrics", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		value := regexp.MustCompile(`="[^"]*"`)
		found := map[string]bool{}
		for _, name := range regexp.MustCompile(`(?m)^otelcol_(slacklogs|exporter)_[^ ]*`).FindAllString(string(text), -1) {
			found[value.ReplaceAllString(name, "")] = true
		}
		return slices.Sorted(maps.Keys(found)), string(text)
	}
	plain, page := names("text/plain")
	require.NotContains(t, page, `"otel.signal"=`)
	dotted, page := names("text/plain;version=1.0.0;escaping=allow-utf-8")
	require.Contains(t, page, `"otel.signal"=`, "the collector keeps dots if it is asked to")
	require.NotEmpty(t, plain)
	assert.Equal(t, plain, dotted)
}

// pictured are the panels that the README shows.
var pictured = []string{
	"Completeness: read up to", "Since the last poll", "Since the newest entry", "How late Slack shows entries",
	"Entries delivered a minute", "Calls to Slack a minute", "Failed calls a minute", "Waiting for the budget",
}

// dashboard is what is used here of Grafana's model.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	Title, Type string
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct{ Expr, LegendFormat string }
}

// requireDashboard runs what Grafana would run.
func (p *prometheus) requireDashboard(from, to time.Time) {
	p.t.Helper()
	text := readText(p.t, "examples/grafana/slacklogs.json")
	var d dashboard
	require.NoError(p.t, json.Unmarshal([]byte(text), &d))
	replace := []string{"$__rate_interval", "10s"}
	for _, v := range d.Templating.List {
		replace = append(replace, "$"+v.Name, ".*") // as All
	}
	variables := strings.NewReplacer(replace...)

	labelValues := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		parts := labelValues.FindStringSubmatch(variables.Replace(v.Definition))
		require.NotNil(p.t, parts, v.Definition)
		var values []string
		p.ask("label/"+parts[2]+"/values", url.Values{"match[]": {parts[1]}}, &values)
		p.t.Logf("$%s: %s", v.Name, values)
		assert.NotEmpty(p.t, values, v.Name)
	}

	documented := readText(p.t, "receiver/slacklogsreceiver/documentation.md")
	for _, name := range regexp.MustCompile(`otelcol_slacklogs_\w+`).FindAllString(text, -1) {
		histogram := strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
		assert.Contains(p.t, documented, "### "+histogram+"\n")
	}

	var drawn []chart
	for _, panel := range d.Panels {
		if panel.Type == "row" {
			continue
		}
		require.NotEmpty(p.t, panel.Targets, panel.Title)
		ch := chart{title: panel.Title, unit: panel.FieldConfig.Defaults.Unit}
		for _, target := range panel.Targets {
			found := p.queryRange(variables.Replace(target.Expr), from, to)
			numbers, highest := 0, 0.0
			for _, s := range found {
				s.Values = slices.DeleteFunc(s.Values, func(v point) bool { return math.IsNaN(v.value) })
				numbers += len(s.Values)
				for _, v := range s.Values {
					highest = max(highest, v.value)
				}
				ch.lines = append(ch.lines, line{legend(target.LegendFormat, s.Metric), s.Values})
			}
			p.t.Logf("%s: %d series, %d values of %s", panel.Title, len(found), numbers, target.Expr)
			assert.Positive(p.t, numbers, "%s: %s", panel.Title, target.Expr)
			// The zeros that it fills in are there whether or not its own series is. Nothing malformed comes in this run.
			if strings.Contains(target.Expr, "otelcol_slacklogs_entries_late") {
				assert.Positive(p.t, highest, "%s: %s", panel.Title, target.Expr)
			}
		}
		if slices.Contains(pictured, panel.Title) {
			drawn = append(drawn, ch)
		}
	}
	require.Len(p.t, drawn, len(pictured))
	if *update {
		outage := p.queryRange(`max(ALERTS{alertname="SlackLogsPollStalled", alertstate="firing"})`, from, to)
		require.NotEmpty(p.t, outage)
		svg := draw(drawn, span{float64(from.Unix()), float64(to.Unix())}, outage[0].Values)
		require.NoError(p.t, os.WriteFile(filepath.FromSlash(root+"docs/dashboard.svg"), []byte(svg), 0o600))
	}
}

// legend puts labels where the format names them, as {{log_type}}.
func legend(format string, labels map[string]string) string {
	name := regexp.MustCompile(`\{\{(\w+)\}\}`).ReplaceAllStringFunc(format, func(label string) string {
		return labels[strings.Trim(label, "{}")]
	})
	return strings.Join(strings.Fields(strings.ReplaceAll(name, "slacklogs", "")), " ") // there is one receiver
}

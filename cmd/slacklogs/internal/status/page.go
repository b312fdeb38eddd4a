// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package status // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/status"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
)

// maxPage is far above what a collector of a thousand workspaces says.
const maxPage = 64 << 20

// source is what a line is about: a log type of a receiver, or one workspace of it.
type source struct {
	Receiver string `json:"receiver"`
	LogType  string `json:"log_type"`
	TeamID   string `json:"team_id,omitempty"`
}

// figures are the metrics of a source. What is a pointer may be absent.
type figures struct {
	EventStaleness *float64 `json:"event_staleness"`
	WatermarkLag   *float64 `json:"watermark_lag"`
	PollStaleness  *float64 `json:"poll_staleness"`
	Gaps           int      `json:"gaps"`
	GapTime        float64  `json:"gap_time"`
	Delivered      int64    `json:"entries_delivered"`
	Dropped        int64    `json:"entries_dropped"`
	FailedCalls    int64    `json:"failed_calls"`
	// FailedBy are the failed calls by their error_type.
	FailedBy  map[string]int64 `json:"failed_calls_by_error_type,omitempty"`
	Stale     bool             `json:"stale"`
	Failing   bool             `json:"failing"`
	ErrorType string           `json:"error_type,omitempty"`
}

// metrics are the receivers' metrics of a collector.
type metrics struct {
	// polling are the sources that are read: those with gauges.
	polling map[source]*figures
	// counted is set when there are any at all, for counters outlive the polling.
	counted bool
}

// readPage asks the collector. Its errors say what to do.
func (w *watcher) readPage(ctx context.Context) (metrics, error) {
	where := w.page.Redacted()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.page.String(), http.NoBody)
	if err != nil {
		return metrics{}, err
	}
	req.Header.Set("Accept", "text/plain; version=0.0.4")
	req.Header.Set("User-Agent", "slacklogs/"+verb.Version)
	resp, err := w.client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, which is said already
		}
		return metrics{}, fmt.Errorf("%s can't be reached (%w): is the collector running? "+
			"Where its metrics are is set in service::telemetry::metrics::readers of its configuration; say it with --metrics-url", where, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return metrics{}, fmt.Errorf("%s answers with status %d: it is not the collector's Prometheus page; "+
			"say with --metrics-url where that is, as set in service::telemetry::metrics::readers", where, resp.StatusCode)
	}
	body := &io.LimitedReader{R: resp.Body, N: maxPage}
	m, err := parsePage(body)
	switch {
	case body.N <= 0: // also where the part can be read
		return metrics{}, fmt.Errorf("%s is over %d MiB long: it is not a collector's Prometheus page", where, maxPage>>20)
	case err == nil:
		return m, nil
	case errors.Is(err, context.DeadlineExceeded):
		return metrics{}, fmt.Errorf("%s has not answered to the end within %s: the collector or its machine may be overloaded", where, pageTimeout)
	default:
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		return metrics{}, fmt.Errorf("%s can't be read as a Prometheus page (content type %q): say with --metrics-url where the collector's is",
			where, kind)
	}
}

// parsePage takes out what the receivers say.
func parsePage(page io.Reader) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(page)
	if err != nil {
		return metrics{}, err
	}
	byName := map[string]*dto.MetricFamily{}
	for _, full := range slices.Sorted(maps.Keys(families)) { // of two that mean the same, always the same one
		if name := plainName(full); name != "" {
			byName[name] = families[full]
		}
	}
	m := metrics{polling: map[source]*figures{}, counted: len(byName) > 0}
	m.gauges(byName)
	m.counters(byName)
	return m, nil
}

// plainName is the metric's name in metadata.yaml without slacklogs_, whatever a reader puts around it: otelcol_, a
// unit, _total. It is "" for metrics of others.
func plainName(full string) string {
	_, name, ok := strings.Cut(strings.ReplaceAll(full, ".", "_"), "slacklogs_")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_seconds")
}

// gauges finds the sources and how each stands.
func (m *metrics) gauges(byName map[string]*dto.MetricFamily) {
	for name, set := range map[string]func(f *figures, value float64, labels map[string]string){
		"event_staleness": func(f *figures, v float64, _ map[string]string) { f.EventStaleness = &v },
		"watermark_lag":   func(f *figures, v float64, _ map[string]string) { f.WatermarkLag = &v },
		"poll_staleness":  func(f *figures, v float64, _ map[string]string) { f.PollStaleness = &v },
		"gaps":            func(f *figures, v float64, _ map[string]string) { f.Gaps = int(v) },
		"gap_time":        func(f *figures, v float64, _ map[string]string) { f.GapTime = v },
		"stale":           func(f *figures, v float64, _ map[string]string) { f.Stale = v > 0 },
		"failing": func(f *figures, v float64, labels map[string]string) {
			f.Failing, f.ErrorType = v > 0, labels["error_type"]
		},
	} {
		for _, series := range byName[name].GetMetric() {
			s, labels := sourceOf(series)
			if m.polling[s] == nil {
				m.polling[s] = &figures{}
			}
			if v, ok := valueOf(series); ok {
				set(m.polling[s], v, labels)
			}
		}
	}
}

// counters adds what was counted since the collector started.
func (m *metrics) counters(byName map[string]*dto.MetricFamily) {
	for _, series := range byName["entries"].GetMetric() {
		s, labels := sourceOf(series)
		f := m.polling[s]
		v, _ := valueOf(series)
		switch {
		case f == nil:
		case labels["outcome"] == "delivered":
			f.Delivered += int64(v)
		case labels["outcome"] == "dropped":
			f.Dropped += int64(v)
		}
	}
	for _, series := range byName["request_duration"].GetMetric() {
		s, labels := sourceOf(series)
		if labels["error_type"] == "" {
			continue
		}
		for of, f := range m.polling {
			// A call for no workspace, such as auth.test, is one for each of them; one for no log type, which refreshes the
			// token, is all of theirs.
			whole := s.TeamID == "" && of.Receiver == s.Receiver && (s.LogType == "" || of.LogType == s.LogType)
			if of == s || whole {
				f.fail(labels["error_type"], int64(series.GetHistogram().GetSampleCount()))
			}
		}
	}
}

func (f *figures) fail(errorType string, calls int64) {
	if f.FailedBy == nil {
		f.FailedBy = map[string]int64{}
	}
	f.FailedBy[errorType] += calls
	f.FailedCalls += calls
}

func sourceOf(series *dto.Metric) (s source, labels map[string]string) {
	labels = map[string]string{}
	for _, label := range series.GetLabel() {
		labels[label.GetName()] = verb.Printable(label.GetValue())
	}
	return source{Receiver: labels["receiver"], LogType: labels["log_type"], TeamID: labels["team_id"]}, labels
}

// valueOf is 0 and not ok for NaN, infinity and what is above all that can be counted.
func valueOf(series *dto.Metric) (v float64, ok bool) {
	switch {
	case series.Gauge != nil:
		v = series.GetGauge().GetValue()
	case series.Counter != nil:
		v = series.GetCounter().GetValue()
	default:
		v = series.GetUntyped().GetValue()
	}
	if !(math.Abs(v) < 1<<53) {
		return 0, false
	}
	return max(v, 0), true
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package e2e // import "github.com/slacklogs/otelcol-slacklogs/test/e2e"

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// unused is an address at which nothing listens yet.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestExamplesAreValid builds the pipelines of each example, with the exporters that are not in the project's own build.
func TestExamplesAreValid(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		found, err := filepath.Glob(examples + pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		name := strings.TrimPrefix(file, examples)
		if !bytes.Contains(text, []byte("health_check")) {
			continue // for a terminal, or not a configuration
		}
		t.Run(name, func(t *testing.T) {
			setEnv(t)
			for name, value := range map[string]string{
				"OTLP_ENDPOINT": "http://127.0.0.1:4318", "ELASTIC_API_KEY": "x", "ELASTICSEARCH_URL": "http://127.0.0.1:9200",
				"ELASTICSEARCH_API_KEY": "x", "CLICKHOUSE_ENDPOINT": "clickhouse://127.0.0.1:9000", "CLICKHOUSE_USERNAME": "x",
				"CLICKHOUSE_PASSWORD": "x", "KAFKA_BROKER": "127.0.0.1:9092", "AWS_REGION": "eu-west-1", "S3_BUCKET": "x",
				"SPLUNK_HEC_URL": "http://127.0.0.1:8088/services/collector", "SPLUNK_HEC_TOKEN": "x",
			} {
				t.Setenv(name, value)
			}
			col, err := otelcol.NewCollector(settings("file:" + file))
			require.NoError(t, err)
			assert.NoError(t, col.DryRun(t.Context()))

			// What the comments call complete.
			conf, err := confmap.NewRetrievedFromYAML(text)
			require.NoError(t, err)
			parsed, err := conf.AsConf()
			require.NoError(t, err)
			for _, key := range []string{
				"extensions::file_storage::fsync", "extensions::health_check::component_health", "receivers::slacklogs::storage",
				"processors::memory_limiter", "service::telemetry::metrics::readers",
			} {
				assert.True(t, parsed.IsSet(key), key)
			}
			exporters, err := parsed.Sub("exporters")
			require.NoError(t, err)
			for id := range exporters.ToStringMap() {
				if id == "file" {
					continue // has neither
				}
				queue, err := exporters.Sub(id + "::sending_queue")
				require.NoError(t, err)
				assert.Equal(t, "file_storage", queue.Get("storage"), id)
				assert.Equal(t, true, queue.Get("block_on_overflow"), id)
				endless := exporters.Get(id+"::retry_on_failure::max_elapsed_time") == 0 || exporters.Get(id+"::retry::max_retries") == 1000000000
				assert.True(t, endless, "retries of %s", id)
			}
		})
	}
}

func TestSplunk(t *testing.T) {
	address := unused(t)
	sink := peer(t, splunkhecreceiver.NewFactory(), map[string]any{"endpoint": address})
	setEnv(t)
	t.Setenv("SPLUNK_HEC_URL", "http://"+address+"/services/collector")
	t.Setenv("SPLUNK_HEC_TOKEN", "00000000-0000-0000-0000-000000000000")
	slack := newSlack(t)
	start(t, slack, "splunk/splunk-hec.yaml")
	records := arrived(t, sink, slack.sent)
	golden(t, "splunk", records)

	// The event is Slack's own text, byte for byte.
	var want, got []string
	for logType, texts := range slack.texts {
		for _, text := range texts {
			want = append(want, "slack:"+logType+" "+text)
		}
	}
	for _, record := range records {
		r := record.(map[string]any)
		got = append(got, r["resource"].(map[string]any)["com.splunk.sourcetype"].(string)+" "+r["body"].(string))
	}
	assert.ElementsMatch(t, want, got)
}

func TestOTLP(t *testing.T) {
	for _, test := range []struct{ example, golden string }{
		{"all-logs.yaml", "otlp"},
		{"otlp-grpc.yaml", "otlp"}, // the same arrives
		{"loki.yaml", "loki"},
		{"elastic/otlp.yaml", "elastic_otlp"},
		{"privacy.yaml", "privacy"},
	} {
		t.Run(test.example, func(t *testing.T) {
			path := "/v1/logs"
			if test.golden == "loki" {
				path = "/otlp/v1/logs"
			}
			httpAddress, grpcAddress := unused(t), unused(t)
			sink := peer(t, otlpreceiver.NewFactory(), map[string]any{"protocols": map[string]any{
				"http": map[string]any{"endpoint": httpAddress, "logs_url_path": path},
				"grpc": map[string]any{"endpoint": grpcAddress},
			}})
			setEnv(t)
			t.Setenv("ELASTIC_API_KEY", "x")
			t.Setenv("OTLP_ENDPOINT", "http://"+httpAddress+strings.TrimSuffix(path, "/v1/logs"))
			slack := newSlack(t)
			var more []string
			if strings.Contains(test.example, "grpc") {
				t.Setenv("OTLP_ENDPOINT", "http://"+grpcAddress)
				more = append(more, "exporters: {otlp_grpc: {tls: {insecure: true}}}")
			}
			c := start(t, slack, test.example, more...)
			golden(t, test.golden, arrived(t, sink, slack.sent))
			assert.NotContains(t, c.logs.String(), "failed to execute statement")
		})
	}
}

// TestPrivacy sends entries that hold addresses and names of files in many places, and looks for them in all that arrives.
func TestPrivacy(t *testing.T) {
	address := unused(t)
	sink := peer(t, otlpreceiver.NewFactory(), map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}})
	setEnv(t)
	t.Setenv("OTLP_ENDPOINT", "http://"+address)
	slack := newSlack(t)
	secrets := []string{"@brightwater", "%40brightwater", "%2540brightwater", "eve@", "müller", "payroll", "slack-bots", "survey"}
	company := slacktest.NewOrganisation(3)
	for range 200 { // among them all that the simulator has of odd values
		for _, entry := range []slacktest.Entry{company.Entry(day + 250), company.Odd(day + 260)} {
			if !bytes.Contains(entry.JSON, []byte(`"date_create":"1700000000"`)) { // before the start
				slack.Add(entry)
			}
		}
	}
	different := map[string]bool{} // what is there twice is sent once
	for _, entry := range slack.Shown() {
		different[string(entry.JSON)] = true
	}
	slack.sent = len(different) + 2
	for i, text := range []string{
		`{"id":"p1","date_create":%d,"action":"file_downloaded","actor":{"type":"user","user":{"id":"W1","email":"eve@brightwater.example"}},` +
			`"entity":{"type":"file","file":{"id":"F1","name":"payroll {2026}.xlsx","title":"payroll \"Q1\"","filetype":"xlsx"}},` +
			`"details":{"template_title":"Payroll review","name":"payroll.xlsx","link":"https:\/\/x.example\/?a=1&u=eve%40brightwater.example&b=%7Beve%2540brightwater.example","url_private":"https:\/\/files.example\/payroll.xlsx","shared_to":["eve@brightwater.example"],"deep":{"a":[{"b":"to:\neve@brightwater.example"}]}}}`,
		`{"id":"p2","date_create":%d,"action":"user_email_updated","entity":{"type":"user","user":{"id":"W2","name":"eve@brightwater.example"}},` +
			`"details":{"previous_value":"<eve+1@brightwater.example>","new_value":"j\u00fcrgen.m\u00fcller@brightwater.example, \"eve@brightwater.example\""}}`,
		`["p3",%d,"eve@brightwater.example","payroll.xlsx"]`,
	} {
		date := int64(day + 300 + i)
		slack.Add(slacktest.Entry{Date: date, JSON: []byte(strings.Replace(text, "%d", jsonInt(date), 1))})
		slack.sent++
	}
	start(t, slack, "privacy.yaml")
	for _, record := range arrived(t, sink, slack.sent) {
		text := strings.ToLower(string(indented(t, record)))
		for _, secret := range secrets {
			assert.NotContains(t, text, secret)
		}
		assert.NotRegexp(t, `[a-z0-9](@|%(25)?40)[a-z0-9]`, text)
		assert.True(t, json.Valid([]byte(record.(map[string]any)["body"].(string))), "%s", text)
	}
}

func jsonInt(i int64) string {
	text, _ := json.Marshal(i)
	return string(text)
}

// TestLokiLimits sends an entry of each log type that is far bigger than what Loki takes in structured metadata, and
// rows that are the same text.
func TestLokiLimits(t *testing.T) {
	address := unused(t)
	sink := peer(t, otlpreceiver.NewFactory(), map[string]any{"protocols": map[string]any{
		"http": map[string]any{"endpoint": address, "logs_url_path": "/otlp/v1/logs", "max_request_body_size": 100 << 20},
	}})
	setEnv(t)
	t.Setenv("OTLP_ENDPOINT", "http://"+address+"/otlp")
	slack := newSlack(t)
	var users, keys []string
	for i := range 5000 {
		users = append(users, `"W0BIG`+strings.Repeat("0", 6)+jsonInt(int64(1000+i))+`"`)
		keys = append(keys, `"key_`+jsonInt(int64(i))+`":"`+strings.Repeat("x", 100)+`"`)
	}
	huge := "x" + strings.Repeat("ü", 100_000)
	date := int64(day + 300)
	slack.Add(slacktest.Entry{Date: date, JSON: []byte(`{"id":"big","date_create":` + jsonInt(date) + `,"action":"app_scopes_expanded",` +
		`"actor":{"type":"user","user":{"id":"W04BW000001","name":"` + huge + `","email":"` + huge + `"}},` +
		`"entity":{"type":"huddle","huddle":{"id":"R1","name":"` + huge + `","participants":[` + strings.Join(users, ",") + `]}},` +
		`"context":{"ua":"` + huge + `","session_id":"` + huge + `"},` +
		`"details":{"previous_scopes":["a"],"new_scopes":[` + strings.Join(users, ",") + `],` + strings.Join(keys, ",") + `}}`)})
	slack.SetLogin(slacktest.Login{Team: harbour, First: date, Last: date, JSON: []byte(`{"user_id":"W04BW000001","username":"` + huge +
		`","date_first":` + jsonInt(date) + `,"date_last":` + jsonInt(date) + `,"count":1,"ip":"` + huge + `","user_agent":"` + huge +
		`","isp":"` + huge + `","country":"` + huge + `","region":"` + huge + `",` + strings.Join(keys, ",") + `}`)})
	slack.AddChange(slacktest.Change{Team: harbour, Date: date, JSON: []byte(`{"user_id":"` + huge + `","user_name":"` + huge +
		`","date":"` + jsonInt(date) + `","change_type":"` + huge + `","app_id":"` + huge + `","app_type":"` + huge + `","scope":"` + huge +
		`","reason":"` + huge + `",` + strings.Join(keys, ",") + `}`)})
	same := slack.Changes(harbour)[1]
	slack.AddChange(same, same)
	slack.sent += 5
	c := start(t, slack, "loki.yaml")
	lines := map[string]bool{} // as Loki tells them apart
	records := arrived(t, sink, slack.sent)
	for _, record := range records {
		lines[jsonInt(record.(map[string]any)["time"].(time.Time).Unix())+record.(map[string]any)["body"].(string)] = true
		// As Loki counts: attributes of the record and of the resource, and six of its own. Its limits are the defaults.
		r := record.(map[string]any)
		count, size := 6, 512
		for _, attributes := range []any{r["attributes"], r["resource"]} {
			for name, value := range attributes.(map[string]any) {
				count++
				text, ok := value.(string)
				if !ok {
					text = string(indented(t, value))
				}
				size += len(name) + len(text)
				assert.True(t, utf8.ValidString(text))
			}
		}
		assert.LessOrEqual(t, len(r["body"].(string)), 256<<10)
		assert.True(t, utf8.ValidString(r["body"].(string)))
		assert.LessOrEqual(t, count, 128)
		assert.LessOrEqual(t, size, 64<<10)
	}
	assert.Len(t, lines, slack.sent)
	assert.NotContains(t, c.logs.String(), "failed to execute statement")
}

func TestFile(t *testing.T) {
	setEnv(t)
	dir := t.TempDir()
	t.Setenv("ARCHIVE_DIR", dir)
	slack := newSlack(t)
	start(t, slack, "file.yaml")
	read := func() (records []any) {
		text, err := os.ReadFile(filepath.Join(dir, "slack.json"))
		if err != nil {
			return nil
		}
		for line := range bytes.Lines(text) {
			logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
			require.NoError(t, err)
			for _, rl := range logs.ResourceLogs().All() {
				for _, sl := range rl.ScopeLogs().All() {
					for _, rec := range sl.LogRecords().All() {
						records = append(records, plain(rl, rec))
					}
				}
			}
		}
		return records
	}
	require.Eventually(t, func() bool { return len(read()) == slack.sent }, patience, 10*time.Millisecond)
	golden(t, "otlp", read())
}

func TestKafka(t *testing.T) {
	topics := []string{"slack.audit", "slack.access", "slack.integration"}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	setEnv(t)
	t.Setenv("KAFKA_BROKER", cluster.ListenAddrs()[0])
	slack := newSlack(t)
	start(t, slack, "kafka/kafka.yaml")

	consumer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(consumer.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := map[string][]any{}
	for n := 0; n < slack.sent; {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			var message map[string]any
			require.NoError(t, unmarshal(r.Value, &message))
			got[strings.TrimPrefix(r.Topic, "slack.")] = append(got[strings.TrimPrefix(r.Topic, "slack.")], message)
		})
	}
	sameEntries(t, slack, got)
}

// unmarshal keeps numbers as they are written.
func unmarshal(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

// sameEntries compares parsed messages with Slack's entries.
func sameEntries(t *testing.T, slack *slack, got map[string][]any) {
	t.Helper()
	for logType, texts := range slack.texts {
		var want []any
		for _, text := range texts {
			var entry map[string]any
			require.NoError(t, unmarshal([]byte(text), &entry))
			want = append(want, entry)
		}
		assert.ElementsMatch(t, want, got[logType])
	}
}

// bucket is an object store that takes anything.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[r.URL.Path] = body
}

// lines are the objects' lines by prefix.
func (b *bucket) lines(t *testing.T) map[string][]string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := map[string][]string{}
	for path, body := range b.objects {
		logType, _, _ := strings.Cut(strings.TrimPrefix(path, "/evidence/slack/"), "/")
		r, err := gzip.NewReader(bytes.NewReader(body))
		require.NoError(t, err, path)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			lines[logType] = append(lines[logType], strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

func TestS3(t *testing.T) {
	store := &bucket{objects: map[string][]byte{}}
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	setEnv(t)
	for name, value := range map[string]string{
		"S3_BUCKET": "evidence", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	slack := newSlack(t)
	start(t, slack, "s3/panther.yaml", "exporters: {awss3: {s3uploader: {endpoint: '"+server.URL+"', s3_force_path_style: true, disable_ssl: true}}}")
	count := func() (n int) {
		for _, lines := range store.lines(t) {
			n += len(lines)
		}
		return n
	}
	require.Eventually(t, func() bool { return count() >= slack.sent }, patience, 10*time.Millisecond)
	got := store.lines(t)
	for logType, texts := range slack.texts {
		assert.ElementsMatch(t, texts, got[logType], "Slack's own text, byte for byte")
	}
	assert.Equal(t, slack.sent, count())
}

// elasticsearch takes documents as a data stream does: one of an id.
type elasticsearch struct {
	mu        sync.Mutex
	refuse    int // as many requests, with 503
	forbid    int // the documents of as many requests, with 403 each
	documents map[string]json.RawMessage
	conflicts int
}

func (e *elasticsearch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	if !strings.HasSuffix(r.URL.Path, "/_bulk") {
		_, _ = io.WriteString(w, `{"version":{"number":"9.1.0"}}`)
		return
	}
	if e.refuse != 0 {
		e.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	type result struct {
		Index  string `json:"_index"`
		ID     string `json:"_id"`
		Status int    `json:"status"`
		Error  any    `json:"error,omitempty"`
	}
	answer := struct {
		Errors bool                `json:"errors"`
		Items  []map[string]result `json:"items"`
	}{}
	forbidden := e.forbid != 0
	if forbidden {
		e.forbid--
	}
	for d := json.NewDecoder(body); d.More(); {
		var action struct {
			Create struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			} `json:"create"`
		}
		var document json.RawMessage
		if d.Decode(&action) != nil || d.Decode(&document) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if len(action.Create.ID) > 512 {
			w.WriteHeader(http.StatusBadRequest) // the request, with all that is in it
			return
		}
		key := action.Create.Index + " " + action.Create.ID
		if action.Create.ID == "" {
			key += jsonInt(int64(len(e.documents)))
		}
		res := result{Index: action.Create.Index, ID: action.Create.ID, Status: http.StatusCreated}
		if _, ok := e.documents[key]; forbidden {
			answer.Errors = true
			res.Status, res.Error = http.StatusForbidden, map[string]string{"type": "security_exception"}
		} else if ok {
			e.conflicts++
			answer.Errors = true
			res.Status, res.Error = http.StatusConflict, map[string]string{"type": "version_conflict_engine_exception"}
		} else {
			e.documents[key] = document
		}
		answer.Items = append(answer.Items, map[string]result{"create": res})
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (e *elasticsearch) counts() (documents, conflicts int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.documents), e.conflicts
}

// all are the documents with their index and id.
func (e *elasticsearch) all(t *testing.T) (all []any) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, text := range e.documents {
		var document map[string]any
		require.NoError(t, unmarshal(text, &document))
		delete(document, "observed_timestamp")
		index, id, _ := strings.Cut(key, " ")
		all = append(all, map[string]any{"_index": index, "_id": id, "_source": document})
	}
	return all
}

func newElasticsearch(t *testing.T) *elasticsearch {
	t.Helper()
	e := &elasticsearch{documents: map[string]json.RawMessage{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Setenv("ELASTICSEARCH_URL", server.URL)
	t.Setenv("ELASTICSEARCH_API_KEY", "x")
	return e
}

func TestElasticsearch(t *testing.T) {
	setEnv(t)
	elastic := newElasticsearch(t)
	elastic.refuse, elastic.forbid = 4, 4 // more often than the exporter tries by itself
	slack := newSlack(t)
	arrive := func(documents, conflicts int) {
		t.Helper()
		require.Eventually(t, func() bool {
			d, c := elastic.counts()
			return d == documents && c == conflicts
		}, patience, 10*time.Millisecond)
	}
	c := start(t, slack, "elastic/elasticsearch.yaml")
	arrive(slack.sent, 0)
	golden(t, "elasticsearch", elastic.all(t))

	// What comes twice is one document, and one with a very long id takes nothing with it.
	c.stop(t)
	t.Setenv("STATE_DIR", t.TempDir())
	slack.Add(slacktest.Entry{Date: day + 300, JSON: []byte(`{"id":"` + strings.Repeat("x", 600) + `","date_create":` + jsonInt(day+300) + `,"action":"user_login"}`)})
	c = start(t, slack, "elastic/elasticsearch.yaml")
	arrive(slack.sent+1, slack.sent)
	assert.NotContains(t, c.logs.String(), "failed to index document")
}

func TestElasticIntegration(t *testing.T) {
	setEnv(t)
	elastic := newElasticsearch(t)
	elastic.forbid = 4
	slack := newSlack(t)
	start(t, slack, "elastic/integration.yaml")
	texts := slack.texts["audit"]
	require.Eventually(t, func() bool { d, _ := elastic.counts(); return d == len(texts) }, patience, 10*time.Millisecond)
	var got []string
	for _, d := range elastic.all(t) {
		document := d.(map[string]any)
		assert.Equal(t, "logs-slack.audit-default", document["_index"])
		source := document["_source"].(map[string]any)
		got = append(got, source["message"].(string))
		delete(source, "message")
		assert.Regexp(t, `^2026-03-02T\d\d:\d\d:\d\dZ$`, source["@timestamp"])
		delete(source, "@timestamp")
		assert.Equal(t, map[string]any{
			"tags":        []any{"preserve_original_event", "forwarded"},
			"data_stream": map[string]any{"type": "logs", "dataset": "slack.audit", "namespace": "default"},
		}, source)
	}
	slices.Sort(got)
	slices.Sort(texts)
	assert.Equal(t, texts, got)
}

// TestClickHouseSchema compares the example's table with the one that the exporter would make: the columns that it
// writes must be there.
func TestClickHouseSchema(t *testing.T) {
	const module = "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	require.NoError(t, err)
	columns := func(path, pattern string) (columns []string) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			columns = append(columns, found[1])
		}
		require.NotEmpty(t, columns)
		return columns
	}
	theirs := columns(filepath.Join(strings.TrimSpace(string(dir)), "internal", "sqltemplates", "logs_table.sql"), "(?m)^ +`([A-Z][A-Za-z]+)` ")
	assert.Subset(t, columns(examples+"clickhouse/schema.sql", `(?m)^ +([A-Z][A-Za-z]+) [A-Z]`), theirs)
	assert.Contains(t, theirs, "EventName")
}

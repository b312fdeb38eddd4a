// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
)

// A small pack, so that what is printed does not change with the real one.
const (
	head = `
description: d
id: 11111111-1111-4111-8111-11111111111%d
name: %s
title: %s
status: test
date: 2026-11-22
`
	cake = `
level: high
logsource: {product: slack, service: audit}
detection: {s: {action: cake_eaten}, condition: s}
slacklogs: {tier: page, suppress: {by: [actor.user.id], for: 1h}, playbooks: [contact-actor]}
`
	cakes = `
level: critical
correlation: {type: event_count, rules: [cake], group-by: [actor.user.id], timespan: 10m, condition: {gte: 3}}
slacklogs: {tier: review, suppress: {by: [actor.user.id], for: 1h}, playbooks: [contact-actor]}
`
	tor = `
level: medium
logsource: {product: slack, service: access}
detection: {s: {access.change: new, ip|expand: '%tor_exits%'}, condition: s}
slacklogs: {tier: review, suppress: {by: [user_id], for: 1h}, playbooks: [contact-actor]}
`
	hook = `
level: low
logsource: {product: slack, service: integration}
detection: {s: {change_type: added}, condition: s}
slacklogs: {tier: hunt, suppress: {by: [user_id], for: 1h}}
`
	other = `
level: low
logsource: {product: slack, service: audit}
detection: {s: {action: tea_drunk}, condition: s}
slacklogs: {tier: hunt, suppress: {by: [actor.user.id], for: 1h}}
`
)

func smallPack(t *testing.T) *detect.Pack {
	t.Helper()
	files := fstest.MapFS{}
	for i, rule := range []struct{ name, rest string }{{"cake", cake}, {"cakes", cakes}, {"tor", tor}, {"hook", hook}, {"tea", other}} {
		files[rule.name+".yml"] = &fstest.MapFile{Data: []byte(fmt.Sprintf(head, i, rule.name, rule.name) + rule.rest)}
	}
	p, err := detect.Load(files)
	require.NoError(t, err)
	return p
}

func builtInLists(t *testing.T) *detect.Lists {
	t.Helper()
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(t, err)
	return lists
}

// judgeSmall judges files by the small pack.
func judgeSmall(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	f, err := parse(args, start, &out, &errs)
	require.NoError(t, err, errs.String())
	lists := builtInLists(t)
	tuned, err := smallPack(t).Tune(lists, time.Time{})
	require.NoError(t, err)
	only(tuned, f.Wanted())
	err = f.judge(t.Context(), tuned, lists, &out, &errs)
	return out.String(), errs.String(), err
}

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func auditEntry(id string, at time.Duration, action, actor string, more ...string) string {
	return fmt.Sprintf(`{"id":%q,"date_create":%d,"action":%q,"actor":{"type":"user","user":{"id":%q,"name":"Ada","email":"%s@example.com"}},`+
		`"context":{"ip_address":"198.51.100.7","ua":"Mozilla/5.0 (X11)","session_id":77,"location":{"type":"enterprise","id":"E0OWN"}}%s}`,
		id, start.Add(at).Unix(), action, actor, strings.ToLower(actor), strings.Join(append([]string{""}, more...), ","))
}

func accessRow(user string, at time.Duration, ip string) string {
	return fmt.Sprintf(`{"user_id":%q,"username":"ada","date_first":%d,"date_last":%d,"count":1,"ip":%q,"user_agent":"curl/8","isp":"Example","country":"DE"}`,
		user, start.Add(at).Unix(), start.Add(at).Unix(), ip)
}

func integrationRow(user string, at time.Duration, change string) string {
	return fmt.Sprintf(`{"user_id":%q,"user_name":"ada","date":"%d","change_type":%q,"app_id":"A0APP","app_type":"Pump","scope":"chat:write"}`,
		user, start.Add(at).Unix(), change)
}

// someEntries make two findings of cake (three held back), one of cakes, one of hook.
func someEntries() []string {
	return []string{
		auditEntry("a1", 0, "cake_eaten", "W0ADA"),
		auditEntry("a2", time.Minute, "cake_eaten", "W0ADA"),
		auditEntry("a3", 10*time.Minute, "cake_eaten", "W0ADA"),
		auditEntry("a4", 11*time.Minute, "cake_eaten", "W0ADA", `"entity":{"type":"user","user":{"id":"W0BEA","name":"Bea"}}`),
		auditEntry("a5", 26*time.Hour, "cake_eaten", "W0BEA"),
		auditEntry("a6", 26*time.Hour, "nothing_at_all", "W0CLEO", `"entity":{"type":"user","user":{"id":"W0ADA","name":"Ada"}}`),
		accessRow("W0ADA", 5*time.Minute, "203.0.113.9"),
		integrationRow("W0ADA", 49*time.Hour, "added"),
		integrationRow("W0ADA", 49*time.Hour, "removed"),
	}
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

func lines(entries []string) []byte { return []byte(strings.Join(entries, "\n") + "\n") }

// requests are the lines that the file exporter writes, of some entries each.
func requests(tb testing.TB, entries []string, opts record.Options) [][]byte {
	tb.Helper()
	converter := record.New(opts)
	var all [][]byte
	for chunk := range slices.Chunk(entries, 4) {
		logs := plog.NewLogs()
		resource := logs.ResourceLogs().AppendEmpty()
		resource.Resource().Attributes().PutStr("slack.team.id", "T0TEAM")
		to := resource.ScopeLogs().AppendEmpty().LogRecords()
		for _, entry := range chunk {
			element := jsonstream.NewElement([]byte(entry))
			switch logTypeOf(element.Root) {
			case "audit":
				converter.ParseAudit(element)
				converter.AppendAudit(to, start)
			case "access":
				converter.ParseAccess("T0TEAM", element)
				converter.AppendAccess(to, start, record.Change{New: true})
			case "integration":
				converter.ParseIntegration("T0TEAM", element)
				converter.AppendIntegration(to, start, converter.IntegrationUID(1))
			}
		}
		text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		require.NoError(tb, err)
		all = append(all, text)
	}
	return all
}

const wantTable = `9 records, 2026-11-02T09:00:00Z to 2026-11-04T10:00:00Z

Findings by day; matches are findings, and what was held back after one.

RULE   LEVEL     TIER    11-02  11-03  11-04  FINDINGS  MATCHES
cakes  critical  review      1      .      .         1        2
cake   high      page        1      1      .         2        5
hook   low       hunt        .      .      1         1        1
all                          2      1      1         4        8

Matched nothing (1): tea

Could not match, as a list is empty (1): tor
`

const wantFindings = `TIME                  LEVEL     TIER    RULE   OF                   HELD BACK  UIDS
2026-11-02T09:00:00Z  high      page    cake   actor.user.id=W0ADA  3          a1
2026-11-02T09:10:00Z  critical  review  cakes  actor.user.id=W0ADA  1          a1 a2 a3
2026-11-03T11:00:00Z  high      page    cake   actor.user.id=W0BEA  0          a5
`

func TestTable(t *testing.T) {
	t.Parallel()
	file := write(t, "entries.jsonl", lines(someEntries()))
	stdout, stderr, err := judgeSmall(t, file)
	require.NoError(t, err)
	assert.Empty(t, stderr)
	assert.Equal(t, wantTable, stdout)

	stdout, _, err = judgeSmall(t, "--findings", "--tier", "page,review", file)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(stdout, wantFindings+"\n9 records, "), stdout)
	assert.NotContains(t, stdout, "hook", "it is of another tier")
	assert.NotContains(t, stdout, "tea")

	// A correlation of a tier does not need its rules to be of that tier.
	stdout, _, err = judgeSmall(t, file, "--findings", "--tier", "review")
	require.NoError(t, err)
	assert.Contains(t, stdout, "a1 a2 a3")
	assert.NotContains(t, stdout, " page ")
}

// However records were kept, whole or in part, packed or not, in which order and how often: the findings are the same.
func TestForms(t *testing.T) {
	t.Parallel()
	want, _, err := judgeSmall(t, "--json", "--findings", write(t, "e", lines(someEntries())))
	require.NoError(t, err)

	reversed := someEntries()
	slices.Reverse(reversed)
	files := map[string][]string{
		"raw entries, newest first": {write(t, "e", lines(reversed))},
		"without a last line break": {write(t, "e", bytes.TrimSpace(lines(someEntries())))},
		"empty lines between":       {write(t, "e", []byte("\n"+strings.Join(someEntries(), "\r\n \n")))},
	}
	for _, body := range []record.Body{record.BodyRaw, record.BodyMap, record.BodyNone} {
		for _, attributes := range []record.Attributes{record.AttributesAll, record.AttributesCore, record.AttributesNone} {
			if body == record.BodyNone && attributes == record.AttributesNone {
				continue // the receiver refuses it
			}
			all := requests(t, someEntries(), record.Options{Body: body, Attributes: attributes})
			files[fmt.Sprintf("body %s, attributes %s", body, attributes)] = []string{write(t, "e.json", bytes.Join(all, []byte("\n")))}
		}
	}
	all := requests(t, someEntries(), record.Options{Body: record.BodyRaw, Attributes: record.AttributesAll})
	plain := append(bytes.Join(all, []byte("\n")), '\n')

	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err = w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	files["gzip"] = []string{write(t, "e.json.gz", gz.Bytes())}
	files["gzip, whatever it is called"] = []string{write(t, "e", gz.Bytes())}

	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	files["zstd"] = []string{write(t, "e.zst", z.EncodeAll(plain, nil))}
	var packed []byte
	for _, request := range all {
		one := z.EncodeAll(request, nil)
		packed = binary.BigEndian.AppendUint32(packed, uint32(len(one)))
		packed = append(packed, one...)
	}
	files["the file exporter's zstd"] = []string{write(t, "e.json", packed)}
	first, second := write(t, "1", all[0]), write(t, "2", append(append(bytes.Clone(all[2]), '\n'), all[1]...))
	files["several, in any order"] = []string{second, first}

	normal := func(text string) string {
		var report map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &report), text)
		delete(report, "files")
		// Without its workspace a row has another uid.
		for _, f := range report["findings"].([]any) {
			if f.(map[string]any)["rule"] == "hook" {
				delete(f.(map[string]any), "uids")
			}
		}
		canonical, err := json.Marshal(report)
		require.NoError(t, err)
		return string(canonical)
	}
	for name, paths := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, stderr, err := judgeSmall(t, append([]string{"--json", "--findings"}, paths...)...)
			require.NoError(t, err)
			assert.Empty(t, stderr)
			assert.JSONEq(t, normal(want), normal(got))
			again, _, err := judgeSmall(t, append([]string{"--json", "--findings"}, paths...)...)
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}

	// Twice the same changes no finding and no match.
	file := write(t, "e", lines(someEntries()))
	once, _, err := judgeSmall(t, file)
	require.NoError(t, err)
	twice, _, err := judgeSmall(t, file, file)
	require.NoError(t, err)
	_, once, _ = strings.Cut(once, "\n")
	_, twice, _ = strings.Cut(twice, "\n")
	assert.Equal(t, once, twice)
}

// What the collector knew and the body does not is kept.
func TestConvertedKeepsWhatTheCollectorKnew(t *testing.T) {
	t.Parallel()
	logs := plog.NewLogs()
	to := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	core := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesCore})
	core.ParseAccess("T0TEAM", jsonstream.NewElement([]byte(accessRow("W0ADA", 0, "203.0.113.9"))))
	core.AppendAccess(to, start, record.Change{})
	to.At(0).Attributes().PutEmptySlice("user.roles").AppendEmpty().SetStr("owner")
	none := record.New(record.Options{Body: record.BodyRaw, Attributes: record.AttributesNone})
	none.ParseAccess("T0TEAM", jsonstream.NewElement([]byte(accessRow("W0BEA", 0, "203.0.113.9"))))
	none.AppendAccess(to, start, record.Change{})
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)

	var got []string
	in := input{files: []string{write(t, "e", text)}}
	_, err = in.each(t.Context(), func(s *seen) {
		got = append(got, fmt.Sprint(s.Values("user_id"), s.Values("access.change"), s.Values("user.roles"), s.Values("country")))
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"[W0ADA] [seen_again] [owner] [DE]", "[W0BEA] [seen_again] [] [DE]"}, got)
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	good := auditEntry("a1", 0, "cake_eaten", "W0ADA")
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := w.Write(bytes.Repeat(lines([]string{good}), 1000))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, tt := range []struct {
		name   string
		text   []byte
		stderr string // %s is the file
		judged int
	}{
		{"no JSON", lines([]string{good, "nonsense", good, "[1]", `{"a":`}), "3 lines could not be read; the first: %s:2: no JSON object\n", 2},
		{"something else", lines([]string{`{"resourceSpans":[]}`, `{"a":1}`, good}), "2 lines could not be read; the first: %s:1: neither a request", 1},
		{"OTLP that is none", lines([]string{`{"resourceLogs":[{"scopeLogs":3}]}`, good}), "1 lines could not be read; the first: %s:1: ", 1},
		{"terminal codes", lines([]string{good, "\x1b[31m"}), "1 lines could not be read; the first: %s:2: no JSON object\n", 1},
		{"gzip that was cut", gz.Bytes()[:len(gz.Bytes())-20], "could not be read; the first: %s:", 1000},
		{"zstd that is none", []byte("\x28\xb5\x2f\xfd nonsense"), "the first: %s:1: ", 0},
		{"packed lines that are none", []byte("\x00\x00\x00\x08\x28\xb5\x2f\xfdnons"), "the first: %s:1: ", 0},
		{"packed lines cut short", []byte("\x00\x00\x10\x00\x28\xb5\x2f\xfd"), "the first: %s:1: unexpected EOF", 0},
		{"packed lines of a nonsensical length", []byte("\xff\xff\xff\xff\x28\xb5\x2f\xfd"), "the first: %s:1: too long", 0},
		{"nothing", nil, "no record was judged", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, "entries", tt.text)
			stdout, stderr, err := judgeSmall(t, file)
			if tt.judged == 0 && tt.text != nil {
				require.ErrorIs(t, err, verb.ErrAttention)
			} else {
				require.NoError(t, err)
				assert.Regexp(t, `^\d{1,4} records`, stdout)
			}
			want := strings.ReplaceAll(tt.stderr, "%s", file)
			assert.Contains(t, stderr, want)
			if tt.name != "gzip that was cut" && tt.judged > 0 {
				assert.True(t, strings.HasPrefix(stdout, fmt.Sprintf("%d records, ", tt.judged)), stdout)
			}
			assert.NotContains(t, stderr, "\x1b")
		})
	}
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"a\n" + long + "\nb\n", []string{"1 a", "2 too long", "3 b"}},
		{"a\n" + long, []string{"1 a", "2 too long"}},
		{strings.Repeat("y", 90<<10) + "\nb", []string{"1 92160", "2 b"}},
		{strings.Repeat("y", 100<<10) + "\nb", []string{"1 102400", "2 b"}},
		{strings.Repeat("y", 100<<10+1) + "\nb", []string{"1 too long", "2 b"}},
	} {
		var got []string
		require.NoError(t, eachLine(strings.NewReader(tt.text), 100<<10+1, func(number int, line []byte, err error) error {
			text := string(line)
			if len(text) > 10 {
				text = strconv.Itoa(len(text))
			}
			if err != nil {
				text = err.Error()
			}
			got = append(got, fmt.Sprint(number, " ", text))
			return nil
		}))
		assert.Equal(t, tt.want, got)
	}
}

// Others' records are left out, and counted.
func TestForeignRecords(t *testing.T) {
	t.Parallel()
	logs := plog.NewLogs()
	to := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	to.AppendEmpty().Body().SetStr("hello")
	health := to.AppendEmpty()
	health.SetEventName("slack.health.heartbeat")
	health.SetTimestamp(1)
	timeless := to.AppendEmpty()
	timeless.Attributes().PutStr("slack.log.type", "audit")
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	stdout, stderr, err := judgeSmall(t, write(t, "e", text))
	require.NoError(t, err)
	assert.Contains(t, stderr, "no record was judged: 0 outside of the time asked for, 3 not of the receiver")
	assert.Contains(t, stdout, "0 records; 3 others not of the receiver's logs")
	assert.Contains(t, stdout, "Nothing was found.")
}

func TestSinceAndUntil(t *testing.T) {
	t.Parallel()
	file := write(t, "e", lines(someEntries()))
	for _, tt := range []struct {
		args    []string
		records string
	}{
		{[]string{"--since", "2026-11-02T09:10:00Z"}, "6 records, 2026-11-02T09:10:00Z"}, // 9:10 itself counts
		{[]string{"--until", "2026-11-02T09:10:00Z"}, "3 records, 2026-11-02T09:00:00Z to 2026-11-02T09:05:00Z; 6 others outside"},
		{[]string{"--since", "2026-11-03", "--until", "2026-11-04"}, "2 records, 2026-11-03T11:00:00Z"},
		{[]string{"--since", "1h"}, "9 records"}, // an hour before start
	} {
		stdout, _, err := judgeSmall(t, append(tt.args, file)...)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(stdout, tt.records), "%v: %s", tt.args, stdout)
	}
}

// Of more than a month the table shows weeks, each from its Monday, and a wrong clock does not make it endless.
func TestWeeks(t *testing.T) {
	t.Parallel()
	entries := []string{
		auditEntry("a1", 0, "cake_eaten", "W0ADA"),                 // Monday
		auditEntry("a2", 6*24*time.Hour, "cake_eaten", "W0ADA"),    // Sunday
		auditEntry("a3", 7*24*time.Hour, "cake_eaten", "W0ADA"),    // Monday
		auditEntry("a4", 31*24*time.Hour, "nothing_else", "W0ADA"), // makes it long
	}
	stdout, _, err := judgeSmall(t, write(t, "e", lines(entries)), "--tier", "page")
	require.NoError(t, err)
	assert.Contains(t, stdout, "Findings by week")
	assert.Contains(t, stdout, `
RULE  LEVEL  TIER  2026-11-02  2026-11-09  FINDINGS  MATCHES
cake  high   page           2           1         3        3
`)
	for week := range 2 * maxWeeks {
		entries = append(entries, auditEntry(fmt.Sprint("b", week), time.Duration(50*52+week)*7*24*time.Hour, "cake_eaten", "W0ADA"))
	}
	stdout, _, err = judgeSmall(t, write(t, "e", lines(entries)), "--tier", "page")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^RULE  LEVEL  TIER  earlier  20`, stdout)
	assert.Regexp(t, `(?m)^cake  high   page       29 ( +1){26} +55 +55$`, stdout)
}

const wantContext = `2026-11-02T09:00:00Z  high  cake  page
2026-11-02T09:10:00Z  critical  cakes  review
Records from 2026-11-02T07:00:00Z to 2026-11-02T11:10:00Z; * marks those of the findings.

   TIME                  ACTION      ENTITY          ADDRESS       USER AGENT         SESSION
*  2026-11-02T09:00:00Z  cake_eaten  -               198.51.100.7  Mozilla/5.0 (X11)  77
*  2026-11-02T09:01:00Z  cake_eaten  -               198.51.100.7  Mozilla/5.0 (X11)  77
   2026-11-02T09:05:00Z  access new  Example DE      203.0.113.9   curl/8             -
*  2026-11-02T09:10:00Z  cake_eaten  -               198.51.100.7  Mozilla/5.0 (X11)  77
   2026-11-02T09:11:00Z  cake_eaten  user W0BEA Bea  198.51.100.7  Mozilla/5.0 (X11)  77

2026-11-04T10:00:00Z  low  hook  hunt
Records from 2026-11-04T08:00:00Z to 2026-11-04T12:00:00Z; * marks those of the findings.

   TIME                  ACTION               ENTITY      ADDRESS  USER AGENT  SESSION
`

func TestContext(t *testing.T) {
	t.Parallel()
	file := write(t, "e", lines(someEntries()))
	for _, user := range []string{"W0ADA", "w0ada@example.com", "W0Ada@Example.Com"} {
		stdout, _, err := judgeSmall(t, file, file, "--context", user, "--around", "2h")
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(stdout, wantContext), stdout)
		assert.Regexp(t, `(?m)^\*  2026-11-04T10:00:00Z  integration added    A0APP Pump  -        -           -$`, stdout)
		assert.Contains(t, stdout, "integration removed")
	}
	// What others do to a person is there too, and says who did it.
	stdout, _, err := judgeSmall(t, file, "--context", "W0ADA", "--around", "48h")
	require.NoError(t, err)
	assert.Contains(t, stdout, "nothing_at_all by W0CLEO  user W0ADA Ada")

	stdout, _, err = judgeSmall(t, file, "--context", "W0CLEO")
	require.NoError(t, err)
	assert.Equal(t, "No finding is about W0CLEO.\n", stdout)

	stdout, _, err = judgeSmall(t, file, "--context", "W0ADA", "--json")
	require.NoError(t, err)
	var report struct {
		User     string
		Episodes []struct {
			From, To time.Time
			Findings []findingReport
			Records  []deed
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	assert.Equal(t, "W0ADA", report.User)
	require.Len(t, report.Episodes, 2)
	assert.Len(t, report.Episodes[0].Findings, 2, "their days overlap")
	assert.Len(t, report.Episodes[0].Records, 5)
	assert.Len(t, report.Episodes[1].Findings, 1)
	assert.Len(t, report.Episodes[1].Records, 3)
	for _, e := range report.Episodes {
		assert.True(t, slices.IsSortedFunc(e.Records, func(a, b deed) int { return a.Time.Compare(b.Time) }))
	}
}

// A terminal is not commanded by what stands in records.
func TestPrintable(t *testing.T) {
	t.Parallel()
	entry := strings.Replace(auditEntry("a1", 0, "cake_eaten", "W0ADA", `"entity":{"type":"user","user":{"id":"W0BEA","name":"\u001b[31mBea\nBea"}}`), "Mozilla", `\u001b]0;x\u0007`, 1)
	entry = strings.Replace(entry, `"a1"`, `"a\u001b[1"`, 1)
	file := write(t, "e", lines([]string{entry}))
	for _, args := range [][]string{{"--findings"}, {"--context", "W0ADA"}} {
		stdout, _, err := judgeSmall(t, append(args, file)...)
		require.NoError(t, err)
		assert.NotContains(t, stdout, "\x1b")
		assert.NotContains(t, stdout, "\x07")
		assert.NotContains(t, stdout, "Bea\nBea")
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	file := write(t, "e", lines(someEntries()))
	for _, tt := range []struct {
		args   []string
		stderr string
	}{
		{nil, "name the files to read"},
		{[]string{"nowhere.json"}, "nowhere.json"},
		{[]string{t.TempDir()}, "is a folder"},
		{[]string{file, "--since", "yesterday"}, "neither a day"},
		{[]string{file, "--tier", "urgent"}, "none of page, review, hunt"},
		{[]string{"-", "--context", "W0ADA"}, "--context reads twice"},
		{[]string{"-", "--suggest-lists"}, "--suggest-lists reads twice"},
		{[]string{file, "--context", "W0ADA", "--suggest-lists"}, "are two things"},
		{[]string{file, "--own-app", "A0OWN"}, "--own-app goes with --suggest-lists"},
		{[]string{file, "--suggest-lists", "--own-app", "own"}, "begins with A"},
		{[]string{file, "--suggest-lists", "--json"}, "writes YAML"},
		{[]string{file, "--suggest-lists", "--tier", "page"}, "its own tiers"},
		{[]string{os.DevNull, "--suggest-lists"}, "--suggest-lists reads twice"},
		{[]string{file, "--context", "W0ADA", "--around", "0s"}, "--around must be more than 0"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, verb.Func(Run).Exit(t.Context(), "backtest", tt.args, &stdout, &stderr), "%v", tt.args)
		assert.Contains(t, stderr.String(), tt.stderr)
		assert.Empty(t, stdout.String())
	}
}

// The verb as a whole, with the built-in pack and stdin.
func TestRun(t *testing.T) {
	t.Parallel()
	entries := lines([]string{
		auditEntry("a1", 0, "role_change_to_owner", "W0ADA", `"entity":{"type":"user","user":{"id":"W0BEA","name":"Bea"}}`), "nonsense",
	})
	var stdout, stderr bytes.Buffer
	f, err := parse([]string{"-", "--findings"}, start, &stdout, &stderr)
	require.NoError(t, err)
	f.stdin = bytes.NewReader(entries)
	require.NoError(t, f.run(t.Context(), start, &stdout, &stderr))
	assert.Regexp(t, `(?m)^2026-11-02T09:00:00Z +high +review +role_to_admin +actor\.user\.id=W0ADA .*a1$`, stdout.String())
	assert.Contains(t, stderr.String(), "1 lines could not be read; the first: -:2: no JSON object")

	lists := write(t, "lists.yml", bytes.Replace(detections.Lists(), []byte("exceptions: []"),
		[]byte("exceptions: [{rules: [role_to_admin], match: {actor.user.id: W0ADA}, owner: o, reason: r, expires: 2027-01-01}]"), 1))
	for at, want := range map[time.Time]bool{start: false, start.AddDate(1, 0, 0): true} {
		stdout.Reset()
		f, err = parse([]string{"-", "--findings", "--lists", lists}, start, &stdout, &stderr)
		require.NoError(t, err)
		f.stdin = bytes.NewReader(entries)
		require.NoError(t, f.run(t.Context(), at, &stdout, &stderr))
		assert.Equal(t, want, strings.Contains(stdout.String(), "actor.user.id=W0ADA"), "at %s", at)
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestOutputThatIsNotTaken fails: half a report would pass for a whole one.
func TestOutputThatIsNotTaken(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--findings", "--json"} {
		f, err := parse([]string{"-", flag}, start, io.Discard, io.Discard)
		require.NoError(t, err)
		f.stdin = strings.NewReader(auditEntry("a1", 0, "role_change_to_owner", "W0ADA", `"entity":{}`))
		assert.EqualError(t, f.run(t.Context(), start, fullDisk{}, io.Discard), "no space left", flag)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package schemas // import "github.com/slacklogs/otelcol-slacklogs/test/schemas"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/ottl"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// tagger is the real processor with a configuration as the collector reads it. Whatever it has to say fails the test.
func tagger(tb testing.TB, text string) func(plog.Logs) plog.Logs {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "detections.yaml")
	require.NoError(tb, os.WriteFile(file, []byte(text), 0o600))
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"file:" + file},
		ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
	})
	require.NoError(tb, err)
	conf, err := resolver.Resolve(tb.Context())
	require.NoError(tb, err)
	conf, err = conf.Sub("processors::" + ottl.Processor)
	require.NoError(tb, err)

	factory := transformprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(tb, conf.Unmarshal(cfg)) // to validate it would be to parse it once more
	core, said := observer.New(zapcore.InfoLevel)
	settings := processortest.NewNopSettings(factory.Type())
	settings.Logger = zap.New(core)
	sink := new(consumertest.LogsSink)
	p, err := factory.CreateLogs(tb.Context(), settings, cfg, sink)
	require.NoError(tb, err)
	require.NoError(tb, p.Start(tb.Context(), componenttest.NewNopHost()))
	return func(logs plog.Logs) plog.Logs {
		sink.Reset()
		require.NoError(tb, p.ConsumeLogs(tb.Context(), logs))
		require.Len(tb, sink.AllLogs(), 1)
		for _, entry := range said.TakeAll() {
			assert.Fail(tb, "the processor says", "%s %v", entry.Message, entry.ContextMap())
		}
		return sink.AllLogs()[0]
	}
}

// compiled is a tuned pack as the processor runs it.
func compiled(tb testing.TB, tuned *detect.Tuned) func(plog.Logs) plog.Logs {
	tb.Helper()
	text, err := ottl.Config(tuned, detect.Tiers)
	require.NoError(tb, err)
	return tagger(tb, text)
}

func pack(tb testing.TB) (*detect.Pack, *detect.Lists) {
	tb.Helper()
	rules, err := detect.Load(detections.Rules())
	require.NoError(tb, err)
	lists, err := detect.ParseLists(detections.Lists())
	require.NoError(tb, err)
	return rules, lists
}

// tags are what the processor adds.
var tags = regexp.MustCompile(`^(slack\.detections|slack\.detection\.level|security_rule\..*)$`)

// requireTags holds the records that the processor returned to the evaluator's judgement of those it got, and returns
// how many times each rule matched.
func requireTags(tb testing.TB, tuned *detect.Tuned, before, after plog.Logs) map[string]int {
	tb.Helper()
	found := map[string]int{}
	evaluator := tuned.NewEvaluator()
	require.Equal(tb, recordsOf(before).Len(), recordsOf(after).Len())
	for i, was := range recordsOf(before).All() {
		is := recordsOf(after).At(i).Attributes().AsRaw()
		want := was.Attributes().AsRaw()
		was.SetTimestamp(max(was.Timestamp(), 1)) // the collector tags also what has no time
		if event, ok := detect.FromRecord(was); ok {
			maps.DeleteFunc(want, func(name string, _ any) bool { return tags.MatchString(name) })
			if matches := evaluator.Add(event); len(matches) > 0 {
				var names []any
				for _, rule := range matches {
					found[rule.Name]++
					names = append(names, rule.Name)
				}
				want[ottl.Detections] = names
				want[ottl.Level] = string(matches[0].Level)
				want["security_rule.ruleset.name"] = "slacklogs"
				want["security_rule.name"] = matches[0].Name
				want["security_rule.uuid"] = matches[0].ID
				want["security_rule.version"] = matches[0].Version()
			}
		}
		if !assert.ObjectsAreEqual(want, is) {
			text, _ := json.Marshal(was.Attributes().AsRaw())
			require.Equal(tb, want, is, "of %s", text)
		}
	}
	return found
}

func clone(logs plog.Logs) plog.Logs {
	cloned := plog.NewLogs()
	logs.CopyTo(cloned)
	return cloned
}

// Each entry of the pack's tests gets the tags of the rules that match it, with the lists of its test.
func TestDetectionsOfThePacksTests(t *testing.T) {
	rules, lists := pack(t)
	cases, err := detecttest.Load(os.DirFS("../../detections/tests"), rules, time.Unix(1772600000, 0))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	byLists, found := map[string][]detecttest.Case{}, map[string]int{}
	for _, c := range cases {
		maps.DeleteFunc(c.Lists, func(_ string, values []string) bool { return len(values) == 0 })
		key := fmt.Sprint(c.Lists)
		byLists[key] = append(byLists[key], c)
	}
	for _, cases := range byLists {
		tuned, err := cases[0].Tune(rules, lists)
		require.NoError(t, err)
		logs, records := newLogs()
		for _, c := range cases {
			c.Records().MoveAndAppendTo(records)
		}
		for name, n := range requireTags(t, tuned, logs, compiled(t, tuned)(clone(logs))) {
			found[name] += n
		}
	}
	for _, r := range rules.Rules {
		if r.Tier != "" {
			assert.Positive(t, found[r.Name], "%s matches nothing in all tests", r.Name)
		}
	}
}

// All other records that the project has: of each action, odd ones, with each setting of the receiver, tagged before.
func TestDetectionsOfAllRecords(t *testing.T) {
	rules, lists := pack(t)
	tuned, err := rules.Tune(lists, observed)
	require.NoError(t, err)
	to := compiled(t, tuned)
	_, each := kinds(t)
	all := []plog.Logs{each}
	for _, opts := range settings() {
		all = append(all, allRecords(t, opts))
	}
	stale := allRecords(t, defaults)
	for _, rec := range recordsOf(stale).All() {
		tagBefore(rec.Attributes())
	}
	for _, logs := range append(all, stale) {
		requireTags(t, tuned, logs, to(clone(logs)))
	}
}

// tagBefore makes a record look as if it had been tagged already, wrongly.
func tagBefore(attributes pcommon.Map) {
	attributes.PutEmptySlice(ottl.Detections).AppendEmpty().SetStr("made_up")
	for _, name := range []string{ottl.Level, "security_rule.ruleset.name", "security_rule.name", "security_rule.uuid", "security_rule.version"} {
		attributes.PutStr(name, "made up")
	}
}

// What is not the receiver's keeps its own tags, and health records get none.
func TestDetectionsLeaveOthersAlone(t *testing.T) {
	rules, lists := pack(t)
	tuned, err := rules.Tune(lists, observed)
	require.NoError(t, err)
	logs, records := newLogs()
	records.AppendEmpty()
	tagBefore(records.AppendEmpty().Attributes())
	records.AppendEmpty().Attributes().PutStr("slack.log.type", "collection")
	records.AppendEmpty().Attributes().PutInt("slack.log.type", 7)
	for _, rec := range records.All() {
		rec.Attributes().PutStr("slack.action", "ekm_unenrolled")
	}
	after := compiled(t, tuned)(clone(logs))
	for i, rec := range records.All() {
		assert.Equal(t, rec.Attributes().AsRaw(), recordsOf(after).At(i).Attributes().AsRaw())
	}
}

// odd are texts that somebody who writes conditions may trip over.
var odd = []string{
	"", "a", "A", "admin", "Admin.users:write", `it"s`, `'`, `\`, `back\slash`, `\"`, `\u003c`, "u003c", "003c", "<b>&", "$", "$$", "$HOME",
	"${env:HOME}", "new\nline", "tab\tb", "\b\f\r", "\x00", "\x1b", "\x7f", "K", "k", "ſ", "S", "İ", "i", "É", "é", "ß", "SS", "😀", "\u2028x",
	"\u00a0", "\ufeff", "\u0085", "a,b", `","`, `["a"]`, `a","b`, "]", "[", "null", "true", "0", "*", "?", "a*b", "%", "(", ")", ".", "^a$", "role_change",
	"W0ACTOR0001", "198.51.100.7", "2001:db8::1", "::ffff:10.1.2.3", "10.1.2.3", "10.1.2.300", "n", "b",
}

// oddRules are rules with random conditions. Each is made as text, so that nothing is asked of the compiler that nobody
// could write.
type oddRules struct {
	*rand.Rand
	action bool // all rules ask for an action
}

func pick[T any](r oddRules, from []T) T { return from[r.IntN(len(from))] }

var (
	singles  = []string{"action", "actor.user.id", "entity.file.name", "context.ip_address", "entity.type", "context.session_id"}
	plurals  = []string{"details.new_value", "details.reason", "details.target_user", "details.scopes_added", "entity.app.scopes", "user.roles"}
	booleans = []string{"entity.channel.is_shared", "entity.app.is_distributed"}
	patterns = []string{`^a`, `(?i)ADMIN\.`, `"`, `\$`, `[\\']`, `^$`, `\n`, `s$|^k`, `\p{Lu}`, `(a|b),`, "\u2028", `(^|,)\s*admin`}
	networks = []string{"198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32", "::ffff:10.1.0.0/112", "10.1.2.3", "0.0.0.0/0"}
)

// literal takes the meaning from characters that have one in Sigma.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(text)
}

// field is a line of a search.
func (r oddRules) field(many bool) (key string, value any) {
	name := pick(r, singles)
	if many {
		name = pick(r, plurals)
	}
	some := func(value func() string) (all []string) {
		for range 1 + r.IntN(4) {
			all = append(all, value())
		}
		return all
	}
	switch r.IntN(14) {
	case 0:
		return name + "|exists", r.IntN(2) == 0
	case 1:
		return pick(r, booleans), r.IntN(2) == 0
	case 2:
		return pick(r, booleans) + "|exists", r.IntN(2) == 0
	case 3:
		return name + "|fieldref", []string{pick(r, singles), pick(r, plurals)}
	case 4:
		if !many {
			return name + "|re" + pick(r, []string{"", "|i"}), some(func() string { return pick(r, patterns) })
		}
	case 5:
		if !many {
			return name + "|cidr", some(func() string { return pick(r, networks) })
		}
	case 6:
		if !many {
			return name + "|expand", []string{"%ids%", "%networks%"}
		}
		return name + "|expand", []string{"%ids%", "%empty%"}
	case 7:
		return name, []any{nil, literal(pick(r, odd))}
	case 8:
		star := func() string { return pick(r, []string{"", "*"}) + literal(pick(r, odd)) + pick(r, []string{"", "*"}) }
		if !many {
			star = func() string {
				return literal(pick(r, odd)) + pick(r, []string{"*", "?", "*?"}) + literal(pick(r, odd))
			}
		}
		return name + pick(r, []string{"", "|cased"}), some(star)
	}
	key = name + pick(r, []string{"", "", "|contains", "|startswith", "|endswith"}) + pick(r, []string{"", "", "|cased"})
	values := some(func() string { return literal(pick(r, odd)) })
	if r.IntN(6) == 0 {
		key += "|all"
	}
	return key, values
}

// rule is a whole one.
func (r oddRules) rule(n int) []byte {
	detection := map[string]any{}
	var parts []string
	for i := range 1 + r.IntN(3) {
		search := map[string]any{}
		for range 1 + r.IntN(2) {
			key, value := r.field(r.IntN(2) == 0)
			search[key] = value
		}
		name := "s" + strconv.Itoa(i)
		detection[name] = search
		parts = append(parts, pick(r, []string{"", "not "})+name)
	}
	condition := parts[0]
	for _, part := range parts[1:] {
		condition = "(" + condition + pick(r, []string{") and ", ") or ", ") and not (not "}) + part
		if strings.HasSuffix(condition, "(not "+part) {
			condition += ")"
		}
	}
	if r.action {
		detection["action"] = map[string]any{"action" + pick(r, []string{"", "", "|startswith", "|cased"}): []string{literal(pick(r, odd)), literal(pick(r, odd))}}
		condition = "action and (" + condition + ")"
	}
	detection["condition"] = condition
	text, err := json.Marshal(map[string]any{
		"title": "A made-up rule", "id": fmt.Sprintf("00000000-0000-4000-8000-%012d", n), "name": fmt.Sprintf("rule_%d", n),
		"status": "experimental", "date": fmt.Sprintf("2026-11-%02d", 1+n%28), "level": pick(r, []string{"high", "critical"}),
		"logsource": map[string]any{"product": "slack", "service": "audit"}, "detection": detection,
		"slacklogs": map[string]any{"tier": "page", "suppress": map[string]any{"by": []string{"actor.user.id"}, "for": "1h"}, "playbooks": []string{"contact-actor"}},
	})
	if err != nil {
		panic(err)
	}
	var escaped bytes.Buffer // YAML takes JSON, but not all characters as they are
	for _, c := range string(text) {
		if c < 0x7f {
			escaped.WriteRune(c)
		} else {
			fmt.Fprintf(&escaped, `\U%08x`, c)
		}
	}
	return escaped.Bytes()
}

// put gives an attribute a random value of any type.
func (r oddRules) put(name string, to pcommon.Map) {
	texts := func(n int, slice pcommon.Slice) {
		for range n {
			slice.AppendEmpty().SetStr(pick(r, odd))
		}
	}
	switch r.IntN(16) {
	case 0:
	case 1:
		to.PutInt(name, int64(r.IntN(3)))
	case 2:
		to.PutBool(name, r.IntN(2) == 0)
	case 3:
		texts(2, to.PutEmptyMap(name).PutEmptySlice("k"))
	case 4:
		to.PutEmpty(name)
	case 5:
		to.PutDouble(name, 1.5)
	case 6:
		to.PutEmptyBytes(name).FromRaw([]byte("admin"))
	case 7: // a list of all kinds
		slice := to.PutEmptySlice(name)
		texts(r.IntN(3), slice)
		switch v := slice.AppendEmpty(); r.IntN(5) {
		case 0:
			v.SetInt(7)
		case 1:
			texts(1, v.SetEmptySlice())
		case 2:
			texts(1, v.SetEmptyMap().PutEmptySlice("a"))
		case 3:
			v.SetBool(true)
		}
		texts(r.IntN(2), slice)
	case 8, 9, 10, 11:
		texts(r.IntN(4), to.PutEmptySlice(name))
	case 12:
		to.PutStr(name, pick(r, odd)+pick(r, odd))
	default:
		to.PutStr(name, pick(r, odd))
	}
}

// What anybody may write in a rule means the same in the collector as for the evaluator, whatever records hold, and is
// no error for any of them.
func TestDetectionsOfRandomRules(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	tuning := &detect.Lists{Lists: map[string]detect.List{
		"ids":      {Kind: detect.Users, Values: []string{"W0ACTOR0001", "a", "K", `it"s`}},
		"networks": {Kind: detect.Networks, Values: networks[:3]},
		"empty":    {Kind: detect.Apps},
	}}
	found, judged := 0, 0
	for round := range 20 {
		r := oddRules{random, round%2 == 0}
		files := fstest.MapFS{}
		for n := range 30 {
			files[fmt.Sprintf("%d.yml", n)] = &fstest.MapFile{Data: r.rule(n)}
		}
		rules, err := detect.Load(files)
		require.NoError(t, err)
		tuned, err := rules.Tune(tuning, observed)
		require.NoError(t, err)
		logs, records := newLogs()
		for range 300 {
			rec := records.AppendEmpty()
			rec.SetTimestamp(1772600000e9)
			rec.Attributes().PutStr("slack.log.type", "audit")
			for _, name := range slices.Concat(singles, plurals, booleans) {
				field, err := detect.FieldOf("audit", name)
				require.NoError(t, err)
				if r.IntN(4) > 0 {
					r.put(field.Attribute, rec.Attributes())
				}
			}
			if r.IntN(10) == 0 {
				tagBefore(rec.Attributes())
			}
		}
		for _, n := range requireTags(t, tuned, logs, compiled(t, tuned)(clone(logs))) {
			found += n
		}
		judged += records.Len() * len(rules.Rules)
	}
	t.Logf("%d of %d judgements were matches", found, judged)
	assert.Greater(t, found, judged/20)
	assert.Less(t, found, judged*3/4)
}

// BenchmarkDetections shows what the rules cost: records of a busy organisation through a processor that does nothing,
// and through the one that tags.
func BenchmarkDetections(b *testing.B) {
	rules, lists := pack(b)
	tuned, err := rules.Tune(lists, observed)
	require.NoError(b, err)
	logs, records := newLogs()
	c := record.New(defaults)
	made := slacktest.NewOrganisation(1)
	for i := range int64(1000) {
		appendRecord(c, "audit", made.Entry(1772600001+i).JSON, record.Change{}, records)
	}
	to := map[string]func(plog.Logs) plog.Logs{
		"nothing": tagger(b, "processors:\n  "+ottl.Processor+":\n    error_mode: ignore\n    log_statements:\n      - conditions:\n"+
			"          - 'log.attributes[\"slack.log.type\"] == \"nothing\"'\n        statements:\n          - 'set(log.attributes[\"a\"], 1)'\n"),
		"tagging": compiled(b, tuned),
	}
	tagged := 0
	for _, rec := range recordsOf(to["tagging"](clone(logs))).All() {
		if _, ok := rec.Attributes().Get(ottl.Detections); ok {
			tagged++
		}
	}
	require.Positive(b, tagged)
	for name, to := range to {
		b.Run(name, func(b *testing.B) {
			own := clone(logs) // each time anew tagged
			for b.Loop() {
				to(own)
			}
			b.ReportMetric(float64(records.Len()*b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(100*float64(tagged)/float64(records.Len()), "%tagged")
		})
	}
}

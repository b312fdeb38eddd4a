// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package detect_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// doc is a document with what each must have; more are further lines.
func doc(name, more string) string {
	id := 0
	for _, c := range name {
		id = id*31 + int(c)
	}
	return fmt.Sprintf("title: %s\nid: 00000000-0000-4000-8000-%012d\nname: %s\nstatus: experimental\ndate: 2026-11-22\n%s\n", name, id%1e12, name, more)
}

// block is a building block: events with this action.
func block(name, action string) string {
	return doc(name, "level: informational\nlogsource: {product: slack, service: audit}\ndetection: {s: {action: "+action+"}, condition: s}")
}

const audit = "logsource: {product: slack, service: audit}\n"

// alerting is what a rule or correlation has that makes findings.
func alerting(by, quiet string) string {
	return "level: high\nslacklogs: {tier: review, suppress: {by: [" + by + "], for: " + quiet + "}, playbooks: [contact-actor]}\n"
}

// packOf is one of these documents.
func packOf(docs ...string) (*detect.Pack, error) {
	files := fstest.MapFS{}
	for i, text := range docs {
		// People write both endings.
		files[fmt.Sprintf("folder/%d%s", i, []string{".yml", ".yaml"}[i%2])] = &fstest.MapFile{Data: []byte(text)}
		// A mounted ConfigMap has its files once more in a hidden folder.
		files[fmt.Sprintf("folder/..2026/%d.yml", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return detect.Load(files)
}

func tune(t *testing.T, lists *detect.Lists, docs ...string) *detect.Tuned {
	t.Helper()
	pack, err := packOf(docs...)
	require.NoError(t, err)
	if lists == nil {
		lists = &detect.Lists{}
	}
	tuned, err := pack.Tune(lists, start)
	require.NoError(t, err)
	return tuned
}

// occurrence is an event in short: when, what, who, and to whom or from where; "-" is missing.
type occurrence struct {
	at                           int
	uid, action, user, other, ip string
}

// events reads lines such as "60 fail W1", with "other=W2", "ip=…" and "uid=…" behind if need be.
func events(t *testing.T, text string) []detect.Event {
	t.Helper()
	var all []occurrence
	for line := range strings.SplitSeq(text, ";") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		at, err := strconv.Atoi(words[0])
		require.NoError(t, err)
		o := occurrence{at: at, uid: "e" + strconv.Itoa(len(all)), action: words[1], user: words[2]}
		for _, word := range words[3:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "other":
				o.other = value
			case "ip":
				o.ip = value
			case "uid":
				o.uid = value
			default:
				require.Fail(t, "what is "+word)
			}
		}
		all = append(all, o)
	}
	return eventsOf(all)
}

func eventsOf(all []occurrence) []detect.Event {
	records := plog.NewLogRecordSlice()
	for _, o := range all {
		rec := records.AppendEmpty()
		rec.SetTimestamp(2)
		rec.Attributes().PutStr("slack.log.type", "audit")
		rec.Attributes().PutStr("log.record.uid", o.uid)
		for name, value := range map[string]string{
			"slack.action": o.action, "slack.actor.user.id": o.user, "slack.entity.user.id": o.other, "slack.context.ip_address": o.ip,
		} {
			if value != "" && value != "-" {
				rec.Attributes().PutStr(name, value)
			}
		}
	}
	var events []detect.Event
	for i, rec := range records.All() {
		event, _ := detect.FromRecord(rec)
		event.Time = start.Add(time.Duration(all[i].at) * time.Second)
		events = append(events, event)
	}
	return events
}

// found says in short what an evaluator finds: rule, group, first and last second, number of events, held back.
func found(tuned *detect.Tuned, events []detect.Event) (all []string) {
	evaluator := tuned.NewEvaluator()
	for _, event := range events {
		evaluator.Add(event)
	}
	for _, f := range evaluator.Findings() {
		all = append(all, fmt.Sprintf("%s %s %.0f-%.0f %d+%d", f.Rule, strings.Join(f.Values, ","),
			f.First.Sub(start).Seconds(), f.Last.Sub(start).Seconds(), len(f.UIDs), f.HeldBack))
	}
	return all
}

// TestCorrelationsMean shows what each kind of correlation finds, whatever the order in which the events come.
func TestCorrelationsMean(t *testing.T) {
	t.Parallel()
	fail, login, risk, admin := block("fail", "fail"), block("login", "login"), block("risk", "risk"), block("admin", "admin")
	correlation := func(body string) string { return doc("c", "correlation: {"+body+"}\n"+alerting("actor.user.id", "1h")) }
	burst := correlation("type: event_count, rules: [fail], group-by: [actor.user.id], timespan: 5m, condition: {gte: 3}")
	more := correlation("type: event_count, rules: [fail], group-by: [actor.user.id], timespan: 5m, condition: {gt: 3}")
	exactly := correlation("type: event_count, rules: [fail], group-by: [actor.user.id], timespan: 5m, condition: {eq: 3}")
	both := correlation("type: event_count, rules: [fail, login], group-by: [actor.user.id], timespan: 5m, condition: {gte: 3}")
	byAddress := doc("c", "correlation: {type: value_count, rules: [fail], group-by: [context.ip_address], timespan: 5m, condition: {field: actor.user.id, gte: 3}}\n"+alerting("context.ip_address", "1h"))
	twoFields := correlation("type: event_count, rules: [fail], group-by: [actor.user.id, context.ip_address], timespan: 5m, condition: {gte: 2}")
	temporal := correlation("type: temporal, rules: [fail, login], group-by: [actor.user.id], timespan: 5m")
	ordered := correlation("type: temporal_ordered, rules: [fail, login], group-by: [actor.user.id], timespan: 5m")
	three := correlation("type: temporal_ordered, rules: [fail, login, risk], group-by: [actor.user.id], timespan: 5m")
	five := doc("five", "level: informational\ncorrelation: {type: event_count, rules: [fail], group-by: [actor.user.id], timespan: 5m, condition: {gte: 5}}")
	brute := correlation("type: temporal_ordered, rules: [five, login], group-by: [actor.user.id], timespan: 10m")
	aliased := doc("c", "correlation: {type: temporal_ordered, rules: [admin, risk], group-by: [uid], timespan: 5m, aliases: {uid: {admin: entity.user.id, risk: actor.user.id}}}\n"+alerting("uid", "1h"))
	overlapping := []string{block("one", "[x, y]"), block("two", "[y, z]"), doc("c", "correlation: {type: temporal, rules: [one, two], group-by: [actor.user.id], timespan: 5m}\n"+alerting("actor.user.id", "1h"))}

	for _, c := range []struct {
		name   string
		docs   []string
		events string
		want   []string
	}{
		{"at the threshold", []string{fail, burst}, "0 fail W1; 10 fail W1; 20 fail W1", []string{"c W1 0-20 3+0"}},
		{"below it", []string{fail, burst}, "0 fail W1; 10 fail W1", nil},
		{"gt is more", []string{fail, more}, "0 fail W1; 10 fail W1; 20 fail W1", nil},
		{"gt, one more", []string{fail, more}, "0 fail W1; 10 fail W1; 20 fail W1; 30 fail W1", []string{"c W1 0-30 4+0"}},
		{"eq", []string{fail, exactly}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1", []string{"c W1 0-2 3+0"}},
		{"eq, passed within a second", []string{fail, exactly}, "0 fail W1; 1 fail W1; 2 fail W1; 2 fail W1", nil},
		{"edge of the window", []string{fail, burst}, "0 fail W1; 150 fail W1; 300 fail W1", []string{"c W1 0-300 3+0"}},
		{"a second beyond", []string{fail, burst}, "0 fail W1; 150 fail W1; 301 fail W1", nil},
		{"over the edge of a bin", []string{fail, burst}, "298 fail W1; 299 fail W1; 301 fail W1", []string{"c W1 298-301 3+0"}},
		{"two groups", []string{fail, burst}, "0 fail W1; 1 fail W2; 2 fail W1; 3 fail W2", nil},
		{"two groups, each enough", []string{fail, burst}, "0 fail W1; 0 fail W2; 1 fail W1; 1 fail W2; 2 fail W1; 3 fail W2", []string{"c W1 0-2 3+0", "c W2 0-3 3+0"}},
		{"without the group's field", []string{fail, burst}, "0 fail -; 1 fail -; 2 fail -; 3 fail W1", nil},
		{"all within a second", []string{fail, burst}, "7 fail W1; 7 fail W1; 7 fail W1", []string{"c W1 7-7 3+0"}},
		{"the same entry again", []string{fail, burst}, "0 fail W1 uid=x; 1 fail W1; 0 fail W1 uid=x", nil},
		{"two rules count together", []string{fail, login, both}, "0 fail W1; 1 login W1; 2 fail W1", []string{"c W1 0-2 3+0"}},
		{"two fields", []string{fail, twoFields}, "0 fail W1 ip=a; 1 fail W1 ip=b; 2 fail W1 ip=b", []string{"c W1,b 1-2 2+0"}},
		{"two fields, one missing", []string{fail, twoFields}, "0 fail W1; 1 fail W1", nil},
		{"held back for all of the other field", []string{fail, twoFields}, "0 fail W1 ip=a; 1 fail W1 ip=a; 2 fail W1 ip=b; 3 fail W1 ip=b", []string{"c W1,a 0-1 2+1"}},

		{"values", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 2 fail W3 ip=a", []string{"c a 0-2 3+0"}},
		{"values that repeat", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 2 fail W1 ip=a; 3 fail W2 ip=a", nil},
		{"values of two groups", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 2 fail W3 ip=b", nil},
		{"a value that is missing", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 2 fail - ip=a", nil},
		{"values, edge", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 300 fail W3 ip=a", []string{"c a 0-300 3+0"}},
		{"values, beyond", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 301 fail W3 ip=a", nil},
		{"a value that comes again in time", []string{fail, byAddress}, "0 fail W1 ip=a; 1 fail W2 ip=a; 5 fail W1 ip=a; 301 fail W3 ip=a", []string{"c a 1-301 3+0"}},

		{"temporal", []string{fail, login, temporal}, "0 fail W1; 300 login W1", []string{"c W1 0-300 2+0"}},
		{"temporal, the other way round", []string{fail, login, temporal}, "0 login W1; 300 fail W1", []string{"c W1 0-300 2+0"}},
		{"temporal, beyond", []string{fail, login, temporal}, "0 login W1; 301 fail W1", nil},
		{"temporal, two people", []string{fail, login, temporal}, "0 login W1; 1 fail W2", nil},
		{"temporal, one half", []string{fail, login, temporal}, "0 login W1; 1 login W1", nil},
		{"one event for two members", overlapping, "0 y W1", nil},
		{"one event for two members, and another", overlapping, "0 y W1; 9 y W1", []string{"c W1 0-9 2+0"}},
		{"the same event twice is not another", overlapping, "0 y W1 uid=x; 0 y W1 uid=x", nil},
		{"it may stand for either", overlapping, "0 y W1; 9 z W1", []string{"c W1 0-9 2+0"}},

		{"ordered", []string{fail, login, ordered}, "0 fail W1; 300 login W1", []string{"c W1 0-300 2+0"}},
		{"wrong order", []string{fail, login, ordered}, "0 login W1; 300 fail W1", nil},
		{"ordered, beyond", []string{fail, login, ordered}, "0 fail W1; 301 login W1", nil},
		{"the same second", []string{fail, login, ordered}, "5 login W1; 5 fail W1", []string{"c W1 5-5 2+0"}},
		{"three", []string{fail, login, risk, three}, "0 fail W1; 1 login W1; 2 risk W1", []string{"c W1 0-2 3+0"}},
		{"three, two of them in the wrong order", []string{fail, login, risk, three}, "0 login W1; 1 fail W1; 2 risk W1", nil},
		{"three, all of them in a second", []string{fail, login, risk, three}, "0 risk W1; 0 login W1; 0 fail W1", []string{"c W1 0-0 3+0"}},
		{"three, the first too early for the last", []string{fail, login, risk, three}, "0 fail W1; 200 login W1; 301 risk W1", nil},
		{"three, an earlier one fits", []string{fail, login, risk, three}, "0 fail W1; 10 login W1; 20 fail W1; 30 risk W1", []string{"c W1 0-30 3+0"}},

		{"failures, then a login", []string{fail, login, five, brute}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 4 fail W1; 5 login W1", []string{"c W1 0-5 6+0"}},
		{"too few failures", []string{fail, login, five, brute}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 5 login W1", nil},
		{"the login among them", []string{fail, login, five, brute}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 4 login W1; 5 fail W1", nil},
		{"the login long after", []string{fail, login, five, brute}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 4 fail W1; 605 login W1", nil},
		{"the login at the edge", []string{fail, login, five, brute}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 4 fail W1; 604 login W1", []string{"c W1 0-604 6+0"}},
		{"somebody else's login", []string{fail, login, five, brute}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 4 fail W1; 5 login W2", nil},

		{"by aliases", []string{admin, risk, aliased}, "0 admin W1 other=W2; 9 risk W2", []string{"c W2 0-9 2+0"}},
		{"by aliases, the one who granted it", []string{admin, risk, aliased}, "0 admin W1 other=W2; 9 risk W1", nil},
		{"by aliases, one missing", []string{admin, risk, aliased}, "0 admin W1; 9 risk W1", nil},

		{"held back", []string{fail, burst}, "0 fail W1; 1 fail W1; 2 fail W1; 3 fail W1; 4 fail W1", []string{"c W1 0-2 3+2"}},
		{"held back to the edge of the hour", []string{fail, login, ordered}, "0 fail W1; 1 login W1; 3600 fail W1; 3601 login W1", []string{"c W1 0-1 2+1"}},
		{"a second beyond it", []string{fail, login, ordered}, "0 fail W1; 1 login W1; 3600 fail W1; 3602 login W1", []string{"c W1 0-1 2+0", "c W1 3600-3602 2+0"}},
		{"what is held back does not hold back", []string{fail, login, ordered}, "0 fail W1; 1 login W1; 3000 fail W1; 3001 login W1; 4000 fail W1; 4001 login W1", []string{"c W1 0-1 2+1", "c W1 4000-4001 2+0"}},
	} {
		tuned := tune(t, nil, c.docs...)
		in := events(t, c.events)
		for range 4 {
			assert.Equal(t, c.want, found(tuned, in), c.name)
			rand.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		}
		slices.Reverse(in)
		assert.Equal(t, c.want, found(tuned, append(in, in...)), "%s, twice", c.name)
	}
}

// TestRulesMean shows the findings of single rules.
func TestRulesMean(t *testing.T) {
	t.Parallel()
	rule := doc("r", audit+"detection: {s: {action: fail}, condition: s}\n"+alerting("actor.user.id, context.ip_address", "1h"))
	critical := doc("a", strings.Replace(audit+"detection: {s: {action: fail}, condition: s}\n"+alerting("actor.user.id", "1h"), "high", "critical", 1))
	tuned := tune(t, nil, rule, critical, block("b", "fail"), doc("c", "correlation: {type: event_count, rules: [b], group-by: [actor.user.id], timespan: 5m, condition: {gte: 9}}\n"+alerting("actor.user.id", "1h")))
	in := events(t, "0 fail W1 ip=x; 1 fail W1 ip=y; 2 login W1; 3600 fail W1 ip=x; 3602 fail W1 ip=y; 5 fail -; 6 fail -")
	assert.Equal(t, []string{
		"a W1 0-0 1+2", "r W1,x 0-0 1+1", "r W1,y 1-1 1+0", "a  5-5 1+1", "r , 5-5 1+1", "a W1 3602-3602 1+0", "r W1,y 3602-3602 1+0",
	}, found(tuned, in))

	evaluator := tuned.NewEvaluator()
	names := func(event detect.Event) (names []string) {
		for _, r := range evaluator.Add(event) {
			names = append(names, r.Name)
		}
		return names
	}
	assert.Equal(t, []string{"a", "r"}, names(in[0]), "the most severe first, and no building block")
	assert.Empty(t, names(in[2]))
	other := in[0]
	other.LogType = "access"
	assert.Empty(t, names(other), "a rule for another log")
}

// TestFilters has a filter act on two rules, and not on a third.
func TestFilters(t *testing.T) {
	t.Parallel()
	detection := "detection: {s: {action: fail}, condition: s}\n" + alerting("actor.user.id", "1h")
	tuned := tune(t, &detect.Lists{Lists: map[string]detect.List{"robots": {Kind: detect.Users, Values: []string{"W1"}}}},
		doc("one", audit+detection), doc("two", audit+detection), doc("three", audit+detection),
		doc("f", audit+"filter: {rules: [one, two], robots: {actor.user.id|expand: '%robots%'}, condition: not robots}"))
	assert.Equal(t, []string{"three W1 0-0 1+0", "one W2 1-1 1+0", "three W2 1-1 1+0", "two W2 1-1 1+0"}, found(tuned, events(t, "0 fail W1; 1 fail W2")))
}

func TestListsMean(t *testing.T) {
	t.Parallel()
	allowed := doc("allowed", audit+"detection: {s: {action: fail}, known: {actor.user.id|expand: '%people%'}, condition: s and not known}\n"+alerting("actor.user.id", "1h"))
	wanted := doc("wanted", audit+"detection: {s: {action: fail}, known: {actor.user.id|expand: '%people%'}, other: {actor.user.id|expand: '%others%'}, condition: s and known and not other}\n"+alerting("actor.user.id", "1h"))
	inside := doc("inside", audit+"detection: {s: {context.ip_address|expand: '%networks%'}, condition: s}\n"+alerting("actor.user.id", "1h"))
	either := doc("either", audit+"detection: {s: {actor.user.id|expand: ['%people%', '%others%']}, condition: s}\n"+alerting("actor.user.id", "1h"))
	member := block("member", "login")
	sequence := doc("sequence", "correlation: {type: temporal, rules: [wanted, member], group-by: [actor.user.id], timespan: 5m}\n"+alerting("actor.user.id", "1h"))
	count := doc("count", "correlation: {type: event_count, rules: [wanted, member], group-by: [actor.user.id], timespan: 5m, condition: {gt: 1}}\n"+alerting("actor.user.id", "1h"))
	docs := []string{allowed, wanted, inside, either, member, sequence, count}
	in := "0 fail W1 ip=10.0.0.1; 1 fail W2 ip=192.0.2.1; 2 fail w1"
	empty := map[string]detect.List{"people": {Kind: detect.Users}, "others": {Kind: detect.Users}, "networks": {Kind: detect.Networks}}

	tuned := tune(t, &detect.Lists{Lists: empty}, docs...)
	assert.Equal(t, []string{"allowed W1 0-0 1+0", "allowed W2 1-1 1+0", "allowed w1 2-2 1+0"}, found(tuned, events(t, in)))
	assert.Equal(t, map[string][]string{
		"wanted": {"people"}, "inside": {"networks"}, "either": {"people", "others"}, "sequence": {"people"},
	}, tuned.Inert, "a list of what is left out is not to blame, and a count has another member")

	full := map[string]detect.List{
		"people": {Kind: detect.Users, Values: []string{"W1"}}, "others": {Kind: detect.Users}, "networks": {Kind: detect.Networks, Values: []string{"10.0.0.0/8", "2001:db8::1"}},
	}
	tuned = tune(t, &detect.Lists{Lists: full}, docs...)
	assert.Empty(t, tuned.Inert)
	assert.Equal(t, []string{
		"either W1 0-0 1+0", "inside W1 0-0 1+0", "wanted W1 0-0 1+0", "allowed W2 1-1 1+0", "allowed w1 2-2 1+0",
	}, found(tuned, events(t, in)), "ids as they stand")

	pack, err := packOf(docs...)
	require.NoError(t, err)
	delete(full, "others")
	_, err = pack.Tune(&detect.Lists{Lists: full}, start)
	assert.ErrorContains(t, err, "wanted: needs the list others")
	assert.ErrorContains(t, err, "either: needs the list others")
	full["others"] = full["networks"]
	pack, err = packOf(doc("r", audit+"detection: {s: {details.previous_ip_address|expand: '%networks%'}, condition: s}\n"+alerting("actor.user.id", "1h")))
	require.NoError(t, err)
	_, err = pack.Tune(&detect.Lists{Lists: full}, start)
	assert.ErrorContains(t, err, "list of networks")
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	rule := doc("rule", audit+"detection: {s: {action: fail}, condition: s}\n"+alerting("actor.user.id", "1h"))
	docs := []string{
		rule, block("member", "[fail, login]"),
		doc("pair", "correlation: {type: event_count, rules: [member], group-by: [actor.user.id], timespan: 5m, condition: {gte: 2}}\n"+alerting("actor.user.id", "1h")),
		doc("chain", "correlation: {type: temporal_ordered, rules: [pair, member], group-by: [actor.user.id], timespan: 5m}\n"+alerting("actor.user.id", "1h")),
	}
	in := events(t, "0 fail W1 ip=x; 1 fail W1 ip=y; 2 login W1 ip=x; 3 fail W1 ip=x")
	pack, err := packOf(docs...)
	require.NoError(t, err)
	for _, c := range []struct {
		name, rules, match, expires string
		want                        []string
	}{
		{"none that holds", "rule, pair, chain", "{actor.user.id: W9}", "2030-01-01", []string{"rule W1 0-0 1+2", "pair W1 0-1 2+2", "chain W1 0-1 2+2"}},
		{"of a rule", "rule", "{actor.user.id: W1, context.ip_address: [x, z]}", "2030-01-01", []string{"pair W1 0-1 2+2", "rule W1 1-1 1+0", "chain W1 0-1 2+2"}},
		{"of a member", "member", "{context.ip_address: x}", "2030-01-01", []string{"rule W1 0-0 1+2"}},
		{"of a correlation, but not of the chain around it", "pair", "{context.ip_address: x}", "2030-01-01", []string{"rule W1 0-0 1+2"}},
		{"of a chain, but not of what is in it", "chain", "{context.ip_address: x}", "2030-01-01", []string{"rule W1 0-0 1+2", "pair W1 0-1 2+2"}},
		{"on its last day", "rule", "{actor.user.id: w1}", "2026-11-02", []string{"pair W1 0-1 2+2", "chain W1 0-1 2+2"}},
		{"on the day after", "rule", "{actor.user.id: W1}", "2026-11-01", []string{"rule W1 0-0 1+2", "pair W1 0-1 2+2", "chain W1 0-1 2+2"}},
	} {
		lists, err := detect.ParseLists(fmt.Appendf(nil, "exceptions: [{rules: [%s], match: %s, owner: o, reason: r, expires: %s}]", c.rules, c.match, c.expires))
		require.NoError(t, err)
		tuned, err := pack.Tune(lists, start)
		require.NoError(t, err)
		assert.ElementsMatch(t, c.want, found(tuned, in), c.name)
		assert.Empty(t, tuned.Inert)
	}
	lists, err := detect.ParseLists([]byte("exceptions: [{rules: [x], match: {f: v}, owner: o, reason: r, expires: 2026-11-02}]"))
	require.NoError(t, err)
	assert.Empty(t, lists.Expired(time.Date(2026, 11, 2, 23, 59, 59, 0, time.UTC)))
	assert.Len(t, lists.Expired(time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)), 1)
	for exception, says := range map[string]string{
		"{rules: [nobody], match: {action: v}, owner: o, reason: r, expires: 2030-01-01}": "nobody",
		"{rules: [rule], match: {acton: v}, owner: o, reason: r, expires: 2030-01-01}":    "acton",
		"{rules: [pair], match: {acton: v}, owner: o, reason: r, expires: 2030-01-01}":    "acton",
	} {
		lists, err := detect.ParseLists([]byte("exceptions: [" + exception + "]"))
		require.NoError(t, err)
		_, err = pack.Tune(lists, start)
		assert.ErrorContains(t, err, says)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                                          "no lists",
		"# nothing\n":                               "no lists",
		"lists: {}\n---\nlists: {}\n":               "second document",
		"list: {}":                                  "list",
		"lists: {a: {kind: user, value: []}}":       "value",
		"lists: {a: {kind: people, values: []}}":    "kind",
		"lists: {a: {values: []}}":                  "kind",
		"lists: {a: {kind: user, values: ['']}}":    "no id",
		"lists: {a: {kind: app, values: ['A*']}}":   "no id",
		`lists: {a: {kind: org, values: ["E1\n"]}}`: "no id",
		`lists: {a: {kind: user, values: [W1"]}}`:   "no id",
		"lists: {../../a: {kind: user}}":            "can't be the name of a list",
		`lists: {"a]\n[b": {kind: user}}`:           "can't be the name of a list",
		"lists: {a: {kind: network, values: [x]}}":  "no address",
		"lists: {a: {kind: user, values: W1}}":      "cannot unmarshal",
		"exceptions: [{match: {f: v}, owner: o, reason: r, expires: 2030-01-01}]":                "rules",
		"exceptions: [{rules: [r], owner: o, reason: r, expires: 2030-01-01}]":                   "match",
		"exceptions: [{rules: [r], match: {f: []}, owner: o, reason: r, expires: 2030-01-01}]":   "no value",
		"exceptions: [{rules: [r], match: {f: v}, reason: r, expires: 2030-01-01}]":              "owner",
		"exceptions: [{rules: [r], match: {f: v}, owner: o, expires: 2030-01-01}]":               "reason",
		"exceptions: [{rules: [r], match: {f: v}, owner: o, reason: r}]":                         "expires",
		"exceptions: [{rules: [r], match: {f: v}, owner: o, reason: r, expires: 2030-02-30}]":    "expires",
		"exceptions: [{rules: [r], match: {f: v}, owner: o, reason: r, until: 2030-01-01}]":      "until",
		"exceptions: [{rules: [r], match: {f: null}, owner: o, reason: r, expires: 2030-01-01}]": "no value",
	} {
		lists, err := detect.ParseLists([]byte(text))
		assert.ErrorContains(t, err, says, text)
		if lists != nil {
			assert.Empty(t, lists.Expired(start), "what never held has not ended: %s", text)
		}
	}
}

func TestPacksThatAreRefused(t *testing.T) {
	t.Parallel()
	const detection = "detection: {s: {action: fail}, condition: s}\n"
	good := doc("good", audit+detection+alerting("actor.user.id", "1h"))
	with := func(search string) string {
		return doc("r", audit+"detection: {s: {"+search+"}, condition: s}\n"+alerting("actor.user.id", "1h"))
	}
	correlation := func(name, body string) string {
		return doc(name, "correlation: {"+body+"}\n"+alerting("actor.user.id", "1h"))
	}
	const count = "type: event_count, rules: [%s], group-by: [actor.user.id], timespan: 5m, condition: {gte: 2}"
	_, err := packOf(good, block("b", "x"), correlation("c", fmt.Sprintf(count, "b")))
	require.NoError(t, err)
	for says, docs := range map[string][]string{
		"acton: audit records have no such field": {with("acton: fail")},
		"details.a.b":                                  {with("details.a.b: x")},
		"details.a'\" or 1=1 | b":                      {with(`"details.a'\" or 1=1 | b": x`)},
		"entity.user":                                  {with("entity.user: x")},
		"date_create: is a number":                     {with("date_create: 5")},
		"entity.channel.is_shared: is true or false":   {with("entity.channel.is_shared: yes")},
		"true or false, for which contains":            {with("entity.channel.is_shared|contains: t")},
		"true or false, for which re":                  {with("entity.channel.is_shared|re: t")},
		"fieldref is not covered":                      {with("action|fieldref: entity.channel.is_shared")},
		"fieldref is not":                              {with("entity.channel.is_shared|fieldref: action")},
		"nobody":                                       {with("action|fieldref: nobody")},
		"may be a list, for which re":                  {with("details.x|re: a")},
		"details.x: may be a list, for which re":       {with("details.x: a*b")},
		"may be a list, for which cidr":                {with("details.x|cidr: 10.0.0.0/8")},
		"logsource":                                    {doc("r", "logsource: {product: slack, service: audits}\n"+detection+alerting("actor.user.id", "1h"))},
		"logsource: product":                           {doc("r", "logsource: {product: Slack, service: audit}\n"+detection+alerting("actor.user.id", "1h"))},
		"good is also good":                            {good, good},
		"is also good":                                 {good, strings.Replace(good, "name: good", "name: other", 1)},
		"only a building block":                        {doc("r", audit+detection+"level: high\n")},
		"level: give one":                              {doc("r", audit+detection)},
		"slacklogs.tier: \"alarm\"":                    {strings.Replace(good, "review", "alarm", 1)},
		"what pages is high":                           {strings.NewReplacer("review", "page", "high", "medium").Replace(good)},
		"slacklogs.suppress":                           {strings.Replace(good, "suppress: {by: [actor.user.id], for: 1h}, ", "", 1)},
		"slacklogs.suppress: say":                      {strings.Replace(good, "by: [actor.user.id], ", "", 1)},
		"slacklogs.suppress.for":                       {strings.Replace(good, "1h", "an hour", 1)},
		"slacklogs.suppress.by: acton":                 {strings.Replace(good, "actor.user.id", "acton", 1)},
		"slacklogs.suppress.by: date_create":           {strings.Replace(good, "actor.user.id", "date_create", 1)},
		"slacklogs.playbooks: name":                    {strings.Replace(good, "contact-actor", "", 1)},
		"slacklogs.playbooks: there is no":             {strings.Replace(good, "contact-actor", "panic", 1)},
		"field teir not found":                         {strings.Replace(good, "tier", "teir", 1)},
		"fields: acton":                                {good + "fields: [acton]\n"},
		"has no slacklogs.tier, and no":                {block("b", "x")},
		"c: has no slacklogs.tier, and":                {block("b", "x"), doc("c", "level: informational\ncorrelation: {"+fmt.Sprintf(count, "b")+"}")},
		"there is no rule nobody":                      {correlation("c", fmt.Sprintf(count, "nobody"))},
		"refers to itself":                             {correlation("c", fmt.Sprintf(count, "d")), correlation("d", fmt.Sprintf(count, "c"))},
		"refers to itself by way of [c]":               {correlation("c", fmt.Sprintf(count, "c"))},
		"suppress.by: context.ip_address is not among": {good, strings.Replace(correlation("c", fmt.Sprintf(count, "good")), "by: [actor.user.id], for", "by: [context.ip_address], for", 1)},
		"good: acton":                                  {good, correlation("c", strings.Replace(fmt.Sprintf(count, "good"), "[actor.user.id]", "[actor.user.id, acton]", 1))},
		"good: date_create":                            {good, correlation("c", strings.Replace(fmt.Sprintf(count, "good"), "[actor.user.id]", "[actor.user.id, date_create]", 1))},
		"c does not group by context.ip_address":       {good, correlation("c", fmt.Sprintf(count, "good")), correlation("d", strings.Replace(fmt.Sprintf(count, "c"), "[actor.user.id]", "[actor.user.id, context.ip_address]", 1))},
		"f: there is no rule nobody":                   {doc("f", audit+"filter: {rules: [nobody], s: {action: x}, condition: s}")},
		"there is no rule good for the access log":     {good, doc("f", "logsource: {product: slack, service: access}\nfilter: {rules: [good], s: {user_id: x}, condition: s}")},
		"f: acton":                                     {good, doc("f", audit+"filter: {rules: [good], s: {acton: x}, condition: s}")},
		"holds no document":                            {good, "# later\n"},
	} {
		_, err := packOf(docs...)
		assert.ErrorContains(t, err, says)
	}
}

// TestFields has each field that a rule can name be one that records have.
func TestEventValues(t *testing.T) {
	t.Parallel()
	rec := plog.NewLogRecord()
	_, ok := detect.FromRecord(rec)
	assert.False(t, ok, "nothing at all")
	rec.SetTimestamp(1)
	_, ok = detect.FromRecord(rec)
	assert.False(t, ok, "no log type")
	attributes := rec.Attributes()
	attributes.PutStr("slack.log.type", "collection")
	_, ok = detect.FromRecord(rec)
	assert.False(t, ok, "a health record")
	attributes.PutStr("slack.log.type", "audit")
	event, ok := detect.FromRecord(rec)
	require.True(t, ok)

	attributes.PutStr("slack.action", "a")
	attributes.PutStr("slack.details.one", "")
	require.NoError(t, attributes.PutEmptySlice("slack.details.some").FromRaw([]any{"a", "b"}))
	require.NoError(t, attributes.PutEmptySlice("slack.details.mixed").FromRaw([]any{"a", 5}))
	require.NoError(t, attributes.PutEmptySlice("slack.actor.user.id").FromRaw([]any{"a"}))
	attributes.PutInt("slack.details.int", 5)
	attributes.PutBool("slack.entity.channel.is_shared", true)
	attributes.PutStr("slack.entity.channel.is_org_shared", "true")
	for name, want := range map[string][]string{
		"action": {"a"}, "details.one": {""}, "details.some": {"a", "b"}, "entity.channel.is_shared": {"true"},
		"details.mixed": nil, "details.int": nil, "details.none": nil, "actor.user.id": nil, "entity.channel.is_org_shared": nil, "nonsense": nil,
	} {
		assert.Equal(t, want, event.Values(name), name)
	}
}

// The second evaluator: slow, and hopefully obviously right. It judges groups of occurrences by what the documents say.

type naive struct {
	kind        sigma.CorrelationType
	members     []naiveMember
	by          []string // fields
	field       string
	span, quiet int
	compare     string
	count       int
	suppressBy  []string
}

type naiveMember struct {
	actions []string // of a rule
	of      *naive   // or a correlation
	alias   string   // the field that stands for the first of by
}

func (o occurrence) field(name string) string {
	value := map[string]string{"actor.user.id": o.user, "entity.user.id": o.other, "context.ip_address": o.ip}[name]
	if value == "-" {
		return ""
	}
	return value
}

// complete is when a correlation was complete, by whom.
type complete struct {
	occurrence
	group []string // values of by
	rule  bool     // it is an event of a rule
	value string
}

func compareComplete(a, b complete) int {
	return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.uid, b.uid), slices.Compare(a.group, b.group))
}

func sortUnique(all []complete) []complete {
	slices.SortFunc(all, compareComplete)
	return slices.CompactFunc(all, func(a, b complete) bool { return compareComplete(a, b) == 0 })
}

// hits are the events of a member, with their groups.
func (n *naive) hits(m naiveMember, all []occurrence) (hits []complete) {
	if m.of != nil {
		for _, inner := range m.of.complete(all) {
			group := []string{}
			for _, name := range n.by {
				group = append(group, inner.group[slices.Index(m.of.by, name)])
			}
			value := ""
			if n.field != "" {
				value = inner.group[slices.Index(m.of.by, n.field)]
			}
			hits = append(hits, complete{inner.occurrence, group, false, value})
		}
		return sortUnique(hits)
	}
	for _, o := range all {
		if !slices.Contains(m.actions, o.action) {
			continue
		}
		group := []string{}
		for i, name := range n.by {
			if i == 0 && m.alias != "" {
				name = m.alias
			}
			group = append(group, o.field(name))
		}
		value := o.field(n.field)
		if slices.Contains(group, "") || n.field != "" && value == "" {
			continue
		}
		hits = append(hits, complete{o, group, true, value})
	}
	return sortUnique(hits)
}

func (n *naive) complete(all []occurrence) (done []complete) {
	var members [][]complete
	for _, m := range n.members {
		members = append(members, n.hits(m, all))
	}
	if n.kind == sigma.EventCount || n.kind == sigma.ValueCount {
		every := sortUnique(slices.Concat(members...))
		for _, end := range every {
			count, values, latest := 0, map[string]bool{}, end
			for _, h := range every {
				if slices.Equal(h.group, end.group) && h.at >= end.at-n.span && h.at <= end.at {
					count++
					values[h.value] = true
					if h.at == end.at && h.uid > latest.uid {
						latest = h
					}
				}
			}
			if n.kind == sigma.ValueCount {
				count = len(values)
			}
			if map[string]bool{"gt": count > n.count, "gte": count >= n.count, "eq": count == n.count}[n.compare] {
				done = append(done, complete{latest.occurrence, latest.group, false, ""})
			}
		}
		return sortUnique(done)
	}
	// All ways to take one of each member.
	var choose func(chosen []complete)
	choose = func(chosen []complete) {
		if len(chosen) == len(members) {
			first, last := chosen[0], chosen[0]
			for _, c := range chosen {
				if c.at < first.at {
					first = c
				}
				last.at = max(last.at, c.at)
			}
			if last.at-first.at > n.span {
				return
			}
			for i, c := range chosen {
				if c.at == last.at && (n.kind == sigma.Temporal || i == len(chosen)-1) {
					done = append(done, complete{c.occurrence, c.group, false, ""})
				}
			}
			return
		}
		for _, h := range members[len(chosen)] {
			if slices.ContainsFunc(chosen, func(c complete) bool {
				return !slices.Equal(c.group, h.group) || c.rule && h.rule && c.uid == h.uid || n.kind == sigma.TemporalOrdered && c.at > h.at
			}) {
				continue
			}
			choose(append(slices.Clone(chosen), h))
		}
	}
	choose(nil)
	return sortUnique(done)
}

func (n *naive) found(all []occurrence) (found []string) {
	type finding struct {
		complete
		held int
	}
	var findings []*finding
	for _, h := range n.complete(all) {
		key := func(c complete) (key []string) {
			for _, name := range n.suppressBy {
				key = append(key, c.group[slices.Index(n.by, name)])
			}
			return key
		}
		var before *finding
		for _, f := range findings {
			if slices.Equal(key(f.complete), key(h)) && h.at-f.at <= n.quiet {
				before = f
			}
		}
		if before != nil {
			before.held++
			continue
		}
		findings = append(findings, &finding{h, 0})
	}
	for _, f := range findings {
		found = append(found, fmt.Sprintf("%d %s +%d", f.at, strings.Join(f.group, ","), f.held))
	}
	slices.Sort(found)
	return found
}

// yaml is the document of a naive correlation, and those of its members.
func (n *naive) yaml(name string, tier bool) (docs []string) {
	var names, aliases []string
	for i, m := range n.members {
		member := fmt.Sprintf("%s_%d", name, i)
		names = append(names, member)
		if m.of != nil {
			docs = append(docs, m.of.yaml(member, false)...)
		} else {
			docs = append(docs, block(member, "["+strings.Join(m.actions, ", ")+"]"))
		}
		field := m.alias
		if field == "" {
			field = n.by[0]
		}
		aliases = append(aliases, member+": "+field)
	}
	body := fmt.Sprintf("correlation: {type: %s, rules: [%s], group-by: [%s], timespan: %ds", n.kind, strings.Join(names, ", "), strings.Join(n.by, ", "), n.span)
	if slices.ContainsFunc(n.members, func(m naiveMember) bool { return m.alias != "" }) {
		body += fmt.Sprintf(", aliases: {%s: {%s}}", n.by[0], strings.Join(aliases, ", "))
	}
	if n.compare != "" {
		body += fmt.Sprintf(", condition: {%s: %d", n.compare, n.count)
		if n.field != "" {
			body += ", field: " + n.field
		}
		body += "}"
	}
	body += "}\n"
	if tier {
		return append(docs, doc(name, body+alerting(strings.Join(n.suppressBy, ", "), strconv.Itoa(n.quiet)+"s")))
	}
	return append(docs, doc(name, body+"level: informational\n"))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomCorrelation makes one whose members may be correlations, which then have all its fields.
func randomCorrelation(r *rand.Rand, by []string, depth int) *naive {
	n := &naive{by: by, span: 1 + r.IntN(12), quiet: 1 + r.IntN(30), suppressBy: by[:1+r.IntN(len(by))]}
	n.kind = pick(r, sigma.EventCount, sigma.ValueCount, sigma.Temporal, sigma.TemporalOrdered)
	members := 1 + r.IntN(2)
	switch n.kind {
	case sigma.EventCount, sigma.ValueCount:
		n.compare, n.count = pick(r, "gt", "gte", "gte", "eq"), 1+r.IntN(4)
		if n.kind == sigma.ValueCount {
			n.field = pick(r, "context.ip_address", "entity.user.id")
		}
	case sigma.Temporal, sigma.TemporalOrdered:
		members = 2 + r.IntN(2)
	}
	for range members {
		m := naiveMember{actions: pick(r, []string{"a"}, []string{"b"}, []string{"a", "b"}, []string{"c"})}
		if depth > 0 && r.IntN(3) == 0 {
			inner := slices.Clone(by)
			if n.field != "" && !slices.Contains(inner, n.field) {
				inner = append(inner, n.field)
			}
			m = naiveMember{of: randomCorrelation(r, inner, depth-1)}
		}
		n.members = append(n.members, m)
	}
	if depth > 0 && r.IntN(4) == 0 && !slices.ContainsFunc(n.members, func(m naiveMember) bool { return m.of != nil }) {
		n.members[0].alias = "entity.user.id"
	}
	return n
}

// TestCorrelationsByBrute holds the evaluator to the second one, by random correlations over random events, which come in
// any order, some twice.
func TestCorrelationsByBrute(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text := os.Getenv("SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	some := map[sigma.CorrelationType]int{}
	for range 1000 {
		n := randomCorrelation(r, pick(r, []string{"actor.user.id"}, []string{"actor.user.id", "context.ip_address"}), 2)
		docs := n.yaml("c", true)
		tuned := tune(t, nil, docs...)
		var all []occurrence
		for i := range 5 + r.IntN(25) {
			all = append(all, occurrence{
				r.IntN(40), fmt.Sprintf("e%02d", i), pick(r, "a", "a", "b", "c"), pick(r, "W1", "W1", "W1", "W2", "-"), pick(r, "W1", "W1", "W2", "-"), pick(r, "x", "x", "x", "y", "-"),
			})
		}
		want := n.found(all)
		shown := slices.Clone(all)
		for range 3 {
			if len(all) > 0 {
				shown = append(shown, all[r.IntN(len(all))])
			}
		}
		r.Shuffle(len(shown), func(i, j int) { shown[i], shown[j] = shown[j], shown[i] })
		evaluator := tuned.NewEvaluator()
		for _, event := range eventsOf(shown) {
			evaluator.Add(event)
		}
		var got []string
		byUID := map[string]occurrence{}
		for _, o := range all {
			byUID[o.uid] = o
		}
		for _, f := range evaluator.Findings() {
			got = append(got, fmt.Sprintf("%.0f %s +%d", f.Last.Sub(start).Seconds(), strings.Join(f.Values, ","), f.HeldBack))
			// Its events are there, in order, and complete it.
			require.NotEmpty(t, f.UIDs)
			first, last := byUID[f.UIDs[0]], byUID[f.UIDs[len(f.UIDs)-1]]
			assert.True(t, slices.IsSortedFunc(f.UIDs, func(a, b string) int { return cmp.Compare(byUID[a].at, byUID[b].at) }), f.UIDs)
			assert.Equal(t, f.First, start.Add(time.Duration(first.at)*time.Second))
			assert.Equal(t, f.Last, start.Add(time.Duration(last.at)*time.Second))
		}
		slices.Sort(got)
		require.Equal(t, want, got, "%s\n%+v", strings.Join(docs, "---\n"), all)
		if len(want) > 0 {
			some[n.kind]++
		}
	}
	for _, kind := range []sigma.CorrelationType{sigma.EventCount, sigma.ValueCount, sigma.Temporal, sigma.TemporalOrdered} {
		assert.Greater(t, some[kind], 20, kind)
	}
	t.Log(some)
}

// TestDayOfManyEvents ends: of each of many events it is asked whether others came before it, and no member is ever
// found. By trying all pairs of them that would take minutes.
func TestDayOfManyEvents(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"temporal", "temporal_ordered"} {
		tuned := tune(t, nil, block("a", "never"), block("b", "fail"), block("c", "fail"), block("d", "ok"),
			doc("e", "correlation: {type: "+kind+", rules: [a, b, c, d], group-by: [actor.user.id], timespan: 1d}\n"+alerting("actor.user.id", "1h")))
		var all []occurrence
		for i := range 20_000 {
			all = append(all, occurrence{at: i / 1000, uid: strconv.Itoa(i), action: []string{"fail", "ok"}[i%2], user: "W1", other: "-", ip: "-"})
		}
		assert.Empty(t, found(tuned, eventsOf(all)), kind)
	}
}

// TestFieldsAreThere has each field that a rule can test have a value in a record of an entry that has them all.
func TestFieldsAreThere(t *testing.T) {
	t.Parallel()
	for _, logType := range record.LogTypes() {
		root := map[string]any{}
		for _, field := range logType.Fields {
			names, object := strings.Split(field.Path, "."), root
			for _, name := range names[:len(names)-1] {
				inner, ok := object[name].(map[string]any)
				if !ok {
					inner = map[string]any{}
					object[name] = inner
				}
				object = inner
			}
			object[names[len(names)-1]] = field.Example
		}
		text, err := json.Marshal(root)
		require.NoError(t, err)
		records := plog.NewLogRecordSlice()
		c := record.New(record.Options{Attributes: record.AttributesAll})
		switch element := jsonstream.NewElement(text); logType.Name {
		case "access":
			c.ParseAccess("T1", element)
			c.AppendAccess(records, start, record.Change{})
		case "integration":
			c.ParseIntegration("T1", element)
			c.AppendIntegration(records, start, c.IntegrationUID(1))
		default:
			c.ParseAudit(element)
			c.AppendAudit(records, start)
		}
		event, ok := detect.FromRecord(records.At(0))
		require.True(t, ok, logType.Name)
		tested := 0
		for _, field := range logType.Fields {
			known, err := detect.FieldOf(logType.Name, field.Path)
			if err != nil {
				assert.Contains(t, []record.Form{record.FormObject, record.FormObjects}, field.JSON, field.Path)
				continue
			}
			_, ok := records.At(0).Attributes().Get(known.Attribute)
			assert.True(t, ok, field.Path)
			if known.Kind != detect.Number {
				assert.NotEmpty(t, event.Values(field.Path), field.Path)
				tested++
			}
		}
		assert.Greater(t, tested, 5)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package splunk writes the pack as an app for Splunk: a saved search for each rule and correlation, the lists as lookups,
// and searches that watch the collection itself. The searches read events as examples/splunk delivers them: Slack's own
// names from the event's JSON, the receiver's attributes as indexed fields.
package splunk // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/splunk"

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// AppName is the folder of the app.
const AppName = "SA-slacklogs-detections"

// timing is how a tier is looked for.
type timing struct {
	cron     string // %d is a minute of the rule's own, so that not all run at once
	lookback string // the interval and 15 minutes, for what Splunk indexed late; runs overlap, and throttling hides it
	reach    time.Duration
	off      bool
}

// timings: whoever is called wants it within minutes; what is looked at daily may take an hour. What only gives context
// would fill the list of alerts, so it is there to be run by hand until somebody enables it.
var timings = map[detect.Tier]timing{
	detect.Page:   {"%d-59/5 * * * *", "20m", 20 * time.Minute, false},
	detect.Review: {"%d * * * *", "75m", 75 * time.Minute, false},
	detect.Hunt:   {"%d 5 * * *", "1455m", 1455 * time.Minute, true},
}

// App returns the files of the app by their path below its folder, with the searches of some tiers. pack is what tuned was
// made of: in Splunk the lists stay lists, as lookups, and exceptions end by themselves.
func App(tuned *detect.Tuned, pack *detect.Pack, lists *detect.Lists, tiers []detect.Tier) (map[string][]byte, error) {
	w := &writer{pack: pack, lists: lists, macros: map[string]string{}}
	if err := titles(tuned, tiers); err != nil {
		return nil, err
	}
	searches := &conf{}
	searches.comment(
		"Made by `slacklogs rules compile --to splunk` from the detection pack. Do not edit: change the lists and compile again,",
		"or override single settings in local/savedsearches.conf (disabled, cron_schedule, actions).",
		"",
		"What reads the index is in macros.conf: set the index there, or in local/macros.conf.")
	for _, c := range tuned.Correlations {
		if !slices.Contains(tiers, c.Tier) {
			continue
		}
		search, err := w.correlation(correlation(pack, c.Name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		searches.finding(&c.Header, &c.Handling, search, tuned.Inert[c.Name])
	}
	for _, r := range tuned.Rules {
		if !slices.Contains(tiers, r.Tier) {
			continue
		}
		search, err := w.rule(rule(pack, r.Name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		searches.finding(&r.Header, &r.Handling, search, tuned.Inert[r.Name])
	}
	if slices.Contains(tiers, detect.Review) {
		for _, memory := range memories {
			searches.watcher(memory)
		}
	}
	for _, watched := range watchers {
		searches.watcher(watched)
	}

	macros := &conf{}
	macros.comment("The index that the collector writes to; all else is built on it.")
	for _, m := range append(slices.Clone(fixed), w.conditions()...) {
		macros.stanza(m.name)
		macros.set("definition", m.definition)
		if m.args != "" {
			macros.set("args", m.args)
		}
		macros.set("iseval", "0")
	}

	files := map[string][]byte{
		"default/app.conf":           []byte(appConf),
		"default/eventtypes.conf":    []byte(eventtypes),
		"default/tags.conf":          []byte(tags),
		"default/props.conf":         []byte(props),
		"default/macros.conf":        macros.Bytes(),
		"default/savedsearches.conf": searches.Bytes(),
		"metadata/default.meta":      []byte(meta),
	}
	transforms := &conf{}
	transforms.comment("The lists of lists.yml. A row without `listed` is there so that no file is empty; it matches nothing.")
	for _, name := range slices.Sorted(maps.Keys(lists.Lists)) {
		list := lists.Lists[name]
		transforms.stanza(lookupName(name))
		transforms.set("filename", lookupName(name)+".csv")
		transforms.set("case_sensitive_match", "true")
		transforms.set("max_matches", "1")
		if list.Kind == detect.Networks {
			transforms.set("match_type", "CIDR(value)")
		}
		text, err := table(list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files["lookups/"+lookupName(name)+".csv"] = text
	}
	transforms.stanza(lookupName("watched"))
	transforms.set("filename", lookupName("watched")+".csv")
	files["lookups/"+lookupName("watched")+".csv"] = []byte("log_type\naudit\n")
	files["default/transforms.conf"] = transforms.Bytes()
	return files, nil
}

// titles holds the titles of searches to what can be the name of a stanza. Of two of one name Splunk would keep one, and
// a backslash at the end of a line would take in the next one.
func titles(tuned *detect.Tuned, tiers []detect.Tier) error {
	by := map[string]string{}
	for _, own := range slices.Concat(memories, watchers) {
		by[own.title] = "a search of the app"
	}
	check := func(h *sigma.Header, tier detect.Tier) error {
		name := stanzaName(h)
		switch other := by[name]; {
		case !slices.Contains(tiers, tier):
			return nil
		case strings.ContainsAny(h.Title, `[]\`):
			return fmt.Errorf("%s: title: brackets and backslashes are not covered", h.Name)
		case other != "":
			return fmt.Errorf("%s: title: is also that of %s", h.Name, other)
		}
		by[name] = h.Name
		return nil
	}
	for _, r := range tuned.Rules {
		if err := check(&r.Header, r.Tier); err != nil {
			return err
		}
	}
	for _, c := range tuned.Correlations {
		if err := check(&c.Header, c.Tier); err != nil {
			return err
		}
	}
	return nil
}

// stanzaName is what Splunk shows of a rule.
func stanzaName(h *sigma.Header) string { return "slacklogs - " + h.Title }

func rule(pack *detect.Pack, name string) *detect.Rule {
	return pack.Rules[slices.IndexFunc(pack.Rules, func(r *detect.Rule) bool { return r.Name == name })]
}

func correlation(pack *detect.Pack, name string) *detect.Correlation {
	return pack.Correlations[slices.IndexFunc(pack.Correlations, func(c *detect.Correlation) bool { return c.Name == name })]
}

// table is a list as a lookup.
func table(list detect.List) ([]byte, error) {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	rows := [][]string{{"value", "listed"}}
	for _, value := range list.Values {
		if list.Kind == detect.Networks {
			network, err := sigma.Network(value)
			if err != nil {
				return nil, err
			}
			value = network.String()
		}
		rows = append(rows, []string{value, "yes"})
	}
	// Nobody has this address or this id.
	nobody := "-"
	if list.Kind == detect.Networks {
		nobody = "255.255.255.255/32"
	}
	if err := out.WriteAll(append(rows, []string{nobody, ""})); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

type macro struct{ name, args, definition string }

// conditions are the macros of rules that correlations use.
func (w *writer) conditions() (all []macro) {
	for _, name := range slices.Sorted(maps.Keys(w.macros)) {
		all = append(all, macro{name, "", strip(w.macros[name])})
	}
	return all
}

// conf is a file of settings.
type conf struct{ bytes.Buffer }

func (c *conf) comment(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(c, strings.TrimSpace("# "+line))
	}
}

func (c *conf) stanza(name string) { fmt.Fprintf(c, "\n[%s]\n", name) }

// set writes a setting. A backslash at the end of a line goes on with the next one.
func (c *conf) set(key, value string) {
	fmt.Fprintf(c, "%s = %s\n", key, strings.ReplaceAll(value, "\n", " \\\n"))
}

var techniqueForm = regexp.MustCompile(`^attack\.(t\d{4}(\.\d{3})?)$`)

// finding writes the saved search of a rule or correlation.
func (c *conf) finding(h *sigma.Header, handling *detect.Handling, search string, empty []string) {
	t := timings[handling.Tier]
	about := line(cmp.Or(h.Description, h.Title))
	text := []string{about}
	for _, part := range []struct{ name, text string }{
		{"Finds nothing while these lists are empty", strings.Join(empty, ", ")},
		{"Tier", string(handling.Tier)},
		{"Response", handling.Response},
		{"Playbooks", strings.Join(handling.Playbooks, ", ")},
		{"Tuning", handling.Tuning},
		{"False positives", strings.Join(h.FalsePositives, "; ")},
	} {
		if part.text != "" {
			text = append(text, part.name+": "+line(part.text))
		}
	}
	c.stanza(stanzaName(h))
	c.set("description", strings.Join(text, " "))
	c.set("search", search)
	minutes := uint32(60)
	if handling.Tier == detect.Page {
		minutes = 5
	}
	c.schedule(fmt.Sprintf(t.cron, crc32.ChecksumIEEE([]byte(h.Name))%minutes), h.Level, t.off)
	c.set("alert.suppress.fields", "finding_key")
	// Runs overlap: less than the lookback would tell the same event twice.
	c.set("alert.suppress.period", fmt.Sprintf("%dm", int(max(handling.Quiet, t.reach+5*time.Minute).Minutes())))

	// What Splunk Enterprise Security reads; nobody else does.
	techniques := []string{}
	for _, tag := range h.Tags {
		if m := techniqueForm.FindStringSubmatch(tag); m != nil {
			techniques = append(techniques, strings.ToUpper(m[1]))
		}
	}
	annotations, err := json.Marshal(map[string][]string{"mitre_attack": techniques})
	if err != nil {
		panic(err) // they are strings
	}
	c.set("action.correlationsearch.enabled", "1")
	c.set("action.correlationsearch.label", stanzaName(h))
	c.set("action.correlationsearch.annotations", string(annotations))
	c.set("action.notable.param.rule_title", h.Title)
	c.set("action.notable.param.rule_description", about)
	c.set("action.notable.param.security_domain", "audit")
	c.set("action.notable.param.severity", string(h.Level))
	c.set("action.notable.param.drilldown_name", "What the actor did in the 24 hours before")
	c.set("action.notable.param.drilldown_search", "$pivot_actor$")
}

func (c *conf) schedule(cron string, level sigma.Level, off bool) {
	c.set("enableSched", "1")
	c.set("cron_schedule", cron)
	// A run that Splunk could not do in time is made up for.
	c.set("realtime_schedule", "0")
	c.set("dispatch.earliest_time", "-30d")
	c.set("dispatch.latest_time", "+1d")
	if off {
		c.set("disabled", "1")
	} else {
		c.set("disabled", "0")
	}
	c.set("counttype", "number of events")
	c.set("relation", "greater than")
	c.set("quantity", "0")
	c.set("alert.digest_mode", "0")
	c.set("alert.track", "1")
	c.set("alert.expires", "7d")
	c.set("alert.severity", strconv.Itoa(level.Rank()+1))
	c.set("alert.suppress", "1")
}

// line is a text as one line that ends in a full stop.
func line(text string) string {
	return strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".") + "."
}

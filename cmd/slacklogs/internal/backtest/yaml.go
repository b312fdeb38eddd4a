// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package backtest // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/backtest"

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// listsYAML is a whole file of lists: what stood in them, what is proposed, and why.
func listsYAML(j *judged, lists *detect.Lists, proposals map[string][]proposal) (string, error) {
	builtIn, err := detect.ParseLists(detections.Lists())
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Proposed by `slacklogs backtest --suggest-lists`. Read each line before you use it: whoever is in a list is no\n" +
		"# longer found, or found more. Lines that begin with # - are not in use.\n")
	if j.Records > 0 {
		fmt.Fprintf(&b, "# From %d records, %s to %s.\n", j.Records, day(j.first), day(j.last))
	}
	if j.last.Sub(j.first) < longDays*24*time.Hour {
		fmt.Fprintf(&b, "# For apps, partners and addresses that is too short: %d days are needed to call something known for long.\n", longDays)
	}
	var own []string
	for _, app := range lists.OwnApps {
		own = append(own, scalar(app))
	}
	fmt.Fprintf(&b, "own_apps: [%s]\nlists:\n", strings.Join(own, ", "))
	all := maps.Clone(builtIn.Lists)
	maps.Copy(all, lists.Lists)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list := all[name]
		fmt.Fprintf(&b, "  %s:\n    about: >-\n", name)
		about := list.About
		if about == "" {
			about = builtIn.Lists[name].About
		}
		for _, line := range wrap(about, 110) {
			fmt.Fprintf(&b, "      %s\n", line)
		}
		fmt.Fprintf(&b, "    kind: %s\n", list.Kind)
		var lines []string
		known := map[string]bool{}
		for _, value := range list.Values {
			known[value] = true
			lines = append(lines, scalar(value)+" # was there")
		}
		for _, p := range proposals[name] {
			switch {
			case known[p.value]:
			case p.doubtful:
				lines = append(lines, "# - "+scalar(p.value)+" # "+p.why)
			default:
				lines = append(lines, scalar(p.value)+" # "+p.why)
			}
			known[p.value] = true
		}
		used := slices.ContainsFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "#") })
		if used {
			b.WriteString("    values:\n")
		} else {
			b.WriteString("    values: []\n")
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "#") {
				fmt.Fprintf(&b, "      %s\n", line)
			} else {
				fmt.Fprintf(&b, "      - %s\n", line)
			}
		}
		switch {
		case name == "critical_apps" && !used:
			b.WriteString("    # The collector's own app is missing, and has to be here: " + ownAppHint + ".\n")
		case name == "tor_exits" && !used:
			b.WriteString("    # Records do not tell; fill it from a feed.\n")
		}
	}
	exceptions, err := yaml.Marshal(map[string]any{"exceptions": append([]detect.Exception{}, lists.Exceptions...)})
	if err != nil {
		return "", err
	}
	b.Write(exceptions)
	if _, err := detect.ParseLists([]byte(b.String())); err != nil {
		return "", fmt.Errorf("what was made can't be read, which is a bug: %w", err)
	}
	return b.String(), nil
}

// scalar is a value as YAML; an address would be a map without quotes.
func scalar(value string) string {
	if slackID.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(verb.Printable(value), "'", "''") + "'"
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

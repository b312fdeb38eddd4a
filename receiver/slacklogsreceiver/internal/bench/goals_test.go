// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
)

// goal is one line of the table.
type goal struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Goal  float64 `json:"goal"`
	OK    bool    `json:"ok"`

	most   bool // Goal is the most that Value may be, otherwise the least.
	unit   string
	detail string
}

// goals are those measured, in the order of the table.
type goals []goal

func (g *goals) atLeast(name string, value, least float64, unit, detail string) {
	g.add(goal{Name: name, Value: value, Goal: least, OK: value >= least, unit: unit, detail: detail})
}

func (g *goals) atMost(name string, value, most float64, unit, detail string) {
	g.add(goal{Name: name, Value: value, Goal: most, OK: value <= most, most: true, unit: unit, detail: detail})
}

// add appends a goal with its value rounded, as more digits would say nothing.
func (g *goals) add(one goal) {
	one.Value = math.Round(one.Value*1000) / 1000
	*g = append(*g, one)
}

// write prints the table, or with the format json one object a line.
func (g goals) write(to io.Writer, format string) error {
	if format == "json" {
		out := json.NewEncoder(to)
		out.SetEscapeHTML(false)
		for _, one := range g {
			if err := out.Encode(one); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "name\tvalue\tgoal\tok\tmeasured")
	met := 0
	for _, one := range g {
		sign, ok := "≥", "no"
		if one.most {
			sign = "≤"
		}
		if one.OK {
			ok = "yes"
			met++
		}
		fmt.Fprintf(table, "%s\t%s\t%s %s\t%s\t%s\n", one.Name, figure(one.Value, one.unit), sign, figure(one.Goal, one.unit), ok, one.detail)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "%d of %d goals met\n", met, len(g))
	return err
}

// figure writes a value with three digits that count.
func figure(v float64, unit string) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	case v >= 10:
		return fmt.Sprintf("%.1f%s", v, unit)
	default:
		return fmt.Sprintf("%.2f%s", v, unit)
	}
}

// results are what TestGoals measured; TestMain prints them.
var results goals

// TestMain is also the Slack that the goals are measured against: a process of
// its own, so that its work is not taken for the receiver's.
func TestMain(m *testing.M) {
	if os.Getenv(serveVariable) != "" {
		serve()
		return
	}
	// What the testing package says must not get between the figures.
	out := os.Stdout
	if os.Getenv("GOALS") != "" {
		os.Stdout = os.Stderr
	}
	code := m.Run()
	if len(results) > 0 {
		if err := results.write(out, os.Getenv("FORMAT")); err != nil {
			code = 1
		}
	}
	os.Exit(code)
}

// TestGoals measures. A goal that is not met is no failure: the figures are for
// people, and hang on the machine.
func TestGoals(t *testing.T) {
	if os.Getenv("GOALS") == "" {
		t.Skip("GOALS is not set; run `make bench`")
	}
	// One core is what is promised; the ratios would not differ with more.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	address := startSlack(t)
	for _, measure := range []func(*testing.T, *goals, string){
		measureRecords, measureMemory, measurePoll, measureBacklog, measureQuiet, measureIDs, measureStartup,
	} {
		measure(t, &results, address)
		debug.FreeOSMemory()
	}
}

// turns are the CPU times of one thing, round after round.
type turns []time.Duration

// times is how many times other's CPU time it took: the median of the rounds,
// as a machine that others use too is now faster and now slower.
func (t turns) times(other turns) float64 {
	ratios := make([]float64, len(t))
	for i := range t {
		ratios[i] = t[i].Seconds() / other[i].Seconds()
	}
	return median(ratios)
}

// inTurns measures the CPU time of each of several things, in turns. Each
// begins with a heap that was just swept.
func inTurns(t *testing.T, rounds int, things ...func()) []turns {
	t.Helper()
	took := make([]turns, len(things))
	for range rounds {
		for i, do := range things {
			runtime.GC()
			before := cpu()
			do()
			took[i] = append(took[i], cpu()-before)
		}
	}
	for i := range took {
		require.Len(t, took[i], rounds)
	}
	return took
}

func median[T time.Duration | float64 | uint64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// allocations counts those of do.
func allocations(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

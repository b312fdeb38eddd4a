// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rules // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/rules"

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/pack"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/detecttest"
)

const aboutCheck = `Usage: slacklogs rules check [flags]

Says in a line each what is wrong with rules, lists, exceptions and tests, all at once, and then what is only worth
knowing: rules that find nothing because a list is empty. The exit code is 1 when something is wrong, of which an exception
that has ended is one.
`

// whereOwnApp is how to learn the id of the app that the collector uses.
const whereOwnApp = "its id stands at https://api.slack.com/apps, under Basic Information, as App ID"

// checkup is what check has found.
type checkup struct {
	problems, notes []string
	unsound         bool // the lists hold what they can't
}

func (c *checkup) fail(where string, err error) {
	for _, line := range pack.Lines(err) {
		if where != "" {
			line = where + ": " + line
		}
		if !slices.Contains(c.problems, line) {
			c.problems = append(c.problems, line)
		}
	}
}

func check(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		f             pack.Flags
		tests, ownApp string
	)
	set := verb.NewFlags("rules check", aboutCheck, stdout, stderr)
	f.AddLists(set)
	f.AddRules(set)
	set.StringVar(&tests, "tests", "", "`folder` of tests to run, in the form of detections/tests")
	set.StringVar(&ownApp, "own-app", "", "`id` of the app that the collector uses; it must be among critical_apps")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return set.Wrong(fmt.Sprintf("%q is no flag", set.Arg(0)))
	}
	var (
		c   checkup
		now = time.Now()
	)
	lists := c.lists(&f, ownApp, now)
	p, err := f.Pack()
	if err != nil {
		c.fail("rules", err)
	} else {
		c.pack(p, lists, now)
		if tests != "" {
			c.tests(tests, p, lists)
		}
	}
	for _, line := range slices.Concat(c.problems, c.notes) {
		fmt.Fprintln(stdout, verb.Printable(line))
	}
	summary := ""
	if p != nil {
		summary = fmt.Sprintf("%d rules, %d correlations: ", len(p.Rules), len(p.Correlations))
	}
	if len(c.problems) > 0 {
		fmt.Fprintf(stdout, "%s%s\n", summary, count(len(c.problems), "problem"))
		return verb.ErrAttention
	}
	fmt.Fprintf(stdout, "%sall is well\n", summary)
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// lists checks the file of lists, and returns it with what is missing filled up, so that the rules can still be checked.
func (c *checkup) lists(f *pack.Flags, ownApp string, now time.Time) *detect.Lists {
	builtIn, err := detect.ParseLists(detections.Lists())
	if err != nil {
		c.fail("the built-in lists", err)
		return &detect.Lists{}
	}
	text, err := f.ListsText()
	if err != nil {
		c.fail("", err)
		return builtIn
	}
	lists, err := detect.ParseLists(text)
	c.fail(f.ListsName(), err)
	c.unsound = err != nil
	if lists == nil {
		return builtIn
	}
	if lists.Lists == nil {
		lists.Lists = map[string]detect.List{}
	}
	for _, name := range slices.Sorted(maps.Keys(builtIn.Lists)) {
		switch list, ok := lists.Lists[name]; {
		case !ok:
			c.fail(f.ListsName(), fmt.Errorf("%s is missing; `%s: {kind: %s, values: []}` would do", name, name, builtIn.Lists[name].Kind))
			lists.Lists[name] = builtIn.Lists[name]
		case list.Kind != builtIn.Lists[name].Kind:
			c.fail(f.ListsName(), fmt.Errorf("%s: kind is %s, not %s", name, builtIn.Lists[name].Kind, list.Kind))
		}
	}
	c.problems = append(c.problems, expired(lists, now)...)
	critical := lists.Lists["critical_apps"].Values
	switch {
	case ownApp != "" && !slices.Contains(critical, ownApp):
		c.fail(f.ListsName(), fmt.Errorf("critical_apps lacks %s, the collector's own app", ownApp))
	case len(lists.OwnApps) > 0 || ownApp != "":
	case len(critical) == 0:
		c.notes = append(c.notes, "own_apps is empty: name the collector's own app there, or its removal is found only if its scopes say that it reads the audit log; "+whereOwnApp)
	default:
		c.notes = append(c.notes, "own_apps is empty: is the collector's own app among critical_apps? "+whereOwnApp)
	}
	return lists
}

// pack checks that the rules go with the lists, and names the targets that do not cover them.
func (c *checkup) pack(p *detect.Pack, lists *detect.Lists, now time.Time) {
	tuned, err := p.Tune(lists, now)
	c.fail("", err)
	if err != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		if c.unsound {
			break // what is wrong was named
		}
		// Who compiles to one target only need not care.
		if _, err := targets[name].compile(source{tuned, p, lists, detect.Tiers}); err != nil {
			c.notes = append(c.notes, fmt.Sprintf("can't be compiled to %s: %v", name, err))
		}
	}
	c.notes = append(c.notes, inert(tuned, detect.Tiers)...)
}

// oneFile is a folder of which only one file is asked for.
type oneFile struct {
	fs.FS
	name string
}

func (o oneFile) Glob(string) ([]string, error) { return []string{o.name}, nil }

// tests runs those of a folder. Each file is loaded alone, so that a mistake in one does not hide those in others.
func (c *checkup) tests(folder string, p *detect.Pack, lists *detect.Lists) {
	files := os.DirFS(folder)
	names, err := fs.Glob(files, "*.yml")
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s holds no *.yml", folder)
	}
	if err != nil {
		c.fail("tests", err)
		return
	}
	start := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	empty := &detect.Lists{Lists: map[string]detect.List{}}
	for name, list := range lists.Lists {
		empty.Lists[name] = detect.List{About: list.About, Kind: list.Kind}
	}
	for _, name := range names {
		cases, err := detecttest.Load(oneFile{files, name}, p, start)
		c.fail("tests", err)
		for i := range cases {
			test := &cases[i]
			tuned, err := test.Tune(p, empty)
			if err != nil {
				c.fail("tests: "+name, err)
				break
			}
			evaluator, found := tuned.NewEvaluator(), 0
			for _, event := range test.Events() {
				evaluator.Add(event)
			}
			for _, finding := range evaluator.Findings() {
				if finding.Rule == test.Rule {
					found++
				}
			}
			if found != test.Finds {
				c.fail("tests: "+name, fmt.Errorf("%s: %s, not %d", test.Name, count(found, "finding"), test.Finds))
			}
		}
	}
}

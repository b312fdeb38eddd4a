// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rules // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/rules"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/pack"
	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/ottl"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect/splunk"
)

// source is what is compiled.
type source struct {
	tuned *detect.Tuned
	pack  *detect.Pack
	lists *detect.Lists
	tiers []detect.Tier
}

// target is what rules can be compiled to. It refuses a rule that it does not cover.
type target struct {
	// compile returns texts of files, by their paths below --output; of what is one file its path is empty.
	compile func(source) (map[string][]byte, error)
	// folder is whether --output is one.
	folder bool
	// correlations is whether they are in it too.
	correlations bool
}

// largeConfig is how many bytes of OTTL a collector still reads in seconds; only lists of many thousands make so much.
const largeConfig = 4 << 20

// targets are what --to can name.
var targets = map[string]target{
	"ottl":    {compile: single(ottl.Config)},
	"elastic": {compile: single(elastic.Rules), correlations: true},
	"splunk":  {compile: splunkApp, folder: true, correlations: true},
}

func single(compile func(*detect.Tuned, []detect.Tier) (string, error)) func(source) (map[string][]byte, error) {
	return func(s source) (map[string][]byte, error) {
		text, err := compile(s.tuned, s.tiers)
		return map[string][]byte{"": []byte(text)}, err
	}
}

// splunkApp puts the files of the app below its own folder.
func splunkApp(s source) (map[string][]byte, error) {
	files, err := splunk.App(s.tuned, s.pack, s.lists, s.tiers)
	below := map[string][]byte{}
	for name, text := range files {
		below[path.Join(splunk.AppName, name)] = text
	}
	return below, err
}

const aboutCompile = `Usage: slacklogs rules compile --to ottl|elastic|splunk [flags]

  ottl     the configuration of a transform processor, which tags the records that match one by one: give it to the
           collector as a second --config, and name the processor transform/slack_detections in a pipeline
  elastic  detection rules for Elastic Security, to import in Kibana
  splunk   an app, as a folder in the folder --output; of an older one there the folder local stays as it is

Whatever the rules of these lists and tiers can't find is named on stderr.
`

func compile(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		f          pack.Flags
		to, output string
	)
	set := verb.NewFlags("rules compile", aboutCompile, stdout, stderr)
	known := strings.Join(slices.Sorted(maps.Keys(targets)), ", ")
	set.StringVar(&to, "to", "", "what to write: "+known)
	f.AddLists(set)
	f.AddRules(set)
	f.AddTiers(set)
	set.StringVar(&output, "output", "", "`file` to write, as a whole or not at all (default: stdout); of splunk the folder to write into")
	if err := set.Parse(args); err != nil {
		return err
	}
	aim, ok := targets[to]
	switch {
	case set.NArg() > 0:
		return set.Wrong(fmt.Sprintf("%q is no flag", set.Arg(0)))
	case !ok:
		return set.Wrong("--to must be one of: " + known)
	case aim.folder && output == "":
		return set.Wrong("--output: name the folder in which the app's folder is to be")
	}
	now := time.Now()
	p, tuned, lists, err := f.Load(now)
	if err != nil {
		return err
	}
	files, err := aim.compile(source{tuned, p, lists, f.Wanted()})
	if err != nil {
		return err
	}
	notes := slices.Concat(inert(tuned, f.Wanted()), expired(lists, now))
	if !aim.correlations {
		var names []string
		for _, c := range tuned.Correlations {
			if slices.Contains(f.Wanted(), c.Tier) {
				names = append(names, c.Name)
			}
		}
		if len(names) > 0 {
			notes = append(notes, "not in it are the correlations, which need more than one record: "+strings.Join(names, ", "))
		}
	}
	if size := len(files[""]); to == "ottl" && size > largeConfig {
		notes = append(notes, fmt.Sprintf("it has %d MB, which the collector reads for minutes at its start; shorten the lists", size>>20))
	}
	for _, note := range notes {
		fmt.Fprintln(stderr, verb.Printable(note))
	}
	if output == "" {
		_, err := stdout.Write(files[""])
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(output, filepath.FromSlash(name))
		if aim.folder {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // Splunk runs as somebody else
				return err
			}
		}
		if err := replace(file, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a file as a whole, or leaves it as it was. A link is followed, and the file's mode stays.
func replace(path string, text []byte) (err error) {
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		path = followed
	}
	mode := os.FileMode(0o644)
	if old, err := os.Stat(path); err == nil {
		if !old.Mode().IsRegular() {
			return fmt.Errorf("--output %s is no file", path)
		}
		mode = old.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(text)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

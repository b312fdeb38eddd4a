// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package pack reads the detection pack and its lists as a verb's flags name them.
package pack // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/pack"

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/detections"
	"github.com/slacklogs/otelcol-slacklogs/internal/detect"
)

// Flags are those that say which rules and lists a verb works with.
type Flags struct {
	Rules string // a folder of the user's own, beside the built-in pack
	Lists string // a file, in place of the built-in empty lists
	Tiers []detect.Tier
}

// AddRules adds the flag --rules.
func (f *Flags) AddRules(set *verb.Flags) {
	set.StringVar(&f.Rules, "rules", "", "`folder` of Sigma documents of your own; they are added to the built-in ones")
}

// AddLists adds the flag --lists.
func (f *Flags) AddLists(set *verb.Flags) {
	set.StringVar(&f.Lists, "lists", "", "`file` of lists and exceptions (default: the built-in one, whose lists are empty)")
}

// AddTiers adds the flag --tier.
func (f *Flags) AddTiers(set *verb.Flags) {
	set.Func("tier", "only these `tiers`: page,review,hunt (default: all)", func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			tier := detect.Tier(strings.TrimSpace(name))
			if !slices.Contains(detect.Tiers, tier) {
				return fmt.Errorf("%q is none of page, review, hunt", tier)
			}
			if !slices.Contains(f.Tiers, tier) {
				f.Tiers = append(f.Tiers, tier)
			}
		}
		return nil
	})
}

// Wanted are the tiers: all, unless some were named.
func (f *Flags) Wanted() []detect.Tier {
	if len(f.Tiers) == 0 {
		return detect.Tiers
	}
	return f.Tiers
}

// Pack is the built-in one, with the rules of the user's own.
func (f *Flags) Pack() (*detect.Pack, error) {
	folders := []fs.FS{detections.Rules()}
	if f.Rules != "" {
		if info, err := os.Stat(f.Rules); err != nil {
			return nil, err
		} else if !info.IsDir() {
			return nil, fmt.Errorf("%s is no folder", f.Rules)
		}
		folders = append(folders, os.DirFS(f.Rules))
	}
	return detect.Load(folders...)
}

// ListsText is the text of the lists.
func (f *Flags) ListsText() ([]byte, error) {
	if f.Lists == "" {
		return detections.Lists(), nil
	}
	return os.ReadFile(f.Lists)
}

// Load returns the pack, the pack as the lists tune it at a time, and the lists.
func (f *Flags) Load(now time.Time) (*detect.Pack, *detect.Tuned, *detect.Lists, error) {
	p, err := f.Pack()
	if err != nil {
		return nil, nil, nil, err
	}
	text, err := f.ListsText()
	if err != nil {
		return nil, nil, nil, err
	}
	lists, err := detect.ParseLists(text)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", f.ListsName(), err)
	}
	tuned, err := p.Tune(lists, now)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", f.ListsName(), err)
	}
	return p, tuned, lists, nil
}

// ListsName is what messages call the lists.
func (f *Flags) ListsName() string {
	if f.Lists == "" {
		return "the built-in lists"
	}
	return f.Lists
}

// Lines are the messages of an error that may be several joined, one line each.
func Lines(err error) []string {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, one := range several.Unwrap() {
			lines = append(lines, Lines(one)...)
		}
		return lines
	}
	return []string{strings.Join(strings.Fields(verb.Printable(strings.ReplaceAll(err.Error(), "\n", " "))), " ")}
}

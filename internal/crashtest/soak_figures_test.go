// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.etcd.io/bbolt"
)

// fewest is how many samples a third needs.
const fewest = 5

// figure is something that must not grow. One value says little: a burst, an answer of 64 MiB under way or a restart
// shows in all of them. So what stands for the first third of the measured time is compared with that of the last one,
// and both thirds are given the same troubles.
type figure struct {
	name, unit string
	// of is what stands for a third: least where garbage comes on top of what is held, otherwise middle.
	of func(sorted []float64) float64
	// The last third may have so many times what the first one has, and so much beside that.
	times, plus float64
	// Not every system tells it.
	optional bool

	samples []sample
}

// sample is one value, so long after the start of the measured time.
type sample struct {
	at    time.Duration
	value float64
}

func least(sorted []float64) float64  { return sorted[0] }
func middle(sorted []float64) float64 { return sorted[len(sorted)/2] }

func (f *figure) add(at time.Duration, value float64) {
	f.samples = append(f.samples, sample{at, value})
}

// outcome is what is said of a figure.
type outcome string

const (
	flat        outcome = "flat"
	grows       outcome = "GROWS"
	tooFew      outcome = "TOO FEW VALUES"
	notMeasured outcome = "not measured here"
)

func (o outcome) bad() bool { return o == grows || o == tooFew }

// judge tells what stands for the first and for the last third of the measured time, and whether that has grown.
func (f *figure) judge(measured time.Duration) (first, last float64, o outcome) {
	var thirds [3][]float64
	for _, s := range f.samples {
		if s.at >= 0 { // else it is from the time before, in which everything grows
			n := min(int(3*s.at/measured), 2)
			thirds[n] = append(thirds[n], s.value)
		}
	}
	if f.optional && len(f.samples) == 0 {
		return math.NaN(), math.NaN(), notMeasured
	}
	if len(thirds[0]) < fewest || len(thirds[2]) < fewest {
		return math.NaN(), math.NaN(), tooFew
	}
	slices.Sort(thirds[0])
	slices.Sort(thirds[2])
	first, last = f.of(thirds[0]), f.of(thirds[2])
	if last > f.limit(first) {
		return first, last, grows
	}
	return first, last, flat
}

func (f *figure) limit(first float64) float64 { return first*f.times + f.plus }

// table is the figures for a reader, and whether one is bad.
func table(figures []*figure, measured time.Duration) (text string, bad []string) {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "figure\tunit\tat first\tat last\tmay be\tvalues\tverdict\n")
	for _, f := range figures {
		first, last, o := f.judge(measured)
		if o == flat || o == grows {
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.1f\t%d\t%s\n", f.name, f.unit, first, last, f.limit(first), len(f.samples), o)
		} else {
			fmt.Fprintf(w, "%s\t%s\t\t\t\t%d\t%s\n", f.name, f.unit, len(f.samples), o)
		}
		if o.bad() {
			bad = append(bad, f.name+": "+string(o))
		}
	}
	_ = w.Flush() // to memory
	return out.String(), bad
}

// openFiles is how many another process has. Without /proc it is not known.
func openFiles(pid int) (n int, ok bool) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files), err == nil
}

// stored is what a folder of file_storage holds.
type stored struct {
	files float64 // bytes
	ids   float64 // bytes of audit ids
	list  float64 // bytes of the list and workspace that takes the most
	queue float64 // bytes of the exporters
}

// keyCost is what a key costs beside its text and its value.
const keyCost = 16

func readStored(dir string) (s stored, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return s, err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return s, err
		}
		s.files += float64(info.Size())
		keys, err := boltKeys(file)
		if err != nil {
			return s, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		lists := map[string]float64{}
		for key, size := range keys {
			cost := float64(len(key) + size + keyCost)
			part := strings.SplitN(key, ".", 3)
			switch {
			case !strings.HasPrefix(filepath.Base(file), "receiver_"):
				s.queue += cost
			case strings.HasPrefix(key, "audit.ids."):
				s.ids += float64(size)
			case len(part) > 1:
				lists[part[0]+"."+part[1]] += cost
			}
		}
		for _, bytes := range lists {
			s.list = max(s.list, bytes)
		}
	}
	return s, nil
}

// boltKeys are the keys in a database of file_storage and the sizes of their values. Its owner has it locked and goes on
// writing, so a copy is opened; two readings that are the same have met no write half done.
func boltKeys(path string) (map[string]int, error) {
	data, err := os.ReadFile(path)
	for range 50 {
		before := data
		if data, err = os.ReadFile(path); err != nil || bytes.Equal(before, data) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New("just being created")
	}
	file, err := os.CreateTemp("", "soak")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(data); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(file.Name(), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	keys := map[string]int{}
	return keys, db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("default"))
		if bucket == nil {
			return errors.New("just being created")
		}
		return bucket.ForEach(func(key, value []byte) error {
			keys[string(key)] = len(value)
			return nil
		})
	})
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// maxPage is the largest page that Slack gives.
const maxPage = 9999

// varied is what the company of slacktest, which is small, says again and
// again: in a large one it differs, and a page does not compress as well.
var varied = regexp.MustCompile(`BW\d{6}|\b(9|1[01])\d{12}\b|198\.51\.100\.\d+|(staff|guest)\d{3}|/\d{3}\.\d+\b`)

// generator makes up audit entries of an organisation of thousands.
type generator struct {
	organisation *slacktest.Organisation
	rng          *rand.Rand
}

func newGenerator() *generator {
	return &generator{slacktest.NewOrganisation(1), rand.New(rand.NewPCG(1, 2))}
}

// entry makes up an entry of this second.
func (g *generator) entry(date int64) slacktest.Entry {
	e := g.organisation.Entry(date)
	e.JSON = varied.ReplaceAllFunc(e.JSON, func(old []byte) []byte {
		switch old[0] {
		case 'B':
			return fmt.Appendf(nil, "BW%012X", g.rng.Uint64()>>16)
		case 's', 'g':
			return fmt.Appendf(nil, "%s.%s-%012x", pick(g, givenNames), pick(g, familyNames), g.rng.Uint64()>>16)
		case '/':
			return fmt.Appendf(nil, "/%d.0.%d", 138+g.rng.IntN(6), g.rng.IntN(1_000_000))
		}
		if bytes.Contains(old, []byte(".")) {
			return fmt.Appendf(nil, "198.%d.%d.%d", 18+g.rng.IntN(2), g.rng.IntN(256), g.rng.IntN(256))
		}
		return fmt.Appendf(nil, "%d", 9_000_000_000_000+g.rng.Int64N(900_000_000_000))
	})
	return e
}

var (
	givenNames  = []string{"ada", "bram", "chioma", "dilek", "emile", "freya", "goran", "hana", "isak", "joao", "kofi", "lucia", "mei", "niamh", "orla", "priya"}
	familyNames = []string{"ashdown", "bergstrom", "castellano", "dvorak", "eze", "fontaine", "galloway", "haraldsson", "iwasaki", "jansen", "kowalczyk", "lindqvist"}
)

func pick(g *generator, list []string) string { return list[g.rng.IntN(len(list))] }

// entries are n of them, spread evenly over the seconds from…to-1.
func (g *generator) entries(n int, from, to int64) []slacktest.Entry {
	list := make([]slacktest.Entry, n)
	for i := range list {
		list[i] = g.entry(from + int64(i)*(to-from)/int64(n))
	}
	return list
}

// page is an answer with these entries, newest first.
func page(entries []slacktest.Entry) []byte {
	text := []byte(`{"entries":[`)
	for i, e := range slices.Backward(entries) {
		text = append(text, e.JSON...)
		if i > 0 {
			text = append(text, ',')
		}
	}
	return append(text, `],"response_metadata":{"next_cursor":""}}`...)
}

// TestEntries says that the entries are like real ones: of about 900 bytes and
// 37 values, and a page of them six or seven times smaller when compressed.
func TestEntries(t *testing.T) {
	const n = 3000
	text := page(newGenerator().entries(n, noon.Unix(), noon.Unix()+n))
	var values int
	_, err := jsonstream.List(bytes.NewReader(text), "entries", 1<<30, func(e jsonstream.Element) error {
		values += countValues(e.Root)
		return nil
	})
	require.NoError(t, err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.InDelta(t, 900, len(text)/n, 45, "bytes")
	require.InDelta(t, 37, float64(values)/n, 2, "values")
	require.InDelta(t, 6.5, float64(len(text))/float64(packed.Len()), 0.7, "compression")
}

func countValues(n jsonstream.Node) int {
	count := 1
	for _, value := range n.Members() {
		count += countValues(value)
	}
	for value := range n.Elements() {
		count += countValues(value)
	}
	return count
}

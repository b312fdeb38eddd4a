// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tree gives a node the form that encoding/json gives its text with UseNumber.
func tree(n Node) any {
	switch n.Kind() {
	case Bool:
		return n.Str() == "true"
	case Number:
		return json.Number(n.Str())
	case String:
		return n.Str()
	case Array:
		list := []any{}
		for e := range n.Elements() {
			list = append(list, tree(e))
		}
		return list
	case Object:
		object := map[string]any{}
		for name, value := range n.Members() {
			object[name.Str()] = tree(value)
		}
		return object
	}
	return nil
}

func TestParseStrings(t *testing.T) {
	for text, want := range map[string]string{
		`""`:                                 "",
		`"plain"`:                            "plain",
		`"a\/b\"\\\b\f\n\r\t"`:               "a/b\"\\\b\f\n\r\t",
		`"\u00e9\u20AC é€😀"`:                 "é€ é€😀",
		`"\ud83d\ude00"`:                     "😀",
		`"\ud83d"`:                           "\uFFFD",
		`"\ude00\ud83d"`:                     "\uFFFD\uFFFD",
		`"\ud83d\u0041"`:                     "\uFFFDA",
		`"\ud83d\ud83d\ude00"`:               "\uFFFD😀",
		"\"a\xffb\xe2\x82\"":                 "a\uFFFDb\uFFFD\uFFFD",
		"\"\uFFFD \u2028 \x7f\"":             "\uFFFD \u2028 \x7f",
		`"` + strings.Repeat("x", 300) + `"`: strings.Repeat("x", 300),
	} {
		var p Parser
		n, err := p.Parse([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, String, n.Kind())
		assert.Equal(t, want, n.Str())
		assert.Equal(t, want, string(n.Bytes()))
		assert.Equal(t, text, n.Raw())
	}
}

func TestParseRefuses(t *testing.T) {
	var p Parser
	for _, text := range []string{
		"", " ", "{", "[", "]", `"`, `"\`, `"\u12"`, `"\u12g4"`, `"\x"`, "\"\x00\"", "\"\n\"", "01", "-", "+1", "1.", ".5", "1e", "1e+",
		"-01", "0x1", "NaN", "tru", "nul", "True", "[1,]", "[,1]", "[1 2]", "[1", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`,
		`{a:1}`, `{1:2}`, `{"a":1`, "1 2", "{} x", "\xef\xbb\xbf{}", "[\xff]", "\u00a01",
	} {
		_, err := p.Parse([]byte(text))
		var syntax *SyntaxError
		assert.ErrorAs(t, err, &syntax, "%q", text)
		assert.False(t, json.Valid([]byte(text)), "%q", text)
		assert.Equal(t, Element{Text: []byte(text)}, NewElement([]byte(text)), "what is no JSON is still there as text")
	}
}

func TestParseDepth(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	var p Parser
	_, err := p.Parse(nested(MaxDepth))
	assert.NoError(t, err)
	_, err = p.Parse(nested(MaxDepth + 1))
	assert.ErrorContains(t, err, "nested too deeply")
	_, err = p.Parse([]byte(strings.Repeat(`{"a":[`, 500_000)))
	assert.ErrorContains(t, err, "nested too deeply")
}

func TestNode(t *testing.T) {
	var p Parser
	n, err := p.Parse([]byte(` {"id":"a\/b", "n":[1, "x",{"k":null}], "e\u0065":true, "o":{"o":{"s":"deep"}}} `))
	require.NoError(t, err)

	assert.Equal(t, "a/b", n.Get("id").Str())
	assert.Equal(t, `"a\/b"`, n.Get("id").Raw())
	assert.Equal(t, `[1, "x",{"k":null}]`, n.Get("n").Raw())
	assert.Equal(t, 3, n.Get("n").Len())
	assert.Equal(t, Bool, n.Get("ee").Kind())
	assert.Equal(t, "deep", n.Get("o").Get("o").Get("s").Str())
	assert.True(t, n.Get("ee").Scalar())
	assert.Empty(t, n.Str(), "an object stands for no string")

	for _, absent := range []Node{{}, n.Get("x"), n.Get("id").Get("x"), n.Get("x").Get("y")} {
		assert.Equal(t, Absent, absent.Kind())
		assert.Empty(t, absent.Str())
		assert.Empty(t, absent.Raw())
		assert.Empty(t, absent.Bytes())
		assert.Zero(t, absent.Len())
		for range absent.Members() {
			t.Error("no members")
		}
		for range absent.Elements() {
			t.Error("no elements")
		}
		for range absent.Scalars() {
			t.Error("no scalars")
		}
	}

	var scalars []string
	for s := range n.Scalars() {
		scalars = append(scalars, s.Str())
	}
	assert.Equal(t, []string{"a/b", "1", "x", "true", "deep"}, scalars)
}

func TestLastOfRepeatedNamesWins(t *testing.T) {
	for _, filler := range []int{0, 2 * manyMembers} {
		var text strings.Builder
		text.WriteString(`{"a":1,"b":2,"\u0061":3`)
		for i := range filler {
			text.WriteString(`,"` + strings.Repeat("x", i+1) + `":0`)
		}
		text.WriteString(`,"c":{"a":5,"a":6},"b":{"b":4}}`)

		var p Parser
		n, err := p.Parse([]byte(text.String()))
		require.NoError(t, err)
		assert.Equal(t, "3", n.Get("a").Str())
		assert.Equal(t, "6", n.Get("c").Get("a").Str())
		assert.Equal(t, "4", n.Get("b").Get("b").Str())
		var names []string
		for name := range n.Members() {
			if name.Bytes()[0] != 'x' {
				names = append(names, name.Str())
			}
		}
		assert.Equal(t, []string{"a", "c", "b"}, names, "in the place of the last")
	}
}

func TestParserKeepsNothing(t *testing.T) {
	var p Parser
	_, err := p.Parse([]byte(`["a long string", "a\/b", {"twice":1,"twice":2}, 12345, {"x":{"y":[1,2,3]}}]`))
	require.NoError(t, err)
	n, err := p.Parse([]byte(`{"a":[],"b":{},"c":[{}],"d":"","e":0}`))
	require.NoError(t, err)
	assert.Empty(t, n.Str())
	for _, name := range []string{"a", "b", "c", "d"} {
		assert.Empty(t, n.Get(name).Bytes(), name)
		assert.Empty(t, n.Get(name).Str(), name)
	}
	assert.Equal(t, []int{5, 0, 0, 1, 0}, []int{n.Len(), n.Get("a").Len(), n.Get("b").Len(), n.Get("c").Len(), n.Get("d").Len()})
}

func TestStringsOutliveTheParser(t *testing.T) {
	var p Parser
	text := []byte(`["kept","\/kept"]`)
	n, err := p.Parse(text)
	require.NoError(t, err)
	var kept []string
	for e := range n.Elements() {
		kept = append(kept, e.Str())
	}
	for i := range text {
		text[i] = ' '
	}
	_, err = p.Parse([]byte(`["other","\/othe"]`))
	require.NoError(t, err)
	assert.Equal(t, []string{"kept", "/kept"}, kept)
}

func TestParseAllocatesNothing(t *testing.T) {
	var p Parser
	text := []byte(`{"id":"a\/b","list":[1,2,{"k":"v"}]}`)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		n, err := p.Parse(text)
		if err != nil || len(n.Get("id").Bytes()) != 3 {
			t.Fatal("cannot parse")
		}
	}))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","n":[1,-0.5e+10,true,false,null],"o":{"a":1,"a":2}}`, `"\ud83d\ude00\ud83d\u0041"`, "\"\xff\"", `18446744073709551616`,
		`1e400`, `[[[]]]`, `01`, `{"a":1,}`, " \t\r\n1 ", `"\u0000"`, "\"\x1f\"", strings.Repeat("[", 129) + strings.Repeat("]", 129),
	} {
		f.Add([]byte(seed))
	}
	var p Parser // that of the texts before
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := p.Parse(data)
		if err != nil {
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.True(t, syntax.Msg == "nested too deeply" || !json.Valid(data), "refused: %v", err)
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want any
		require.NoError(t, dec.Decode(&want))
		require.True(t, json.Valid(data))
		assert.Equal(t, want, tree(n))
		if k := n.Kind(); k == Array || k == Object || k == Null {
			assert.Equal(t, k == Null, len(n.Bytes()) > 0, "lists and objects stand for no string")
		}
		assert.Equal(t, string(bytes.Trim(data, " \t\r\n")), n.Raw())
	})
}

func BenchmarkPage(b *testing.B) {
	entry := `{"id":"89f2c85d-80ba-4336-af8c-a3cf9486a12a","date_create":1766105755,"action":"file_downloaded","actor":{"type":"user",` +
		`"user":{"id":"U0BRIGHT01","name":"Ada Brook","email":"ada@brightwater.example","team":"E0BRIGHT00"}},"entity":{"type":"file",` +
		`"file":{"id":"F0BRIGHT02","name":"plan.pdf","filetype":"application\/pdf","title":"Plan"}},"context":{"location":{"type":` +
		`"enterprise","id":"E0BRIGHT00","name":"Brightwater","domain":"brightwater"},"ua":"Mozilla\/5.0 (Macintosh) AppleWebKit\/537.36",` +
		`"ip_address":"198.51.100.7","session_id":10137226569043},"details":{"reason":["asn"],"n":1.5}}`
	const entries = 1000
	page := []byte(`{"entries":[` + strings.Repeat(entry+",", entries-1) + entry + `],"response_metadata":{"next_cursor":"x"}}`)

	b.Run("List", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			_, err := List(bytes.NewReader(page), "entries", noLimit, func(Element) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			var v struct{ Entries []map[string]any }
			if err := json.Unmarshal(page, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const noLimit = 1 << 40

type result struct {
	elements []string
	answer   Answer
	err      error
}

func read(r io.Reader, limit int64) (res result) {
	res.answer, res.err = List(r, "entries", limit, func(e Element) error {
		res.elements = append(res.elements, string(e.Text))
		// It holds the same as its text by itself.
		if alone := NewElement(e.Text).Root; e.Root.Kind() != alone.Kind() || e.Root.Raw() != alone.Raw() || !reflect.DeepEqual(tree(alone), tree(e.Root)) {
			return fmt.Errorf("%q holds %v", e.Text, tree(e.Root))
		}
		return nil
	})
	return res
}

func TestList(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   string
		elements []string
		rest     map[string]string
		missing  bool
	}{
		"elements as they were sent": {
			answer:   " { \"entries\" : [ {\"a\" : \"\\/\"} ,\n[1,2] , \"x\",5 ,null] } \n",
			elements: []string{`{"a" : "\/"}`, `[1,2]`, `"x"`, `5`, `null`},
		},
		"members beside the list": {
			answer:   `{"ok":true,"entries":[1],"response_metadata":{"next_cursor":"a]}"}}`,
			elements: []string{"1"},
			rest:     map[string]string{"ok": "true", "response_metadata": `{"next_cursor":"a]}"}`},
		},
		"the last of two members":    {answer: `{"a":1,"a":2,"entries":[]}`, rest: map[string]string{"a": "2"}},
		"both lists":                 {answer: `{"entries":[1],"entries":[2]}`, elements: []string{"1", "2"}},
		"empty list":                 {answer: `{"entries":[ ]}`},
		"no list":                    {answer: `{"ok":false}`, rest: map[string]string{"ok": "false"}, missing: true},
		"nothing":                    {answer: `{}`, missing: true},
		"escapes in the list's name": {answer: `{"entr\u0069es":[1]}`, elements: []string{"1"}},
		"a list of that name inside": {answer: `{"x":{"entries":[1]}}`, rest: map[string]string{"x": `{"entries":[1]}`}, missing: true},
		"elements that are no JSON": {
			answer: "{\"entries\":[{\"a\":\"\x01\"},{\"a\":\"\\x\"},01,{\"a\":1 \"b\":2},{\"\xff\":tru},NaN,{\"a\":1}]}",
			elements: []string{
				"{\"a\":\"\x01\"}", `{"a":"\x"}`, "01", `{"a":1 "b":2}`, "{\"\xff\":tru}", "NaN", `{"a":1}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for reader, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
			} {
				got := read(wrap(strings.NewReader(tt.answer)), int64(len(tt.answer)))
				require.NoError(t, got.err, reader)
				assert.Equal(t, tt.elements, got.elements, reader)
				assert.Equal(t, !tt.missing, got.answer.Found, reader)
				rest := map[string]string{}
				for k, v := range got.answer.Rest {
					rest[k] = string(v)
				}
				if tt.rest == nil {
					tt.rest = map[string]string{}
				}
				assert.Equal(t, tt.rest, rest, reader)
			}
		})
	}
}

func TestListRefusesWhatIsNoAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		offset int64
	}{
		"empty":                 {``, 0},
		"null for a list":       {`{"entries":null}`, 15},
		"HTML":                  {`<html>secret</html>`, 0},
		"a list":                {`[1]`, 0},
		"cut in an element":     {`{"entries":[{"a":`, 17},
		"cut in a string":       {`{"entries":["secret\`, 20},
		"cut behind an element": {`{"entries":[1`, 13},
		"cut behind the list":   {`{"entries":[1]`, 14},
		"garbage at the end":    {`{"entries":[1]} secret`, 16},
		"second object":         {`{"entries":[1]}{}`, 15},
		"mismatched brackets":   {`{"entries":[{"a":[1}]}]}`, 19},
		"closing too much":      {`{"entries":[1}]}`, 13},
		"comma before the end":  {`{"entries":[1,]}`, 14},
		"two commas":            {`{"entries":[1,,2]}`, 14},
		"no comma":              {`{"entries":[{} {}]}`, 15},
		"comma in the object":   {`{"entries":[],}`, 14},
		"no colon":              {`{"entries" []}`, 11},
		"no name":               {`{[]:1}`, 3},
		"bad name":              {`{"secret\x":1}`, 11},
		"list is an object":     {`{"entries":{"secret":1}}`, 23},
		"list is a number":      {`{"entries":5}`, 12},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.answer), iotest.OneByteReader(strings.NewReader(tt.answer))} {
				got := read(r, noLimit)
				var syntax *SyntaxError
				require.ErrorAs(t, got.err, &syntax)
				assert.Equal(t, tt.offset, syntax.Offset)
				assert.NotContains(t, got.err.Error(), "secret")
			}
		})
	}
}

func TestListTellsErrorsApart(t *testing.T) {
	const answer = `{"entries":[1,2],"x":3}`

	t.Run("limit", func(t *testing.T) {
		assert.NoError(t, read(strings.NewReader(answer), int64(len(answer))).err)
		assert.ErrorIs(t, read(strings.NewReader(answer), int64(len(answer))-1).err, ErrTooLarge)
		assert.ErrorIs(t, read(strings.NewReader(answer+" "), int64(len(answer))).err, ErrTooLarge)
	})
	t.Run("limit inside an element", func(t *testing.T) {
		endless := io.MultiReader(strings.NewReader(`{"entries":["`), &endless{})
		assert.ErrorIs(t, read(endless, 1<<20).err, ErrTooLarge)
	})
	t.Run("reader", func(t *testing.T) {
		broken := errors.New("broken")
		got := read(io.MultiReader(strings.NewReader(answer[:16]), iotest.ErrReader(broken)), noLimit)
		assert.ErrorIs(t, got.err, broken)
		assert.Equal(t, []string{"1", "2"}, got.elements, "what came before counts")
	})
	t.Run("reader at the very end", func(t *testing.T) {
		got := read(io.MultiReader(strings.NewReader(answer), iotest.ErrReader(io.ErrUnexpectedEOF)), noLimit)
		assert.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
	})
	t.Run("data and error at once", func(t *testing.T) {
		broken := errors.New("broken")
		got := read(iotest.DataErrReader(io.MultiReader(strings.NewReader(answer[:16]), iotest.ErrReader(broken))), noLimit)
		assert.ErrorIs(t, got.err, broken)
		assert.Equal(t, []string{"1", "2"}, got.elements)
	})
	t.Run("reader that is stuck", func(t *testing.T) {
		assert.ErrorIs(t, read(stuck{}, noLimit).err, io.ErrNoProgress)
	})
	t.Run("yield", func(t *testing.T) {
		_, err := List(strings.NewReader(answer), "entries", noLimit, func(Element) error { return io.EOF })
		assert.Equal(t, io.EOF, err)
	})
}

type endless struct{}

func (*endless) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte("x"), len(b))), nil }

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestListHandsOverAnyDepth(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 500_000) + strings.Repeat(`]}`, 500_000)
	got := read(strings.NewReader(`{"entries":[1,`+deep+`,2]}`), noLimit)
	require.NoError(t, got.err)
	require.Len(t, got.elements, 3)
	assert.Zero(t, strings.Compare(deep, got.elements[1]), "it is handed over whole")
}

func TestListHandsOverLongElements(t *testing.T) {
	long := `"` + strings.Repeat(`\"`, 3*firstBuffer) + `"`
	got := read(strings.NewReader(`{"entries":[`+long+`,`+long+`]}`), noLimit)
	require.NoError(t, got.err)
	assert.True(t, len(got.elements) == 2 && got.elements[0] == long && got.elements[1] == long)
}

// TestListAcrossBuffers moves every byte of an answer over the edge of the buffer.
func TestListAcrossBuffers(t *testing.T) {
	const answer = `"entries" : [ {"a\\\"b" : [ {} , "\u00e9]" ] } , 12.5 , true ] , "x" : { } }`
	want := []string{`{"a\\\"b" : [ {} , "\u00e9]" ] }`, "12.5", "true"}
	for i := range len(answer) {
		got := read(strings.NewReader("{"+strings.Repeat(" ", firstBuffer-1-i)+answer), noLimit)
		require.NoError(t, got.err)
		require.Equal(t, want, got.elements)
	}
}

func TestListMemoryDoesNotGrowWithTheAnswer(t *testing.T) {
	page := func(n int) []byte {
		return []byte(`{"entries":[` + strings.Repeat(`{"id":"x","list":[1,2,3]},`, n) + `1]}`)
	}
	bytesFor := func(n int) float64 {
		text := page(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := List(bytes.NewReader(text), "entries", noLimit, func(Element) error { return nil })
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	// The first buffer comes out of a pool, which may be empty.
	assert.Less(t, bytesFor(20_000), bytesFor(10)+2*firstBuffer)
}

// members lists an object's members with encoding/json, repeated names included.
func members(t *testing.T, data []byte) (names []string, values []json.RawMessage) {
	dec := json.NewDecoder(bytes.NewReader(data))
	_, err := dec.Token()
	require.NoError(t, err)
	for dec.More() {
		name, err := dec.Token()
		require.NoError(t, err)
		var value json.RawMessage
		require.NoError(t, dec.Decode(&value))
		names, values = append(names, name.(string)), append(values, value)
	}
	return names, values
}

func FuzzList(f *testing.F) {
	for _, seed := range []string{
		`{"entries":[{"id":"a","date_create":1},[],"x",1,null],"response_metadata":{"next_cursor":"b=="}}`,
		`{"ok":false,"error":"ratelimited"}`, `{"entries":null}`, ` { "entries" : [ ] } `, `{"entries":[1],"entries":[2]}`,
		`{"entries":{}}`, `[]`, `{"a":1`, `{"entries":[01,"\x",{"a" 1}]}`, `{"entries":[{"a":[}]}]}`, "{\"\xff\":1,\"\\ud800\":2}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := read(bytes.NewReader(data), noLimit)

		// However the bytes come in, the result is the same.
		rnd := rand.New(rand.NewPCG(1, uint64(len(data))))
		assert.Equal(t, got, read(readerFunc(func(b []byte, r *bytes.Reader) (int, error) {
			return r.Read(b[:min(len(b), 1+rnd.IntN(7))])
		}, data), noLimit))

		object := bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
		if !json.Valid(data) || !object {
			if !object {
				assert.Error(t, got.err)
			}
			return
		}
		var elements []string
		rest := map[string][]byte{}
		found := false
		names, values := members(t, data)
		for i, name := range names {
			if name != "entries" {
				rest[name] = values[i]
				continue
			}
			var list []json.RawMessage
			if json.Unmarshal(values[i], &list) != nil || list == nil {
				assert.Error(t, got.err)
				return
			}
			found = true
			for _, e := range list {
				elements = append(elements, string(e))
			}
		}
		require.NoError(t, got.err)
		assert.Equal(t, elements, got.elements)
		assert.Equal(t, Answer{Rest: rest, Found: found}, got.answer)
	})
}

type partReader struct {
	read func([]byte, *bytes.Reader) (int, error)
	r    *bytes.Reader
}

func readerFunc(read func([]byte, *bytes.Reader) (int, error), data []byte) io.Reader {
	return partReader{read, bytes.NewReader(data)}
}

func (p partReader) Read(b []byte) (int, error) { return p.read(b, p.r) }

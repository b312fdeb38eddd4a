// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package jsonstream // import "github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how many lists and objects Parse accepts inside each other. Slack's entries need six.
const MaxDepth = 128

// maxText keeps the places in a text, and in what its strings stand for, within 32 bits: an invalid byte becomes three.
const maxText = math.MaxInt32 / 3

// Objects with more members look for repeated names with a map instead of pair by pair.
const manyMembers = 32

// Parser reads JSON texts one after another. It keeps its memory, so that a text like the last ones costs none.
type Parser struct {
	text []byte
	pos  int
	// tape holds the values in the order of the text, each list or object directly before what it holds; a member
	// of an object is its name and then its value.
	tape    []value
	decoded []byte // strings that are not in the text as they are

	// Copies of text and decoded, made when the first string is asked for: all strings of a text share them.
	frozen                bool
	frozenText, frozenDec string
}

// value is small, as a tape of them is read again and again.
type value struct {
	kind       Kind
	copied     bool // the string stands in decoded
	name       bool
	repeated   bool  // a name that comes again in the same object
	start, end int32 // in text
	from, to   int32 // of the string, in text or decoded
	next       int32 // the tape's index behind all that the value holds
	count      int32 // elements or members
}

// Parse reads one JSON value. The nodes and the bytes they give are valid until the next Parse and as long as text is
// not changed. Like encoding/json it takes an invalid byte in a string, or half of a surrogate pair, for U+FFFD.
func (p *Parser) Parse(text []byte) (Node, error) {
	if err := p.begin(text); err != nil {
		return Node{}, err
	}
	p.space()
	if p.pos < len(text) {
		return Node{}, p.mistake("something follows the value")
	}
	return Node{p, 0}, nil
}

// parseFirst parses the list or object that text begins with, whatever follows. It is p.text then.
func (p *Parser) parseFirst(text []byte) (Node, error) {
	if err := p.begin(text); err != nil {
		return Node{}, err
	}
	p.text = text[:p.pos:p.pos]
	return Node{p, 0}, nil
}

// begin reads the first value of text.
func (p *Parser) begin(text []byte) error {
	*p = Parser{text: text, tape: p.tape[:0], decoded: p.decoded[:0]}
	if len(text) > maxText {
		return p.mistake("the text is too long")
	}
	p.space()
	return p.value(0)
}

func (p *Parser) value(depth int) error {
	if p.pos == len(p.text) {
		return p.mistake("the text ends too early")
	}
	switch p.text[p.pos] {
	case '{':
		return p.object(depth)
	case '[':
		return p.list(depth)
	case '"':
		return p.str(false)
	case 't':
		return p.word(Bool, "true")
	case 'f':
		return p.word(Bool, "false")
	case 'n':
		return p.word(Null, "null")
	}
	return p.number()
}

func (p *Parser) object(depth int) error {
	at, err := p.open(Object, depth)
	if err != nil {
		return err
	}
	var met uint64 // a bit for each name, of 64: two names may share one
	twice := false
	for !p.take('}') {
		if p.tape[at].count > 0 {
			if !p.take(',') {
				return p.mistake("a comma or closing bracket is missing")
			}
			p.space()
		}
		if p.pos == len(p.text) || p.text[p.pos] != '"' {
			return p.mistake("the name of a member is missing")
		}
		from := p.pos
		if err := p.str(true); err != nil {
			return err
		}
		bit := nameBit(p.text[from+1 : p.pos-1])
		twice = twice || met&bit != 0 || p.tape[len(p.tape)-1].copied
		met |= bit
		p.space()
		if !p.take(':') {
			return p.mistake("':' is missing")
		}
		p.space()
		if err := p.value(depth + 1); err != nil {
			return err
		}
		p.tape[at].count++
		p.space()
	}
	p.close(at)
	if twice {
		p.markRepeated(at)
	}
	return nil
}

func (p *Parser) list(depth int) error {
	at, err := p.open(Array, depth)
	if err != nil {
		return err
	}
	for !p.take(']') {
		if p.tape[at].count > 0 {
			if !p.take(',') {
				return p.mistake("a comma or closing bracket is missing")
			}
			p.space()
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
		p.tape[at].count++
		p.space()
	}
	p.close(at)
	return nil
}

func (p *Parser) open(kind Kind, depth int) (at int32, err error) {
	if depth == MaxDepth {
		return 0, p.mistake("nested too deeply")
	}
	at = int32(len(p.tape))
	p.push(kind, p.pos)
	p.pos++
	p.space()
	return at, nil
}

func (p *Parser) close(at int32) {
	p.tape[at].end = int32(p.pos)
	p.tape[at].next = int32(len(p.tape))
}

// push puts a value on the tape. It is filled in there, field by field: to copy it there whole takes the processor
// longer than all the rest.
func (p *Parser) push(kind Kind, start int) *value {
	n := len(p.tape)
	if n < cap(p.tape) {
		p.tape = p.tape[:n+1]
	} else {
		p.tape = append(p.tape, value{})
	}
	v := &p.tape[n]
	v.kind, v.copied, v.name, v.repeated = kind, false, false, false
	v.start, v.from, v.to, v.count = int32(start), 0, 0, 0
	return v
}

// scalar puts a value on the tape that ends here. It stands for what is from…to in the text.
func (p *Parser) scalar(kind Kind, start, from, to int) *value {
	v := p.push(kind, start)
	v.end, v.next = int32(p.pos), int32(len(p.tape))
	v.from, v.to = int32(from), int32(to)
	return v
}

func nameBit(name []byte) uint64 {
	n := len(name)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n) + 7*uint(name[0]) + 13*uint(name[n/2]) + 31*uint(name[n-1])) % 64)
}

// markRepeated marks each name of an object that comes again further down.
func (p *Parser) markRepeated(at int32) {
	end := p.tape[at].next
	if p.tape[at].count > manyMembers {
		last := make(map[string]int32, p.tape[at].count)
		for i := at + 1; i < end; i = p.tape[i+1].next {
			name := string(p.bytes(i))
			if before, ok := last[name]; ok {
				p.tape[before].repeated = true
			}
			last[name] = i
		}
		return
	}
	for i := at + 1; i < end; i = p.tape[i+1].next {
		name := p.bytes(i)
		for j := p.tape[i+1].next; j < end; j = p.tape[j+1].next {
			if string(p.bytes(j)) == string(name) {
				p.tape[i].repeated = true
				break
			}
		}
	}
}

// plain counts the bytes at the beginning of text that stand for themselves in a string. It looks at eight at once: of
// each it works out in its highest bit whether it is below ' ', one of the two characters, or above ASCII. A carry may
// give the byte after such a one the bit too, so only the first counts.
func plain(text []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(text); i += 8 {
		x := binary.LittleEndian.Uint64(text[i:])
		quote, escape := x^('"'*ones), x^('\\'*ones)
		odd := ((x - ' '*ones) | (quote - ones) | (escape - ones) | x) & highs
		if odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

func (p *Parser) str(name bool) error {
	start := p.pos
	to := start + 1 + plain(p.text[start+1:])
	p.pos = to
	if to == len(p.text) || p.text[to] != '"' {
		return p.decode(name, start)
	}
	p.pos++
	p.scalar(String, start, start+1, to).name = name
	return nil
}

// decode reads on in a string that is not plain to its end.
func (p *Parser) decode(name bool, start int) error {
	text := p.text
	from, copied := start+1, false
	done := from // up to here the string is in decoded, once it is copied
	for {
		p.pos += plain(text[p.pos:])
		if p.pos == len(text) {
			return p.mistake("a string does not end")
		}
		c := text[p.pos]
		if c == '"' {
			break
		}
		if c < ' ' {
			return p.mistake("a control character in a string")
		}
		var r rune
		var size int
		if c == '\\' {
			if r, size = escape(text[p.pos:]); size == 0 {
				return p.mistake("an invalid escape in a string")
			}
		} else if r, size = utf8.DecodeRune(text[p.pos:]); r != utf8.RuneError || size > 1 {
			p.pos += size // a character that stands for itself
			continue
		}
		if !copied {
			copied, from = true, len(p.decoded)
		}
		p.decoded = append(p.decoded, text[done:p.pos]...)
		p.decoded = utf8.AppendRune(p.decoded, r)
		p.pos += size
		done = p.pos
	}
	to := p.pos
	if copied {
		p.decoded = append(p.decoded, text[done:p.pos]...)
		to = len(p.decoded)
	}
	p.pos++
	v := p.scalar(String, start, from, to)
	v.name, v.copied = name, copied
	return nil
}

// escape decodes the escape that text begins with. Size 0 means that it is none.
func escape(text []byte) (r rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch text[1] {
	case '"', '\\', '/':
		return rune(text[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := hex4(text)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(text[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

// hex4 reads a \uXXXX.
func hex4(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (p *Parser) number() error {
	start := p.pos
	p.take('-')
	if !p.take('0') && !p.digits() {
		return p.mistake("a value is missing or unknown")
	}
	if p.take('.') && !p.digits() {
		return p.mistake("a number without digits")
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if !p.digits() {
			return p.mistake("a number without digits")
		}
	}
	p.scalar(Number, start, start, p.pos)
	return nil
}

func (p *Parser) digits() bool {
	start := p.pos
	for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *Parser) word(kind Kind, word string) error {
	if len(p.text)-p.pos < len(word) || string(p.text[p.pos:p.pos+len(word)]) != word {
		return p.mistake("a value is missing or unknown")
	}
	start := p.pos
	p.pos += len(word)
	p.scalar(kind, start, start, p.pos)
	return nil
}

func (p *Parser) take(c byte) bool {
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *Parser) space() {
	if p.pos < len(p.text) && p.text[p.pos] <= ' ' {
		p.spaces()
	}
}

func (p *Parser) spaces() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *Parser) mistake(msg string) error {
	return &SyntaxError{Offset: int64(p.pos), Msg: msg}
}

// bytes are what the string at i stands for, or the text of another scalar.
func (p *Parser) bytes(i int32) []byte {
	v := &p.tape[i]
	if v.copied {
		return p.decoded[v.from:v.to]
	}
	return p.text[v.from:v.to]
}

func (p *Parser) freeze() {
	if !p.frozen {
		p.frozen, p.frozenText, p.frozenDec = true, string(p.text), string(p.decoded)
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package jsonstream reads Slack's JSON: List takes an answer apart while it streams in, and has a Parser read each of
// its elements strictly. An element that is no JSON costs neither its neighbours nor itself: it is still there as text.
package jsonstream // import "github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrTooLarge means that an answer is longer than the limit.
var ErrTooLarge = errors.New("the answer is larger than the limit")

// SyntaxError says where and why a text is not JSON. It never holds any of the text, which may be secret.
type SyntaxError struct {
	Offset int64 // bytes before the mistake
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Msg)
}

const (
	firstBuffer = 64 << 10
	// maxKept is for how many values of an element memory is kept.
	maxKept = 1 << 14
	// A reader that returns nothing this often in a row is taken to be stuck.
	maxEmptyReads = 100
)

// window is the memory that an answer begins with.
type window struct {
	buf      [firstBuffer]byte
	elements Parser
}

// windows are kept from answer to answer, as most are small.
var windows = sync.Pool{New: func() any { return new(window) }}

// Element is one of a list.
type Element struct {
	// Text is its raw text, byte for byte and without the white space around it.
	Text []byte
	// Root is what the text holds; absent if that is no JSON.
	Root Node
}

// NewElement parses a text that is an element by itself.
func NewElement(text []byte) Element { return new(Parser).Element(text) }

// Element is NewElement for many texts: it is valid until the next one.
func (p *Parser) Element(text []byte) Element {
	root, err := p.Parse(text)
	if err != nil {
		root = Node{}
	}
	return Element{text, root}
}

// Answer is what an answer holds beside the elements of its list.
type Answer struct {
	// Rest is the raw text of each other top-level member; of two with the same name the last.
	Rest map[string][]byte
	// Found tells whether the list was there, be it empty.
	Found bool
}

// List reads one JSON object of at most limit bytes and calls yield with each element of the list named key, valid
// only during the call. Memory grows with the largest element, not with the answer. Should the list come twice, both
// are handed over.
//
// Of the answer only what holds it together is checked. A value may be wrong inside as long as its quotes and brackets
// match, so whoever uses a member of Rest has to parse it.
//
// The error is ErrTooLarge; a *SyntaxError for an answer that is cut off or isn't an object with such a list (or
// nothing of that name) in it; one that wraps the reader's; or yield's own. What was read before stands in Answer.
func List(r io.Reader, key string, limit int64, yield func(Element) error) (Answer, error) {
	w := windows.Get().(*window)
	defer func() {
		if cap(w.elements.tape) <= maxKept && cap(w.elements.decoded) <= firstBuffer {
			w.elements = Parser{tape: w.elements.tape, decoded: w.elements.decoded}
			windows.Put(w)
		}
	}()
	s := stream{r: r, limit: limit, buf: w.buf[:0], start: -1}
	answer := Answer{Rest: map[string][]byte{}}

	if err := s.expect('{'); err != nil {
		return answer, err
	}
	var names Parser
	for first := true; ; first = false {
		if more, err := s.more(first, '}'); err != nil {
			return answer, err
		} else if !more {
			return answer, s.end()
		}
		text, err := s.value()
		if err != nil {
			return answer, err
		}
		member, err := names.Parse(text)
		if err != nil || member.Kind() != String {
			return answer, s.mistake("the name of a member is not a string")
		}
		name := member.Str() // now: reading on moves the text away
		if err := s.expect(':'); err != nil {
			return answer, err
		}
		if name == key {
			answer.Found = true
			if err := s.list(&w.elements, yield); err != nil {
				return answer, err
			}
			continue
		}
		value, err := s.value()
		if err != nil {
			return answer, err
		}
		answer.Rest[name] = bytes.Clone(value)
	}
}

// stream is a window on the answer. Its methods move pos forward and fill the window when it runs out.
type stream struct {
	r       io.Reader
	readErr error
	limit   int64
	buf     []byte
	offset  int64 // bytes of the answer before buf
	pos     int
	start   int // of the value being read, which has to stay in buf; -1: none
	ended   bool
	open    []byte // the closing brackets that a value still needs
}

// list hands over the elements of a list. Null is none: a list that is not there must not pass for an empty one.
func (s *stream) list(p *Parser, yield func(Element) error) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != '[' {
		if _, err := s.value(); err != nil {
			return err
		}
		return s.mistake("the list is something else")
	}
	s.pos++
	for first := true; ; first = false {
		if more, err := s.more(first, ']'); err != nil || !more {
			return err
		}
		e, err := s.element(p)
		if err != nil {
			return err
		}
		if err := yield(e); err != nil {
			return err
		}
	}
}

// element reads over one element and parses it. An object or list that stands in the window whole tells by that where
// it ends; only what is no JSON, or not all there yet, is read twice.
func (s *stream) element(p *Parser) (Element, error) {
	c, err := s.peek()
	if err != nil {
		return Element{}, err
	}
	if c == '{' || c == '[' {
		if root, err := p.parseFirst(s.buf[s.pos:]); err == nil {
			s.pos += len(p.text)
			return Element{p.text, root}, nil
		}
	}
	text, err := s.value()
	if err != nil {
		return Element{}, err
	}
	return p.Element(text), nil
}

// more reads the comma before another element, or the closing bracket when there is none.
func (s *stream) more(first bool, closing byte) (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == closing:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		// A bracket may not follow the comma; value sees to that.
		return true, nil
	}
	return false, s.mistake("a comma or closing bracket is missing")
}

// value reads over one value and returns its text, valid until the next call.
func (s *stream) value() ([]byte, error) {
	c, err := s.peek()
	if err != nil {
		return nil, err
	}
	s.start = s.pos
	switch c {
	case '{', '[':
		err = s.brackets()
	case '"':
		err = s.quotes()
	default:
		err = s.bare()
	}
	if err != nil {
		return nil, err
	}
	text := s.buf[s.start:s.pos:s.pos]
	s.start = -1
	return text, nil
}

// brackets reads to the bracket that matches the one at pos. It keeps its own stack, so that no depth exhausts the
// goroutine's.
func (s *stream) brackets() error {
	s.open = s.open[:0]
	for {
		for s.pos < len(s.buf) {
			c := s.buf[s.pos]
			switch c {
			case '"':
				if err := s.quotes(); err != nil {
					return err
				}
				continue
			case '{', '[':
				s.open = append(s.open, c+2) // in ASCII the closing bracket is two further on
			case '}', ']':
				last := len(s.open) - 1
				if s.open[last] != c {
					return s.mistake("brackets do not match")
				}
				s.open = s.open[:last]
				if last == 0 {
					s.pos++
					return nil
				}
			}
			s.pos++
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// quotes reads to the end of the string at pos.
func (s *stream) quotes() error {
	s.pos++
	for {
		i, buf := s.pos, s.buf
		for i < len(buf) && buf[i] != '"' {
			if buf[i] == '\\' {
				i++ // what follows, perhaps beyond buf, can't end the string
			}
			i++
		}
		s.pos = i
		if i < len(buf) {
			s.pos++
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// bare reads a number, true, false, null, or whatever stands in such a place.
func (s *stream) bare() error {
	for {
		for ; s.pos < len(s.buf); s.pos++ {
			switch s.buf[s.pos] {
			case ' ', '\t', '\n', '\r', ',', ':', '"', '{', '[', '}', ']':
				if s.pos == s.start {
					return s.mistake("a value is missing")
				}
				return nil
			}
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// expect reads c, whatever white space stands before it.
func (s *stream) expect(c byte) error {
	got, err := s.peek()
	if err == nil && got != c {
		err = s.mistake("'" + string(c) + "' is missing")
	}
	s.pos++
	return err
}

// end makes sure that nothing follows. Reading to the end also lets the reader check its own sums.
func (s *stream) end() error {
	_, err := s.peek()
	switch {
	case s.ended:
		return nil
	case err != nil:
		return err
	}
	return s.mistake("something follows the answer")
}

// peek moves to the next byte that is not white space and returns it.
func (s *stream) peek() (byte, error) {
	for {
		for ; s.pos < len(s.buf); s.pos++ {
			switch c := s.buf[s.pos]; c {
			case ' ', '\t', '\n', '\r':
			default:
				return c, nil
			}
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads at least one byte more. It forgets what lies before the value being read and grows the buffer only when
// that value fills it.
func (s *stream) fill() error {
	keep := s.pos
	if s.start >= 0 {
		keep = s.start
		s.start = 0
	}
	n := copy(s.buf, s.buf[keep:])
	s.buf = s.buf[:n]
	s.offset += int64(keep)
	s.pos -= keep
	if n == cap(s.buf) {
		s.buf = append(make([]byte, 0, 2*n), s.buf...)
	}

	for range maxEmptyReads {
		if errors.Is(s.readErr, io.EOF) {
			s.ended = true
			s.pos = len(s.buf)
			return s.mistake("the answer ends too early")
		}
		if s.readErr != nil {
			return fmt.Errorf("reading the answer: %w", s.readErr)
		}
		n, s.readErr = s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if s.offset+int64(len(s.buf)) > s.limit {
			return ErrTooLarge
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("reading the answer: %w", io.ErrNoProgress)
}

func (s *stream) mistake(msg string) error {
	return &SyntaxError{Offset: s.offset + int64(s.pos), Msg: msg}
}

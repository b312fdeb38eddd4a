// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package jsonstream // import "github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"

import "iter"

// Kind is what a Node is.
type Kind uint8

// The zero Kind is that of a value which is not there.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Node is a value of the text that a Parser read last. The zero Node is a value that is not there; all of its methods
// are safe, so that Get can be chained.
type Node struct {
	p  *Parser
	at int32 // on the tape
}

// Kind tells what the value is.
func (n Node) Kind() Kind {
	if n.p == nil {
		return Absent
	}
	return n.p.tape[n.at].kind
}

// Scalar tells whether the value is a string, number or bool.
func (n Node) Scalar() bool {
	k := n.Kind()
	return k == String || k == Number || k == Bool
}

// Bytes are what a string stands for, or the text of a number, bool or null; nothing for all else. They belong to the
// Parser.
func (n Node) Bytes() []byte {
	if n.p == nil {
		return nil
	}
	return n.p.bytes(n.at)
}

// Str is Bytes as a string to keep. The first call for a text copies it whole, and the strings share that copy.
func (n Node) Str() string {
	if n.p == nil {
		return ""
	}
	n.p.freeze()
	v := &n.p.tape[n.at]
	if v.copied {
		return n.p.frozenDec[v.from:v.to]
	}
	return n.p.frozenText[v.from:v.to]
}

// Raw is the value's JSON text as it was sent. Like Str it shares one copy.
func (n Node) Raw() string {
	if n.p == nil {
		return ""
	}
	n.p.freeze()
	v := &n.p.tape[n.at]
	return n.p.frozenText[v.start:v.end]
}

// Len counts the elements of a list or the members of an object, repeated names included.
func (n Node) Len() int {
	if n.p == nil {
		return 0
	}
	return int(n.p.tape[n.at].count)
}

// Get finds an object's member, the last one of that name.
func (n Node) Get(name string) Node {
	found := Node{}
	if n.Kind() != Object {
		return found
	}
	for i, end := n.at+1, n.p.tape[n.at].next; i < end; i = n.p.tape[i+1].next {
		if string(n.p.bytes(i)) == name {
			found = Node{n.p, i + 1}
		}
	}
	return found
}

// Members are the names and values of an object, in the order of the text. Of members with the same name only the
// last is there.
func (n Node) Members() iter.Seq2[Node, Node] {
	return func(yield func(name, value Node) bool) {
		if n.Kind() != Object {
			return
		}
		for i, end := n.at+1, n.p.tape[n.at].next; i < end; i = n.p.tape[i+1].next {
			if !n.p.tape[i].repeated && !yield(Node{n.p, i}, Node{n.p, i + 1}) {
				return
			}
		}
	}
}

// Elements are the values of a list.
func (n Node) Elements() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if n.Kind() != Array {
			return
		}
		for i, end := n.at+1, n.p.tape[n.at].next; i < end; i = n.p.tape[i].next {
			if !yield(Node{n.p, i}) {
				return
			}
		}
	}
}

// Scalars are the strings, numbers and bools in the value at any depth, in the order of the text: names are not among
// them, values of repeated names are.
func (n Node) Scalars() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if n.p == nil {
			return
		}
		for i := n.at; i < n.p.tape[n.at].next; i++ {
			if m := (Node{n.p, i}); m.Scalar() && !n.p.tape[i].name && !yield(m) {
				return
			}
		}
	}
}

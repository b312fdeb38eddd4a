// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package sigma // import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

import (
	"net"
	"regexp"
)

// Expr is what a document asks of an event: And, Or, Not or *Test.
type Expr interface{ expr() }

type (
	// And holds when all hold; the empty one always.
	And []Expr
	// Or holds when one holds; the empty one never.
	Or []Expr
	// Not holds when Expr does not.
	Not struct{ Expr Expr }
	// Test holds when the field has a value that stands in the relation Op to one of Values. A field of several values
	// holds it when one of them does; a field that is missing only holds Null.
	Test struct {
		Field string
		Op    Op
		// Values are literals (wildcards have become another Op). Of FieldRef they are names of fields, of InList of lists;
		// of Exists and Null there are none.
		Values []string
		// Cased is whether upper and lower case differ. CIDR and FieldRef compare as it stands; a Regexp says it itself.
		Cased bool

		patterns []*regexp.Regexp // the Values of a Regexp, compiled
		networks []*net.IPNet     // the Values of a CIDR, read once: a list can have thousands
	}
)

// InNetworks returns a test whether a field is an address in one of these ranges.
func InNetworks(field string, ranges []string) (*Test, error) {
	t := &Test{Field: field, Op: CIDR, Values: ranges}
	for _, text := range ranges {
		network, err := Network(text)
		if err != nil {
			return nil, err
		}
		t.networks = append(t.networks, network)
	}
	return t, nil
}

func (And) expr()   {}
func (Or) expr()    {}
func (Not) expr()   {}
func (*Test) expr() {}

// Always and Never are the constants.
var (
	Always = And{}
	Never  = Or{}
)

// Op is the relation of a Test.
type Op string

// What a Test can ask.
const (
	Equal      Op = "equal"
	Contains   Op = "contains"
	StartsWith Op = "startswith"
	EndsWith   Op = "endswith"
	Regexp     Op = "re"
	CIDR       Op = "cidr"
	FieldRef   Op = "fieldref" // the same as another field
	InList     Op = "list"     // one of a list that whoever runs the rules fills
	Exists     Op = "exists"
	Null       Op = "null" // the field is missing
)

// Walk calls visit for each Test of an expression.
func Walk(e Expr, visit func(*Test)) {
	switch e := e.(type) {
	case And:
		for _, part := range e {
			Walk(part, visit)
		}
	case Or:
		for _, part := range e {
			Walk(part, visit)
		}
	case Not:
		Walk(e.Expr, visit)
	case *Test:
		visit(e)
	}
}

// Map returns the expression with each Test replaced, and without parts that decide nothing.
func Map(e Expr, replace func(*Test) Expr) Expr {
	switch e := e.(type) {
	case And:
		var parts And
		for _, part := range e {
			switch p := Map(part, replace).(type) {
			case And:
				parts = append(parts, p...)
			case Or:
				if len(p) == 0 {
					return Never
				}
				parts = append(parts, p)
			default:
				parts = append(parts, p)
			}
		}
		if len(parts) == 1 {
			return parts[0]
		}
		return parts
	case Or:
		var parts Or
		for _, part := range e {
			switch p := Map(part, replace).(type) {
			case Or:
				parts = append(parts, p...)
			case And:
				if len(p) == 0 {
					return Always
				}
				parts = append(parts, p)
			default:
				parts = append(parts, p)
			}
		}
		if len(parts) == 1 {
			return parts[0]
		}
		return parts
	case Not:
		switch p := Map(e.Expr, replace).(type) {
		case Not:
			return p.Expr
		case And:
			if len(p) == 0 {
				return Never
			}
			return Not{p}
		case Or:
			if len(p) == 0 {
				return Always
			}
			return Not{p}
		default:
			return Not{p}
		}
	case *Test:
		return replace(e)
	}
	return e
}

// IsNever is whether an expression that Map returned can't hold.
func IsNever(e Expr) bool {
	or, ok := e.(Or)
	return ok && len(or) == 0
}

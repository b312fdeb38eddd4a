// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package sigma // import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Event is what expressions are asked of. The values of a missing field are none.
type Event interface {
	Values(field string) []string
}

// Matches is whether an expression holds for an event. Lists must have been replaced by what they hold.
func Matches(e Expr, event Event) bool {
	switch e := e.(type) {
	case And:
		return !slices.ContainsFunc(e, func(part Expr) bool { return !Matches(part, event) })
	case Or:
		return slices.ContainsFunc(e, func(part Expr) bool { return Matches(part, event) })
	case Not:
		return !Matches(e.Expr, event)
	case *Test:
		return e.matches(event)
	}
	panic(fmt.Sprintf("sigma: %T is no expression", e))
}

func (t *Test) matches(event Event) bool {
	values := event.Values(t.Field)
	switch t.Op {
	case Exists:
		return len(values) > 0
	case Null:
		return len(values) == 0
	case FieldRef:
		for _, field := range t.Values {
			// A list of several is not the same as anything: whose element would it be?
			if other := event.Values(field); len(values) == 1 && len(other) == 1 && values[0] == other[0] {
				return true
			}
		}
		return false
	case Regexp:
		for _, value := range values {
			for _, pattern := range t.patterns {
				if pattern.MatchString(value) {
					return true
				}
			}
		}
		return false
	case CIDR:
		return slices.ContainsFunc(values, t.inNetworks)
	}
	for _, value := range values {
		for _, want := range t.Values {
			if t.compare(value, want) {
				return true
			}
		}
	}
	return false
}

func (t *Test) inNetworks(value string) bool {
	address := net.ParseIP(value)
	return address != nil && slices.ContainsFunc(t.networks, func(network *net.IPNet) bool { return network.Contains(address) })
}

func (t *Test) compare(value, want string) bool {
	if !t.Cased {
		value, want = strings.ToLower(value), strings.ToLower(want)
	}
	switch t.Op {
	case Equal:
		return value == want
	case Contains:
		return strings.Contains(value, want)
	case StartsWith:
		return strings.HasPrefix(value, want)
	case EndsWith:
		return strings.HasSuffix(value, want)
	}
	panic(fmt.Sprintf("sigma: a test of %s was not replaced", t.Op))
}

// Network reads a range such as 192.0.2.0/24, or one address.
func Network(text string) (*net.IPNet, error) {
	if address := net.ParseIP(text); address != nil {
		if strings.Contains(text, ":") {
			text += "/128"
		} else {
			text += "/32"
		}
	}
	_, network, err := net.ParseCIDR(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no address and no range such as 192.0.2.0/24", text)
	}
	return network, nil
}

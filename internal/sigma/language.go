// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package sigma // import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

import (
	"fmt"
	"strings"
)

// Language is how a query language writes an expression.
type Language struct {
	And, Or     string // what stands between parts, with its blanks
	True, False string // what always holds, and what never does
	Not         func(Expr) (string, error)
	Test        func(*Test) (string, error)
}

// Write returns the text of an expression. What has several parts stands in parentheses.
func (l Language) Write(e Expr) (string, error) {
	var (
		parts       []Expr
		word, empty string
	)
	switch e := e.(type) {
	case And:
		parts, word, empty = e, l.And, l.True
	case Or:
		parts, word, empty = e, l.Or, l.False
	case Not:
		return l.Not(e.Expr)
	case *Test:
		return l.Test(e)
	default:
		return "", fmt.Errorf("%T is no expression", e)
	}
	if len(parts) == 0 {
		return empty, nil
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		text, err := l.Write(part)
		if err != nil {
			return "", err
		}
		texts[i] = text
	}
	return Together(texts, word), nil
}

// Together puts conditions together, in parentheses; a single one stays as it is.
func Together(texts []string, word string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return "(" + strings.Join(texts, word) + ")"
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package elastic // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/elastic"

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// luceneRegexps returns what a pattern of RE2 is in Lucene's language, which all of Elastic's query languages share: it
// always covers the whole value, and has neither flags nor anchors. They are several, one of which must match, as Lucene
// refuses what would have too many states.
func luceneRegexps(pattern string) ([]string, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		parts = re.Sub
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		if texts[i], err = lucene(part, true, true); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// pattern is RE2's for a value that a field equals, or begins with, ends with or contains.
func pattern(op sigma.Op, value string, cased bool) string {
	value = regexp.QuoteMeta(value)
	if op == sigma.Equal || op == sigma.StartsWith {
		value = "^" + value
	}
	if op == sigma.Equal || op == sigma.EndsWith {
		value += "$"
	}
	if cased {
		return "(?s)" + value
	}
	return "(?is)" + value
}

// ascii is whether a text has no other characters.
func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
}

// lucene writes a part of a pattern. At the beginning and the end of the whole one anything may stand beside it, unless an
// anchor says no.
func lucene(re *syntax.Regexp, begin, end bool) (string, error) {
	around := func(text string) string {
		if begin {
			text = ".*" + text
		}
		if end {
			text += ".*"
		}
		return text
	}
	switch re.Op {
	case syntax.OpBeginText:
		if !begin {
			return "", fmt.Errorf("%s: ^ is covered at the beginning only", re)
		}
		if end {
			return ".*", nil
		}
		return "", nil
	case syntax.OpEndText:
		if !end {
			return "", fmt.Errorf("%s: $ is covered at the end only", re)
		}
		if begin {
			return ".*", nil
		}
		return "", nil
	case syntax.OpEmptyMatch:
		if begin || end {
			return ".*", nil
		}
		return "()", nil
	case syntax.OpCapture:
		text, err := lucene(re.Sub[0], begin, end)
		return "(" + text + ")", err
	case syntax.OpAlternate:
		texts := make([]string, len(re.Sub))
		for i, sub := range re.Sub {
			text, err := lucene(sub, begin, end)
			if err != nil {
				return "", err
			}
			if texts[i] = text; text == "" {
				texts[i] = "()" // Lucene knows no empty alternative
			}
		}
		return "(" + strings.Join(texts, "|") + ")", nil
	case syntax.OpConcat:
		var b strings.Builder
		for i, sub := range re.Sub {
			text, err := lucene(sub, begin && i == 0, end && i == len(re.Sub)-1)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		}
		return b.String(), nil
	case syntax.OpLiteral:
		var b strings.Builder
		for _, r := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 {
				b.WriteString(anyCase(r))
			} else {
				b.WriteString(literalRune(r))
			}
		}
		return around(b.String()), nil
	case syntax.OpCharClass:
		return around(class(re.Rune)), nil
	case syntax.OpAnyChar:
		// Lucene's dot is any character.
		return around("."), nil
	case syntax.OpAnyCharNotNL:
		return around("[^\n]"), nil
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		text, err := lucene(re.Sub[0], false, false)
		if err != nil {
			return "", err
		}
		return around("(" + text + ")" + times(re)), nil
	}
	return "", fmt.Errorf("%s is not covered", re)
}

func times(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpStar:
		return "*"
	case syntax.OpPlus:
		return "+"
	case syntax.OpQuest:
		return "?"
	}
	switch re.Max {
	case re.Min:
		return "{" + strconv.Itoa(re.Min) + "}"
	case -1:
		return "{" + strconv.Itoa(re.Min) + ",}"
	}
	return "{" + strconv.Itoa(re.Min) + "," + strconv.Itoa(re.Max) + "}"
}

// literalRune escapes what may mean something to Lucene, with all of its operators switched on.
func literalRune(r rune) string {
	if r < 0x80 && r > ' ' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
		return `\` + string(r)
	}
	return string(r)
}

// anyCase is a class of what RE2 takes for the same letter.
func anyCase(r rune) string {
	if unicode.SimpleFold(r) == r {
		return literalRune(r)
	}
	var b strings.Builder
	b.WriteString("[" + literalRune(r))
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		b.WriteString(literalRune(other))
	}
	b.WriteByte(']')
	return b.String()
}

// class writes pairs of first and last characters.
func class(ranges []rune) string {
	var b strings.Builder
	b.WriteByte('[')
	if len(ranges) > 0 && ranges[0] == 0 && ranges[len(ranges)-1] == unicode.MaxRune {
		// What is left out is shorter.
		b.WriteByte('^')
		var others []rune
		for i := 1; i+1 < len(ranges); i += 2 {
			others = append(others, ranges[i]+1, ranges[i+1]-1)
		}
		ranges = others
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		b.WriteString(literalRune(ranges[i]))
		if ranges[i+1] > ranges[i] {
			b.WriteString("-" + literalRune(ranges[i+1]))
		}
	}
	b.WriteByte(']')
	return b.String()
}

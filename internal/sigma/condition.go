// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package sigma // import "github.com/slacklogs/otelcol-slacklogs/internal/sigma"

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// detection makes one expression of the searches and the condition over them.
func detection(nodes map[string]yaml.Node) (Expr, error) {
	var condition string
	node := nodes["condition"]
	if err := node.Decode(&condition); err != nil || condition == "" {
		return nil, errors.New("condition: one text")
	}
	p := parser{searches: map[string]Expr{}, used: map[string]bool{}, tokens: tokenForm.FindAllString(condition, -1)}
	if strings.Join(p.tokens, "") != strings.Join(strings.Fields(condition), "") {
		return nil, fmt.Errorf("condition: %q holds what is not covered", condition)
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		if name == "condition" {
			continue
		}
		if !searchForm.MatchString(name) || slices.Contains(words, name) {
			return nil, fmt.Errorf("%q can't be the name of a search", name)
		}
		node := nodes[name]
		search, err := search(&node)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.searches[name] = search
	}
	e, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q is out of place", p.tokens[0])
	}
	if err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.searches)) {
		if !p.used[name] {
			return nil, fmt.Errorf("condition: does not use %s", name)
		}
	}
	return Map(e, func(t *Test) Expr { return t }), nil
}

var (
	tokenForm  = regexp.MustCompile(`[A-Za-z0-9_*]+|[()]`)
	searchForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	words      = []string{"and", "or", "not", "all", "of", "them"}
)

// parser reads a condition: or binds weaker than and, and weaker than not.
type parser struct {
	tokens   []string
	searches map[string]Expr
	used     map[string]bool
}

func (p *parser) take(token string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != token {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) or() (Expr, error) {
	var parts Or
	for {
		part, err := p.and()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if !p.take("or") {
			return parts, nil
		}
	}
}

func (p *parser) and() (Expr, error) {
	var parts And
	for {
		part, err := p.not()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if !p.take("and") {
			return parts, nil
		}
	}
}

func (p *parser) not() (Expr, error) {
	if p.take("not") {
		e, err := p.not()
		return Not{e}, err
	}
	if p.take("(") {
		e, err := p.or()
		if err == nil && !p.take(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return e, err
	}
	if p.take("1") {
		parts, err := p.of()
		return Or(parts), err
	}
	if p.take("all") {
		parts, err := p.of()
		return And(parts), err
	}
	if len(p.tokens) == 0 {
		return nil, errors.New("something is missing at the end")
	}
	name := p.tokens[0]
	e, ok := p.searches[name]
	if !ok {
		return nil, fmt.Errorf("there is no search %q", name)
	}
	p.tokens = p.tokens[1:]
	p.used[name] = true
	return e, nil
}

// of reads what follows 1 or all: of them, of a pattern of names.
func (p *parser) of() ([]Expr, error) {
	if !p.take("of") || len(p.tokens) == 0 {
		return nil, errors.New("after 1 and all stands of and a pattern of names")
	}
	pattern := p.tokens[0]
	p.tokens = p.tokens[1:]
	var parts []Expr
	for _, name := range slices.Sorted(maps.Keys(p.searches)) {
		prefix, star := strings.CutSuffix(pattern, "*")
		// Names that begin with an underscore are left out of them, as Sigma has it.
		if pattern == "them" && !strings.HasPrefix(name, "_") || pattern == name || star && strings.HasPrefix(name, prefix) {
			parts = append(parts, p.searches[name])
			p.used[name] = true
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("no search is called %q", pattern)
	}
	return parts, nil
}

// search reads a map of field tests, all of which must hold, or a list of such maps, of which one must.
func search(node *yaml.Node) (Expr, error) {
	switch node.Kind {
	case yaml.SequenceNode:
		var parts Or
		for _, item := range node.Content {
			if item.Kind != yaml.MappingNode {
				return nil, errors.New("a search without a field is not covered")
			}
			part, err := search(item)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			return nil, errors.New("is empty")
		}
		return parts, nil
	case yaml.MappingNode:
		var parts And
		seen := map[string]bool{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if key := node.Content[i].Value; seen[key] {
				return nil, fmt.Errorf("%s stands there twice", key)
			}
			seen[node.Content[i].Value] = true
			part, err := test(node.Content[i].Value, node.Content[i+1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", node.Content[i].Value, err)
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			return nil, errors.New("is empty")
		}
		return parts, nil
	}
	return nil, errors.New("is neither a map of fields nor a list of such maps")
}

// test reads one line of a search: a field with its modifiers, and a value or a list of them.
func test(key string, node *yaml.Node) (Expr, error) {
	names := strings.Split(key, "|")
	t := Test{Field: names[0], Op: Equal}
	if t.Field == "" {
		return nil, errors.New("names no field")
	}
	var all, anyCase bool
	for _, modifier := range names[1:] {
		switch modifier {
		case "contains", "startswith", "endswith", "re", "exists", "cidr", "fieldref":
			if t.Op != Equal {
				return nil, fmt.Errorf("%s does not go with %s", modifier, t.Op)
			}
			t.Op = Op(modifier)
		case "expand":
			if t.Op != Equal {
				return nil, fmt.Errorf("expand does not go with %s", t.Op)
			}
			t.Op = InList
		case "all":
			all = true
		case "cased":
			t.Cased = true
		case "i":
			anyCase = true
		default:
			return nil, fmt.Errorf("the modifier %s is not covered", modifier)
		}
	}
	if anyCase && t.Op != Regexp || t.Cased && (t.Op == Regexp || t.Op == CIDR || t.Op == Exists || t.Op == FieldRef || t.Op == InList) {
		return nil, errors.New("these modifiers do not go together")
	}
	values := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		values = node.Content
	}
	if len(values) == 0 {
		return nil, errors.New("has no value")
	}

	if t.Op == Exists {
		var exists bool
		if err := node.Decode(&exists); err != nil || node.Tag != "!!bool" {
			return nil, errors.New("exists is true or false")
		}
		if !exists {
			t.Op = Null
		}
		return &t, nil
	}
	// Values of the same relation stay together, which is what emitters write best.
	var parts []Expr
	byOp := map[Op]*Test{}
	for _, value := range values {
		one, err := t.of(value, anyCase)
		if err != nil {
			return nil, err
		}
		if same := byOp[one.Op]; same != nil && !all && one.Op != Null {
			same.Values = append(same.Values, one.Values...)
			same.patterns = append(same.patterns, one.patterns...)
			same.networks = append(same.networks, one.networks...)
			continue
		}
		byOp[one.Op] = one
		parts = append(parts, one)
	}
	if all {
		return And(parts), nil
	}
	return Or(parts), nil
}

// of returns the test of one value.
func (t Test) of(node *yaml.Node, anyCase bool) (*Test, error) {
	if node.Kind != yaml.ScalarNode {
		return nil, errors.New("a value is a text, a number, true, false or null")
	}
	if node.Tag == "!!null" {
		if t.Op != Equal {
			return nil, fmt.Errorf("null does not go with %s", t.Op)
		}
		t.Op = Null
		return &t, nil
	}
	value := node.Value
	switch t.Op {
	case Regexp:
		if anyCase {
			value = "(?i)" + value
		}
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, err
		}
		t.patterns = []*regexp.Regexp{pattern}
	case CIDR:
		return InNetworks(t.Field, []string{value})
	case InList:
		name, ok := strings.CutPrefix(value, "%")
		name, end := strings.CutSuffix(name, "%")
		if !ok || !end || name == "" || strings.Contains(name, "%") {
			return nil, fmt.Errorf("%q is not the name of a list between two %%", value)
		}
		value = name
	case FieldRef:
	default:
		return t.literal(value)
	}
	t.Values = []string{value}
	return &t, nil
}

// literal takes the escapes out of a value, and makes the relation of its wildcards.
func (t Test) literal(value string) (*Test, error) {
	var (
		text     strings.Builder
		pattern  strings.Builder
		wild     []int // where in text wildcards stood
		question bool
	)
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && i+1 < len(value) && strings.IndexByte(`\*?`, value[i+1]) >= 0:
			i++
			text.WriteByte(value[i])
			pattern.WriteString(regexp.QuoteMeta(value[i : i+1]))
		case c == '*':
			wild = append(wild, text.Len())
			pattern.WriteString(`.*`)
		case c == '?':
			question = true
			pattern.WriteString(`.`)
		default:
			text.WriteByte(c)
			if c < 0x80 {
				pattern.WriteString(regexp.QuoteMeta(value[i : i+1]))
			} else {
				pattern.WriteByte(c)
			}
		}
	}
	t.Values = []string{text.String()}
	if len(wild) == 0 && !question {
		return &t, nil
	}
	if t.Op != Equal {
		return nil, fmt.Errorf("a wildcard in %s is not covered", t.Op)
	}
	end := text.Len()
	if end == 0 && !question { // anything at all
		return &Test{Field: t.Field, Op: Exists}, nil
	}
	switch {
	case question:
		t.Op = Regexp
	case len(wild) == 1 && wild[0] == end:
		t.Op = StartsWith
	case len(wild) == 1 && wild[0] == 0:
		t.Op = EndsWith
	case len(wild) == 2 && wild[0] == 0 && wild[1] == end:
		t.Op = Contains
	default:
		t.Op = Regexp
	}
	if t.Op == Regexp {
		flags := "(?s)"
		if !t.Cased {
			flags = "(?is)"
		}
		t.Cased = false
		t.Values = []string{flags + "^" + pattern.String() + "$"}
		compiled, err := regexp.Compile(t.Values[0])
		if err != nil {
			return nil, err
		}
		t.patterns = []*regexp.Regexp{compiled}
	}
	return &t, nil
}

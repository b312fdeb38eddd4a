// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

import "slices"

// set keeps strings in the order in which they came, each once.
type set struct {
	values []string
	index  map[string]bool // only once there are many: a few are found faster without
}

const fewValues = 32

func (s *set) has(v string) bool {
	if s.index != nil {
		return s.index[v]
	}
	return slices.Contains(s.values, v)
}

func (s *set) add(v string) {
	if s.has(v) {
		return
	}
	s.values = append(s.values, v)
	if s.index == nil && len(s.values) > fewValues {
		s.index = map[string]bool{}
		for _, known := range s.values {
			s.index[known] = true
		}
	} else if s.index != nil {
		s.index[v] = true
	}
}

func (s *set) reset() { *s = set{values: s.values[:0]} }

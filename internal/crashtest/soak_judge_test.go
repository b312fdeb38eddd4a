// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestJudge(t *testing.T) {
	const measured = 600 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	heap := figure{of: least, times: 1.1, plus: 3}
	lag := figure{of: middle, times: 1, plus: 5}
	for name, test := range map[string]struct {
		figure
		value func(at float64) float64 // at seconds
		every time.Duration
		want  outcome
	}{
		"always the same":                {heap, func(float64) float64 { return 20 }, time.Second, flat},
		"falling":                        {heap, func(at float64) float64 { return 40 - at/20 }, time.Second, flat},
		"garbage comes and goes":         {heap, func(float64) float64 { return 20 + 100*random.Float64() }, time.Second, flat},
		"one high value at the end":      {lag, func(at float64) float64 { return 500 * math.Floor(at/595) }, time.Second, flat},
		"the same trouble in each third": {lag, func(at float64) float64 { return max(0, math.Mod(at, 200)-130) }, time.Second, flat},
		"steps that end":                 {heap, func(at float64) float64 { return min(20+math.Floor(at/30), 24) }, time.Second, flat},
		"a slow leak":                    {heap, func(at float64) float64 { return 20 + at*0.02 }, time.Second, grows},
		"a leak below garbage":           {heap, func(at float64) float64 { return 20 + at*0.03 + 100*random.Float64() }, time.Second, grows},
		"a leak that begins late":        {heap, func(at float64) float64 { return 20 + max(0, at-350)*0.5 }, time.Second, grows},
		"a step that stays":              {heap, func(at float64) float64 { return 20 + 10*math.Floor(at/300) }, time.Second, grows},
		"ever later":                     {lag, func(at float64) float64 { return 1 + at/20 }, time.Second, grows},
		"ever longer troubles":           {lag, func(at float64) float64 { return max(0, math.Mod(at, 200)-200+at/3.5) }, time.Second, grows},
		"hardly a value":                 {heap, func(float64) float64 { return 20 }, 50 * time.Second, tooFew},
		"none":                           {heap, nil, time.Hour, tooFew},
		"none where there need be none":  {figure{of: middle, optional: true}, nil, time.Hour, notMeasured},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.figure
			if test.value != nil {
				f.add(-time.Second, 0) // in the time before, everything is smaller
			}
			for at := test.every / 2; at < measured; at += test.every {
				f.add(at, test.value(at.Seconds()))
			}
			first, last, got := f.judge(measured)
			assert.Equal(t, test.want, got, "first %g, last %g", first, last)
			text, bad := table([]*figure{&f}, measured)
			assert.Contains(t, text, string(test.want))
			assert.Equal(t, test.want == grows || test.want == tooFew, len(bad) == 1, bad)
		})
	}
}

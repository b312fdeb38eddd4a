// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// chart is one panel of the picture.
type chart struct {
	title, unit string
	lines       []line
}

type line struct {
	name   string
	points []point
}

// span is a time, or what else an axis covers.
type span struct{ from, to float64 }

// of is where a value lies on an axis of this length.
func (s span) of(value, length float64) float64 { return (value - s.from) / (s.to - s.from) * length }

const (
	chartWidth            = 470.0
	plotLeft, plotTop     = 52.0, 30.0
	plotWidth, plotHeight = 400.0, 118.0
	legendTop             = plotTop + plotHeight + 34
	legendLine            = 15.0
)

// The colours can be told apart on a light and on a dark page, also by most who see fewer.
var colours = []string{"#0a84d6", "#e07b00", "#1a9e77", "#d64f9a", "#8a6fe8", "#a08a00", "#d1483c", "#5f8a9e", "#7a9a1f", "#b0703c"}

const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img" aria-label="%[3]s">
<style>
text { font: 11px system-ui, sans-serif; fill: #59636e }
.title { font-size: 13px; font-weight: 600; fill: #1f2328 }
.grid { stroke: #818b98; stroke-opacity: .35 }
.alert { fill: #d1483c; fill-opacity: .14 }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round }
.page { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #9198a1 } .title { fill: #f0f6fc } .page { fill: #0d1117 } }
</style>
<rect class="page" width="100%%" height="100%%"/>
`

// draw makes a picture of the charts, two in a row, with the time in which an alert fired behind them.
func draw(all []chart, when span, firing []point) string {
	var b strings.Builder
	top := 0.0
	for pair := range slices.Chunk(all, 2) {
		height := 0.0
		for i, c := range pair {
			fmt.Fprintf(&b, "<g transform=\"translate(%g %g)\">\n", float64(i)*chartWidth, top)
			height = max(height, c.draw(&b, when, firing))
			b.WriteString("</g>\n")
		}
		top += height
	}
	fmt.Fprintf(&b, "<rect class=\"alert\" x=\"%g\" y=\"%g\" width=\"18\" height=\"11\"/>\n", plotLeft, top)
	writeText(&b, plotLeft+24, top+10, "start", "", "the alert SlackLogsPollStalled fires")
	return fmt.Sprintf(svgHead, 2*chartWidth, top+24, "The dashboard's figures while Slack is down for some seconds") + b.String() + "</svg>\n"
}

// draw returns the height that it took.
func (c chart) draw(b *strings.Builder, when span, firing []point) float64 {
	values := span{0, 0}
	for _, l := range c.lines {
		for _, p := range l.points {
			values.to = max(values.to, p.value)
		}
	}
	values.to = roundUp(values.to)
	x := func(at float64) float64 { return plotLeft + when.of(at, plotWidth) }
	y := func(value float64) float64 { return plotTop + plotHeight - values.of(value, plotHeight) }

	writeText(b, plotLeft, 18, "start", "title", c.title)
	for _, p := range firing { // one a second
		fmt.Fprintf(b, "<rect class=\"alert\" x=\"%.1f\" y=\"%g\" width=\"%.1f\" height=\"%g\"/>\n", x(p.at), plotTop, when.of(when.from+1, plotWidth), plotHeight)
	}
	for _, part := range []float64{0, .5, 1} {
		value := part * values.to
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%g %.1fh%g\"/>\n", plotLeft, y(value), plotWidth)
		writeText(b, plotLeft-6, y(value)+4, "end", "", label(value, c.unit))
	}
	for at := 0.0; when.from+at <= when.to; at += 20 {
		writeText(b, x(when.from+at), plotTop+plotHeight+15, "middle", "", strconv.FormatFloat(at, 'f', 0, 64)+" s")
	}
	left, down := plotLeft, legendTop
	for i, l := range c.lines {
		colour := colours[i%len(colours)]
		fmt.Fprintf(b, "<path class=\"line\" stroke=\"%s\" d=\"%s\"/>\n", colour, l.path(x, y))
		width := 24 + 6.8*float64(len(l.name))
		if left+width > chartWidth {
			left, down = plotLeft, down+legendLine
		}
		fmt.Fprintf(b, "<path class=\"line\" stroke=\"%s\" d=\"M%g %gh10\"/>", colour, left, down-4)
		writeText(b, left+14, down, "start", "", l.name)
		left += width
	}
	return down + 2*legendLine
}

// path leaves out what is between values that are far apart.
func (l line) path(x, y func(float64) float64) string {
	var b strings.Builder
	for i, p := range l.points {
		command := "L"
		if i == 0 || p.at-l.points[i-1].at > 2 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, x(p.at), y(p.value))
	}
	return b.String()
}

func writeText(b *strings.Builder, x, y float64, anchor, class, content string) {
	fmt.Fprintf(b, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", class, x, y, anchor, html.EscapeString(content))
}

// roundUp is the next of some numbers and their tenfolds, so that half of it is a short number too.
func roundUp(value float64) float64 {
	if value <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(value)))
	for _, times := range []float64{1, 1.2, 1.6, 2, 3, 4, 6, 8} {
		if times*unit >= value {
			return times * unit
		}
	}
	return 10 * unit
}

func label(value float64, unit string) string {
	switch unit {
	case "s":
		return strconv.FormatFloat(value, 'g', 4, 64) + " s"
	case "percentunit":
		return strconv.FormatFloat(100*value, 'g', 3, 64) + "%"
	default:
		return strconv.FormatFloat(value, 'g', 4, 64)
	}
}

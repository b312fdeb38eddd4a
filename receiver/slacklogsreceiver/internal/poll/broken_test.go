// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// brokenEngines are faults that collectors are known to have. Each changes one
// place of the engine.
var brokenEngines = []struct {
	name, file, is, broken string
	// kind is the log type whose simulation has to notice.
	kind string
	// and also are further places, and what becomes of them.
	also []string
}{
	{
		"state saved before delivery", "pages.go",
		"	dropped, err := p.out.send(ctx, &p.batch)\n",
		"	accepted(false)\n	p.saveState(ctx)\n	dropped, err := p.out.send(ctx, &p.batch)\n",
		"audit",
		nil,
	},
	{
		"refused batch skipped", "delivery.go",
		"		d.refused()\n", "		if ctx.Err() == nil {\n			return false, nil\n		}\n		d.refused()\n",
		"audit",
		nil,
	},
	{
		"watermark raised after page one", "audit_entries.go",
		"	w.succeeded(next)\n", "	if w == a.state.Tail {\n		next = \"\"\n	}\n	w.succeeded(next)\n",
		"audit",
		nil,
	},
	{
		"strictly newer than the watermark", "audit_entries.go",
		"	covered := entry.DateOK && w.covers(entry.Date)\n",
		"	covered := entry.DateOK && w.covers(entry.Date)\n	if w == a.state.Tail && entry.DateOK && entry.Date <= a.state.High {\n		return false\n	}\n",
		"audit",
		nil,
	},
	{
		"no ids", "audit_entries.go",
		"	if known {\n", "	if known = false; known {\n",
		"audit",
		nil,
	},
	{
		"ids of one page only", "audit_entries.go",
		"	page, err := a.client.AuditLogs(ctx, w.query())\n",
		"	a.ids.Drop(func(int64) bool { return false })\n	page, err := a.client.AuditLogs(ctx, w.query())\n",
		"audit",
		nil,
	},
	{
		"no overlap", "audit_walks.go",
		"	return max(a.state.Whole-int64(a.cfg.Overlap.Seconds()), a.state.Start, a.state.IDsSince)\n",
		"	return max(a.state.Whole, a.state.Start, a.state.IDsSince)\n",
		"audit",
		nil,
	},
	{
		"oldest not repeated", "audit_entries.go",
		"	page, err := a.client.AuditLogs(ctx, w.query())\n",
		"	q := w.query()\n	if q.Cursor != \"\" {\n		q.Oldest = 0\n	}\n	page, err := a.client.AuditLogs(ctx, q)\n",
		"audit",
		nil,
	},
	{
		"local clock", "poller.go",
		"	now, _ := p.client.Now()\n	return now\n", "	return p.set.Clock.Now()\n",
		"audit",
		nil,
	},
	{
		"sweep without the time since the one before", "audit_walks.go",
		"max(a.state.LastSweep-int64(a.cfg.SweepWindow.Seconds()), a.state.IDsSince, a.state.Start)",
		"max(a.now().Unix()-int64(a.cfg.SweepWindow.Seconds()), a.state.IDsSince, a.state.Start)",
		"audit",
		nil,
	},
	{
		"twins merged", "integration.go",
		"	k := g.shown[key]\n", "	k := min(g.shown[key], 1)\n",
		"integration",
		nil,
	},
	{
		"twins counted across answers", "integration.go",
		"	clear(g.shown)\n", "	if q.Page == 1 {\n		clear(g.shown)\n	}\n",
		"integration",
		nil,
	},
	{
		"split second not looked at again", "integration.go",
		"			if was, _ := g.last(w, key); n > 1 && n > int(was.Count) {\n", "			if _ = key; n > 1_000_000 {\n",
		"integration",
		nil,
	},
	{
		"stop at the first page without news", "access.go",
		"	switch {\n	case ended:\n", "	news := a.news\n	a.news = false\n	switch {\n	case ended || !news:\n",
		"access",
		[]string{
			"	*lists\n", "	*lists\n	news bool\n",
			"	a.pending[key] = is\n", "	a.pending[key] = is\n	a.news = true\n",
			"func (*access) enough(", "func (a *access) enough(",
		},
	},
	{
		"access rows at first sight only", "access.go",
		"	if known && !(is.Date > was.Date || is.Date == was.Date && is.Count > was.Count) {\n", "	if known {\n",
		"access",
		nil,
	},
	{
		"a reading that broke off taken as complete", "lists.go",
		"		r.stale()\n", "		l.finish(w, r)\n",
		"access",
		nil,
	},
	{
		"two that lead write one state", "../checkpoint/holder.go",
		"			s.claim.lost = string(holder) != s.claim.id\n", "			s.claim.lost = false\n",
		"audit",
		nil,
	},
}

// TestBrokenEngines shows that the simulations can fail: each broken engine is
// caught within some seeds. It builds the engine anew for each of them, so it
// runs only with BROKEN=1 (make broken).
func TestBrokenEngines(t *testing.T) {
	if os.Getenv("BROKEN") == "" {
		t.Skip("BROKEN=1 builds broken engines; make broken does")
	}
	for _, b := range brokenEngines {
		t.Run(b.name, func(t *testing.T) {
			text, err := os.ReadFile(b.file)
			require.NoError(t, err)
			source := string(text)
			places := append([]string{b.is, b.broken}, b.also...)
			for i := 0; i < len(places); i += 2 {
				require.Equal(t, 1, strings.Count(source, places[i]), "%q is gone from %s; break it elsewhere", places[i], b.file)
				source = strings.Replace(source, places[i], places[i+1], 1)
			}
			path, err := filepath.Abs(b.file)
			require.NoError(t, err)
			broken := filepath.Join(t.TempDir(), filepath.Base(b.file))
			require.NoError(t, os.WriteFile(broken, []byte(source), 0o600))
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "overlay.json")
			require.NoError(t, os.WriteFile(file, overlay, 0o600))

			// Three seeds of five are audit logs, and one each the others.
			seeds := "70"
			if b.kind != "audit" {
				seeds = "150"
			}
			if strings.Contains(b.file, "checkpoint") {
				seeds = "400" // there have to be two collectors, and one has to delete what the other needs
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-failfast", "-count=1", "-vet=off", "-overlay", file,
				"-run", "^TestSimulation$/^"+b.kind, ".")
			cmd.Env = append(os.Environ(), "SEEDS="+seeds, "SEED=", "FROM=", "BROKEN=")
			out, err := cmd.CombinedOutput()
			require.NotContains(t, string(out), "build failed", string(out))
			if assert.Error(t, err, "%s seeds did not notice", seeds) {
				for line := range strings.Lines(string(out)) {
					if strings.Contains(line, "--- FAIL: TestSimulation/") {
						t.Log(strings.TrimSpace(line))
						break
					}
				}
			}
		})
	}
}

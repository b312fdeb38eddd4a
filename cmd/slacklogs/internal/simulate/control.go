// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package simulate // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/simulate"

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// control lets a test of the built collector make things happen: it has no other hold on the simulation's process.
func (w *world) control(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /control/add", func(_ http.ResponseWriter, r *http.Request) {
		at := w.now()
		if date := intParam(r, "date", 0); date > 0 {
			at = time.Unix(int64(date), 0)
		}
		w.happen(at, intParam(r, "n", 1))
	})
	mux.HandleFunc("POST /control/login", w.inTeam(func(r *http.Request, team string) {
		w.login(team, w.now(), intParam(r, "n", 1))
	}))
	mux.HandleFunc("POST /control/again", w.inTeam(func(r *http.Request, team string) {
		w.again(team, w.now(), intParam(r, "n", 1))
	}))
	mux.HandleFunc("POST /control/change", w.inTeam(func(r *http.Request, team string) {
		w.change(team, w.now(), intParam(r, "n", 1), intParam(r, "twins", 0))
	}))
	mux.HandleFunc("POST /control/refuse", w.inTeam(func(r *http.Request, team string) {
		w.slack.Refuse(team, r.FormValue("code"))
	}))
	mux.HandleFunc("POST /control/down", func(_ http.ResponseWriter, r *http.Request) {
		w.slack.Down(r.FormValue("on") == "1")
	})
	mux.HandleFunc("POST /control/revoke", func(_ http.ResponseWriter, r *http.Request) {
		w.slack.Revoke(cmp.Or(r.FormValue("token"), token))
	})
	mux.HandleFunc("POST /control/restore", func(_ http.ResponseWriter, r *http.Request) {
		w.slack.Restore(cmp.Or(r.FormValue("token"), token))
	})
	mux.HandleFunc("POST /control/expire", func(http.ResponseWriter, *http.Request) { w.slack.ExpireTokens(w.app) })
	mux.HandleFunc("POST /control/install", func(rw http.ResponseWriter, _ *http.Request) {
		access, refresh := w.slack.InstallApp(w.app)
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]string{"access_token": access, "refresh_token": refresh})
	})
	mux.HandleFunc("POST /control/deny", func(_ http.ResponseWriter, r *http.Request) {
		w.slack.Deny(r.FormValue("path"), r.FormValue("code"))
	})
	mux.HandleFunc("POST /control/faults", func(_ http.ResponseWriter, r *http.Request) {
		w.faults(intParam(r, "every", 0))
	})
	mux.HandleFunc("GET /control/stats", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"held":       w.slack.Len(),
			"shown":      len(w.slack.Shown()),
			"logins":     len(w.slack.Logins("")),
			"changes":    len(w.slack.Changes("")),
			"calls":      w.slack.CallCount(),
			"violations": w.slack.Violations(),
		})
	})
	mux.HandleFunc("GET /control/ids", func(rw http.ResponseWriter, _ *http.Request) {
		for _, e := range w.slack.Shown() {
			var entry struct{ ID string }
			if json.Unmarshal(e.JSON, &entry) == nil {
				fmt.Fprintln(rw, entry.ID)
			}
		}
	})
	mux.HandleFunc("GET /control/logins", func(rw http.ResponseWriter, _ *http.Request) {
		for _, l := range w.slack.Logins("") {
			printRow(rw, l.Team, l.Text())
		}
	})
	mux.HandleFunc("GET /control/changes", func(rw http.ResponseWriter, _ *http.Request) {
		for _, c := range w.slack.Changes("") {
			printRow(rw, c.Team, c.JSON)
		}
	})
	return mux
}

// printRow writes a line that --logins-file and --changes-file take.
func printRow(w io.Writer, team string, row []byte) {
	fmt.Fprintf(w, "{\"team_id\":%q,\"event\":%s}\n", team, row)
}

// inTeam is for what happens in the workspace of the parameter team; without one, in the first.
func (w *world) inTeam(happen func(r *http.Request, team string)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		team := cmp.Or(r.FormValue("team"), w.teams[0])
		if !slices.Contains(w.teams, team) {
			http.Error(rw, "no such workspace", http.StatusNotFound)
			return
		}
		happen(r, team)
	}
}

// intParam reads a parameter that only tests send; what is not a number counts as missing.
func intParam(r *http.Request, name string, missing int) int {
	n, err := strconv.Atoi(r.FormValue(name))
	if err != nil || n < 0 {
		return missing
	}
	return n
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
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
	mux.HandleFunc("POST /control/down", func(_ http.ResponseWriter, r *http.Request) {
		w.slack.Down(r.FormValue("on") == "1")
	})
	mux.HandleFunc("POST /control/revoke", func(http.ResponseWriter, *http.Request) { w.slack.Revoke(token) })
	mux.HandleFunc("POST /control/restore", func(http.ResponseWriter, *http.Request) { w.slack.Restore(token) })
	mux.HandleFunc("POST /control/faults", func(_ http.ResponseWriter, r *http.Request) {
		w.faults(intParam(r, "every", 0))
	})
	mux.HandleFunc("GET /control/stats", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"held":       w.slack.Len(),
			"shown":      len(w.slack.Shown()),
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
	return mux
}

// intParam reads a parameter that only tests send; what is not a number counts as missing.
func intParam(r *http.Request, name string, missing int) int {
	n, err := strconv.Atoi(r.FormValue(name))
	if err != nil || n < 0 {
		return missing
	}
	return n
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	auditScope = "auditlogs:read"
	maxLimit   = 9999
)

// auditLogs serves one page. It knows nothing of earlier pages but what cursor and parameters say.
// An empty page gives its caller nothing but a cursor to where it is.
func (s *Server) auditLogs(call Call, who caller, empty bool) answer {
	switch {
	case call.Method != http.MethodGet:
		return errorAnswer(http.StatusMethodNotAllowed, "method_not_allowed")
	case !who.known():
		return answer{status: http.StatusUnauthorized, header: http.Header{}} // Slack sends no body here
	case who.BotID != "":
		return errorAnswer(http.StatusForbidden, "not_allowed_token_type")
	case !slices.Contains(who.Scopes, auditScope):
		return errorAnswer(http.StatusForbidden, "missing_scope", member{"needed", auditScope}, member{"provided", who.scopes()})
	}

	limit, ok := number(call.Query.Get("limit"), int64(s.opt.DefaultLimit))
	if !ok || limit < 1 || limit > maxLimit {
		return errorAnswer(http.StatusBadRequest, "invalid_limit")
	}
	oldest, okOldest := number(call.Query.Get("oldest"), 0)
	latest, okLatest := number(call.Query.Get("latest"), math.MaxInt64-1)
	if !okOldest || !okLatest || oldest > latest || s.outOfRange(call, latest) {
		return errorAnswer(http.StatusBadRequest, "invalid_range")
	}

	from := position{latest, math.MaxInt}
	if text := call.Query.Get("cursor"); text != "" {
		c, ok := parseCursor(text)
		if stale := s.refusesCursor(call, c.issued); stale || !ok {
			return errorAnswer(http.StatusBadRequest, "invalid_cursor")
		}
		if c.at.date <= latest {
			from = c.at
		}
	}

	empty = s.emptyPage(call.Path) || empty
	var page []Entry
	next, more := from, true
	if !empty {
		page, next, more = s.entries.page(from, oldest, int(limit), s.opt.Overshoot, call.Time)
	}
	metadata := s.end(call.Path)
	if more {
		c := cursor{at: next, issued: call.Time, oldest: call.Query.Get("oldest"), latest: call.Query.Get("latest")}
		metadata = cursorMetadata(c.String())
	}
	a := answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, entries: page}
	a.body = append(appendRows(call.Path, page), metadata+"}"...)
	return a
}

func (s *Server) outOfRange(call Call, latest int64) bool {
	tooOld := !s.opt.OrgStart.IsZero() && latest < s.opt.OrgStart.Unix()
	tooNew := s.opt.RejectFuture && call.Query.Get("latest") != "" && latest > call.Time.Unix()
	return tooOld || tooNew
}

// end goes through the four ways in which Slack says that there is no more.
func (s *Server) end(path string) string {
	forms := [...]string{
		cursorMetadata(""),
		`,"response_metadata":{"warnings":[]}`,
		`,"response_metadata":{}`,
		``,
	}
	w := s.walk(path)
	w.ends++
	return forms[(w.ends-1)%len(forms)]
}

func cursorMetadata(cursor string) string {
	return `,"response_metadata":` + string(appendJSON(nil, object{{"next_cursor", cursor}}))
}

// listKeys are the keys that the lists stand under.
var listKeys = map[string]string{
	PathAudit: "entries", PathTeams: "teams", PathAccess: "logins", PathIntegration: "logs", PathUsers: "members",
}

// listStart is how an answer with a list begins. The audit API sends no ok.
func listStart(path string) string {
	key := listKeys[path]
	switch {
	case path == PathAudit:
		return `{"entries":[`
	case key == "":
		return `{"ok":true,`
	default:
		return `{"ok":true,"` + key + `":[`
	}
}

// appendRows writes an answer up to the end of its list.
func appendRows(path string, rows []Entry) []byte {
	size := 512
	for _, e := range rows {
		size += len(e.JSON) + 1
	}
	dst := append(make([]byte, 0, size), listStart(path)...)
	for i, e := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.JSON...)
	}
	return append(dst, ']')
}

// number reads a parameter; a missing one is the default.
func number(text string, missing int64) (int64, bool) {
	if text == "" {
		return missing, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n < math.MaxInt64
}

// cursor is a position and an age, all that Slack goes by. The range of the call that gave it is in there only
// for Violations: paging pays no attention to it.
type cursor struct {
	at             position
	issued         time.Time
	oldest, latest string
}

// String gives the opaque text. It always ends in '=', which callers must escape in a URL.
func (c cursor) String() string {
	text := fmt.Sprintf("%d:%d:%d:%s:%s:", c.at.date, c.at.below, c.issued.UnixNano(), c.oldest, c.latest)
	for len(text)%3 == 0 {
		text += ":"
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func parseCursor(text string) (c cursor, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	part := strings.Split(string(raw), ":")
	if err != nil || len(part) < 5 {
		return cursor{}, false
	}
	date, err1 := strconv.ParseInt(part[0], 10, 64)
	below, err2 := strconv.Atoi(part[1])
	issued, err3 := strconv.ParseInt(part[2], 10, 64)
	c = cursor{at: position{date, below}, issued: time.Unix(0, issued), oldest: part[3], latest: part[4]}
	return c, errors.Join(err1, err2, err3) == nil
}

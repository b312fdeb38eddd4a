// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
)

// Login is a row of team.accessLogs: an aggregate that Slack rewrites for as long as it is active.
type Login struct {
	Team                 string // the workspace it belongs to
	UserID, Username     string
	IP, UserAgent        string
	First, Last, Count   int64
	ISP, Country, Region string // empty = null
	// JSON is sent as it is in place of the fields, if set. First and Last still give the position.
	JSON []byte
}

// AccessOrder is an order of the access logs. Slack documents none, and sources disagree.
type AccessOrder int

// The orders. A row that is active again moves to the top in the first and stays where it is in the others.
const (
	ByLast    AccessOrder = iota // latest date_last first
	ByFirst                      // latest date_first first
	Unordered                    // by neither date
)

// SetLogin adds rows to the access logs, or rewrites those of the same workspace, user, address, user agent and
// first time. A row that was rewritten stands before those that compare equal.
func (s *Server) SetLogin(logins ...Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range logins {
		s.logins.set(l)
	}
}

// Logins returns a workspace's access logs as they stand now, in the list's order; "" = those of all workspaces.
func (s *Server) Logins(team string) []Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	var logins []Login
	for _, r := range slices.Backward(s.logins.list(team)) {
		logins = append(logins, r.Login)
	}
	return logins
}

// accessLogs serves one page: by cursor to calls with a limit, by number to others.
func (s *Server) accessLogs(call Call, who caller, empty bool) answer {
	team, no := s.admit(call, who)
	if no != nil {
		return *no
	}
	before, ok := int64(0), true
	switch text := call.Query.Get("before"); text {
	case "":
	case "now":
		before = call.Time.Unix()
	default:
		before, ok = number(text, 0)
	}
	if !ok {
		return *refusal("invalid_arguments")
	}
	rows := s.logins.list(team)
	if call.Query.Get("before") != "" {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r *loginRow) bool {
			if s.opt.BeforeCutsFirst {
				return r.First > before
			}
			return r.Last > before
		})
	}
	if !s.givesCursors(call) {
		return s.accessByPage(call, rows)
	}
	return s.accessByCursor(call, rows, empty)
}

func (s *Server) accessByPage(call Call, rows []*loginRow) answer {
	if call.Query.Get("cursor") != "" {
		return *refusal("invalid_cursor")
	}
	missing, ok := number(call.Query.Get("limit"), int64(s.opt.DefaultLimit))
	if !ok || missing > maxAccessLimit {
		return *refusal("invalid_limit")
	}
	count, page, no := countAndPage(call, missing)
	if no != nil {
		return *no
	}
	shown := fromTop(rows, (page-1)*count, count)
	return listAnswer(call.Path, shown, s.paging(count, len(rows), page))
}

func (s *Server) accessByCursor(call Call, rows []*loginRow, empty bool) answer {
	limit, ok := number(call.Query.Get("limit"), int64(s.opt.DefaultLimit))
	if !ok || limit < 1 || limit > maxAccessLimit {
		return *refusal("invalid_limit")
	}
	from, no := s.listCursor(call)
	if no != nil {
		return *no
	}
	start := min(from.offset, len(rows))
	if !s.opt.AccessOffsetCursor && call.Query.Get("cursor") != "" && from.at != (place{}) {
		below, _ := slices.BinarySearchFunc(rows, from.at, func(r *loginRow, p place) int { return r.at.compare(p) })
		start = len(rows) - below
	}
	empty = s.emptyPage(call.Path) || empty
	metadata := cursorMetadata(from.to(from.at, start))
	var shown []Entry
	if !empty {
		shown = fromTop(rows, start, int(limit))
		if next := start + len(shown); next < len(rows) {
			metadata = cursorMetadata(from.to(rows[len(rows)-next].at, next))
		} else {
			metadata = s.end(call.Path)
		}
	}
	return listAnswer(call.Path, shown, s.paging(int(limit), len(rows), 1)+metadata)
}

// fromTop are n rows after the first skip ones.
func fromTop(rows []*loginRow, skip, n int) []Entry {
	var shown []Entry
	for i := len(rows) - 1 - skip; i >= 0 && len(shown) < n; i-- {
		shown = append(shown, Entry{Date: rows[i].Last, JSON: rows[i].text})
	}
	return shown
}

// loginStore keeps the rows of each workspace, the list's last row first.
type loginStore struct {
	order AccessOrder
	rows  map[string][]*loginRow
	byKey map[loginKey]*loginRow
	seq   int64
}

// loginKey is what Slack goes by when it rewrites a row in place of adding one.
type loginKey struct {
	team, user, ip, ua string
	first              int64
}

type loginRow struct {
	Login
	text []byte
	born int64
	at   place
}

// place is where a row stands, greater = nearer the top. No two rows have the same.
type place struct{ key, seq int64 }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.key, q.key), cmp.Compare(p.seq, q.seq))
}

func (st *loginStore) set(l Login) {
	st.seq++
	key := loginKey{l.Team, l.UserID, l.IP, l.UserAgent, l.First}
	row := st.byKey[key]
	if row == nil {
		row = &loginRow{born: st.seq}
		st.byKey[key] = row
	} else {
		i, _ := st.find(l.Team, row.at)
		st.rows[l.Team] = slices.Delete(st.rows[l.Team], i, i+1)
	}
	row.Login, row.text = l, l.Text()
	switch st.order {
	case ByFirst:
		row.at = place{l.First, row.born}
	case Unordered:
		row.at = place{key.hash(), row.born}
	default:
		row.at = place{l.Last, st.seq}
	}
	i, _ := st.find(l.Team, row.at)
	st.rows[l.Team] = slices.Insert(st.rows[l.Team], i, row)
}

func (st *loginStore) find(team string, at place) (int, bool) {
	return slices.BinarySearchFunc(st.rows[team], at, func(r *loginRow, p place) int { return r.at.compare(p) })
}

// list is a workspace's rows, or those of all, the list's last row first.
func (st *loginStore) list(team string) []*loginRow {
	if team != "" {
		return st.rows[team]
	}
	var all []*loginRow
	for _, rows := range st.rows {
		all = append(all, rows...)
	}
	slices.SortFunc(all, func(a, b *loginRow) int { return a.at.compare(b.at) })
	return all
}

// hash is random, but the same in each process.
func (k loginKey) hash() int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %s %s %d", k.team, k.user, k.ip, k.ua, k.first)
	return int64(h.Sum64())
}

// Text is the row as it is sent.
func (l Login) Text() []byte {
	if l.JSON != nil {
		return l.JSON
	}
	return appendJSON(nil, l.object())
}

func (l Login) object() object {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return object{
		{"user_id", l.UserID},
		{"username", l.Username},
		{"date_first", l.First},
		{"date_last", l.Last},
		{"count", l.Count},
		{"ip", l.IP},
		{"user_agent", l.UserAgent},
		{"isp", orNull(l.ISP)},
		{"country", orNull(l.Country)},
		{"region", orNull(l.Region)},
	}
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"slices"
	"sort"
)

// Change is a row of team.integrationLogs.
type Change struct {
	Team string // the workspace it belongs to
	Date int64
	// JSON is the text as it is sent; the Server never looks into it.
	JSON []byte
}

// AddChange adds rows to the integration logs. Of rows of one second the later added is nearer the top.
func (s *Server) AddChange(changes ...Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		i := sort.Search(len(s.changes), func(i int) bool { return s.changes[i].Date > c.Date })
		s.changes = slices.Insert(s.changes, i, c)
	}
}

// RemoveChange takes the n-th row of a workspace away, 0 = the newest, so that its total shrinks.
func (s *Server) RemoveChange(team string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range slices.Backward(s.changes) {
		if c.Team != team {
			continue
		}
		if n == 0 {
			s.changes = slices.Delete(s.changes, i, i+1)
			return
		}
		n--
	}
}

// Changes returns a workspace's integration logs, newest first; "" = those of all workspaces.
func (s *Server) Changes(team string) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes []Change
	for _, c := range slices.Backward(s.changes) {
		if team == "" || c.Team == team {
			changes = append(changes, c)
		}
	}
	return changes
}

// integrationLogs serves one page; this method has no cursors.
func (s *Server) integrationLogs(call Call, who caller) answer {
	team, no := s.admit(call, who)
	if no != nil {
		return *no
	}
	count, page, no := countAndPage(call, int64(s.opt.DefaultLimit))
	if no != nil {
		return *no
	}
	total := 0
	var rows []Entry
	for _, c := range slices.Backward(s.changes) {
		if team != "" && c.Team != team {
			continue
		}
		if (page-1)*count <= total && total < page*count {
			rows = append(rows, Entry{Date: c.Date, JSON: c.JSON})
		}
		total++
	}
	return listAnswer(call.Path, rows, s.paging(count, total, page))
}

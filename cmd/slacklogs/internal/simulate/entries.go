// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package simulate // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/simulate"

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// load has Slack serve what the files hold. Rows that name no workspace belong to the first.
func (w *world) load(f simulateFlags) error {
	now := w.now()
	return errors.Join(
		readLines(f.entriesFile, w.teams, func(l line) {
			w.slack.Add(slacktest.Entry{Date: l.date("date_create", now.Unix()), JSON: l.row})
		}),
		readLines(f.loginsFile, w.teams, func(l line) {
			last := l.date("date_last", now.Unix())
			login := slacktest.Login{
				Team: l.team, UserID: l.text("user_id"), IP: l.text("ip"), UserAgent: l.text("user_agent"),
				First: l.date("date_first", last), Last: last, JSON: l.row,
			}
			if login.UserID == "" {
				login.UserID = fmt.Sprintf("line %d", l.number) // two that name nobody are not the same
			}
			w.slack.SetLogin(login)
		}),
		readLines(f.changesFile, w.teams, func(l line) {
			w.slack.AddChange(slacktest.Change{Team: l.team, Date: l.date("date", now.Unix()), JSON: l.row})
		}),
	)
}

// line is one of Slack's rows in a JSONL file.
type line struct {
	number  int
	row     []byte
	team    string
	members map[string]json.RawMessage // of the row
}

// readLines reads a JSONL file: a line is one of Slack's rows, or an object that has it under "event". A workspace
// may stand beside it, or in the row, as "team_id".
func readLines(name string, teams []string, yield func(line)) error {
	if name == "" {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()

	lines := bufio.NewReader(file) // not a Scanner: lines may be long
	for number := 1; ; number++ {
		text, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if text := bytes.TrimSpace(text); len(text) > 0 {
			l, problem := parseLine(text)
			if problem != nil {
				return fmt.Errorf("%s:%d: not a JSON object: %w", name, number, problem)
			}
			l.number = number
			if l.team == "" {
				l.team = teams[0]
			}
			if !slices.Contains(teams, l.team) {
				return fmt.Errorf("%s:%d: %q is no workspace of the simulation; there are %s", name, number, l.team, strings.Join(teams, ", "))
			}
			yield(l)
		}
		if err != nil {
			return nil
		}
	}
}

func parseLine(text []byte) (line, error) {
	l := line{row: text}
	if err := json.Unmarshal(text, &l.members); err != nil {
		return line{}, err
	}
	if l.members == nil {
		return line{}, errors.New("it is null")
	}
	l.team = l.text("team_id")
	var wrapped map[string]json.RawMessage
	if event := l.members["event"]; json.Unmarshal(event, &wrapped) == nil && wrapped != nil {
		l.row, l.members = event, wrapped
		l.team = cmp.Or(l.team, l.text("team_id"))
	}
	return l, nil
}

// date is a member in unix seconds, a number or text. Without one of use the row is as good as new, so that it is not
// out of the receiver's sight.
func (l line) date(key string, missing int64) int64 {
	date, err := strconv.ParseInt(strings.Trim(string(l.members[key]), `"`), 10, 64)
	if err != nil || date < 0 {
		return missing
	}
	return date
}

// text is a member that is a string.
func (l line) text(key string) (s string) {
	if json.Unmarshal(l.members[key], &s) != nil {
		return ""
	}
	return s
}

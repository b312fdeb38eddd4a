// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// readEntries reads a JSONL file: a line is one of Slack's audit entries, or an object that has it under "event".
// An entry without a date of use happens now, so that it is not out of the receiver's sight.
func readEntries(name string, now time.Time) ([]slacktest.Entry, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()

	var entries []slacktest.Entry
	lines := bufio.NewReader(file) // not a Scanner: lines may be long
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			entry, problem := parseEntry(text, now)
			if problem != nil {
				return nil, fmt.Errorf("%s:%d: not a JSON object: %w", name, number, problem)
			}
			entries = append(entries, entry)
		}
		if err != nil {
			return entries, nil
		}
	}
}

func parseEntry(text []byte, now time.Time) (slacktest.Entry, error) {
	var wrapped struct {
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(text, &wrapped); err != nil {
		return slacktest.Entry{}, err
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		return slacktest.Entry{}, errors.New("it is null")
	}
	if bytes.HasPrefix(wrapped.Event, []byte("{")) {
		text = wrapped.Event
	}
	var dated struct {
		Date json.RawMessage `json:"date_create"`
	}
	if err := json.Unmarshal(text, &dated); err != nil {
		return slacktest.Entry{}, err
	}
	date, err := strconv.ParseInt(strings.Trim(string(dated.Date), `"`), 10, 64)
	if err != nil || date < 0 {
		date = now.Unix()
	}
	return slacktest.Entry{Date: date, JSON: text}, nil
}

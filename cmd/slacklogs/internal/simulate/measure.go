// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package simulate // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/simulate"

import (
	"fmt"
	"io"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// What a user does in a day is a guess: Slack publishes no numbers, and organisations differ by a factor of ten and
// more. How long the rows are comes from the made-up ones, which look like those that were seen.
const (
	measuredUsers = 1000
	// entriesPerUser is logins, files, channels, apps and what administrators do.
	entriesPerUser = 25
	// A person's phone and computer are both active in eight hours of the day, and Slack rewrites a row once an hour
	// (its help centre). Each time is a record. Now and then an address or a browser is new.
	devicesPerUser = 2
	hoursPerDevice = 8
	newEachNth     = 10
	changesPerDay  = 20
)

// measure makes up a day of the company and tells how much of each log there was.
func measure(w io.Writer, seed uint64) {
	org := slacktest.NewOrganisation(seed)
	team := org.Identity().Teams[0].ID
	const day = 1_700_006_400 // some midnight

	var audit, access, integration volume
	const entries = measuredUsers * entriesPerUser
	for i := range int64(entries) {
		audit.add(org.Entry(day + i*86400/entries).JSON)
	}
	for i := range int64(measuredUsers * devicesPerUser) {
		began := int64(day - 30*86400)
		if i%newEachNth == 0 {
			began = day + 8*3600
		}
		login := org.Login(team, began)
		for hour := range int64(hoursPerDevice) {
			login = org.Again(login, day+(8+hour)*3600)
			access.add(login.Text())
		}
	}
	for i := range int64(changesPerDay) {
		integration.add(org.Change(team, day+i*86400/changesPerDay).JSON)
	}

	fmt.Fprintf(w, "A made-up day of %d users. Bytes are Slack's JSON, before the receiver adds attributes.\n\n", measuredUsers)
	audit.print(w, "audit logs", fmt.Sprintf("%d a user", entriesPerUser))
	access.print(w, "access logs", fmt.Sprintf("%d devices a user, each a record in each of %d hours", devicesPerUser, hoursPerDevice))
	integration.print(w, "integration logs", "changes of apps and services")
}

// volume is how much of a log there is.
type volume struct{ rows, bytes int }

func (v *volume) add(row []byte) {
	v.rows++
	v.bytes += len(row)
}

func (v *volume) print(w io.Writer, name, assumed string) {
	fmt.Fprintf(w, "%-16s %6d records %10d bytes, %4d each: %s\n", name, v.rows, v.bytes, v.bytes/v.rows, assumed)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package roles // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/roles"

import (
	"sync"
	"time"
)

// maxUsers is the most users that are remembered. With 72 bytes for each, that
// is 72 MB at the very most.
const maxUsers = 1_000_000

// role is a set of roles.
type role uint8

const (
	owner role = 1 << iota
	admin
	member
	guest
	bot
	app
	// met and elsewhere are of a reading that goes on: that it has met the user,
	// and that the user is in a workspace which it does not read.
	met
	elsewhere

	// privileged roles are certain as soon as one workspace shows them. That
	// somebody has none is certain once all workspaces were asked.
	privileged = owner | admin
	people     = owner | admin | member | guest
)

// names are the lists of roles, made once: a record costs no allocation.
var names = func() (all [met][]string) {
	for set := range all {
		for i, name := range []string{"owner", "admin", "member", "guest", "bot", "app"} {
			if set>>i&1 == 1 {
				all[set] = append(all[set], name)
			}
		}
	}
	return all
}()

// settled are the roles of a user of whom all was gathered.
func (r role) settled() role {
	r &^= met | elsewhere
	if r&(privileged|bot) != 0 {
		r &^= member
	}
	return r
}

// key is a user's id, filled up with zeros.
type key [16]byte

// keyOf makes a key of what looks like the id of a user.
func keyOf(id []byte) (k key, ok bool) {
	if len(id) < 2 || len(id) > len(k) || id[0] != 'U' && id[0] != 'W' {
		return key{}, false
	}
	for _, b := range id {
		if (b < 'A' || 'Z' < b) && (b < '0' || '9' < b) {
			return key{}, false
		}
	}
	copy(k[:], id)
	return k, true
}

func (k key) String() string {
	n := len(k)
	for n > 0 && k[n-1] == 0 {
		n--
	}
	return string(k[:n])
}

// entry is what is known of a user. It has no pointers, so that the garbage
// collector need not look at a million of them.
type entry struct {
	// at is when Slack last told the roles, and asked when users.info was last
	// asked, both in seconds since the table was made; 0 = never.
	at, asked uint32
	// roles may be none: then Slack does not tell.
	roles role
	// gathered is what the reading that goes on has met so far.
	gathered role
	// listed is set when the roles come from users.list.
	listed bool
}

// table remembers users. It is written by one goroutine; any may look up.
type table struct {
	epoch time.Time
	max   int

	mu    sync.RWMutex
	users map[key]entry
}

func newTable(now time.Time) *table {
	// The first second is 1, as 0 means never.
	return &table{epoch: now.Add(-time.Second), max: maxUsers, users: map[key]entry{}}
}

func (t *table) seconds(now time.Time) uint32 {
	return uint32(min(max(0, now.Sub(t.epoch)/time.Second), 1<<32-1))
}

func (t *table) get(k key) entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.users[k]
}

// put is for the goroutine that writes. It reports whether there is room.
func (t *table) put(k key, e entry) bool {
	if _, known := t.users[k]; !known && len(t.users) >= t.max {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users[k] = e
	return true
}

// each lets the goroutine that writes change all entries, or forget them. Who
// looks up waits for one entry at most.
func (t *table) each(change func(entry) (changed entry, keep bool)) {
	for k, e := range t.users {
		changed, keep := change(e)
		if keep && changed == e {
			continue
		}
		t.mu.Lock()
		if keep {
			t.users[k] = changed
		} else {
			delete(t.users, k)
		}
		t.mu.Unlock()
	}
}

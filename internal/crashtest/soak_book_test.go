// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	// soakReaders is how many receivers read the same Slack.
	soakReaders = 3
	// soakSettled is after what time all that could happen to an entry has. Then the book forgets it, so that a long
	// soak takes no memory, and what still comes of it is as wrong as what Slack never showed.
	soakSettled = 5 * time.Minute

	// How late entries are shown at most: so that polls see them, and so that only sweeps do. Both are a bit below the
	// settings, because Slack's times are whole seconds.
	soakLate     = 8 * time.Second
	soakVeryLate = 25 * time.Second
)

// soakBook is what Slack has shown and what has arrived of that.
type soakBook struct {
	mu      sync.Mutex
	entries map[string]*soakEntry // by uid
	batches map[soakBatch]int     // how many have come
	shown   map[string]int        // by log type
	hours   map[int64]int         // audit entries by the hour they are dated in
	arrived [soakReaders]int
	repeats [soakReaders]int
	wrong   []string
	amiss   int // how many things were wrong
}

// soakEntry is an audit entry, an integration row or one state of an access row.
type soakEntry struct {
	kind, team string
	text       string
	shown      time.Time
	over       bool // the row has moved on, and this state need not arrive
	came       [soakReaders]soakComing
}

// soakComing is how an entry came last.
type soakComing struct{ times, run, batch int }

// soakBatch are the batches of one log type and workspace in one run of a collector.
type soakBatch struct {
	reader, run int
	kind, team  string
}

func newSoakBook() *soakBook {
	return &soakBook{
		entries: map[string]*soakEntry{}, batches: map[soakBatch]int{}, shown: map[string]int{}, hours: map[int64]int{},
	}
}

// show notes an entry. It has to be noted before Slack shows it.
func (b *soakBook) show(uid, kind, team string, text []byte) *soakEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &soakEntry{kind: kind, team: team, text: string(text), shown: time.Now()}
	b.entries[uid] = e
	b.shown[kind]++
	return e
}

func (b *soakBook) supersede(e *soakEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.over = true
}

// take notes what a reader's backend takes.
func (b *soakBook) take(reader, run int, logs plog.Logs) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		from := soakBatch{reader: reader, run: run, team: text(rl.Resource().Attributes(), "slack.team.id")}
		for _, sl := range rl.ScopeLogs().All() {
			for i, rec := range sl.LogRecords().All() {
				if i == 0 {
					from.kind = text(rec.Attributes(), "slack.log.type")
					b.batches[from]++
				}
				b.record(from, rec)
			}
		}
	}
}

func (b *soakBook) record(from soakBatch, rec plog.LogRecord) {
	uid := text(rec.Attributes(), "log.record.uid")
	e := b.entries[uid]
	switch {
	case e == nil:
		b.accuse("reader %d, run %d: %s %s was never shown, or comes again after %s", from.reader, from.run, from.kind, uid, soakSettled)
		return
	case e.kind != from.kind || e.kind != "audit" && e.team != from.team || e.text != rec.Body().Str():
		b.accuse("reader %d, run %d: %s %s is not what Slack showed", from.reader, from.run, from.kind, uid)
	}
	came := &e.came[from.reader]
	b.arrived[from.reader]++
	if came.times > 0 {
		b.repeats[from.reader]++
		before := from
		before.run = came.run
		// The promise: only what the last batch before a death held.
		if came.run == from.run || came.batch != b.batches[before] {
			b.accuse("reader %d: %s %s came in batch %d of %d of run %d, and again in batch %d of run %d",
				from.reader, from.kind, uid, came.batch, b.batches[before], came.run, b.batches[from], from.run)
		}
	}
	*came = soakComing{came.times + 1, from.run, b.batches[from]}
}

func (b *soakBook) accuse(format string, args ...any) {
	b.amiss++
	if len(b.wrong) < 20 {
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
}

// waiting is what a reader has not delivered yet, and since when Slack shows the oldest of it.
func (b *soakBook) waiting(reader int) (n int, oldest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if !e.over && e.came[reader].times == 0 {
			n++
			oldest = max(oldest, time.Since(e.shown))
		}
	}
	return n, oldest
}

// missing are some of those that a reader has not delivered.
func (b *soakBook) missing(reader, most int) (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for uid, e := range b.entries {
		if !e.over && e.came[reader].times == 0 && len(texts) < most {
			texts = append(texts, fmt.Sprintf("%s %s of %q, shown %s: %s", e.kind, uid, e.team, e.shown.UTC().Format("15:04:05.000"), e.text))
		}
	}
	return texts
}

// settle forgets what is over for all.
func (b *soakBook) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.entries, func(_ string, e *soakEntry) bool {
		if time.Since(e.shown) < soakSettled {
			return false
		}
		if e.over {
			return true
		}
		for _, c := range e.came {
			if c.times == 0 {
				return false
			}
		}
		return true
	})
}

// datedSince is how many audit entries there are of the hours that end after a second.
func (b *soakBook) datedSince(second int64) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for hour, entries := range b.hours {
		if (hour+1)*3600 > second {
			n += entries
		}
	}
	return n
}

// soakBackend takes what one reader delivers, unless it refuses.
type soakBackend struct {
	book     *soakBook
	reader   int
	url      string
	refusing atomic.Bool
	requests atomic.Int64
	refused  atomic.Int64
	hold     atomic.Pointer[soakHold]
}

// soakHold has a backend take one batch and not answer until it is over.
type soakHold struct{ reached, over chan struct{} }

func newSoakBackend(t *testing.T, book *soakBook, reader int) *soakBackend {
	t.Helper()
	b := &soakBackend{book: book, reader: reader}
	served := httptest.NewServer(b)
	b.url = served.URL
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})
	return b
}

func (b *soakBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	logs, err := read(r)
	if err != nil {
		return // the collector was killed while it sent
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	n := b.requests.Add(1)
	if b.refusing.Load() || n%40 == 0 {
		switch b.refused.Add(1) % 4 {
		case 0:
			hang(r, nil)
			return
		case 1:
			panic(http.ErrAbortHandler) // the connection breaks
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	run, _ := strconv.Atoi(r.Header.Get("X-Run"))
	b.book.take(b.reader, run, logs)
	if held := b.hold.Swap(nil); held != nil {
		close(held.reached)
		<-held.over
	}
}

// soakLife lets things happen in Slack.
type soakLife struct {
	slack *fakeSlack
	book  *soakBook
	now   func() time.Time // by Slack's clock

	mu      sync.Mutex
	random  *rand.Rand
	convert *record.Converter
	made    int
	rows    []soakRow      // those that may be active again
	changes []soakChange   // those that may get a twin
	twins   map[string]int // how many there are of a change
}

type soakRow struct {
	slacktest.Login
	state *soakEntry
}

type soakChange struct {
	slacktest.Change
	key string
}

// moment is one thing that happens, in any of the logs.
func (l *soakLife) moment() {
	l.mu.Lock()
	defer l.mu.Unlock()
	team := [...]string{harbour, harbour, harbour, labs, field}[l.random.IntN(5)]
	switch roll := l.random.IntN(100); {
	case roll < 30:
		l.audit(l.lately(80, 12))
	case roll < 40:
		l.login(team, l.lately(85, 5))
	case roll < 70:
		l.again()
	case roll < 95:
		late := l.lately(80, 20)
		for range 1 + l.random.IntN(2) {
			l.change(team, late)
		}
	default:
		l.twin()
	}
}

// lately is a time that is now for so many of a hundred, late for so many, and very late for the others.
func (l *soakLife) lately(now, late int) time.Time {
	switch roll := l.random.IntN(100); {
	case roll < now:
		return l.now()
	case roll < now+late:
		return l.now().Add(-time.Duration(l.random.Int64N(int64(soakLate))))
	default:
		return l.now().Add(-soakLate - time.Duration(l.random.Int64N(int64(soakVeryLate-soakLate))))
	}
}

// burst is a second with more entries than a page.
func (l *soakLife) burst(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.now()
	for range n {
		l.audit(at)
	}
}

func (l *soakLife) audit(at time.Time) {
	e := l.slack.org.Entry(at.Unix())
	l.book.show(l.convert.ParseAudit(jsonstream.NewElement(e.JSON)).UID, "audit", "", e.JSON)
	l.book.mu.Lock()
	l.book.hours[e.Date/3600]++
	l.book.mu.Unlock()
	l.slack.Add(e)
}

// login is a row that nobody else has. For each one, of 200 the oldest ceases to be active.
func (l *soakLife) login(team string, at time.Time) {
	l.made++
	login := l.slack.org.Login(team, at.Unix())
	login.UserID = fmt.Sprintf("%s%06d", rowUser, l.made)
	if len(l.rows) < 200 {
		l.rows = append(l.rows, soakRow{login, l.set(login)})
	} else {
		l.rows[l.made%200] = soakRow{login, l.set(login)}
	}
}

func (l *soakLife) again() {
	if len(l.rows) == 0 {
		return
	}
	row := &l.rows[l.random.IntN(len(l.rows))]
	before := row.state
	row.Login = l.slack.org.Again(row.Login, l.now().Unix())
	row.state = l.set(row.Login)
	l.book.supersede(before)
}

// set shows a row as it is now.
func (l *soakLife) set(login slacktest.Login) *soakEntry {
	text := login.Text()
	state := l.book.show(l.convert.ParseAccess(login.Team, jsonstream.NewElement(text)).UID, "access", login.Team, text)
	l.slack.SetLogin(login)
	return state
}

func (l *soakLife) change(team string, at time.Time) {
	c := l.slack.org.Change(team, at.Unix())
	key := l.convert.ParseIntegration(team, jsonstream.NewElement(c.JSON)).Key
	l.addChange(soakChange{c, string(key[:])})
}

// twin is a row that can't be told from one of the last seconds.
func (l *soakLife) twin() {
	for _, c := range l.changes {
		if l.now().Unix()-c.Date <= int64(soakLate.Seconds()) {
			l.addChange(c)
			return
		}
	}
}

func (l *soakLife) addChange(c soakChange) {
	l.twins[c.key]++
	l.convert.ParseIntegration(c.Team, jsonstream.NewElement(c.JSON))
	l.book.show(l.convert.IntegrationUID(l.twins[c.key]), "integration", c.Team, c.JSON)
	l.slack.AddChange(c.Change)
	l.changes = append(l.changes, c)
	if len(l.changes) > 2000 { // minutes
		for _, old := range l.changes[:1000] {
			delete(l.twins, old.key)
		}
		l.changes = append([]soakChange(nil), l.changes[1000:]...)
	}
}

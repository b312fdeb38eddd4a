// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	bits "encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	cannotStart = `cannot start pipelines: failed to start "slacklogs" receiver: `
	afresh      = "to start from initial_lookback (entries may then come twice or, if older, not at all)"
	openAdvice  = "; check that its folder is writable and has space, and that no other collector uses it; " +
		"if its file is damaged, restore it from a backup, or delete it " + afresh
)

// cannotOpen is how a start ends whose storage can't be opened, for this reason.
func cannotOpen(reason string) string {
	return cannotStart + `storage: "file_storage" can't be opened (` + reason + ")" + openAdvice
}

// unusable is how a start ends that meets this part of the state.
func unusable(key, what string) string {
	return cannotStart + fmt.Sprintf("storage file_storage: the state %q %s; restore the storage from a backup, or delete it %s", key, what, afresh)
}

// stateFile is file_storage's file of the receiver.
func (c *collector) stateFile() string {
	return filepath.Join(c.env["STATE_DIR"], "receiver_slacklogs_")
}

// edit changes what the file of a stopped collector holds.
func edit(t *testing.T, file string, change func(b *bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("default"))) }))
	require.NoError(t, db.Close())
}

// contents are the keys and values of a stopped collector's file.
func contents(t *testing.T, file string) map[string]string {
	t.Helper()
	all := map[string]string{}
	edit(t, file, func(b *bbolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			all[string(key)] = string(value)
			return nil
		})
	})
	return all
}

func writeFile(t *testing.T, file string, text []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}

// startInVain returns when the collector has ended by itself.
func (c *collector) startInVain() {
	c.t.Helper()
	c.start()
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.t.Fatal("the collector has started, or hangs")
	}
}

// requireNoStart: the collector ends by itself, with an exit code, and its last words match.
func (c *collector) requireNoStart(want string) {
	c.t.Helper()
	began := time.Now()
	c.startInVain()
	assert.Less(c.t, time.Since(began), 15*time.Second)
	require.Equal(c.t, 1, c.cmd.ProcessState.ExitCode())
	require.Regexp(c.t, `(?m)^Error: `+want+`$`, c.out.String())
	assert.NotContains(c.t, c.out.String(), "goroutine ", "of a stack trace")
}

// everything has all three log types read and saved, and their state closed.
type everything struct {
	slack *fakeSlack
	to    *backend
	rows  *ledger
	*collector
}

var everyPath = append([]string{slacktest.PathAudit}, listPaths...)

func newEverything(t *testing.T) everything {
	t.Helper()
	slack := newSlack(t, slacktest.Options{})
	start := hoursAgo(3)
	rows := newLedger(t, slack, start)
	rows.past(harbour, 300, 100)
	slack.past(500, time.Now().Add(-2*time.Hour), time.Now())
	to := newBackend(t)
	c := prepare(t, slack, to, healthConfig, auditConfig, accessConfig(start, "team_ids: ["+harbour+"]"),
		integrationConfig(start, "team_ids: ["+harbour+"]"))
	c.args = append(c.args, statusGate)
	c.env["HEALTH_PORT"] = freePort(t)
	e := everything{slack, to, rows, c}
	c.start()
	e.requireOnce()
	c.terminate()
	return e
}

// happen brings something new to each log type.
func (e everything) happen() {
	now := time.Now()
	e.slack.happen(5, now)
	e.rows.login(harbour, now, now)
	e.rows.change(harbour, now, 1)
}

// requireOnce waits until all has arrived, and is not sent again.
func (e everything) requireOnce() {
	e.t.Helper()
	e.to.waitForAll(e.collector, e.slack)
	e.rows.waitForAll(e.collector, e.to)
	e.to.requireOnce(e.collector, e.slack)
	e.rows.requireOnce(e.collector, e.to, listPaths...)
}

// flip changes one bit of a value.
func flip(value []byte, at int) []byte {
	value = bytes.Clone(value)
	value[at] ^= 1
	return value
}

// spoilFreelist makes the page that lists free pages one of no kind. bbolt panics when it reads it.
func spoilFreelist(t *testing.T, file string) {
	t.Helper()
	edit(t, file, func(b *bbolt.Bucket) error { return b.Put([]byte("x"), nil) }) // bbolt writes its list of free pages
	edit(t, file, func(b *bbolt.Bucket) error { return b.Delete([]byte("x")) })
	text, page := readFile(t, file), os.Getpagesize()
	// The later one of the first two pages says where it is.
	meta := text[:page]
	if second := text[page : 2*page]; bits.NativeEndian.Uint64(second[64:]) > bits.NativeEndian.Uint64(meta[64:]) {
		meta = second
	}
	at := int(bits.NativeEndian.Uint64(meta[48:])) * page
	clear(text[at+8 : at+16])
	writeFile(t, file, text)
}

// A state that is corrupt, lacks a part or is from the future fails the start and says what to do, and stays as it is.
func TestStorageThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	e := newEverything(t)
	good := readFile(t, e.stateFile())
	state := contents(t, e.stateFile())
	// Of the chunks, whose names say when, the first of each kind.
	first := func(pattern string) string {
		keys := slices.Sorted(func(yield func(string) bool) {
			for key := range state {
				if regexp.MustCompile(pattern).MatchString(key) && !yield(key) {
					return
				}
			}
		})
		require.NotEmpty(t, keys, pattern)
		return keys[0]
	}
	ids, rows := first(`^audit\.ids\.`), first(`^access\.`+harbour+`\.rows\.`)
	workspace := "integration." + harbour

	type test struct {
		name  string
		spoil func(t *testing.T, file string)
		want  string // quoted, but for "…", which is anything
	}
	overwrite := func(text []byte) func(*testing.T, string) {
		return func(t *testing.T, file string) { t.Helper(); writeFile(t, file, text) }
	}
	change := func(key string, how func(value []byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			t.Helper()
			edit(t, file, func(b *bbolt.Bucket) error {
				if value := how(b.Get([]byte(key))); value != nil {
					return b.Put([]byte(key), value)
				}
				return b.Delete([]byte(key))
			})
		}
	}
	rubbish := make([]byte, len(good))
	_, _ = rand.NewChaCha8([32]byte{}).Read(rubbish)
	tests := []test{
		{"overwritten with rubbish", overwrite(rubbish), cannotOpen("invalid database")},
		{"overwritten with zeros", overwrite(make([]byte, len(good))), cannotOpen("invalid database")},
		{"cut to a byte", overwrite(good[:1]), cannotOpen("invalid database")},
		{"cut to a page", overwrite(good[:os.Getpagesize()]), cannotOpen("file size too small …")},
		{"a page of no kind", spoilFreelist, cannotOpen("invalid freelist page: …")},
	}
	for _, key := range []string{"audit", "access", "access." + harbour, "integration", workspace} {
		tests = append(tests,
			test{"gone: " + key, change(key, func([]byte) []byte { return nil }), unusable(key, "is gone")},
			test{"empty: " + key, change(key, func([]byte) []byte { return []byte{} }), unusable(key, "is gone")},
			test{"flipped digit: " + key, change(key, func(v []byte) []byte {
				return flip(v, bytes.LastIndexAny(v[:len(v)-len(`,"crc":"01234567"}`)], "0123456789"))
			}), unusable(key, "is damaged")},
			test{"cut: " + key, change(key, func(v []byte) []byte { return v[:len(v)/2] }), unusable(key, "is not a state of this receiver")},
			test{
				"from the future: " + key, change(key, func(v []byte) []byte { return bytes.Replace(v, []byte(`"version":1`), []byte(`"version":2`), 1) }),
				cannotStart + fmt.Sprintf("storage file_storage: the state %q has version 2, this receiver knows up to 1; "+
					"run the newer receiver again, or delete the state to start from initial_lookback", key),
			})
	}
	for _, key := range []string{ids, rows} {
		tests = append(tests,
			test{"gone: " + key, change(key, func([]byte) []byte { return nil }), unusable(key, "is missing or broken")},
			test{"flipped bit: " + key, change(key, func(v []byte) []byte { return flip(v, len(v)/2) }), unusable(key, "is missing or broken")},
			test{"cut: " + key, change(key, func(v []byte) []byte { return v[:len(v)-1] }), unusable(key, "is missing or broken")})
	}
	e.happen()
	calls := e.slack.CallCount()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &collector{process: process{t: t, path: e.path, args: e.args, env: e.env, dir: e.dir}}
			c.supervise()
			writeFile(t, c.stateFile(), good)
			tt.spoil(t, c.stateFile())
			spoilt := readFile(t, c.stateFile())
			c.requireNoStart(strings.ReplaceAll(regexp.QuoteMeta(tt.want), "…", ".+"))
			// file_storage itself writes when it opens a file that it can read.
			if strings.Contains(tt.want, "can't be opened") {
				assert.Equal(t, spoilt, readFile(t, c.stateFile()), "the file is left as it was")
			} else {
				after := contents(t, c.stateFile())
				writeFile(t, c.stateFile(), spoilt)
				assert.Equal(t, contents(t, c.stateFile()), after, "the state is left as it was")
			}
		})
	}
	require.Equal(t, calls, e.slack.CallCount(), "nothing was asked")

	// With the backup that the sentence speaks of, all goes on.
	writeFile(t, e.stateFile(), good)
	e.start()
	e.requireOnce()
	e.stop()
}

// Half of a file makes bbolt panic in a goroutine of its own, where nobody can catch it: no sentence, but no fresh
// start either.
func TestStorageCutInHalf(t *testing.T) {
	t.Parallel()
	e := newEverything(t)
	good := readFile(t, e.stateFile())
	calls := e.slack.CallCount()
	for _, size := range []int{2 * os.Getpagesize(), len(good) / 2} {
		writeFile(t, e.stateFile(), good[:size])
		e.startInVain()
		require.NotZero(t, e.cmd.ProcessState.ExitCode())
		// Where bbolt gets as far as that, it may have written the claim.
		assert.Contains(t, e.out.forget(), "go.etcd.io/bbolt")
	}
	require.Equal(t, calls, e.slack.CallCount(), "nothing was asked")
}

// forget returns what was said, and has it not been said.
func (o *output) forget() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

// What nobody can tell from a first start: an empty file, and one that file_storage has put in a broken one's place.
func TestStorageBeginsAnew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil   func(t *testing.T, file string)
		setting string
		said    string
		backups int
	}{
		"empty file": {spoil: func(t *testing.T, file string) { t.Helper(); writeFile(t, file, nil) }},
		// README says to leave it off.
		"recreate": {
			spoil: spoilFreelist, setting: "extensions: {file_storage: {recreate: true}}",
			said: "Database corruption detected, recreating database file", backups: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, slacktest.Options{})
			slack.past(500, time.Now().Add(-2*time.Hour), time.Now())
			to := newBackend(t)
			c := newCollector(t, slack, to, test.setting)
			c.start()
			to.waitForAll(c, slack)
			to.requireOnce(c, slack)
			c.terminate()
			test.spoil(t, c.stateFile())
			slack.happen(20, time.Now())
			c.start()
			to.waitForAll(c, slack)
			c.waitFor("all that there was comes again", func() bool { return to.repeats() == 500 })
			slack.waitForCalls(c, 3)
			require.Equal(t, 500, to.repeats())
			require.Contains(t, c.out.String(), test.said)
			backups, err := filepath.Glob(c.stateFile() + ".*.backup")
			require.NoError(t, err)
			require.Len(t, backups, test.backups)
			c.stop()
		})
	}
}

// Two collectors can't share a folder: the second one does not start, the first one does not notice.
func TestStorageInUse(t *testing.T) {
	t.Parallel()
	e := newEverything(t)
	e.start()
	e.slack.waitForCallsTo(e.collector, 1, everyPath...)
	second := &collector{process: process{t: t, path: e.path, args: e.args, dir: e.dir, env: maps.Clone(e.env)}}
	second.env["HEALTH_PORT"] = freePort(t)
	second.supervise()
	second.requireNoStart(regexp.QuoteMeta(cannotOpen("timeout")))
	e.happen()
	e.requireOnce()
	e.stop()
	// Now there is nobody else.
	second.start()
	e.happen()
	e.to.waitForAll(second, e.slack)
	e.rows.waitForAll(second, e.to)
	require.Zero(t, e.to.repeats())
	second.stop()
}

// A folder or file that can't be used fails the start.
func TestStorageFolder(t *testing.T) {
	t.Parallel()
	const noCreate = "extensions: {file_storage: {create_directory: false}}"
	slack := newSlack(t, slacktest.Options{})
	to := newBackend(t)
	for _, tt := range []struct {
		name     string
		settings []string
		spoil    func(t *testing.T, c *collector)
		want     string
		rights   bool // root has them all
	}{
		{name: "not there", settings: []string{noCreate}, want: `.*directory must exist: .* You can enable the create_directory option to automatically create it`},
		{
			name: "a file", want: `.* is not a directory`,
			spoil: func(t *testing.T, c *collector) { t.Helper(); writeFile(t, c.env["STATE_DIR"], nil) },
		},
		{
			name: "a folder in the file's place", want: regexp.QuoteMeta(cannotStart+`storage: "file_storage" can't be opened (open `) + `.*: is a directory` + regexp.QuoteMeta(")"+openAdvice),
			spoil: func(t *testing.T, c *collector) { t.Helper(); require.NoError(t, os.MkdirAll(c.stateFile(), 0o700)) },
		},
		{
			name: "a folder that is not writable", rights: true,
			want:  regexp.QuoteMeta(cannotStart+`storage: "file_storage" can't be opened (open `) + `.*: permission denied` + regexp.QuoteMeta(")"+openAdvice),
			spoil: func(t *testing.T, c *collector) { t.Helper(); require.NoError(t, os.Mkdir(c.env["STATE_DIR"], 0o500)) },
		},
		{
			name: "a file that is not writable", rights: true,
			want: regexp.QuoteMeta(cannotStart+`storage: "file_storage" can't be opened (open `) + `.*: permission denied` + regexp.QuoteMeta(")"+openAdvice),
			spoil: func(t *testing.T, c *collector) {
				t.Helper()
				writeFile(t, c.stateFile(), nil)
				require.NoError(t, os.Chmod(c.stateFile(), 0o400))
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.rights && os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			c := newCollector(t, slack, to, tt.settings...)
			if tt.spoil != nil {
				tt.spoil(t, c)
			}
			c.requireNoStart(tt.want)
		})
	}
	t.Cleanup(func() { require.Zero(t, slack.CallCount(), "nothing was asked") })
}

// space limits how large files the process may write, or has any size do again. What is written beyond fails, as on a
// disk that is full.
func (p *process) space(size string) {
	p.t.Helper()
	said, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.cmd.Process.Pid), "--fsize="+size+":").CombinedOutput()
	require.NoError(p.t, err, "%s", said)
}

// needSpace skips the test where the limit can't be set.
func needSpace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("there is no prlimit here to fill a disk")
	}
}

// While the disk is full, polling goes on from memory. What was not saved is saved once there is space again; if the
// collector dies before, it comes again, and no more than that.
func TestStorageFull(t *testing.T) {
	t.Parallel()
	needSpace(t)
	const reason, advice = "the state can't be saved (", "; polling goes on from memory, a restart would repeat records; check the storage's space and rights"
	slack := newSlack(t, slacktest.Options{})
	slack.past(3000, time.Now().Add(-2*time.Hour), time.Now())
	to := newBackend(t)
	c := newCollector(t, slack, to, healthConfig)
	c.args = append(c.args, statusGate)
	c.env["HEALTH_PORT"] = freePort(t)
	// fill has more happen than there is space for in the ids' file, and returns when it was delivered.
	fill := func() {
		t.Helper()
		info, err := os.Stat(c.stateFile())
		require.NoError(t, err)
		c.space(strconv.FormatInt(info.Size(), 10))
		// How much of the file is free is bbolt's affair.
		full := func() bool { return c.health().receiver().Status == "StatusRecoverableError" }
		for rounds := 0; rounds < 4 || rounds < 20 && !full(); rounds++ {
			slack.past(4000, time.Now().Add(-5*time.Minute), time.Now())
			to.waitForAll(c, slack)
		}
		c.waitFor("the receiver is in trouble", func() bool { return full() && !c.health().Healthy })
		said := c.health().receiver().Error
		require.Contains(t, said, "audit logs: "+reason)
		require.Contains(t, said, advice)
		require.Contains(t, c.out.String(), reason)
	}
	c.start()
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)

	fill()
	c.waitFor("poll_staleness grows: nothing is saved", func() bool {
		staleness, _ := c.metrics().value("otelcol_slacklogs_poll_staleness")
		return staleness > 2
	})
	require.Zero(t, to.repeats())
	c.space("unlimited")
	c.waitFor("the receiver is well again", func() bool {
		h := c.health()
		return h.receiver().Status == "StatusOK" && h.Healthy
	})
	to.requireOnce(c, slack)
	c.kill()
	c.start()
	to.waitForAll(c, slack)
	to.requireOnce(c, slack)

	// Now it dies before there is space. The next one finds the last save.
	before := bodies(slack.Shown())
	fill()
	c.kill()
	c.start()
	restarted := time.Now()
	c.waitFor("all from before the restart is read", func() bool {
		lag, found := c.metrics().value("otelcol_slacklogs_watermark_lag")
		return found && lag < time.Since(restarted).Seconds()-1 // dates are whole seconds
	})
	to.waitForAll(c, slack)
	t.Logf("%d of %d records came again", to.repeats(), slack.Len()-len(before))
	require.Positive(t, to.repeats(), "or else it was saved")
	for hash, text := range before {
		require.Equal(t, 1, to.times(hash), "came again though it was saved: %s", text)
	}
	// Now it is saved.
	again := to.repeats()
	c.kill()
	c.start()
	slack.waitForCalls(c, 5)
	to.waitForAll(c, slack)
	require.Equal(t, again, to.repeats())
	c.stop()
}

// times is how often an entry arrived.
func (b *backend) times(hash bodyHash) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.arrived[hash].times
}

// A first start that can't save its start does not begin. file_storage's max_size is a limit too.
func TestStorageFullFromTheStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ size, setting, want string }{
		"no file":  {size: "0", want: regexp.QuoteMeta(cannotStart+`storage: "file_storage" can't be opened (write `) + `.*: file too large` + regexp.QuoteMeta(")"+openAdvice)},
		"max_size": {setting: "extensions: {file_storage: {max_size: 8192}}", want: regexp.QuoteMeta(cannotOpen("database reached maximum size"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := newSlack(t, slacktest.Options{})
			slack.past(100, time.Now().Add(-time.Hour), time.Now())
			to := newBackend(t)
			c := newCollector(t, slack, to, test.setting)
			collector, args := c.path, c.args
			if test.size != "" {
				needSpace(t)
				c.path, c.args = "prlimit", append([]string{"--fsize=" + test.size + ":", c.path}, c.args...)
			}
			c.requireNoStart(test.want)
			require.Zero(t, slack.CallCount())
			if test.size != "" {
				c.path, c.args = collector, args
				c.start()
				to.waitForAll(c, slack)
				c.stop()
			}
		})
	}
}

// A token of another organisation stops each of the log types with a sentence, and touches nothing. With the right one
// they go on, without a restart.
func TestStorageOfAnotherOrganisation(t *testing.T) {
	t.Parallel()
	e := newEverything(t)
	state := contents(t, e.stateFile())
	right := e.slack.org.Identity()
	other := right
	other.EnterpriseID, other.EnterpriseName = "E09ELSEWHERE", "Elsewhere"
	e.slack.SetToken(token, other)
	e.happen()
	pages := func() (n int) {
		for _, path := range everyPath {
			n += e.slack.answered(path)
		}
		return n
	}
	before, records, rows := pages(), e.to.distinct(), e.to.allRows()

	sentence := fmt.Sprintf("the token belongs to %[2]s but the saved state to %[1]s; use a token of %[1]s, or a receiver of another name (slacklogs/other) for %[2]s",
		right.EnterpriseID, other.EnterpriseID)
	stopped := func() {
		e.t.Helper()
		e.waitFor("each log type stops", func() bool {
			said := e.health().receiver().Error
			for _, kind := range []string{"access", "audit", "integration"} {
				if !strings.Contains(said, kind+" logs: "+sentence) {
					return false
				}
			}
			return true
		})
	}
	e.start()
	stopped()
	require.Equal(t, 3, strings.Count(e.out.String(), sentence), "once for each log type")
	e.terminate()
	after := contents(t, e.stateFile())
	delete(state, "holder")
	delete(after, "holder") // which collector had it last
	require.Equal(t, state, after, "the state is not touched")

	e.start()
	stopped()
	require.Equal(t, before, pages(), "no page was read")
	require.Equal(t, records, e.to.distinct())
	require.Equal(t, rows, e.to.allRows())
	e.slack.SetToken(token, right)
	e.requireOnce()
	e.waitFor("the receiver is well again", func() bool { return e.health().receiver().Status == "StatusOK" })
	e.stop()
}

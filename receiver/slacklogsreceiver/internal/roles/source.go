// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package roles knows the roles of users in Slack. A goroutine of its own reads
// users.list now and then, and asks users.info for those whom that does not
// name. Records look up what is known at that moment, and never wait.
//
// What is not certain is not known: nobody is taken for a member because some
// answer failed or lacks something.
package roles // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/roles"

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	// leastKept is how long roles stay known that can't be read again: a day
	// bridges an outage or a token that is replaced; a role that is older is a
	// guess. With a long refresh_interval it is twice that.
	leastKept = 24 * time.Hour
	// listsPerMinute is half of what Slack allows for users.list, and
	// usersPerMinute less than a third for users.info: other apps share neither,
	// but the limits are only what Slack grants at least.
	listsPerMinute, usersPerMinute = 10, 30
	// smallPage is the page size after failures; Slack recommends it for large
	// workspaces.
	smallPage = 200
	// maxPages ends a list whose cursors never do.
	maxPages = 10_000
	// maxWanted is the most users that wait to be asked for. Who finds no place
	// does so with a later record.
	maxWanted = 1000
	// maxTries is how often a user is asked for while answers fail, and
	// maxListTries how often a page is; the latter takes about five minutes.
	maxTries, maxListTries = 5, 10
	// maxCircles is how often the list of a workspace may begin anew.
	maxCircles = 3

	firstPause, maxPause = time.Second, time.Minute
	// refusedPause is the pause after a refusal that only a person mends.
	refusedPause = 5 * time.Minute
	// namedFrom is how many failures in a row are worth a line in the log, where
	// they may pass by themselves.
	namedFrom = 3
)

var (
	errNoWorkspace = errors.New("auth.teams.list names no workspace, and with a token of the organisation users.list can only be asked for one; add the app to the workspaces whose members are to be known")
	errFull        = errors.New("there are more users than are remembered")
)

// Settings of a Source.
type Settings struct {
	Slack slack.Settings
	Clock clock.Clock
	// Store keeps Slack's Retry-After over a restart.
	Store *checkpoint.Store
	// Pauses are shared by all that ask with a token.
	Pauses *slack.Pauses
	Logger *zap.Logger
	// RefreshInterval is from the start of one reading to the start of the next.
	RefreshInterval time.Duration
	// TeamIDs are the workspaces to ask for with a token of the organisation;
	// none = all of auth.teams.list.
	TeamIDs []string
	// RandomizationFactor of the pause after a failed call, 0 to 1.
	RandomizationFactor float64

	_ struct{}
}

// Source knows the roles of users.
type Source struct {
	set    Settings
	client *slack.Client
	table  *table

	lists, users task
	reading      *reading // nil between two
	nextReading  time.Time
	// identity is whose token it is.
	identity   slack.Identity
	identified bool
	state      state

	// What records share with the goroutine. confirmed is the start of the last
	// reading that was whole; mayAsk is set once users.list has had its chance,
	// and full while no more users are remembered.
	confirmed    atomic.Uint32
	mayAsk, full atomic.Bool
	fullNamed    bool

	mu sync.Mutex
	// wanted are the users to ask users.info for, in order.
	wanted   []key
	isWanted map[key]bool
	wake     context.CancelFunc
}

// task is one of the two things to ask.
type task struct {
	budget   *slack.Budget
	pause    *backoff.ExponentialBackOff
	retryAt  time.Time
	failures int
	named    string // what was last logged
}

func newTask(perMinute float64, set Settings) task {
	t := task{
		budget: slack.NewBudget(perMinute, set.Clock.Now()),
		pause: &backoff.ExponentialBackOff{
			InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: set.RandomizationFactor,
		},
	}
	t.pause.Reset()
	return t
}

func (t *task) succeeded() {
	t.failures = 0
	t.pause.Reset()
}

// waits is how long the task has to wait for what went before.
func (t *task) waits(now time.Time) time.Duration {
	return max(t.retryAt.Sub(now), t.budget.Paused(now))
}

// reading is one of users.list, over all workspaces.
type reading struct {
	began    time.Time
	prepared bool
	// plan are the workspaces to read, "" for the token's own, and at the one
	// whose turn it is.
	plan  []string
	at    int
	teams []slack.Team // those of auth.teams.list so far
	// cursor is of the page to ask for, pages how many came before it, and
	// circles how often the list began anew.
	cursor         string
	pages, circles int
	limit          int
	// partial is why some workspace could not be read; read is set once a page
	// was.
	partial error
	read    bool
}

// stateKey is the document of what is saved.
const stateKey = "roles"

// state is what outlives a restart: roles do not, as they are read anew.
type state struct {
	Version int `json:"version"`
	// NotBefore is until when Slack wants a method not to be asked, in seconds.
	NotBefore map[string]int64 `json:"not_before"`
}

// New returns a source that asks nothing yet.
func New(ctx context.Context, set Settings) (*Source, error) {
	s := &Source{
		set: set, client: slack.NewClient(set.Slack), table: newTable(set.Clock.Now()),
		lists: newTask(listsPerMinute, set), users: newTask(usersPerMinute, set),
		isWanted: map[key]bool{},
	}
	if _, err := set.Store.Load(ctx, stateKey, &s.state, "not_before"); err != nil {
		return nil, err
	}
	saved := s.state.NotBefore
	s.state = state{Version: checkpoint.Version, NotBefore: map[string]int64{}}
	for method, second := range saved {
		s.pause(method, time.Unix(second, 0))
	}
	return s, nil
}

// pause keeps a method back until t.
func (s *Source) pause(method string, t time.Time) {
	now := s.set.Clock.Now()
	switch method {
	case slack.MethodUsers:
		s.lists.budget.Pause(t, now)
	case slack.MethodUser:
		s.users.budget.Pause(t, now)
	default:
		s.set.Pauses.Note(method, t, now)
	}
	if t.After(now) {
		s.state.NotBefore[method] = t.Unix() + 1
	}
}

// kept is how long roles stay known that can't be read again.
func (s *Source) kept() uint32 {
	return uint32(max(leastKept, 2*s.set.RefreshInterval) / time.Second)
}

func (s *Source) interval() uint32 { return uint32(s.set.RefreshInterval / time.Second) }

// Of are the roles of a user; none if they are not known. It never waits for
// Slack, and may be called from any goroutine.
func (s *Source) Of(id []byte) []string {
	k, ok := keyOf(id)
	if !ok {
		return nil
	}
	now := s.table.seconds(s.set.Clock.Now())
	e := s.table.get(k)
	if !s.current(e, now) {
		s.want(k, e, now)
	}
	if !s.valid(e, now) {
		return nil
	}
	return names[e.roles]
}

// valid tells whether an entry is not too old.
func (s *Source) valid(e entry, now uint32) bool {
	return e.at > 0 && now-min(now, e.at) < s.kept()
}

// current tells whether the list says what there is to say of the user.
func (s *Source) current(e entry, now uint32) bool {
	return s.valid(e, now) && e.listed && e.at >= s.confirmed.Load()
}

// want has users.info asked for somebody whom the list does not tell of, unless
// that was done within the interval.
func (s *Source) want(k key, e entry, now uint32) {
	asked := e.asked > 0 && now-min(now, e.asked) < s.interval()
	if asked || !s.mayAsk.Load() || e == (entry{}) && s.full.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isWanted[k] || len(s.wanted) >= maxWanted {
		return
	}
	s.isWanted[k] = true
	s.wanted = append(s.wanted, k)
	if s.wake != nil {
		s.wake()
	}
}

// Run reads until the context ends.
func (s *Source) Run(ctx context.Context) {
	for ctx.Err() == nil {
		// Somebody to ask for ends the sleep.
		sleep, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		s.wake = cancel
		s.mu.Unlock()
		if wait := s.step(ctx); wait > 0 {
			_ = s.set.Clock.Sleep(sleep, wait)
		}
		cancel()
	}
}

// step makes at most one call, or says how long there is none to make.
func (s *Source) step(ctx context.Context) time.Duration {
	now := s.set.Clock.Now()
	waitList := s.listDue(now)
	if waitList <= 0 && s.reading.prepared { // auth.test has no limit to speak of
		waitList = s.lists.budget.Take(now)
	}
	if waitList <= 0 {
		s.readOn(ctx)
		return 0
	}
	k, waitUser := s.userDue(now)
	if waitUser <= 0 {
		if waitUser = s.users.budget.Take(now); waitUser <= 0 {
			s.askFor(ctx, k)
			return 0
		}
	}
	return min(waitList, waitUser)
}

// listDue is how long the list has to wait.
func (s *Source) listDue(now time.Time) time.Duration {
	if wait := s.lists.waits(now); wait > 0 {
		return wait
	}
	if s.reading == nil {
		if wait := s.nextReading.Sub(now); wait > 0 {
			return wait
		}
		s.reading = &reading{began: now, limit: slack.MaxUsers}
	}
	switch {
	case !s.reading.prepared:
		return s.set.Pauses.Left(slack.MethodAuthTest, now)
	case s.reading.plan == nil:
		return s.set.Pauses.Left(slack.MethodTeams, now)
	default:
		return 0
	}
}

// idle is a wait without an end of its own.
const idle = 24 * time.Hour

// userDue is who has to be asked for, or how long that has to wait.
func (s *Source) userDue(now time.Time) (key, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The list may have told meanwhile, and it knows more than users.info.
	for len(s.wanted) > 0 && s.current(s.table.users[s.wanted[0]], s.table.seconds(now)) {
		s.dropFirst()
	}
	if len(s.wanted) == 0 || !s.identified {
		return key{}, idle
	}
	return s.wanted[0], s.users.waits(now)
}

// dropFirst is done with the first who is wanted. s.mu is held.
func (s *Source) dropFirst() {
	delete(s.isWanted, s.wanted[0])
	s.wanted = s.wanted[1:]
}

// readOn makes the next call of the reading.
func (s *Source) readOn(ctx context.Context) {
	r := s.reading
	var err error
	switch {
	case !r.prepared:
		err = s.prepare(ctx, r)
	case r.plan == nil:
		err = s.planTeams(ctx, r)
	default:
		err = s.readPage(ctx, r)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.listFailed(ctx, r, err)
	default:
		s.lists.succeeded()
	}
	if ctx.Err() == nil && r.plan != nil && r.at >= len(r.plan) {
		s.end(r)
	}
}

// prepare asks whose token it is: that says which users are its own.
func (s *Source) prepare(ctx context.Context, r *reading) error {
	info, err := s.client.AuthTest(ctx)
	if err != nil {
		return err
	}
	s.identity, s.identified, r.prepared = info.Identity, true, true
	switch {
	case info.TeamID != "":
		r.plan = []string{""}
	case len(s.set.TeamIDs) > 0:
		r.plan = s.set.TeamIDs
	}
	return nil
}

// planTeams asks which workspaces there are.
func (s *Source) planTeams(ctx context.Context, r *reading) error {
	teams, next, err := s.client.Teams(ctx, r.cursor)
	if err != nil {
		return err
	}
	r.teams = append(r.teams, teams...)
	if r.pages++; next != "" && (next == r.cursor || r.pages >= maxPages) {
		return slack.StuckCursor(slack.MethodTeams)
	}
	if r.cursor = next; next != "" {
		return nil
	}
	r.pages = 0
	for _, team := range r.teams {
		if !slices.Contains(r.plan, team.ID) {
			r.plan = append(r.plan, team.ID)
		}
	}
	if r.plan == nil {
		r.plan, r.partial = []string{}, errNoWorkspace
	}
	return nil
}

// readPage reads a page of a workspace's users.
func (s *Source) readPage(ctx context.Context, r *reading) error {
	team := r.plan[r.at]
	now := s.table.seconds(s.set.Clock.Now())
	next, err := s.client.Users(ctx, slack.UsersQuery{TeamID: team, Limit: r.limit, Cursor: r.cursor}, func(u slack.User) {
		s.take(r, u, now)
	})
	if err != nil {
		return err
	}
	if r.pages++; next != "" && (next == r.cursor || r.pages >= maxPages) {
		return slack.StuckCursor(slack.MethodUsers)
	}
	r.read = true
	if r.cursor = next; next == "" {
		r.nextTeam()
	}
	return nil
}

func (r *reading) nextTeam() { r.at, r.cursor, r.pages, r.circles = r.at+1, "", 0, 0 }

// take notes what the list says of a user.
func (s *Source) take(r *reading, u slack.User, now uint32) {
	k, ok := keyOf([]byte(u.ID))
	if !ok || !u.Sound && !u.Deleted {
		return
	}
	team := r.plan[r.at]
	roles := s.rolesOf(u, team)
	e := s.table.users[k]
	if !s.valid(e, now) {
		e.roles = 0
	}
	if team == "" || roles&bot != 0 || within(u.Teams, []string{team}) {
		// This list says all that there is to say.
		e.roles, e.at, e.listed, e.gathered = roles.settled(), now, true, 0
		s.put(k, e)
		return
	}
	e.gathered |= roles | met
	if !u.Deleted && !within(u.Teams, r.plan) {
		e.gathered |= elsewhere
	}
	if roles&privileged != 0 {
		e.roles, e.at, e.listed = (e.roles | roles).settled(), now, true
	}
	s.put(k, e)
}

// within tells whether the workspaces are known, and all among others.
func within(teams, others []string) bool {
	return len(teams) > 0 && !slices.ContainsFunc(teams, func(id string) bool { return !slices.Contains(others, id) })
}

// rolesOf are the roles that a user object shows. Those of people count only
// here: who is an admin elsewhere is a stranger.
func (s *Source) rolesOf(u slack.User, team string) (roles role) {
	if !u.Sound || u.Deleted {
		return 0
	}
	for _, has := range []struct {
		flag bool
		role role
	}{{u.Owner, owner}, {u.Admin, admin}, {u.Guest, guest}, {u.Bot, bot}, {u.App, app}} {
		if has.flag {
			roles |= has.role
		}
	}
	if roles&(people|bot) == 0 {
		roles |= member
	}
	if !s.ours(u, team) {
		roles &^= people
	}
	return roles
}

// ours tells whether a user belongs to whom the token belongs to: to its
// workspace, or to its organisation.
func (s *Source) ours(u slack.User, team string) bool {
	id := s.identity
	switch {
	case u.Stranger:
		return false
	case id.TeamID != "":
		return u.TeamID == id.TeamID || slices.Contains(u.Teams, id.TeamID)
	case u.EnterpriseID != "":
		return u.EnterpriseID == id.EnterpriseID
	default:
		return team != "" && u.TeamID == team || u.TeamID == id.EnterpriseID
	}
}

func (s *Source) put(k key, e entry) {
	if s.table.put(k, e) {
		return
	}
	s.full.Store(true)
	if !s.fullNamed {
		s.fullNamed = true
		s.set.Logger.Warn("The roles of some actors stay unknown", zap.Error(errFull), zap.Int("users", s.table.max))
	}
}

// end settles what the reading has gathered, and forgets what is too old.
func (s *Source) end(r *reading) {
	s.reading = nil
	s.nextReading = r.began.Add(s.set.RefreshInterval)
	now := s.set.Clock.Now()
	if !r.read {
		// It has brought nothing; whoever mends that need not wait so long.
		s.nextReading = now.Add(min(refusedPause, s.set.RefreshInterval))
	}
	at := s.table.seconds(now)
	s.table.each(func(e entry) (entry, bool) {
		if e.gathered != 0 {
			e = settle(e, at, r.partial == nil)
		}
		old := !s.valid(e, at) || e.roles == 0 && !e.listed
		asked := e.asked > 0 && at-min(at, e.asked) < s.interval()
		return e, !old || asked
	})
	s.full.Store(len(s.table.users) >= s.table.max)
	s.mayAsk.Store(true)
	if r.partial != nil {
		s.name(&s.lists, r.partial)
		return
	}
	s.confirmed.Store(s.table.seconds(r.began))
	s.well(&s.lists)
}

// settle makes roles of what a reading has gathered of a user. Where some of
// the user's workspaces were not read, that somebody has no more than a
// member's or a guest's roles is not known; what was known before stays until
// it is too old.
func settle(e entry, at uint32, whole bool) entry {
	roles := e.gathered.settled()
	if !whole || e.gathered&elsewhere != 0 {
		roles &= privileged
		whole = false
	}
	e.gathered = 0
	if whole || roles != 0 {
		e.roles, e.at, e.listed = roles, at, true
	}
	return e
}

// askFor asks users.info for one user.
func (s *Source) askFor(ctx context.Context, k key) {
	u, err := s.client.User(ctx, k.String())
	now := s.table.seconds(s.set.Clock.Now())
	e := s.table.users[k]
	if ctx.Err() != nil {
		return
	}
	failed, _ := errors.AsType[*slack.Error](err)
	switch {
	case err == nil:
		s.users.succeeded()
		s.well(&s.users)
		roles := s.rolesOf(u, "")
		if s.identity.TeamID == "" && roles&privileged == 0 {
			// With a token of the organisation it is not said of which workspace
			// these flags are, so somebody may well have more in another.
			roles &^= people
		}
		e.roles, e.at, e.listed = roles.settled(), now, false
	case failed != nil && (failed.Code == "user_not_found" || failed.Code == "user_not_visible"):
		s.users.succeeded()
		s.well(&s.users)
		e.roles, e.at, e.listed = 0, now, false
	default:
		if s.userFailed(ctx, failed, err) {
			return // and asks for the same one again
		}
	}
	e.asked = now
	s.put(k, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropFirst()
}

// userFailed sets the pause after a failed call, and reports whether the same
// user is to be asked for again.
func (s *Source) userFailed(ctx context.Context, failed *slack.Error, err error) (again bool) {
	t := &s.users
	passes := s.failed(ctx, t, failed)
	if !passes || t.failures == namedFrom {
		s.name(t, err)
	}
	return passes && (t.failures < maxTries || failed != nil && failed.Class == slack.Throttled)
}

// listFailed sets the pause after a failed call of the reading, and decides how
// it goes on.
func (s *Source) listFailed(ctx context.Context, r *reading, err error) {
	failed, _ := errors.AsType[*slack.Error](err)
	t := &s.lists
	passes := s.failed(ctx, t, failed)
	if passes && t.failures == namedFrom {
		s.name(t, err)
	}
	is := func(class slack.Class) bool { return failed != nil && failed.Class == class }
	tooOften := t.failures >= maxListTries && !is(slack.Throttled)
	if t.failures >= 2 && !is(slack.Throttled) {
		r.limit = smallPage
	}
	if is(slack.StaleCursor) {
		// From the top: what was met is noted once more.
		r.cursor, r.pages, r.teams = "", 0, nil
		r.circles++
		passes = r.circles < maxCircles
	}
	switch {
	case passes && (!tooOften || len(r.plan) < 2):
		// The same again. Meanwhile others may be asked for.
		s.mayAsk.Store(s.mayAsk.Load() || tooOften)
	case len(r.plan) < 2 || is(slack.NeedsScope):
		r.partial = err
		s.end(r)
	default:
		// The other workspaces go on.
		t.succeeded()
		t.retryAt = time.Time{}
		if r.partial == nil {
			r.partial = err
		}
		r.nextTeam()
	}
}

// failed sets the pause of a task after a failed call. It reports whether the
// failure may pass by itself.
func (s *Source) failed(ctx context.Context, t *task, failed *slack.Error) (passes bool) {
	now := s.set.Clock.Now()
	t.failures++
	// The first refusal may be of a token that is replaced already.
	heals := failed != nil && failed.Class == slack.NeedsToken && t.failures == 1 && s.set.Slack.Tokens != nil
	passes = failed == nil || heals || !failed.Class.NeedsInstall() && failed.Class != slack.NeedsConfig && failed.Class != slack.Fault
	switch {
	case failed != nil && failed.RetryAfter > 0:
		until := now.Add(failed.RetryAfter)
		if failed.Class == slack.Throttled && (failed.Method == slack.MethodUsers || failed.Method == slack.MethodUser) {
			t.budget.Refused(until, now)
		}
		s.pause(failed.Method, until)
		// If that fails, the log types say so: it is their storage too.
		_ = s.set.Store.Save(context.WithoutCancel(ctx), stateKey, &s.state, nil)
	case passes:
		t.retryAt = now.Add(min(t.pause.NextBackOff(), maxPause))
	default:
		t.retryAt = now.Add(refusedPause)
	}
	return passes
}

// name logs what is wrong, once: both tasks can have the same trouble.
func (s *Source) name(t *task, err error) {
	what := err.Error()
	if failed, ok := errors.AsType[*slack.Error](err); ok {
		what = failed.Code
	}
	if what != s.lists.named && what != s.users.named {
		s.set.Logger.Warn("The roles of actors can't be read; where they are not known, records go on without user.roles", zap.Error(err))
	}
	t.named = what
}

// well says that the trouble of a task is over.
func (s *Source) well(t *task) {
	named := t.named != ""
	t.named = ""
	if named && s.lists.named == "" && s.users.named == "" {
		s.set.Logger.Info("The roles of actors are read again")
	}
}

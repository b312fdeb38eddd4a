// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package poll // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
	"github.com/slacklogs/otelcol-slacklogs/internal/record"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	// EveryTeam in team_ids means all workspaces of auth.teams.list, which is
	// read again after teamsAge.
	EveryTeam = "*"
	teamsAge  = time.Hour
	// maxTeamsPages is how many pages of auth.teams.list are followed.
	maxTeamsPages = 100
	// longTurn is how many pages of one workspace follow each other while
	// others wait.
	longTurn = 20
)

// ListSettings are those of the access and integration logs sections.
type ListSettings struct {
	PollInterval      time.Duration
	InitialLookback   time.Duration
	StartTime         time.Time // zero = InitialLookback counts
	PageSize          int
	RequestsPerMinute float64
	Overlap           time.Duration // integration logs
	SweepInterval     time.Duration // access logs; 0 = no sweeps
	SweepWindow       time.Duration // access logs
	// TeamIDs are the workspaces to read, or EveryTeam; empty = the token's own.
	TeamIDs    []string
	StaleAfter time.Duration // 0 = never
	Record     record.Options

	_ struct{}
}

// lists reads a kind of the Web API's lists, newest rows first, workspace by
// workspace. Access and integration logs differ in what a row means, and in
// when a reading has seen enough.
type lists struct {
	*Poller
	cfg     ListSettings
	list    listKind
	state   listsState
	convert *record.Converter
	// pending are the rows of the batch, not accepted yet, and seen what the
	// metrics want to know of each; changes is what is said of access rows.
	pending map[checkpoint.Key]checkpoint.Row
	seen    []seen
	changes []record.Change
	// known are the workspaces with a state, ring those that are read, in turn.
	known map[string]*workspace
	ring  []*workspace
	// at is the workspace that was asked last, polling the one whose poll was,
	// for the turn-th time in a row.
	at, polling *workspace
	turn        int

	// What sweeps have saved up of their share.
	sweepCredit float64
	teams       teamsReading
	// begun are the workspaces whose first state is not saved yet, changed is
	// set when the document of the log type is not.
	begun   []*workspace
	changed bool
}

// listKind is what access and integration logs each bring of their own.
type listKind interface {
	ask(ctx context.Context, q slack.ListQuery) (*slack.Page, error)
	// remembered is for how long a row that is quiet is known.
	remembered() time.Duration
	// floor is the second before which rows of the workspace are read past.
	floor(w *workspace) int64
	// due opens the readings of the workspace that are due.
	due(w *workspace, poll bool)
	// take puts a row into the batch unless its state was delivered.
	take(w *workspace, r *reading, e jsonstream.Element)
	// enough reports whether the reading has met its stop, or the list's end.
	enough(w *workspace, r *reading, ended bool) bool
	// further goes on behind Slack's limit of pages, if there is a way.
	further(w *workspace, r *reading) bool
	// finish takes a reading that met its stop.
	finish(w *workspace, r *reading)
	// watermark is the second before which all that Slack showed was delivered.
	watermark(w *workspace) int64
}

// listsState is the saved document of a log type. Times are Unix seconds by
// Slack's clock, unless said otherwise.
type listsState struct {
	Version int `json:"version"`
	// Org is the organisation or workspace that the state belongs to.
	Org string `json:"org,omitempty"`
	// Start is the second before which rows are read past, in all workspaces.
	// Until the first answer it is by the local clock, and Anchored is false.
	Start    int64  `json:"start"`
	Anchored bool   `json:"anchored"`
	Setting  string `json:"setting"`
	// Teams are the workspaces that have a document of their own.
	Teams []string `json:"teams"`
	// TeamsNotBefore is Slack's Retry-After for auth.teams.list, by the local
	// clock.
	TeamsNotBefore int64 `json:"teams_not_before,omitempty"`
	pauses
}

// workspace is a list that is read.
type workspace struct {
	*source
	// id is the workspace's, ask what stands in team_id: nothing for the
	// token's own.
	id, ask string
	state   workspaceState
	rows    *checkpoint.Rows
	// poll and sweep are the readings under way.
	poll, sweep *reading
	nextPoll    time.Time
	// wholePages is how many pages the last poll of the whole overlap took,
	// sinceWhole polls ago.
	wholePages, sinceWhole int
	// fresh is how many rows the last poll of access logs passed until there
	// were only older ones, sinceFull how many polls ago one began with a full
	// page.
	fresh, sinceFull int
	lastRead         time.Time
	// unsaved is set while the saved state is behind.
	unsaved bool
	// polled is set once a poll of this process has ended, steady while the poll follows on
	// another, so that lateness is Slack's.
	polled, steady bool
	// pollGap and sweepGap are set while a part of the list can't be read: it
	// has been waited for.
	pollGap, sweepGap bool
	// circled is set once it was logged that the list's cursors lead nowhere.
	circled bool
}

// workspaceState is the saved document of a workspace.
type workspaceState struct {
	Version int `json:"version"`
	// Read is when the last reading that met its stop began, Swept the last
	// one that saw all that matters (access) or the whole overlap
	// (integration); 0 = none.
	Read  int64 `json:"read"`
	Swept int64 `json:"swept"`
	// Forgotten is the second before which delivered rows are not known any
	// more. Nothing older is looked at again.
	Forgotten int64 `json:"forgotten"`
	// RisesFirst and RisesLast tell by which dates the list is not sorted.
	RisesFirst bool `json:"rises_first,omitempty"`
	RisesLast  bool `json:"rises_last,omitempty"`
	// Newest is the date of the newest row delivered.
	Newest int64               `json:"newest,omitempty"`
	Rows   checkpoint.RowIndex `json:"rows"`
	Gaps   ledger              `json:"gaps,omitempty"`
	accepted
}

func (s *workspaceState) valid() bool {
	for _, t := range []int64{s.Read, s.Swept, s.Forgotten, s.Newest} {
		if t < 0 || t > maxSecond {
			return false
		}
	}
	return s.Swept <= s.Read && s.Gaps.valid()
}

func newLists(ctx context.Context, set Settings, kind string, cfg ListSettings) (*lists, error) {
	p := newPoller(set, kind, cfg.RequestsPerMinute)
	l := &lists{
		Poller: p, cfg: cfg, convert: p.converter(cfg.Record),
		known: map[string]*workspace{}, pending: map[checkpoint.Key]checkpoint.Row{},
	}
	l.logType = l
	return l, l.load(ctx)
}

func (l *lists) load(ctx context.Context) error {
	setting := startSetting(l.cfg.InitialLookback, l.cfg.StartTime)
	found, err := l.set.Store.Load(ctx, l.kind, &l.state, "start", "anchored", "setting", "teams")
	if err != nil {
		return err
	}
	now := l.set.Clock.Now()
	if !found {
		l.state = listsState{
			Version: checkpoint.Version, Setting: setting, Teams: []string{},
			Start: firstSecond(l.set.Logger, now, l.cfg.InitialLookback, l.cfg.StartTime), Anchored: !l.cfg.StartTime.IsZero(),
		}
		// Saved before the first call, so that a first start which never
		// reaches Slack keeps its start.
		if err := l.set.Store.Begin(ctx, l.kind, &l.state); err != nil {
			return fmt.Errorf("storage: the first state can't be saved: %w", err)
		}
		logFirstStart(l.set.Logger, l.state.Start)
		return nil
	}
	if l.state.Start < 0 || l.state.Start > maxSecond {
		return l.set.Store.Invalid(l.kind, "has parts that contradict each other")
	}
	for _, id := range l.state.Teams {
		w := l.newWorkspace(id)
		found, err := l.set.Store.Load(ctx, l.key(id), &w.state, "read", "swept", "forgotten", "rows")
		switch {
		case err != nil:
			return err
		case !found:
			return l.set.Store.Invalid(l.key(id), "is gone")
		case !w.state.valid():
			return l.set.Store.Invalid(l.key(id), "has parts that contradict each other")
		}
		if w.rows, err = l.set.Store.LoadRows(ctx, l.rowsPrefix(id), w.state.Rows); err != nil {
			return err
		}
		// The journal may still hold rows that were forgotten.
		w.rows.Forget(uint32Of(w.state.Forgotten))
		l.known[id] = w
		l.ring = append(l.ring, w)
	}
	if len(l.ring) > 0 {
		// Nothing is read before it is known whose token it is, but the gauges
		// tell where they stand.
		l.exposeRing()
	}
	if l.state.Setting != setting {
		logKeptStart(l.set.Logger, l.state.Start)
	}
	l.budget.Pause(time.Unix(l.state.NotBefore, 0), now)
	l.set.Pauses.Note(slack.MethodAuthTest, time.Unix(l.state.AuthNotBefore, 0), now)
	l.set.Pauses.Note(slack.MethodTeams, time.Unix(l.state.TeamsNotBefore, 0), now)
	return nil
}

func (l *lists) key(id string) string        { return l.kind + "." + id }
func (l *lists) rowsPrefix(id string) string { return l.key(id) + ".rows." }

func (l *lists) newWorkspace(id string) *workspace {
	return &workspace{
		source: l.newSource(id), id: id, rows: checkpoint.NewRows(l.rowsPrefix(id)),
		state: workspaceState{Version: checkpoint.Version},
	}
}

// save writes a new workspace's state before the document that names it, and
// what was accepted last before what can wait.
func (l *lists) save(ctx context.Context) error {
	for len(l.begun) > 0 {
		if err := l.saveWorkspace(ctx, l.begun[0]); err != nil {
			return err
		}
		if l.begun, l.changed = l.begun[1:], true; len(l.begun) == 0 {
			if err := l.saveOwn(ctx); err != nil {
				return err
			}
		}
	}
	if l.at != nil {
		l.at.unsaved = true
		if err := l.saveWorkspace(ctx, l.at); err != nil {
			return err
		}
	}
	// A save that failed is made good also while another workspace is read.
	for _, id := range l.state.Teams {
		if w := l.known[id]; w.unsaved {
			if err := l.saveWorkspace(ctx, w); err != nil {
				return err
			}
		}
	}
	return l.saveOwn(ctx)
}

// saveOwn writes the document of the log type, if it has changed.
func (l *lists) saveOwn(ctx context.Context) error {
	if !l.changed {
		return nil
	}
	if err := l.set.Store.Save(ctx, l.kind, &l.state, nil); err != nil {
		return err
	}
	l.changed = false
	return nil
}

func (l *lists) saveWorkspace(ctx context.Context, w *workspace) error {
	w.state.Rows = w.rows.Index()
	if err := l.set.Store.Save(ctx, l.key(w.id), &w.state, w.rows); err != nil {
		return err
	}
	w.unsaved = false
	return nil
}

func (l *lists) paused(method string, until time.Time) {
	l.state.pause(method, until)
	l.changed = true
}

// identified ties the state to the organisation, sets the start by Slack's
// clock, and finds the workspaces.
func (l *lists) identified(id slack.Identity) error {
	if err := sameOrg(l.state.Org, id.Org()); err != nil {
		return err
	}
	if l.state.Org == "" || !l.state.Anchored {
		l.state.Org, l.changed = id.Org(), true
		if !l.state.Anchored {
			l.state.Start, l.state.Anchored = bySlack(l.state.Start, l.set.Clock.Now(), l.now()), true
		}
	}
	own := id.TeamID
	if own == "" {
		own = id.EnterpriseID
	}
	switch {
	case len(l.cfg.TeamIDs) == 0:
		l.setRing(id, slack.Team{ID: own})
		l.ring[0].ask = ""
	case l.cfg.TeamIDs[0] != EveryTeam:
		l.setRing(id, teamsOf(l.cfg.TeamIDs)...)
	default:
		// The list of workspaces comes with the next step, unless it is there.
		// Those that were read before need not wait for it.
		if l.teams.readAt.IsZero() && len(l.state.Teams) > 0 {
			l.setRing(id, teamsOf(l.state.Teams)...)
		}
		for _, w := range l.ring {
			named := w.named()
			named.EnterpriseID, named.EnterpriseName, named.EnterpriseDomain = id.EnterpriseID, id.EnterpriseName, id.EnterpriseDomain
			w.name(named)
		}
	}
	return nil
}

// setRing makes these the workspaces that are read. Those that were read
// before go on; the state of others is kept.
func (l *lists) setRing(id slack.Identity, teams ...slack.Team) {
	ring := make([]*workspace, 0, len(teams))
	for _, team := range teams {
		w, ok := l.known[team.ID]
		if !ok {
			w = l.newWorkspace(team.ID)
			l.known[team.ID] = w
			l.state.Teams = append(l.state.Teams, team.ID)
			l.begun = append(l.begun, w)
		}
		w.ask = team.ID
		identity := id
		if team.ID != id.TeamID && team.ID != id.EnterpriseID {
			identity.TeamID, identity.TeamName, identity.TeamDomain = team.ID, team.Name, ""
		}
		w.name(identity)
		ring = append(ring, w)
	}
	for _, w := range l.ring {
		if !slices.Contains(ring, w) {
			w.poll, w.sweep = nil, nil
		}
	}
	l.ring = ring
	l.measure()
	l.exposeRing()
}

// exposeRing has the gauges show the workspaces that are read.
func (l *lists) exposeRing() {
	sources := make([]*source, len(l.ring))
	for i, w := range l.ring {
		sources[i] = w.source
	}
	l.expose(sources...)
}

// next chooses the next call: the list of workspaces, then polls, while sweeps
// have their share of the calls (promise 6).
func (l *lists) next() (func(ctx context.Context) error, time.Duration) {
	local := l.set.Clock.Now()
	every := len(l.cfg.TeamIDs) > 0 && l.cfg.TeamIDs[0] == EveryTeam
	teamsDue := l.teams.due()
	if pause := l.set.Pauses.Left(slack.MethodTeams, local); local.Add(pause).After(teamsDue) {
		teamsDue = local.Add(pause)
	}
	if every && !teamsDue.After(local) {
		return l.readTeams, 0
	}
	for _, w := range l.ring {
		l.comeBack(w)
		poll := w.poll == nil && !w.nextPoll.After(local)
		if poll {
			w.nextPoll = local.Add(l.cfg.PollInterval)
			w.steady = w.polled && l.now().Unix()-w.state.Read <= 2*int64(l.cfg.PollInterval.Seconds())+60
		}
		l.list.due(w, poll)
		l.watchSweep(w)
	}
	poll, sweep := l.pollTurn(local), l.sweepTurn(local)
	switch {
	case sweep != nil && (poll == nil || l.sweepCredit >= 1):
		return func(ctx context.Context) error {
			l.sweepCredit = max(l.sweepCredit-1, 0)
			return l.read(ctx, sweep, sweep.sweep)
		}, 0
	case poll != nil:
		return func(ctx context.Context) error {
			if sweep != nil {
				l.sweepCredit += sweepShare
			}
			if l.polling != poll {
				l.polling, l.turn = poll, 0
			}
			l.turn++
			return l.read(ctx, poll, poll.poll)
		}, 0
	default:
		return nil, l.idle(local, every, teamsDue)
	}
}

// comeBack goes back to Slack's time after a date far ahead was believed for a
// while: what came since was not read, and to hold on to it would read past
// that. Records may come twice then.
func (l *lists) comeBack(w *workspace) {
	now := l.now().Unix()
	ahead := func(second int64) bool { return second > now+60 }
	if w.poll != nil && ahead(w.poll.began) {
		w.poll = nil
	}
	if w.sweep != nil && ahead(w.sweep.began) {
		w.sweep = nil
	}
	if !ahead(w.state.Read) {
		return
	}
	window := int64(l.list.remembered().Seconds())
	w.state.Read = max(1, now-window)
	w.state.Swept = min(w.state.Swept, w.state.Read)
	if w.state.Forgotten > now-window/2 {
		w.state.Forgotten = max(0, now-window)
	}
}

func ready(r *reading, local time.Time) bool { return r != nil && !r.retryAt.After(local) }

// pollTurn is the workspace whose poll comes next: the one that is at it, for
// a while, then the others in turn.
func (l *lists) pollTurn(local time.Time) *workspace {
	if w := l.polling; w != nil && l.turn < longTurn && ready(w.poll, local) && w.poll.pages > 0 {
		return w
	}
	after := slices.Index(l.ring, l.polling) + 1
	for i := range l.ring {
		if w := l.ring[(after+i)%len(l.ring)]; ready(w.poll, local) {
			return w
		}
	}
	return nil
}

// sweepTurn is the workspace whose sweep comes next: the one that is furthest.
func (l *lists) sweepTurn(local time.Time) (furthest *workspace) {
	for _, w := range l.ring {
		if ready(w.sweep, local) && (furthest == nil || w.sweep.pages > furthest.sweep.pages) {
			furthest = w
		}
	}
	return furthest
}

// idle is how long there is nothing to ask.
func (l *lists) idle(local time.Time, every bool, teamsDue time.Time) time.Duration {
	wait := l.cfg.PollInterval
	if every {
		wait = min(wait, teamsDue.Sub(local))
	}
	for _, w := range l.ring {
		next := w.nextPoll
		if w.poll != nil {
			next = w.poll.retryAt
		}
		wait = min(wait, next.Sub(local))
		switch {
		case w.sweep != nil:
			wait = min(wait, w.sweep.retryAt.Sub(local))
		case l.cfg.SweepInterval > 0 && w.state.Read > 0:
			due := time.Unix(w.state.Swept, 0).Add(l.cfg.SweepInterval).Sub(l.now())
			wait = min(wait, max(due, time.Second))
		}
	}
	return max(wait, time.Millisecond)
}

// read asks for one page of the reading and takes in what came of it.
func (l *lists) read(ctx context.Context, w *workspace, r *reading) error {
	l.at, l.from = w, w.source
	q, ok := r.query()
	if !ok {
		l.unreachable(w, r)
		l.saveState(ctx)
		return nil
	}
	q.TeamID = w.ask
	r.answered()
	next := ""
	page, err := l.list.ask(ctx, q)
	if err == nil {
		next, err = l.readPage(ctx, page, func(e jsonstream.Element) {
			l.list.take(w, r, e)
			r.rows++
		}, func(dropped bool) { l.remember(ctx, w, r, dropped) })
	}
	if err == nil && !r.numbered && next != "" {
		if _, seen := r.cursors[next]; seen || len(r.cursors) >= maxCursors {
			if !w.circled {
				w.circled = true
				w.logger.Warn("The cursors of Slack's list lead nowhere; it is read by page numbers")
			}
			r.restart()
			r.numbered = true
			l.pageRead(ctx)
			return nil
		}
	}
	if err != nil {
		return l.failed(ctx, w, r, err)
	}
	w.lastRead = l.set.Clock.Now()
	ended := r.passed(next, page.Paging())
	if r.empty >= maxEmptyPages {
		r.empty = 0
		err := l.failed(ctx, w, r, slack.EndlessPages(l.kind+" logs"))
		r.numbered, r.cursor = true, ""
		return err
	}
	l.tellSkipped(w, r)
	if !r.aside && !r.again && l.list.enough(w, r, ended) {
		l.finish(w, r)
	}
	l.pageRead(ctx)
	return nil
}

// remember takes the rows of an accepted batch into state and metrics.
func (l *lists) remember(ctx context.Context, w *workspace, r *reading, dropped bool) {
	t := tally{measured: r.sweep || !r.first && w.steady}
	for key, row := range l.pending {
		w.rows.Set(key, row)
	}
	for _, e := range l.seen {
		l.tally(ctx, &t, e)
	}
	w.state.add(len(l.seen), dropped)
	if r.sweep {
		r.missed += t.late
		r.lateBy = max(r.lateBy, t.lateBy)
	}
	if l.tallied(ctx, &t); !dropped {
		w.state.Newest = max(w.state.Newest, t.newest)
	}
	l.drop()
}

// drop forgets the rows of the batch.
func (l *lists) drop() {
	clear(l.pending)
	l.seen, l.changes = l.seen[:0], l.changes[:0]
}

// forget drops the rows that are read past from now on.
func (l *lists) forget(w *workspace) {
	if floor := l.list.floor(w); floor > w.state.Forgotten {
		w.state.Forgotten = floor
		w.rows.Forget(uint32Of(floor))
	}
}

// last is what was delivered last of a row, or will be with this batch.
func (l *lists) last(w *workspace, key checkpoint.Key) (checkpoint.Row, bool) {
	if row, ok := l.pending[key]; ok {
		return row, true
	}
	return w.rows.Get(key)
}

func (l *lists) finish(w *workspace, r *reading) {
	l.list.finish(w, r)
	*w.gapOf(r) = r.gap
	l.settleGaps(w, r)
	if r == w.sweep {
		w.sweep = nil
		return
	}
	w.poll, w.polled = nil, true
}

// failed decides how the reading goes on after a failure. Others go on in any
// case; only what concerns all of them is returned.
func (l *lists) failed(ctx context.Context, w *workspace, r *reading, err error) error {
	local := l.set.Clock.Now()
	l.drop()
	var failed *slack.Error
	switch {
	case !errors.As(err, &failed):
		// The pipeline refused, or the receiver stops: what was not accepted is
		// read again.
		r.restart()
		return err
	case ctx.Err() != nil, failed.RetryAfter > 0:
		return err
	case failed.Class == slack.StaleCursor && r.cursor != "":
		r.stale()
	case failed.Code == slack.CodePageLimit && r.numbered && (r.start > 0 || r.twins.ask):
		l.unreachable(w, r)
		l.saveState(ctx)
	case failed.Class == slack.Unreadable, failed.Class == slack.Heals:
		if r.stuck(failed, local, w.lastRead, *w.gapOf(r)); r.twins.hopeless {
			l.twinsGap(w, r, gapUnreadable)
		}
	case l.mayHeal(failed, r.failures):
		r.failures++ // and asks again at once
	default:
		r.failures++
		r.err, r.retryAt = err, local.Add(walkPause(r.failures))
		l.doubt(failed, local)
	}
	return nil
}

// doubt has it asked again whose token it is: the one that mends a refusal may
// be another organisation's. Not more often than a refused call.
func (l *lists) doubt(failed *slack.Error, local time.Time) {
	if failed.Class.NeedsInstall() && local.Sub(l.identifiedAt) >= refusedPause {
		if len(l.ring) > 1 {
			// The others go on meanwhile.
			l.identifiedAt = time.Time{}
		} else {
			l.Poller.identified = false
		}
	}
}

// workspaceError is what keeps some workspaces from being read.
type workspaceError struct {
	ids []string
	err error
	// each is the error of every workspace that has one, also of those whose is
	// another than err.
	each map[string]error
}

func (e *workspaceError) Error() string {
	ids := e.ids
	more := ""
	if len(ids) > 5 {
		ids, more = ids[:5], fmt.Sprintf(" and %d more", len(ids)-5)
	}
	return fmt.Sprintf("workspace %s%s: %v", strings.Join(ids, ", "), more, e.err)
}

func (e *workspaceError) Unwrap() error { return e.err }

// heals reports whether it passes by itself. Then which workspaces have it is
// not worth a line each time.
func (e *workspaceError) heals() bool {
	var failed *slack.Error
	return errors.As(e.err, &failed) && (failed.Class == slack.Heals || failed.Class == slack.Unreadable)
}

func (l *lists) trouble() error {
	var e workspaceError
	each := map[string]error{}
	for _, w := range l.ring {
		for _, r := range []*reading{w.poll, w.sweep} {
			if r == nil || r.err == nil {
				continue
			}
			if each[w.id] == nil {
				each[w.id] = r.err
			}
			one := workspaceError{err: r.err}
			switch {
			case e.err == nil, e.heals() && !one.heals():
				// What needs somebody goes before what passes by itself.
				e = one
			case problem(r.err) != problem(e.err):
				continue
			}
			if !slices.Contains(e.ids, w.id) {
				e.ids = append(e.ids, w.id)
			}
		}
	}
	if e.err != nil {
		e.each = each
		return &e
	}
	return l.teams.err
}

func (l *lists) measure() {
	for _, w := range l.ring {
		newest := w.state.Newest
		if newest == 0 {
			newest = l.state.Start
		}
		failing := w.poll != nil && w.poll.err != nil || l.callErr != nil || l.refusedErr != nil
		w.update(standing{
			newest: newest, watermark: max(l.state.Start, l.list.watermark(w)), seen: w.state.Read,
			polled: w.polled, gaps: w.state.Gaps, accepted: w.state.accepted,
			judged: w.polled && w.state.Read > 0 && !failing,
		}, l.cfg.StaleAfter, l.now())
	}
	if len(l.ring) == 0 {
		l.whole.update(standing{newest: l.state.Start, watermark: l.state.Start}, 0, l.now())
	}
}

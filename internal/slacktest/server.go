// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package slacktest is a fake Slack that is as nasty as the real one: tests, simulations and demos
// read its logs from it, and afterwards it tells what its callers did wrong.
package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The paths that are served, of which PathAuthorize is for browsers. Configure a client with endpoint ".../api" and audit endpoint ".../audit/v1".
const (
	PathAudit       = "/audit/v1/logs"
	PathAuthTest    = "/api/auth.test"
	PathTeams       = "/api/auth.teams.list"
	PathAccess      = "/api/team.accessLogs"
	PathIntegration = "/api/team.integrationLogs"
	PathUsers       = "/api/users.list"
	PathUser        = "/api/users.info"
	PathAuthorize   = "/oauth/v2/authorize"
	PathExchange    = "/api/oauth.v2.access"
)

// Options say how a Server behaves for all of its life. The zero value is a well-behaved Slack.
type Options struct {
	// Now is Slack's own clock; it may run apart from the caller's. Default time.Now.
	Now func() time.Time
	// OmitDate leaves out the Date header.
	OmitDate bool

	// DefaultLimit is the page size when a call names none. Default 100.
	DefaultLimit int
	// Overshoot extends a page that would end inside a second to the whole second.
	Overshoot bool
	// EmptyPages makes each n-th page of a path an empty one with a cursor; 0 = never, 1 would never end.
	// A call that can't be given a cursor gets its page.
	EmptyPages int
	// CursorAge is how old a cursor may get before it is refused; 0 = any age.
	CursorAge time.Duration
	// StaleEvery refuses each n-th use of a cursor of a path; 0 = never.
	StaleEvery int
	// OrgStart refuses ranges that end before it with invalid_range.
	OrgStart time.Time
	// RejectFuture refuses ranges that end in the future with invalid_range.
	RejectFuture bool

	// AccessOrder is the order of the access logs.
	AccessOrder AccessOrder
	// AccessPagesOnly gives no cursors for access logs: limit is taken for count, and paging says how many pages there are.
	AccessPagesOnly bool
	// AccessOffsetCursor has a cursor of access logs count rows, so that rows that move meanwhile shift what follows.
	// Otherwise it stands behind the last row shown.
	AccessOffsetCursor bool
	// BeforeCutsFirst has the parameter before of the access logs cut on date_first in place of date_last.
	BeforeCutsFirst bool
	// TeamsPerPage is the most workspaces that auth.teams.list shows at once, whatever its limit; 0 = as asked.
	TeamsPerPage int
	// OrgWide gives an organisation's token the rows of all workspaces when it names none; otherwise it must name one.
	OrgWide bool
	// TotalCap is the most that paging.total says, whatever there is; 0 = the truth.
	TotalCap int

	// LimitPerMinute is the audit calls that the whole organisation has in any 60 s; 0 = no limit.
	LimitPerMinute int
	// WebLimitPerMinute is the calls that each method of the Web API but auth.test has for each workspace in any 60 s,
	// and users.info five times as many; 0 = no limit.
	WebLimitPerMinute int
	// RetryAfter is what the 429 faults ask to wait for. Default 30s.
	RetryAfter time.Duration
	// SlowFor is how long FaultSlow takes over a socket. Default 2s.
	SlowFor time.Duration
	// RedirectTo is where FaultRedirect leads. Default a host that does not exist.
	RedirectTo string

	// CallLog is how many calls are remembered at least; 0 = all.
	CallLog int
}

// Server is the fake. Serve it over sockets as the http.Handler that it is, or without by Transport.
// All methods may be called at any time from any goroutine, also from a fault hook.
type Server struct {
	opt       Options
	closed    chan struct{}
	closeOnce sync.Once

	mu      sync.Mutex
	entries store
	logins  loginStore
	changes []Change // oldest first
	users   []User
	userAt  map[string]int // by id
	tokens  map[string]*account
	oauth   oauth
	refused map[string]string // codes by workspace
	denied  map[string]string // codes by path
	hook    func(Call) Fault
	poisons []poison
	down    bool
	windows map[string][]time.Time // the calls of the last 60 s that counted, by budget
	walked  map[string]*walks      // by path
	log     callLog
}

// walks counts what the walks over a path have met so far.
type walks struct {
	pages, ends, cursorsUsed int
}

// New builds a Server without entries that knows no token.
func New(opt Options) *Server {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.DefaultLimit == 0 {
		opt.DefaultLimit = 100
	}
	if opt.RetryAfter == 0 {
		opt.RetryAfter = 30 * time.Second
	}
	if opt.SlowFor == 0 {
		opt.SlowFor = 2 * time.Second
	}
	if opt.RedirectTo == "" {
		opt.RedirectTo = "https://elsewhere.invalid/"
	}
	return &Server{
		opt:     opt,
		closed:  make(chan struct{}),
		logins:  loginStore{order: opt.AccessOrder, rows: map[string][]*loginRow{}, byKey: map[loginKey]*loginRow{}},
		userAt:  map[string]int{},
		tokens:  map[string]*account{},
		oauth:   newOAuth(),
		refused: map[string]string{},
		denied:  map[string]string{},
		windows: map[string][]time.Time{},
		walked:  map[string]*walks{},
		log:     callLog{keep: opt.CallLog, notBefore: map[string]time.Time{}},
	}
}

// Close ends all answers that would otherwise hang or never end. The handler keeps serving.
func (s *Server) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
}

// Add makes entries part of Slack's history, whatever their order.
func (s *Server) Add(entries ...Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries.add(entries)
}

// Len is the number of entries held, shown or not.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries.all)
}

// Shown returns the entries that are visible now, oldest first.
func (s *Server) Shown() []Entry {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var shown []Entry
	for _, e := range s.entries.all {
		if e.visible(now) {
			shown = append(shown, e)
		}
	}
	return shown
}

// Others spends n audit calls of the organisation's budget, as other collectors do.
func (s *Server) Others(n int) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.windows[PathAudit] = append(s.windows[PathAudit], now)
	}
}

// Down switches a whole outage on or off: calls are reset or answered 503 in turn.
func (s *Server) Down(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = on
}

// answer is what one call gets, however it is carried.
type answer struct {
	status     int
	header     http.Header
	body       []byte // before compression
	fault      Fault
	entries    []Entry
	retryAfter time.Duration
}

func jsonAnswer(status int, v object) answer {
	return answer{status: status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: appendJSON(nil, v)}
}

func errorAnswer(status int, code string, more ...member) answer {
	return jsonAnswer(status, append(object{{"ok", false}, {"error", code}}, more...))
}

// answer decides everything about one call, so that sockets and Transport only have to carry it.
func (s *Server) answer(r *http.Request) answer {
	now := s.opt.Now()
	query := r.URL.Query()
	form := readForm(r)

	s.mu.Lock()
	s.log.seq++
	call := Call{Seq: s.log.seq, Time: now, Method: r.Method, Path: r.URL.Path, Query: query}
	hook := s.hook
	s.mu.Unlock()

	var fault Fault
	if hook != nil {
		fault = hook(call) // without the lock, so that it can change the Server
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		fault = [...]Fault{FaultReset, FaultUnavailable}[call.Seq%2]
	}
	if fault == FaultInvalidCursor && query.Get("cursor") == "" {
		fault = FaultNone // there is nothing to refuse
	}
	if fault == FaultEmptyPage && !s.givesCursors(call) {
		fault = FaultNone // an empty page would be the end
	}
	who := s.identify(r, form, now)
	a := s.decide(call, form, who, fault)
	if !s.opt.OmitDate {
		a.header.Set("Date", now.UTC().Format(http.TimeFormat))
	} else {
		a.header["Date"] = nil // else net/http adds one
	}
	s.log.add(CallRecord{
		Call: call, Status: a.status, Fault: a.fault, Entries: len(a.entries), RetryAfter: a.retryAfter,
		AuthOK: who.known(), UserAgent: r.UserAgent(),
	}, r.Header.Get("Authorization"))
	return a
}

// decide lets the organisation's limit come first, as Slack's front door does, then the fault.
func (s *Server) decide(call Call, form url.Values, who caller, fault Fault) answer {
	if budget, limit := s.budget(call, who.Identity); limit > 0 && !s.down {
		if wait := s.spend(budget, limit, call.Time); wait > 0 {
			return rateLimited(call.Path, wait)
		}
	}
	if fault.replaces() {
		return s.faulty(call, fault)
	}
	a := s.route(call, form, who, fault)
	if a.status != http.StatusOK {
		return a
	}
	if kind := s.poisoned(call.Path, a.entries); kind != FaultNone {
		fault = kind
	}
	if fault.replaces() {
		return s.faulty(call, fault)
	}
	return mangle(a, fault, call.Path)
}

func (s *Server) route(call Call, form url.Values, who caller, fault Fault) answer {
	if code := s.denied[call.Path]; code != "" {
		return s.denial(call.Path, code, who)
	}
	switch {
	case call.Path == PathAudit:
		return s.auditLogs(call, who, fault == FaultEmptyPage)
	case call.Path == PathAuthTest:
		return authTest(who, call.Time)
	case call.Path == PathTeams:
		return s.teamsList(call, who, fault == FaultEmptyPage)
	case call.Path == PathAccess:
		return s.accessLogs(call, who, fault == FaultEmptyPage)
	case call.Path == PathIntegration:
		return s.integrationLogs(call, who)
	case call.Path == PathUsers:
		return s.usersList(call, who, fault == FaultEmptyPage)
	case call.Path == PathUser:
		return s.usersInfo(call, who)
	case call.Path == PathAuthorize:
		return s.authorize(call)
	case call.Path == PathExchange:
		return s.exchange(form, call.Time)
	case strings.HasPrefix(call.Path, "/api/"):
		return errorAnswer(http.StatusOK, "unknown_method")
	default:
		return answer{status: http.StatusNotFound, header: http.Header{}}
	}
}

// budget names what a call counts against, and how many calls that has: the organisation's for audit logs,
// otherwise the method's for the workspace.
func (s *Server) budget(call Call, who Identity) (name string, limit int) {
	switch call.Path {
	case PathAudit:
		return PathAudit, s.opt.LimitPerMinute
	case PathTeams, PathAccess, PathIntegration, PathUsers, PathUser:
		team := call.Query.Get("team_id")
		if team == "" {
			team = who.TeamID
		}
		limit = s.opt.WebLimitPerMinute
		if call.Path == PathUser {
			limit *= userInfoLimit
		}
		return call.Path + " " + team, limit
	default:
		return "", 0
	}
}

// spend takes one call from a budget, or says how long none is left.
func (s *Server) spend(budget string, limit int, now time.Time) time.Duration {
	window := s.windows[budget]
	gone := 0
	for gone < len(window) && !window[gone].After(now.Add(-time.Minute)) {
		gone++
	}
	window = window[gone:]
	s.windows[budget] = window
	if over := len(window) - limit; over >= 0 {
		return window[over].Add(time.Minute).Sub(now)
	}
	s.windows[budget] = append(window, now)
	return 0
}

// walk is the counters of a path.
func (s *Server) walk(path string) *walks {
	w := s.walked[path]
	if w == nil {
		w = &walks{}
		s.walked[path] = w
	}
	return w
}

// refusesCursor counts a cursor's use and tells whether it has become stale.
func (s *Server) refusesCursor(call Call, issued time.Time) bool {
	w := s.walk(call.Path)
	w.cursorsUsed++
	stale := s.opt.StaleEvery > 0 && w.cursorsUsed%s.opt.StaleEvery == 0
	aged := s.opt.CursorAge > 0 && call.Time.Sub(issued) > s.opt.CursorAge
	return stale || aged
}

// emptyPage counts a page that could go on and tells whether it is to be an empty one.
func (s *Server) emptyPage(path string) bool {
	w := s.walk(path)
	w.pages++
	return s.opt.EmptyPages > 0 && w.pages%s.opt.EmptyPages == 0
}

// isWebAPI tells the two halves of Slack apart: they spell and carry their errors differently.
func isWebAPI(path string) bool { return strings.HasPrefix(path, "/api/") }

// readForm reads the whole body, else the server would not notice a caller that gives up. What is no form is empty.
func readForm(r *http.Request) url.Values {
	if r.Body == nil {
		return url.Values{}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return url.Values{}
	}
	form, _ := url.ParseQuery(string(body)) // what of it can be read counts
	if r.URL.Path == PathExchange {
		return withClient(form, r)
	}
	return form
}

// Call is one call as it comes in.
type Call struct {
	Seq    int // from 1, over all paths
	Time   time.Time
	Method string
	Path   string
	Query  url.Values
}

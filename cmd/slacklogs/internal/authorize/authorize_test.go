// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	appSecret = "0123456789abcdef-nobody-may-print"
	elsewhere = "https://example.com/slack/callback"
)

// operator sits before an authorize that talks to a made-up Slack.
type operator struct {
	t     *testing.T
	ctx   context.Context // of the walk
	leave context.CancelFunc
	slack *slacktest.Server
	args  []string
	dir   string // where the token goes, as "token"
	// sees is called with the link, once it stands there.
	sees   func(link string)
	in     chan string
	stdout bytes.Buffer
	stderr screen
	wire   *tap
}

// screen is what the operator sees.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	link func(link string)
}

var linkForm = regexp.MustCompile(`(?m)^   (https?://\S+/oauth/v2/authorize\?\S+)$`)

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if found := linkForm.FindStringSubmatch(s.text.String()); found != nil && s.link != nil {
		go s.link(found[1])
		s.link = nil
	}
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// tap remembers the secrets that pass.
type tap struct {
	http.RoundTripper
	mu      sync.Mutex
	secrets []string
	answers func(path string) // told before an answer is handed over
}

var (
	secretForm   = regexp.MustCompile(`xox[a-z.]*-[^"]+`)
	verifierForm = regexp.MustCompile(`code_verifier=([^&]+)`)
)

func (w *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	form, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(form))
	for _, found := range verifierForm.FindAllStringSubmatch(string(form), -1) {
		w.keep(found[1])
	}
	r.Header.Del("Accept-Encoding") // so that it can be read here
	res, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	w.secrets = append(w.secrets, secretForm.FindAllString(string(body), -1)...)
	w.mu.Unlock()
	if w.answers != nil {
		w.answers(r.URL.Path)
	}
	return res, err
}

func (w *tap) keep(secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, secret)
}

// newOperator has an app whose owner allows all of it for the organisation.
func newOperator(t *testing.T, change func(*slacktest.App), args ...string) *operator {
	t.Helper()
	t.Setenv("SLACK_CLIENT_ID", "111.222")
	t.Setenv("SLACK_CLIENT_SECRET", appSecret)
	app := slacktest.App{
		ID: "A04SLACKLOGS", ClientID: "111.222", ClientSecret: appSecret, Scopes: []string{"auditlogs:read", "admin"},
		Installer: slacktest.NewOrganisation(1).Identity(),
	}
	if change != nil {
		change(&app)
	}
	p := &operator{t: t, slack: slacktest.New(slacktest.Options{}), dir: t.TempDir(), in: make(chan string)}
	t.Cleanup(p.slack.Close)
	p.slack.SetApp(app)
	p.wire = &tap{RoundTripper: p.slack.Transport(), secrets: []string{appSecret}}
	p.args = append([]string{"--output", filepath.Join(p.dir, "token"), "--endpoint", "https://slack.test/api"}, args...)
	p.ctx, p.leave = context.WithCancel(t.Context())
	t.Cleanup(p.leave)
	p.stderr.link = func(link string) {
		if p.sees != nil {
			p.sees(link)
		}
	}
	return p
}

func workspaceOnly(app *slacktest.App) {
	app.Installer = slacktest.Identity{TeamID: "T04BWHARBOR", Team: "Harbour", UserID: "U1", User: "bo", URL: "https://harbour.slack.com/"}
}

// Read is the keyboard.
func (p *operator) Read(to []byte) (int, error) {
	select {
	case line, ok := <-p.in:
		if !ok {
			return 0, io.EOF
		}
		return copy(to, line+"\n"), nil
	case <-p.ctx.Done():
		return 0, io.EOF
	}
}

func (p *operator) types(line string) {
	select {
	case p.in <- line:
	case <-p.ctx.Done():
	}
}

// visits opens the link in a browser, and returns where it ends.
func (p *operator) visits(link string) *url.URL {
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, link, nil)
	if !assert.NoError(p.t, err) {
		return &url.URL{}
	}
	res, err := p.slack.Transport().RoundTrip(r)
	if !assert.NoError(p.t, err) {
		return &url.URL{}
	}
	to, err := url.Parse(res.Header.Get("Location"))
	assert.NoError(p.t, err)
	if code := to.Query().Get("code"); code != "" {
		p.wire.keep(code)
	}
	return to
}

// pastes is the plain way.
func (p *operator) pastes(link string) { p.types(p.visits(link).String()) }

// authorizes runs until the end, and holds it to its silence.
func (p *operator) authorizes() error {
	p.t.Helper()
	err := authorizeWith(p.ctx, p.args, console{in: p, out: &p.stdout, err: &p.stderr}, p.wire, hurried{})
	said := p.stdout.String() + p.stderr.String()
	if err != nil {
		said += err.Error()
	}
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	for _, secret := range p.wire.secrets {
		assert.NotContains(p.t, said, secret)
	}
	p.t.Logf("%s%s%v", &p.stderr, &p.stdout, err)
	return err
}

// files are what is in the folder.
func (p *operator) files() []string {
	entries, err := os.ReadDir(p.dir)
	require.NoError(p.t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// token is what the file holds, which nobody else may read.
func (p *operator) token() string {
	p.t.Helper()
	path := filepath.Join(p.dir, "token")
	info, err := os.Stat(path)
	require.NoError(p.t, err)
	assert.Equal(p.t, os.FileMode(0o600), info.Mode())
	text, err := os.ReadFile(path)
	require.NoError(p.t, err)
	return string(text)
}

// last is the secret that passed last.
func (p *operator) last(prefix string) string {
	for _, secret := range slices.Backward(p.wire.secrets) {
		if strings.HasPrefix(secret, prefix) {
			return secret
		}
	}
	return "none"
}

func TestAuthorize(t *testing.T) {
	const star = `["*"] # all workspaces that the app is on; or their ids`
	for _, tt := range []struct {
		name   string
		app    func(*slacktest.App)
		args   []string
		stdout []string
		stderr []string
		not    []string
	}{
		{
			name: "audit logs of an organisation", stdout: []string{"bearertokenauth/slack:\n    filename: ", "\n    audit_logs: {}\n"},
			stderr: []string{" on the organisation Brightwater (E04BRIGHTWA), with auditlogs:read.", "mode 0600): the user token."},
			not:    []string{"access_logs", "workspaces/add", "admin", "Warning"},
		},
		{
			name: "all logs of an organisation", args: []string{"--logs", "integration,audit,access"},
			stdout: []string{"    audit_logs: {}\n    access_logs:\n      team_ids: " + star + "\n    integration_logs:\n      team_ids: " + star + "\n"},
			stderr: []string{"with admin, auditlogs:read.", "Add the app to the workspaces"}, not: []string{"Warning"},
		},
		{
			name: "a workspace", app: workspaceOnly, args: []string{"--logs", "access,integration", "--team", "T04BWHARBOR"},
			stdout: []string{"    access_logs: {}\n    integration_logs: {}\n"},
			stderr: []string{"Installed by bo (U1) on the workspace Harbour (T04BWHARBOR), with admin.", "&team=T04BWHARBOR&"},
			not:    []string{"audit_logs", "workspaces that the app is on", "Warning"},
		},
		{
			name: "audit logs cannot be had on a workspace", app: workspaceOnly, args: []string{"--logs", "audit,access"},
			stdout: []string{"    access_logs: {}\n"}, not: []string{"    audit_logs:"},
			stderr: []string{"Warning: the app was installed on a workspace, but audit logs belong to an organisation."},
		},
		{
			name: "a bot beside", args: []string{"--bot-scope", "team:read"}, stdout: []string{"audit_logs: {}"},
			stderr: []string{"&scope=team%3Aread&", "&user_scope=auditlogs%3Aread"},
		},
		{
			name: "roles of actors", app: func(app *slacktest.App) { app.Scopes = append(app.Scopes, "users:read") }, args: []string{"--actor-roles"},
			stdout: []string{"    audit_logs: {}\n    actor_roles: {}\n"},
			stderr: []string{"&user_scope=auditlogs%3Aread%2Cusers%3Aread", "with auditlogs:read, users:read."}, not: []string{"Warning"},
		},
		{
			name: "rotation", app: func(app *slacktest.App) { app.Rotation = true },
			stdout: []string{
				"    token_rotation:\n      client_id: \"111.222\"\n      client_secret: ${env:SLACK_CLIENT_SECRET}\n      refresh_token: \"${file:/",
				"extensions: [file_storage]",
			},
			stderr: []string{"the refresh token, for token_rotation", "Set SLACK_CLIENT_SECRET", "one collector only"},
			not:    []string{"bearertokenauth"},
		},
		{
			name: "public client", app: func(app *slacktest.App) { app.Rotation, app.ClientSecret = true, "" }, args: []string{"--pkce"},
			stdout: []string{"      client_id: \"111.222\"\n      refresh_token: "},
			stderr: []string{"can't be undone", "30 days", "&code_challenge_method=S256", "redirect_uri=https%3A%2F%2Fexample.com"},
			not:    []string{"SLACK_CLIENT_SECRET", "client_secret"},
		},
		{
			name: "GovSlack", args: []string{"--gov", "--endpoint", "", "--logs", "audit,access"},
			stdout: []string{"    endpoint: \"https://slack-gov.com/api\"\n    audit_logs"},
			stderr: []string{"https://slack-gov.com/oauth/v2/authorize?", "on the organisation's admin pages"}, not: []string{"audit_endpoint", "app.slack.com"},
		},
		{
			name: "Slack itself", args: []string{"--endpoint", "", "--logs", "audit,access"}, stdout: []string{"audit_logs"},
			stderr: []string{"https://slack.com/oauth/v2/authorize?", "https://app.slack.com/manage/E04BRIGHTWA/integrations/profile/A04SLACKLOGS/workspaces/add"},
			not:    []string{"endpoint"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newOperator(t, tt.app, append([]string{"--redirect-url", elsewhere}, tt.args...)...)
			p.sees = p.pastes
			require.NoError(t, p.authorizes())
			assert.Equal(t, []string{"token"}, p.files())
			kind := "xoxp-"
			if strings.Contains(p.stdout.String(), "token_rotation") {
				kind = "xoxe-1-"
			}
			assert.Equal(t, p.last(kind), p.token())
			for _, want := range tt.stdout {
				assert.Contains(t, p.stdout.String(), want)
			}
			for _, want := range tt.stderr {
				assert.Contains(t, p.stderr.String(), want)
			}
			for _, not := range tt.not {
				_, after, _ := strings.Cut(p.stderr.String(), "and press Enter:")
				assert.NotContains(t, p.stdout.String()+after, not)
			}
			assert.Empty(t, p.slack.Violations())
		})
	}
}

func TestAuthorizeSaysWhoInstalled(t *testing.T) {
	p := newOperator(t, func(app *slacktest.App) { app.Installer.User = "ada\x1b[2J" }, "--redirect-url", elsewhere)
	p.sees = p.pastes
	require.NoError(t, p.authorizes())
	assert.Contains(t, p.stderr.String(), "Installed by ada?[2J (")
	assert.Contains(t, p.stderr.String(), "a service account that stays is safer")
}

// What does not end well leaves the folder as it was.
func TestAuthorizeFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		app   func(*slacktest.App)
		args  []string
		setup func(*operator)
		sees  func(p *operator, link string)
		said  string // in the error
		shown string // before it
	}{
		{name: "declined", app: func(app *slacktest.App) { app.Declines = true }, said: "declined (access_denied); nothing was written. Audit logs need a user token"},
		{
			name: "wrong secret", app: func(app *slacktest.App) { app.ClientSecret = "another" },
			said: "oauth.v2.access: bad_client_secret: The client secret is not this app's",
		},
		{
			name: "Slack knows no such app", sees: func(p *operator, link string) {
				back := p.visits(link)
				p.slack.Deny(slacktest.PathExchange, "invalid_client_id")
				p.types(back.String())
			},
			said: "invalid_client_id: Slack knows no app",
		},
		{
			name: "an error comes back", sees: func(p *operator, link string) {
				p.types(elsewhere + "?error=unapproved_scope&state=" + stateOf(link))
			},
			said: "unapproved_scope: The organisation has not approved a scope of the app",
		},
		{
			name: "an odd error comes back", sees: func(p *operator, link string) {
				p.types(elsewhere + "?error=%1b%5b2J&state=" + stateOf(link))
			},
			said: "Slack reports an error that is no code; nothing was written",
		},
		{
			name: "a public client that Slack takes for none", app: func(app *slacktest.App) { app.Rotation = true }, args: []string{"--pkce"},
			sees: func(p *operator, _ string) { p.types("pkce_not_allowed"); close(p.in) },
			said: "the input ended before a code came", shown: "pkce_not_allowed: The app is no public client",
		},
		{
			name: "scope was not granted", app: func(app *slacktest.App) { app.Scopes = append(app.Scopes, "team:read") },
			setup: func(p *operator) { p.wire.RoundTripper = rewriting{p.wire.RoundTripper, "auditlogs:read", "team:read"} },
			said:  "this token reads none of the logs that were asked for, so nothing was written",
			shown: "Warning: the scope auditlogs:read was not granted; add it",
		},
		{
			name: "audit logs alone, on a workspace", app: workspaceOnly, said: "reads none of the logs",
			shown: "choose the organisation",
		},
		{
			name: "only a bot", sees: func(p *operator, link string) {
				p.pastes(strings.Replace(link, "&user_scope=auditlogs%3Aread", "&scope=auditlogs%3Aread", 1))
			},
			said: "no_scopes", shown: "",
		},
		{
			name: "the new token is refused", setup: func(p *operator) { p.slack.Deny(slacktest.PathAuthTest, "account_inactive") },
			said: "auth.test: account_inactive: The user who installed the app was deactivated; let a service account that stays install the app again.\nThe app is installed, but",
		},
		{
			name: "codes are used up", sees: func(p *operator, _ string) {
				for range codesTried {
					p.types(strings.Repeat("1.a", 10))
				}
			},
			said: "5 codes did not work, so nothing was written; the last answer: oauth.v2.access: invalid_code: ", shown: "oauth.v2.access: invalid_code: Open the authorize address again and use the new code",
		},
		{name: "the input ends", sees: func(p *operator, _ string) { close(p.in) }, said: "the input ended before a code came"},
		{name: "no time", args: []string{"--timeout", "1ns"}, sees: func(*operator, string) {}, said: "no code came within 1ns"},
		{name: "Ctrl-C while waiting", sees: func(p *operator, _ string) { p.leave() }, said: "interrupted; nothing was written"},
		{
			name: "Ctrl-C while the code is changed", setup: func(p *operator) {
				p.wire.answers = func(path string) {
					if path == slacktest.PathExchange {
						p.leave()
					}
				}
			},
			said: "interrupted; nothing was written",
		},
		{
			name: "Ctrl-C while the token is verified", setup: func(p *operator) {
				p.wire.answers = func(path string) {
					if path == slacktest.PathAuthTest {
						p.leave()
					}
				}
			},
			said: "interrupted; nothing was written",
		},
		{
			name: "Ctrl-C while Slack is in trouble", setup: func(p *operator) {
				p.slack.Deny(slacktest.PathAuthTest, "internal_error")
				p.wire.answers = func(path string) {
					if path == slacktest.PathAuthTest {
						p.leave()
					}
				}
			},
			said: "interrupted; nothing was written",
		},
		{
			name: "Slack is a proxy's page", sees: func(p *operator, link string) {
				back := p.visits(link)
				p.slack.SetFault(slacktest.EveryNth(1, slacktest.FaultRedirect))
				p.types(back.String())
			},
			said: "oauth.v2.access: redirect",
		},
	} {
		for _, old := range []string{"", "xoxp-old"} {
			t.Run(tt.name+map[string]string{"": "", "xoxp-old": ", with a token before"}[old], func(t *testing.T) {
				p := newOperator(t, tt.app, append([]string{"--redirect-url", elsewhere}, tt.args...)...)
				want := []string{}
				if old != "" {
					require.NoError(t, os.WriteFile(filepath.Join(p.dir, "token"), []byte(old), 0o600))
					want = []string{"token"}
				}
				p.sees = p.pastes
				if tt.sees != nil {
					p.sees = func(link string) { tt.sees(p, link) }
				}
				if tt.setup != nil {
					tt.setup(p)
				}
				err := p.authorizes()
				require.ErrorContains(t, err, tt.said)
				assert.Contains(t, p.stderr.String(), tt.shown)
				assert.Empty(t, p.stdout.String())
				assert.Equal(t, want, p.files())
				if old != "" {
					assert.Equal(t, old, p.token())
				}
			})
		}
	}
}

// hurried does not sleep.
type hurried struct{ clock.Real }

func (hurried) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// A code is good once, so what Slack does not answer at first is asked again.
func TestAuthorizeVerifiesWithPatience(t *testing.T) {
	for calls, ok := range map[int]bool{verifyTries - 1: true, verifyTries: false} {
		p := newOperator(t, nil, "--redirect-url", elsewhere)
		p.slack.Deny(slacktest.PathAuthTest, "internal_error")
		failed := 0
		p.wire.answers = func(path string) {
			if path != slacktest.PathAuthTest {
				return
			}
			if failed++; failed == calls {
				p.slack.Deny(slacktest.PathAuthTest, "")
			}
		}
		p.sees = p.pastes
		if err := p.authorizes(); ok {
			assert.NoError(t, err)
			assert.NotEmpty(t, p.token())
		} else {
			assert.ErrorContains(t, err, "could not be verified, so nothing was written")
			assert.Empty(t, p.files())
		}
	}
}

func stateOf(link string) string {
	u, _ := url.Parse(link)
	return u.Query().Get("state")
}

// rewriting puts another text in place of one, in headers and bodies.
type rewriting struct {
	http.RoundTripper
	from, to string
}

func (w rewriting) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), w.from, w.to)))
	if scopes := res.Header.Get("X-OAuth-Scopes"); scopes != "" {
		res.Header.Set("X-OAuth-Scopes", strings.ReplaceAll(scopes, w.from, w.to))
	}
	return res, err
}

// A slip costs nothing: the right thing can still be pasted.
func TestAuthorizeTakesTheRightCodeInTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		slips func(p *operator, link string)
		shown []string
	}{
		{"junk", func(p *operator, link string) {
			for _, line := range []string{"", "   ", "hello", "what now?", "https://example.com/slack/callback", link, "xoxp-1-2-3", "%zz?="} {
				p.types(line)
			}
		}, []string{"There is no code in that.", "That is the link itself.", "That is a token, not a code."}},
		{"of another run", func(p *operator, link string) {
			back := p.visits(link)
			p.types(strings.Replace(back.String(), stateOf(link), "OTHER", 1))
			p.types(strings.Replace(back.String(), "&state="+stateOf(link), "", 1))
		}, []string{"That address does not belong to this run", "it has no state="}},
		{"no code in the address", func(p *operator, link string) {
			p.types(elsewhere + "?state=" + stateOf(link))
		}, []string{"There is no code in that address."}},
		{"Slack's page showed an error", func(p *operator, _ string) {
			for _, code := range []string{"bad_redirect_uri", "invalid_team_for_non_distributed_app", "scope_not_allowed_on_enterprise", "Error details: invalid_scope", "not_yet_known_to_this_version"} {
				p.types(code)
			}
		}, []string{
			"bad_redirect_uri: The redirect address is not one of the app's; add it under OAuth & Permissions, exactly as the link has it; then open the link again.",
			"switch public distribution on", "scope_not_allowed_on_enterprise: ", "invalid_scope: ",
			"Slack reports not_yet_known_to_this_version, which this version does not know; then open the link again.",
		}},
		{"wrong code", func(p *operator, _ string) { p.types("111.222.0123456789abcdef") }, []string{
			"That is taken for a code.", "That did not work: oauth.v2.access: invalid_code: ", "Try again with the same link",
		}},
		{"code of before", func(p *operator, link string) {
			back := p.visits(link)
			back.RawQuery = strings.Replace(back.RawQuery, "code=", "code=0", 1)
			p.types(back.String())
		}, []string{"invalid_code"}},
		{"Slack is in trouble for a while", func(p *operator, link string) {
			p.slack.Deny(slacktest.PathExchange, "service_unavailable")
			p.wire.answers = func(string) { p.slack.Deny(slacktest.PathExchange, "") }
			p.pastes(link)
		}, []string{"That did not work: oauth.v2.access: service_unavailable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newOperator(t, nil, "--redirect-url", elsewhere)
			p.sees = func(link string) {
				tt.slips(p, link)
				p.types(`  "` + p.visits(link).String() + `"`)
			}
			require.NoError(t, p.authorizes())
			assert.Equal(t, p.last("xoxp-"), p.token())
			for _, want := range tt.shown {
				assert.Contains(t, p.stderr.String(), want)
			}
		})
	}
}

func TestAuthorizeTakesABareCode(t *testing.T) {
	p := newOperator(t, nil, "--redirect-url", elsewhere)
	p.sees = func(link string) { p.types(p.visits(link).Query().Get("code")) }
	require.NoError(t, p.authorizes())
	assert.Contains(t, p.stderr.String(), "That is taken for a code.")
}

// Slack gives the token of before, if there is one.
func TestAuthorizeAgain(t *testing.T) {
	p := newOperator(t, nil, "--redirect-url", elsewhere)
	p.slack.InstallApp("111.222")
	path := filepath.Join(p.dir, "token")
	require.NoError(t, os.WriteFile(path, []byte("xoxp-old\n"), 0o640))
	p.sees = p.pastes
	require.NoError(t, p.authorizes())
	assert.Equal(t, p.last("xoxp-"), p.token())
	assert.Contains(t, p.stderr.String(), "has the mode 0640; the new file gets 0600")
	assert.Contains(t, p.stderr.String(), "Warning: the token also has admin: Slack adds new scopes")
	assert.NotContains(t, p.stdout.String(), "access_logs")
}

func TestAuthorizePrintsTheTokenOnlyWhenAsked(t *testing.T) {
	p := newOperator(t, nil, "--redirect-url", elsewhere, "--print-token")
	p.sees = p.pastes
	err := authorizeWith(p.ctx, p.args, console{in: p, out: &p.stdout, err: &p.stderr}, p.wire, hurried{})
	require.NoError(t, err)
	assert.Equal(t, p.token()+"\n", p.stdout.String())
	assert.NotContains(t, p.stderr.String(), p.token())
	assert.Contains(t, p.stderr.String(), "    audit_logs: {}\n")
}

// The configuration goes into a file of its own, and never in place of one that may be in use.
func TestAuthorizeWritesTheConfiguration(t *testing.T) {
	for _, more := range [][]string{nil, {"--print-token"}} {
		file := filepath.Join(t.TempDir(), "collector.yaml")
		p := newOperator(t, nil, append([]string{"--redirect-url", elsewhere, "--config-output", file}, more...)...)
		p.sees = p.pastes
		require.NoError(t, authorizeWith(p.ctx, p.args, console{in: p, out: &p.stdout, err: &p.stderr}, p.wire, hurried{}))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(text), "    audit_logs: {}\n")
		assert.NotContains(t, string(text), p.token())
		assert.NotContains(t, p.stdout.String()+p.stderr.String(), "audit_logs")
		assert.Equal(t, more != nil, strings.Contains(p.stdout.String(), p.token()))
	}
	file := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(file, []byte("receivers:"), 0o600))
	p := newOperator(t, nil, "--redirect-url", elsewhere, "--config-output", file)
	p.sees = p.pastes
	err := authorizeWith(p.ctx, p.args, console{in: p, out: &p.stdout, err: &p.stderr}, p.wire, hurried{})
	require.ErrorContains(t, err, "--config-output is there already")
	assert.Empty(t, p.stderr.String(), "before anybody has clicked")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "receivers:", string(text))

	for _, file := range []string{filepath.Join(t.TempDir(), "nowhere", "collector.yaml"), "token"} {
		p := newOperator(t, nil, "--redirect-url", elsewhere, "--config-output", file)
		if file == "token" {
			p = newOperator(t, nil, "--redirect-url", elsewhere, "--output", file, "--config-output", file)
		}
		p.sees = p.pastes
		err := authorizeWith(p.ctx, p.args, console{in: p, out: &p.stdout, err: &p.stderr}, p.wire, hurried{})
		require.ErrorContains(t, err, "--config-output")
		assert.Empty(t, p.stderr.String(), "before anybody has clicked")
		assert.NoFileExists(t, file)
	}
}

// What can't be written after all is printed.
func TestConfigurationThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	w := &walk{console: console{out: &stdout, err: &stderr}}
	w.configOutput, w.printToken = filepath.Join(t.TempDir(), "nowhere", "collector.yaml"), true
	require.NoError(t, w.hand("receivers:\n", "xoxp-1"))
	assert.Equal(t, "xoxp-1\n", stdout.String())
	assert.Contains(t, stderr.String(), "here it is:\nreceivers:\n")
}

// Where Slack names no scopes, that is no reason to throw the token away.
func TestGrantedWithoutScopes(t *testing.T) {
	t.Parallel()
	g := newGranted(verb.LogTypes, slack.Grant{AccessToken: "xoxp-1"}, slack.TokenInfo{Identity: slack.Identity{EnterpriseID: "E1"}})
	assert.Equal(t, verb.LogTypes, g.logs)
	assert.Equal(t, []string{"Slack does not say which scopes were granted; ask slacklogs check."}, g.remarks)
	assert.Contains(t, g.installer(), "with scopes that Slack does not name")
}

func TestAuthorizeUsage(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"argument", []string{appSecret}, "it takes flags only"},
		{"unknown flag", []string{"--client-secret", appSecret}, "not defined: -client-secret"},
		{"no client id", []string{"--client-id", ""}, "set --client-id or SLACK_CLIENT_ID"},
		{"secret for an id", []string{"--client-id", appSecret}, "two numbers with a dot between"},
		{"unknown logs", []string{"--logs", "audit,login"}, `--logs must be one or more of audit, access and integration with commas between, not "audit,login"`},
		{"no logs", []string{"--logs", ""}, "--logs must be"},
		{"team by name", []string{"--team", "harbour"}, "--team must be the id"},
		{"two endpoints", []string{"--gov", "--endpoint", "https://slack.test/api"}, "exclude each other"},
		{"open endpoint", []string{"--endpoint", "http://slack.test/api"}, "--endpoint must be an https address"},
		{"open redirect", []string{"--redirect-url", "http://localhost:8443/"}, "must be https: Slack allows plain http on loopback only to a public client"},
		{"open redirect to elsewhere", []string{"--pkce", "--redirect-url", "http://example.com/"}, "must be https unless it is on loopback"},
		{"redirect with #", []string{"--redirect-url", "https://localhost/#a"}, "must be without #"},
		{"no redirect", []string{"--redirect-url", "localhost:8443"}, "--redirect-url must be an address such as"},
		{"callback elsewhere", []string{"--redirect-url", elsewhere, "--receive", "callback"}, "needs a --redirect-url on loopback"},
		{"unknown receive", []string{"--receive", "mail"}, `not "mail"`},
		{"bot for a public client", []string{"--pkce", "--bot-scope", "team:read"}, "exclude each other"},
		{"odd bot scope", []string{"--bot-scope", "team:read&x=1"}, "--bot-scope must be a scope"},
		{"secret of a public client", []string{"--pkce", "--client-secret-file", "x"}, "leave out --client-secret-file"},
		{"no time", []string{"--timeout", "0s"}, "--timeout must be"},
		{"too much time", []string{"--timeout", "25h"}, "at most 24h"},
		{"no output", []string{"--output", ""}, "--output must name a file"},
		{"odd output", []string{"--output", "a${env:B}"}, "--output must be without $"},
		{"output of no text", []string{"--output", "a\xff"}, "--output must be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SLACK_CLIENT_ID", "111.222")
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, verb.Func(Run).Exit(t.Context(), "authorize", tt.args, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Contains(t, stderr.String(), tt.want)
			assert.NotContains(t, stderr.String(), appSecret)
		})
	}
}

func TestClientSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	ask := func(text string) askSecret {
		return func(context.Context, string) (string, error) { return text, nil }
	}
	for _, tt := range []struct {
		name, env, file string
		ask             askSecret
		want, problem   string
	}{
		{name: "environment", env: " s1\n", ask: ask("s3"), want: "s1"},
		{name: "file before environment", env: "s1", file: "s2\n", want: "s2"},
		{name: "typed", ask: ask("s3"), want: "s3"},
		{name: "nowhere", problem: "set SLACK_CLIENT_SECRET or --client-secret-file"},
		{name: "file with a byte order mark", file: "\ufeffs2\r\n", want: "s2"},
		{name: "file in UTF-16", file: "\xff\xfes\x002\x00", problem: "--client-secret-file is no client secret"},
		{name: "empty file", env: "s1", file: "\n", problem: "--client-secret-file is no client secret"},
		{name: "two words", ask: ask("s3 s4"), problem: "what was typed is no client secret"},
		{name: "interrupted", ask: func(context.Context, string) (string, error) { return "", errInterrupted }, problem: "interrupted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SLACK_CLIENT_SECRET", tt.env)
			path := ""
			if tt.file != "" {
				path = file
				require.NoError(t, os.WriteFile(path, []byte(tt.file), 0o600))
			}
			got, err := clientSecret(t.Context(), path, tt.ask)
			if tt.problem != "" {
				assert.ErrorContains(t, err, tt.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(got))
		})
	}
	t.Setenv("SLACK_CLIENT_SECRET", "")
	_, err := clientSecret(t.Context(), filepath.Join(t.TempDir(), "none"), nil)
	assert.ErrorContains(t, err, "--client-secret-file can't be read")
}

// What is pasted by mistake does not end the input.
func TestTypedLinesOfAnyLength(t *testing.T) {
	in := strings.NewReader(strings.Repeat("x", 10<<20) + "\nshort\r\n\nlast")
	var short []string
	for line := range typedLines(t.Context(), in) {
		if len(line) > 100 {
			_, remark := readPasted(line, "state")
			assert.Contains(t, remark, "There is no code in that.")
			continue
		}
		short = append(short, line)
	}
	assert.Equal(t, []string{"short", "", "last"}, short)
}

// The configuration is read as a whole by a YAML parser, wherever the token is.
func TestAuthorizeConfigurationNamesTheFile(t *testing.T) {
	for _, name := range []string{`to"k'en`, `token"`, `tok\en`, "tok\ten: # [x]", "tök\u202een\x7f"} {
		for _, rotation := range []bool{false, true} {
			p := newOperator(t, func(app *slacktest.App) { app.Rotation = rotation }, "--redirect-url", elsewhere)
			path := filepath.Join(p.dir, name)
			p.args = append(p.args, "--output", path)
			p.sees = p.pastes
			require.NoError(t, p.authorizes())
			retrieved, err := confmap.NewRetrievedFromYAML(p.stdout.Bytes())
			require.NoError(t, err)
			conf, err := retrieved.AsConf()
			require.NoError(t, err, p.stdout.String())
			if rotation {
				assert.Equal(t, "${file:"+path+"}", conf.Get("receivers::slacklogs::token_rotation::refresh_token"))
			} else {
				assert.Equal(t, path, conf.Get("extensions::bearertokenauth/slack::filename"))
			}
		}
	}
}

// Ids are Slack's, and no part of an address as they come.
func TestAuthorizeLinksToOneAddress(t *testing.T) {
	p := newOperator(t, func(app *slacktest.App) { app.ID = "A1/../../x?y= z" }, "--redirect-url", elsewhere, "--endpoint", "", "--logs", "access")
	p.sees = p.pastes
	require.NoError(t, p.authorizes())
	assert.Contains(t, p.stderr.String(), "/profile/A1%2F..%2F..%2Fx%3Fy=%20z/workspaces/add")
}

// brokenPipe is where nothing can be written.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// The token is there, but what was to be read on stdout is not.
func TestAuthorizeCannotPrint(t *testing.T) {
	for _, args := range [][]string{nil, {"--print-token"}} {
		p := newOperator(t, nil, append([]string{"--redirect-url", elsewhere}, args...)...)
		p.sees = p.pastes
		err := authorizeWith(p.ctx, p.args, console{in: p, out: brokenPipe{}, err: &p.stderr}, p.wire, hurried{})
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.NotEmpty(t, p.token())
	}
}

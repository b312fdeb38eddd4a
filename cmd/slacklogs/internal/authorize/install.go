// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"
	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

const (
	callTimeout = 15 * time.Second
	// codesTried is how many codes are taken to Slack, and verifyTries how often Slack is asked about the token.
	codesTried  = 5
	verifyTries = 4
)

var errInterrupted = errors.New("interrupted; nothing was written")

// console is where the person sits: what is asked and told goes to err, what others may read on to out.
type console struct {
	in        io.Reader
	out, err  io.Writer
	askSecret askSecret
}

func (c console) say(format string, args ...any) { fmt.Fprintf(c.err, format+"\n", args...) }

// walk is the way from an app to a token in a file.
type walk struct {
	authorizeFlags
	console
	app      slack.App
	redirect *url.URL
	// state and verifier (PKCE) tie the code that comes back to this walk.
	state, verifier string
	http            *http.Client
	clock           clock.Clock
	file            tokenFile
}

func newWalk(f authorizeFlags, with console, transport http.RoundTripper, c clock.Clock) *walk {
	redirect, _ := url.Parse(f.redirectURL) // which problem has read
	w := &walk{
		authorizeFlags: f, console: with, app: slack.App{ClientID: f.clientID}, redirect: redirect, state: rand.Text(),
		http: &http.Client{Transport: transport, Timeout: callTimeout}, clock: c, file: newTokenFile(f.output),
	}
	if f.pkce {
		w.verifier = oauth2.GenerateVerifier()
	}
	return w
}

func (w *walk) run(ctx context.Context) error {
	if err := w.file.check(); err != nil {
		return err
	}
	if err := w.checkConfigOutput(); err != nil {
		return err
	}
	for _, remark := range w.file.remarks() {
		w.say("Warning: %s.", remark)
	}
	if !w.pkce {
		secret, err := clientSecret(ctx, w.secretFile, w.askSecret)
		if err != nil {
			return err
		}
		w.app.ClientSecret = secret
	}
	grant, err := w.install(ctx)
	if err != nil {
		return err
	}
	info, err := w.verify(ctx, grant)
	if err != nil {
		return fmt.Errorf("%w\nThe app is installed, but its token could not be verified, so nothing was written. "+
			"Run this again: the owner has to click once more, and Slack gives the app a token again", err)
	}
	g := newGranted(w.wanted(), grant, info, w.moreScopes()...)
	for _, remark := range g.remarks {
		w.say("Warning: %s", remark)
	}
	if len(g.logs) == 0 {
		return errors.New("this token reads none of the logs that were asked for, so nothing was written; what is amiss stands above")
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return w.keep(g)
}

// link is the address that the owner opens.
func (w *walk) link() string {
	config := oauth2.Config{
		ClientID: w.app.ClientID, RedirectURL: w.redirectURL,
		Endpoint: oauth2.Endpoint{AuthURL: slack.AuthorizeEndpoint(w.endpoint)},
	}
	// A scope is a bot's; who allows the app gives his own as a user scope.
	options := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("user_scope", strings.Join(w.scopes(), ","))}
	if w.botScope != "" {
		options = append(options, oauth2.SetAuthURLParam("scope", w.botScope))
	}
	if w.team != "" {
		options = append(options, oauth2.SetAuthURLParam("team", w.team))
	}
	if w.verifier != "" {
		options = append(options, oauth2.S256ChallengeOption(w.verifier))
	}
	return config.AuthCodeURL(w.state, options...)
}

// install lets the owner allow the app, and changes the code that comes back into tokens.
func (w *walk) install(ctx context.Context) (slack.Grant, error) {
	waiting, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	page, err := w.listen(waiting)
	if err != nil {
		return slack.Grant{}, err
	}
	var replies <-chan reply // nil = none will come
	if page != nil {
		defer page.close()
		replies = page.replies
	}
	w.explain(page != nil)

	client := w.client("")
	lines := typedLines(waiting, w.in)
	for try := 1; ; try++ {
		code, err := w.nextCode(ctx, waiting, lines, replies)
		if err != nil {
			return slack.Grant{}, err
		}
		grant, err := client.ExchangeCode(ctx, w.app, code, w.redirectURL, w.verifier)
		switch e, ok := errors.AsType[*slack.Error](err); {
		case err == nil:
			return grant, nil
		case ctx.Err() != nil:
			return slack.Grant{}, errInterrupted
		case !ok || e.Class != slack.NeedsToken && e.Class != slack.Heals && e.Class != slack.Throttled:
			return slack.Grant{}, err
		}
		if try == codesTried {
			return slack.Grant{}, fmt.Errorf("%d codes did not work, so nothing was written; the last answer: %w", codesTried, err)
		}
		w.say("That did not work: %v\nTry again with the same link, or end with Ctrl-C.", err)
	}
}

// listen returns nil where codes are only pasted.
func (w *walk) listen(ctx context.Context) (*callback, error) {
	if w.receive == "paste" || !slack.IsLoopback(w.redirect.Hostname()) {
		return nil, nil
	}
	page, err := listenCallback(ctx, w.redirect, w.state, max(w.timeout, time.Hour))
	switch {
	case err == nil:
		return page, nil
	case w.receive == "callback":
		return nil, fmt.Errorf("%s can't be served here; free the port, choose another with --redirect-url (also in the app's settings), or use --receive paste: %w", w.redirectURL, err)
	}
	w.say("%s can't be served here (%v), so the code has to be pasted.\n", w.redirectURL, err)
	return nil, nil
}

// explain tells what to do until a code comes back.
func (w *walk) explain(served bool) {
	if w.pkce {
		w.say("--pkce makes the app a public client. What that costs: it can't be undone; without a secret, whoever has a\n" +
			"refresh token has the logs; refresh tokens end after 30 days, so a collector that was off for longer needs this\n" +
			"again; and where Slack rotates the tokens, the receiver needs token_rotation and a storage.\n")
	}
	who := "An Owner or Admin of the workspace (for all workspaces at once: an Owner of the organisation) opens this link"
	if slices.Contains(scopesOf(w.wanted()), "auditlogs:read") {
		who = "An Owner of the organisation opens this link, and chooses the organisation at the top right, not a workspace"
	}
	w.say("1. %s.\n   Best with a service account that stays.\n\n   %s\n", who, w.link())
	w.say("   If the owner is somebody else, send them the link and keep this running: it waits for %s (--timeout). In the\n"+
		"   end their browser shows an error or an empty page; let them send you the address that it stopped at. Its code is\n"+
		"   good for ten minutes.\n", shortly(w.timeout))
	w.say("2. Allow what is asked for. If Slack shows an error instead, paste its code here, such as bad_redirect_uri, to learn\n" +
		"   what mends it; docs/errors.md has them all.\n")
	switch {
	case served && w.redirect.Scheme == "https":
		w.say("3. The browser then warns of the certificate of %s: it was made for this run, so nobody knows it.\n"+
			"   Go on to the page. If that can't be, or the browser is on another machine, paste here the whole address that it\n"+
			"   stopped at, and press Enter:", w.redirect.Host)
	case served:
		w.say("3. The browser then comes back by itself. If it is on another machine, paste here the whole address that it stopped\n" +
			"   at, and press Enter:")
	default:
		w.say("3. The browser then stops at an address that begins with\n   %s, whether or not a page is there. Paste the whole\n"+
			"   address here, and press Enter:", w.redirectURL)
	}
}

// shortly leaves out the zeros: 10m, not 10m0s.
func shortly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// nextCode waits for a code, pasted or sent to the page, whichever comes first.
func (w *walk) nextCode(ctx, waiting context.Context, lines <-chan string, replies <-chan reply) (string, error) {
	for {
		var got reply
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return "", errInterrupted
			}
			return "", fmt.Errorf("no code came within %s; nothing was written", shortly(w.timeout))
		case got = <-replies:
		case line, ok := <-lines:
			if !ok {
				if replies == nil && waiting.Err() == nil {
					return "", errors.New("the input ended before a code came; nothing was written")
				}
				lines = nil
				continue
			}
			var remark string
			if got, remark = readPasted(line, w.state); remark != "" {
				w.say("%s", remark)
			}
		}
		switch {
		case got.problem == "access_denied":
			return "", errors.New("the installation was declined (access_denied); nothing was written. " + slack.Advice(got.problem))
		case got.problem != "":
			return "", fmt.Errorf("%s nothing was written", explainCode(got.problem))
		case got.code != "":
			return got.code, nil
		}
	}
}

// longestLine is far above the address that a browser stops at.
const longestLine = 64 << 10

// typedLines hands over what is typed, until ctx or the input ends. Of a line that is too long it hands over the
// beginning.
func typedLines(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		reader := bufio.NewReaderSize(in, longestLine)
		for {
			line, more, err := reader.ReadLine()
			if err != nil {
				return
			}
			text := string(line)
			for more && err == nil {
				_, more, err = reader.ReadLine()
			}
			select {
			case lines <- text:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// verify asks Slack whose token it is. The code is used up, so it asks some times.
func (w *walk) verify(ctx context.Context, grant slack.Grant) (slack.TokenInfo, error) {
	client := w.client(string(grant.AccessToken))
	for try := 1; ; try++ {
		info, err := client.AuthTest(ctx)
		e, ok := errors.AsType[*slack.Error](err)
		switch {
		case err == nil:
			return info, nil
		case ctx.Err() != nil:
			return info, errInterrupted
		case !ok || try == verifyTries || e.Class != slack.Heals && e.Class != slack.Throttled && e.Class != slack.Unreadable:
			return info, err
		}
		if w.clock.Sleep(ctx, cmp.Or(min(e.RetryAfter, callTimeout), time.Duration(try)*time.Second)) != nil {
			return info, errInterrupted
		}
	}
}

func (w *walk) client(token string) *slack.Client {
	return slack.NewClient(slack.Settings{
		HTTP: w.http, Token: token, Endpoint: w.endpoint, UserAgent: "slacklogs/" + verb.Version, Clock: w.clock,
	})
}

// keep writes the token, and tells how to go on.
func (w *walk) keep(g granted) error {
	token, kind := g.token()
	if err := w.file.write(token); err != nil {
		return fmt.Errorf("the token could not be written: %w\nNothing was left behind, but the app is installed. "+
			"Mend that and run this again: the owner has to click once more, and Slack gives the app a token again", err)
	}
	w.say("\n%s\nWritten to %s (mode 0600): %s.", g.installer(), w.file.path, kind)
	w.say("")
	if err := w.hand(w.setup(g), token); err != nil {
		return fmt.Errorf("the token is in its file, but what belongs beside could not be written: %w", err)
	}
	w.say("\nNext:\n%s", w.next(g))
	return nil
}

// checkConfigOutput tells beforehand whether the configuration could be written.
func (w *walk) checkConfigOutput() error {
	if w.configOutput == "" {
		return nil
	}
	if _, err := os.Lstat(w.configOutput); err == nil || w.configOutput == w.file.path {
		return errors.New("--config-output is there already, and may be a configuration in use; name another file, or leave it out to have it printed")
	}
	trial, err := os.CreateTemp(filepath.Dir(w.configOutput), ".slacklogs-*")
	if err != nil {
		return fmt.Errorf("--config-output can't be written: %w", err)
	}
	return errors.Join(trial.Close(), os.Remove(trial.Name()))
}

// hand puts the token on stdout, if that was asked for, and the configuration into its file, or where there is room.
func (w *walk) hand(setup, token string) error {
	to := w.out
	if w.printToken {
		if _, err := fmt.Fprintln(w.out, token); err != nil {
			return err
		}
		to = w.err
	}
	if w.configOutput != "" {
		err := writeNew(w.configOutput, setup)
		if err == nil {
			w.say("The configuration is in %s.", w.configOutput)
			return nil
		}
		w.say("The configuration could not be written (%v); here it is:", err)
	}
	_, err := io.WriteString(to, setup)
	return err
}

// writeNew writes a file that is not there yet, or leaves none.
func writeNew(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

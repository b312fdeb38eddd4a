// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const (
	clientID     = "404.1007"
	clientSecret = "brightwater-app-SECRET"
	life         = 12 * time.Hour
	// early is when a token of that life is replaced.
	early = life - life/6
)

var (
	// noon is when the tests' worlds begin.
	noon      = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	storageID = component.MustNewID("file_storage")
	errDisk   = errors.New("no space left on device")
)

// crash is what ends a process in the middle of anything.
type crash struct{}

// world is a Slack with an app, a disk and the time.
type world struct {
	t     *testing.T
	now   time.Time
	skew  time.Duration // what the local clock is ahead of Slack's
	slack *slacktest.Server
	app   slacktest.App
	// configured is the refresh token of the configuration.
	configured string

	// disk survives a crash. onSave may refuse a write of the tokens before or
	// after it was done, or crash; n counts these writes from the last restart on.
	disk   map[string][]byte
	saves  int
	onSave func(n int, write func()) error
	// onAnswer may change what Slack answers, or lose it.
	onAnswer func(r *http.Request, body []byte) ([]byte, error)
	// onCall comes before each call to Slack.
	onCall func(r *http.Request)

	pauses *slack.Pauses
	*Source
	logs     *observer.ObservedLogs
	statuses []string
}

func newWorld(t *testing.T, edit func(*slacktest.App)) *world {
	t.Helper()
	w := &world{t: t, now: noon, disk: map[string][]byte{}, app: slacktest.App{
		ID: "A0ROTATES", ClientID: clientID, ClientSecret: clientSecret, Scopes: []string{"auditlogs:read"},
		Rotation: true, TokenLife: life, Grace: 30 * time.Second, Installer: slacktest.NewOrganisation(1).Identity(),
	}}
	if edit != nil {
		edit(&w.app)
	}
	w.slack = slacktest.New(slacktest.Options{Now: func() time.Time { return w.now }, RetryAfter: 5 * time.Minute})
	w.slack.SetApp(w.app)
	_, w.configured = w.slack.InstallApp(clientID)
	w.logs = &observer.ObservedLogs{}
	t.Cleanup(func() {
		w.slack.Close()
		for _, line := range append(w.lines(zapcore.DebugLevel), w.statuses...) {
			assert.NotContains(t, line, "xoxe-1-")
			assert.NotContains(t, line, "xoxp-1-")
			assert.NotContains(t, line, "SECRET")
		}
		assert.Empty(t, w.slack.Violations())
	})
	w.restart()
	return w
}

// restart is a new process on the same disk.
func (w *world) restart() {
	w.t.Helper()
	require.NoError(w.t, w.open())
}

func (w *world) open() (err error) {
	store, err := checkpoint.Open(w.t.Context(), w, &storageID, component.MustNewID("slacklogs"))
	require.NoError(w.t, err)
	require.NoError(w.t, store.Claim(w.t.Context()))
	w.saves, w.pauses = 0, &slack.Pauses{}
	core, logs := observer.New(zapcore.DebugLevel)
	for _, line := range w.logs.All() {
		_ = core.Write(line.Entry, line.Context)
	}
	w.logs = logs
	w.Source, err = New(w.t.Context(), Settings{
		App:          slack.App{ClientID: clientID, ClientSecret: configopaque.String(w.app.ClientSecret)},
		RefreshToken: configopaque.String(w.configured),
		Slack: slack.Settings{
			HTTP: &http.Client{Transport: w}, Endpoint: "https://slack.com/api", AuditEndpoint: "https://api.slack.com/audit/v1", Clock: w,
		},
		Clock: w, Store: store, Pauses: w.pauses, Logger: zap.New(core),
		Status: func(err error) { w.statuses = append(w.statuses, fmt.Sprint(err)) },
	})
	return err
}

func (w *world) Now() time.Time { return w.now.Add(w.skew) }

func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	return ctx.Err()
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if w.onCall != nil {
		w.onCall(r)
	}
	r.Header.Del("Accept-Encoding")
	answer, err := w.slack.Transport().RoundTrip(r)
	if err != nil || w.onAnswer == nil {
		return answer, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil {
		body, err = w.onAnswer(r, body)
	}
	if err != nil {
		return nil, err
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return answer, nil
}

// GetExtensions makes a world the host of its disk.
func (w *world) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: disk{world: w}}
}

// disk is the storage extension and its client.
type disk struct {
	component.StartFunc
	component.ShutdownFunc
	world *world
}

func (d disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d disk) Get(_ context.Context, key string) ([]byte, error) {
	return bytes.Clone(d.world.disk[key]), nil
}

func (d disk) Set(_ context.Context, key string, value []byte) error {
	write := func() { d.world.disk[key] = bytes.Clone(value) }
	if key == stateKey && d.world.onSave != nil {
		d.world.saves++
		return d.world.onSave(d.world.saves, write)
	}
	write()
	return nil
}

func (d disk) Delete(_ context.Context, key string) error {
	delete(d.world.disk, key)
	return nil
}

func (d disk) Batch(ctx context.Context, ops ...*storage.Operation) (err error) {
	for _, op := range ops {
		switch {
		case err != nil:
		case op.Type == storage.Get:
			op.Value, err = d.Get(ctx, op.Key)
		case op.Type == storage.Set:
			err = d.Set(ctx, op.Key, op.Value)
		default:
			err = d.Delete(ctx, op.Key)
		}
	}
	return err
}

func (disk) Close(context.Context) error { return nil }

// crashes reports whether do came to a crash.
func crashes(do func()) (crashed bool) {
	defer func() {
		if reason := recover(); reason != nil {
			if _, ok := reason.(crash); !ok {
				panic(reason)
			}
			crashed = true
		}
	}()
	do()
	return false
}

// token asks for the token, which has to come.
func (w *world) token() string {
	w.t.Helper()
	token, err := w.Token(w.t.Context())
	require.NoError(w.t, err)
	return token
}

// refused asks for the token, which must not come.
func (w *world) refused() *slack.Error {
	w.t.Helper()
	token, err := w.Token(w.t.Context())
	require.Empty(w.t, token)
	var failed *slack.Error
	require.ErrorAs(w.t, err, &failed)
	assert.Zero(w.t, failed.RetryAfter)
	return failed
}

// ask is a log type's call with the token, and tells what Slack said.
func (w *world) ask() (code string) {
	w.t.Helper()
	client := slack.NewClient(slack.Settings{
		HTTP: &http.Client{Transport: w}, Tokens: w.Source, Endpoint: "https://slack.com/api", Clock: w,
	})
	_, err := client.AuthTest(w.t.Context())
	if failed, ok := errors.AsType[*slack.Error](err); ok {
		return failed.Code
	}
	require.NoError(w.t, err)
	return ""
}

// refreshes are the calls that asked for new tokens.
func (w *world) refreshes() (n int) {
	for _, call := range w.slack.Calls() {
		if call.Path == slacktest.PathExchange {
			n++
		}
	}
	return n
}

// lines are the log lines from a level on, with all their fields.
func (w *world) lines(from zapcore.Level) (all []string) {
	for _, line := range w.logs.All() {
		if line.Level >= from {
			all = append(all, fmt.Sprint(line.Message, line.ContextMap()))
		}
	}
	return all
}

// lost loses what Slack answers to a refresh.
func lost(r *http.Request, body []byte) ([]byte, error) {
	if r.URL.Path == slacktest.PathExchange {
		return nil, io.ErrUnexpectedEOF
	}
	return body, nil
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

// Package slack asks Slack's audit and Web APIs and tells their errors apart.
//
// A call reads the whole answer, as it came, and frees the connection before
// anything is decoded, so that a waiting consumer never holds a connection.
package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/slacklogs/otelcol-slacklogs/internal/clock"
	"github.com/slacklogs/otelcol-slacklogs/internal/jsonstream"
)

const (
	// maxWireBytes and maxBytes limit an answer before and after decompression.
	// The largest page of audit entries is about 10 MB of JSON.
	maxWireBytes = 64 << 20
	maxBytes     = 128 << 20
	// dateTolerance is how far Slack's servers may be apart, and localTolerance
	// how far the local clock from them, before a date needs confirming.
	dateTolerance  = time.Minute
	localTolerance = time.Hour
	// maxErrorBytes is how much of a failed answer is looked at.
	maxErrorBytes = 64 << 10
	// maxTrusted is how much memory is taken on the word of a Content-Length.
	maxTrusted = 4 << 20
)

// Settings of a Client.
type Settings struct {
	// HTTP sends the requests. Redirects are switched off on it.
	HTTP *http.Client
	// Token goes into the Authorization header; empty when HTTP adds it.
	Token string
	// Tokens brings the token of each call in place of Token; nil = Token.
	Tokens TokenSource
	// Endpoint and AuditEndpoint are base addresses without a slash at the end.
	Endpoint, AuditEndpoint string
	UserAgent               string
	Clock                   clock.Clock
	// Observe is told of each call: errorType is empty when it succeeded.
	Observe func(ctx context.Context, method, errorType string, took time.Duration)

	_ struct{}
}

// Client calls Slack. It is used by one goroutine.
type Client struct {
	set Settings
	// slackDate is Slack's own time when an answer came at dateSeen; doubtDate
	// and doubtSeen are a date that did not fit and waits for another like it.
	slackDate, dateSeen  time.Time
	doubtDate, doubtSeen time.Time
	// gzip unpacks one answer after the other.
	gzip gzip.Reader
}

// NewClient returns a client for set.
func NewClient(set Settings) *Client {
	// A round tripper that adds the token adds it to each hop, so a redirect to
	// another host would leak it (promise 9).
	set.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{set: set}
}

// Now is the time by Slack's clock: its last Date header and what has passed
// since. It lags by up to a second and the way of the answer, so it is never
// ahead. Before the first answer it is the local time and known is false.
func (c *Client) Now() (now time.Time, known bool) {
	local := c.set.Clock.Now()
	if c.slackDate.IsZero() {
		return local, false
	}
	return c.slackDate.Add(max(0, local.Sub(c.dateSeen))), true
}

// AuditQuery is one call of GET /audit/v1/logs. Oldest and Latest are Unix
// seconds, both inclusive. They go with every call: a cursor does not carry
// them.
type AuditQuery struct {
	Oldest, Latest int64
	Limit          int
	Cursor         string
}

// AuditLogs asks for one page, newest entries first.
func (c *Client) AuditLogs(ctx context.Context, q AuditQuery) (*Page, error) {
	values := url.Values{
		"oldest": {strconv.FormatInt(q.Oldest, 10)},
		"latest": {strconv.FormatInt(q.Latest, 10)},
		"limit":  {strconv.Itoa(q.Limit)},
	}
	if q.Cursor != "" {
		values.Set("cursor", q.Cursor)
	}
	ans, err := c.call(ctx, request{method: "audit.logs", verb: http.MethodGet, address: c.set.AuditEndpoint + "/logs", query: values})
	if err != nil {
		return nil, refusedCursor(err, q.Cursor)
	}
	return &Page{client: c, answer: ans, key: "entries"}, nil
}

// refusedCursor takes a 400 without a word for the cursor's: with the same one
// Slack would refuse for ever.
func refusedCursor(err error, cursor string) error {
	var refused *Error
	if cursor != "" && errors.As(err, &refused) && refused.Code == strconv.Itoa(http.StatusBadRequest) {
		return newError(refused.Method, "invalid_cursor", "status 400")
	}
	return err
}

// Page is an answer that was read whole but not decoded.
type Page struct {
	client *Client
	answer *answer
	key    string
	// needsOK refuses an answer that does not say that all is well.
	needsOK bool
	paging  Paging
}

// Date is Slack's time when it gave the answer; zero if it did not say.
func (p *Page) Date() time.Time { return p.answer.date }

// Each hands over the page's entries in Slack's order, each valid only during
// the call, and returns the cursor of the next page, empty at the end. An error
// of yield is returned as it is. Entries handed over before an answer turned
// out to be unreadable are good.
func (p *Page) Each(ctx context.Context, yield func(jsonstream.Element) error) (next string, err error) {
	ans := p.answer
	var yieldErr error
	list, err := ans.list(p.key, func(e jsonstream.Element) error {
		yieldErr = yield(e)
		return yieldErr
	})
	switch {
	case yieldErr != nil:
		p.client.observe(ctx, ans, "")
		return "", yieldErr
	case err != nil:
		return "", p.client.failed(ctx, ans, unreadable(ans.method, err))
	}
	var no refusal
	if json.Unmarshal(list.Rest["ok"], &no.OK) != nil {
		no.OK = nil
	}
	_ = json.Unmarshal(list.Rest["error"], &no.Error)
	_ = json.Unmarshal(list.Rest["needed"], &no.Needed)
	_ = json.Unmarshal(list.Rest["provided"], &no.Provided)
	if e := p.client.refused(ans, no); e != nil {
		return "", p.client.failed(ctx, ans, e)
	}
	if p.needsOK && no.OK == nil {
		return "", p.client.failed(ctx, ans, newError(ans.method, CodeUnreadable, "no ok"))
	}
	if !list.Found {
		return "", p.client.failed(ctx, ans, newError(ans.method, CodeUnreadable, "no "+p.key))
	}
	next, ok := nextCursor(list.Rest["response_metadata"])
	if !ok {
		return "", p.client.failed(ctx, ans, newError(ans.method, CodeUnreadable, "no cursor can be made out"))
	}
	p.paging = readPaging(list.Rest["paging"])
	p.client.keepTime(ans)
	p.client.observe(ctx, ans, "")
	return next, nil
}

// nextCursor reads response_metadata. The end of a walk is an empty cursor, a
// missing one, {} or no metadata at all; null is the same, and so is [], which
// is how PHP may write {}. What is none of these is not taken for the end: what
// follows would be lost.
func nextCursor(metadata []byte) (next string, ok bool) {
	if len(metadata) == 0 {
		return "", true
	}
	var m struct {
		NextCursor string `json:"next_cursor"`
	}
	if json.Unmarshal(metadata, &m) == nil {
		return m.NextCursor, true
	}
	var list []json.RawMessage
	return "", json.Unmarshal(metadata, &list) == nil && len(list) == 0
}

// refusal is how Slack says no: with status 200 in the Web API. The audit API
// sends no "ok" when all is well, so only a false one counts.
type refusal struct {
	OK       *bool  `json:"ok"`
	Error    string `json:"error"`
	Needed   string `json:"needed"`
	Provided string `json:"provided"`
}

func (r refusal) asError(method string) *Error {
	if r.OK == nil || *r.OK {
		return nil
	}
	e := newError(method, r.Error, "")
	if e.Class == NeedsScope {
		e.Needed, e.Provided = scopes(r.Needed), scopes(r.Provided)
	}
	return e
}

// refused is the error of an answer of 200 that says no.
func (c *Client) refused(ans *answer, no refusal) *Error {
	e := no.asError(ans.method)
	if e == nil {
		return nil
	}
	c.keepTime(ans)
	if e.Class == Throttled {
		e.RetryAfter = retryAfter(ans.retryAfter, c.timeOf(ans))
	}
	return e
}

func unreadable(method string, err error) *Error {
	if errors.Is(err, jsonstream.ErrTooLarge) {
		return newError(method, CodeTooLarge, "")
	}
	detail := "broken compression"
	if syntax, ok := errors.AsType[*jsonstream.SyntaxError](err); ok {
		detail = fmt.Sprintf("%s at byte %d", syntax.Msg, syntax.Offset)
	}
	return newError(method, CodeUnreadable, detail)
}

// answer is a successful HTTP answer, read whole as it came.
type answer struct {
	method string
	// date is the Date header, and seen the local time when it came.
	date, seen time.Time
	retryAfter string
	// scopes are the header X-OAuth-Scopes; nil without it. token is what the
	// request was sent with, as far as it is known.
	scopes []string
	token  string
	body   []byte
	// sealed is set when the body came over TLS.
	sealed bool
	// gzip unpacks the body; nil when that is not compressed.
	gzip    *gzip.Reader
	took    time.Duration
	settled bool
}

// list streams the elements of the array under key.
func (a *answer) list(key string, yield func(jsonstream.Element) error) (jsonstream.Answer, error) {
	r, err := a.reader()
	if err != nil {
		return jsonstream.Answer{}, err
	}
	return jsonstream.List(r, key, maxBytes, yield)
}

func (a *answer) reader() (io.Reader, error) {
	body := bytes.NewReader(a.body)
	if a.gzip == nil {
		return body, nil
	}
	return a.gzip, a.gzip.Reset(body)
}

// verify unpacks a compressed answer once, because its checksum comes last: a
// damaged entry must not be delivered before it is met. Keeping what was
// unpacked would cost the memory of a whole page. TLS has told already that
// nothing was changed on the way; who opens it, as a proxy can, is trusted.
func (a *answer) verify() error {
	if a.gzip == nil || a.sealed {
		return nil
	}
	r, err := a.reader()
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxBytes+1))
	if n > maxBytes {
		return jsonstream.ErrTooLarge
	}
	return err
}

func (a *answer) bytes(limit int64) ([]byte, error) {
	r, err := a.reader()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, limit))
}

// request is one call.
type request struct {
	// method is Slack's name of the call, verb that of HTTP.
	method, verb, address string
	query                 url.Values
	// form is the body of a call that an app makes with its own credentials, in
	// place of a token; nil = none.
	form url.Values
	app  App
}

// call sends one request and reads the answer whole. An answer of 200 comes
// back for decoding; whoever decodes it reports its outcome.
func (c *Client) call(ctx context.Context, r request) (*answer, error) {
	ans := &answer{method: r.method}
	if c.set.Tokens != nil && r.form == nil {
		token, err := c.set.Tokens.Token(ctx)
		if err != nil {
			return nil, err // there was no call
		}
		ans.token = token
	} else if r.form == nil {
		ans.token = c.set.Token
	}
	start := c.set.Clock.Now()
	err := c.send(ctx, ans, r)
	ans.took = c.set.Clock.Now().Sub(start)
	if err != nil {
		return nil, c.failed(ctx, ans, err)
	}
	return ans, nil
}

// newRequest writes the request of HTTP. What is secret goes into a header or
// the body, never into the address.
func (c *Client) newRequest(ctx context.Context, ans *answer, r request) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if r.form != nil {
		body = strings.NewReader(r.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, r.verb, r.address, body)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = r.query.Encode()
	// Asking for gzip by hand leaves the answer compressed while it waits.
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.set.UserAgent)
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch {
	case ans.token != "":
		req.Header.Set("Authorization", "Bearer "+ans.token)
	case r.app.ClientSecret != "":
		req.SetBasicAuth(url.QueryEscape(r.app.ClientID), url.QueryEscape(string(r.app.ClientSecret)))
	}
	return req, nil
}

func (c *Client) send(ctx context.Context, ans *answer, r request) *Error {
	req, err := c.newRequest(ctx, ans, r)
	if err != nil {
		return newError(ans.method, "bad_endpoint", "")
	}
	resp, err := c.set.HTTP.Do(req)
	if err != nil {
		return transferError(ans.method, err)
	}
	defer resp.Body.Close()

	if date, derr := http.ParseTime(resp.Header.Get("Date")); derr == nil {
		ans.date, ans.seen = date, c.set.Clock.Now()
	}
	ans.retryAfter = resp.Header.Get("Retry-After")
	if scopes := resp.Header.Values("X-OAuth-Scopes"); len(scopes) > 0 {
		ans.scopes = splitScopes(strings.Join(scopes, ","))
	}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		ans.gzip = &c.gzip
	}
	limit := int64(maxWireBytes)
	if resp.StatusCode != http.StatusOK {
		limit = maxErrorBytes
	}
	ans.sealed = resp.TLS != nil
	ans.body, err = readBody(resp, limit+1)
	if resp.StatusCode != http.StatusOK {
		// A failed answer that breaks off still has its status.
		return c.statusError(ans, resp.StatusCode)
	}
	if err != nil {
		return transferError(ans.method, err)
	}
	if int64(len(ans.body)) > limit {
		return newError(ans.method, CodeTooLarge, "")
	}
	if err := ans.verify(); err != nil {
		return unreadable(ans.method, err)
	}
	return nil
}

// readBody reads a body up to limit. Where its length is known, it is not
// gathered from pieces.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	r := io.LimitReader(resp.Body, limit)
	n := min(resp.ContentLength, limit)
	if n <= 0 || n > maxTrusted {
		return io.ReadAll(r)
	}
	body := bytes.NewBuffer(make([]byte, 0, n+bytes.MinRead))
	_, err := body.ReadFrom(r)
	return body.Bytes(), err
}

// statusError takes the code from the body when there is one: bodies of failed
// audit calls may be empty, and those of proxies are HTML.
func (c *Client) statusError(ans *answer, status int) *Error {
	e := statusError(ans.method, status)
	if body, err := ans.bytes(maxErrorBytes); err == nil {
		no := refusal{OK: new(bool)}
		if json.Unmarshal(body, &no) == nil {
			no.OK = new(bool)
			if _, known := Codes[no.Error]; known {
				e = no.asError(ans.method)
				c.keepTime(ans)
			} else if plainCode.MatchString(no.Error) {
				e.Detail = no.Error
			}
		}
	}
	// A 503 may name its time too.
	if e.Class == Throttled || status == http.StatusTooManyRequests || ans.retryAfter != "" {
		e.RetryAfter = retryAfter(ans.retryAfter, c.timeOf(ans))
	}
	return e
}

// keepTime takes Slack's time from an answer that is surely Slack's: a proxy
// or a captive portal may have any date.
//
// A date that is far from what was expected is believed once the next one fits
// it: a single one is an answer out of a cache or a server gone astray, but
// the start, windows and sweeps hang on the time.
func (c *Client) keepTime(ans *answer) {
	if ans.date.IsZero() {
		return
	}
	expected, _ := c.Now()
	expected = expected.Add(ans.seen.Sub(c.set.Clock.Now()))
	doubted := c.doubtDate.Add(ans.seen.Sub(c.doubtSeen))
	if apart(ans.date, expected) > c.tolerance() && (c.doubtDate.IsZero() || apart(ans.date, doubted) > dateTolerance) {
		c.doubtDate, c.doubtSeen = ans.date, ans.seen
		return
	}
	c.slackDate, c.dateSeen = ans.date, ans.seen
	c.doubtDate = time.Time{}
}

// Unsure reports whether Slack's clock is not known because its one answer so
// far is far from the local clock.
func (c *Client) Unsure() bool { return c.slackDate.IsZero() && !c.doubtDate.IsZero() }

// Undated reports whether no answer has told the time yet.
func (c *Client) Undated() bool { return c.slackDate.IsZero() && c.doubtDate.IsZero() }

// tolerance is how far a date may be from what is expected. The local clock,
// which the first date is held against, may be wrong by more.
func (c *Client) tolerance() time.Duration {
	if c.slackDate.IsZero() {
		return localTolerance
	}
	return dateTolerance
}

func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }

// timeOf is the time by the clock of whoever gave the answer.
func (c *Client) timeOf(ans *answer) time.Time {
	if !ans.date.IsZero() {
		return ans.date
	}
	now, _ := c.Now()
	return now
}

// transferError leaves the address out: only the innermost cause is named.
func transferError(method string, err error) *Error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return newError(method, CodeTimeout, "")
	}
	detail := "the connection broke"
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		detail = "name not found: " + dns.Name
	case errors.As(err, &op) && op.Op == "dial":
		detail = "can't connect"
	case errors.Is(err, context.Canceled):
		detail = "stopped"
	case strings.Contains(err.Error(), "tls:") || strings.Contains(err.Error(), "x509:"):
		detail = "the TLS handshake failed"
	}
	return newError(method, CodeNetwork, detail)
}

// failed reports a failed call and returns its error.
func (c *Client) failed(ctx context.Context, ans *answer, e *Error) error {
	if e.Class == NeedsToken && c.set.Tokens != nil && ans.token != "" {
		c.set.Tokens.Refused(ans.token, e.Code)
	}
	c.observe(ctx, ans, e.Code)
	return e
}

// observe reports a call once, however often its answer is read.
func (c *Client) observe(ctx context.Context, ans *answer, errorType string) {
	if ans.settled || c.set.Observe == nil {
		return
	}
	ans.settled = true
	c.set.Observe(ctx, ans.method, errorType, ans.took)
}

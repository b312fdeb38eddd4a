// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	defaultRetryAfter = time.Minute
	maxRetryAfter     = time.Hour
)

// Error is a failed call. It never holds a token, an address with its query
// or anything of an entry, so it may stand in a log line.
type Error struct {
	// Method is the call, such as "auth.test" or "audit.logs".
	Method string
	// Code is Slack's error code, one of this client's, or an HTTP status.
	Code  string
	Class Class
	// Advice is one sentence on what mends it.
	Advice string
	// RetryAfter is set when Slack named or implied a time to wait.
	RetryAfter time.Duration
	// Needed and Provided are the scopes of a missing_scope.
	Needed, Provided string
	// Detail is the cause in this client's own words.
	Detail string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Method, e.Code)
	if e.Needed != "" {
		fmt.Fprintf(&b, " (needed %s, provided %s)", e.Needed, e.Provided)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, " (%s)", e.Detail)
	}
	if e.Advice != "" {
		b.WriteString(": ")
		b.WriteString(e.Advice)
	}
	return b.String()
}

// newError takes class and advice from the table. code may be anything that a
// server sent: what does not look like a code is not repeated.
func newError(method, code, detail string) *Error {
	e := &Error{Method: method, Code: code, Detail: detail}
	if known, ok := Codes[code]; ok {
		e.Class, e.Advice = known.Class, known.Advice
		return e
	}
	if !plainCode.MatchString(code) {
		e.Code = "_OTHER"
	}
	e.Advice = "Slack answered with a code that this version does not know; the call is repeated."
	return e
}

// NewError is the error for a call that was not made, or that needs other
// words.
func NewError(method, code string) *Error { return newError(method, code, "") }

// EndlessPages is the error for pages that go on and on without an entry.
func EndlessPages(method string) error {
	return newError(method, CodeUnreadable, "pages without end and without entries")
}

// StuckCursor is the error for a cursor that leads back to its own page.
func StuckCursor(method string) error {
	return newError(method, "invalid_cursor", "the cursor does not move on")
}

// statusError is for an answer whose body names no code.
func statusError(method string, status int) *Error {
	switch {
	case status == http.StatusUnauthorized:
		return newError(method, "invalid_authentication", "status 401")
	case status == http.StatusTooManyRequests:
		return newError(method, "rate_limited", "status 429")
	case status >= 300 && status < 400:
		return newError(method, CodeRedirect, "status "+strconv.Itoa(status))
	}
	e := &Error{Method: method, Code: strconv.Itoa(status), Class: Heals, Advice: adviceOutage}
	switch {
	case status == http.StatusForbidden:
		e.Class, e.Advice = NeedsPerson, adviceOwner
	case status == http.StatusNotFound:
		e.Class, e.Advice = NeedsConfig, Codes["bad_endpoint"].Advice
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		// Pass by themselves, as those from 500 on.
	case status == http.StatusProxyAuthRequired:
		e.Class, e.Advice = NeedsConfig, "The proxy wants a login; check proxy_url."
	case status >= 400 && status < 500:
		e.Class, e.Advice = Fault, adviceFault
	}
	return e
}

// Advice is the sentence on what mends an Error of this code, which may be an
// HTTP status; "" for a code that is not known.
func Advice(code string) string {
	if known, ok := Codes[code]; ok {
		return known.Advice
	}
	if status, err := strconv.Atoi(code); err == nil {
		return statusError("", status).Advice
	}
	return ""
}

var (
	plainCode = regexp.MustCompile(`^[a-z0-9_]{1,60}$`)
	scopeList = regexp.MustCompile(`^[A-Za-z0-9_.:, -]{1,500}$`)
)

// scopes lets only what looks like a list of scopes, and not like a token,
// through to a log line.
func scopes(s string) string {
	if scopeList.MatchString(s) && !strings.Contains(s, "xox") {
		return s
	}
	return "none"
}

// retryAfter reads a Retry-After header: seconds or an HTTP date, seen from
// now by Slack's clock. Missing or nonsense is a minute, and none is over an
// hour (promise 6).
func retryAfter(header string, now time.Time) time.Duration {
	d := defaultRetryAfter
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds >= 0 {
		d = time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	// A wait that is over already still means "not at once".
	return min(max(d, time.Second), maxRetryAfter)
}

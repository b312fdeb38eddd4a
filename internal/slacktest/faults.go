// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is one way in which an answer goes wrong.
type Fault int

// The faults. FaultNone is an honest answer.
const (
	FaultNone              Fault = iota
	FaultInternal                // 500
	FaultUnavailable             // 503 with an HTML page
	FaultRateLimit               // 429, Retry-After in seconds
	FaultRateLimitDate           // 429, Retry-After as an HTTP date
	FaultRateLimitMissing        // 429 without Retry-After
	FaultRateLimitNonsense       // 429, Retry-After is no number
	FaultFatalError              // 200 with ok:false, fatal_error
	FaultUnauthorized            // 401 without a body
	FaultForbidden               // 403 with plain text
	FaultHTML                    // 200 with an HTML page
	FaultNoBody                  // 200 without a body
	FaultTruncated               // 200, the JSON ends early though the transfer is complete
	FaultBrokenTransfer          // 200, the connection is cut before Content-Length is reached
	FaultReset                   // the connection is reset before the answer
	FaultHang                    // no answer until the caller gives up
	FaultEndless                 // 200, the body never ends
	FaultGzipBomb                // 200, a megabyte that unpacks to a gigabyte
	FaultCorruptGzip             // 200, the compressed body is damaged
	FaultRedirect                // 302 to another host
	FaultInvalidCursor           // 400 or ok:false, only for a call that brings a cursor
	FaultEmptyPage               // 200, no entries but a cursor: honest, goes on with the next call; only where there are cursors
	FaultEntriesObject           // 200, the list is an object
	FaultEntriesMissing          // 200, there is no list
	FaultSlow                    // an honest answer that takes its time
	faultCount
)

var faultNames = [faultCount]string{
	"none", "internal", "unavailable", "rate_limit", "rate_limit_date", "rate_limit_missing", "rate_limit_nonsense",
	"fatal_error", "unauthorized", "forbidden", "html", "no_body", "truncated", "broken_transfer", "reset", "hang",
	"endless", "gzip_bomb", "corrupt_gzip", "redirect", "invalid_cursor", "empty_page", "entries_object",
	"entries_missing", "slow",
}

func (f Fault) String() string { return faultNames[f] }

// Faults are all faults there are.
func Faults() []Fault {
	var all []Fault
	for f := FaultNone + 1; f < faultCount; f++ {
		all = append(all, f)
	}
	return all
}

// SetFault has every call ask the hook for its fault; nil = no more faults.
func (s *Server) SetFault(hook func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// EveryNth makes each n-th call that it is asked about faulty, with one fault after the other.
func EveryNth(n int, faults ...Fault) func(Call) Fault {
	var asked atomic.Int64
	return func(Call) Fault {
		k := int(asked.Add(1))
		if k%n != 0 {
			return FaultNone
		}
		return faults[(k/n-1)%len(faults)]
	}
}

// Only asks the hook about calls to these paths.
func Only(hook func(Call) Fault, paths ...string) func(Call) Fault {
	return func(c Call) Fault {
		if !slices.Contains(paths, c.Path) {
			return FaultNone
		}
		return hook(c)
	}
}

// poison spoils every answer with a row that it is in.
type poison struct {
	in   func(path string, row Entry) bool
	kind Fault
}

// Poison gives every answer that would hold an audit entry dated from…to this fault, so that only other ranges can be
// read.
func (s *Server) Poison(from, to int64, kind Fault) {
	s.poison(func(path string, row Entry) bool { return path == PathAudit && from <= row.Date && row.Date <= to }, kind)
}

// PoisonText gives every answer that would hold a row with this text in its JSON this fault, whatever the log.
func (s *Server) PoisonText(substring string, kind Fault) {
	text := []byte(substring)
	s.poison(func(_ string, row Entry) bool { return bytes.Contains(row.JSON, text) }, kind)
}

func (s *Server) poison(in func(path string, row Entry) bool, kind Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poisons = append(s.poisons, poison{in, kind})
}

// Unpoison makes everything readable again.
func (s *Server) Unpoison() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poisons = nil
}

func (s *Server) poisoned(path string, page []Entry) Fault {
	for _, p := range s.poisons {
		if slices.ContainsFunc(page, func(e Entry) bool { return p.in(path, e) }) {
			return p.kind
		}
	}
	return FaultNone
}

// replaces tells faults that need no honest answer from those that spoil one.
func (f Fault) replaces() bool {
	switch f {
	case FaultNone, FaultTruncated, FaultBrokenTransfer, FaultCorruptGzip, FaultEmptyPage, FaultEntriesObject,
		FaultEntriesMissing, FaultSlow:
		return false
	default:
		return true
	}
}

// faulty makes the answer of a fault that replaces the honest one.
func (s *Server) faulty(call Call, f Fault) answer {
	var a answer
	switch f {
	case FaultInternal:
		a = plain(http.StatusInternalServerError, "text/plain", "Internal Server Error")
	case FaultUnavailable:
		a = plain(http.StatusServiceUnavailable, "text/html", "<html><body>Slack is having a rest.</body></html>")
	case FaultRateLimit:
		a = rateLimited(call.Path, s.opt.RetryAfter)
	case FaultRateLimitDate:
		until := call.Time.Add(s.opt.RetryAfter).Truncate(time.Second)
		a = rateLimited(call.Path, s.opt.RetryAfter)
		a.retryAfter = until.Sub(call.Time)
		a.header.Set("Retry-After", until.UTC().Format(http.TimeFormat))
	case FaultRateLimitMissing:
		a = rateLimited(call.Path, time.Minute)
		a.header.Del("Retry-After")
	case FaultRateLimitNonsense:
		a = rateLimited(call.Path, time.Minute)
		a.header.Set("Retry-After", "soon")
	case FaultFatalError:
		a = errorAnswer(http.StatusOK, "fatal_error")
	case FaultUnauthorized:
		a = plain(http.StatusUnauthorized, "", "")
	case FaultForbidden:
		a = plain(http.StatusForbidden, "text/plain", "Forbidden")
	case FaultHTML:
		a = plain(http.StatusOK, "text/html", "<html><body>Please sign in to the network.</body></html>")
	case FaultNoBody:
		a = plain(http.StatusOK, "", "")
	case FaultRedirect:
		a = plain(http.StatusFound, "", "")
		a.header.Set("Location", s.opt.RedirectTo)
	case FaultInvalidCursor:
		a = errorAnswer(http.StatusBadRequest, "invalid_cursor")
		if isWebAPI(call.Path) {
			a = errorAnswer(http.StatusOK, "invalid_cursor")
		}
	case FaultReset, FaultHang:
		a = plain(0, "", "")
	case FaultEndless, FaultGzipBomb:
		a = plain(http.StatusOK, "application/json; charset=utf-8", listStart(call.Path))
	}
	a.fault = f
	return a
}

// mangle spoils an honest answer.
func mangle(a answer, f Fault, path string) answer {
	a.fault = f
	switch f {
	case FaultTruncated:
		a.body = a.body[:len(a.body)/2]
	case FaultEntriesObject:
		a.body, a.entries = listless(path, object{{"0", object{}}}), nil
	case FaultEntriesMissing:
		a.body, a.entries = listless(path, absent), nil
	}
	return a
}

// listless is an answer with something else in place of its list.
func listless(path string, value any) []byte {
	var v object
	if isWebAPI(path) {
		v = object{{"ok", true}}
	}
	if key := listKeys[path]; key != "" && value != any(absent) {
		v = append(v, member{key, value})
	}
	return appendJSON(nil, append(v, member{"response_metadata", object{{"next_cursor", ""}}}))
}

func plain(status int, contentType, body string) answer {
	a := answer{status: status, header: http.Header{}, body: []byte(body)}
	if contentType != "" {
		a.header.Set("Content-Type", contentType)
	}
	return a
}

// rateLimited is how both halves of Slack ask to wait, each with its own spelling, in whole seconds and not too few.
func rateLimited(path string, wait time.Duration) answer {
	code := "rate_limited"
	if isWebAPI(path) {
		code = "ratelimited"
	}
	seconds := (wait + time.Second - 1) / time.Second
	a := errorAnswer(http.StatusTooManyRequests, code)
	a.header.Set("Retry-After", strconv.Itoa(int(seconds)))
	a.retryAfter = seconds * time.Second
	return a
}

// blanks follow the start of an endless body and of a bomb.
var blanks = bytes.Repeat([]byte(" "), 1<<20)

// bomb is one small gzip member over and over, which is as good as one large one and made at once.
var bomb = sync.OnceValue(func() []byte { return bytes.Repeat(compress(blanks), 1<<10) })

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(fmt.Sprintf("slacktest: %v", err))
	}
	return w
}}

func compress(body []byte) []byte {
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// encode compresses the body if the caller can take it, and completes the header.
func (a *answer) encode(r *http.Request) {
	gzipped := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && len(a.body) > 0 && a.fault != FaultEndless
	switch {
	case a.fault == FaultGzipBomb:
		a.body, gzipped = append(compress(a.body), bomb()...), true
	case a.fault == FaultCorruptGzip:
		a.body, gzipped = compress(a.body), true
		a.body[len(a.body)/2] ^= 0xff
		a.body[len(a.body)-8] ^= 0xff // the checksum, in case the damage goes unnoticed
	case gzipped:
		a.body = compress(a.body)
	}
	if gzipped {
		a.header.Set("Content-Encoding", "gzip")
	}
	if a.fault != FaultEndless {
		a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
}

// ServeHTTP carries answers over a socket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := s.answer(r)
	switch a.fault {
	case FaultReset:
		reset(w)
	case FaultHang:
		s.wait(r.Context(), nil)
		panic(http.ErrAbortHandler)
	case FaultSlow:
		s.wait(r.Context(), time.After(s.opt.SlowFor))
	}
	a.encode(r)
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	switch a.fault {
	case FaultBrokenTransfer:
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case FaultEndless:
		_, err := w.Write(a.body)
		for err == nil && !s.isClosed() {
			_, err = w.Write(blanks)
		}
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(a.body) // the caller may be gone
	}
}

// wait until the caller gives up, the Server is closed or the time is over.
func (s *Server) wait(ctx context.Context, over <-chan time.Time) {
	select {
	case <-ctx.Done():
	case <-s.closed:
	case <-over:
	}
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// reset ends the connection so that the caller sees a reset and not an orderly end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// Transport carries answers without sockets or goroutines, so that a simulation in one goroutine is repeatable.
// No call takes time: a slow answer comes at once, and a hanging one fails at once with context.DeadlineExceeded;
// whoever drives a virtual clock advances it by the timeout. An endless body ends only with its request's context
// or the Server. Unlike http.Transport it neither asks for gzip nor unpacks it unasked.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	a := t.s.answer(r)
	switch a.fault {
	case FaultReset:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	case FaultHang:
		return nil, context.DeadlineExceeded
	}
	a.encode(r)
	length := int64(len(a.body))
	var body io.Reader = bytes.NewReader(a.body)
	switch a.fault {
	case FaultBrokenTransfer:
		body = io.MultiReader(bytes.NewReader(a.body[:len(a.body)/2]), failing{})
	case FaultEndless:
		body = io.MultiReader(bytes.NewReader(a.body), endless{t.s, r.Context()})
		length = -1
	}
	return &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       r,
	}, nil
}

// failing is a connection that has been cut.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// endless is a body without an end.
type endless struct {
	s   *Server
	ctx context.Context //nolint:containedctx // the body ends with its request
}

func (e endless) Read(p []byte) (int, error) {
	if e.s.isClosed() {
		return 0, errors.New("slacktest: closed")
	}
	return copy(p, blanks), e.ctx.Err()
}

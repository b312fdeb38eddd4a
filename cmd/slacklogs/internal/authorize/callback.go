// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// reply is what Slack sends back through the browser: a code, or an error's.
type reply struct{ code, problem string }

var (
	errStrange = errors.New("it belongs to another run, as its state shows")
	errNoCode  = errors.New("there is no code in it")
)

// readReply takes a reply out of the query that Slack has added to the redirect address.
func readReply(query url.Values, state string) (reply, error) {
	switch {
	case subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(state)) != 1:
		return reply{}, errStrange
	case query.Get("error") != "":
		return reply{problem: query.Get("error")}, nil
	case query.Get("code") == "":
		return reply{}, errNoCode
	}
	return reply{code: query.Get("code")}, nil
}

// callback is the page on loopback that Slack sends the browser to.
type callback struct {
	server  *http.Server
	path    string
	state   string
	replies chan reply
	over    chan struct{} // closed once nobody waits for replies
}

// listenCallback serves at the redirect address until close, which comes within the time that it lasts.
func listenCallback(ctx context.Context, redirect *url.URL, state string, lasts time.Duration) (*callback, error) {
	c := &callback{path: cmp.Or(redirect.Path, "/"), state: state, replies: make(chan reply), over: make(chan struct{})}
	c.server = &http.Server{
		Handler: c, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // browsers hang up on a certificate that they do not know
	}
	serve := c.server.Serve
	if redirect.Scheme == "https" {
		certificate, err := throwAwayCertificate(time.Now(), lasts)
		if err != nil {
			return nil, err
		}
		c.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		serve = func(l net.Listener) error { return c.server.ServeTLS(l, "", "") }
	}
	listeners, err := listenLoopback(ctx, redirect)
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		go func() { _ = serve(l) }()
	}
	return c, nil
}

// close lets a page that is being sent arrive.
func (c *callback) close() {
	close(c.over)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close()
	}
}

func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != c.path:
		http.NotFound(w, r) // such as /favicon.ico
		return
	case r.Method != http.MethodGet:
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	got, err := readReply(r.URL.Query(), c.state)
	if err != nil {
		showPage(w, http.StatusBadRequest, "This address is not taken: "+err.Error()+". Open the link that slacklogs authorize shows.")
		return
	}
	select {
	case c.replies <- got:
	case <-c.over:
		showPage(w, http.StatusGone, "slacklogs authorize does not wait for a code any more.")
		return
	case <-r.Context().Done():
		return
	}
	showPage(w, http.StatusOK, "Slack's answer has arrived. Close this window and go back to the terminal: it says what came of it.")
}

// showPage writes a page with one sentence of ours. The address in the browser holds the code, so nothing of it may be
// kept or passed on.
func showPage(w http.ResponseWriter, status int, sentence string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!DOCTYPE html><html lang=\"en\"><title>slacklogs</title><p>%s</p></html>\n", sentence)
}

// listenLoopback listens on the port of the address, on loopback only. A browser may take localhost for either of two.
func listenLoopback(ctx context.Context, address *url.URL) ([]net.Listener, error) {
	port := address.Port()
	if port == "" {
		port = address.Scheme // 443 or 80
	}
	hosts := []string{address.Hostname()}
	if net.ParseIP(hosts[0]) == nil {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var listeners []net.Listener
	var problem error
	taken := false
	for _, host := range hosts {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
		if err == nil {
			listeners = append(listeners, l)
			continue
		}
		problem = err
		// One of the two may be missing on this machine. But where it belongs to another program, that would get the code.
		taken = taken || !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EAFNOSUPPORT)
	}
	if len(listeners) == 0 || taken {
		for _, l := range listeners {
			_ = l.Close()
		}
		return nil, problem
	}
	return listeners, nil
}

// throwAwayCertificate is for this run alone: its key is nowhere but in memory.
func throwAwayCertificate(now time.Time, lasts time.Duration) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "slacklogs authorize, for this run only"},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(lasts),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

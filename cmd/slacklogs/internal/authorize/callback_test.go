// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

// freeAddress is a redirect address on a free port of loopback.
func freeAddress(t *testing.T, scheme, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return scheme + "://" + net.JoinHostPort(host, port) + "/slack/callback"
}

// browser goes on in spite of the certificate, as a person would.
func browser(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// opens returns the status and the page at an address.
func (p *operator) opens(c *http.Client, address string) (int, string) {
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
	if !assert.NoError(p.t, err) {
		return 0, ""
	}
	res, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	assert.NoError(p.t, err)
	assert.NotContains(p.t, string(page), "script")
	for _, secret := range []string{"code=", "state", "xox"} {
		if res.StatusCode == http.StatusOK {
			assert.NotContains(p.t, string(page), secret)
		}
	}
	if res.StatusCode != http.StatusNotFound {
		assert.Equal(p.t, "no-store", res.Header.Get("Cache-Control"))
		assert.Equal(p.t, "no-referrer", res.Header.Get("Referrer-Policy"))
	}
	return res.StatusCode, string(page)
}

func TestCallback(t *testing.T) {
	for _, tt := range []struct {
		name, scheme, host string
		app                func(*slacktest.App)
		args               []string
	}{
		{name: "https", scheme: "https", host: "localhost"},
		{name: "https on an address", scheme: "https", host: "127.0.0.1", args: []string{"--receive", "callback"}},
		{
			name: "public client", scheme: "http", host: "localhost", args: []string{"--pkce"},
			app: func(app *slacktest.App) { app.ClientSecret, app.Rotation = "", true },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			back := freeAddress(t, tt.scheme, tt.host)
			p := newOperator(t, tt.app, append([]string{"--redirect-url", back}, tt.args...)...)
			var status int
			var page string
			seen := make(chan struct{})
			p.sees = func(link string) {
				defer close(seen)
				close(p.in) // there is no keyboard
				to := p.visits(link)
				c := browser(t)
				for address, want := range map[string]int{
					strings.Replace(back, "/slack/callback", "/favicon.ico", 1): http.StatusNotFound,
					back + "/below": http.StatusNotFound,
					back:            http.StatusBadRequest,
					strings.Replace(to.String(), stateOf(link), "OTHER", 1): http.StatusBadRequest,
					strings.Replace(to.String(), "code=", "cod=", 1):        http.StatusBadRequest,
				} {
					got, _ := p.opens(c, address)
					assert.Equal(t, want, got)
				}
				res, err := c.Post(to.String(), "text/plain", http.NoBody)
				if assert.NoError(t, err) {
					assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
					_ = res.Body.Close()
				}
				status, page = p.opens(c, to.String())
			}
			require.NoError(t, p.authorizes())
			<-seen
			assert.Equal(t, http.StatusOK, status)
			assert.Contains(t, page, "Close this window")
			assert.Equal(t, tt.scheme == "https", strings.Contains(p.stderr.String(), "warns of the certificate"))
			assert.NotEmpty(t, p.token())
			status, _ = p.opens(browser(t), back)
			assert.Zero(t, status, "it is closed")
		})
	}
}

// The same code twice, and then another: the second is refused, the third is taken.
func TestCallbackAfterAReplayedCode(t *testing.T) {
	back := freeAddress(t, "https", "localhost")
	p := newOperator(t, nil, "--redirect-url", back)
	seen := make(chan struct{})
	p.sees = func(link string) {
		defer close(seen)
		c := browser(t)
		spent := p.visits(link).Query().Get("code")
		_, err := p.wire.RoundTrip(exchangeRequest(t, spent, back))
		assert.NoError(t, err)
		status, _ := p.opens(c, back+"?code="+spent+"&state="+stateOf(link))
		assert.Equal(t, http.StatusOK, status)
		status, _ = p.opens(c, p.visits(link).String())
		assert.Equal(t, http.StatusOK, status)
	}
	require.NoError(t, p.authorizes())
	<-seen
	assert.Contains(t, p.stderr.String(), "That did not work: oauth.v2.access: invalid_code")
}

func exchangeRequest(t *testing.T, code, back string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://slack.test/api/oauth.v2.access",
		strings.NewReader(url.Values{"code": {code}, "redirect_uri": {back}}.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("111.222", appSecret)
	return r
}

func TestCallbackDeclined(t *testing.T) {
	p := newOperator(t, func(app *slacktest.App) { app.Declines = true }, "--redirect-url", freeAddress(t, "https", "localhost"))
	seen := make(chan struct{})
	p.sees = func(link string) {
		defer close(seen)
		status, _ := p.opens(browser(t), p.visits(link).String())
		assert.Equal(t, http.StatusOK, status)
	}
	require.ErrorContains(t, p.authorizes(), "declined (access_denied)")
	<-seen
	assert.Empty(t, p.files())
}

// While the page waits, the address can be pasted all the same.
func TestPastedWhileServed(t *testing.T) {
	p := newOperator(t, nil, "--redirect-url", freeAddress(t, "https", "localhost"))
	p.sees = p.pastes
	require.NoError(t, p.authorizes())
	assert.NotEmpty(t, p.token())
}

// A port that another program has is no place to wait for a code.
func TestCallbackPortTaken(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no %s here: %v", host, err)
			continue
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		back := "https://localhost:" + port + "/slack/callback"

		p := newOperator(t, nil, "--redirect-url", back, "--receive", "callback")
		require.ErrorContains(t, p.authorizes(), "use --receive paste")
		assert.Empty(t, p.files())

		p = newOperator(t, nil, "--redirect-url", back)
		p.sees = p.pastes
		require.NoError(t, p.authorizes())
		assert.Contains(t, p.stderr.String(), "so the code has to be pasted")
	}
}

func TestCallbackIsOnLoopbackOnly(t *testing.T) {
	for _, host := range []string{"localhost", "127.0.0.1"} {
		address, err := url.Parse(freeAddress(t, "https", host))
		require.NoError(t, err)
		listeners, err := listenLoopback(t.Context(), address)
		require.NoError(t, err)
		require.NotEmpty(t, listeners)
		for _, l := range listeners {
			assert.True(t, l.Addr().(*net.TCPAddr).IP.IsLoopback(), l.Addr())
			assert.Equal(t, address.Port(), strings.Split(l.Addr().String(), ":")[strings.Count(l.Addr().String(), ":")])
			require.NoError(t, l.Close())
		}
	}
}

func TestThrowAwayCertificate(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	first, err := throwAwayCertificate(now, time.Hour)
	require.NoError(t, err)
	second, err := throwAwayCertificate(now, time.Hour)
	require.NoError(t, err)
	assert.NotEqual(t, first.PrivateKey, second.PrivateKey)
	c, err := x509.ParseCertificate(first.Certificate[0])
	require.NoError(t, err)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		assert.NoError(t, c.VerifyHostname(name))
	}
	assert.Error(t, c.VerifyHostname("example.com"))
	assert.False(t, c.IsCA)
	assert.Equal(t, now.Add(time.Hour), c.NotAfter)

	// A browser that was told to trust it has nothing else to complain of.
	page, err := listenCallback(t.Context(), mustParse(t, freeAddress(t, "https", "localhost")), "s", time.Hour)
	require.NoError(t, err)
	defer page.close()
	served, err := x509.ParseCertificate(page.server.TLSConfig.Certificates[0].Certificate[0])
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(served)
	_, err = served.Verify(x509.VerifyOptions{Roots: pool, DNSName: "localhost"})
	assert.NoError(t, err)
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u
}

// A page that nobody takes an answer from does not hold up the end.
func TestCallbackCloses(t *testing.T) {
	address := freeAddress(t, "http", "localhost")
	page, err := listenCallback(t.Context(), mustParse(t, address), "s", time.Hour)
	require.NoError(t, err)
	asked := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, address+"?code=1&state=s", nil))
		asked <- w.Code
	}()
	page.close()
	assert.Equal(t, http.StatusGone, <-asked)
}

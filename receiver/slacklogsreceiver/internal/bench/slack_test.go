// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slacklogs/otelcol-slacklogs/internal/slacktest"
)

const (
	testToken = "xoxp-brightwater"
	// serveVariable makes a Slack of this program.
	serveVariable = "GOALS_SLACK"
	// nowHeader brings the receiver's virtual time to that Slack.
	nowHeader = "Bench-Now"
)

// noon is when the worlds begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// The worlds that the Slack serves, each below its own path.
const (
	pageWorld    = "page"    // one full page before noon
	backlogWorld = "backlog" // backlogPages full pages in the hour before noon
	quietWorld   = "quiet"   // a bit of everything before noon, then nothing

	backlogPages = 10
)

// serve is the Slack: it says where it is and lives as long as its parent.
func serve() {
	mux := http.NewServeMux()
	packed := &packer{known: map[[32]byte][]byte{}}
	for name, fill := range map[string]func(*slacktest.Server, *slacktest.Organisation){
		pageWorld: func(s *slacktest.Server, _ *slacktest.Organisation) {
			s.Add(newGenerator().entries(maxPage, noon.Unix()-300, noon.Unix()-60)...)
		},
		backlogWorld: func(s *slacktest.Server, _ *slacktest.Organisation) {
			s.Add(newGenerator().entries(backlogPages*maxPage, noon.Unix()-3600, noon.Unix()-60)...)
		},
		quietWorld: func(s *slacktest.Server, o *slacktest.Organisation) {
			s.Add(newGenerator().entries(5000, noon.Unix()-3600, noon.Unix()-60)...)
			for _, team := range o.Identity().Teams {
				// The list of logins is long, however quiet it is; changes are rare.
				for i := range int64(1200) {
					s.SetLogin(o.Login(team.ID, noon.Unix()-60-60*i))
				}
				for i := range int64(20) {
					s.AddChange(o.Change(team.ID, noon.Unix()-60-3600*i))
				}
			}
		},
	} {
		var now atomic.Int64
		organisation := slacktest.NewOrganisation(1)
		s := slacktest.New(slacktest.Options{Now: func() time.Time { return time.Unix(0, now.Load()) }, CallLog: 1})
		s.SetToken(testToken, organisation.Identity())
		now.Store(noon.UnixNano())
		fill(s, organisation)
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if nanos, err := strconv.ParseInt(r.Header.Get(nowHeader), 10, 64); err == nil {
				now.Store(nanos)
			}
			packed.serve(w, r, s)
		})))
	}
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// packer compresses answers as Slack does: smaller than slacktest, which has to
// be fast. It remembers them, as they come again each round.
type packer struct {
	mu    sync.Mutex
	known map[[32]byte][]byte
}

func (p *packer) serve(w http.ResponseWriter, r *http.Request, from http.Handler) {
	gzipped := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	from.ServeHTTP(answer, r)
	body := answer.Body.Bytes()
	maps.Copy(w.Header(), answer.Header())
	if gzipped {
		body = p.pack(body)
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

func (p *packer) pack(body []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256(body)
	if packed, ok := p.known[sum]; ok {
		return packed
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write(body) // a bytes.Buffer takes everything
	_ = writer.Close()
	p.known[sum] = packed.Bytes()
	return packed.Bytes()
}

// overTLS is a way to that Slack: httptest has one certificate for all servers.
func overTLS(t *testing.T) http.RoundTripper {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.Client().Transport
}

// startSlack starts the Slack in a process of its own and returns its address.
func startSlack(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), program)
	child.Env = append(os.Environ(), serveVariable+"=1")
	child.Stderr = os.Stderr
	_, err = child.StdinPipe() // closed when this process ends
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(address)
}

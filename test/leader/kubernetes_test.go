// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package leader // import "github.com/slacklogs/otelcol-slacklogs/test/leader"

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	namespace = "observability"
	leaseName = "slacklogs"
	leases    = "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases"
)

// kubernetes is an API server that knows one lease, and that who writes it has
// to have read it.
type kubernetes struct {
	mu      sync.Mutex
	lease   *coordinationv1.Lease
	version int
	// refused is the holder who can't renew.
	refused string
}

// newKubernetes starts one, and makes the environment that of its pods.
func newKubernetes(t *testing.T) *kubernetes {
	t.Helper()
	k := &kubernetes{}
	server := httptest.NewTLSServer(k)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	t.Setenv("KUBERNETES_SERVICE_HOST", u.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", u.Port())
	return k
}

func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var sent coordinationv1.Lease
	if r.Method != http.MethodGet {
		// The client sends protobuf, and understands JSON.
		body, _ := io.ReadAll(r.Body)
		if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, &sent); err != nil {
			fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
			return
		}
	}
	switch {
	case r.URL.Path == leases && r.Method == http.MethodPost && k.lease == nil:
		k.keep(w, http.StatusCreated, &sent)
	case r.URL.Path == leases && r.Method == http.MethodPost:
		fail(w, http.StatusConflict, metav1.StatusReasonAlreadyExists)
	case r.URL.Path != leases+"/"+leaseName || k.lease == nil:
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, k.lease)
	case r.Method != http.MethodPut:
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	case k.refused != "" && *sent.Spec.HolderIdentity == k.refused:
		fail(w, http.StatusForbidden, metav1.StatusReasonForbidden)
	case sent.ResourceVersion != k.lease.ResourceVersion:
		fail(w, http.StatusConflict, metav1.StatusReasonConflict)
	default:
		k.keep(w, http.StatusOK, &sent)
	}
}

func (k *kubernetes) keep(w http.ResponseWriter, status int, sent *coordinationv1.Lease) {
	k.version++
	k.lease = sent
	k.lease.TypeMeta = metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"}
	k.lease.ResourceVersion = strconv.Itoa(k.version)
	answer(w, status, k.lease)
}

func fail(w http.ResponseWriter, status int, reason metav1.StatusReason) {
	answer(w, status, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Reason: reason, Code: int32(status),
	})
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what)
}

// refuseHolder lets who holds the lease renew it no more.
func (k *kubernetes) refuseHolder() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused = *k.lease.Spec.HolderIdentity
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
)

const (
	docKey = "audit"
	prefix = "audit.ids."
)

// document is shaped like a log type's.
type document struct {
	Version int      `json:"version"`
	Org     string   `json:"org,omitempty"`
	Step    int      `json:"step,omitempty"`
	IDs     Index    `json:"ids,omitempty"`
	Rows    RowIndex `json:"rows"`
}

const (
	openAdvice = `; check that its folder is writable and has space, and that no other collector uses it; if its file is damaged, restore it from a backup, ` + afreshAdvice
	// afreshAdvice ends all that is said of a state which can't be used.
	afreshAdvice = `or delete it to start from initial_lookback (entries may then come twice or, if older, not at all)`
)

func TestOpen(t *testing.T) {
	t.Parallel()
	var (
		receiver  = component.MustNewIDWithName("slacklogs", "emea")
		storageID = component.MustNewIDWithName("file_storage", "slack")
	)
	for _, tt := range []struct {
		name string
		id   *component.ID
		host host
		want string
	}{
		{name: "no storage", host: host{}},
		{name: "storage", id: &storageID, host: host{storageID: &extension{client: newMemory()}}},
		{
			name: "missing", id: &storageID, host: host{component.MustNewID("file_storage"): &extension{}},
			want: `storage: extension "file_storage/slack" is not there; define it under extensions and list it in service::extensions`,
		},
		{name: "no extensions at all", id: &storageID, want: `storage: extension "file_storage/slack" is not there; define it under extensions and list it in service::extensions`},
		{
			name: "another kind", id: &storageID, host: host{storageID: noStorage{}},
			want: `storage: extension "file_storage/slack" is not a storage extension; name one such as file_storage`,
		},
		{
			name: "in use", id: &storageID, host: host{storageID: &extension{err: errors.New("timeout")}},
			want: `storage: "file_storage/slack" can't be opened (timeout)` + openAdvice,
		},
		{
			name: "panics over a damaged file", id: &storageID, host: host{storageID: &extension{panics: "page 7 makes no sense"}},
			want: `storage: "file_storage/slack" can't be opened (page 7 makes no sense)` + openAdvice,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(t.Context(), tt.host, tt.id, receiver)
			if tt.want != "" {
				require.EqualError(t, err, tt.want)
				assert.Nil(t, s)
				return
			}
			require.NoError(t, err)
			if tt.id != nil {
				assert.Equal(t, []string{"Receiver slacklogs/emea "}, tt.host[*tt.id].(*extension).asked)
			}
			require.NoError(t, s.Save(t.Context(), docKey, document{Version: Version}, NewIDs(prefix)))
			found, err := s.Load(t.Context(), docKey, &document{})
			require.NoError(t, err)
			assert.Equal(t, tt.id != nil, found, "without a storage nothing is kept")
			require.NoError(t, s.Close(t.Context()))
		})
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := m.store()
	var none document
	found, err := s.Load(t.Context(), docKey, &none)
	require.NoError(t, err)
	assert.False(t, found)

	want := document{Version: Version, Org: "E04BRIGHTWA", IDs: Index{math.MinInt64: 1, -7: 2, 0: 3, math.MaxInt64: 4}}
	require.NoError(t, s.Save(t.Context(), docKey, want, nil))
	var got document
	found, err = s.Load(t.Context(), docKey, &got)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, want, got)
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const advice = `; restore the storage from a backup, ` + afreshAdvice
	for _, tt := range []struct {
		name, value string
		getErr      error
		want        string
	}{
		{name: "empty value", value: ""}, // as some storages show what is not there
		{name: "storage fails", getErr: errDisk, want: `storage file_storage: the state "audit" can't be read: the disk is full` + advice},
		{name: "garbage", value: "\x00\xff", want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "cut off", value: `{"version":1,"org":"E04`, want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "null", value: `null`, want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "a list", value: `[1]`, want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "no version", value: `{"org":"E04"}`, want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "version 0", value: `{"version":0}`, want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "version of another type", value: `{"version":"1"}`, want: `storage file_storage: the state "audit" is not a state of this receiver` + advice},
		{name: "damaged", value: `{"version":1,"step":5,"crc":"00000000"}`, want: `storage file_storage: the state "audit" is damaged` + advice},
		{name: "wrong part", value: `{"version":1,"org":5}`, want: `storage file_storage: the state "audit" has parts of the wrong type` + advice},
		{
			name: "newer", value: `{"version":2,"org":5,"cursors":[]}`,
			want: `storage file_storage: the state "audit" has version 2, this receiver knows up to 1; run the newer receiver again, or delete the state to start from initial_lookback`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			m.values[docKey], m.getErr = []byte(tt.value), tt.getErr
			var doc document
			found, err := m.store().Load(t.Context(), docKey, &doc)
			assert.False(t, found)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tt.want)
			}
		})
	}
	assert.EqualError(t, newMemory().store().Invalid(docKey, "is odd"), `storage file_storage: the state "audit" is odd`+advice)
}

// Whichever bit of a document flips, it is refused, or means the same as before:
// a digit that is another one is still a number.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	m := newMemory()
	want := document{Version: Version, Org: "E04BRIGHTWA", Step: 1_780_000_000, IDs: Index{494_444: 3}}
	require.NoError(t, m.store().Save(t.Context(), docKey, want, nil))
	good := m.values[docKey]
	refused := 0
	for at := range 8 * len(good) {
		flipped := bytes.Clone(good)
		flipped[at/8] ^= 1 << (at % 8)
		m.values[docKey] = flipped
		var got document
		found, err := m.store().Load(t.Context(), docKey, &got, "step", "ids")
		if err != nil {
			assert.ErrorContains(t, err, `the state "audit"`)
			refused++
			continue
		}
		assert.True(t, found)
		assert.Equal(t, want, got, "%s", flipped)
	}
	// What is left are flips in the checksum's name.
	assert.GreaterOrEqual(t, refused, 8*(len(good)-sumLength))
}

// The first document says what to do where it can't be saved, also where only
// its mark can't.
func TestBeginThatCannotBe(t *testing.T) {
	t.Parallel()
	for n := range 2 {
		m := newMemory()
		m.limit(n)
		require.EqualError(t, m.store().Begin(t.Context(), docKey, document{Version: Version}),
			"the disk is full; check the storage's space and rights")
	}
}

func TestSaveThatCannotBe(t *testing.T) {
	t.Parallel()
	m := newMemory()
	err := m.store().Save(t.Context(), docKey, make(chan int), nil)
	require.Error(t, err)
	assert.Empty(t, m.values)
}

func TestClose(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := m.store()
	ids := NewIDs(prefix)
	ids.Add(1, key(1))
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	assert.Equal(t, 1, m.closed)
	require.ErrorIs(t, s.Save(t.Context(), docKey, document{Version: Version}, ids), ErrClosed)
	assert.Empty(t, m.values, "a poller that outlived the shutdown writes nothing")
	assert.True(t, ids.Has(1, key(1)))
}

// A save that hangs does not keep Close from being asked for, and what comes
// after Close is not written.
func TestCloseDuringSave(t *testing.T) {
	t.Parallel()
	m := &blocking{memory: newMemory(), entered: make(chan struct{}), leave: make(chan struct{})}
	s := &Store{client: m, name: "file_storage"}
	saved, closed := make(chan error, 1), make(chan error, 1)
	go func() { saved <- s.Save(context.Background(), docKey, document{Version: Version}, nil) }()
	<-m.entered
	go func() { closed <- s.Close(context.Background()) }()
	close(m.leave)
	require.NoError(t, <-saved)
	require.NoError(t, <-closed)
	assert.Equal(t, 1, m.closed)
	assert.Contains(t, m.values, docKey)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package rotation // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/rotation"

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
)

const stateKey = "token_rotation"

// lifeLeft is the part of a token's life that is left when it is replaced.
const lifeLeft = 6

// state is the saved document. Its tokens are secret.
type state struct {
	Version int `json:"version"`
	// From is the fingerprint of the configured refresh token that all began
	// with.
	From         string `json:"from"`
	RefreshToken string `json:"refresh_token"`
	// AccessToken is empty before the first refresh. Issued and Expires are
	// times by the local clock, in s; Expires is 0 where Slack names none.
	AccessToken string `json:"access_token"`
	Issued      int64  `json:"issued"`
	Expires     int64  `json:"expires"`
	// Refreshing is set before Slack is asked.
	Refreshing bool `json:"refreshing"`
	// NotBefore is when Slack's Retry-After is over, in s.
	NotBefore int64 `json:"not_before,omitempty"`
	// Before is what was saved when another refresh token was configured, until
	// that one has brought tokens: a wrong one can be taken back.
	Before *state `json:"before,omitempty"`
}

// fingerprint tells refresh tokens apart without telling them.
func fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// load reads the saved state, or begins with the configured refresh token.
func (s *Source) load(ctx context.Context) error {
	var saved state
	found, err := s.set.Store.Load(ctx, stateKey, &saved, "from", "refresh_token", "access_token", "issued", "expires", "refreshing")
	if err == nil && found && !saved.sound() {
		err = s.set.Store.Invalid(stateKey, "lacks a part")
	}
	if err != nil {
		// Whichever way it is mended, the refresh token in it is lost.
		return fmt.Errorf("%w; either way run `slacklogs authorize` again and put the new refresh_token into the config", err)
	}
	s.begun, s.soon = found, soonTries-1
	configured := string(s.set.RefreshToken)
	if from := fingerprint(configured); !found || saved.From != from {
		if before := saved.Before; before != nil && before.From == from && before.sound() {
			s.set.Logger.Info("The configured refresh_token is the one of before, and the other one brought no tokens; those of before are used")
			s.state, s.unsure = *before, before.Refreshing
			s.state.NotBefore = saved.NotBefore
			return nil
		}
		if found {
			s.set.Logger.Info("The configured refresh_token is another than the saved tokens came from; it is used in their place")
		}
		s.state = state{Version: checkpoint.Version, From: from, RefreshToken: configured, NotBefore: saved.NotBefore, Before: saved.worth()}
		return nil
	}
	s.state, s.unsure = saved, saved.Refreshing
	return nil
}

// save writes the state. What Slack gave is saved also when the receiver stops.
func (s *Source) save(ctx context.Context) error {
	var err error
	if s.begun {
		err = s.set.Store.Save(context.WithoutCancel(ctx), stateKey, &s.state, nil)
	} else {
		err = s.set.Store.Begin(context.WithoutCancel(ctx), stateKey, &s.state)
	}
	if err != nil {
		return fmt.Errorf("%w (%w)", slack.NewError(slack.MethodOAuth, slack.CodeNotSaved), err)
	}
	s.begun = true
	return nil
}

// Flush saves what could not be saved, as the receiver stops. Nobody asks for
// the token any more.
func (s *Source) Flush(ctx context.Context) {
	if s.unsaved && s.save(ctx) == nil {
		s.unsaved = false
	}
}

// sound reports whether the parts fit together.
func (d *state) sound() bool {
	life := d.Expires == 0 || d.Expires > d.Issued && d.AccessToken != ""
	return len(d.From) == 2*sha256.Size && d.RefreshToken != "" && d.Issued >= 0 && life
}

// worth is what another configured refresh_token must not destroy.
func (d state) worth() *state {
	if d.AccessToken == "" {
		return d.Before
	}
	d.Before = nil
	return &d
}

// take puts the tokens of a grant that was asked for at now in place.
func (d *state) take(g slack.Grant, now time.Time) {
	d.RefreshToken, d.AccessToken = string(g.RefreshToken), string(g.AccessToken)
	d.Issued, d.Expires, d.Refreshing, d.NotBefore, d.Before = now.Unix(), 0, false, 0, nil
	if g.ExpiresIn > 0 {
		d.Expires = d.Issued + int64(g.ExpiresIn/time.Second)
	}
}

func (d *state) issued() time.Time { return time.Unix(d.Issued, 0) }

// alive reports whether there is an access token whose life is not over.
func (d *state) alive(now time.Time) bool {
	return d.AccessToken != "" && (d.Expires == 0 || now.Unix() < d.Expires)
}

// ending reports whether it is time for another access token.
func (d *state) ending(now time.Time) bool {
	return !d.alive(now) || d.Expires > 0 && d.Expires-now.Unix() < (d.Expires-d.Issued)/lifeLeft
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacklogsreceiver // import "github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/checkpoint"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/poll"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/roles"
	"github.com/slacklogs/otelcol-slacklogs/receiver/slacklogsreceiver/internal/rotation"
)

const (
	// A takeover that failed is tried again after firstTakeover, then twice as
	// long each time up to maxTakeover.
	firstTakeover = time.Second
	maxTakeover   = time.Minute
	// takeover and rotating are the keys of what is wrong with these, among those
	// of log types.
	takeover = "takeover"
	rotating = "token rotation"
)

// leaderElector is what the extension k8s_leader_elector offers. Kubernetes is
// not imported for it: who has no need of it should not have to build it.
type leaderElector interface {
	// SetCallBackFuncs registers for good: nothing takes the functions back.
	SetCallBackFuncs(onStartLeading func(context.Context), onStopLeading func())
}

func findElector(host component.Host, id component.ID) (leaderElector, error) {
	ext, ok := host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("k8s_leader_elector: extension %q is not there; define it under extensions and list it in service::extensions", id)
	}
	elector, ok := ext.(leaderElector)
	if !ok {
		return nil, fmt.Errorf("k8s_leader_elector: extension %q is not a leader elector; name one such as k8s_leader_elector", id)
	}
	return elector, nil
}

// term is a time of polling, with its own reading of the state: from start to
// shutdown or, with a leader elector, as long as this collector leads.
type term struct {
	store   *checkpoint.Store
	pollers []*poll.Poller
	health  *poll.Health     // nil = no health records
	tokens  *rotation.Source // nil = no token_rotation
	roles   *roles.Source    // nil = no actor_roles
	pauses  slack.Pauses
	cancel  context.CancelFunc
	// over is set once the term ends: what a late consumer or storage brings is
	// no status any more, and no gauge.
	over atomic.Bool
	// polled is closed when no poller runs any more.
	polled chan struct{}

	closing  sync.Once
	closed   chan struct{}
	closeErr error
}

// newTerm opens the storage and reads the state. Nothing polls yet.
func (r *logsReceiver) newTerm(ctx context.Context) (*term, error) {
	store, err := checkpoint.Open(ctx, r.host, r.cfg.Storage, r.set.ID)
	if err != nil {
		return nil, err
	}
	if err = ctx.Err(); err != nil {
		// Leading is over: the state is another's by now.
		return nil, errors.Join(err, store.Close(context.WithoutCancel(ctx)))
	}
	t := &term{store: store, polled: make(chan struct{}), closed: make(chan struct{})}
	// Without a leader elector nobody else is expected to write, and a full disk
	// is no reason not to start: a save that fails is reported.
	if err = store.Claim(ctx); err != nil && r.cfg.K8sLeaderElector != nil {
		err = fmt.Errorf("storage: the state can't be claimed (%w); check the storage's space and rights", err)
	} else {
		err = r.addPollers(ctx, t)
	}
	if err != nil {
		// Neither the service nor the elector ends what did not begin.
		return nil, errors.Join(err, store.Abandon(context.WithoutCancel(ctx)))
	}
	return t, nil
}

// run polls until the context or the term ends.
func (t *term) run(ctx context.Context) {
	ctx, t.cancel = context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range t.pollers {
		wg.Go(func() { p.Run(ctx) })
	}
	if t.health != nil {
		wg.Go(func() { t.health.Run(ctx) })
	}
	if t.roles != nil {
		wg.Go(func() { t.roles.Run(ctx) })
	}
	go func() {
		wg.Wait()
		if t.tokens != nil {
			t.tokens.Flush(context.WithoutCancel(ctx))
		}
		close(t.polled)
	}()
}

// end ends a term that runs, and closes the storage for who comes next. It
// waits for a consumer or a storage that ignores its context only until the
// context's deadline. Several may call it at once.
func (r *logsReceiver) end(ctx context.Context, t *term) error {
	t.over.Store(true)
	t.cancel()
	deadline, _ := ctx.Deadline()
	// The rest of the time is the storage's.
	patience, stop := context.WithTimeout(ctx, time.Until(deadline)*9/10)
	defer stop()
	hangs := false
	select {
	case <-t.polled:
	case <-t.closed:
	case <-patience.Done():
		hangs = true
	}
	t.closing.Do(func() {
		if hangs {
			r.set.Logger.Warn("A consumer or the storage did not finish in time; a batch that was accepted and not saved comes again when polling goes on")
		}
		go func() {
			t.closeErr = t.store.Close(context.WithoutCancel(ctx))
			close(t.closed)
		}()
	})
	select {
	case <-t.closed:
		return t.closeErr
	case <-ctx.Done():
		return fmt.Errorf("the storage did not close in time: %w", ctx.Err())
	}
}

// leadership is from one start callback of the leader elector to the stop that
// follows.
type leadership struct {
	ctx    context.Context
	cancel context.CancelFunc
	// done is closed when nothing of it runs any more, nor of those before.
	done chan struct{}
}

// startLeading is called by the leader elector, which waits for it.
func (r *logsReceiver) startLeading(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.leading
	// The elector calls from different goroutines. If the stop was faster than
	// the start it belongs to, the context has ended.
	if r.stopped || ctx.Err() != nil || before != nil && before.ctx.Err() == nil {
		return
	}
	l := &leadership{done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(ctx)
	r.leading = l
	go func() {
		defer close(l.done)
		if before != nil {
			<-before.done
		}
		r.lead(l.ctx)
	}()
}

// stopLeading is called by the leader elector, which waits for it: when it
// returns, another may poll.
func (r *logsReceiver) stopLeading() {
	r.mu.Lock()
	l := r.leading
	r.mu.Unlock()
	if l == nil {
		return
	}
	l.cancel()
	timer := time.NewTimer(shutdownTime)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}

// lead takes over and polls until the context ends.
func (r *logsReceiver) lead(ctx context.Context) {
	t := r.takeOver(ctx)
	var err error
	if t != nil {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		err = r.end(bounded, t)
		r.http.CloseIdleConnections()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term.Store(nil)
	if r.stopped {
		return // Shutdown says what it could not end
	}
	if err != nil {
		r.set.Logger.Warn("Whoever leads next may have to wait for the storage", zap.Error(err))
	}
	r.set.Logger.Info("This collector leads no more, and stands by")
	r.clearStatus()
}

// takeOver begins a term. It tries until it succeeds, as the collector that led
// before may still hold the storage, or returns nil when the context ends.
func (r *logsReceiver) takeOver(ctx context.Context) *term {
	said := ""
	for pause := firstTakeover; ; pause = min(2*pause, maxTakeover) {
		t, err := r.newTerm(ctx)
		if err == nil {
			if !r.install(ctx, t) {
				_ = t.store.Abandon(context.WithoutCancel(ctx)) // it was not used
				return nil
			}
			return t
		}
		if ctx.Err() != nil {
			return nil
		}
		err = fmt.Errorf("this collector leads but can't take over, and goes on trying: %w", err)
		if err.Error() != said {
			said = err.Error()
			r.set.Logger.Warn("Taking over is in trouble", zap.Error(err))
			r.reportStatus(nil, takeover, err)
		}
		if r.clock.Sleep(ctx, pause) != nil {
			return nil
		}
	}
}

// install makes t the term that runs, unless it is too late for it.
func (r *logsReceiver) install(ctx context.Context, t *term) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || ctx.Err() != nil {
		return false
	}
	r.set.Logger.Info("This collector leads, and polls")
	r.clearStatus()
	r.term.Store(t)
	t.run(ctx)
	return true
}

// clearStatus forgets what is wrong: a collector that stands by is well, and
// so is one that has just taken over. r.mu is held.
func (r *logsReceiver) clearStatus() {
	if len(r.problems) > 0 {
		clear(r.problems)
		componentstatus.ReportStatus(r.host, componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

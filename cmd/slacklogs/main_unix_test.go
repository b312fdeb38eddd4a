// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const asCommand = "SLACKLOGS_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// What waits for a file does not hear the first Ctrl-C, but it ends with the second.
func TestSecondInterruptEnds(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "authorize", "--client-id", "1.2", "--client-secret-file", fifo)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), asCommand+"=1")
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	secret, err := os.OpenFile(fifo, os.O_WRONLY, 0) // once it is waited for
	require.NoError(t, err)
	defer secret.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case <-tick.C:
			_ = cmd.Process.Signal(os.Interrupt)
		case <-ended:
			require.Equal(t, syscall.SIGINT, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
			return
		case <-timeout:
			_ = cmd.Process.Kill()
			t.Fatal("it goes on")
		}
	}
}

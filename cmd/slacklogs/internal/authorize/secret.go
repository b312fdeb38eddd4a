// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
	"golang.org/x/term"
)

// askSecret asks a person for a secret; nil where there is nobody to ask.
type askSecret func(ctx context.Context, prompt string) (string, error)

// clientSecret takes the app's secret from the file, else from the environment, else from the person. It is never a
// flag: everybody on the machine can list those.
func clientSecret(ctx context.Context, file string, ask askSecret) (configopaque.String, error) {
	secret, from := os.Getenv("SLACK_CLIENT_SECRET"), "SLACK_CLIENT_SECRET"
	switch {
	case file != "":
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--client-secret-file can't be read: %w", err)
		}
		secret, from = string(text), "--client-secret-file"
	case secret == "" && ask == nil:
		return "", errors.New("set SLACK_CLIENT_SECRET or --client-secret-file to the app's Client Secret, from Basic Information; an app without one needs --pkce")
	case secret == "":
		var err error
		if secret, err = ask(ctx, "Client Secret, from Basic Information (it is not shown): "); err != nil {
			return "", err
		}
		from = "what was typed"
	}
	secret = strings.TrimSpace(strings.TrimPrefix(secret, "\ufeff")) // which some editors put before a text
	if secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s is no client secret: it must be one word of plain characters", from)
	}
	return configopaque.String(secret), nil
}

// secretFrom reads from a terminal without echo; nil if the file is none.
func secretFrom(in *os.File, prompts io.Writer) askSecret {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil
	}
	return func(ctx context.Context, prompt string) (string, error) {
		fmt.Fprint(prompts, prompt)
		defer fmt.Fprintln(prompts)
		type typed struct {
			text []byte
			err  error
		}
		read := make(chan typed, 1)
		go func() {
			text, err := term.ReadPassword(fd)
			read <- typed{text, err}
		}()
		select {
		case t := <-read:
			return string(t.text), t.err
		case <-ctx.Done():
			_ = term.Restore(fd, before) // else the shell would stay without echo
			return "", errInterrupted
		}
	}
}

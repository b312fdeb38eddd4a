// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/check"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

const adviceTokenFile = "Let only the collector's user read it, with mode 0600 or 0400."

// readTokenFile takes the first word of the first line that has one, as
// bearertokenauth does.
func readTokenFile(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the token file %s can't be read: %s", file, cause(err))
	}
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return "", fmt.Errorf("the token file %s is empty", file)
	}
	return words[0], nil
}

// openTo says who may read a secret file, or write it, that should not.
func openTo(file string) string {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" {
		return ""
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o007 != 0:
		return fmt.Sprintf("%s is open to every user (mode %04o)", file, mode)
	case mode&0o020 != 0:
		return fmt.Sprintf("%s can be written by its group (mode %04o)", file, mode)
	default:
		return ""
	}
}

// tokenKinds are the kinds of tokens by how they begin; longer beginnings first.
var tokenKinds = []struct {
	prefix, kind string
	result       result
	advice       string
}{
	{"xoxe.xoxp-", "a user token that is rotated", passed, ""},
	{"xoxe.xoxb-", "a bot token that is rotated", failed, adviceUserToken},
	{"xoxe-", "a refresh token", failed, "It gets tokens but reads nothing; put it into token_rotation, or use the access token that came with it."},
	{"xoxp-", "a user token", passed, ""},
	{"xoxb-", "a bot token", failed, adviceUserToken},
	{"xapp-", "an app-level token", failed, adviceUserToken},
	{"xoxs-", "a legacy token or that of a client", warned, adviceUserToken},
	{"xoxc-", "the token of a browser's session", warned, adviceUserToken},
	{"xoxa-", "a legacy workspace token", warned, adviceUserToken},
	{"xoxo-", "a legacy token", warned, adviceUserToken},
	{"xoxr-", "a legacy refresh token", warned, adviceUserToken},
}

const adviceUserToken = "Use the user token (xoxp-…) of an installation with user scopes."

// token says of what kind a subject's token is, by its looks.
func (c *checker) token(s *subject) {
	line := finding{Receiver: s.name, Check: "token kind"}
	if s.token == "" {
		line.Result, line.Detail = skipped, s.noToken
		c.add(line)
		return
	}
	line.Result, line.Detail, line.Advice = warned, "of no kind that is known", adviceUserToken
	for _, kind := range tokenKinds {
		if strings.HasPrefix(s.token, kind.prefix) {
			line.Result, line.Detail, line.Advice = kind.result, kind.kind+" ("+kind.prefix+"…)", kind.advice
			break
		}
	}
	c.add(line)
}

// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package authorize // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/authorize"

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/slack"
)

var (
	// codeForm is a code without the address around it, as far as Slack's are known: numbers, dots and hex digits.
	codeForm = regexp.MustCompile(`^[A-Za-z0-9._-]{20,500}$`)
	// errorForm is how Slack names its errors.
	errorForm = regexp.MustCompile(`^[a-z0-9_]{1,60}$`)
	// newErrorForm is that of one which this version does not know. It is no code: those have digits and dots.
	newErrorForm = regexp.MustCompile(`^[a-z]+(_[a-z]+){1,10}$`)
)

// readPasted makes out what was pasted: an address with a reply, a bare code, or an error's. The remark is for the
// person, and repeats nothing of it: it may be secret. Without a reply there is only that.
func readPasted(line, state string) (got reply, remark string) {
	line = strings.Trim(strings.TrimSpace(line), `"'<>`)
	if words := strings.Fields(line); len(words) > 1 && isCode(words[len(words)-1]) {
		line = words[len(words)-1] // Slack's page says "Error details: bad_redirect_uri"
	}
	switch {
	case line == "":
		return reply{}, ""
	case isCode(line), newErrorForm.MatchString(line):
		return reply{}, explainCode(line) + " then open the link again."
	case strings.HasPrefix(line, "xox"):
		return reply{}, "That is a token, not a code. To use it as it is, put it into a file; otherwise paste the address that the browser stopped at."
	case codeForm.MatchString(line):
		return reply{code: line}, "That is taken for a code. Whether it belongs to this run can't be seen without the address around it."
	}
	address, err := url.Parse(line)
	if err != nil || !strings.ContainsAny(line, "?=") {
		return reply{}, "There is no code in that. Paste the whole address that the browser stopped at; it holds code= and state=."
	}
	if strings.HasSuffix(address.Path, "/oauth/v2/authorize") {
		return reply{}, "That is the link itself. Open it in a browser, allow the app, and paste the address that the browser then stops at."
	}
	got, err = readReply(address.Query(), state)
	switch {
	case err == nil:
		return got, ""
	case !address.Query().Has("state"):
		return reply{}, "That address is not whole: it has no state=. Paste all of the one that the browser stopped at."
	case errors.Is(err, errStrange):
		return reply{}, "That address does not belong to this run, as its state shows. Paste the one that this run's link led to, as a whole."
	default:
		return reply{}, "There is no code in that address. Paste the one that the browser stopped at after the app was allowed."
	}
}

func isCode(text string) bool {
	_, ok := slack.Codes[text]
	return ok
}

// explainCode says what one of Slack's error codes means. It ends with a semicolon, for what comes of it.
func explainCode(code string) string {
	known, ok := slack.Codes[code]
	switch {
	case ok:
		return code + ": " + strings.TrimSuffix(known.Advice, ".") + ";"
	case errorForm.MatchString(code):
		return "Slack reports " + code + ", which this version does not know;"
	default:
		return "Slack reports an error that is no code;"
	}
}

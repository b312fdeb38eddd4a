// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package verb // import "github.com/slacklogs/otelcol-slacklogs/cmd/slacklogs/internal/verb"

// LogType is one of Slack's logs: as users name it, its section of the receiver's configuration, and the user scope that
// reads it.
type LogType struct{ Name, Section, Scope string }

// The log types, in the order of the receiver's documents.
var (
	Audit       = LogType{"audit", "audit_logs", "auditlogs:read"}
	Access      = LogType{"access", "access_logs", "admin"}
	Integration = LogType{"integration", "integration_logs", "admin"}
	LogTypes    = []LogType{Audit, Access, Integration}
)

// UsersScope is the user scope that actor_roles needs.
const UsersScope = "users:read"

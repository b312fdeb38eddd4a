// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package schemas // import "github.com/slacklogs/otelcol-slacklogs/test/schemas"

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
)

// class is what OCSF 1.4.0 says of one: its activities, and the objects that it requires.
type class struct {
	name       string
	activities map[int64]string
	required   []string
}

var ocsfClasses = map[int64]class{
	2004: {"Detection Finding", map[int64]string{1: "Create", 2: "Update", 3: "Close"}, []string{"finding_info"}},
	3001: {"Account Change", map[int64]string{
		1: "Create", 2: "Enable", 3: "Password Change", 4: "Password Reset", 5: "Disable", 6: "Delete", 7: "Attach Policy",
		8: "Detach Policy", 9: "Lock", 10: "MFA Factor Enable", 11: "MFA Factor Disable", 12: "Unlock",
	}, []string{"user"}},
	3002: {"Authentication", map[int64]string{
		1: "Logon", 2: "Logoff", 3: "Authentication Ticket", 4: "Service Ticket Request", 5: "Service Ticket Renew", 6: "Preauth",
	}, []string{"user", "service"}},
	3004: {"Entity Management", map[int64]string{
		1: "Create", 2: "Read", 3: "Update", 4: "Delete", 5: "Move", 6: "Enroll", 7: "Unenroll", 8: "Enable", 9: "Disable",
		10: "Activate", 11: "Deactivate", 12: "Suspend", 13: "Resume",
	}, []string{"entity"}},
	3005: {"User Access Management", map[int64]string{1: "Assign Privileges", 2: "Revoke Privileges"}, []string{"user"}},
	3006: {"Group Management", map[int64]string{
		1: "Assign Privileges", 2: "Revoke Privileges", 3: "Add User", 4: "Remove User", 5: "Delete", 6: "Create",
	}, []string{"group"}},
	6001: {"Web Resources Activity", map[int64]string{
		1: "Create", 2: "Read", 3: "Update", 4: "Delete", 5: "Search", 6: "Import", 7: "Export", 8: "Share",
	}, []string{"web_resources"}},
	6002: {"Application Lifecycle", map[int64]string{
		1: "Install", 2: "Remove", 3: "Start", 4: "Stop", 5: "Restart", 6: "Enable", 7: "Disable", 8: "Update",
	}, []string{"app"}},
	6003: {"API Activity", map[int64]string{1: "Create", 2: "Read", 3: "Update", 4: "Delete"}, []string{"actor", "api", "src_endpoint"}},
	6006: {"File Hosting Activity", map[int64]string{
		1: "Upload", 2: "Download", 3: "Update", 4: "Delete", 5: "Rename", 6: "Copy", 7: "Move", 8: "Restore", 9: "Preview",
		10: "Lock", 11: "Unlock", 12: "Share", 13: "Unshare", 14: "Open", 15: "Sync", 16: "Unsync", 17: "Access Check",
	}, []string{"actor", "file", "src_endpoint"}},
}

var ocsfCategories = map[int64]string{2: "Findings", 3: "Identity & Access Management", 6: "Application Activity"}

// Each action has a class, an activity that the class has, and a status. What they are, a reader has found right.
func TestOCSFOfEachAction(t *testing.T) {
	got := table(t, "action\tclass_uid\tclass_name\tactivity_id\tactivity_name\tstatus", func(rec plog.LogRecord) string {
		number := func(name string) int64 { return get(t, rec, name).Int() }
		text := func(name string) string { return get(t, rec, name).Str() }
		uid, activity := number("class_uid"), number("activity_id")
		class, ok := ocsfClasses[uid]
		assert.True(t, ok, "%s: %d", rec.EventName(), uid)
		assert.Equal(t, class.name, text("class_name"), rec.EventName())
		caption := class.activities[activity]
		if activity == 99 {
			caption = "Other"
			assert.NotEmpty(t, text("activity_name"), rec.EventName())
		} else {
			assert.Equal(t, caption, text("activity_name"), "%s: %d of %d", rec.EventName(), activity, uid)
		}
		assert.Equal(t, uid*100+activity, number("type_uid"), rec.EventName())
		assert.Equal(t, uid/1000, number("category_uid"), rec.EventName())
		assert.Equal(t, ocsfCategories[uid/1000], text("category_name"), rec.EventName())
		assert.Equal(t, class.name+": "+caption, text("type_name"), rec.EventName())
		return fmt.Sprintf("%d\t%s\t%d\t%s\t%s", uid, class.name, activity, text("activity_name"), text("status"))
	}, ocsf)
	compare(t, "ocsf.tsv", got)
}

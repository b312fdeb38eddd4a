// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package record // import "github.com/slacklogs/otelcol-slacklogs/internal/record"

// LogType describes the records of one log type: what docs/schema.md and docs/schema are made of. Tests keep it equal
// to what the code does.
type LogType struct {
	Name      string
	Source    string // where the entries come from
	Timestamp string // the field it is
	EventName string
	// EventNames is the regular expression of all of them.
	EventNames string
	Severities []int
	// Attributes are those that are not made of Slack's paths: conventions and ours.
	Attributes []Attribute
	// Fields are what Slack documents of an entry. Each becomes the attribute slack.<path>, and so does whatever Slack
	// adds to them.
	Fields []Field
}

// Attribute is one that is not made of a path alone.
type Attribute struct {
	Name    string
	Type    Type
	When    string // it is there
	From    string
	Example any
	Always  bool
	Enum    []any  // all values that it can have
	Pattern string // that all values match
}

// Type is an attribute's type.
type Type string

// The types. TypeText is that of what Slack can change from one form into the other.
const (
	TypeString  Type = "string"
	TypeStrings Type = "list of strings"
	TypeText    Type = "string or list of strings"
	TypeInt     Type = "int"
	TypeBool    Type = "bool"
)

// Field is one that Slack documents.
type Field struct {
	Path    string
	JSON    Form
	When    string // Slack sends it; "" = always, where there is what it is in
	Example any
}

// Form is what Slack sends for a field.
type Form string

// The forms. What is a time, a count or a bool has a type of its own in the rules; an id that looks like a number has
// none, as nobody calculates with ids.
const (
	FormString  Form = "string"
	FormID      Form = "string or number"
	FormStrings Form = "list of strings"
	FormObject  Form = "object"
	FormObjects Form = "list of objects"
	FormAny     Form = "any"
	FormSeconds Form = "number: seconds since 1970"
	FormDigits  Form = "string: seconds since 1970"
	FormCount   Form = "number"
	FormBool    Form = "bool"
	FormMaybe   Form = "bool, or the same as a string"
)

const (
	someEntries = "in some entries"
	someRows    = "in some rows"
	uidPattern  = "^[0-9a-f]{32}$"
)

// ResourceAttributes are those of a record's resource, by auth.test.
var ResourceAttributes = []Attribute{
	{Name: "slack.enterprise.id", Type: TypeString, When: "the token belongs to an organisation", From: "`auth.test`", Example: "E04BRIGHTWA"},
	{Name: "slack.enterprise.name", Type: TypeString, When: "the token belongs to an organisation", From: "`auth.test`", Example: "Brightwater"},
	{Name: "slack.enterprise.domain", Type: TypeString, When: "the token belongs to an organisation", From: "`auth.test`", Example: "brightwater"},
	{Name: "slack.team.id", Type: TypeString, When: "a workspace was asked for", From: "`auth.test`, `team_ids`", Example: "T04BWHARBOR"},
	{Name: "slack.team.name", Type: TypeString, When: "it is the token's own workspace, or `team_ids` is `[\"*\"]`", From: "`auth.test`, `auth.teams.list`", Example: "Brightwater Harbour"},
	{Name: "slack.team.domain", Type: TypeString, When: "it is the token's own workspace", From: "`auth.test`", Example: "brightwater-harbour"},
}

// DetailsOverflow can come with every log type, but does with audit entries only.
var DetailsOverflow = Attribute{
	Name: "slack.details_overflow", Type: TypeString, When: "`details` has more than 64 keys, and `attributes: all`",
	From: "the keys of `details` from the 65th on, as JSON", Example: `{"k64":"v"}`,
}

// LogTypes are the three.
func LogTypes() []LogType {
	return []LogType{
		{
			Name:       "audit",
			Source:     "`/audit/v1/logs`",
			Timestamp:  "date_create",
			EventName:  "`slack.audit.` + `action`",
			EventNames: `^slack\.audit\.[A-Za-z0-9_.]{1,100}$`,
			Severities: []int{9, 13},
			Attributes: []Attribute{
				{Name: "log.record.uid", Type: TypeString, Always: true, From: "`id`; if that is unusable, a hash of the entry", Example: "b7e0c3d2-0000-4000-8000-000000000001"},
				{Name: "slack.log.type", Type: TypeString, Always: true, Enum: []any{"audit"}, Example: "audit"},
				{Name: "user.id", Type: TypeString, When: "not empty", From: "`actor.user.id`", Example: "W04BW000003"},
				{Name: "user.email", Type: TypeString, When: "not empty", From: "`actor.user.email`", Example: "ada@brightwater.example"},
				{Name: "user.full_name", Type: TypeString, When: "not empty", From: "`actor.user.name`", Example: "Ada Ashdown"},
				{Name: "user.roles", Type: TypeStrings, When: "`actor_roles` is on, and they are known", From: "`users.list`, `users.info`: `owner`, `admin`, `member`, `guest`, `bot`, `app`", Example: []any{"owner", "admin"}},
				{Name: "client.address", Type: TypeString, When: "it is an IP address", From: "`context.ip_address`", Example: "198.51.100.7"},
				{Name: "user_agent.original", Type: TypeString, When: "not empty", From: "`context.ua`", Example: "okhttp/4.12.0"},
				{Name: "session.id", Type: TypeString, When: "not empty", From: "`context.session_id`", Example: "9137226569043"},
				{Name: "slack.entity.id", Type: TypeString, When: "the entity has one", From: "`entity.<type>.id`; of a message `channel:timestamp`", Example: "F08BW000017"},
				{Name: "slack.entity.name", Type: TypeString, When: "the entity has one", From: "`entity.<type>`: the first of `name`, `title`, `template_name`", Example: "survey.pdf"},
				{Name: "slack.audit.actor_kind", Type: TypeString, When: "the actor has an id", From: "`actor.user`: Slack's placeholders are `system`", Enum: []any{"user", "bot", "system"}, Example: "user"},
				{Name: "slack.audit.scopes_added", Type: TypeStrings, When: "new and old scopes are both there, and some are added", From: "`details.new_scopes` without `details.previous_scopes` or `old_scopes`", Example: []any{"files:read"}},
				{Name: "slack.integration.id", Type: TypeString, When: "there is an app or service", From: "the first of `entity.app.id` (if the entity is an app), `details.app_id`, `details.service_id`, `context.app.id`", Example: "A05TIDETABL"},
				{Name: "slack.related.users", Type: TypeStrings, When: "there is one", From: "every user id in the entry", Example: []any{"W04BW000003"}},
				DetailsOverflow,
			},
			Fields: auditFields(),
		},
		{
			Name:       "access",
			Source:     "`team.accessLogs`",
			Timestamp:  "date_last",
			EventName:  "`slack.access.new`, `slack.access.seen_again`",
			EventNames: `^slack\.access\.(new|seen_again)$`,
			Severities: []int{9},
			Attributes: []Attribute{
				{Name: "log.record.uid", Type: TypeString, Always: true, Pattern: uidPattern, From: "hash of workspace, `user_id`, `ip`, `user_agent`, `date_first`, `date_last`, `count`", Example: "619ff228cbb8197ae4ea68269843e1c8"},
				{Name: "slack.log.type", Type: TypeString, Always: true, Enum: []any{"access"}, Example: "access"},
				{Name: "slack.access.change", Type: TypeString, Always: true, Enum: []any{"new", "seen_again"}, From: "whether the row was delivered before", Example: "seen_again"},
				{Name: "slack.access.count_delta", Type: TypeInt, When: "the count before is known", From: "`count` − the count delivered before; of a new row `count`", Example: int64(3)},
				{Name: "user.id", Type: TypeString, When: "not empty", From: "`user_id`", Example: "W04BW000003"},
				{Name: "user.name", Type: TypeString, When: "not empty", From: "`username`", Example: "ada.ashdown"},
				{Name: "user.roles", Type: TypeStrings, When: "`actor_roles` is on, and they are known", From: "`users.list`, `users.info`: `owner`, `admin`, `member`, `guest`, `bot`, `app`", Example: []any{"owner", "admin"}},
				{Name: "client.address", Type: TypeString, When: "it is an IP address", From: "`ip`", Example: "198.51.100.7"},
				{Name: "user_agent.original", Type: TypeString, When: "not empty", From: "`user_agent`", Example: "okhttp/4.12.0"},
				{Name: "geo.country.iso_code", Type: TypeString, When: "it is two letters", Pattern: "^[A-Za-z]{2}$", From: "`country`", Example: "GB"},
				{Name: "slack.related.users", Type: TypeStrings, When: "there is one", From: "every user id in the row", Example: []any{"W04BW000003"}},
			},
			Fields: []Field{
				{"user_id", FormString, "", "W04BW000003"},
				{"username", FormString, "", "ada.ashdown"},
				{"date_first", FormSeconds, "", int64(1772500000)},
				{"date_last", FormSeconds, "", int64(1772600001)},
				{"count", FormCount, "", int64(42)},
				{"ip", FormString, "always; may be null", "198.51.100.7"},
				{"user_agent", FormString, "", "okhttp/4.12.0"},
				{"isp", FormString, "always; may be null", "Harbour Fibre"},
				{"country", FormString, "always; may be null", "GB"},
				{"region", FormString, "always; may be null", "ENG"},
			},
		},
		{
			Name:       "integration",
			Source:     "`team.integrationLogs`",
			Timestamp:  "date",
			EventName:  "`slack.integration.` + `change_type`",
			EventNames: `^slack\.integration\.[A-Za-z0-9_.]{1,100}$`,
			Severities: []int{9},
			Attributes: []Attribute{
				{Name: "log.record.uid", Type: TypeString, Always: true, Pattern: uidPattern, From: "hash of workspace, `date`, `user_id`, `change_type`, `app_id`, `service_id`, `scope`, `channel`, `reason`, `resolution`, `admin_app_id`, the `rss_feed` fields, and which of several equal rows it is", Example: "23032a59ed9c6f8f94cd7eaa37dc6d62"},
				{Name: "slack.log.type", Type: TypeString, Always: true, Enum: []any{"integration"}, Example: "integration"},
				{Name: "user.id", Type: TypeString, When: "not empty", From: "`user_id`", Example: "W04BW000003"},
				{Name: "user.name", Type: TypeString, When: "not empty", From: "`user_name`", Example: "Ada Ashdown"},
				{Name: "user.roles", Type: TypeStrings, When: "`actor_roles` is on, and they are known", From: "`users.list`, `users.info`: `owner`, `admin`, `member`, `guest`, `bot`, `app`", Example: []any{"owner", "admin"}},
				{Name: "slack.integration.id", Type: TypeString, When: "not empty", From: "`app_id` or `service_id`", Example: "A05TIDETABL"},
				{Name: "slack.related.users", Type: TypeStrings, When: "there is one", From: "every user id in the row", Example: []any{"W04BW000003"}},
			},
			Fields: []Field{
				{"user_id", FormString, "", "W04BW000003"},
				{"user_name", FormString, "", "Ada Ashdown"},
				{"date", FormDigits, "", int64(1772600001)},
				{"change_type", FormString, "", "added"},
				{"scope", FormString, "", "chat:write,channels:read"},
				{"app_id", FormString, "it is about an app", "A05TIDETABL"},
				{"app_type", FormString, "it is about an app", "Tide Table"},
				{"service_id", FormID, "it is about a service", "7712000301"},
				{"service_type", FormString, "it is about a service", "Harbour Calendar"},
				{"channel", FormString, someRows, "C07BW000011"},
				{"reason", FormString, someRows, "admin"},
				{"resolution", FormString, someRows, "resolved"},
				{"admin_app_id", FormString, someRows, "A05PUMPWTCH"},
				{"rss_feed", FormMaybe, someRows, true},
				{"rss_feed_change_type", FormString, "it is about a feed", "added"},
				{"rss_feed_title", FormString, "it is about a feed", "Tide tables"},
				{"rss_feed_url", FormString, "it is about a feed", "https://feeds.brightwater.example/tides.xml"},
			},
		},
	}
}

func auditFields() []Field {
	fields := []Field{
		{"id", FormString, "", "b7e0c3d2-0000-4000-8000-000000000001"},
		{"date_create", FormSeconds, "", int64(1772600001)},
		{"action", FormString, "", "file_downloaded"},
		{"actor.type", FormString, "", "user"},
		{"actor.user.id", FormString, "", "W04BW000003"},
		{"actor.user.name", FormString, "", "Ada Ashdown"},
		{"actor.user.email", FormString, "", "ada@brightwater.example"},
		{"actor.user.team", FormString, "", "E04BRIGHTWA"},
		{"actor.user.account_type", FormString, someEntries, "FULL_MEMBER"},
		{"entity.type", FormString, "", "file"},
		{"context.location.type", FormString, "", "workspace"},
		{"context.location.id", FormString, "", "T04BWHARBOR"},
		{"context.location.name", FormString, "", "Brightwater Harbour"},
		{"context.location.domain", FormString, "", "brightwater-harbour"},
		{"context.ua", FormString, "", "okhttp/4.12.0"},
		{"context.ip_address", FormString, someEntries, "198.51.100.7"},
		{"context.session_id", FormID, "in some entries; may be null", "9137226569043"},
		{"context.app.id", FormString, "an app acted", "A05TIDETABL"},
		{"context.app.name", FormString, "an app acted", "Tide Table"},
		{"context.app.scopes", FormStrings, "an app acted", []any{"chat:write"}},
		{"context.app.scopes_bot", FormStrings, "an app acted", []any{"commands"}},
		{"context.app.creator", FormString, "an app acted", "W04BW000003"},
		{"context.app.team", FormString, "an app acted", "E04BRIGHTWA"},
		{"context.acting_agent", FormString, "an agent acted for the actor", "A05KITESURF"},
		{"context.agent_message.team", FormString, "an agent acted for the actor", "T04BWHARBOR"},
		{"context.agent_message.channel_id", FormString, "an agent acted for the actor", "C07BW000011"},
		{"context.agent_message.message_ts", FormString, "an agent acted for the actor", "1772600000.008121"},
		{"context.agent_message.thread_ts", FormString, "an agent acted for the actor", "1772600000.008121"},
	}
	for _, e := range entities {
		for _, f := range e.fields {
			f.Path = "entity." + e.kind + "." + f.Path
			fields = append(fields, f)
		}
	}
	// Some of about 200 keys. All others are as these are, whatever type Slack documents.
	return append(fields,
		Field{"details.new_value", FormAny, someEntries, []any{"a", "b"}},
		Field{"details.previous_value", FormAny, someEntries, "a"},
		Field{"details.new_scopes", FormStrings, someEntries, []any{"chat:write", "files:read"}},
		Field{"details.previous_scopes", FormStrings, someEntries, []any{"chat:write"}},
	)
}

type entity struct {
	kind   string
	fields []Field
}

// entities are those that Slack documents or its SDKs know. Others look the same.
var entities = []entity{
	{"account_type_role", []Field{
		{"id", FormID, "", "1005"},
		{"name", FormString, "", "ORG_OWNER"},
	}},
	{"app", []Field{
		{"id", FormString, "", "A05TIDETABL"},
		{"name", FormString, someEntries, "Tide Table"},
		{"is_distributed", FormBool, someEntries, true},
		{"is_directory_approved", FormBool, someEntries, false},
		{"is_workflow_app", FormBool, someEntries, false},
		{"scopes", FormStrings, someEntries, []any{"chat:write"}},
		{"bot_scopes", FormStrings, someEntries, []any{"commands"}},
		{"scopes_bot", FormStrings, someEntries, []any{"commands"}},
		{"creator", FormString, someEntries, "W04BW000003"},
		{"team", FormString, someEntries, "E04BRIGHTWA"},
		{"app_id", FormString, someEntries, "A05TIDETABL"},
		{"distribution_type", FormString, someEntries, "public"},
		{"user_ids", FormStrings, someEntries, []any{"W04BW000003"}},
	}},
	{"barrier", []Field{
		{"id", FormString, "", "B09BW000001"},
		{"primary_usergroup", FormString, "", "S06BW000001"},
		{"barriered_from_usergroup", FormString, someEntries, "S06BW000002"},
		{"barriered_from_usergroups", FormStrings, someEntries, []any{"S06BW000002"}},
		{"restricted_subjects", FormStrings, "", []any{"im", "call"}},
	}},
	{"canvas", []Field{
		{"id", FormString, "", "F08BW000018"},
		{"filetype", FormString, "", "application/vnd.slack-docs"},
		{"title", FormString, "", "Dredging plan"},
	}},
	{"channel", []Field{
		{"id", FormString, "", "C07BW000011"},
		{"privacy", FormString, "", "private"},
		{"name", FormString, "", "harbour_ops"},
		{"is_shared", FormBool, "", false},
		{"is_org_shared", FormBool, "", true},
		{"teams_shared_with", FormStrings, someEntries, []any{"T04BWLABORA"}},
		{"is_salesforce_channel", FormBool, someEntries, false},
		{"original_connected_channel_id", FormString, someEntries, "C07BW000012"},
	}},
	{"enterprise", []Field{
		{"id", FormString, "", "E04BRIGHTWA"},
		{"name", FormString, "", "Brightwater"},
		{"domain", FormString, "", "brightwater"},
	}},
	{"external_auth_oauth2_token", []Field{
		{"id", FormString, someEntries, "Et05BW000001"},
	}},
	{"file", []Field{
		{"id", FormString, "", "F08BW000017"},
		{"name", FormString, "", "survey.pdf"},
		{"filetype", FormString, "", "application/pdf"},
		{"title", FormString, "", "Survey of the east quay"},
	}},
	{"function", []Field{
		{"id", FormString, "", "Fn05BW000001"},
		{"app_id", FormString, "", "A05TIDETABL"},
		{"callback_id", FormString, "", "next_tide"},
	}},
	{"huddle", []Field{
		{"id", FormString, "", "R05BW000001"},
		{"date_start", FormSeconds, "", int64(1772596401)},
		{"date_end", FormSeconds, "always; 0 while it lasts", int64(1772600001)},
		{"participants", FormStrings, "", []any{"W04BW000003", "W04BW000004"}},
	}},
	{"legal_hold_policy", []Field{
		{"id", FormString, "", "Lh05BW00001"},
		{"name", FormString, "", "East quay tender"},
	}},
	{"list", []Field{
		{"id", FormString, "", "F08BW000019"},
		{"name", FormString, someEntries, "Moorings"},
		{"title", FormString, someEntries, "Moorings"},
	}},
	{"message", []Field{
		{"team", FormString, "", "E04BRIGHTWA"},
		{"channel", FormString, "", "C07BW000011"},
		{"timestamp", FormString, "", "1772600000.008121"},
	}},
	{"role", []Field{
		{"id", FormString, "", "Rl0A"},
		{"name", FormString, "", "Compliance Admin"},
		{"type", FormString, "", "0"},
	}},
	{"template", []Field{
		{"id", FormString, "", "Ct05BW00001"},
		{"template_name", FormString, "", "New project"},
	}},
	{"user", []Field{
		{"id", FormString, "", "W04BW000004"},
		{"name", FormString, "", "Bram Eze"},
		{"email", FormString, "", "bram@brightwater.example"},
		{"team", FormString, "", "E04BRIGHTWA"},
		{"account_type", FormString, someEntries, "MULTI_CHANNEL_GUEST"},
	}},
	{"usergroup", []Field{
		{"id", FormString, "", "S06BW000001"},
		{"name", FormString, "", "Pilots"},
	}},
	{"work_object_record", []Field{
		{"id", FormString, "", "Wo05BW00001"},
		{"app_id", FormString, "", "A05TIDETABL"},
		{"object_id", FormString, "", "berth-7"},
		{"object_type", FormString, "", "berth"},
	}},
	{"workflow", []Field{
		{"id", FormString, "", "Wf05BW00001"},
		{"name", FormString, "", "Berth request"},
	}},
	{"workflow_v2", []Field{
		{"id", FormString, "", "Wf05BW00002"},
		{"app_id", FormString, "", "A05TIDETABL"},
		{"date_updated", FormSeconds, "", int64(1772599000)},
		{"callback_id", FormString, "", "berth_request"},
		{"name", FormString, "", "Berth request"},
		{"updated_by", FormString, "", "W04BW000003"},
		{"step_configuration", FormObjects, "", `[{"step_function_type":"app"}]`},
		{"template_id", FormString, someEntries, "Ct05BW00001"},
		{"suspicious_keywords", FormStrings, someEntries, []any{"password"}},
		{"trigger_name", FormString, someEntries, "Harbour form"},
		{"trigger_channels", FormStrings, someEntries, []any{"C07BW000011"}},
		{"trigger_configuration", FormObject, someEntries, `{"type":"event"}`},
	}},
	{"workspace", []Field{
		{"id", FormString, "", "T04BWHARBOR"},
		{"name", FormString, "", "Brightwater Harbour"},
		{"domain", FormString, "", "brightwater-harbour"},
	}},
}

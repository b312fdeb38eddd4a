// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slacktest // import "github.com/slacklogs/otelcol-slacklogs/internal/slacktest"

import (
	"strconv"
	"strings"
)

var (
	// isps by country, and the region that goes with it; "" = Slack does not know.
	isps = map[string][]string{
		"GB": {"Harbour Broadband", "ENG"},
		"NL": {"Deltanet BV", "ZH"},
		"JP": {"港ネット", "13"},
		"US": {"Tidewater Cable & Fiber", "VA"},
		"NO": {"Fjordnett AS", "03"},
	}
	changeTypes = []string{"added", "removed", "enabled", "disabled", "updated", "expanded"}
	reasons     = []string{"user", "rate_limits", "slack", "errors", "system", "admin", "api_decline", "deauth"}
	services    = []struct {
		id   int64
		name string
	}{
		{4501200001, "Tide Calendar"},
		{4501200002, "Incoming WebHooks"},
		{4501200003, "Pump Mail/Relay"},
	}
)

// Login makes up a row of the access logs that is new at this time: a person on one of his devices, or an app.
func (o *Organisation) Login(team string, at int64) Login {
	o = o.rows
	p := pick(o, o.people)
	l := Login{
		Team: team, UserID: p.id, Username: p.username(), IP: p.ip, UserAgent: p.device.ua,
		First: at, Last: at, Count: 1 + o.rng.Int64N(3), Country: p.country,
	}
	if where := isps[p.country]; where != nil {
		l.ISP, l.Region = where[0], where[1]
	}
	switch o.rng.IntN(24) {
	case 0:
		l.IP = ""
	case 1:
		l.IP = "127.0.0."
	case 2, 3:
		l.UserAgent = "ApiApp/" + pick(o, apps).id + " okhttp/4.12.0"
		l.Count = 100 + o.rng.Int64N(5000)
	case 4:
		l.UserAgent = "SlackWeb/0 "
	case 5:
		l.UserAgent, l.Username = "", ""
	case 6:
		l.ISP, l.Country, l.Region = "", "", ""
	case 7:
		l.ISP = ""
	case 8, 9, 10:
		l.UserAgent = pick(o, devices).ua
	}
	return l
}

// Again is the row as Slack rewrites it when its owner is active again.
func (o *Organisation) Again(l Login, at int64) Login {
	l.Last = max(l.Last, at)
	l.Count += 1 + o.rows.rng.Int64N(20)
	l.JSON = nil
	return l
}

// Change makes up a row of the integration logs. Two rows are hardly ever the same; give one to AddChange twice for
// twins, which Slack does not tell apart.
func (o *Organisation) Change(team string, date int64) Change {
	return Change{Team: team, Date: date, JSON: appendJSON(nil, o.rows.change(date))}
}

// change is made of what is documented and seen, with its types: the date is text, an id number or text.
func (o *Organisation) change(date int64) object {
	p := pick(o, o.people)
	kind := pick(o, changeTypes)
	v := object{{"user_id", p.id}, {"user_name", p.username()}, {"date", strconv.FormatInt(date, 10)}, {"change_type", kind}}
	switch roll := o.rng.IntN(10); {
	case roll == 0:
		v = append(v, member{"service_id", 4501200009}, member{"service_type", "RSS"}, member{"channel", o.code("C07", o.rng.IntN(40))},
			member{"rss_feed", o.oneIn(2)}, member{"rss_feed_change_type", kind}, member{"rss_feed_title", "Notices to mariners"},
			member{"rss_feed_url", "https://harbour.example/notices?area=7&lang=en"})
	case roll < 5:
		s := pick(o, services)
		v = append(v, member{"service_id", s.id}, member{"service_type", s.name}, member{"channel", o.code("C07", o.rng.IntN(40))},
			member{"scope", "incoming-webhook"})
		if o.oneIn(2) {
			v[4].value = strconv.FormatInt(s.id, 10)
		}
	default:
		a := pick(o, apps)
		v = append(v, member{"app_id", a.id}, member{"app_type", a.name}, member{"scope", strings.Join(a.scopes, ",")})
	}
	if kind == "disabled" || o.oneIn(12) {
		v = append(v, member{"reason", pick(o, reasons)})
	}
	if o.oneIn(12) {
		v = append(v, member{"resolution", pick(o, []string{"approved", "restricted"})}, member{"admin_app_id", pick(o, apps).id})
	}
	return v
}

// OddLogin is to Login what Odd is to Entry.
func (o *Organisation) OddLogin(team string, at int64) Login {
	l := o.Login(team, at)
	l.JSON = appendJSON(nil, oddly(l.object(), o.oddLogins))
	o.oddLogins++
	return l
}

// OddChange is to Change what Odd is to Entry.
func (o *Organisation) OddChange(team string, date int64) Change {
	c := Change{Team: team, Date: date, JSON: appendJSON(nil, oddly(o.rows.change(date), o.oddChanges))}
	o.oddChanges++
	return c
}

func (p person) username() string { return strings.ToLower(strings.ReplaceAll(p.name, " ", ".")) }

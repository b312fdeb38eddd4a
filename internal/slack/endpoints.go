// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package slack // import "github.com/slacklogs/otelcol-slacklogs/internal/slack"

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// The base addresses of Slack's Web API.
const (
	Endpoint    = "https://slack.com/api"
	EndpointGov = "https://slack-gov.com/api"
)

// auditEndpoints are the audit APIs that belong to Slack's Web APIs. No source
// states GovSlack's: it is inferred.
var auditEndpoints = map[string]string{
	"slack.com":     "https://api.slack.com/audit/v1",
	"slack-gov.com": "https://api.slack-gov.com/audit/v1",
}

// AuditEndpoint is the base address of the audit API that belongs to a Web
// API, empty when it is not known.
func AuditEndpoint(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Port() != "" && u.Port() != "443" {
		return ""
	}
	return auditEndpoints[strings.ToLower(strings.TrimPrefix(u.Hostname(), "www."))]
}

// AuthorizeEndpoint is where a browser asks for an installation, for the Web
// API at endpoint.
func AuthorizeEndpoint(endpoint string) string {
	return strings.TrimSuffix(strings.TrimRight(endpoint, "/"), "/api") + "/oauth/v2/authorize"
}

// IsLoopback reports whether a host is this machine, so that what is secret may
// go there without TLS.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && net.IP(addr.AsSlice()).IsLoopback()
}

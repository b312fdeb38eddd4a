// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package packdoc // import "github.com/slacklogs/otelcol-slacklogs/internal/detect/packdoc"

import (
	"slices"
	"strings"

	"github.com/slacklogs/otelcol-slacklogs/internal/sigma"
)

// AttackVersion is that of ATT&CK which tags and tables speak of.
const AttackVersion = "19"

// Tactics are ATT&CK's for enterprises, in its order.
var Tactics = []string{
	"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "stealth",
	"defense-impairment", "credential-access", "discovery", "lateral-movement", "collection", "command-and-control",
	"exfiltration", "impact",
}

// technique is one of ATT&CK's, with the tactics that it serves.
type technique struct {
	name    string
	tactics []string
}

// techniques are those that rules may name. They were taken by hand from the public matrix of version 19, which put
// stealth and defense-impairment in the place of defense-evasion.
var techniques = map[string]technique{
	"T1078":     {"Valid Accounts", []string{"initial-access", "persistence", "privilege-escalation", "stealth"}},
	"T1078.004": {"Valid Accounts: Cloud Accounts", []string{"initial-access", "persistence", "privilege-escalation", "stealth"}},
	"T1080":     {"Taint Shared Content", []string{"lateral-movement"}},
	"T1090":     {"Proxy", []string{"command-and-control"}},
	"T1090.003": {"Proxy: Multi-hop Proxy", []string{"command-and-control"}},
	"T1098":     {"Account Manipulation", []string{"persistence", "privilege-escalation"}},
	"T1098.001": {"Account Manipulation: Additional Cloud Credentials", []string{"persistence", "privilege-escalation"}},
	"T1098.003": {"Account Manipulation: Additional Cloud Roles", []string{"persistence", "privilege-escalation"}},
	"T1098.005": {"Account Manipulation: Device Registration", []string{"persistence", "privilege-escalation"}},
	"T1110":     {"Brute Force", []string{"credential-access"}},
	"T1110.001": {"Brute Force: Password Guessing", []string{"credential-access"}},
	"T1110.003": {"Brute Force: Password Spraying", []string{"credential-access"}},
	"T1110.004": {"Brute Force: Credential Stuffing", []string{"credential-access"}},
	"T1119":     {"Automated Collection", []string{"collection"}},
	"T1133":     {"External Remote Services", []string{"initial-access", "persistence"}},
	"T1136.003": {"Create Account: Cloud Account", []string{"persistence"}},
	"T1199":     {"Trusted Relationship", []string{"initial-access"}},
	"T1204.002": {"User Execution: Malicious File", []string{"execution"}},
	"T1213":     {"Data from Information Repositories", []string{"collection"}},
	"T1213.005": {"Data from Information Repositories: Messaging Applications", []string{"collection"}},
	"T1484.002": {"Domain or Tenant Policy Modification: Trust Modification", []string{"privilege-escalation", "defense-impairment"}},
	"T1485":     {"Data Destruction", []string{"impact"}},
	"T1485.001": {"Data Destruction: Lifecycle-Triggered Deletion", []string{"impact"}},
	"T1486":     {"Data Encrypted for Impact", []string{"impact"}},
	"T1526":     {"Cloud Service Discovery", []string{"discovery"}},
	"T1528":     {"Steal Application Access Token", []string{"credential-access"}},
	"T1530":     {"Data from Cloud Storage", []string{"collection"}},
	"T1531":     {"Account Access Removal", []string{"impact"}},
	"T1534":     {"Internal Spearphishing", []string{"lateral-movement"}},
	"T1537":     {"Transfer Data to Cloud Account", []string{"exfiltration"}},
	"T1538":     {"Cloud Service Dashboard", []string{"discovery"}},
	"T1539":     {"Steal Web Session Cookie", []string{"credential-access"}},
	"T1550.001": {"Use Alternate Authentication Material: Application Access Token", []string{"lateral-movement"}},
	"T1550.004": {"Use Alternate Authentication Material: Web Session Cookie", []string{"lateral-movement"}},
	"T1556":     {"Modify Authentication Process", []string{"persistence", "defense-impairment", "credential-access"}},
	"T1556.006": {"Modify Authentication Process: Multi-Factor Authentication", []string{"persistence", "defense-impairment", "credential-access"}},
	"T1556.007": {"Modify Authentication Process: Hybrid Identity", []string{"persistence", "defense-impairment", "credential-access"}},
	"T1556.009": {"Modify Authentication Process: Conditional Access Policies", []string{"persistence", "defense-impairment", "credential-access"}},
	"T1557":     {"Adversary-in-the-Middle", []string{"credential-access", "collection"}},
	"T1560":     {"Archive Collected Data", []string{"collection"}},
	"T1566":     {"Phishing", []string{"initial-access"}},
	"T1566.003": {"Phishing: Spearphishing via Service", []string{"initial-access"}},
	"T1567":     {"Exfiltration Over Web Service", []string{"exfiltration"}},
	"T1567.004": {"Exfiltration Over Web Service: Exfiltration Over Webhook", []string{"exfiltration"}},
	"T1621":     {"Multi-Factor Authentication Request Generation", []string{"credential-access"}},
	"T1648":     {"Serverless Execution", []string{"execution"}},
	"T1654":     {"Log Enumeration", []string{"discovery"}},
	"T1671":     {"Cloud Application Integration", []string{"persistence"}},
	"T1685":     {"Disable or Modify Tools", []string{"defense-impairment"}},
	"T1685.002": {"Disable or Modify Tools: Disable or Modify Cloud Log", []string{"defense-impairment"}},
}

// attackTags splits a document's tags into tactics and techniques, the latter in capitals as ATT&CK writes them.
func attackTags(h *sigma.Header) (tactics, ids []string) {
	for _, tag := range h.Tags {
		name, ok := strings.CutPrefix(tag, "attack.")
		switch {
		case !ok:
		case len(name) > 4 && name[0] == 't' && '0' <= name[1] && name[1] <= '9':
			ids = append(ids, strings.ToUpper(name))
		default:
			tactics = append(tactics, name)
		}
	}
	return tactics, ids
}

// serves are the tactics that a document names and a technique of it serves.
func serves(h *sigma.Header, id string) []string {
	tactics, _ := attackTags(h)
	return slices.DeleteFunc(tactics, func(tactic string) bool { return !slices.Contains(techniques[id].tactics, tactic) })
}

// techniqueLink is a technique's page, behind its id.
func techniqueLink(id string) string {
	return "[" + id + "](https://attack.mitre.org/techniques/" + strings.ReplaceAll(id, ".", "/") + "/)"
}

#!/bin/sh
# Copyright The slacklogs Authors
# SPDX-License-Identifier: Apache-2.0
#
# Checks the app in examples/splunk-detections with tools of others, none of which runs a search:
#   Splunk AppInspect (PyPI splunk-appinspect)  the app's files, as Splunkbase and Splunk Cloud look at them
#   Teragrep's DPL parser (Maven com.teragrep:pth_03)  all searches, macros expanded; its language is modelled on SPL.
#     It can't parse anything behind lookup, so those lines are left out.
#   splint (PyPI splint-spl)  a linter that knows some habits that make searches slow
# Needs Go, Python (PYTHON names it), a JDK with Maven, and their registries.
set -eu
cd "$(dirname "$0")/.."
app=examples/splunk-detections/SA-slacklogs-detections
work=${SIEM_WORK:-bin/siem-splunk}
mkdir -p "$work"
work=$(cd "$work" && pwd)
[ -d "$work/venv" ] || "${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q splunk-appinspect==4.3.1 splint-spl==0.1.0

rm -rf "$work/searches" "$work/app"
mkdir -p "$work/searches" "$work/app"
go test ./internal/detect/splunk -count=1 -run '^TestApp$' -dump "$work/searches"
"$work/venv/bin/splint" "$work"/searches/*.spl

mvn -q -B -f test/siem/splunk/pom.xml dependency:copy-dependencies -DoutputDirectory="$work/lib"
javac -cp "$work/lib/*" -d "$work" test/siem/splunk/Parse.java
java -cp "$work:$work/lib/*" Parse "$work"/searches/*.spl 2>"$work/parse.log"

cp -R "$app" "$work/app/"
find "$work/app" -type d -exec chmod 755 {} +
find "$work/app" -type f -exec chmod 644 {} +
(cd "$work/app" && tar -czf ../app.tar.gz SA-slacklogs-detections)
"$work/venv/bin/splunk-appinspect" inspect "$work/app.tar.gz" --mode precert --data-format json --output-file "$work/inspected.json" >"$work/inspect.log" 2>&1 || { cat "$work/inspect.log"; exit 1; }
python3 - "$work/inspected.json" <<'P'
import json, sys
report = json.load(open(sys.argv[1]))
print(report["summary"])
for group in (g for r in report["reports"] for g in r["groups"]):
    for check in group["checks"]:
        if check["result"] in ("failure", "error", "warning"):
            for message in check["messages"]:
                print(check["result"], check["name"], message["message"])
sys.exit(report["summary"]["failure"] + report["summary"]["error"] > 0)
P

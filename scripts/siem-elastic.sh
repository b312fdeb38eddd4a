#!/bin/sh
# Copyright The slacklogs Authors
# SPDX-License-Identifier: Apache-2.0
#
# Checks the detection rules for Elastic with parsers and an engine that are not Go modules: see test/siem/elastic/check.py.
# Needs Python 3.12 or later (PYTHON names it), a JDK of 17 or later with Maven, and their registries at the first time.
set -eu

cd "$(dirname "$0")/.."
work=${SIEM_WORK:-bin/siem-elastic}
port=${SIEM_PORT:-9299}
mkdir -p "$work"

if [ ! -d "$work/python" ]; then
	"${PYTHON:-python3}" -m venv "$work/python"
	"$work/python/bin/pip" install -q eql==1.0.1 detection-rules-esql-py==0.1.0
fi
if [ ! -f "$work/Engine.class" ]; then
	mvn -q -B -f test/siem/elastic/pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
		-DoutputDirectory="$PWD/$work/lib"
	javac -cp "$work/lib/*" -d "$work" test/siem/elastic/Engine.java
fi

SIEM_CHECKS=$PWD/$work/checks.json go test ./internal/detect/elastic -run TestWriteChecks -count=1

rm -rf "$work/home"
mkdir "$work/home"
java -Xmx1g -cp "$work/lib/*:$work" Engine "$work/home" "$port" >"$work/engine.log" 2>&1 &
engine=$!
trap 'kill $engine' EXIT
tries=0
until curl -sf "http://127.0.0.1:$port" >/dev/null; do
	tries=$((tries + 1))
	if [ $tries -gt 60 ] || ! kill -0 $engine 2>/dev/null; then
		cat "$work/engine.log"
		exit 1
	fi
	sleep 1
done
"$work/python/bin/python" test/siem/elastic/check.py "$work/checks.json" "http://127.0.0.1:$port" examples/elastic

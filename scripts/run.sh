#!/usr/bin/env bash
# Shows Slack's logs on the terminal until Ctrl-C; `make run` calls it.
#   SLACK_TOKEN   poll Slack with this token; without it, a simulator on loopback is polled
#   METRICS_PORT  port for the collector's metrics on loopback; without it, the first free one from 8888 on
set -euo pipefail
cd "$(dirname "$0")/.."

collector= simulator=
cleanup() {
	trap '' INT TERM HUP
	# The collector first, so that it doesn't complain about the missing simulator.
	for pid in $collector $simulator; do
		kill -TERM "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}
trap cleanup EXIT
trap 'exit 0' INT # Ctrl-C is how this ends
trap 'exit 143' TERM HUP

if [[ -z ${METRICS_PORT:-} ]]; then
	METRICS_PORT=8888
	while (: <"/dev/tcp/127.0.0.1/$METRICS_PORT") 2>/dev/null; do
		METRICS_PORT=$((METRICS_PORT + 1))
	done
fi
export METRICS_PORT

mkdir -p .run
if [[ -n ${SLACK_TOKEN:-} ]]; then
	echo "Polling Slack with SLACK_TOKEN. Positions are kept in .run/slack; Ctrl-C ends."
	# It prints the sections of what the token can read, and says on the terminal what is on and why another is off.
	# Without a single one it says so and fails.
	sections=$(bin/slacklogs check --output sections) || exit 1
	sed '/^    [a-z]*_logs:/d' examples/run-slack.yaml >.run/slack.yaml
	config=(--config .run/slack.yaml)
	while read -r section; do
		config+=(--config "yaml:receivers::slacklogs::$section")
	done <<<"$sections"
else
	config=(--config examples/simulator.yaml)
	# The simulator begins anew each time, so the positions in what it said before are worth nothing.
	rm -rf .run/simulator
	: >.run/simulator.log
	bin/slacklogs simulate --listen 127.0.0.1:0 >>.run/simulator.log 2>&1 </dev/null &
	simulator=$!
	for ((i = 0; i < 100; i++)); do
		SIMULATOR_URL=$(sed -n 's/^listening on //p;1q' .run/simulator.log)
		[[ -z $SIMULATOR_URL ]] || break
		kill -0 "$simulator" 2>/dev/null || break
		sleep 0.1
	done
	if [[ -z $SIMULATOR_URL ]]; then
		echo "The simulator did not start:" >&2
		cat .run/simulator.log >&2
		exit 1
	fi
	export SIMULATOR_URL
	echo "SLACK_TOKEN is not set: polling a simulator at $SIMULATOR_URL. Ctrl-C ends."
	for log in audit access integration; do
		echo "$log logs: on"
	done
fi
echo "The collector's metrics: http://127.0.0.1:$METRICS_PORT/metrics"

bin/otelcol-slacklogs "${config[@]}" &
collector=$!
wait "$collector"

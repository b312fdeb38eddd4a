# Copyright The slacklogs Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks the searches for Elastic, with what can be had of Elastic outside of Elasticsearch:

- each ES|QL text with Elastic's own offline parser and type checker (detection-rules-esql-py), against the fields that
  slack@detections maps;
- each EQL text with Elastic's own parser (eql);
- the queries of single records are run by a real Lucene engine, OpenSearch, over the documents of the pack's tests;
- EQL sequences are run by Elastic's Python engine over the same, taught that a list matches by any of its values;
- ES|QL is run by the small model below, after Elastic's parser. It is our reading of Elastic's documents, no more.

What each of them finds is compared with what the pack's own evaluator finds.

usage: check.py CHECKS OPENSEARCH_URL
"""
import collections
import contextlib
import datetime
import json
import re
import sys
import urllib.request

import eql
import eql.engine
import eql.parser
import esql
import esql.ast as ast

failed = 0


def fail(*what):
    global failed
    failed += 1
    print("FAIL", *what)


# --- texts


# Fields that Elasticsearch's own templates map.
STOCK = {"@timestamp": "date", "observed_timestamp": "date_nanos", "body.text": "text"}


def parse(rules):
    counts = collections.Counter()
    for rule in rules:
        counts[rule["type"]] += 1
        try:
            if rule["type"] == "esql":
                tree = esql.parse_query(rule["query"])
                esql.validate_detection_rule_query(tree, rule["name"])
                esql.analyze(tree, esql.Schema({f["name"]: f["type"] for f in rule["required_fields"]} | STOCK))
            elif rule["type"] == "eql":
                sequence(rule["query"])
        except Exception as e:  # whatever the parsers raise
            fail(rule["name"], type(e).__name__, e)
    return counts


def sequence(text):
    with eql.parser.elasticsearch_syntax, eql.parser.allow_runs:
        return eql.parse_query(text)


# --- Lucene


class Engine:
    def __init__(self, url):
        self.url = url

    def ask(self, method, path, body=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            raise RuntimeError(e.read().decode()[:1000]) from e

    def load(self, checks, mappings):
        self.ask("PUT", "/checks", {"settings": {"index.mapping.total_fields.limit": 5000}, "mappings": mappings})
        lines = []
        for i, check in enumerate(checks):
            for document in check["documents"]:
                lines += [json.dumps({"index": {}}), json.dumps({"attributes": document["attributes"], "check": str(i)})]
        for at in range(0, len(lines), 10000):
            answer = self.ask("POST", "/checks/_bulk", ("\n".join(lines[at:at + 10000]) + "\n").encode())
            for item in answer["items"]:
                if item["index"]["status"] >= 300:
                    fail("a document is refused:", item["index"]["error"])
        self.ask("POST", "/checks/_refresh")

    def matches(self, i, rule):
        query = {"filter": [{"term": {"check": str(i)}}], "must_not": []}
        field, value = re.fullmatch(r'([\w.]+): "(\w+)"', rule["query"]).groups()  # all the KQL that such rules have
        query["filter"].append({"term": {field: value}})
        for f in rule.get("filters", []):
            query["must_not" if f["meta"]["negate"] else "filter"].append(f["query"])
        answer = self.ask("POST", "/checks/_search", {"size": 1000, "query": {"bool": query}})
        return {hit["_source"]["attributes"]["log.record.uid"] for hit in answer["hits"]["hits"]}


def mappings(examples):
    """Those of the examples, but for passthrough, which OpenSearch does not have."""
    with open(examples + "/slack@mappings.json", encoding="utf-8") as f:
        theirs = json.load(f)["template"]["mappings"]
    with open(examples + "/slack@detections.json", encoding="utf-8") as f:
        ours = json.load(f)["template"]["mappings"]["properties"]["attributes"]["properties"]
    return {"date_detection": False, "dynamic_templates": theirs["dynamic_templates"],
            "properties": {"check": {"type": "keyword"}, "attributes": {"properties": ours}}}


# --- a model of ES|QL


NOW = 4102444800000  # when the searches are run: everything has arrived just before


def listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def single(value):
    """What a function for single values makes of a list: null."""
    return None if isinstance(value, list) else value


class Model:
    def expr(self, node, row):
        kind = type(node)
        if kind is ast.Literal:
            if node.kind == "time_duration":
                amount, unit = re.fullmatch(r"(\d+) ?(\w+?)s?", str(node.value)).groups()
                return int(amount) * {"minute": 60000, "hour": 3600000, "day": 86400000}[unit]
            if node.kind == "numeric_array":
                return [int(str(v)) for v in node.value] if isinstance(node.value, list) else json.loads(str(node.value))
            # The parser leaves escapes as they are written.
            return re.sub(r"\\([\\\"])", r"\1", node.value) if node.kind == "string" else node.value
        if kind is ast.ColumnRef:
            return row.get(node.name)
        if kind is ast.BinaryExpr:
            return self.binary(node, row)
        if kind is ast.FunctionCall:
            return getattr(self, "f_" + node.name)(row, *node.args)
        raise NotImplementedError(kind)

    def binary(self, node, row):
        if node.op in ("and", "or"):
            left, right = self.expr(node.left, row), self.expr(node.right, row)
            stop = node.op == "or"
            if left is stop or right is stop:
                return stop
            return None if left is None or right is None else not stop
        left = single(self.expr(node.left, row))
        if node.op == "in":
            values = [self.expr(v, row) for v in node.right.args]
            return None if left is None else left in values
        right = single(self.expr(node.right, row))
        if left is None or right is None:
            return None
        return {
            "==": lambda: left == right, "!=": lambda: left != right, ">": lambda: left > right, ">=": lambda: left >= right,
            "<": lambda: left < right, "<=": lambda: left <= right, "-": lambda: left - right, "+": lambda: left + right,
            "*": lambda: left * right, "/": lambda: left // right,
        }[node.op]()

    def args(self, row, *nodes):
        return [single(self.expr(n, row)) for n in nodes]

    def f_not(self, row, one):
        value = single(self.expr(one, row))
        return None if value is None else not value

    def f_coalesce(self, row, *nodes):
        return next((v for v in (self.expr(n, row) for n in nodes) if v is not None), None)

    def f_is_null(self, row, one):
        return self.expr(one, row) is None

    def f_is_not_null(self, row, one):
        return self.expr(one, row) is not None

    def f_case(self, row, *nodes):
        for i in range(0, len(nodes) - 1, 2):
            if self.expr(nodes[i], row) is True:
                return self.expr(nodes[i + 1], row)
        return self.expr(nodes[-1], row) if len(nodes) % 2 else None

    def f_to_lower(self, row, one):
        value = self.expr(one, row)
        return [v.lower() for v in value] if isinstance(value, list) else value and value.lower()

    def f_mv_concat(self, row, one, between):
        value = self.expr(one, row)
        return None if value is None else self.expr(between, row).join(listed(value))

    def f_concat(self, row, *nodes):
        values = self.args(row, *nodes)
        return None if None in values else "".join(values)

    def f_starts_with(self, row, *nodes):
        value, part = self.args(row, *nodes)
        return None if value is None else value.startswith(part)

    def f_ends_with(self, row, *nodes):
        value, part = self.args(row, *nodes)
        return None if value is None else value.endswith(part)

    def f_like(self, row, *nodes):
        value, pattern = self.args(row, *nodes)
        pattern = re.sub(r"\\(.)|(\*)|(\?)|(.)", lambda m: ".*" if m[2] else "." if m[3] else re.escape(m[1] or m[4]), pattern, flags=re.S)
        return None if value is None else re.fullmatch(pattern, value, re.S) is not None

    def f_rlike(self, row, *nodes):
        value, pattern = self.args(row, *nodes)
        return None if value is None else re.fullmatch(pattern, value, re.S) is not None

    def f_cidr_match(self, row, one, *ranges):
        import ipaddress
        value = single(self.expr(one, row))
        if value is None:
            return None
        try:
            return any(ipaddress.ip_address(value) in ipaddress.ip_network(self.expr(r, row)) for r in ranges)
        except ValueError:
            return None

    def f_to_long(self, row, one):
        value = single(self.expr(one, row))
        return None if value is None else int(value)

    def f_to_string(self, row, one):
        value = single(self.expr(one, row))
        return None if value is None else str(value)

    def f_now(self, row):
        return NOW

    def f_to_double(self, row, one):
        value = single(self.expr(one, row))
        return None if value is None else float(value)

    def f_date_diff(self, row, unit, *nodes):
        begin, end = self.args(row, *nodes)
        assert self.expr(unit, row) == "minutes"
        return None if None in (begin, end) else (end - begin) // 60000

    def grok(self, command, row):
        """The two patterns that the searches have."""
        pattern = re.sub(r"%\{(DATA|NUMBER):(\w+)\}", lambda m: f"(?P<{m[2]}>" + {"DATA": ".*?", "NUMBER": r"-?\d+(\.\d+)?"}[m[1]] + ")", grok_pattern(command))
        found = re.search(pattern, row.get("body.text") or "")
        return {**row, **(found.groupdict() if found else dict.fromkeys(re.findall(r"\?P<(\w+)>", pattern)))}

    def aggregate(self, call, rows):
        if isinstance(call, ast.BinaryExpr):
            assert call.op == "-"
            left, right = self.aggregate(call.left, rows), self.aggregate(call.right, rows)
            return None if None in (left, right) else left - right
        values = [v for row in rows for v in listed(self.expr(call.args[0], row))]
        if call.name in ("count_distinct", "count"):
            return len(set(values)) if call.name == "count_distinct" else len(values)
        if call.name == "values":
            unique = sorted(set(values))
            return unique if len(unique) > 1 else unique[0] if unique else None
        return {"min": min, "max": max, "sum": sum}[call.name](values) if values else None

    def run(self, text, rows):
        for command in esql.parse_query(text).commands:
            kind = type(command)
            if kind is ast.FromCommand:
                continue
            if kind is ast.WhereCommand:
                condition = next(iter(command.iter_children()))
                rows = [row for row in rows if self.expr(condition, row) is True]
            elif kind is ast.EvalCommand:
                new = []
                for row in rows:
                    row = dict(row)
                    for a in command.assignments:
                        row[a.name] = self.expr(a.expr, row)
                    new.append(row)
                rows = new
            elif kind is ast.MvExpandCommand:
                rows = [{**row, command.field: v} for row in rows for v in listed(row.get(command.field)) or [None]]
            elif kind is ast.StatsCommand:
                groups = collections.defaultdict(list)
                for row in rows:
                    groups[tuple(row.get(name) for name in command.grouping)].append(row)
                new = {key: {**dict(zip(command.grouping, key)), **{a.name: self.aggregate(a.expr, members) for a in command.aggregates}}
                       for key, members in groups.items()}
                if command.inline:
                    rows = [{**row, **new[tuple(row.get(name) for name in command.grouping)]} for row in rows]
                else:
                    rows = list(new.values())
            elif kind is ast.GrokCommand:
                rows = [self.grok(command, row) for row in rows]
            elif kind is ast.KeepCommand:
                continue
            else:
                raise NotImplementedError(kind)
        return rows


def row(document):
    values = {"attributes." + k: v for k, v in document["attributes"].items()}
    for name in ("attributes.slack.context.ip_address", "attributes.slack.ip"):
        values[name + ".ip"] = values.get(name)
    # A keyword field holds a list's different values, and one of them is no list.
    for k, v in values.items():
        if isinstance(v, list):
            unique = sorted(set(v))
            values[k] = unique if len(unique) > 1 else unique[0] if unique else None
    return {**values, "@timestamp": document["@timestamp"], "event.ingested": NOW - 1000}


def grok_pattern(command):
    return re.sub(r'\\(["\\])', r"\1", command.pattern)


# --- EQL


class AnyValue(eql.engine.PythonEngine):
    """Elastic's engine, with tests that hold when one value of a list does, as in Elasticsearch."""

    def any_value(self, node, callback):
        paths = [[f.base, *f.path] for f in node if isinstance(f, eql.ast.Field)]

        def wrapped(scope):
            data = scope.events[0].data
            for path in paths:
                inner = data
                for part in path[:-1]:
                    inner = inner.get(part) if isinstance(inner, dict) else None
                if isinstance(inner, dict) and isinstance(inner.get(path[-1]), list):
                    values = inner[path[-1]]
                    try:
                        for value in values:
                            inner[path[-1]] = value
                            if callback(scope):
                                return True
                        return False
                    finally:
                        inner[path[-1]] = values
            return callback(scope)
        return wrapped

    def _convert_comparison(self, node):
        return self.any_value(node, super()._convert_comparison(node))

    def _convert_in_set(self, node):
        return self.any_value(node, super()._convert_in_set(node))

    def _convert_function_call(self, node):
        return self.any_value(node, super()._convert_function_call(node))


def nested(document):
    root = {"attributes": {}}
    for name, value in document["attributes"].items():
        inner = root["attributes"]
        *parts, last = name.split(".")
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return root


def run_sequence(query, documents, group, last_first=False):
    engine = AnyValue({"flatten": False})
    found = set()

    def output(result):
        last = row({"attributes": flat(result.events[0].data["attributes"]), "@timestamp": 0})
        found.add(" ".join(str(last.get(f)) for f in group))

    engine.add_output_hook(output)
    engine.add_query(sequence(query))
    # The engine wants them in order; of the same second the first indexed is first. It counts in 100 ns.
    ordered = sorted(reversed(documents) if last_first else documents, key=lambda d: d["@timestamp"])
    seen = set()
    events = []
    for d in ordered:
        key = (d["attributes"]["log.record.uid"], d["@timestamp"])
        if key not in seen:  # one document id
            seen.add(key)
            events.append(eql.Event("generic", d["@timestamp"] * 10000, nested(d)))
    engine.stream_events(events)
    return found


def flat(data, prefix=""):
    values = {}
    for name, value in data.items():
        values |= flat(value, prefix + name + ".") if isinstance(value, dict) else {prefix + name: value}
    return values


# --- the watcher


def heartbeat(minutes_ago, about="audit", receiver="slacklogs", stall=20.5, gaps=0, dropped=0, total=100):
    at = NOW - minutes_ago * 60000
    text = json.dumps({
        "event": "heartbeat", "receiver": receiver, "log_type": about, "time": "2026-11-22T05:51:43.019Z",
        "problem": "\"gaps_total\":7, \"poll_staleness\":9999", "watermark_lag": 1.5, "poll_staleness": stall, "stale": False,
        "entries_delivered": 1, "entries_delivered_total": total, "entries_dropped_total": dropped, "gaps_total": gaps, "gaps": [],
        "workspaces": [{"team_id": "T1", "poll_staleness": 99999, "gaps_total": 9, "entries_dropped_total": 99, "entries_delivered_total": 1}],
    }, separators=(",", ":"))
    return {"@timestamp": at, "observed_timestamp": at * 1000000, "event.ingested": at, "body.text": text, "attributes.slack.log.type": "collection",
            "attributes.slack.log.event": "heartbeat", "attributes.slack.log.about": about, "attributes.log.record.uid": str(at)}


def entries(count, minutes_ago):
    at = NOW - minutes_ago * 60000
    return [{"@timestamp": at, "observed_timestamp": at * 1000000, "event.ingested": at, "body.text": "{}", "attributes.slack.log.type": "audit",
             "attributes.log.record.uid": str(i)} for i in range(count)]


def watch(rules):
    beats = [heartbeat(m) for m in range(0, 120, 10)]
    for title, rows, finds in [
        ("no heartbeat for 30 minutes", beats, 0),
        ("no heartbeat for 30 minutes", beats[3:], 0),
        ("no heartbeat for 30 minutes", beats[4:], 1),
        ("no heartbeat for 30 minutes", beats[4:] + [heartbeat(1, about="access")], 1),
        ("no heartbeat for 30 minutes", beats[4:] + [heartbeat(1, receiver="slacklogs/two")], 1),
        ("nothing has come through", beats, 0),
        ("nothing has come through", [*beats, heartbeat(1, stall=900.5)], 1),
        ("a gap stays open", beats, 0),
        ("a gap stays open", [heartbeat(m, gaps=1) for m in range(0, 70, 10)], 1),
        ("a gap stays open", [heartbeat(m, gaps=1) for m in range(0, 40, 10)], 0),
        ("a gap stays open", [heartbeat(m, gaps=m and 1) for m in range(0, 70, 10)], 0),
        ("refused entries for good", [heartbeat(m, dropped=3) for m in range(0, 70, 10)], 0),
        ("refused entries for good", [heartbeat(m, dropped=0 if m else 1) for m in range(0, 70, 10)], 1),
        ("Elasticsearch does not have", [heartbeat(60, total=100), *entries(50, 30), heartbeat(0, total=150)], 0),
        ("Elasticsearch does not have", [heartbeat(60, total=100), *entries(20, 30), heartbeat(0, total=150)], 1),
        ("Elasticsearch does not have", [heartbeat(60, total=100), *entries(20, 30), *entries(30, 90), heartbeat(0, total=150)], 1),
    ]:
        query = next(r["query"] for r in rules if title in r["name"])
        found = Model().run(query, rows)
        if len(found) != finds:
            fail(title, ": finds", found, "and should find", finds)
    print("searches of the watcher run by the model")


# --- all of it


def main(path, url, examples):
    with open(path, encoding="utf-8") as f:
        given = json.load(f)
    checks = given["checks"]
    counts = parse(given["rules"]) + parse(given["filled"])
    print("texts parsed, with empty and with filled lists:", dict(counts))

    engine = Engine(url)
    singles = [c for c in checks if c["search"]["type"] == "query"]
    engine.load(singles, mappings(examples))
    for i, check in enumerate(singles):
        try:
            found = engine.matches(i, check["search"])
        except RuntimeError as e:
            fail(check["rule"], check["name"], e)
            continue
        if found != set(check["matches"]):
            fail(check["rule"], "/", check["name"], ": finds", sorted(found), "and the pack", check["matches"])
    print("tests of", len({c["rule"] for c in singles}), "rules run by OpenSearch:", len(singles))

    for kind in ("esql", "eql"):
        own = [c for c in checks if c["search"]["type"] == kind]
        more = collections.Counter()
        for check in own:
            if kind == "esql":
                rows = Model().run(check["search"]["query"], [row(d) for d in check["documents"]])
                found = {" ".join(str(r.get(f)) for f in check["group"]) for r in rows}
            else:
                found = run_sequence(check["search"]["query"], check["documents"], check["group"])
            missed, extra = set(check["matches"]) - found, found - set(check["matches"])
            if missed and kind == "eql":
                missed -= run_sequence(check["search"]["query"], check["documents"], check["group"], True)
                if not missed:
                    print("  in the same second, indexed in the other order:", check["rule"], "/", check["name"])
            if missed:
                fail(check["rule"], "/", check["name"], ": misses", sorted(missed))
            if extra - set(check["allowed"]):
                fail(check["rule"], "/", check["name"], ": finds too much:", sorted(extra))
            elif extra:
                more[check["rule"]] += 1
        print("tests of", len({c["rule"] for c in own}), "correlations run as", kind + ":", len(own),
              "- findings beyond the pack's, within what the search says:", dict(more))
    watch(given["rules"])
    print(f"{failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))

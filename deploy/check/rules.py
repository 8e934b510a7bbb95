"""The alert rules against the metrics there are, their tests, the operations guide and the copy for Kubernetes."""

import json
import re
import sys

import yaml

from common import BUILD, DEPLOY, ROOT, end, expect, load, wrong
from promql import Asked, metrics, plain

COPY = DEPLOY / "kubernetes/monitoring/prometheusrule.yaml"
HEAD = """\
# Made from deploy/prometheus/rules.yml by `deploy/check.sh --update`, which also compares the two.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: skillhost
spec:
"""


def copy():
    """rules.yml as the Prometheus operator takes it, comments and all."""
    text = (DEPLOY / "prometheus/rules.yml").read_text()
    body = text[text.index("groups:") :]
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in body.splitlines())


if "--update" in sys.argv:
    COPY.write_text(copy())

series, families = metrics()
# What the host's own page has, once it was written: more than is asked for may be there, less may not.
page = ROOT / "docs/telemetry.md"
written = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", page.read_text(), re.M) if page.is_file() else []
offered = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in written}
if offered:
    for name, (kind, labels) in families.items():
        has = offered.get(name)
        if expect(has, f"metrics.txt: the host offers no {name}"):
            expect(has[0] == kind and labels <= has[1], f"metrics.txt: {name} is a {has[0]} with {sorted(has[1])}")
    print(f"  {len(offered.keys() - families.keys())} metrics that nobody asks for: {sorted(offered.keys() - families.keys())}")
else:
    print("  not checked: metrics.txt against docs/telemetry.md, which has no table of them yet")
asked = Asked(series)
rules = [rule for group in load("prometheus/rules.yml")["groups"] for rule in group["rules"]]
for rule in rules:
    if "record" in rule:
        asked.series[rule["record"]] = asked.query(rule["record"], rule["expr"])

guide = (ROOT / "docs/operations.md").read_text()
tests = (DEPLOY / "prometheus/rules_test.yml").read_text()
alerts = [rule for rule in rules if "alert" in rule]
for rule in alerts:
    name = rule["alert"]
    labels = asked.query(name, rule["expr"]) | {"severity"}
    expect(rule.get("for"), f"{name}: no `for`")
    expect(rule["labels"]["severity"] in ("critical", "warning", "info"), f"{name}: which severity?")
    notes = rule["annotations"]
    expect(set(notes) == {"summary", "description", "runbook_url"}, f"{name}: annotations {sorted(notes)}")
    for label in re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]):
        expect(label in labels, f"{name}: its text names the label `{label}`, which it does not have")
    anchor = name.lower()
    expect(notes["runbook_url"] == f"docs/operations.md#{anchor}", f"{name}: runbook_url")
    place = guide.find(f'<a id="{anchor}"></a>')
    if expect(place >= 0, f"{name}: no section in docs/operations.md"):
        section = re.split(r"^##", guide[place:], maxsplit=1, flags=re.M)[0]
        for part in ("**Means**", "**Look**", "**Do**"):
            expect(part in section, f"{name}: its section says nothing of {part}")
    expect(f'alertname="{name}"' in tests, f"{name}: no case of rules_test.yml in which it fires")
known = {rule["alert"].lower() for rule in alerts}
for anchor in re.findall(r'<a id="(skillhost\w+)"></a>', guide):
    expect(anchor in known, f"docs/operations.md has a section for `{anchor}`, which is no alert")

# The dashboard's queries, once for the labels here and once more, as rules, for promtool.
board = json.loads((DEPLOY / "grafana/dashboards/skillhost.json").read_text())
queries = [(p["title"], t["expr"]) for p in board["panels"] for t in p.get("targets", [])]
queries += [(a["name"], a["expr"]) for a in board["annotations"]["list"] if "expr" in a]
for title, text in queries:
    asked.query(f"dashboard, {title}", plain(text))
for variable in board["templating"]["list"]:
    if found := re.fullmatch(r"label_values\((.*), (\w+)\)", str(variable.get("definition"))):
        labels = asked.query(f"dashboard, variable {variable['name']}", plain(found[1]))
        expect(found[2] in labels, f"dashboard, variable {variable['name']}: no label `{found[2]}`")
made = [{"record": "dashboard:query", "expr": plain(text), "labels": {"n": str(n)}} for n, (_, text) in enumerate(queries)]
BUILD.mkdir(parents=True, exist_ok=True)
(BUILD / "dashboard-rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": made}]}))

for name in families:
    if not {name, name + "_bucket", name + "_count"} & asked.used:
        wrong(f"nobody asks for {name}")
for rule in rules:
    if "record" in rule:
        expect(rule["record"] in asked.used, f"nobody asks for {rule['record']}")
expect(COPY.is_file() and COPY.read_text() == copy(), f"{COPY.name} is not what rules.yml says: deploy/check.sh --update")
end(f"{len(alerts)} alerts, {len(queries)} queries of the dashboard, {len(families)} metrics")

"""The dashboard: that Grafana knows each key, and that panels stand where they should."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from common import DEPLOY, end, expect, load, wrong

# Grafana has them, its schema does not.
BESIDE = {"/annotations/list[]/titleFormat", "/annotations/list[]/tagKeys", "/templating/list[]/definition"}


def compare(said, kept, place=""):
    """What Grafana's own types do not keep is misspelt: Grafana would say nothing of it."""
    if isinstance(said, dict) and isinstance(kept, dict):
        for key, value in said.items():
            here = f"{place}/{key}"
            if key in kept:
                compare(value, kept[key], here)
            elif value not in (None, [], {}, "", False, 0) and here not in BESIDE:
                wrong(f"{here} is no key of Grafana's")
    elif isinstance(said, list) and isinstance(kept, list) and len(said) == len(kept):
        for one, other in zip(said, kept):
            compare(one, other, place + "[]")
    elif said != kept:
        wrong(f"{place} is {said!r}, Grafana takes {kept!r}")


board = json.loads((DEPLOY / "grafana/dashboards/skillhost.json").read_text())
register_default_plugins()
compare(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board))))

panels = board["panels"]
ids = [panel["id"] for panel in panels]
expect(len(ids) == len(set(ids)), "two panels have the same id")
taken = {}
for panel in panels:
    at, title = panel["gridPos"], panel["title"]
    expect(title, f"panel {panel['id']} has no title")
    expect(at["x"] + at["w"] <= 24, f"{title} is wider than the page")
    for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
        if other := taken.setdefault(place, title) != title and taken[place]:
            wrong(f"{title} lies on {other}")
            break
    if panel["type"] != "row":
        for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            expect(source["uid"] == "${datasource}", f"{title} does not ask the chosen data source")
expect({"datasource", "skill"} <= {v["name"] for v in board["templating"]["list"]}, "the variables are missing")

sources = load("grafana/provisioning/datasources/skillhost.yaml")["datasources"]
expect(sum(bool(source.get("isDefault")) for source in sources) == 1, "one data source must be the default")
provider = load("grafana/provisioning/dashboards/skillhost.yaml")["providers"][0]
mounts = load("compose.yaml")["services"]["grafana"]["volumes"]
expect(f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts, "dashboards are not where Grafana is told")
end(f"{sum(p['type'] != 'row' for p in panels)} panels in {sum(p['type'] == 'row' for p in panels)} rows")

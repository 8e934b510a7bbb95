"""What no schema says of compose.yaml, the collector, the manifests and the unit: that they agree with each other."""

import configparser
import json
import os
import re
import tomllib

import yaml
from jsonschema import Draft202012Validator

from common import BUILD, DEPLOY, ROOT, end, expect, load, seconds, wrong

schema = json.loads((ROOT / "docs/skillhost.schema.json").read_text())
newest = "telemetry" in schema["properties"] and "shutdown" in schema["properties"]


def settings(where, said):
    """Hold a configuration against the host's own schema."""
    if newest:
        for error in Draft202012Validator(schema).iter_errors(said):
            wrong(f"{where}: {'.'.join(map(str, error.path))}: {error.message}")


def of_environment(variables):
    """`SKILLHOST__A__B=value` as the host reads it: TOML where it is, else a text."""
    said = {}
    for name, value in variables.items():
        if name.startswith("SKILLHOST__"):
            *tables, key = name.lower().split("__")[1:]
            table = said
            for part in tables:
                table = table.setdefault(part, {})
            try:
                table[key] = tomllib.loads(f"x = {value}")["x"]
            except tomllib.TOMLDecodeError:
                table[key] = value
    return said


def stop_time(shutdown):
    """Seconds that a stop takes at most."""
    default = {"drain": "15s", "cancel": "3s", "cleanup": "5s"}
    return sum(seconds(text) for text in (default | shutdown).values())


# ---- compose
compose = load("compose.yaml")
for name, service in compose["services"].items():
    where = f"compose.yaml, {name}"
    for port in service.get("ports", []):
        expect(port.startswith("127.0.0.1:"), f"{where}: port {port} is open to others")
    expect(re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{where}: {service['image']} is not pinned")
    expect("healthcheck" in service, f"{where}: no health check")
    expect(service.get("stop_grace_period") == "30s", f"{where}: stop_grace_period")
    for key, value in service.get("environment", {}).items():
        if re.search("PASSWORD|TOKEN|SECRET", key):
            expect(re.match(r"\$\{\w+:\?", value), f"{where}: {key} must be asked for, not said")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        there = (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
        expect(there, f"{where}: there is no {source}")
environment = compose["services"]["skillhost"]["environment"]
settings("compose.yaml, environment", of_environment(environment))

# ---- the collector and Prometheus
collector = load("collector.yaml")
service = collector["service"]
for kind in ("receivers", "processors", "exporters"):
    there, used = set(collector[kind]), {c for p in service["pipelines"].values() for c in p[kind]}
    expect(there == used, f"collector.yaml: {kind} {sorted(there ^ used)} are not both said and used")
expect(set(collector["extensions"]) == set(service["extensions"]), "collector.yaml: extensions")
expect({"traces", "metrics"} <= set(service["pipelines"]), "the host sends traces and metrics")
port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rsplit(":")[-1]
expect(environment["SKILLHOST__TELEMETRY__OTLP"] == f"http://collector:{port}", "the host sends elsewhere than the collector listens")
for job in load("prometheus/prometheus.yml")["scrape_configs"]:
    for target in (target for static in job["static_configs"] for target in static["targets"]):
        host = target.split(":")[0]
        expect(host in compose["services"] or host == "127.0.0.1", f"prometheus.yml: there is no {host}")

# ---- Kubernetes
objects = {}
for file in [*(DEPLOY / "kubernetes").glob("*.yaml"), *(DEPLOY / "kubernetes/monitoring").glob("*.yaml")]:
    for document in yaml.safe_load_all(file.read_text()):
        objects[document["kind"], document.get("metadata", {}).get("name")] = document
config = tomllib.loads(objects["ConfigMap", "skillhost"]["data"]["skillhost.toml"])
settings("configmap.yaml", config)
deployment = objects["Deployment", "skillhost"]["spec"]
expect(deployment["replicas"] == 1 and deployment["strategy"]["type"] == "Recreate", "one host at a time on a volume")
pod = deployment["template"]["spec"]
container = pod["containers"][0]
took = container["lifecycle"]["preStop"]["sleep"]["seconds"] + stop_time(config.get("shutdown", {}))
expect(took <= pod["terminationGracePeriodSeconds"], f"a stop takes {took} s, the pod has {pod['terminationGracePeriodSeconds']}")
secret = objects["Secret", "skillhost"]["stringData"]
expect(len(secret["admin-token"]) < 16, "secret.example.yaml: the host must refuse the example's token")
folder = next(m["mountPath"] for m in container["volumeMounts"] if m["name"] == "secret")
for file in (config["auth"]["tokens"], config["admin"]["token"]["file"]):
    expect(file.startswith(folder + "/") and file[len(folder) + 1 :] in secret, f"{file} is no key of the Secret")
for volume in pod["volumes"]:
    for kind, key, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName"), ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName")):
        if key in volume:
            expect((kind, volume[key][name]) in objects, f"deployment.yaml: there is no {kind} {volume[key][name]}")
variables = {v["name"]: v.get("value", "") for v in container["env"]}
settings("deployment.yaml, env", of_environment(variables))
expect(variables["SKILLHOST_DATA"] == config["server"]["data"], "commands in the pod look into another data folder")
labels = deployment["template"]["metadata"]["labels"]
for kind, key in (("Service", "selector"), ("NetworkPolicy", "podSelector")):
    selector = objects[kind, "skillhost"]["spec"][key]
    expect(selector.get("matchLabels", selector).items() <= labels.items(), f"the {kind} selects no pod")
# Their schema takes any text.
for name in ("skillhost", "skillhost-grants"):
    expect({"Ingress", "Egress"} >= set(objects["NetworkPolicy", name]["spec"]["policyTypes"]), f"NetworkPolicy {name}: policyTypes")
def size(text):
    number, unit = text.split()
    return int(number) << {"KiB": 10, "MiB": 20, "GiB": 30}[unit]


def most(engine, defaults):
    """Bytes that a host takes at most, as docs/operations.md#sizing has it."""
    calls = 2 * engine["instances"] + 8
    return calls * size(defaults["memory"]) + 2 * size(engine["compile_memory"]) + size("512 MiB")


limit = container["resources"]["limits"]["memory"]
expect(limit.endswith("Gi"), "deployment.yaml: the limit of memory in Gi")

# ---- systemd
unit = configparser.ConfigParser(strict=False, interpolation=None)
unit.optionxform = str
unit.read(DEPLOY / "systemd/skillhost.service")
service = unit["Service"]
at_home = tomllib.loads((DEPLOY / "systemd/skillhost.toml").read_text())
settings("skillhost.toml", at_home)
expect(int(service["TimeoutStopSec"]) > stop_time(at_home["shutdown"]), "skillhost.service: TimeoutStopSec is shorter than a stop")
expect("MemoryDenyWriteExecute" not in service, "skillhost.service: compiled code could not be mapped")

# ---- memory: a host with less than a tenth left is not ready
for where, bound, host in (
    ("deployment.yaml", limit[:-2], config),
    ("compose.yaml", compose["services"]["skillhost"]["mem_limit"][:-1], of_environment(environment)),
    ("skillhost.service", service["MemoryMax"][:-1], at_home),
):
    took = most(host["engine"], host["defaults"])
    expect(took <= 0.9 * size(f"{bound} GiB"), f"{where}: calls may take {took >> 20} MiB, too much for {bound} GiB")

# ---- the Dockerfile's context
lines = [line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"]
expect(lines[0] == "*", "Dockerfile.dockerignore: everything else must be left out")
let_in = [line[1:] for line in lines[1:]]
for there in let_in:
    expect(list(ROOT.glob(there)), f"Dockerfile.dockerignore: there is no {there}")
member = tomllib.loads((ROOT / "tests/Cargo.toml").read_text())
sources = {os.path.join("tests", target["path"]) for kind in ("test", "bench") for target in member[kind]}
for build in ("debug", "release"):
    if (made := ROOT / "target" / build / "skillhost.d").is_file():
        sources |= {os.path.relpath(path, ROOT) for path in made.read_text().split(": ", 1)[1].split()}
for source in sorted(sources):
    inside = any(source == there or source.startswith(there + "/") for there in let_in)
    expect(inside or not (ROOT / source).exists(), f"Dockerfile.dockerignore: the build needs {source}")

BUILD.mkdir(parents=True, exist_ok=True)
(BUILD / "skillhost.toml").write_text(objects["ConfigMap", "skillhost"]["data"]["skillhost.toml"])
if not newest:
    print("  not checked: configurations against docs/skillhost.schema.json, which has no [telemetry] and [shutdown] yet")
if not any((ROOT / "target" / build / "skillhost.d").is_file() for build in ("debug", "release")):
    print("  not checked: what the Docker build needs, since nothing was built here (target/*/skillhost.d)")
end(f"{len(compose['services'])} services, {len(objects)} objects, {len(sources)} sources")

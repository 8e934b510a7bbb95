"""The official conformance suite against the real binary, which serves nothing but the component with its fixtures.

Every scenario of a revision must run, those that are not scored, too, and every check in it must pass: there is no list of
failures that are expected.

usage: conformance.py NODE SUITE.js BIN REPO JUNIT.xml DATA
"""

import collections
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

NODE, SUITE, BIN, REPO, JUNIT, DATA = (Path(argument).resolve() for argument in sys.argv[1:])
REVISIONS = ["2026-07-28", "2025-11-25"]
PATIENCE = 30
# For all scenarios of a revision; they take some 15 s.
SUITE_PATIENCE = 180
# At the root, since the suite calls the fixtures by names of its own; one of them runs for a minute until it is cancelled.
CONFIG = """
[skills.conformance]
mount = "root"
timeout = "2m"
"""
# Checks that may be skipped, and why.
SKIPPED = {
    "tasks-status-notifications": "the suite has no check of it yet: it always skips, whatever the server does",
}
STATUSES = ["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO"]


def wanted(revision):
    """The names of all server scenarios that the suite lists for a revision, scored or not."""
    command = [NODE, SUITE, "list", "--requirements", revision]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    scored = {"Server": [], "Client": []}
    others, kind = [], None
    for line in listed.splitlines():
        if title := re.match(r"(\w+) scenarios ", line):
            kind = title[1]
        elif line.startswith("Run and reported, but never scored"):
            kind = None
        elif entry := re.fullmatch(r" +- (\S+)( \[(?:client|server)\])?", line):
            if kind:
                scored[kind].append(entry[1])
            elif entry[2] == " [server]":
                others.append(entry[1])
    # Nothing was overlooked in what is meant for people to read.
    total = re.search(r"\((\d+) scenarios", listed)
    assert total and int(total[1]) == sum(map(len, scored.values())), f"a listing of another form: {listed}"
    return scored["Server"] + others


def results(folder):
    """The checks of each scenario that ran: from what the suite has written, since its summary leaves some out."""
    found = collections.defaultdict(list)
    for run in sorted(folder.iterdir()):
        # As in `server-tools-list-2026-11-27T19-23-28-908Z`.
        name = re.sub(r"^server-(.*)-\d{4}-\d\d-\d\dT[\d-]+Z$", r"\1", run.name)
        found[name].append(json.loads((run / "checks.json").read_text()))
    twice = [name for name, runs in found.items() if len(runs) > 1]
    assert not twice, f"ran twice: {twice}"
    return {name: runs[0] for name, runs in found.items()}


def judged(checks):
    """What is wrong with the checks of a scenario, as lines."""
    if checks is None:
        return ["did not run"]
    if not checks:
        return ["checked nothing"]
    problems = []
    for check in checks:
        status, name = check["status"], check["id"]
        good = status in ["SUCCESS", "INFO"] or (status == "SKIPPED" and name in SKIPPED)
        if not good:
            problems.append(f"{status} {name}: {check.get('errorMessage') or check.get('description')}")
    if not problems and not any(check["status"] == "SUCCESS" or check["id"] in SKIPPED for check in checks):
        problems.append("no check has passed")
    return problems


def conform(revision, url, output):
    """(scenario, problem or None) of all that ran or should have."""
    names = wanted(revision)
    command = [NODE, SUITE, "server", "--url", url, "--requirements", revision, "-o", output]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SUITE_PATIENCE)
    ran = results(output) if output.is_dir() else {}
    cases, counts, reasons = [], collections.Counter(), {}
    for name in names + sorted(ran.keys() - set(names)):
        checks = ran.get(name)
        problems = judged(checks)
        if name not in names:
            problems.append("ran, but is not listed")
        counts.update(check["status"] for check in checks or [])
        skipped = {check["id"] for check in checks or [] if check["status"] == "SKIPPED"}
        reasons |= {name: SKIPPED[name] for name in skipped & SKIPPED.keys()}
        cases.append((f"{name} {revision}", "\n".join(problems) or None))
    if done.returncode and not any(problem for _, problem in cases):
        cases.append((f"the suite's own verdict {revision}", f"exit code {done.returncode} {done.stderr[-500:]}"))
    strange = counts.keys() - set(STATUSES)
    figures = ", ".join(f"{counts[status]} {status}" for status in [*STATUSES, *sorted(strange)])
    print(f"{revision}: {len(ran)} of {len(names)} scenarios, {sum(counts.values())} checks: {figures}")
    for name, reason in reasons.items():
        print(f"     skipped: {name}: {reason}")
    return cases


def listening(host, log):
    ends = time.monotonic() + PATIENCE
    while True:
        for line in log.read_text().splitlines():
            if line.endswith("}") and (event := json.loads(line)).get("message") == "listening":
                return event["url"]
        assert host.poll() is None and time.monotonic() < ends, f"the host does not listen: {log.read_text()}"
        time.sleep(0.05)  # until it listens


def main():
    cases = []
    with tempfile.TemporaryDirectory(prefix="skillhost-conformance-") as folder:
        root = Path(folder)
        (root / "skills").mkdir()
        shutil.copy(REPO / "plugins/dist/fixtures/conformance.wasm", root / "skills")
        (root / "skillhost.toml").write_text(CONFIG)
        options = ["--skills", root / "skills", "--data", DATA, "--config", root / "skillhost.toml"]
        log = root / "log"
        with log.open("w") as out:
            host = subprocess.Popen([BIN, "serve", "--listen", "127.0.0.1:0", *options], stderr=out)
        try:
            url = listening(host, log)
            for revision in REVISIONS:
                try:
                    cases += conform(revision, url, root / revision)
                except Exception as error:
                    cases.append((f"the suite {revision}", repr(error)))
        except Exception as error:
            cases.append(("the host", repr(error)))
        finally:
            host.terminate()
            host.wait(PATIENCE)
    failed = sum(1 for _, problem in cases if problem)
    with JUNIT.open("w") as out:
        out.write(f'<testsuite name="clients.conformance" tests="{len(cases)}" failures="{failed}">\n')
        for name, problem in cases:
            if problem:
                print(f"FAIL {name}\n{problem}", flush=True)
            # XML has no word for most control characters.
            shown = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "?", problem or "")
            body = f"<failure message={quoteattr(shown)}/>" if problem else ""
            out.write(f"<testcase name={quoteattr(name)}>{body}</testcase>\n")
        out.write("</testsuite>\n")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()

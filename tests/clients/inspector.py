"""Drives `files` and `fetch` with the command line of the MCP inspector from npm, over stdio and HTTP.

usage: inspector.py NODE INSPECTOR.js BIN REPO JUNIT.xml DATA
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

from grants import Grants

NODE, INSPECTOR, BIN, REPO, JUNIT, DATA = (Path(argument).resolve() for argument in sys.argv[1:])
PATIENCE = 60
# What the inspector's exit code says of a tool that answered with isError.
TOOL_ERROR = 5


class Inspector:
    def __init__(self, root, target):
        self.session = root / "session.json"
        self.session.write_text(json.dumps({"mcpServers": {"skillhost": target}}))

    def run(self, *arguments):
        command = [NODE, INSPECTOR, "--cli", "--config", self.session, "--server", "skillhost", *arguments]
        # Where there is no keyring of a desktop it would look for one.
        environment = {**os.environ, "MCP_INSPECTOR_SECRET_STORE": "memory"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"no JSON: {done.stdout}\n{done.stderr}") from None

    def call(self, tool, code=0, **arguments):
        pairs = [part for key, value in arguments.items() for part in ("--tool-arg", f"{key}={value}")]
        found, result = self.run("--method", "tools/call", "--tool-name", tool, *pairs)
        assert found == code, f"{tool} exited with {found}: {result}"
        assert result["isError"] == (code == TOOL_ERROR), result
        return result["content"][0]["text"]


def scenario(inspector, grants):
    code, listing = inspector.run("--method", "tools/list", "--strict")
    names = {tool["name"] for tool in listing["tools"]}
    assert code == 0 and {"files_read", "files_write", "fetch_get"} <= names, (code, names)

    file = grants.folder / "a.txt"
    inspector.call("files_write", path="/data/a.txt", text="from the inspector", mode="overwrite")
    assert file.read_text() == "from the inspector"
    assert "from the inspector" in inspector.call("files_read", path="a.txt")
    assert "in no granted folder" in inspector.call("files_read", TOOL_ERROR, path="/etc/passwd")
    inspector.call("files_delete", path="a.txt")
    assert not file.exists()

    page = inspector.call("fetch_get", url=f"{grants.url}/page")
    assert "# Page" in page and f"[link]({grants.url}/x)" in page, page
    for url in ["http://127.0.0.1:1/", f"{grants.url}/away"]:
        assert "not granted" in inspector.call("fetch_get", TOOL_ERROR, url=url), url


def over_stdio(root, options, grants):
    scenario(Inspector(root, {"command": str(BIN), "args": ["stdio", *options]}), grants)


def over_http(root, options, grants):
    log = root / "log"
    with log.open("w") as out:
        host = subprocess.Popen([BIN, "serve", "--listen", "127.0.0.1:0", *options], stderr=out)
    try:
        url, ends = None, time.monotonic() + PATIENCE
        while not url:
            assert host.poll() is None and time.monotonic() < ends, log.read_text()
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
            url = next((line["url"] for line in lines if line.get("message") == "listening"), None)
            time.sleep(0.05)  # until it listens
        scenario(Inspector(root, {"type": "streamable-http", "url": url}), grants)
    finally:
        host.terminate()
        host.wait(PATIENCE)


def main():
    cases, failed = "", 0
    for run in [over_stdio, over_http]:
        name, problem = f"inspector {run.__name__}", None
        with tempfile.TemporaryDirectory(prefix="skillhost-inspector-") as folder:
            root = Path(folder)
            (root / "skills").mkdir()
            grants = Grants(root, REPO)
            (root / "skillhost.toml").write_text(grants.config)
            options = ["--skills", str(root / "skills"), "--data", str(DATA), "--config", str(root / "skillhost.toml")]
            try:
                run(root, options, grants)
            except Exception as error:
                problem = repr(error)
            finally:
                grants.close()
        failed += problem is not None
        print(f"{'ok  ' if problem is None else 'FAIL'} {name}", problem or "", flush=True)
        body = f"<failure message={quoteattr(problem)}/>" if problem else ""
        cases += f"<testcase name={quoteattr(name)}>{body}</testcase>\n"
    JUNIT.write_text(f'<testsuite name="clients.inspector" tests="2" failures="{failed}">\n{cases}</testsuite>\n')
    print(f"{2 - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()

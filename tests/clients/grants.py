"""A folder and a small web server for skills with effects, and the configuration that grants both."""

import http.server
import shutil
import threading


class Pages(http.server.BaseHTTPRequestHandler):
    """`/page` is HTML; `/away` leads to a port that nobody granted."""

    def do_GET(self):
        if self.path == "/page":
            body, status, header = b"<h1>Page</h1><p><a href='x'>link</a></p>", 200, ("content-type", "text/html")
        else:
            body, status, header = b"", 302, ("location", "http://127.0.0.1:1/")
        self.send_response(status)
        self.send_header(*header)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Grants:
    """Puts `files` and `fetch` into the folder `root`, with grants for a folder in it and for the server."""

    def __init__(self, root, repo):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.folder = root / "granted"
        self.folder.mkdir()
        for name in ["files", "fetch"]:
            shutil.copy(repo / f"plugins/dist/{name}.wasm", root / "skills")
        self.config = f"""
[skills.files.grants]
files = [{{ host = "granted", guest = "/data", access = "rw" }}]
[skills.fetch.grants]
http = [{{ host = "127.0.0.1:{self.server.server_port}" }}]
"""

    def close(self):
        self.server.shutdown()
        self.server.server_close()

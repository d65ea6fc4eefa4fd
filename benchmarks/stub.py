#!/usr/bin/python3
"""Be a user's server that starts in no time, and note when it listens."""

import time

begun = time.time()

import http.server  # noqa: E402
import os  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer everything."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *arguments):
        """Say nothing."""


where = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
server = http.server.ThreadingHTTPServer(("", where.port), Handler)
name = os.environ.get("JUPYTERHUB_SERVER_NAME") or os.environ["JUPYTERHUB_USER"]
with open(os.path.join(os.environ["BENCHMARK_FOLDER"], name), "w") as note:
    note.write(f"{begun!r} {time.time()!r} {os.environ['SLURM_JOB_ID']}")
server.serve_forever()

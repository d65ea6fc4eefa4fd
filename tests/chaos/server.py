"""The program of a user's server: it says whose it is, and in which job it runs.

python server.py SCHEDULER
"""

import http.server
import json
import os
import sys
from urllib.parse import urlsplit

from batchspawner.agent.job_identity import job_id
from batchspawner.schedulers import scheduler_class

IDENTITY = json.dumps(
    {
        "user": os.environ["JUPYTERHUB_USER"],
        "name": os.environ.get("JUPYTERHUB_SERVER_NAME", ""),
        "job": job_id([scheduler_class(sys.argv[1]).identity()]),
    }
).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(IDENTITY)))
        self.end_headers()
        self.wfile.write(IDENTITY)

    def log_message(self, *arguments):
        """Log nothing."""


if __name__ == "__main__":
    place = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    http.server.ThreadingHTTPServer(("", place.port or 80), Handler).serve_forever()

"""What install.sh sets up. It replaces this file; what your site wants goes into site.py."""

import sys
from pathlib import Path

import batchspawner

c = get_config()  # noqa: F821
lines = Path("@ETC@/secrets.env").read_text().splitlines()
secrets = dict(line.split("=", 1) for line in lines)

# Users come through the web server with the certificate; nodes come to the Hub.
c.JupyterHub.bind_url = "http://127.0.0.1:@PROXY_PORT@"
c.JupyterHub.hub_bind_url = "http://@HUB_LISTEN@:@HUB_PORT@"
c.JupyterHub.hub_connect_url = "http://@HUB_ADDRESS@:@HUB_PORT@"

# The proxy is a service of its own: while the Hub restarts, users keep working.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:@PROXY_API_PORT@"
c.ConfigurableHTTPProxy.auth_token = secrets["CONFIGPROXY_AUTH_TOKEN"]
c.JupyterHub.cleanup_servers = False

c.JupyterHub.db_url = "@DATABASE@"
c.JupyterHub.cookie_secret_file = "@STATE@/cookie_secret"  # noqa: S105
c.CryptKeeper.keys = [bytes.fromhex(secrets["JUPYTERHUB_CRYPT_KEY"])]

c.JupyterHub.spawner_class = "@SPAWNER@"
c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.BatchSpawnerBase.batchspawner_singleuser_cmd = "@nodes@/current/bin/batchspawner-singleuser"
c.Spawner.cmd = ["@nodes@/current/bin/jupyterhub-singleuser"]
batchspawner.use_pages(c)

# A server that nobody uses is stopped.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [
            sys.executable,
            "-m",
            "jupyterhub_idle_culler",
            "--timeout=@CULL_AFTER_S@",
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]

load_subconfig("@ETC@/site.py")  # noqa: F821

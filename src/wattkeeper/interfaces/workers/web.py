"""The web child: pages and API."""

import os

import uvicorn

from wattkeeper.bootstrap.ready import set_up_role


def run() -> int:
    """Serve pages and API until told to stop."""
    set_up_role()
    host, _, port = os.environ["WATTKEEPER_BIND"].rpartition(":")
    uvicorn.run(
        "wattkeeper.interfaces.web.asgi:application",
        host=host,
        port=int(port),
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=15,
        lifespan="off",
        server_header=False,
        ssl_certfile=os.environ.get("WATTKEEPER_TLS_CERT"),
        ssl_keyfile=os.environ.get("WATTKEEPER_TLS_KEY"),
    )
    return 0

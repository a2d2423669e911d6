"""The sandbox's GitHub, a process of its own: `python -m sandbox.github.serve --dir .sandbox`."""

import argparse
import logging
import signal
from pathlib import Path

import uvicorn

from sandbox import credentials
from sandbox.github import spec
from sandbox.github.app import create_app
from sandbox.github.seeds import seed
from sandbox.loopback import guarded
from sandbox.openapi import Violations
from sandbox.store import Store


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Serve the sandbox's GitHub.")
    parser.add_argument("--dir", type=Path, required=True, help="the sandbox's folder")
    parser.add_argument("--validate", action="store_true", help="compare answers with the API's")
    given = parser.parse_args()
    directory = given.dir.resolve()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    store = Store(directory / "github.db")
    violations = None
    if given.validate:
        violations = Violations(spec.answer_errors, directory / "logs" / "violations.log")
    app = create_app(store, directory / "github", credentials.GITHUB_URL, violations=violations)
    seed(app.state.hub, credentials.read(directory)["github"])
    server = uvicorn.Config(
        guarded(app), host="127.0.0.1", port=credentials.GITHUB_PORT, log_level="warning",
        access_log=False, timeout_graceful_shutdown=3,
    )  # fmt: skip
    try:
        uvicorn.Server(server).run()
    finally:
        store.close()


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    main()

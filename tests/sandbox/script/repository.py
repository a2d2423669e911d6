"""A git repository served over HTTP behind a token, as a team's would be, and a small app in it."""

import base64
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "canary-git-token-91"
APPLICATION = Path(__file__).parents[1] / "deploys/application"
DOCKERFILE = (APPLICATION / "Dockerfile").read_text()
# The deploy tests' application, built where it runs: without IPv6, which a machine that had Docker
# before may not have for it.
COMPOSE = (
    (APPLICATION / "compose.yaml")
    .read_text()
    .partition("\nnetworks:")[0]
    .replace(
        "  image: ${IMAGES}/web:${VERSION}\n",
        "  image: ${IMAGES}/web:${VERSION}\n"
        '  build: {context: ., args: {BASE_IMAGE: "${BASE_IMAGE}", VARIANT: "${VARIANT:-}"}}\n',
    )
    .replace("${IMAGES}/web:base", "${IMAGES}/web:${VERSION}")
)


class Repository:
    """A bare repository and a work tree beside it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.bare = folder / "served/app.git"
        self.url = f"{url}/app.git"
        self._work = folder / "work"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        self._git("clone", "--quiet", str(self.bare), str(self._work))

    def push(self, branch: str, greeting: str, compose: str = COMPOSE) -> str:
        """Commit the application with another default greeting; the commit."""
        at = ("-C", str(self._work))
        self._git(*at, "checkout", "--quiet", "-B", branch)
        (self._work / "compose.yaml").write_text(
            compose.replace("GREETING:-hello", f"GREETING:-{greeting}")
        )
        for name in ("serve", "job"):
            (self._work / name).write_text((APPLICATION / name).read_text())
        (self._work / "Dockerfile").write_text(DOCKERFILE)
        self._git(*at, "add", "--all")
        self._git(
            *at,
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@t",
            "commit",
            "--allow-empty",
            "-qm",
            greeting,
        )
        self._git(*at, "push", "--quiet", "--force", "origin", branch)
        return self._git(*at, "rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(
            ["git", *words], check=True, capture_output=True, text=True, env=environment, timeout=60
        ).stdout.strip()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Hands every request of who has the token to git's own CGI program."""

    root: Path

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        wanted = f"Basic {base64.b64encode(f'x-access-token:{TOKEN}'.encode()).decode()}"
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            capture_output=True,
            timeout=30,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            },
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        told = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(told.pop("Status", "200").split()[0]))
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def served(folder: Path, address: str) -> Iterator[Repository]:
    """A new repository, served on a port of `address` until the end."""
    handler = type("Handler", (_Handler,), {"root": folder / "served"})
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Repository(folder, f"http://{address}:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()

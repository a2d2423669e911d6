"""Who is answered on loopback: this machine's programs, not a page whose name points here."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sandbox import loopback
from tests.unit.listening import listening


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("", 200),
        ("localhost:7090", 200),
        ("page.example.org", 400),
        ("127.0.0.1.example.org:7090", 400),
        ("www.localhost", 400),
    ],
)
def test_a_page_whose_name_points_at_this_machine_is_told_nothing(host: str, status: int) -> None:
    address, switch = listening("loopback")
    switch.app = loopback.guarded(
        Starlette(routes=[Route("/_sandbox/tokens", lambda _: PlainTextResponse("ghp_x"))])
    )
    headers = {"Host": host} if host else {}
    answer = httpx.get(f"{address}/_sandbox/tokens", headers=headers, trust_env=False)
    assert answer.status_code == status
    assert ("ghp_x" in answer.text) is (status == 200)

"""What the Hetzner project is asked, and what is said when it cannot answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hcloud import APIException

from planning import cloud

ASK = {"token": "t" * 64, "endpoint": "http://api.invalid/v1"}
Answer = Callable[[str, dict[str, Any]], Any]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Makes the official client meet these answers: path → JSON or an error to raise."""

    def serve(answers: dict[str, Any]) -> None:
        def request(
            _self: requests.Session, method: str, url: str, **_: object
        ) -> requests.Response:
            assert method == "GET"
            answer = answers[url.removeprefix(ASK["endpoint"])]
            if isinstance(answer, Exception):
                raise answer
            response = requests.Response()
            response.status_code = 200
            response._content = json.dumps(answer).encode()
            response.headers["Content-Type"] = "application/json"
            return response

        monkeypatch.setattr(requests.Session, "request", request)
        monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries a few times

    return serve


def server_type(*locations: tuple[str, bool]) -> dict[str, Any]:
    found = {
        "id": 1,
        "name": "cx23",
        "locations": [
            {"id": at, "name": name, "deprecation": None, "available": available}
            | {"recommended": True}
            for at, (name, available) in enumerate(locations)
        ],
    }
    return {"server_types": [found]}


def test_the_first_location_that_sells_the_type_is_taken(
    api: Callable[[dict[str, Any]], None],
) -> None:
    api({"/server_types": server_type(("nbg1", True), ("hel1", True))})
    wanted = ["fsn1", "hel1", "nbg1"]
    assert cloud.place(**ASK, server_type="cx23", locations=wanted) == "hel1"


def test_where_none_does_the_error_says_where_it_is_sold(
    api: Callable[[dict[str, Any]], None],
) -> None:
    api({"/server_types": server_type(("ash", True))})
    with pytest.raises(cloud.CloudError, match=r"in none of fsn1.*sold in ash.*Next: "):
        cloud.place(**ASK, server_type="cx23", locations=["fsn1"])


def test_a_type_that_does_not_exist_is_named(api: Callable[[dict[str, Any]], None]) -> None:
    api({"/server_types": {"server_types": []}})
    with pytest.raises(cloud.CloudError, match="no server type cx99"):
        cloud.place(**ASK, server_type="cx99", locations=["fsn1"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.ConnectionError("refused"), "does not answer"),
        (requests.Timeout("late"), "does not answer"),
        (APIException(code="unauthorized", message="no", details=None), "refuses the token"),
        (APIException(code="service_error", message="sorry", details=None), "service_error"),
    ],
)
def test_an_api_that_fails_is_named_with_what_to_do_and_no_token(
    api: Callable[[dict[str, Any]], None], error: Exception, said: str
) -> None:
    api({"/server_types": error})
    with pytest.raises(cloud.CloudError, match=said) as caught:
        cloud.place(**ASK, server_type="cx23", locations=["fsn1"])
    assert "Next: " in str(caught.value)
    assert ASK["token"] not in str(caught.value)


def server(primary_ipv4: int) -> dict[str, Any]:
    return {
        "servers": [
            {
                "id": 42,
                "name": "deployment-flow-dev",
                "location": {"id": 1, "name": "nbg1"},
                "public_net": {
                    "ipv4": {"id": primary_ipv4, "ip": "203.0.113.10", "blocked": False}
                    | {"dns_ptr": "x"},
                    "ipv6": None,
                    "floating_ips": [],
                    "firewalls": [],
                },
            }
        ]
    }


def test_a_server_with_an_address_of_this_state_is_this_stacks(
    api: Callable[[dict[str, Any]], None],
) -> None:
    api({"/servers": server(primary_ipv4=7)})
    found = cloud.orphan(**ASK, name="deployment-flow-dev", addresses=["7", "8"])
    assert found == cloud.Orphan(id="42", location="nbg1")


def test_a_server_of_the_same_name_alone_is_somebody_elses(
    api: Callable[[dict[str, Any]], None],
) -> None:
    api({"/servers": server(primary_ipv4=9)})
    assert cloud.orphan(**ASK, name="deployment-flow-dev", addresses=["7", "8"]) is None
    api({"/servers": {"servers": []}})
    assert cloud.orphan(**ASK, name="deployment-flow-dev", addresses=["7"]) is None

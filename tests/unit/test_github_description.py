"""What is served is what GitHub describes."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.github import describe, spec
from sandbox.github.routing import collect
from tests.unit.github_hub import FULL_NAME, Served, serving


def test_every_endpoint_is_in_the_description_or_known_to_be_missing() -> None:
    missing = [
        f"{e.method} {e.template}"
        for e in collect()
        if spec.operation(e.method, e.template) is None
        and not spec.is_undescribed(e.method, e.template)
    ]
    assert missing == [], "renew spec/github.json.gz: python -m sandbox.github.describe"


def test_an_answer_that_differs_is_found(tmp_path: Path) -> None:
    def spoil(served: Served) -> None:
        made: Any = served.client().get_organization("example-org").create_repo("fieldwork")
        served.hub.store.change("repository", made.id, default_branch=7)
        served.raw.get(f"/repos/{FULL_NAME}")

    with pytest.raises(pytest.fail.Exception) as told, serving(tmp_path) as served:
        spoil(served)
    assert "GET /repos/example-org/fieldwork 200: default_branch: 7 is not" in str(told.value)


def test_a_request_that_github_would_refuse_is_found(tmp_path: Path) -> None:
    def wrong(served: Served) -> None:
        served.raw.post("/orgs/example-org/repos", json={"name": "x", "private": "yes"})

    with pytest.raises(pytest.fail.Exception) as told, serving(tmp_path) as served:
        wrong(served)
    assert "request private: 'yes' is not of type 'boolean'" in str(told.value)


def test_the_description_is_cut_to_what_is_served() -> None:
    schema = {"$ref": "#/components/schemas/thing"}
    answer = {"description": "prose", "content": {"application/json": {"schema": schema}}}
    raw = {
        "paths": {
            "/repos/{a}/{b}": {"get": {"summary": "x", "responses": {"200": answer}}},
            "/enterprises": {"get": {"responses": {}}},
        },
        "components": {
            "schemas": {
                "thing": {"properties": {"title": {"type": "string", "example": "x"}}},
                "other": {},
            },
            "responses": {},
        },
    }
    cut = json.loads(json.dumps(describe.described(raw)))
    assert list(cut["paths"]) == ["/repos/{a}/{b}"]
    assert cut["components"]["schemas"] == {"thing": {"properties": {"title": {"type": "string"}}}}
    assert "prose" not in json.dumps(cut)

"""Small files of the application that its Compose file names: in the release, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from components import bundle, compose
from components.bundle import ComposeError, Public, Release, Variables
from components.compose_files import LIMIT
from remote.server.agent import policy

DIGEST = "sha256:" + "0" * 64
SERVICE = """
services:
  web:
    image: nginx:1.27
    labels: {deployment-flow.http: "80"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    (made / "nginx.conf").write_text("listen 80; # $host and ${host}\n")
    return made


def carried(folder: Path, more: str) -> str:
    (folder / "compose.yaml").write_text(SERVICE + more)
    return bundle.carried(folder / "compose.yaml", folder)


def rendered(text: str) -> dict[str, Any]:
    loaded = bundle.load(text)
    images = {name: f"r.example/{name}@{DIGEST}" for name in loaded["services"]}
    release = Release(loaded, "1", images, "r.example")
    made = bundle.render(release, Public("app.example.org"), Variables())
    found: dict[str, Any] = json.loads(made["files"]["compose.yaml"])
    assert policy.refusals(found) == []
    return found


def mistakes(folder: Path, more: str) -> list[str]:
    with pytest.raises(ComposeError) as caught:
        carried(folder, more)
    return caught.value.mistakes


def test_a_compose_file_that_names_no_file_stays_as_it_is_written(folder: Path) -> None:
    more = '    volumes: ["data:/data"] # kept\nvolumes: {data: }\n'
    assert carried(folder, more) == SERVICE + more


def test_a_config_from_a_file_has_its_text_with_no_variable_in_it(folder: Path) -> None:
    more = "    configs: [site]\nconfigs: {site: {file: ./nginx.conf}}\n"
    made = rendered(carried(folder, more))
    content = made["configs"]["site"]["content"]
    assert compose.interpolate(content, {}) == (folder / "nginx.conf").read_text()
    assert made["services"]["web"]["configs"] == ["site"]


@pytest.mark.parametrize(
    "mount",
    [
        "./nginx.conf:/etc/nginx/nginx.conf:ro",
        "./nginx.conf:/etc/nginx/nginx.conf:z,ro",
        "{type: bind, source: ./nginx.conf, target: /etc/nginx/nginx.conf, read_only: true}",
        "{type: bind, source: nginx.conf, target: /etc/nginx/nginx.conf, read_only: true}",
    ],
)
def test_a_file_that_is_mounted_read_only_is_a_config_at_its_place(
    folder: Path, mount: str
) -> None:
    entry = mount if mount.startswith("{") else f'"{mount}"'
    text = carried(folder, f"    volumes: [{entry}, cache:/c]\nvolumes: {{cache: }}\n")
    made = rendered(text)
    web = made["services"]["web"]
    assert web["volumes"] == ["cache:/c"]
    assert web["configs"] == [
        {"source": "web-etc-nginx-nginx.conf", "target": "/etc/nginx/nginx.conf", "mode": 0o444}
    ]
    assert "$$host" in made["configs"]["web-etc-nginx-nginx.conf"]["content"]


def test_two_files_at_places_of_like_names_stay_two(folder: Path) -> None:
    (folder / "b").write_text("b")
    made = rendered(carried(folder, '    volumes: ["./nginx.conf:/a/b:ro", "./b:/a-b:ro"]\n'))
    assert len({each["source"] for each in made["services"]["web"]["configs"]}) == 2


def test_a_script_stays_one_that_can_be_run(folder: Path) -> None:
    script = folder / "init.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    more = (
        '    volumes: ["./init.sh:/init.sh:ro"]\n'
        '    configs: [mine, {source: mine, mode: "0400"}]\n'
        "configs: {mine: {file: init.sh}}\n"
    )
    made = rendered(carried(folder, more))["services"]["web"]["configs"]
    assert [each["mode"] for each in made] == [0o555, 0o400, 0o555]


def test_a_changed_file_is_another_release(folder: Path) -> None:
    more = '    volumes: ["./nginx.conf:/n:ro"]\n'
    before = carried(folder, more)
    (folder / "nginx.conf").write_text("listen 81;\n")
    assert carried(folder, more) != before


def test_an_empty_file_still_has_a_content(folder: Path) -> None:
    (folder / "nginx.conf").write_text("")
    made = rendered(carried(folder, '    volumes: ["./nginx.conf:/n:ro"]\n'))
    assert made["configs"]["web-n"]["content"] == "\n"


def test_the_paths_of_a_compose_file_in_a_folder_are_relative_to_that(folder: Path) -> None:
    (folder / "deploy").mkdir()
    (folder / "deploy/compose.yaml").write_text(SERVICE + '    volumes: ["../nginx.conf:/n:ro"]\n')
    text = bundle.carried(folder / "deploy/compose.yaml", folder)
    assert "listen 80" in rendered(text)["configs"]["web-n"]["content"]


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("./nginx.conf:/n", "mount it read-only, as ./nginx.conf:/n:ro"),
        ("./missing.conf:/n:ro", "is no file in the application's folder; commit it there"),
        ("./parts:/n:ro", "./parts is a folder; mount its files one by one"),
        ("../outside:/n:ro", "../outside is outside of the application's folder"),
        ("./link:/n:ro", "./link is outside of the application's folder"),
        ("./picture:/n:ro", "is not text in UTF-8"),
        ("./nul:/n:ro", "is not text in UTF-8"),
        ("./big:/n:ro", "more than 256 KiB; put it into the image"),
        ("./.env:/n:ro", "looks like a secret"),
        ("./pem:/n:ro", "looks like a secret"),
        ("./innocent:/n:ro", "looks like a secret"),
        (".:/app", ". is a path of the server"),
        ("./parts:/app", "./parts is a path of the server"),
        ("/etc/hosts:/n:ro", "/etc/hosts is a path of the server"),
        ("./${WHICH}.conf:/n:ro", "holds a variable"),
    ],
)
def test_a_file_that_cannot_be_in_a_release_is_refused_with_what_to_do(
    folder: Path, mount: str, said: str
) -> None:
    (folder.parent / "outside").write_text("x")
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "parts").mkdir()
    (folder / "picture").write_bytes(b"\x89PNG\xff")
    (folder / "nul").write_bytes(b"a\0b")
    (folder / "big").write_text("x" * (LIMIT + 1))
    (folder / ".env").write_text("TOKEN=s3cret")
    (folder / "innocent").symlink_to(".env")
    (folder / "pem").write_text("-----BEGIN EC PRIVATE KEY-----\nx\n")
    more = f'    volumes: ["{mount}"]\n'
    try:
        found = bundle.check(bundle.load(carried(folder, more)))
    except ComposeError as error:
        found = error.mistakes
    assert len(found) == 1, found
    assert said in found[0]
    assert "s3cret" not in found[0]


def test_files_that_are_too_large_together_are_refused(folder: Path) -> None:
    (folder / "a").write_text("x" * (LIMIT // 2 + 1))
    found = mistakes(folder, '    volumes: ["./a:/a:ro", "./a:/b:ro"]\n')
    assert len(found) == 1
    assert "put it into the image" in found[0]


def test_a_file_that_cannot_be_does_not_hide_the_other_mistakes(folder: Path) -> None:
    found = mistakes(folder, "    privileged: true\nconfigs: {site: {file: missing}}\n")
    assert [each.split(":")[0] for each in found] == [
        "configs.site.file", "services.web.privileged",
    ]  # fmt: skip


def test_a_secret_is_never_carried(folder: Path) -> None:
    more = "    secrets: [key]\nsecrets: {key: {file: nginx.conf}}\n"
    found = bundle.check(bundle.load(carried(folder, more)))
    assert len(found) == 1
    assert "give its content as a secret of the settings" in found[0]


def test_what_is_no_compose_file_is_left_to_the_check(folder: Path) -> None:
    text = carried(folder, "    volumes: 7\n")
    assert bundle.check(bundle.load(text)) == ["services.web.volumes: is not a list"]


def test_a_service_for_local_use_may_mount_what_it_likes(folder: Path) -> None:
    more = "  tool: {image: x, profiles: [dev], volumes: ['./missing:/m:ro', '.:/app']}\n"
    assert bundle.check(bundle.load(carried(folder, more))) == []

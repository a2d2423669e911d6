"""From tags to digests, against a registry that is acted out."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from planning import images
from planning.images import Credentials, ImageError, Reference
from registry import client
from tests.unit.image_registry import MANIFEST, OWN, FakeRegistry, digest_of


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


Resolve = Callable[..., images.Pins]


@pytest.fixture
def resolve(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Resolve:
    monkeypatch.setattr(time, "sleep", lambda _: None)

    def run(services: dict[str, str], version: str = "1.0.0", **more: Any) -> images.Pins:
        compose = {"services": {name: {"image": image} for name, image in services.items()}}
        with httpx.Client(transport=httpx.MockTransport(registry.answer)) as client:
            return images.resolve(
                compose, "ghcr.io/example/app", version=version, client=client, **more
            )

    return run


WEB = {"web": "${IMAGES}/web:${VERSION:-local}"}


def test_a_tag_becomes_the_digest_of_what_it_names_now(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    digest = registry.push("example/app/web", "1.0.0")
    assert resolve(WEB) == {
        "version": "1.0.0",
        "revision": "",
        "images": {"web": f"ghcr.io/example/app/web@{digest}"},
        "layers": registry.layers,
    }


def test_a_layer_that_images_share_counts_once(registry: FakeRegistry, resolve: Resolve) -> None:
    registry.push("example/app/web", "1.0.0")
    registry.layers = {"sha256:base": 1000, "sha256:api": 7}
    registry.push("example/app/api", "1.0.0")
    pins = resolve({**WEB, "api": "${IMAGES}/api:${VERSION}"})
    assert pins["layers"] == {"sha256:base": 1000, "sha256:top": 20, "sha256:api": 7}


def test_a_branchs_newest_image_says_its_version_and_commit(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    registry.push(
        "example/app/web",
        "staging",
        **{images.VERSION_LABEL: "1.4.2", images.REVISION_LABEL: "c0ffee"},
    )
    pins = resolve(WEB, "staging")
    assert (pins["version"], pins["revision"]) == ("1.4.2", "c0ffee")


def test_an_image_for_many_platforms_is_pinned_whole_and_read_for_servers(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    arm = registry.push("example/app/web", "arm", **{images.VERSION_LABEL: "arm"})
    intel = registry.push("example/app/web", "intel", **{images.VERSION_LABEL: "1.1.0"})
    index = registry.push_index(
        "example/app/web", "1.1.0",
        (arm, "linux", "arm64"), (intel, "linux", "amd64"), (arm, "unknown", "unknown"),
    )  # fmt: skip
    pins = resolve(WEB, "1.1.0")
    assert pins["images"]["web"].endswith(index)
    assert pins["version"] == "1.1.0"


def test_an_image_for_other_processors_only_is_refused_with_the_one_it_has_to_be_for(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    arm = registry.push("example/app/web", "arm")
    registry.push_index("example/app/web", "1.0.0", (arm, "linux", "arm64"), (arm, "b", "amd64"))
    assert resolve(WEB, architecture="arm64")
    with pytest.raises(ImageError, match=r"web:1.0.0 is for arm64.*--platform linux/amd64"):
        resolve(WEB, architecture="amd64")


def test_an_image_for_one_processor_says_so_in_its_configuration(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    registry.architecture = "amd64"
    registry.push("example/app/web", "1.0.0")
    with pytest.raises(ImageError, match=r"is for amd64.*is arm64"):
        resolve(WEB, architecture="arm64")
    assert resolve(WEB, architecture="amd64")


def test_what_an_image_for_many_processors_consists_of_is_told_for_the_servers(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    intel = registry.push("example/app/web", "intel")
    registry.layers = {"sha256:arm": 7}
    arm = registry.push("example/app/web", "arm")
    parts = (intel, "linux", "amd64"), (arm, "linux", "arm64")
    registry.push_index("example/app/web", "1.0.0", *parts)
    assert resolve(WEB, architecture="arm64")["layers"] == {"sha256:arm": 7}


def test_an_image_is_asked_for_once_however_many_services_use_it(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    registry.push("example/app/api", "1.0.0")
    resolve(dict.fromkeys(("api", "migrate", "schedule"), "${IMAGES}/api:${VERSION}"))
    assert len([r for r in registry.asked if "/manifests/" in r.url.path]) == 1


def test_images_of_others_need_no_label_and_get_no_credential(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    digest = registry.push("library/postgres", "17")
    pins = resolve({"db": "postgres:17"}, credentials=OWN)
    assert pins["images"]["db"] == f"postgres@{digest}"
    assert registry.asked[0].url.host == "registry-1.docker.io"
    assert not any("authorization" in request.headers for request in registry.asked)


def test_a_digest_that_was_told_counts_for_more_than_what_the_tag_is_now(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    told = registry.push("example/app/web", "1.0.0")
    registry.push("example/app/web", "1.0.0", other="1")
    pins = resolve(WEB, digests={"ghcr.io/example/app/web": told})
    assert pins["images"]["web"].endswith(told)


def test_another_tag_is_of_the_same_bytes_and_asks_for_leave_to_push(
    registry: FakeRegistry,
) -> None:
    registry.login = "bearer"
    pushed = registry.push("example/app/web", "c0ffee")
    with httpx.Client(transport=httpx.MockTransport(registry.answer)) as http:
        image = Reference.parse("ghcr.io/example/app/web:c0ffee")
        assert client.Registry(http, image, OWN).tag("v1.0.0") == pushed
    assert digest_of(registry.tags["example/app/web", "v1.0.0"]) == pushed
    assert registry.types["example/app/web", "v1.0.0"] == MANIFEST
    scopes = [
        str(each.url.params.get("scope")) for each in registry.asked if "token" in str(each.url)
    ]
    assert scopes == ["repository:x:pull", "repository:x:pull,push"]


def test_a_digest_that_is_written_is_taken_as_it_is(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    pinned = "postgres@sha256:" + "a" * 64
    assert resolve({"db": pinned})["images"]["db"] == pinned
    assert registry.asked == []


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_a_registry_with_a_login_is_logged_in_to(
    registry: FakeRegistry, resolve: Resolve, login: str
) -> None:
    registry.login = login
    registry.push("example/app/web", "1.0.0")
    assert resolve(WEB, credentials=OWN)["images"]["web"]


def test_a_public_image_behind_a_token_needs_no_credential(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    registry.login = "bearer"
    registry.push("example/app/web", "1.0.0")
    assert resolve(WEB)["images"]["web"]


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_a_wrong_credential_is_named_without_its_password(
    registry: FakeRegistry, resolve: Resolve, login: str
) -> None:
    registry.login = login
    registry.push("example/app/web", "1.0.0")
    with pytest.raises(ImageError, match=r"user team.*registryPassword") as error:
        resolve(WEB, credentials=Credentials("team", "wrong-one"))
    assert "wrong-one" not in str(error.value)


def test_no_credential_where_one_is_needed_says_so(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    registry.login = "basic"
    with pytest.raises(ImageError, match=r"to no credential .*it wants a login"):
        resolve(WEB)


def test_a_missing_image_says_what_to_do(resolve: Resolve) -> None:
    with pytest.raises(
        ImageError, match=r"no image ghcr.io/example/app/web:1\.0\.0; build and push"
    ):
        resolve(WEB)


def test_images_pushed_at_different_times_are_not_mixed(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    for name, version in (("web", "1.1.0"), ("api", "1.0.0")):
        registry.push(f"example/app/{name}", "staging", **{images.VERSION_LABEL: version})
    with pytest.raises(ImageError, match=r"api 1.0.0, web 1.1.0.*still be pushing"):
        resolve({name: f"${{IMAGES}}/{name}:${{VERSION}}" for name in ("web", "api")}, "staging")


def test_a_passing_fault_is_tried_again(registry: FakeRegistry, resolve: Resolve) -> None:
    registry.push("example/app/web", "1.0.0")
    registry.answers = [httpx.Response(503), httpx.ConnectTimeout("slow")]
    assert resolve(WEB)["images"]["web"]


def test_a_registry_that_is_away_is_named_with_the_remedy(
    registry: FakeRegistry, resolve: Resolve
) -> None:
    registry.answers = [httpx.ConnectError("refused")] * 3
    with pytest.raises(ImageError, match=r"ghcr.io cannot be reached \(refused\)"):
        resolve(WEB)


def test_a_registry_that_stays_broken_is_given_up(registry: FakeRegistry, resolve: Resolve) -> None:
    registry.answers = [httpx.Response(500) for _ in range(3)]
    with pytest.raises(ImageError, match="answered 500"):
        resolve(WEB)


def test_a_variable_without_a_value_is_named_with_its_service(resolve: Resolve) -> None:
    with pytest.raises(ImageError, match=r"services.web.image: \$\{TAG\} has no value"):
        resolve({"web": "web:${TAG}"})


@pytest.mark.parametrize(
    ("text", "registry_name", "repository", "tag"),
    [
        ("postgres", "docker.io", "library/postgres", "latest"),
        ("example/app:1", "docker.io", "example/app", "1"),
        ("ghcr.io/a/b/c:1.0", "ghcr.io", "a/b/c", "1.0"),
        ("localhost:5000/x", "localhost:5000", "x", "latest"),
        ("host:5000/x:2", "host:5000", "x", "2"),
    ],
)
def test_names_of_images_are_read_as_docker_reads_them(
    text: str, registry_name: str, repository: str, tag: str
) -> None:
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag) == (registry_name, repository, tag)


@pytest.mark.parametrize("text", ["", "UPPER CASE", "a b", "x:$(id)", "/"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ImageError):
        Reference.parse(text)


def authority(path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def test_an_authority_of_ones_own_is_added_and_not_put_in_place_of_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    before = client.trust().cert_store_stats()["x509_ca"]
    authority(tmp_path / "own.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "own.pem"))
    assert client.trust().cert_store_stats()["x509_ca"] == before + 1
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(ImageError, match="CURL_CA_BUNDLE"):
        client.trust()


def test_a_credential_does_not_show_its_password() -> None:
    assert "pass word" not in repr(OWN)

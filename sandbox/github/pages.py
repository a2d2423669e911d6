"""What a person's browser sees of repositories: where the API's `html_url`s lead.

Pages show what the API answers to the repository's owner, so that they can differ from it in
nothing. They are for anybody on this machine. Pages of runs are in actions/pages.py.
"""

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.github import checks, deployments
from sandbox.github.access import Caller
from sandbox.github.call import Call
from sandbox.github.errors import GithubError
from sandbox.github.git import GitError
from sandbox.github.html import link, nothing, off_the_loop, page
from sandbox.github.hub import Hub
from sandbox.github.resources import (
    branches,
    comments,
    commits,
    contents,
    environments,
    issues,
    pulls,
    releases,
    repositories,
    reviews,
)
from sandbox.github.routing import Handler

_LAST = 20

Show = Callable[["Asking"], Response]


class Asking:
    """What a page asks of the API, with the rights of the repository's owner."""

    def __init__(self, hub: Hub, params: dict[str, str]) -> None:
        self.hub = hub
        self.params = params
        self.repository = hub.repository(params["owner"], params["repo"])
        self.full_name = str(self.repository["full_name"])
        self.html = f"{hub.url}/{self.full_name}"

    def get(self, handler: Handler, query: Iterable[tuple[str, str]] = (), **params: str) -> Any:
        """The body of a handler's answer. Raises GithubError."""
        caller = Caller(self.repository["owner"], "classic")
        named = {**self.params, **params}
        call = Call(self.hub, caller, "", named, list(query), {}, found=self.repository)
        return handler(call).body


def routes(hub: Hub) -> list[Route]:
    """What is mounted beside the API."""

    def shown(show: Show) -> Callable[[Request], object]:
        def work(request: Request) -> Response:
            try:
                return show(Asking(hub, {k: str(v) for k, v in request.path_params.items()}))
            except (GithubError, GitError):
                return nothing()

        return off_the_loop(work)

    def index(_request: Request) -> Response:
        found = sorted(record["full_name"] for record in hub.store.all("repository"))
        return page("Repositories", [_list(link(f"{hub.url}/{name}", name) for name in found)])

    under = "/{owner}/{repo}"
    return [
        Route("/", off_the_loop(index), methods=["GET"]),
        Route(under, shown(_repository), methods=["GET"]),
        Route(under + "/pull/{pull_number:int}", shown(_pull), methods=["GET"]),
        Route(under + "/issues/{issue_number:int}", shown(_issue), methods=["GET"]),
        Route(under + "/commit/{ref}", shown(_commit), methods=["GET"]),
        Route(under + "/compare/{basehead:path}", shown(_compare), methods=["GET"]),
        Route(under + "/releases", shown(_repository), methods=["GET"]),
        Route(under + "/releases/tag/{tag:path}", shown(_release), methods=["GET"]),
        Route(under + "/tree/{rest:path}", shown(_file), methods=["GET"]),
        Route(under + "/blob/{rest:path}", shown(_file), methods=["GET"]),
        Route(under + "/raw/{rest:path}", shown(_raw), methods=["GET"]),
        Route(under + "/deployments/activity_log", shown(_repository), methods=["GET"]),
    ]


def _list(entries: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{entry}</li>" for entry in entries) + "</ul>"


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    found = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if not found:
        return f"<h2>{head}</h2><p>none</p>"
    return f"<h2>{head}</h2><table>{''.join(found)}</table>"


def _repository(asking: Asking) -> Response:
    told = asking.get(repositories.get)
    runs = link(asking.html + "/actions", "workflow runs")
    parts = [
        f"<p>{escape(told['description'] or '')}</p>",
        f"<p><code>git clone {escape(told['clone_url'])}</code> · {runs}</p>",
        _table("Environments", _environments(asking)),
    ]
    if asking.hub.git(asking.repository).refs("refs/heads/"):
        parts += [
            _table("Branches", _branches(asking)),
            _table(f"Last commits of {escape(told['default_branch'])}", _commits(asking)),
        ]
    found = asking.get(pulls.list_all, [("state", "all"), ("per_page", str(_LAST))])
    parts.append(
        _table(
            "Pull requests",
            (
                [
                    link(each["html_url"], f"#{each['number']} {each['title']}"),
                    "merged" if each["merged_at"] else escape(each["state"]),
                    escape(f"{each['head']['label']} → {each['base']['ref']}"),
                    escape(each["user"]["login"]),
                ]
                for each in found
            ),
        )
    )
    found = asking.get(releases.list_all, [("per_page", str(_LAST))])
    parts.append(
        _table(
            "Releases",
            (
                [
                    link(each["html_url"], each["name"] or each["tag_name"]),
                    "draft" if each["draft"] else escape(each["published_at"] or ""),
                ]
                for each in found
            ),
        )
    )
    return page(asking.full_name, parts)


def _environments(asking: Asking) -> Iterable[list[str]]:
    hub, deployed = asking.hub, asking.hub.store.all("deployment", asking.full_name)
    for each in asking.get(environments.list_environments, [("per_page", "100")])["environments"]:
        address = state = commit = ""
        for deployment in reversed(deployed):
            if deployment["environment"] == each["name"]:
                newest = deployments.statuses(hub, deployment)
                address = next((s["environment_url"] for s in newest if s["environment_url"]), "")
                state = newest[0]["state"] if newest else ""
                commit = link(f"{asking.html}/commit/{deployment['sha']}", deployment["sha"][:12])
                break
        yield [escape(each["name"]), link(address), escape(state), commit]


def _branches(asking: Asking) -> Iterable[list[str]]:
    for each in asking.get(branches.list_branches, [("per_page", "100")]):
        sha = each["commit"]["sha"]
        yield [
            link(f"{asking.html}/tree/{each['name']}", each["name"]),
            link(f"{asking.html}/commit/{sha}", sha[:12]),
            "protected" if each["protected"] else "",
        ]


def _commits(asking: Asking) -> Iterable[list[str]]:
    for each in asking.get(commits.list_commits, [("per_page", str(_LAST))]):
        title = each["commit"]["message"].partition("\n")[0]
        yield [
            link(each["html_url"], each["sha"][:12]),
            escape(title),
            escape(each["commit"]["author"]["name"]),
            escape(each["commit"]["author"]["date"]),
        ]


def _issue(asking: Asking) -> Response:
    return _discussion(asking, asking.get(issues.get), asking.params["issue_number"], [])


def _pull(asking: Asking) -> Response:
    told = asking.get(pulls.get)
    number = asking.params["pull_number"]
    state = "merged" if told["merged"] else told["state"]
    said = asking.get(reviews.list_all, [("per_page", "100")])
    above = (
        f"<p><b>{escape(state)}</b>: {escape(told['head']['label'])} → "
        f"{escape(told['base']['ref'])} by {escape(told['user']['login'])}</p>"
    )
    states = checks.contexts(asking.hub, asking.full_name, told["head"]["sha"])
    below = [
        _table("Reviews", ([escape(r["user"]["login"]), escape(r["state"])] for r in said)),
        _table("Checks", ([escape(name), escape(state)] for name, state in states.items())),
        "<h2>Files</h2>",
        *_files(asking.get(pulls.files, [("per_page", "100")])),
    ]
    return _discussion(asking, told, number, [above], below)


def _discussion(
    asking: Asking, told: Any, number: str, above: list[str], below: Iterable[str] = ()
) -> Response:
    labels = ", ".join(escape(label["name"]) for label in told["labels"])
    parts = [*above, f"<p>{labels}</p>", f"<pre>{escape(told['body'] or '')}</pre>"]
    said = asking.get(comments.list_of_issue, [("per_page", "100")], issue_number=number)
    for each in said:
        who = f"{escape(each['user']['login'])}, {escape(each['created_at'])}"
        parts.append(f"<h3>{who}</h3><pre>{escape(each['body'])}</pre>")
    return page(f"#{number} {told['title']}", [*parts, *below, _back(asking)])


def _commit(asking: Asking) -> Response:
    told = asking.get(commits.get)
    author = told["commit"]["author"]
    above = f"<p>{escape(author['name'])}, {escape(author['date'])}</p>"
    message = f"<pre>{escape(told['commit']['message'])}</pre>"
    return page(told["sha"][:12], [above, message, *_files(told["files"]), _back(asking)])


def _compare(asking: Asking) -> Response:
    told = asking.get(commits.compare)
    listed = (
        f"{link(each['html_url'], each['sha'][:12])} {escape(each['commit']['message'])}"
        for each in told["commits"]
    )
    parts = [f"<p>{told['ahead_by']} ahead, {told['behind_by']} behind</p>", _list(listed)]
    return page(asking.params["basehead"], [*parts, *_files(told["files"]), _back(asking)])


def _files(found: Iterable[dict[str, Any]]) -> Iterable[str]:
    for file in found:
        yield f"<h3>{escape(file['filename'])}</h3><pre>{escape(file.get('patch', ''))}</pre>"


def _release(asking: Asking) -> Response:
    told = asking.get(releases.by_tag)
    parts = [f"<p>{escape(told['tag_name'])}, {escape(told['published_at'] or 'draft')}</p>"]
    return page(
        told["name"] or told["tag_name"],
        [*parts, f"<pre>{escape(told['body'] or '')}</pre>", _back(asking)],
    )


def _place(asking: Asking) -> tuple[str, str]:
    """(branch or commit, path) of `feature-demo/x/docs/a.md`: the longest ref there is."""
    words = asking.params["rest"].strip("/").split("/")
    git = asking.hub.git(asking.repository)
    for count in range(len(words), 0, -1):
        if git.resolve("/".join(words[:count])):
            return "/".join(words[:count]), "/".join(words[count:])
    return words[0], "/".join(words[1:])


def _file(asking: Asking) -> Response:
    ref, path = _place(asking)
    told = asking.get(contents.get, [("ref", ref)], path=path)
    title = f"{path or asking.full_name} at {ref}"
    if isinstance(told, list):
        return page(title, [_list(link(e["html_url"], e["name"]) for e in told), _back(asking)])
    return page(title, [f"<pre>{escape(_text(asking, ref, path))}</pre>", _back(asking)])


def _raw(asking: Asking) -> Response:
    return PlainTextResponse(_text(asking, *_place(asking)))


def _text(asking: Asking, ref: str, path: str) -> str:
    git = asking.hub.git(asking.repository)
    return (git.file(git.resolve(ref) or ref, path) or b"").decode("utf-8", "replace")


def _back(asking: Asking) -> str:
    return f"<p>{link(asking.html, asking.full_name)}</p>"

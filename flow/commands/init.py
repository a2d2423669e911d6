"""`flow init`: an application's four stages, from tokens to the first pull request."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from github import GithubException

from flow import backends, project, terminal
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.errors import FlowError
from flow.onboarding import answers, init, plans
from flow.onboarding.checkout import Checkout
from flow.pricing import HETZNER_API
from flow.promotion import team
from flow.stages import Stages


def init_command(
    repository: Annotated[
        str, typer.Option(envvar="GITHUB_REPOSITORY", help="The application's, as OWNER/NAME.")
    ] = "",
    deployment: Annotated[
        str,
        typer.Option(
            envvar="FLOW_DEPLOYMENT", help="The team's copy of this repository; else its origin."
        ),
    ] = "",
    images: Annotated[
        str, typer.Option(envvar="FLOW_IMAGES", help="Registry and path of the images.")
    ] = "",
    compose_file: Annotated[
        str, typer.Option(envvar="FLOW_COMPOSE_FILE", help="In the application's folder.")
    ] = "",
    domain: Annotated[
        str, typer.Option(envvar="FLOW_DOMAIN", help="Stages are dev., staging., app. of it.")
    ] = "",
    email: Annotated[
        str, typer.Option(envvar="FLOW_EMAIL", help="For the certificate authority.")
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            envvar=["PULUMI_BACKEND_URL_NONPROD", "PULUMI_BACKEND_URL"],
            help="Of the state of dev and staging: s3://BUCKET?endpoint=…&region=…, file:///DIR.",
        ),
    ] = "",
    state_prod: Annotated[
        str, typer.Option(envvar="PULUMI_BACKEND_URL_PROD", help="Of production's state.")
    ] = "",
    state_demo: Annotated[
        str, typer.Option(envvar="PULUMI_BACKEND_URL_DEMO", help="Of the demos' state.")
    ] = "",
    one_state: Annotated[
        bool,
        typer.Option(
            "--one-state",
            help="One state, key and passphrase for all: who may push a demo reaches production.",
        ),
    ] = False,
    reviewer: Annotated[
        list[str] | None,
        typer.Option(help="Who agrees to a release: LOGIN or ORG/TEAM. Can be repeated."),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Commit to an unprotected branch: no pull request.")
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Set the secrets on GitHub again that are there.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace settings that differ without asking.")
    ] = False,
    keep_default_branch: Annotated[
        bool, typer.Option("--keep-default-branch", help="Leave the default branch as it is.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Set up an application's stages: settings, stacks, GitHub, and the workflow.

    Asks what is not given. Secrets come from the environment or are typed without echo:
    HCLOUD_TOKEN_PROD, HCLOUD_TOKEN_NONPROD, HCLOUD_TOKEN_DEMO, GITHUB_TOKEN, FLOW_GITHUB_TOKEN,
    REGISTRY_USERNAME, REGISTRY_PASSWORD, PULUMI_CONFIG_PASSPHRASE_PROD, …_NONPROD, …_DEMO, and
    with the same endings AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for buckets. Nightly backups
    are set up where BACKUP_BUCKET and its key are given; production's with FLOW_DUMP_RECIPIENT.
    Every token is checked before anything is made. Safe to repeat: what is there stays.
    """
    here = project.find()
    checkout = Checkout(here.folder)
    given = answers.Given(
        repository=repository,
        deployment=deployment or (checkout.origin if checkout.exists else ""),
        images=images,
        compose_file=compose_file,
        domain=domain,
        email=email,
        states={backends.NONPROD: state, backends.PROD: state_prod, backends.DEMO: state_demo},
        one_state=one_state,
        reviewers=tuple(reviewer or ()),
    )
    asks = _prompt if sys.stdin.isatty() and not yes else None
    told = answers.collect(
        given, os.environ, asks, encrypted=init.encrypted(here), known=init.known(here)
    )
    wishes = init.Wishes(push=push, renew=renew, keep_default=keep_default_branch)
    try:
        with terminal.progress.status("checking tokens, looking at what is there …"):
            endpoint = os.environ.get("HCLOUD_ENDPOINT") or HETZNER_API
            plan = init.plan(here, told, os.environ, endpoint, wishes)
        done = _carry_out(plan, told, dry_run=dry_run, yes=yes, overwrite=overwrite)
    except GithubException as error:
        raise plans.reviewing(error) or team.explained(error) from error
    for note in plan.notes:
        terminal.say(f"note: {note}")
    if as_json:
        steps = [{"what": each.what, "result": done.get(each.what, "")} for each in plan.steps]
        state_of = "planned" if dry_run else "done" if plan.steps else "nothing"
        terminal.print_json({"state": state_of, "steps": steps, "notes": list(plan.notes)})


def _carry_out(
    plan: init.Plan, told: answers.Answers, *, dry_run: bool, yes: bool, overwrite: bool
) -> dict[str, str]:
    """Do the steps once they are agreed on; addresses of what was made, by step."""
    if not plan.steps:
        terminal.say("all of it is there: nothing was changed. Next: flow doctor")
        return {}
    terminal.say("this is what is to do:")
    for each in plan.steps:
        terminal.say("  - " + each.what.replace("\n", "\n  - "))
    if dry_run:
        return {}
    if plan.overwrites and not overwrite:
        listed = "; ".join(str(each) for each in plan.overwrites)
        if yes:
            raise FlowError(
                f"settings of your own would be replaced: {listed}", "add --overwrite", code=2
            )
        agree(f"Replace settings of your own? {listed}.", yes)
    agree("Do it?", yes)
    if made := passphrases(told):
        _show(made)
    done: dict[str, str] = {}
    with Stages() as stages:
        for each in plan.steps:
            with stages.stage(each.what.partition("\n")[0]) as stage:
                result = each.do()
                if isinstance(result, str) and result.startswith("http"):
                    done[each.what] = stage.result = result
    terminal.say("done. Next: merge the pull request, then flow doctor")
    return done


def passphrases(told: answers.Answers) -> dict[str, str]:
    """Those that were made here, by the variable `flow` takes each from."""
    return {
        backends.PASSPHRASE
        if told.one_state
        else backends.of_group(backends.PASSPHRASE, group): state.passphrase
        for group, state in told.states.items()
        if state.is_new
    }


def _show(made: dict[str, str]) -> None:
    # Once, and before anything is encrypted with it: cut short, nothing is lost.
    listed = "\n".join(f"  {variable}={value}" for variable, value in made.items())
    terminal.say(
        "Passphrases of the stacks' secrets were made for you and are shown this once:\n\n"
        f"{listed}\n\nKeep them in the team's password store: without its own no stack can be "
        "changed. `flow` takes them from these variables; runs have them already."
    )


def _prompt(question: str, default: str, secret: bool) -> str:
    return str(
        typer.prompt(
            question, default=default, hide_input=secret, show_default=not secret, err=True
        )
    )

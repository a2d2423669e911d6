"""A stage's part at GitHub: its environment, what jobs of it are given, rules for its branch.

What a run needs to start lives in environments no stack owns. This one holds what only the
stack knows, and goes with it.
"""

from collections.abc import Sequence
from typing import TypedDict, cast

import pulumi
import pulumi_github as github

RELEASE_TAGS = "v*"
VARIABLES = ("DEPLOY_HOST", "URL")


class GithubArgs(TypedDict):
    """What the settings say of a stage at GitHub."""

    url: str
    """https://api.github.com, or the address of a server of one's own."""
    token: pulumi.Input[str] | None
    """Secret; None where the provider finds it in its own environment, and no state keeps it."""
    owner: str
    repository: str
    """Without its owner."""
    environment: str
    branch: str
    released: bool
    """Deployed by tags of releases instead of by pushes to the branch."""
    users: Sequence[int]
    """Ids of people any of whom may agree to a job."""
    teams: Sequence[int]
    ruleset: str | None
    """Its name; None for a branch that anybody may push to."""
    reviews: int
    """Approvals a pull request to the branch needs."""
    checks: Sequence[str]
    methods: Sequence[str]
    """Ways a pull request to the branch may be merged: merge, squash, rebase; empty for all."""


class GithubEnvironmentArgs(GithubArgs):
    """One stage at GitHub."""

    host: pulumi.Input[str]
    site: pulumi.Input[str]
    """URL of the stage."""
    deploy_key: pulumi.Input[str]
    """OpenSSH private key; secret."""
    known_hosts: pulumi.Input[str]


class GithubEnvironment(pulumi.ComponentResource):
    """An environment with policy, reviewers, secrets and variables; a ruleset for the branch."""

    def __init__(
        self, name: str, args: GithubEnvironmentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:GithubEnvironment", name, None, opts)
        provider = github.Provider(
            f"{name}-github",
            owner=args["owner"],
            base_url=args["url"],
            # With no value at all the SDK puts GITHUB_TOKEN there, and so into the state.
            token=args["token"] or pulumi.Output.from_input(cast(str, None)),
            # The older client waits a second after everything it writes.
            legacy_client=False,
            # Beside this component, so that it waits for nothing: to start takes seconds.
            opts=pulumi.ResourceOptions(parent=opts.parent if opts else None),
        )
        child = pulumi.ResourceOptions(parent=self, provider=provider)
        environment = _environment(name, args, child)
        # Removed with the environment, by GitHub itself.
        inside = pulumi.ResourceOptions.merge(
            child, pulumi.ResourceOptions(deleted_with=environment)
        )
        where = environment.environment
        github.RepositoryEnvironmentDeploymentPolicy(
            f"{name}-github-policy",
            repository=args["repository"],
            environment=where,
            branch_pattern=None if args["released"] else args["branch"],
            tag_pattern=RELEASE_TAGS if args["released"] else None,
            opts=inside,
        )
        secrets = {"DEPLOY_KEY": args["deploy_key"], "DEPLOY_KNOWN_HOSTS": args["known_hosts"]}
        for key, value in secrets.items():
            github.ActionsEnvironmentSecret(
                f"{name}-github-{_slug(key)}",
                repository=args["repository"],
                environment=where,
                secret_name=key,
                # Sealed by the provider for the repository's key; the state keeps it encrypted.
                value=pulumi.Output.secret(value),
                opts=inside,
            )
        for key, value in zip(VARIABLES, (args["host"], args["site"]), strict=True):
            github.ActionsEnvironmentVariable(
                f"{name}-github-{_slug(key)}",
                repository=args["repository"],
                environment=where,
                variable_name=key,
                value=value,
                opts=inside,
            )
        if args["ruleset"] is not None:
            _ruleset(name, args["ruleset"], args, child)
        self.register_outputs({"environment": where})


def _slug(key: str) -> str:
    return key.lower().replace("_", "-")


def _environment(
    name: str, args: GithubEnvironmentArgs, opts: pulumi.ResourceOptions
) -> github.RepositoryEnvironment:
    wanted = bool(args["users"] or args["teams"])
    return github.RepositoryEnvironment(
        f"{name}-github-environment",
        repository=args["repository"],
        environment=args["environment"],
        reviewers=[
            github.RepositoryEnvironmentReviewerArgs(
                users=list(args["users"]), teams=list(args["teams"])
            )
        ]
        if wanted
        else None,
        # Where somebody has to agree, an administrator's own word is not enough either.
        can_admins_bypass=not wanted,
        deployment_branch_policy=github.RepositoryEnvironmentDeploymentBranchPolicyArgs(
            protected_branches=False, custom_branch_policies=True
        ),
        opts=opts,
    )


def _ruleset(
    name: str, title: str, args: GithubEnvironmentArgs, opts: pulumi.ResourceOptions
) -> github.RepositoryRuleset:
    checks = [
        github.RepositoryRulesetRulesRequiredStatusChecksRequiredCheckArgs(context=context)
        for context in args["checks"]
    ]
    return github.RepositoryRuleset(
        f"{name}-github-rules",
        name=title,
        repository=args["repository"],
        target="branch",
        enforcement="active",
        conditions=github.RepositoryRulesetConditionsArgs(
            ref_name=github.RepositoryRulesetConditionsRefNameArgs(
                includes=[f"refs/heads/{args['branch']}"], excludes=[]
            )
        ),
        rules=github.RepositoryRulesetRulesArgs(
            deletion=True,
            non_fast_forward=True,
            pull_request=github.RepositoryRulesetRulesPullRequestArgs(
                required_approving_review_count=args["reviews"],
                allowed_merge_methods=list(args["methods"]) or None,
            ),
            required_status_checks=github.RepositoryRulesetRulesRequiredStatusChecksArgs(
                required_checks=checks
            )
            if checks
            else None,
        ),
        opts=opts,
    )

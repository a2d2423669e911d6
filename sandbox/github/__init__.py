"""A GitHub on this machine: its API, git over HTTP, and the workflows it runs.

hub.py          what every part shares: records, repositories, tokens, who is told of events
access.py       tokens of every kind, the permissions they carry, and people's roles
gateway.py      from a request to a resource's handler and back: tokens, faults, permissions
resources/      one file a resource of the API
spec.py         GitHub's description of its API, which answers are compared with (describe.py)
git.py          bare repositories, by git's own plumbing; git_objects.py their blobs and trees
git_http.py     clone, fetch and push, with the same tokens
pushes.py       whether a push may be, and what is told of it; ref_changes.py the same by the API
rules.py        rulesets in force; push_hook.py holds pushes to what git alone can tell
environments.py environments, and what of their secrets and variables a job is given
pull_records.py pull requests; mergeability.py whether they may be merged, merging.py how
checks.py       what machines say of commits; deployments.py what of deployments
pages.py        what a person's browser sees
actions/        workflow files: what starts them, in which order, by whose leave
"""

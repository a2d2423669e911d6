"""A GitHub on this machine: its API, git over HTTP, and the workflows it runs.

hub.py        what every part shares: records, repositories, tokens, who is told of events
gateway.py    from a request to a resource's handler and back: tokens, limits, faults, permissions
resources/    one file a resource of the API
git.py        bare repositories, by git's own plumbing
git_http.py   clone, fetch and push, with the same tokens
actions/      workflow files: what starts them, in which order, by whose leave
"""

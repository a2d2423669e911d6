"""From settings to what an `up` makes: what is asked of others is asked here, before anything
is registered, and what can be decided is decided in pure functions.

`record` reads what the stack's last run left, `releases` and `images` which release this one
deploys, `cloud` asks Hetzner where a server can be had, `plan` puts it together, and `rescue`
says what to do when Hetzner fails in the middle.
"""

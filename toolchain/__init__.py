"""The programs a deployment needs besides Python: engine, language host, plugins.

`python3 -m toolchain.install` puts them into `.toolchain/`. This package uses the
standard library only, because it runs before anything is installed.
"""

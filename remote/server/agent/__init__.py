"""The deploy agent: runs on the server as root, reached only through a forced command.

Standard library only, Python 3.11 or newer (Debian 13 has 3.13).
"""

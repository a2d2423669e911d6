"""The parts of a stage, as Pulumi components and the pure functions they are made of.

No config, environment, clock or network in here: values come in (see settings.py and
planning/ for where they come from).
"""

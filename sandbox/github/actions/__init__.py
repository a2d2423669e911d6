"""Workflow files: what starts them, in which order their jobs run, and by whose leave.

An event comes in (service.py) and is compared with what the workflow files at its commit ask for
(intake.py, workflow.py, yaml12.py, triggers.py, filters.py; schedules.py and cron.py make events
of time). What starts is a run: a record (records.py) and, while it is under way, an `Execution`
(execution.py) of the file and of those it calls (graph.py, calls.py, uses.py). It opens each job
once those it needs are done, evaluating what the file says by expressions.py and matrix.py. From
there a job's way is in jobs.py: its concurrency group (concurrency.py), the rules of its
environment, what it is given (preparation.py), and a runner (runner.py), which writes a workflow
file of this job alone (act_files.py) and has act run it, reading its log (act_log.py, masking.py)
and ending its processes in good order when told to (step_processes.py). `checkout/` stands for
actions/checkout. pages.py shows it all to people.

Everything but the jobs themselves happens in one thread, so that nothing here needs a lock.

    actions = Actions(hub)
    hub.listen(actions.on_event)
    actions.start()
"""

from sandbox.github.actions.service import COMMAND, Actions

__all__ = ["COMMAND", "Actions"]

"""What a job of a workflow does: reads the run's event, calls what `flow` does, tells GitHub."""

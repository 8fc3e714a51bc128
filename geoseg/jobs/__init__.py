"""Jobs: what is asked for, the plan, the run."""

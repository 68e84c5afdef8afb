"""How long jobs of rule practice go on, on GPUs. One that came to its time limit is retried, and goes on at its last generation:
so that a training of days ends without a second command."""

JOB_HOURS = 48
RETRIES = 6  # more than of other rules: none of these jobs is for nothing

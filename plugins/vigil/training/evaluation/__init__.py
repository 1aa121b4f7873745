"""How good a candidate is: measured by a job, judged by gates, shown to people."""

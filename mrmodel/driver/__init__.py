"""What runs once per job: plan, start, watch, check, commit."""

"""Where tasks run: mrjob runners, inline, local and hadoop."""

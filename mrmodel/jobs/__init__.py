"""The mrjob jobs."""

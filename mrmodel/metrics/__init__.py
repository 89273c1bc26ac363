"""Metrics as values that add up: one state per shard, merged to what all rows would give."""

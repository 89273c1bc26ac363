"""Arrow columns to batches, outputs to Arrow columns."""

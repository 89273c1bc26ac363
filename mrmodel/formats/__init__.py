"""Bytes to rows: one module per input format."""

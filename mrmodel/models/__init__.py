"""From what the user names to a loaded model."""

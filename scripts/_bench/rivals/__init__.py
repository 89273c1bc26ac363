"""The programs of `scripts/bench rivals`: each what a user of that system would write."""

"""What scripts/bench and scripts/memory are made of. Outside mrmodel: nothing in it needs this."""

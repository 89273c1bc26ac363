"""Which bytes a task reads: inputs are listed, and cut or grouped into shards."""

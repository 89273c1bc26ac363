"""What goes wrong with a cluster, as one line for a person."""


class ClusterError(Exception):
    """The cluster cannot do what was asked; the message says why and what to do."""

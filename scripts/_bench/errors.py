"""What can go wrong before or while measuring, said in one line."""


class BenchError(Exception):
    """The measurement cannot be made; the message says why and what to do."""

"""``python -m mrmodel``: the command line."""

from mrmodel.cli.main import entry

if __name__ == "__main__":
    entry()

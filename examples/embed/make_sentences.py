"""Write real sentences: from the docstrings and licence texts of this machine's Python.

`python examples/embed/make_sentences.py --rows 5000 --format parquet --files 4 --out sentences`

Columns: id (int64), text, source. The same Python gives the same sentences, in the same order;
which N are taken does not depend on the order in which the files lie on the disk.
"""

import argparse
import ast
import hashlib
import json
import re
import sys
import sysconfig
import warnings
from pathlib import Path

WORDS = range(3, 201)
LICENCE_FOLDERS = [Path("/usr/share/common-licenses")]
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
PARAGRAPH = re.compile(r"\n\s*\n")


def python_files():
    """(name, path) of the modules of the standard library, without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not skipped & set(parts):
            yield "python:" + "/".join(parts), path


def docstrings(path):
    """Every docstring of a Python file; a file that does not parse has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, ValueError):
        return
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def licence_files():
    """(name, path) of the licence texts there are: Python's own and the system's."""
    prefix = Path(sysconfig.get_path("stdlib"))
    found = [path for path in [prefix / "LICENSE.txt"] if path.exists()]
    for folder in LICENCE_FOLDERS:
        found += [path for path in sorted(folder.glob("*")) if not path.is_symlink()]
    return [("licence:" + path.name, path) for path in found if path.is_file()]


def texts():
    """(source, text) of everything there is to read."""
    for source, path in python_files():
        for text in docstrings(path):
            yield source, text
    for source, path in licence_files():
        yield source, path.read_text("utf-8", errors="replace")


def sentences(text):
    """The sentences of a text, whitespace made one blank; without code and tables."""
    for paragraph in PARAGRAPH.split(text):
        if ">>>" in paragraph or "|" in paragraph or "---" in paragraph or "===" in paragraph:
            continue
        for sentence in SENTENCE_END.split(" ".join(paragraph.split())):
            if len(sentence.split()) in WORDS:
                yield sentence


def distinct_sentences():
    """sentence → the first source that has it."""
    found = {}
    for source, text in texts():
        for sentence in sentences(text):
            found.setdefault(sentence, source)
    return found


def take(rows):
    """`rows` rows: a sample by hash, so that lengths and sources are mixed as in real data."""
    found = distinct_sentences()
    if rows > len(found):
        sys.exit(f"--rows: expected at most {len(found)}, the sentences on this machine")
    order = sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest())
    return [{"id": i, "text": text, "source": found[text]} for i, text in enumerate(order[:rows])]


def write_parquet(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")


def write_jsonl(path, rows):
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


WRITERS = {"parquet": write_parquet, "jsonl": write_jsonl}


def write(rows, out, file_format, files):
    """Write `rows` in order as `files` files of almost equal numbers of rows."""
    out.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        start, stop = len(rows) * number // files, len(rows) * (number + 1) // files
        WRITERS[file_format](out / f"sentences-{number:03}.{file_format}", rows[start:stop])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--format", choices=sorted(WRITERS), default="parquet")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("sentences"))
    options = parser.parse_args()
    write(take(options.rows), options.out, options.format, options.files)
    print(f"wrote {options.rows} sentences to {options.out} ({options.files} files)")


if __name__ == "__main__":
    main()

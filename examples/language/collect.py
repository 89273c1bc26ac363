"""Write windows of real English text: this machine's own documentation, as tokens.

`python examples/language/collect.py --bytes 3500000 --out text`

Docstrings, READMEs and licences of Python and of the packages that are installed, manual pages and
/usr/share/doc: what is there. Paragraphs that are not English prose are left out, and those that
were met before. text/train/ has 8 files of equally many rows, text/validation.parquet rows of other
documents; a row is `tokens`, those of one window (int32). text/tokenizer.json has the encoding, for
the `tokenizers` package: byte pairs, made from the text to train on.
"""

import argparse
import gzip
import hashlib
import re
import sys
import sysconfig
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).parents[1] / "embed"))

from make_sentences import PARAGRAPH, docstrings

MANUAL = Path("/usr/share/man")
CONTEXT = 64
VOCABULARY = 4096
NBYTES = 3_500_000
MOST_OF_A_DOCUMENT = 64_000
GROUP_SHARE = 1 / 16  # of all text: no package writes more of it
VALIDATION_EVERY = 16  # documents
PROSE = re.compile(r"[A-Za-z .,;:'\"()\-\n]")
COMMON = re.compile(
    r"\b(a|an|and|are|as|at|be|by|can|for|from|has|have|if|in|is|it|not|of|on|or|that|the|then|this"
    r"|to|was|when|which|will|with|you)\b"
)
# of the manual's language: what ends a paragraph, what begins and ends a listing, and fonts
BREAKS = re.compile(r"[PL]?P|[TIH]P|S[HS]|R[SE]|TQ|sp|br|Pp|Sh|Ss|It")
LISTINGS = {"nf": "fi", "EX": "EE", "TS": "TE", "Bd": "Ed"}
FONTS = re.compile(r"[BI]|[BIR]{2}|SM|SB")
ESCAPES = [
    (re.compile(r"\\f(\[[^\]]*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,:%]|\\\".*"), ""),
    (re.compile(r"\\\((aq|cq|oq)|\\'"), "'"),
    (re.compile(r"\\\((lq|rq|dq)|\\\*\((L|R|lq|rq|C)[\"'+]?"), '"'),
    (re.compile(r"\\-|\\\((en|hy|mi)"), "-"),
    (re.compile(r"\\\(em"), "--"),
    (re.compile(r"\\[ ~0]"), " "),
]


def files():
    """(name, group, path) of everything that may hold text. The name is the same on any machine."""
    standard = Path(sysconfig.get_path("stdlib"))
    packages = Path(sysconfig.get_path("purelib"))
    skipped = {"site-packages", "dist-packages", "test", "tests"}
    for kind, root in (("python", standard), ("packages", packages)):
        for path in root.rglob("*"):
            parts = path.relative_to(root).parts
            known = path.suffix in (".py", ".md", ".rst", ".txt") or path.name == "METADATA"
            if known and not skipped & set(parts):
                group = re.split(r"[-.]", parts[0])[0].lower()
                yield f"{kind}:{'/'.join(parts)}", f"{kind}:{group}", path
    for path in MANUAL.glob("man*/*.gz"):
        yield f"man:{path.name}", "man:" + re.split(r"[-_.:]", path.name)[0].lower(), path
    folders = [Path("/usr/share/doc"), Path("/usr/share/common-licenses")]
    for path in (path for folder in folders for path in folder.rglob("*")):
        if re.search(r"\.(md|rst|txt)(\.gz)?$|/(README|NEWS)(\.gz)?$|licenses/", str(path)):
            name = str(path.relative_to("/usr/share"))
            yield f"doc:{name}", "doc:" + name.split("/")[1].split("-")[0], path


def read(path):
    """The paragraphs of a file; none where it cannot be read."""
    try:
        if path.suffix == ".py":
            return [part for text in docstrings(path) for part in PARAGRAPH.split(text)]
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error, RecursionError):
        return []
    return manual(text) if path.is_relative_to(MANUAL) else PARAGRAPH.split(text)


def manual(text):
    """The paragraphs of a manual page, without what the man macros do to them."""
    paragraphs, listing = [[]], None
    for line in text.splitlines():
        macro, _, rest = line[1:].strip().partition(" ") if line[:1] in (".", "'") else ("", "", "")
        if listing:
            listing = None if macro == listing else listing
        elif macro in LISTINGS or BREAKS.fullmatch(macro) or not line.strip():
            listing = LISTINGS.get(macro)
            paragraphs.append([])
        elif FONTS.fullmatch(macro):
            words = [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', rest)]
            paragraphs[-1].append(("" if len(macro) == 2 else " ").join(words))
        elif not macro and not line.startswith((".", "'")):
            paragraphs[-1].append(line)
    return [_plain("\n".join(lines)) for lines in paragraphs]


def _plain(text):
    for pattern, by in ESCAPES:
        text = pattern.sub(by, text)
    return text


def prose(paragraph):
    """The paragraph with single blanks, or None where it is not English prose."""
    text = " ".join(paragraph.split())
    words = len(re.findall(r"[A-Za-z']+", text))
    if words < 12 or "\\" in text or ">>>" in text or text[-1] not in ".!?:)\"'":
        return None
    is_english = len(COMMON.findall(text.lower())) > 0.25 * words
    is_prose = len(PROSE.findall(text)) > 0.95 * len(text)
    return text if is_english and is_prose and text.isascii() else None


def documents(nbytes):
    """(text, is for validation) of documents with `nbytes` in all, in an order that has nothing to
    do with where they are from."""
    found, seen, total, by_group = {name: (g, p) for name, g, p in files()}, set(), 0, {}
    for name in sorted(found, key=_hash):
        group, path = found[name]
        if by_group.get(group, 0) > nbytes * GROUP_SHARE:
            continue
        kept = [text for text in map(prose, read(path)) if text and _is_new(text, seen)]
        text = "\n\n".join(kept)[:MOST_OF_A_DOCUMENT]
        if text:
            yield text, int(_hash("which:" + name), 16) % VALIDATION_EVERY == 0
        total, by_group[group] = total + len(text), by_group.get(group, 0) + len(text)
        if total >= nbytes:
            return


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _is_new(text, seen):
    """Whether `text` is not in `seen`, where it is from then on: but for numbers and case."""
    key = re.sub(r"[^a-z]+", "", text.lower())
    known = key in seen
    seen.add(key)
    return not known


def make_tokenizer(texts, vocabulary):
    """A byte-pair encoding of `texts` (Sennrich et al., arXiv 1508.07909) with `vocabulary` tokens,
    256 of which are single bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def windows(tokens, context):
    """`context` of `tokens` and the one that follows, again and again, in a random order."""
    data = np.array(tokens, np.int32)
    count = (len(data) - 1) // context
    if count < 1:
        return np.empty((0, context + 1), np.int32)
    rows = np.lib.stride_tricks.sliding_window_view(data, context + 1)[: count * context : context]
    return rows[np.random.default_rng(0).permutation(count)]


def collect(nbytes, context=CONTEXT, vocabulary=VOCABULARY, most_held_out=2048):
    """Windows of about `nbytes` of text: to train on, and of other documents to validate with; and
    the tokenizer."""
    texts = {True: [], False: []}
    for text, held_out in documents(nbytes):
        texts[held_out].append(text)
    tokenizer = make_tokenizer(texts[False], vocabulary)
    # three line ends part documents
    rows, held_out = (
        windows(tokenizer.encode("\n\n\n".join(texts[which])).ids, context)
        for which in (False, True)
    )
    return rows, held_out[:most_held_out], tokenizer


def write(rows, held_out, tokenizer, out, shards=8):
    """Write `rows` to the folder `out` as `shards` files of equal length, `held_out`, and
    `tokenizer`."""
    (out / "train").mkdir(parents=True, exist_ok=True)
    for number, some in enumerate(rows[: len(rows) // shards * shards].reshape(shards, -1)):
        path = out / "train" / f"part-{number}.parquet"
        write_file(some.reshape(-1, rows.shape[1]), path)
    write_file(held_out, out / "validation.parquet")
    tokenizer.save(str(out / "tokenizer.json"))


def write_file(rows, path):
    """Write one file: as many bytes for as many rows, so that shares of them are even."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    pq.write_table(pa.table({"tokens": column}), path, compression="none", use_dictionary=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=NBYTES)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--context", type=int, default=CONTEXT)
    parser.add_argument("--out", type=Path, default=Path("text"))
    options = parser.parse_args()
    rows, held_out, tokenizer = collect(options.bytes, options.context, options.vocabulary)
    if len(rows) < options.shards or not len(held_out):
        sys.exit(f"--bytes {options.bytes}: expected enough for a window in each file")
    write(rows, held_out, tokenizer, options.out, options.shards)
    print(f"wrote {len(rows)} windows of {options.context} tokens, {len(held_out)} for validation")


if __name__ == "__main__":
    main()

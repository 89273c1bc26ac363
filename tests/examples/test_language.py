"""The language example: the text that is collected, and the model that learns it."""

import gzip
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

LANGUAGE = Path(__file__).parents[2] / "examples" / "language"
TINY = {
    "vocabulary": 300,
    "context": 16,
    "width": 16,
    "layers": 2,
    "heads": 2,
    "steps": 40,
    "warmup": 10,
}
PROSE = "This is a sentence that somebody has written, and it is for those who can read it."


@pytest.fixture(scope="module")
def collector(load_example):
    return load_example("language/collect.py")


@pytest.fixture(scope="module")
def net(load_example):
    return load_example("language/model.py")


@pytest.mark.parametrize(
    ("paragraph", "kept"),
    [
        (PROSE.replace(" ", "\n  "), PROSE),
        ("Too short to tell.", None),
        (">>> " + PROSE, None),
        ("    | x = 1 | y = {2: 3} | " * 4 + PROSE, None),
        ("Dies ist ein Satz, den jemand geschrieben hat, und er ist lang genug dafür.", None),
        ("Dies ist ein Satz, den jemand geschrieben hat, und er ist lang genug hier.", None),
        (PROSE.removesuffix("."), None),
    ],
)
def test_what_is_prose(collector, paragraph, kept):
    assert collector.prose(paragraph) == kept


def test_a_manual_page_without_its_macros(collector, monkeypatch, tmp_path):
    page = r""".\" a comment
.TH TAR 1
.SH NAME
tar \- an archive, with \fBbold\fR words
.BR tar (1)
.nf
int main(void);
.fi
It\(aqs the end.
"""
    monkeypatch.setattr(collector, "MANUAL", tmp_path)
    path = tmp_path / "tar.1.gz"
    path.write_bytes(gzip.compress(page.encode()))
    paragraphs = [" ".join(text.split()) for text in collector.read(path)]
    assert [text for text in paragraphs if text] == [
        "tar - an archive, with bold words tar(1)",
        "It's the end.",
    ]


def test_a_paragraph_is_taken_once(collector):
    seen = set()
    assert collector._is_new("In 1999 it was so.", seen)
    assert not collector._is_new("in 2001 it was so", seen)
    assert collector._is_new("It was not.", seen)


def test_windows_share_no_token_but_the_one_that_follows(collector):
    tokens = list(range(1000, 1200))
    rows = collector.windows(tokens, 8)
    assert rows.shape == (24, 9)
    assert sorted(rows.tolist()) == [tokens[i * 8 : i * 8 + 9] for i in range(24)]


def test_too_little_text_for_a_window(collector):
    assert collector.windows([], 8).shape == collector.windows(range(8), 8).shape == (0, 9)


@pytest.mark.parametrize("vocabulary", [256, 300])
def test_tokens_are_the_text(collector, vocabulary):
    tokenizer = collector.make_tokenizer([PROSE, "another one for it"], vocabulary)
    assert tokenizer.get_vocab_size() == vocabulary
    text = f"{PROSE}\n\n\nWhat it has not met: ~"
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens.ids) == text
    assert (len(tokens.ids) == len(text)) == (vocabulary == 256)


def test_the_script_writes_files_of_equal_length(tmp_path):
    command = [sys.executable, str(LANGUAGE / "collect.py"), "--bytes", "60000", "--context", "32"]
    command += ["--vocabulary", "256"]  # bytes: many windows of little text
    texts = []
    for out in (tmp_path / "a", tmp_path / "b"):
        subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
        files = [*sorted((out / "train").iterdir()), out / "validation.parquet"]
        tokens = [pq.read_table(path).column("tokens").to_pylist() for path in files]
        texts.append([*tokens, (out / "tokenizer.json").read_text()])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 10
    assert len({len(rows) for rows in texts[0][:8]}) == 1
    train = {tuple(row) for rows in texts[0][:8] for row in rows}
    assert len(train) > 1000
    assert not train & {tuple(row) for row in texts[0][8]}


def test_a_position_sees_what_is_before_it_alone(net):
    torch.manual_seed(0)
    model = net.GPT(**TINY)
    tokens = torch.randint(0, 300, (2, 16))
    other = tokens.clone()
    other[:, 9:] = torch.randint(0, 300, (2, 7))
    one, two = model(tokens), model(other)
    torch.testing.assert_close(one[:, :9], two[:, :9])
    assert not torch.allclose(one[:, 9:], two[:, 9:])


def test_a_new_model_knows_nothing_and_learns(net):
    torch.manual_seed(0)
    model = net.GPT(**TINY, lr=1e-2)
    optimizer = model.configure_optimizers()
    batch = {"tokens": torch.from_numpy(np.tile(np.arange(17, dtype=np.uint8), (4, 1)))}
    first = model.training_step(batch, 0).item()
    assert abs(first - math.log(300)) < 0.1
    steps(model, optimizer, batch, 40)
    assert model.training_step(batch, 0).item() < 0.5 * first


def test_the_learning_rate_goes_on_with_the_optimizer_s_state(net):
    model = net.GPT(**TINY, lr=1.0)
    batch = {"tokens": torch.zeros(1, 17, dtype=torch.uint8)}
    optimizer = model.configure_optimizers()
    rates = steps(model, optimizer, batch, 15)
    other = model.configure_optimizers()
    other.load_state_dict(optimizer.state_dict())
    rates += steps(model, other, batch, 25)
    rise = [(i + 1) / 10 for i in range(10)]
    fall = [0.5 * (1 + math.cos(math.pi * i / 30)) for i in range(30)]
    assert rates == pytest.approx(rise + fall)


def test_the_learning_rate_goes_on_after_a_warm_start(net):
    """And rises to where it has to be, as the optimiser begins anew."""
    batch = {"tokens": torch.zeros(1, 17, dtype=torch.uint8)}
    whole, later = net.GPT(**TINY, lr=1.0), net.GPT(**TINY, lr=1.0, begun=20)
    rates = steps(whole, whole.configure_optimizers(), batch, 40)[20:]
    rise = [(i + 1) / 10 for i in range(10)] + [1] * 10
    expected = [rate * share for rate, share in zip(rates, rise, strict=True)]
    assert steps(later, later.configure_optimizers(), batch, 20) == pytest.approx(expected)


def test_only_matrices_decay(net):
    decays = {
        group["weight_decay"]: {parameter.ndim for parameter in group["params"]}
        for group in net.GPT(**TINY, decay=0.3).configure_optimizers().param_groups
    }
    assert decays == {0.3: {2}, 0.0: {1}}


def steps(model, optimizer, batch, count):
    """Take `count` steps; their learning rates."""
    rates = []
    for _ in range(count):
        optimizer.zero_grad()
        model.training_step(batch, 0).backward()
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates

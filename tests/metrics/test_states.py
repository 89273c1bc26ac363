"""Merged states give what all rows in one process give, for metrics of every kind."""

import pytest
import torch

from mrmodel.metrics.building import build
from mrmodel.metrics.names import parse_metric
from mrmodel.metrics.states import merged, state_of

ROWS = 301


def classes(logits):
    return lambda g: (
        torch.randn(ROWS, 5, generator=g).softmax(1) if logits else whole(g),
        whole(g),
    )


def whole(g):
    return torch.randint(5, (ROWS,), generator=g)


def binary(g):
    return torch.rand(ROWS, generator=g), torch.randint(2, (ROWS,), generator=g)


def labels(g):
    return torch.rand(ROWS, 4, generator=g), torch.randint(2, (ROWS, 4), generator=g)


def numbers(g):
    x = torch.randn(ROWS, generator=g)
    return x, x + torch.randn(ROWS, generator=g)


def vectors(g):
    x = torch.randn(ROWS, 3, generator=g)
    return x, x + torch.randn(ROWS, 3, generator=g)


def queries(g):
    relevance = torch.randint(2, (ROWS,), generator=g)
    return torch.rand(ROWS, generator=g), relevance, torch.randint(20, (ROWS,), generator=g)


def words(g):
    drawn = torch.randint(4, (2, ROWS, 6), generator=g)
    return tuple([" ".join("abcd"[w] for w in row) for row in side] for side in drawn.tolist())


MULTICLASS = "task=multiclass,num_classes=5"
CASES = {
    f"accuracy:{MULTICLASS}": classes(logits=False),
    f"accuracy:{MULTICLASS},average=macro": classes(logits=True),
    f"f1_score:{MULTICLASS},average=none": classes(logits=True),
    f"confusion_matrix:{MULTICLASS}": classes(logits=False),
    f"cohen_kappa:{MULTICLASS}": classes(logits=False),
    f"calibration_error:{MULTICLASS}": classes(logits=True),
    f"auroc:{MULTICLASS}": classes(logits=True),
    "auroc:task=binary": binary,
    "average_precision:task=binary,thresholds=50": binary,
    "matthews_corr_coef:task=binary": binary,
    "f1_score:task=multilabel,num_labels=4": labels,
    "mean_squared_error": numbers,
    "mean_squared_error:squared=false": numbers,
    "mean_absolute_percentage_error": numbers,
    "r2_score": numbers,
    "explained_variance": numbers,
    "pearson_corr_coef": numbers,
    "concordance_corr_coef": numbers,
    "spearman_corr_coef": numbers,
    "cosine_similarity:reduction=mean": vectors,
    "pearson_corr_coef:num_outputs=3": vectors,
    "retrieval_map": queries,
    "retrieval_normalized_dcg:top_k=3": queries,
    "word_error_rate": words,
    "char_error_rate": words,
    "bleu_score": words,
    "edit_distance": words,
}


def take(columns, part):
    return tuple(column[part] for column in columns)


def values(metric):
    found = metric.compute()
    return torch.as_tensor(found).double()


@pytest.mark.parametrize("cuts", [[0, ROWS], [0, 1, 40, 300, ROWS], [0, 0, 150, 150, ROWS]])
@pytest.mark.parametrize("text", CASES)
def test_merging_gives_what_all_rows_give(text, cuts):
    columns = CASES[text](torch.Generator().manual_seed(3))
    expected = build(parse_metric(text))
    expected.update(*columns)
    states = []
    for start, end in zip(cuts[:-1], cuts[1:], strict=True):
        part = build(parse_metric(text))
        for begin in range(start, end, 64):  # several batches, and none for an empty shard
            part.update(*take(columns, slice(begin, min(begin + 64, end))))
        states.append(state_of(part))
    found = merged(build(parse_metric(text)), states)
    torch.testing.assert_close(values(found), values(expected), rtol=2e-5, atol=1e-6)


def test_states_do_not_share_memory_with_the_metric():
    metric = build(parse_metric("mean_squared_error"))
    metric.update(*numbers(torch.Generator().manual_seed(1)))
    state = state_of(metric)
    before = {name: value.clone() for name, value in state.items()}
    metric.update(*numbers(torch.Generator().manual_seed(2)))
    assert all(torch.equal(before[name], value) for name, value in state.items())


def test_no_rows_at_all_are_as_a_fresh_metric():
    fresh = build(parse_metric("mean_squared_error"))
    found = merged(build(parse_metric("mean_squared_error")), [state_of(fresh), state_of(fresh)])
    assert found._update_count == 0
    assert torch.isnan(found.compute())

"""How members of a gang find each other, and what they notice of each other's end."""

import pytest

from mrmodel.tasks import rendezvous
from mrmodel.tasks.rendezvous import Beats, Member, Rendezvous


@pytest.fixture
def meet(tmp_path):
    return lambda rank, attempt: Rendezvous(str(tmp_path / "gang"), rank, attempt)


def test_the_first_attempt_takes_the_place(meet):
    zero, one, again = meet(0, "a"), meet(1, "b"), meet(1, "c")
    assert zero.generation() == 1 and zero.members(1) == []
    assert one.join(1, "host1")
    assert zero.join(1, "host0", ("1.2.3.4", 5))
    assert not again.join(1, "host2")
    expected = [Member(0, "a", "host0", ("1.2.3.4", 5)), Member(1, "b", "host1", None)]
    assert again.members(1) == expected


def test_generations_follow_each_other(meet):
    zero = meet(0, "a")
    zero.join(1, "host")
    assert zero.ended(1) is None
    zero.end(1, "worker 1 was killed")
    assert zero.ended(1) == "worker 1 was killed"
    zero.join(2, "host")
    assert zero.generation() == 2 and zero.ended(2) is None
    assert not zero.is_finished()
    zero.finish()
    assert meet(1, "b").is_finished() and zero.generation() == 2


def test_who_gives_no_sign_of_life_is_dead(meet, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(rendezvous.time, "monotonic", lambda: clock[0])
    zero, one = meet(0, "a"), meet(1, "b")
    members = [Member(0, "a", "h"), Member(1, "b", "h"), Member(2, "never", "h")]
    for _ in range(3):
        zero.touch()
        one.touch()
    assert zero.living() == {0, 1}
    assert zero.dead(members) == []
    for _ in range(4):
        clock[0] += rendezvous.STILL / 3
        with Beats(zero):
            assert zero.dead([members[0]]) == []
    assert zero.dead(members) == members[1:]
    assert zero.living() == {0}

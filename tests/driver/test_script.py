"""Job scripts with mrjob's own options."""

import signal
import threading

import pytest

from mrmodel.driver.script import mrjob_args
from mrmodel.driver.signals import terminate_is_interrupt


@pytest.mark.parametrize(
    ("argv", "inputs", "kept"),
    [
        ("--model m.py:Net data -r local --output-dir out", ["data"], ""),
        ("--model=m.py:Net a b --runner=local -o out", ["a", "b"], ""),
        ("-r hadoop -D a=b --jobconf c=d a", ["a"], "-D a=b --jobconf c=d"),
        ("a --conf-path x.conf", ["a"], "--conf-path x.conf"),
        ("--overwrite --resume --max-bad 2% --cleanup NONE a", ["a"], "--cleanup NONE"),
    ],
)  # fmt: skip
def test_what_is_left_for_mrjob(argv, inputs, kept):
    assert mrjob_args(argv.split(), inputs) == kept.split()


def test_a_polite_kill_is_a_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminate_is_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_a_thread_signals_are_left_alone():
    done = []

    def work():
        with terminate_is_interrupt():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]

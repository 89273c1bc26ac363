"""`mrmodel train` as an mrjob script, with mrjob's own options; copy it and change the class.

    python jobs/mr_train.py -r local examples/digits/data --output-dir checkpoints

MODEL, LABEL, SYNC, ROUNDS and the others can be given as options, too: `--sync gradient --lr 0.1`.
"""

from pathlib import Path

from mrmodel.jobs.mr_train import MRTrain

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"


class MRTrainDigits(MRTrain):
    MODEL = f"{DIGITS / 'model.py'}:DigitsCNN"
    INPUTS = "pixels"
    LABEL = "label"
    LOSS = "cross_entropy"
    SYNC = "local"
    ROUNDS = 6
    INNER_STEPS = 60
    BATCH_SIZE = 32
    OPTIMIZER = "adamw"
    LR = 0.002


if __name__ == "__main__":
    MRTrainDigits.run()

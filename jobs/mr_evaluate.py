"""`mrmodel evaluate` as an mrjob script, with mrjob's own options; copy it and change the class.

    python jobs/mr_evaluate.py -r local examples/digits/data

MODEL, WEIGHTS, LABEL and the others can be given as options, too: `--metric cohen_kappa:...`.
"""

from pathlib import Path

from mrmodel.jobs.mr_evaluate import MREvaluate

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"


class MREvaluateDigits(MREvaluate):
    MODEL = f"{DIGITS / 'model.py'}:Digits"
    WEIGHTS = str(DIGITS / "digits.safetensors")
    LABEL = "label"
    PREDICTION = "digit"
    METRICS = ("accuracy", "f1_score:task=multiclass,num_classes=10,average=macro")


if __name__ == "__main__":
    MREvaluateDigits.run()

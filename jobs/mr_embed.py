"""Sentence embeddings: a mean-pooled transformer over a column of text, as an mrjob job.

    weights=$(python examples/embed/find_weights.py)
    python jobs/mr_embed.py -r local --weights "$weights" sentences.parquet --output-dir embeddings
    python jobs/mr_embed.py -r hadoop --weights "$weights" hdfs:///sentences \\
        --output-dir hdfs:///embeddings

The input has a column `text`; all its other columns are kept beside the embedding.
"""

from pathlib import Path

from mrmodel.jobs.mr_predict import MRPredict

MODEL_FILE = Path(__file__).resolve().parent.parent / "examples" / "embed" / "model.py"


class MREmbed(MRPredict):
    """The model is fixed, its weights are an option."""

    MODEL = f"{MODEL_FILE}:Embed"
    INPUTS = "text"


if __name__ == "__main__":
    MREmbed.run()

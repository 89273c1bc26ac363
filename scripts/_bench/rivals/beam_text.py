"""MiniLM over Parquet with Apache Beam's RunInference and a model handler of its own."""

import os

import apache_beam as beam
import pyarrow as pa
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from _bench.rivals import common

SCHEMA = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float32()))])


class Embed(ModelHandler):
    """How to load the model, and how to call it."""

    def __init__(self, weights, batch_size, by_length):
        super().__init__()
        self.arguments = (weights, batch_size, by_length)
        self.window = common.WINDOW if by_length else batch_size

    def load_model(self):
        from _bench.rivals.embedder import Embedder

        return Embedder(*self.arguments)

    def run_inference(self, batch, model, inference_args=None):
        vectors = model(list(batch))
        common.first_batch()
        return vectors

    def batch_elements_kwargs(self):
        return {"min_batch_size": self.window, "max_batch_size": self.window}


def main():
    options = common.arguments()
    running = PipelineOptions(
        direct_num_workers=options.cores, direct_running_mode="multi_processing"
    )
    handler = KeyedModelHandler(Embed(options.weights, options.batch_size, options.sorted))
    # what the DirectRunner takes, too, unless it can download another runner
    with beam.Pipeline(FnApiRunner(), options=running) as pipeline:
        (
            pipeline
            | beam.Create(options.input)
            | beam.Reshuffle()
            | beam.io.ReadAllFromParquet(columns=["id", "text"])
            | beam.Map(lambda row: (row["id"], row["text"]))
            | RunInference(handler)
            | beam.MapTuple(lambda key, vector: {"id": key, "embedding": vector.tolist()})
            | beam.io.WriteToParquet(
                os.path.join(options.out, "part"), SCHEMA, file_name_suffix=".parquet"
            )
        )


if __name__ == "__main__":
    main()

"""The MLP over 30 columns of Parquet with Spark's predict_batch_udf."""

from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.functions import struct
from pyspark.sql.types import FloatType

from _bench.rivals import common

COLUMNS = [f"f{i}" for i in range(30)]


def loader(weights):
    """What each Python worker calls once; it keeps what that returns."""

    def load():
        import numpy as np
        import safetensors.torch
        import torch

        from _bench.mlp import MLP

        torch.set_num_threads(1)
        model = MLP().eval()
        model.load_state_dict(safetensors.torch.load_file(weights))

        @torch.inference_mode()
        def predict(features):
            found = model(torch.from_numpy(np.ascontiguousarray(features))).numpy()
            common.first_batch()
            return found

        return predict

    return load


def main():
    options = common.arguments()
    spark = (
        SparkSession.builder.master(f"local[{options.cores}]")
        .config("spark.python.worker.reuse", "true")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", options.batch_size)
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    predict = predict_batch_udf(
        loader(options.weights), return_type=FloatType(), batch_size=options.batch_size
    )
    rows = spark.read.parquet(*options.input)
    # not `array`, as in the documentation: Arrow would make an object of each row
    found = predict(struct(*COLUMNS)).alias("output")
    rows.select("id", found).write.parquet(options.out)
    spark.stop()


if __name__ == "__main__":
    main()

"""The residual network over JPEGs in Parquet with Spark's predict_batch_udf."""

from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType

from _bench.rivals import common


def loader(weights):
    """What each Python worker calls once; it keeps what that returns."""

    def load():
        import numpy as np
        import safetensors.torch
        import torch

        from _bench.resnet import ResNet, decode

        torch.set_num_threads(1)
        model = ResNet().eval()
        model.load_state_dict(safetensors.torch.load_file(weights))

        @torch.inference_mode()
        def predict(jpegs):
            images = np.stack([decode(jpeg) for jpeg in jpegs])
            found = model(torch.from_numpy(images)).numpy()
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
        loader(options.weights),
        return_type=ArrayType(FloatType()),
        batch_size=options.batch_size,
    )
    rows = spark.read.parquet(*options.input)
    rows.select("id", predict("jpeg").alias("output")).write.parquet(options.out)
    spark.stop()


if __name__ == "__main__":
    main()

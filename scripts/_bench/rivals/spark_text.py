"""MiniLM over Parquet with Spark's predict_batch_udf."""

from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType

from _bench.rivals import common


def loader(weights, batch_size, by_length):
    """What each Python worker calls once; it keeps what that returns."""

    def load():
        from _bench.rivals.embedder import Embedder

        embedder = Embedder(weights, batch_size, by_length)

        def predict(texts):
            vectors = embedder(texts.tolist())
            common.first_batch()
            return vectors

        return predict

    return load


def main():
    options = common.arguments()
    window = common.WINDOW if options.sorted else options.batch_size
    spark = (
        SparkSession.builder.master(f"local[{options.cores}]")
        .config("spark.python.worker.reuse", "true")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", common.WINDOW)
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    embed = predict_batch_udf(
        loader(options.weights, options.batch_size, options.sorted),
        return_type=ArrayType(FloatType()),
        batch_size=window,
    )
    rows = spark.read.parquet(*options.input)
    rows.select("id", embed("text").alias("embedding")).write.parquet(options.out)
    spark.stop()


if __name__ == "__main__":
    main()

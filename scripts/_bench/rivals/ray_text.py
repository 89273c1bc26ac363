"""MiniLM over Parquet with Ray Data: a pool of actors that each hold the model."""

import ray
from ray.data import ActorPoolStrategy

from _bench.rivals import common

BLOCK = 1024  # rows that an actor is given at once; sorted together, where they are sorted


class Embed:
    """An actor's state: the model. Called with a batch of columns."""

    def __init__(self, weights, batch_size, by_length):
        from _bench.rivals.embedder import Embedder

        self.embedder = Embedder(weights, batch_size, by_length)

    def __call__(self, batch):
        vectors = self.embedder(batch["text"].tolist())
        common.first_batch()
        return {"id": batch["id"], "embedding": vectors}


def main():
    options = common.arguments()
    window = BLOCK if options.sorted else options.batch_size
    ray.init(num_cpus=options.cores, include_dashboard=False)
    rows = ray.data.read_parquet(options.input).select_columns(["id", "text"])
    # small files become one block otherwise, and one actor does all the work
    found = rows.repartition(target_num_rows_per_block=BLOCK).map_batches(
        Embed,
        fn_constructor_args=(options.weights, options.batch_size, options.sorted),
        batch_size=window,
        compute=ActorPoolStrategy(size=options.cores),
        num_cpus=0.5,
    )
    found.write_parquet(options.out)


if __name__ == "__main__":
    main()

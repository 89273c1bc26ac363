"""MiniLM over Parquet with sentence-transformers' pool of processes, one to a core."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
from sentence_transformers import SentenceTransformer

from _bench.rivals import common


def main():
    options = common.arguments()
    model = SentenceTransformer(options.weights, device="cpu")
    model.register_forward_hook(common.after_forward)
    rows = pa.concat_tables(pq.read_table(file, columns=["id", "text"]) for file in options.input)
    pool = model.start_multi_process_pool(["cpu"] * options.cores)
    vectors = model.encode(
        rows.column("text").to_pylist(),
        pool=pool,
        batch_size=options.batch_size,
        normalize_embeddings=True,
    )
    model.stop_multi_process_pool(pool)
    flat = pa.array(vectors.reshape(-1))
    embedding = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    found = pa.table({"id": rows.column("id"), "embedding": embedding})
    os.makedirs(options.out)
    pq.write_table(found, os.path.join(options.out, "part-0.parquet"))


if __name__ == "__main__":
    main()

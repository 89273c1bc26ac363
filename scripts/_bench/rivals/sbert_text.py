"""MiniLM over Parquet with sentence-transformers alone. It sorts by length by itself."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

from _bench.rivals import common


def main():
    options = common.arguments()
    torch.set_num_threads(options.cores)
    model = SentenceTransformer(options.weights, device="cpu")
    model.register_forward_hook(common.after_forward)
    rows = pa.concat_tables(pq.read_table(file, columns=["id", "text"]) for file in options.input)
    vectors = model.encode(
        rows.column("text").to_pylist(),
        batch_size=options.batch_size,
        normalize_embeddings=True,
    )
    flat = pa.array(vectors.reshape(-1))
    embedding = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    found = pa.table({"id": rows.column("id"), "embedding": embedding})
    os.makedirs(options.out)
    pq.write_table(found, os.path.join(options.out, "part-0.parquet"))


if __name__ == "__main__":
    main()

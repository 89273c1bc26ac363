"""The MLP over 30 columns of Parquet with Ray Data: a pool of actors that each hold the model."""

import numpy as np
import ray
from ray.data import ActorPoolStrategy

from _bench.rivals import common

COLUMNS = [f"f{i}" for i in range(30)]


class Predict:
    """An actor's state: the model. Called with a batch of columns."""

    def __init__(self, weights):
        import safetensors.torch
        import torch

        from _bench.mlp import MLP

        torch.set_num_threads(1)
        self.model = MLP().eval()
        self.model.load_state_dict(safetensors.torch.load_file(weights))

    def __call__(self, batch):
        import torch

        features = torch.from_numpy(np.stack([batch[name] for name in COLUMNS], axis=1))
        with torch.inference_mode():
            found = self.model(features).numpy()
        common.first_batch()
        return {"id": batch["id"], "output": found}


def main():
    options = common.arguments()
    ray.init(num_cpus=options.cores, include_dashboard=False)
    rows = ray.data.read_parquet(options.input).select_columns(["id", *COLUMNS])
    found = rows.map_batches(
        Predict,
        fn_constructor_args=(options.weights,),
        batch_size=options.batch_size,
        compute=ActorPoolStrategy(size=options.cores),
        num_cpus=0.5,
    )
    found.write_parquet(options.out)


if __name__ == "__main__":
    main()

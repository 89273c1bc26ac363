"""The residual network over JPEGs in Parquet with Ray Data.

Its documentation decodes in tasks of their own where a GPU predicts. Here the same cores do both,
and an actor that decodes its batch itself spares copies of the decoded images.
"""

import numpy as np
import ray
from ray.data import ActorPoolStrategy

from _bench.rivals import common


class Predict:
    """An actor's state: the model. Called with a batch of columns."""

    def __init__(self, weights):
        import safetensors.torch
        import torch

        from _bench.resnet import ResNet

        torch.set_num_threads(1)
        self.model = ResNet().eval()
        self.model.load_state_dict(safetensors.torch.load_file(weights))

    def __call__(self, batch):
        import torch

        from _bench.resnet import decode

        images = torch.from_numpy(np.stack([decode(jpeg) for jpeg in batch["jpeg"]]))
        with torch.inference_mode():
            found = self.model(images).numpy()
        common.first_batch()
        return {"id": batch["id"], "output": found}


def main():
    options = common.arguments()
    ray.init(num_cpus=options.cores, include_dashboard=False)
    rows = ray.data.read_parquet(options.input).select_columns(["id", "jpeg"])
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

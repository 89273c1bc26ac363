"""The mathematics of training: losses, sums of gradients, the state of optimisers."""

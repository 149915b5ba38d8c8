import torch

# small tensors gain nothing from threads, and sums come out the same everywhere
torch.set_num_threads(1)

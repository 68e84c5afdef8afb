"""The trainer: the model as it is trained, its memory and kernels, the loop with its instruments."""

"""The machine: GPUs and their leases, Slurm, the terminal, where results come from."""

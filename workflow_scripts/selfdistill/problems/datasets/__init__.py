"""Public datasets: what each one's files hold, what of it can be graded, and how it becomes problems of ours.

One module in `loaders/` per dataset reads raw files as their hub serves them; `convert` does what all have in common.
"""

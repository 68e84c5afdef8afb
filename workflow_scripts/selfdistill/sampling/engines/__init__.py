"""What turns requests into samples: the contract, and the engines that keep it."""

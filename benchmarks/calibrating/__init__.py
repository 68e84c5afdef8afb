"""Parts of `benchmarks/calibration.py`: which studies are simulated, what is counted in them, the page."""

"""The Numenta Anomaly Benchmark, for the hint of the page."""

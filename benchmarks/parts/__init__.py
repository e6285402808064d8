"""What the benchmarks share: processes and their CPU time, the proxy under test, and the load."""

"""Run all measurements: `make bench`."""

from benchmarks import mnist, startup

startup.main(5)
mnist.main(5)

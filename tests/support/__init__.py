"""What tests and benchmarks share: S3 servers and stand-ins for S3, a proxy that spoils answers, moments to step in."""

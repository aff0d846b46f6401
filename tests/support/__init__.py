"""Shared by tests and benchmarks: S3 servers, an in-memory S3, a proxy that injects faults, and hooks into steps."""

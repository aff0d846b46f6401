"""Python values to JSON bytes and back. The only package that knows JSON and `py/…`."""

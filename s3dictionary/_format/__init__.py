"""Converts Python values to JSON bytes and back. No other package knows about JSON or `py/…` tags."""

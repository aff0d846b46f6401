"""Tools that interfere while the library works: interrupts, other threads, and hooks inside requests."""

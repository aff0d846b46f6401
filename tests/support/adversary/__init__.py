"""Tools that step in while the library is at work: interrupts, other threads, hooks inside requests."""

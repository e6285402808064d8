"""Which backends live, which one is chosen, and what becomes of everything that was on one that died."""

"""The simulated venue: orders are filled in this process, on prices from elsewhere."""

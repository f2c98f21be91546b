"""Execution adapters: one contract, and the venues that speak it."""

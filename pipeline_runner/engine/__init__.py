"""Runs a plan: one loop, one inbox, one owner of state."""

"""Runs inside worker processes; imports nothing heavy."""

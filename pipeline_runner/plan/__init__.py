"""Decides everything before anything runs: graph, groups, chains, waves, and a method for each stage."""

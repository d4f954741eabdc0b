"""`prun ui`: pages about the runs of a state folder, served to a browser on this machine. Needs the extra `ui`."""

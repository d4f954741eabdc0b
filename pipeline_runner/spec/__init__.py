"""What a pipeline means: from marked nodes, through the models of what may be written, to a checked spec."""

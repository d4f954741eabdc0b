"""From YAML text to marked nodes and references; nothing here knows what a stage is."""

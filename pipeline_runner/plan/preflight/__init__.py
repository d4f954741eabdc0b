"""Before anything starts: is what the pipeline names there, and can it be called as the stages call it?"""

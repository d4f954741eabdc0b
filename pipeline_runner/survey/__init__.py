"""The survey as data: the three tables its author wished for, and the measuring of every row."""

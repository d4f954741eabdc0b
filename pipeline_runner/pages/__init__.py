"""Pages for a browser, about a run or a plan: each is one file that needs nothing else, neither network nor scripts."""

"""Tables and figures of a run, of a comparison of two runs, and of a sweep."""

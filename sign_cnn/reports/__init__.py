"""What is said of a run, of two runs, of pooled folds and of a sweep: tables and figures."""

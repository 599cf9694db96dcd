"""What the runs of a folder say together: tables, comparisons and pictures."""

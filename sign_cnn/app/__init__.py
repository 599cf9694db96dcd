"""The web page; it needs requirements.txt beside it, and nothing else."""

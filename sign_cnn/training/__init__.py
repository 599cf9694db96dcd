"""One fit: the trainer with its callbacks, and what comes of it."""

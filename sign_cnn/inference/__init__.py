"""Letters from pictures, with a checkpoint or without torch, and the file that makes the latter possible."""

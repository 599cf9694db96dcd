"""What a run is and leaves: its directory, its result, its predictions, who is at work in it and how it is stopped."""

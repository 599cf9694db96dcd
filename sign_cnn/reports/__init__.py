"""What a finished run is worth: scores, reports as text and figures, folds pooled."""

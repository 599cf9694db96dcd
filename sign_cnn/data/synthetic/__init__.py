"""Synthetic hands: one skeleton, posed for each letter, gives pictures, landmarks and samples."""

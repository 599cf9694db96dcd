"""Generated hands: one skeleton, posed for each letter, gives pictures, landmarks and samples."""

GENERATOR_VERSION = 3  # raise it with every change to a pixel, so that cached sets are made anew

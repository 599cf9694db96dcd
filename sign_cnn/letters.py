"""The letters of Sign Language MNIST, and the names of its files."""

LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
"""The 24 letters of the data set in class order; J and Z are motions and do not occur.

The CSVs label a letter by its place in the alphabet: A to Z are 0 to 25.
"""
FILES = ("sign_mnist_train.csv", "sign_mnist_test.csv")
PHOTOS_FILE = "sign_mnist_photos.csv"  # beside these, if there is one: columns file, row, session

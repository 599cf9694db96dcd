"""Any picture to 28×28 grey pixels, the same way everywhere. Needs numpy and Pillow alone."""

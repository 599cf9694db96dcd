"""Train, compare and deploy small CNNs on Sign Language MNIST."""

__version__ = "0.1.0"

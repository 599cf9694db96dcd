"""Train, compare and deploy small CNNs on Sign Language MNIST."""

"""Train, compare and deploy small CNNs on Sign Language MNIST."""

import os

# Threads of OpenMP spin while they wait for each other: beside other processes, that is what takes the time
# (python -m scripts.bench waiting). Read when torch is imported; variables that somebody set stay.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"

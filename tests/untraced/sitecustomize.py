"""Found first by the processes that tests start under coverage: Hydra takes a tracer for a debugger."""

import sys

sys.gettrace = lambda: None

"""Sweeps: what their jobs are called, planned, shared and told apart by."""


def register() -> None:
    """Makes the sweepers known to Hydra, and what their configurations call to OmegaConf."""
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    from sign_cnn.sweeps import directories, grid, search, threads

    Plugins.instance().register(grid.GridSweeper)
    Plugins.instance().register(search.SearchSweeper)
    OmegaConf.register_resolver("job_name", directories.job_name, replace=True)
    OmegaConf.register_resolver("threads_per_job", threads.threads_per_job, replace=True)

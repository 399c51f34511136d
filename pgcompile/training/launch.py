"""Several processes of this machine that train one model: torch's elastic agent, without its own words at the end."""

import logging
import os
import sys
import uuid
from collections.abc import Sequence


def is_member() -> bool:
    """True in a process that an agent (`--processes`, or torchrun) has started."""
    return "RANK" in os.environ


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `python -m pgcompile ARGUMENTS` in several processes, and wait for them.

    Ctrl-C and SIGTERM go to all of them: each finishes its step, the first saves the run and says where.

    Args:
        processes: how many.
        arguments: of the command, without the option that brought us here.

    Returns:
        The exit status: 0, 128 + the number of the signal that ended them, or that of the first that failed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):  # each has a level of its own
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.ERROR)
    # Two processes that each take all cores are slower than one; what the user has set is left.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "pgcompile", *arguments)
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    return 0

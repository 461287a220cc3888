"""The API server, which forgets all history at SIGUSR2: for tests of what compaction may do to its clients."""

import asyncio
import signal
import sys

from labkit.glassbox.apiserver import __main__ as server
from labkit.glassbox.apiserver import housekeeping

keep_house = housekeeping.keep_house


async def keep_house_and_listen(api):
    compact = lambda: api.store.compact(api.store.revision)  # noqa: E731
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, compact)
    await keep_house(api)


if __name__ == "__main__":
    housekeeping.keep_house = keep_house_and_listen
    sys.exit(server.main())

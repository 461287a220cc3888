"""What the dynamic clients' tests use of it: the configuration of the cluster that KUBECONFIG names."""

import asyncio
import inspect

from .. import client, config


def get_e2e_configuration():
    """Return a configuration of the package's own client, synchronous or not."""
    found = client.Configuration()
    loading = config.load_kube_config(client_configuration=found)
    if inspect.isawaitable(loading):
        asyncio.run(loading)
    return found

# ruff: noqa: F401
"""All that a worker, a run and a kernel import, for the process that they are forked from; see warm."""

import gc

import ipykernel.ipkernel
import ipykernel.kernelapp
import IPython.core.completer
import kubernetes.client
import kubernetes.config
import papermill

import labkit.cli.grading
import labkit.grading.worker
import labkit.run_one

gc.freeze()  # the collector would touch, and so copy, those pages

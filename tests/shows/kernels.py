"""Something else in the place of what a kernel, and all that it starts, has of the kit."""

import textwrap


def in_the_kernel(folder, environment, program):
    """Have every Python that the kernel's environment reaches run this program first."""
    (folder / "sitecustomize.py").write_text(textwrap.dedent(program))
    environment["PYTHONPATH"] = str(folder)

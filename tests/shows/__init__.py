"""What each lesson promises to show; a module a lesson, `lesson_NN.py`, with a table SHOWN.

SHOWN: id → what must stand in the outputs of the cells tagged `shows:NN.id`, as a regular expression.
"""

import importlib
import pkgutil

MODULES = {
    each.name.removeprefix("lesson_"): importlib.import_module(f"{__name__}.{each.name}")
    for each in pkgutil.iter_modules(__path__)
    if each.name.startswith("lesson_")
}
SHOWN = {f"{lesson}.{name}": text for lesson, module in MODULES.items() for name, text in module.SHOWN.items()}

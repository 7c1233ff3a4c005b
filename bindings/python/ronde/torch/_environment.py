"""HOROVOD_* variables that have a counterpart, as Ronde's settings.

Read at every ``hvd.init()``. A ``RONDE_*`` variable for the same setting wins. Values are passed on
as they are where the library would refuse them, so that opening fails on all ranks alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

_LEVELS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warning": "warn",
    "error": "error",
    "fatal": "error",
}


def _as_it_is(value: str) -> str:
    return value


def _level(value: str) -> str:
    return _LEVELS.get(value.strip().lower(), value)


def _switch(value: str) -> str:
    """Horovod's switches are numbers, or true."""
    return {"1": "on", "true": "on", "0": "off", "false": "off"}.get(value.strip().lower(), value)


def _never_if_set(value: str) -> str:
    """Of a variable that switches off what the setting counts seconds for."""
    return {"1": "0", "true": "0"}.get(value.strip().lower(), value)


# variable: (setting, its value). The stall check's switch comes after its time, and wins.
VARIABLES: dict[str, tuple[str, Callable[[str], str]]] = {
    "HOROVOD_FUSION_THRESHOLD": ("fusion_threshold", _as_it_is),
    "HOROVOD_CACHE_CAPACITY": ("cache_capacity", _as_it_is),
    "HOROVOD_STALL_CHECK_TIME_SECONDS": ("stall_warn", _as_it_is),
    "HOROVOD_STALL_CHECK_DISABLE": ("stall_warn", _never_if_set),
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": ("stall_abort", _as_it_is),
    "HOROVOD_TIMELINE": ("timeline", _as_it_is),
    "HOROVOD_LOG_LEVEL": ("log", _level),
    "HOROVOD_AUTOTUNE": ("autotune", _switch),
}
_OFF = {
    "HOROVOD_STALL_CHECK_DISABLE": ("0", "false"),  # not disabled: the time counts
    "HOROVOD_TIMELINE": ("dynamic",),  # there: it may be started later; here it always may
}


def settings(environment: Mapping[str, str] = os.environ) -> dict[str, tuple[str, str]]:
    """Setting: (its value, the variable that it comes from)."""
    found = {}
    for variable, (setting, convert) in VARIABLES.items():
        value = environment.get(variable, "")
        if not value or value.strip().lower() in _OFF.get(variable, ()):
            continue
        if f"RONDE_{setting.upper()}" in environment:
            continue
        found[setting] = (convert(value), variable)
    return found

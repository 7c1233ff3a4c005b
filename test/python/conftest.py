"""Every rank runs the same tests in the same order, in one context.

A rank whose test fails ends without closing, so that the launcher ends the others too, who may be
waiting for it. Where nothing but skips came of it, the exit status is 77 and the last line says
why.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path
from typing import Any, Iterator, List

import pytest

import ronde

TOP = Path(__file__).resolve().parents[2]
_outcomes = {"passed": 0, "failed": 0, "skipped": 0}
_reasons: List[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """A hang prints where every thread is, shortly before ctest's patience ends."""
    seconds = int(os.environ.get("TEST_TIMEOUT", "0"))
    if seconds > 5:
        faulthandler.dump_traceback_later(seconds - 3, exit=True, file=os.fdopen(os.dup(2), "w"))


@pytest.fixture(scope="session", autouse=True)
def job(request: pytest.FixtureRequest) -> Iterator[None]:
    """The context of all tests of a file, unless it says ``OWN_CONTEXT = True``."""
    own = any(getattr(item.module, "OWN_CONTEXT", False) for item in request.session.items)  # type: ignore[attr-defined]
    if not own:
        ronde.init(settings={"stall_warn": 5})
    yield
    if not request.session.testsfailed:
        ronde.shutdown()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Iterator[None]:
    """Counts, and keeps why tests were skipped."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.outcome] += 1
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            _reasons.append(report.longrepr[2])


def pytest_collectreport(report: Any) -> None:
    """A file may be skipped as a whole."""
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        _outcomes["skipped"] += 1
        _reasons.append(report.longrepr[2])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The exit status, at the very end."""
    if _outcomes["failed"]:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    if _outcomes["skipped"] and not _outcomes["passed"]:
        print(_reasons[-1].replace("Skipped: ", ""), flush=True)
        os._exit(77)


@pytest.fixture
def alone() -> None:
    """For tests of one process only."""
    if ronde.size() > 1:
        pytest.skip("for one rank")


@pytest.fixture
def together() -> None:
    """For tests that take two ranks or more."""
    if ronde.size() < 2:
        pytest.skip("for two ranks or more")

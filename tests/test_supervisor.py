"""When a component is started again."""

import os

import pytest

from labkit.glassbox import supervisor


@pytest.mark.parametrize(("deaths", "seconds"), [(1, 0.05), (2, 0.1), (3, 0.2), (5, 0.8), (50, 0.8)])
def test_the_delay_doubles_with_each_death_in_a_row_and_stays_below_a_second(deaths, seconds):
    assert supervisor.restart_delay(deaths) == pytest.approx(seconds)


def test_a_process_s_share_of_memory_is_in_bytes_and_that_of_none_is_nothing():
    assert supervisor.proportional_memory(os.getpid()) > 2**20
    assert supervisor.proportional_memory(1 << 22) == 0

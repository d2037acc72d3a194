"""Laws of what a worker serves."""

from __future__ import annotations

import pytest

from core.errors import ConfigurationError
from tasks.queues import QueueName
from worker.bootstrap import served_queue


def test_a_worker_serves_one_queue() -> None:
    assert served_queue({"light"}) is QueueName.LIGHT


@pytest.mark.parametrize("names", [set(), {"light", "codestral"}, {"training", "light"}])
def test_a_worker_of_no_queue_or_of_several_is_told_all_that_there_are(names: set[str]) -> None:
    with pytest.raises(ConfigurationError, match="one of mathstral, codestral, light, training"):
        served_queue(names)

"""What a server has loaded is set aside, and what comes after it is still cleared away."""

import gc
from collections import deque
from collections.abc import Iterator

import pytest

from agent.server.run import set_aside_what_stays

N_LOADED = 1_000_000
N_QUESTIONS = 600_000
# A while after which something is no longer needed: longer than the rounds over what is young.
N_IN_USE = 15_000


class Question:
    """Something that only the garbage collector can clear away."""

    n_alive = 0

    def __init__(self) -> None:
        self.itself = self
        Question.n_alive += 1

    def __del__(self) -> None:
        Question.n_alive -= 1


@pytest.fixture
def set_aside() -> Iterator[None]:
    loaded = [[] for _ in range(N_LOADED)]
    set_aside_what_stays()
    yield
    gc.unfreeze()
    loaded.clear()


@pytest.mark.usefixtures("set_aside")
def test_garbage_does_not_pile_up_with_the_size_of_what_is_loaded() -> None:
    in_use: deque[Question] = deque(maxlen=N_IN_USE)
    most = 0
    for _ in range(N_QUESTIONS):
        in_use.append(Question())
        most = max(most, Question.n_alive)
    assert N_IN_USE < most < N_LOADED / 5

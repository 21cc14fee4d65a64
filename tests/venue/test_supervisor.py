import asyncio

import pytest

from venue.problems import ProblemNumber, VenueError
from venue.supervisor import Service, ServiceState, Supervisor


class FakeProgram:
    """A program that ends when told to; ``refusals`` of its next starts fail."""

    def __init__(self, name: str, history: list[str]) -> None:
        self.pid = 1
        self.starts = 0
        self.refusals = 0
        self.refusal: Exception = OSError("no such program")
        self.works = True
        self._name = name
        self._history = history
        self._ended = asyncio.Event()

    async def start(self) -> None:
        self.starts += 1
        self._history.append(f"start {self._name}")
        if self.refusals:
            self.refusals -= 1
            raise self.refusal
        self._ended.clear()

    async def wait(self) -> str:
        await self._ended.wait()
        return "was ended by SIGKILL"

    async def stop(self) -> None:
        self._history.append(f"stop {self._name}")
        self._ended.set()

    def said(self) -> str:
        return "its last words"

    async def ready(self) -> bool:
        return self.works and not self._ended.is_set()

    def die(self) -> None:
        self._ended.set()


class Stack:
    """Two stages of fake programs under a supervisor."""

    def __init__(self) -> None:
        self.history: list[str] = []
        self.told: list[str] = []
        self.database, self.shard, self.gateway = (
            FakeProgram(name, self.history) for name in ("database", "shard", "gateway")
        )
        self.swept: list[str] = []
        stages = [[self._service("database", self.database)]]
        stages.append([self._service("shard", self.shard), self._service("gateway", self.gateway)])
        self.supervisor = Supervisor(stages, self.told.append)

    def _service(self, name: str, program: FakeProgram) -> Service:
        async def sweep() -> None:
            self.swept.append(name)

        return Service(name, program, program.ready, sweep=sweep, start_seconds_max=5)

    async def start(self) -> None:
        await self.supervisor.start_stage(0)
        await self.supervisor.start_stage(1)

    async def until_told(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(text in line for line in self.told) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
async def stack() -> Stack:
    return Stack()


async def test_stages_start_in_order_and_stop_in_reverse(stack: Stack) -> None:
    await stack.start()
    assert {service.state for service in stack.supervisor.services} == {ServiceState.READY}
    assert stack.history[0] == "start database"
    stack.history.clear()
    await stack.supervisor.stop()
    assert stack.history[-1] == "stop database"
    assert {service.state for service in stack.supervisor.services} == {ServiceState.STOPPED}


async def test_what_dies_is_swept_up_and_started_again_alone(stack: Stack) -> None:
    await stack.start()
    stack.gateway.die()
    await stack.until_told("gateway is ready", times=2)
    assert (stack.gateway.starts, stack.shard.starts) == (2, 1)
    assert stack.swept == ["gateway"]
    assert next(line for line in stack.told if "restarting" in line).startswith(
        "gateway was ended by SIGKILL"
    )
    assert stack.supervisor.services[2].restarts == 1
    await stack.supervisor.stop()


@pytest.mark.parametrize("refusal", [OSError("no such program"), ValueError("a file of it was cut short")])
async def test_a_restart_that_fails_however_it_fails_is_tried_again(stack: Stack, refusal: Exception) -> None:
    await stack.start()
    stack.gateway.refusals, stack.gateway.refusal = 2, refusal
    stack.gateway.die()
    await stack.until_told("gateway is ready", times=2)
    assert stack.gateway.starts == 4
    assert any(f"cannot be started: {refusal}" in line for line in stack.told)
    await stack.supervisor.stop()


async def test_a_first_start_that_fails_is_problem_909(stack: Stack) -> None:
    stack.database.refusals = 1
    with pytest.raises(VenueError, match="no such program") as caught:
        await stack.supervisor.start_stage(0)
    assert caught.value.number is ProblemNumber.PROCESS_DID_NOT_START
    await stack.supervisor.stop()


async def test_what_ends_before_it_is_ready_is_reported_with_its_last_words(stack: Stack) -> None:
    stack.database.works = False
    asyncio.get_running_loop().call_later(0.05, stack.database.die)
    with pytest.raises(VenueError, match="database was ended by SIGKILL; its last words:\nits last words"):
        await stack.supervisor.start_stage(0)
    await stack.supervisor.stop()

import asyncio
import threading

import pytest

from polyscene.core.errors import BusyError
from polyscene.serve.desk import Desk


def test_runs_work_on_another_thread_and_gives_its_value_or_error():
    desk = Desk("readers", 1, 4)

    async def use():
        assert await desk.run(lambda a, b: (a + b, threading.get_ident()), 1, b=2) != (
            3,
            threading.get_ident(),
        )
        with pytest.raises(ZeroDivisionError):
            await desk.run(lambda: 1 / 0)

    asyncio.run(use())
    desk.close()


def test_refuses_a_call_when_the_house_is_full_and_takes_the_next_after_one_left():
    desk, gate = Desk("readers", 1, 2), threading.Event()

    async def use():
        held = [asyncio.create_task(desk.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="try again"):
            await desk.run(int)
        gate.set()
        await asyncio.gather(*held)
        assert await desk.run(int) == 0

    asyncio.run(use())
    desk.close()


def test_a_call_whose_client_went_away_keeps_its_place_while_it_runs():
    desk, gate, started = Desk("readers", 1, 1), threading.Event(), threading.Event()

    def work():
        started.set()
        gate.wait()

    async def use():
        task = asyncio.create_task(desk.run(work))
        await asyncio.to_thread(started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(BusyError):
            await desk.run(int)
        gate.set()

    asyncio.run(use())
    desk.close()

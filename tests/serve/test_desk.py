import asyncio
import threading
import time

import pytest
from structlog.testing import capture_logs

from polyscene.core.errors import BusyError
from polyscene.serve.desk import Desk
from polyscene.serve.pulse import Pulse


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


def test_a_burst_may_fill_the_house_and_an_overload_may_not():
    desk, gate = Desk("readers", 1, 8), threading.Event()

    async def use():
        burst = [asyncio.create_task(desk.run(gate.wait)) for _ in range(8)]
        await asyncio.sleep(0)
        assert desk.inside == 8
        for _ in range(20):
            with pytest.raises(BusyError):
                await desk.run(int)
        gate.set()
        await asyncio.gather(*burst)
        gate.clear()
        held = [asyncio.create_task(desk.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        assert desk.full, "one runs and one waits; after so many refusals that is all"
        gate.set()
        await asyncio.gather(*held)
        for _ in range(100):
            assert await desk.run(int) == 0
        gate.clear()
        burst = [asyncio.create_task(desk.run(gate.wait)) for _ in range(8)]
        await asyncio.sleep(0)
        assert desk.inside == 8, "a hundred calls later it is a burst again"
        gate.set()
        await asyncio.gather(*burst)

    asyncio.run(use())
    desk.close()


def test_an_overload_is_logged_once_a_second_and_not_for_every_call():
    desk = Desk("readers", 1, 0)
    with capture_logs() as logs:
        for _ in range(50):
            with pytest.raises(BusyError):
                desk.refuse()
    assert len(logs) <= 1
    desk.close()


def test_in_an_overload_nobody_is_let_in_who_has_waited_long_before():
    lag = [0.0]
    desk = Desk("readers", 1, 4, lambda: lag[0])
    lag[0] = 10.0
    assert not desk.full, "a stall alone is no overload"
    for _ in range(20):
        with pytest.raises(BusyError):
            desk.refuse()
    assert desk.full
    lag[0] = 0.0
    assert not desk.full
    desk.close()


def test_the_pulse_tells_how_late_the_loop_is():
    async def use():
        pulse = Pulse()
        assert pulse.lag_s == 0
        pulse.start()
        time.sleep(0.2)  # holding the loop up is the point
        assert pulse.lag_s >= 0.15
        await asyncio.sleep(0)
        assert pulse.lag_s >= 0.15
        pulse.stop()
        assert pulse.lag_s == 0

    asyncio.run(use())

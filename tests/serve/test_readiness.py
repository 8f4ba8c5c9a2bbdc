"""Readiness is told at once, from what is known, whatever the service is busy with."""

import asyncio
import threading

from polyscene.serve.readiness import Readiness


def test_a_slow_look_does_not_hold_up_the_answer_and_is_asked_for_once():
    gate, asked = threading.Event(), []

    def status():
        asked.append(1)
        gate.wait()
        return {"ready": True, "position": 7}

    async def use():
        readiness = Readiness(status, threading.Event())
        first = await asyncio.gather(*(readiness.status() for _ in range(5)))
        assert {each["ready"] for each in first} == {False}
        assert len(asked) == 1
        gate.set()
        while not (await readiness.status())["ready"]:
            await asyncio.sleep(0)
        readiness.close()

    asyncio.run(use())


def test_a_service_that_was_told_to_end_is_not_ready():
    draining = threading.Event()
    readiness = Readiness(lambda: {"ready": True}, draining)

    async def use():
        assert (await readiness.status())["ready"]
        draining.set()
        told = await readiness.status()
        assert not told["ready"]
        assert told["problems"]

    asyncio.run(use())
    readiness.close()

"""The outside of the pipeline under test: a model server and an action server that count. They run in a thread of this
process, so that a scenario can change their behaviour by assignment and the checker can read what they saw.
"""

import asyncio
import random
import re
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from tests.chaos import bank
from tests.chaos.bank import Bank
from tests.fakes.action_server import ActionServer, Conduct, Request
from tests.fakes.model_server import ModelServer, Seen, Step

# Both take their time, so that a process that is killed is often in the midst of a call. An action acts, then answers.
MODEL_DELAY_S = 0.1
ACTION_DELAY_S = 0.3
# Where a second call acts again, whatever its key.
WITHOUT_KEYS = frozenset({"/appends", bank.NONE, bank.ASKED})
# Where an effect and its record must agree, whatever was answered.
NEVER_DENIED = WITHOUT_KEYS | {bank.KEY, bank.NATURAL}
_NUMBER = re.compile(r'"number": (\d+)')
_SOURCE = re.compile(r'"source": "([^"]*)"')
_WANT = re.compile(r'"want": "(\w+)"')
_LOOKED = "Step 0: what you decided"


@dataclass(frozen=True)
class Effect:
    """An executed action. `at` is epoch seconds."""

    path: str
    source: str
    number: int
    subject: str
    at: float

    @property
    def name(self) -> tuple[str, int]:
        return self.source, self.number


@dataclass(frozen=True)
class Asked:
    """A question to the model: its event, and the step of its case."""

    source: str
    number: int
    step: int


def decide(prompt: str) -> Mapping[str, Any]:
    """The decision that the event wants; a case that has done its research is answered. The confidence differs from
    call to call, as a model's does.
    """
    want = _WANT.findall(prompt)[0]
    action = "answer" if want == "look" and _LOOKED in prompt else want
    confidence = round(random.uniform(0.8, 1.0), 6)
    return {"action": action, "confidence": confidence, "parameters": {}, "reasoning": "the event says so"}


def asked(prompt: str) -> Asked:
    """Which question the prompt is."""
    return Asked(_SOURCE.findall(prompt)[0], int(_NUMBER.findall(prompt)[0]), int(_LOOKED in prompt))


class CountingActions(ActionServer):
    """Records every effect with its time; some paths take no keys."""

    def __init__(self) -> None:
        super().__init__(otherwise=Conduct(delay_seconds=ACTION_DELAY_S))
        self.seen: list[Effect] = []
        self.bank = Bank(self._note)

    def _note(self, path: str, body: Mapping[str, Any]) -> None:
        self.seen.append(Effect(path, body["source"], int(body["number"]), body["subject"], at=time.time()))

    def handle(self, request: Request) -> Conduct:
        if request.path.startswith(bank.PATH):
            return self.bank.handle(request)
        if request.path in WITHOUT_KEYS:
            headers = {name: value for name, value in request.headers.items() if name != "idempotency-key"}
            request = request._replace(headers=headers)
        before = len(self.tally.effects)
        conduct = super().handle(request)
        if len(self.tally.effects) > before and request.method == "POST":
            self._note(request.path, orjson.loads(request.body))
        return conduct

    def events_at(self, path: str, source: str) -> int:
        """How many events of a source were seen there so far."""
        return len({effect.name for effect in list(self.seen) if (effect.path, effect.source) == (path, source)})


class CountingModel(ModelServer):
    """`steps` sets how questions about some events are answered, every time; the others follow `usual`."""

    def __init__(self) -> None:
        super().__init__(decide, Step(delay_seconds=MODEL_DELAY_S), keep_requests=1_000_000)
        self.steps: dict[tuple[str, int], Step] = {}

    def step_for(self, seen: Seen) -> Step:
        question = asked(seen.prompt)
        return self.steps.get((question.source, question.number)) or super().step_for(seen)


class Outside:
    """Both servers. A context manager; the URLs stay the same when a server is stopped and started again."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outside", daemon=True)
        self.model = CountingModel()
        self.actions = CountingActions()

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.actions.start())
        self.run(self.model.__aenter__())
        return self

    def __exit__(self, *_error: object) -> None:
        self.run(self.actions.stop())
        self.run(self.model.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, what: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine on the servers' loop, for example `actions.stop()`, and wait for its end."""
        asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    def questions(self) -> list[Asked]:
        """Every question so far, in order."""
        return [asked(seen.prompt) for seen in list(self.model.requests)]

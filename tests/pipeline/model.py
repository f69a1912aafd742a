"""The Messages API for the pipeline's tests: it wants to refund whoever writes REFUND, and answers everyone else."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any

from tests.fakes.model_server import ModelServer, respond_to_all


def decide(prompt: str) -> Mapping[str, Any]:
    if "REFUND" not in prompt:
        return respond_to_all(prompt)
    parameters = {"amount": 20, "reason": "never arrived"}
    return {"action": "refund", "confidence": 0.99, "parameters": parameters, "reasoning": "they asked for it"}


async def serve(port: int) -> None:
    async with ModelServer(decide, port=port, keep_requests=10_000):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))

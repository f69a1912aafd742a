"""Performs a step, even if an earlier process may have started its call.

`begun` is true if the intent was recorded and no outcome was.
"""

from dataclasses import replace

from nightdesk.effects.handlers.protocol import Handler, Reconciles, StepCall
from nightdesk.processors.playbook import StepResult


async def perform(handler: Handler, call: StepCall, *, begun: bool) -> StepResult:
    """The result of the step, whose call takes effect at most once.

    A started call is repeated if that is safe. Otherwise the other side is asked, and no call is made. If it cannot be
    asked, the result is `unknown`: a person sees it, and there is no second attempt.
    """
    if begun and not handler.repeatable:
        if not isinstance(handler, Reconciles):
            return StepResult(
                "unknown", error="the call was started and its response lost; it is not safe to repeat it"
            )
        return await handler.reconcile(call)
    result = await handler.run(call)
    # If a response was lost without a crash, ask the other side first, as after a crash.
    can_be_asked = result.status == "unknown" and isinstance(handler, Reconciles)
    return replace(result, retryable=True) if can_be_asked else result

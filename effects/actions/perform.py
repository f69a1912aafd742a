"""Performing a step whose call may have been begun by a process that is gone.

The act stage calls it for each step; `begun` is true when the intent was recorded and no outcome was.
"""

from dataclasses import replace

from effects.actions.protocol import Call, Handler, Reconciles, Result


async def perform(handler: Handler, call: Call, *, begun: bool) -> Result:
    """The result of the step, which then happened at most once.

    A call that was begun is made again where that is safe. Elsewhere the other side is asked, and where it cannot be
    asked the result is `unknown`: a person sees it, there is never a second try.
    """
    if begun and not handler.repeatable:
        if not isinstance(handler, Reconciles):
            return Result("unknown", error="the call was begun and its answer lost; it is not safe to make it again")
        earlier = await handler.reconcile(call)
        if earlier is not None:
            return earlier
    result = await handler.run(call)
    # An answer that was lost without a crash: the next time is like one after a crash, and asks first.
    can_be_asked = result.status == "unknown" and isinstance(handler, Reconciles)
    return replace(result, retryable=True) if can_be_asked else result

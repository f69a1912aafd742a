"""`/healthz`, `/readyz` and `/metrics` of a worker, for Kubernetes and Prometheus. Port 0 turns them off."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest


async def serve(port: int, why_not_ready: Callable[[], str], host: str = "") -> web.AppRunner:
    """Serve until the runner is cleaned up. `why_not_ready` is empty once partitions are assigned and tables
    recovered.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_request: web.Request) -> web.Response:
        reason = why_not_ready()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ready'}\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for
    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # Probes come from outside the pod, so it listens on every address unless the settings name one; it serves only
    # metrics.
    await web.TCPSite(runner, host or None, port=port).start()
    return runner

"""ClickHouse's HTTP interface on loopback, before the engine that chdb carries. Started by `nightdesk.local.stack` as
`python -m nightdesk.local.clickhouse --path DIR --port N`, because chdb cannot open a listener of its own.

What clickhouse-connect, curl, Grafana and friends need: `query` as parameter, form field or body, settings and
`param_*` as parameters, compressed request bodies, ClickHouse's headers and error codes. Not here: users, sessions,
external tables, ClickHouse's own block compression.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import cramjam
from aiohttp import web

from nightdesk.local.clickhouse_engine import Answer, Engine, EngineError, Statement
from nightdesk.local.parts import AUDIT_NICENESS, LOOPBACK, Part, answers_http, python_module

LARGEST_REQUEST_BYTES = 1 << 30
ENGINE: web.AppKey[Engine] = web.AppKey("engine", Engine)

# Parameters of the interface itself; every other one is a setting.
TRANSPORT_PARAMETERS = frozenset(
    {
        "query", "database", "default_format", "user", "password", "quota_key", "query_id", "role",
        "session_id", "session_timeout", "session_check", "compress", "decompress", "buffer_size",
        "wait_end_of_query", "client_protocol_version", "enable_http_compression", "http_zlib_compression_level",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)  # fmt: skip

# ClickHouse's own table, the codes that clients tell apart.
STATUS_OF_CODE = {
    62: HTTPStatus.BAD_REQUEST,  # SYNTAX_ERROR
    115: HTTPStatus.BAD_REQUEST,  # UNKNOWN_SETTING
    60: HTTPStatus.NOT_FOUND,  # UNKNOWN_TABLE
    81: HTTPStatus.NOT_FOUND,  # UNKNOWN_DATABASE
    47: HTTPStatus.NOT_FOUND,  # UNKNOWN_IDENTIFIER
    46: HTTPStatus.NOT_FOUND,  # UNKNOWN_FUNCTION
    164: HTTPStatus.FORBIDDEN,  # READONLY
}

_TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_FIRST_WORD = re.compile(rb"(?:\s+|--[^\n]*\n|/\*.*?\*/|\()*([A-Za-z]+)", re.DOTALL)
_WORDS_WITH_A_RESULT = frozenset(b"SELECT WITH SHOW DESCRIBE DESC EXISTS EXPLAIN CHECK VALUES FROM".split())


class BadRequest(Exception):
    """The request cannot be understood; the text says what to send instead."""


def clickhouse_url(port: int) -> str:
    """What `NIGHTDESK_CLICKHOUSE__URL` would be."""
    return f"http://{LOOPBACK}:{port}/default"


def clickhouse_part(home: Path, port: int) -> Part:
    return Part(
        name="clickhouse",
        where=clickhouse_url(port),
        command=python_module("nightdesk.local.clickhouse", "--path", str(home / "clickhouse"), "--port", str(port)),
        is_ready=answers_http(f"http://{LOOPBACK}:{port}/ping"),
        niceness=AUDIT_NICENESS,
    )


def application(engine: Engine) -> web.Application:
    """The HTTP interface of `engine`."""
    app = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
    app[ENGINE] = engine
    app.router.add_get("/ping", _ping)
    for path in ("/", "/query"):
        app.router.add_get(path, _query)
        app.router.add_post(path, _query)
    return app


async def _ping(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _query(request: web.Request) -> web.Response:
    try:
        statement = await _statement(request)
        if not statement.text.strip():
            return web.Response(text="Ok.\n")
        answer = await request.app[ENGINE].run(statement)
    except BadRequest as error:
        return web.Response(status=HTTPStatus.BAD_REQUEST, text=f"{error}\n")
    except EngineError as error:
        status = STATUS_OF_CODE.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = {"X-ClickHouse-Exception-Code": str(error.code)}
        return web.Response(status=status, text=f"{error.message}\n", headers=headers)
    return web.Response(body=answer.body, headers=_headers(request, statement, answer))


async def _statement(request: web.Request) -> Statement:
    fields = dict(request.query)
    if request.content_type == "multipart/form-data":
        for name, value in (await request.post()).items():
            if not isinstance(value, str):
                raise BadRequest("external tables are not supported by the local ClickHouse: use a real server")
            fields[name] = value
        body = b""
    else:
        body = _decoded(await request.read(), request.headers.get("Content-Encoding", ""))
    if fields.get("decompress") == "1" or fields.get("compress") == "1":
        raise BadRequest("ClickHouse block compression is not supported here: use Content-Encoding (gzip, zstd, lz4)")
    text = b"\n".join(part for part in (fields.get("query", "").encode(), body) if part)
    return Statement(
        text=text,
        output_format=request.headers.get("X-ClickHouse-Format") or fields.get("default_format", "TabSeparated"),
        database=request.headers.get("X-ClickHouse-Database") or fields.get("database", ""),
        settings=_settings(fields, read_only=request.method == "GET"),
        parameters={name.removeprefix("param_"): value for name, value in fields.items() if name.startswith("param_")},
    )


def _settings(fields: Mapping[str, str], read_only: bool) -> dict[str, str]:
    settings = {
        name: value
        for name, value in fields.items()
        if name not in TRANSPORT_PARAMETERS and not name.startswith("param_")
    }
    if read_only:
        settings["readonly"] = "2"  # as ClickHouse does: a link in a page cannot change data
    return settings


def _headers(request: web.Request, statement: Statement, answer: Answer) -> dict[str, str]:
    summary = {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": str(answer.written_rows),
        "written_bytes": str(answer.written_bytes),
        "elapsed_ns": str(answer.elapsed_ns),
    }
    headers = {
        "X-ClickHouse-Summary": json.dumps(summary),
        "X-ClickHouse-Query-Id": request.query.get("query_id", ""),
        "X-ClickHouse-Timezone": "UTC",
        "Content-Type": "text/plain; charset=UTF-8",
    }
    first_word = _FIRST_WORD.match(statement.text)
    if first_word and first_word.group(1).upper() in _WORDS_WITH_A_RESULT:
        named = _TRAILING_FORMAT.search(statement.text)
        headers["X-ClickHouse-Format"] = named.group(1).decode() if named else statement.output_format
    return headers


def _decoded(body: bytes, encoding: str) -> bytes:
    if not encoding or encoding == "identity":
        return body
    if encoding not in DECODERS:
        raise BadRequest(f"unknown Content-Encoding {encoding!r}: use one of {', '.join(DECODERS)}")
    try:
        return bytes(DECODERS[encoding].decompress(body))
    except cramjam.DecompressionError as error:
        raise BadRequest(f"the body is not {encoding}, as Content-Encoding says: {error}") from error


DECODERS = {"gzip": cramjam.gzip, "deflate": cramjam.zlib, "zstd": cramjam.zstd, "lz4": cramjam.lz4}


def main() -> None:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface before an engine in this process.")
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    engine = Engine(arguments.path)
    try:
        web.run_app(
            application(engine), host=LOOPBACK, port=arguments.port, print=None, access_log=None, auto_decompress=False
        )
    finally:
        engine.close()


if __name__ == "__main__":
    main()

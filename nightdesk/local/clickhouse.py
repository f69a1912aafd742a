"""ClickHouse's HTTP interface on loopback, in front of the engine of chdb, which has no listener of its own. Started as
`python -m nightdesk.local.clickhouse --path DIR --port N`.

It has what clickhouse-connect, curl and Grafana need: `query` as parameter, form field or body, settings and `param_*`
as parameters, compressed request bodies, ClickHouse's headers and error codes. Its users are those of a server
(`sinks/clickhouse/access.py`). It does not support statements about users, sessions, external tables and ClickHouse's
block compression.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import cramjam
from aiohttp import BasicAuth, web

from nightdesk.local.clickhouse_engine import BACKUP_DISK, DATABASE, Engine, EngineError, Statement, StatementResult
from nightdesk.local.clickhouse_rights import Rights, accounts_from_text, accounts_to_text
from nightdesk.local.loopback_only import loopback_only
from nightdesk.local.parts import AUDIT_NICENESS, LOOPBACK, Part, answers_http, python_module
from nightdesk.local.secrets import LocalSecrets
from nightdesk.sinks.clickhouse.access import STORE_USERS, Account
from nightdesk.sinks.clickhouse.statements import why_not_set

LARGEST_REQUEST_BYTES = 1 << 30
ENGINE: web.AppKey[Engine] = web.AppKey("engine", Engine)
# The engine executes one statement after another, so that a read without an end keeps the audit from being written.
READ_TIMEOUT_S = 60
# The user of a name, or None.
ACCOUNT_OF: web.AppKey[Callable[[str], Account | None]] = web.AppKey("account_of")
# In the environment, because every user of the machine can see arguments.
ACCOUNTS_VARIABLE = "NIGHTDESK_LOCAL_CLICKHOUSE_ACCOUNTS"

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

# The codes of ClickHouse's own table that clients distinguish.
STATUS_OF_CODE = {
    62: HTTPStatus.BAD_REQUEST,  # SYNTAX_ERROR
    115: HTTPStatus.BAD_REQUEST,  # UNKNOWN_SETTING
    60: HTTPStatus.NOT_FOUND,  # UNKNOWN_TABLE
    81: HTTPStatus.NOT_FOUND,  # UNKNOWN_DATABASE
    47: HTTPStatus.NOT_FOUND,  # UNKNOWN_IDENTIFIER
    46: HTTPStatus.NOT_FOUND,  # UNKNOWN_FUNCTION
    164: HTTPStatus.FORBIDDEN,  # READONLY
    497: HTTPStatus.FORBIDDEN,  # ACCESS_DENIED
    516: HTTPStatus.UNAUTHORIZED,  # AUTHENTICATION_FAILED
}

_TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_FIRST_WORD = re.compile(rb"(?:\s+|--[^\n]*\n|/\*.*?\*/|\()*([A-Za-z]+)", re.DOTALL)
_WORDS_WITH_A_RESULT = frozenset(b"SELECT WITH SHOW DESCRIBE DESC EXISTS EXPLAIN CHECK VALUES FROM".split())


class BadRequest(Exception):
    """The request cannot be parsed; the text says what to send instead."""


def clickhouse_url(port: int) -> str:
    """The value of `NIGHTDESK_CLICKHOUSE__URL` for it, without a user."""
    return f"http://{LOOPBACK}:{port}/{DATABASE}"


def clickhouse_endpoint(port: int, secrets: LocalSecrets) -> dict[str, str]:
    """The settings of a process that uses it: every user has a login of its own."""
    return {
        "url": clickhouse_url(port).replace("://", f"://sink:{secrets.clickhouse_sink}@"),
        "migrate_username": "migrate",
        "migrate_password": secrets.clickhouse_migrate,
        "reader_username": "reader",
        "reader_password": secrets.clickhouse_reader,
        "viewer_username": "viewer",
        "viewer_password": secrets.clickhouse_viewer,
        "forget_key": secrets.forget_key,
        "backup_to": f"disk:{BACKUP_DISK}",
    }


def clickhouse_part(home: Path, port: int, accounts: Sequence[Account]) -> Part:
    return Part(
        name="clickhouse",
        where=clickhouse_url(port),
        command=python_module("nightdesk.local.clickhouse", "--path", str(home / "clickhouse"), "--port", str(port)),
        is_ready=answers_http(f"http://{LOOPBACK}:{port}/ping"),
        is_alive=answers_http(f"http://{LOOPBACK}:{port}/ping"),
        environment={ACCOUNTS_VARIABLE: accounts_to_text(accounts)},
        niceness=AUDIT_NICENESS,
    )


def application(engine: Engine, accounts: Mapping[str, Account]) -> web.Application:
    """The HTTP interface of `engine` for these users, by name."""
    app = web.Application(client_max_size=LARGEST_REQUEST_BYTES, middlewares=[loopback_only])
    app[ENGINE] = engine
    app[ACCOUNT_OF] = accounts.get
    app.router.add_get("/ping", _ping)
    for path in ("/", "/query"):
        app.router.add_get(path, _query)
        app.router.add_post(path, _query)
    return app


async def _ping(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _query(request: web.Request) -> web.Response:
    try:
        statement = await _statement(request, Rights(_account(request)))
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


def _account(request: web.Request) -> Account:
    """The user, in any of ClickHouse's three ways of authentication. Raises `EngineError`."""
    user = request.headers.get("X-ClickHouse-User") or request.query.get("user", "")
    password = request.headers.get("X-ClickHouse-Key") or request.query.get("password", "")
    if "Authorization" in request.headers:
        try:
            user, password, _ = BasicAuth.decode(request.headers["Authorization"], encoding="utf-8")
        except ValueError:
            user = ""
    found = request.app[ACCOUNT_OF](user)
    if found is None or not hmac.compare_digest(password.encode(errors="replace"), found.password.encode()):
        raise EngineError(
            f"Code: 516. DB::Exception: Authentication failed: the users are {', '.join(STORE_USERS)}, and their"
            " passwords are in secrets.json in the folder of the stack. (AUTHENTICATION_FAILED)"
        )
    return found


async def _statement(request: web.Request, rights: Rights) -> Statement:
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
        settings=_settings(fields, rights, read_only=request.method == "GET" or rights.only_reads),
        rights=rights,
        parameters={name.removeprefix("param_"): value for name, value in fields.items() if name.startswith("param_")},
    )


def _settings(fields: Mapping[str, str], rights: Rights, read_only: bool) -> dict[str, str]:
    """The settings of the request. Raises `EngineError` for one that a reader may not set."""
    settings = {
        name: value
        for name, value in fields.items()
        if name not in TRANSPORT_PARAMETERS and not name.startswith("param_")
    }
    if rights.only_reads:
        wrong = next(filter(None, (why_not_set(*one) for one in settings.items() if one[0] != "readonly")), None)
        if wrong is not None:
            raise EngineError(f"Code: 164. DB::Exception: this user {wrong}. (READONLY)")
        settings.setdefault("max_execution_time", str(READ_TIMEOUT_S))
    if read_only:
        settings["readonly"] = "2"  # as in ClickHouse: a link in a page cannot change data
    return settings | rights.row_filters


def _headers(request: web.Request, statement: Statement, answer: StatementResult) -> dict[str, str]:
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
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface for an engine in this process.")
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    accounts = accounts_from_text(os.environ.pop(ACCOUNTS_VARIABLE))
    engine = Engine(arguments.path)
    try:
        app, port = application(engine, accounts), arguments.port
        web.run_app(app, host=LOOPBACK, port=port, print=None, access_log=None, auto_decompress=False)
    finally:
        engine.close()


if __name__ == "__main__":
    main()

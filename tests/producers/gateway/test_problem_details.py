"""The response and the log of an error in the gateway itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, sys, threading, time, urllib.error, urllib.request
from fastapi import FastAPI
from infra.config.gateway import GatewaySettings
from infra.config.observability import LogSettings
from infra.observability.logging import configure_logs
from infra.observability.redaction import Redaction
from producers.gateway.clients import ClientAddresses
from producers.gateway.problem_details import add_problem_handlers
from producers.gateway.server import make_server

configure_logs(LogSettings(format="json"), "gateway", Redaction(["canary-secret"]))
app = FastAPI()
add_problem_handlers(app)

@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("no canary-secret here")

settings = GatewaySettings(port=0)
server = make_server(app, settings, ClientAddresses(settings))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]
answers = []
for given in json.loads(sys.argv[1]):
    headers = {"X-Request-Id": given} if given else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/broken", headers=headers)
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answers.append([error.code, json.load(error), error.headers["X-Request-Id"]])
server.should_exit = True
thread.join()
print(json.dumps(answers))
"""


def answers_and_log(*request_ids: str) -> tuple[list[tuple[int, dict[str, str], str]], str]:
    """The answers to requests for a route that fails, and what the server wrote to standard error."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(request_ids)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return [tuple(answer) for answer in json.loads(done.stdout)], done.stderr


def test_the_trace_of_a_mistake_is_on_standard_error_once_with_the_request_id() -> None:
    [(status, problem, request_id)], log = answers_and_log("")
    assert (status, int(problem["status"])) == (500, 500)
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert f"the request id {request_id}" in problem["detail"]
    assert "RuntimeError" not in json.dumps(problem)
    [line] = log.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["part"], entry["request_id"]) == ("error", "gateway", request_id)
    assert (entry["method"], entry["path"]) == ("GET", "/broken")
    assert "Traceback (most recent call last)" in entry["exception"]
    assert "RuntimeError: no *** here" in entry["exception"]
    assert "canary" not in log


def test_the_request_id_of_a_proxy_is_used_and_one_that_could_forge_lines_is_not() -> None:
    [(_, _, given), (_, _, random)], log = answers_and_log("proxy-7.a", 'x" level="info')
    assert given == "proxy-7.a"
    assert re.fullmatch("[0-9a-f]{32}", random)
    assert [json.loads(line)["request_id"] for line in log.splitlines()] == [given, random]

import multiprocessing
import multiprocessing.connection
import socket

from infra.local.ports import LOOPBACK, claim_port, find_free_port, is_listening, port_of


def test_a_taken_port_is_left_alone() -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert is_listening((LOOPBACK, port))
        assert find_free_port(port) != port
        with claim_port(port) as other:
            assert port_of(other) != port
    assert not is_listening((LOOPBACK, port))


def test_a_claimed_port_is_free_to_listen_on_and_is_claimed_only_once() -> None:
    with claim_port(0) as first, claim_port(port_of(first)) as second, socket.socket() as broker:
        assert port_of(second) != port_of(first)
        broker.bind((LOOPBACK, port_of(first)))
        broker.listen()
        assert is_listening((LOOPBACK, port_of(first)))


def test_a_claim_ends_with_the_process_that_made_it() -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_claim_and_wait, args=(theirs,))
    child.start()
    port = ours.recv()
    with claim_port(port) as other:
        assert port_of(other) != port
    child.kill()
    child.join()
    with claim_port(port) as again:
        assert port_of(again) == port


def _claim_and_wait(line: "multiprocessing.connection.Connection[int, int]") -> None:
    with claim_port(0) as claim:
        line.send(port_of(claim))
        line.poll(60)

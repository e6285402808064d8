from __future__ import annotations

import socket
import threading

import pytest

from haproxy_voip.edge.control_client import ControlError, request


def test_no_proxy_running_is_told(socket_path):
    with pytest.raises(ControlError, match="does not exist: no proxy runs there"):
        request(socket_path, "status", {})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path))
    with pytest.raises(ControlError, match="has died; start it again"):
        request(socket_path, "status", {})


def test_a_path_too_long_for_a_socket_is_told(tmp_path):
    with pytest.raises(ControlError, match="too long"):
        request(tmp_path / ("x" * 200), "status", {})


@pytest.mark.parametrize(("answer", "problem"), [(None, "no answer in time"), (b"", "without an answer")])
def test_a_stuck_or_dying_proxy_is_told(socket_path, answer, problem):
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(socket_path))
        stuck.listen()
        done = threading.Event()

        def serve():
            accepted, _ = stuck.accept()
            with accepted:
                accepted.recv(100)
                if answer is None:
                    done.wait(5)

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(ControlError, match=problem):
            request(socket_path, "status", {}, patience=0.05 if answer is None else 5)
        done.set()
        server.join()

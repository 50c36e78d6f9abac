"""Addresses that a server listens on."""

import contextlib
import ipaddress
import socket

from tfgen.errors import Failure, UserError


def is_loopback(host):
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def guard(host, token):
    """Raises a `UserError` for an address that other machines reach, without a token."""
    if token is None and not is_loopback(host):
        raise UserError(f"--host expects a loopback address or a --token, received {host} alone: give a --token")


def bound(host, port, shared=False):
    """A socket at an address; port 0 takes a free one.

    Args:
        host, port: the address.
        shared: whether other sockets, of this user and with this setting, may be bound to it.

    Raises:
        Failure: if it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    # Whatever closed connections of an earlier server linger.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise Failure(f"{host}:{port} cannot be listened on ({error.strerror or error}): choose another --port or "
                      "--grpc-port, or stop what listens there") from None
    return made


@contextlib.contextmanager
def reserved(host, *ports):
    """Context manager: the ports, in place of 0 free ones, which are given to nobody who asks for a free one meanwhile.

    The sockets that keep them do not listen, so that they are given no connection.

    Raises:
        Failure: if somebody listens at one, be it with a shared socket.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for port in ports:
            with bound(host, port) as free:
                port = free.getsockname()[1]
            found.append(stack.enter_context(bound(host, port, shared=True)).getsockname()[1])
        yield tuple(found)

"""Runs a command for which the kernel has no IPv6: ``python without_ipv6.py COMMAND…``.

A seccomp filter (seccomp(2)) answers to socket(AF_INET6, …) as a kernel without it does.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

_SOCKET_CALL = {"x86_64": 41, "aarch64": 198}[platform.machine()]
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF: instructions
_CALL, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 22, 38, 2

_PROGRAM = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (  # code, instructions to skip if true, if false, operand
        (_LOAD, 0, 0, _CALL),
        (_IF_EQUAL, 0, 3, _SOCKET_CALL),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IF_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _FAIL | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    )
)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main() -> None:
    """Filter, then become the command."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(_PROGRAM) // 8, _PROGRAM)
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*call) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()

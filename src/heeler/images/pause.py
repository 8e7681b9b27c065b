"""The pause program: what holds a pod's namespaces, as a static ELF file for amd64 and arm64, made without a compiler.

It ends with 0 on SIGTERM and SIGINT, lets the kernel reap orphans (SIGCHLD is ignored, so none becomes a zombie) and
otherwise waits for ever. Sources: the ELF format (`man 5 elf`), the kernel's system call tables, and the Arm
architecture's instruction encodings.
"""

from __future__ import annotations

import struct

BASE = 0x400000
HEADERS = 64 + 56

SIGINT, SIGTERM, SIGCHLD = 2, 15, 17
SIG_IGN = 1
SA_RESTORER = 0x04000000
SIGSET_BYTES = 8

ARCHITECTURES = ("amd64", "arm64")
#: e_machine in the ELF header.
MACHINE = {"amd64": 62, "arm64": 183}


def program(architecture: str) -> bytes:
    """The executable's bytes. Raises ValueError for an unknown architecture."""
    if architecture == "amd64":
        code, handler = _amd64
    elif architecture == "arm64":
        code, handler = _arm64
    else:
        raise ValueError(f"no pause program for {architecture}: only for {', '.join(ARCHITECTURES)}")
    # Two `struct sigaction` as the kernel reads them follow the code: "end" and "ignore".
    length = len(code(0, 0))
    data = BASE + HEADERS + length
    text = code(data, data + 32)
    ends = struct.pack("<QQQQ", BASE + HEADERS + handler, SA_RESTORER, BASE + HEADERS + handler, 0)
    ignores = struct.pack("<QQQQ", SIG_IGN, SA_RESTORER, BASE + HEADERS + handler, 0)
    return _elf(text + ends + ignores, MACHINE[architecture])


def _elf(body: bytes, machine: int) -> bytes:
    """One loadable segment that is read and run; entry at its first byte after the headers."""
    size = HEADERS + len(body)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x10000)
    return header + segment + body


def _amd64_code(ends: int, ignores: int) -> bytes:
    def sigaction(number: int, action: int) -> bytes:
        return (
            b"\xb8" + struct.pack("<I", 13)  # mov eax, rt_sigaction
            + b"\xbf" + struct.pack("<I", number)  # mov edi, number
            + b"\xbe" + struct.pack("<I", action)  # mov esi, action
            + b"\x31\xd2"  # xor edx, edx
            + b"\x41\xba" + struct.pack("<I", SIGSET_BYTES)  # mov r10d, 8
            + b"\x0f\x05"  # syscall
        )  # fmt: skip

    leave = b"\xb8" + struct.pack("<I", 231) + b"\x31\xff" + b"\x0f\x05"  # exit_group(0)
    wait = b"\xb8" + struct.pack("<I", 34) + b"\x0f\x05"  # pause()
    loop = wait + b"\xeb" + struct.pack("<b", -(len(wait) + 2))  # jmp back
    jump = b"\xeb" + struct.pack("<b", len(leave))  # over the handler, which stands first
    start = sigaction(SIGTERM, ends) + sigaction(SIGINT, ends) + sigaction(SIGCHLD, ignores)
    return jump + leave + start + loop


def _arm64_code(ends: int, ignores: int) -> bytes:
    def movz(register: int, value: int, shift: int = 0) -> int:
        return 0xD2800000 | (shift // 16) << 21 | value << 5 | register

    def movk(register: int, value: int, shift: int) -> int:
        return 0xF2800000 | (shift // 16) << 21 | value << 5 | register

    syscall = 0xD4000001

    def sigaction(number: int, action: int) -> list[int]:
        return [
            movz(0, number),
            movz(1, action & 0xFFFF),
            movk(1, action >> 16, 16),
            movz(2, 0),
            movz(3, SIGSET_BYTES),
            movz(8, 134),  # rt_sigaction
            syscall,
        ]

    def branch(words: int) -> int:
        return 0x14000000 | (words & 0x3FFFFFF)

    leave = [movz(0, 0), movz(8, 94), syscall]  # exit_group(0)
    wait = [movz(0, 0), movz(1, 0), movz(2, 0), movz(3, 0), movz(4, 0), movz(8, 73), syscall]  # ppoll(nothing)
    loop = [*wait, branch(-len(wait))]
    start = sigaction(SIGTERM, ends) + sigaction(SIGINT, ends) + sigaction(SIGCHLD, ignores)
    words = [branch(len(leave) + 1), *leave, *start, *loop]
    # Data follows at a multiple of 8, as the kernel wants its structures.
    if (HEADERS + 4 * len(words)) % 8:
        words.append(0)
    return struct.pack(f"<{len(words)}I", *words)


#: The code's maker, and where in it the handler stands.
_amd64 = (_amd64_code, 2)
_arm64 = (_arm64_code, 4)

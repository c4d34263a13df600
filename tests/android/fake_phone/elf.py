"""A tiny x86-64 program that starts the fake runner, made without a compiler.

edgesr looks at a runner's ELF header before it pushes it, and the kernel refuses one of another
machine: a script in its place would pass neither. The program is one ``execve``.
"""

import struct

X86_64, AARCH64 = 62, 183

_BASE = 0x400000
_HEADERS = 64 + 56

_CODE = bytes.fromhex(
    "488b0424"  # mov rax, [rsp]         argc
    "488d742408"  # lea rsi, [rsp+8]       argv
    "488d54c608"  # lea rdx, [rsi+rax*8+8]  envp
    "bf00000000"  # mov edi, path
    "b83b000000"  # mov eax, 59            execve
    "0f05"  # syscall
    "bf7f000000"  # mov edi, 127
    "b83c000000"  # mov eax, 60            exit
    "0f05"  # syscall
)


def make_runner(flavour: str, *, machine: int = X86_64) -> bytes:
    """Return a runner of the flavour ``classic`` or ``litert`` for a machine, as a file's bytes."""
    path = _BASE + _HEADERS + len(_CODE)
    code = _CODE.replace(bytes.fromhex("bf00000000"), b"\xbf" + struct.pack("<I", path), 1)
    body = code + f"/system/bin/fake-{flavour}\0".encode()
    size = _HEADERS + len(body)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    program = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + program + body

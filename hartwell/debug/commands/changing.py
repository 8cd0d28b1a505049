"""Commands that change the machine, or the debugger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from emulator.errors import RegisterError
from emulator.hart import F_NAMES, PRIVILEGE_NAMES, X_NAMES

from ..command import Command, Completes
from ..errors import DebugError
from ..expression import evaluate
from ..places import ADDRESS
from ..watching import memory_operand

if TYPE_CHECKING:
    from ..session import Session

_ASSIGNMENT = re.compile(r"(.*?[^=!<>\s])\s*=(?!=)\s*(.+)", re.S)
_NAME = re.compile(r"\$([A-Za-z_]\w*)")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "e": "\x1b", "a": "\a", "b": "\b", "0": "\0", "\\": "\\", '"': '"'}


def set_(session: Session, text: str) -> None:
    text = re.sub(r"^var(iable)?\s+", "", text)
    word, _, rest = text.partition(" ")
    if word == "context":
        if rest.strip() not in ("on", "off"):
            raise DebugError(f"set context {rest.strip()}: expected on or off")
        session.settings.context = rest.strip() == "on"
        return
    match = _ASSIGNMENT.fullmatch(text)
    if match is None:
        raise DebugError(f"set {text}: expected $NAME = EXPR, {{u64}}ADDRESS = EXPR, or context on or off")
    left, value = match[1], evaluate(match[2], session.scope) & ADDRESS
    name, memory = _NAME.fullmatch(left), memory_operand(left)
    if name is not None:
        _set_name(session, name[1], value)
    elif memory is not None:
        size, where = memory
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        session.write(evaluate(where, session.scope) & ADDRESS, data)
    else:
        raise DebugError(f"{left} cannot be set: expected $NAME, or {{u8}}, {{u16}}, {{u32}} or {{u64}} and an address")


def _set_name(session: Session, name: str, value: int) -> None:
    """A register of the hart, or a value of the user's own."""
    hart = session.hart
    try:
        hart.read(name)
    except RegisterError:
        session.values.named[name] = value
        return
    if name == "priv" and value not in PRIVILEGE_NAMES:
        raise DebugError(f"priv {value}: expected 0 for U, 1 for S or 3 for M")
    if name == "pc" and value & 1:
        raise DebugError(f"pc {value:#x}: instructions are at even addresses")
    session.target.changing()
    hart.write(name, value)
    if hart.read(name) != value and name not in (*X_NAMES, *F_NAMES):
        session.out(f"${name} is {hart.read(name):#x}: fields that do not exist keep their values")


def type_(session: Session, text: str) -> None:
    data = unescape(text).encode("utf-8", "surrogateescape")
    if not data:
        raise DebugError("type what? Expected text, such as hello\\n")
    session.target.changing()
    session.machine.feed(data)


def unescape(text: str) -> str:
    """Text with C's escapes replaced; DebugError for one that C has not."""
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code.startswith("x") and len(code) > 1:
            return bytes([int(code[1:], 16)]).decode("utf-8", "surrogateescape")
        if not code or code not in ESCAPES:
            raise DebugError(f"\\{code}: expected one of {', '.join(chr(92) + each for each in ESCAPES)} or \\xNN")
        return ESCAPES[code]

    return re.sub(r"\\(x[0-9a-fA-F]{2}|.|$)", character, text, flags=re.S)


COMMANDS = (
    Command("set", "set $NAME|{u64}ADDR = EXPR", "change a register or memory, or keep a value under a name", """\
$NAME is a register or CSR of the hart that is looked at; if none is called so, a value for later expressions.
{u8}, {u16}, {u32} and {u64} say how many bytes of memory are stored. In the past of a guest that runs by itself,
what had happened since is forgotten; the past of Hartwell's own kernel, whose code is on the host, stays.
set context on shows the whole context at every stop, set context off a line.""",
            set_, (), Completes.EXPRESSION, remote=False),
    Command("type", "type TEXT", "give the guest's console input", r"""
TEXT is all that follows, with C's escapes: \n ends a line, \x03 is a Ctrl-C. The guest reads it when it runs.
Nothing else is typed: what is typed to the debugger is not the guest's.""".strip(), type_, (), remote=True),
)

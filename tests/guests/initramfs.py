"""A Linux initramfs written by Python: the newc cpio format, gzip round it, nothing else.

The archive is the same byte for byte wherever it is built from the same inputs (same zlib): every
time is 0, every owner is root, inodes count up from 1, gzip carries no name and no time.

    entries = [directory("dev"), device("dev/console", 5, 1), file("init", b"#!/bin/sh\\n", 0o755)]
    Path("initramfs.cpio.gz").write_bytes(archive(entries))

newc: every entry is `070701`, thirteen 8-digit hexadecimal fields, the name with its NUL, padding to
4 bytes, the data, padding to 4 bytes. An entry named `TRAILER!!!` ends the archive (kernel
Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass

#: Busybox applets that get a link in /bin. All are in Debian's busybox-static 1.37.
APPLETS = (
    "[ ash awk basename cat chmod chown clear cmp cp cttyhack cut date dd df dirname dmesg du echo egrep env "
    "expr false find free fgrep grep gunzip gzip halt head hexdump hostname id kill killall ln ls md5sum mkdir "
    "mknod mktemp more mount mv nproc od pidof poweroff printf ps pwd readlink reboot rm rmdir sed seq "
    "setsid sh sha256sum sleep sort stat stty sync tail tar tee test time timeout top touch tr true tty umount "
    "uname uniq uptime usleep vi wc which xargs yes"
).split()

_MOUNTS = """\
#!/bin/sh
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
"""

#: /init that prints BOOT-OK and gives a shell with the prompt `guest# ` on the console. `exit`, end of
#: file or `poweroff -f` stops the machine.
SHELL_INIT = (
    _MOUNTS
    + """\
export PS1='guest# '
cd /root
echo BOOT-OK
setsid cttyhack sh
poweroff -f
"""
)

#: /init that prints BOOT-OK, the kernel's name and the number of harts, and powers off at once.
BENCH_INIT = (
    _MOUNTS
    + """\
echo BOOT-OK
uname -a
cat /proc/cpuinfo | grep -c processor
poweroff -f
"""
)


@dataclass(frozen=True)
class Entry:
    """One file of the archive: its path without the first slash, st_mode, content, device numbers."""

    name: str
    mode: int
    data: bytes = b""
    major: int = 0
    minor: int = 0


def directory(name: str, mode: int = 0o755) -> Entry:
    """A directory. List it before what it holds."""
    return Entry(name, 0o040000 | mode)


def file(name: str, data: bytes, mode: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(name, 0o100000 | mode, data)


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, 0o120777, target.encode())


def device(name: str, major: int, minor: int, mode: int = 0o600) -> Entry:
    """A character device node; /dev/console is 5, 1."""
    return Entry(name, 0o020000 | mode, b"", major, minor)


def cpio(entries: Iterable[Entry]) -> bytes:
    """The uncompressed newc archive of `entries`, in their order, trailer included."""
    out = bytearray()

    def put(data: bytes) -> None:
        out.extend(data)
        out.extend(bytes(-len(out) % 4))

    for inode, e in enumerate((*entries, Entry("TRAILER!!!", 0)), 1):
        name = e.name.encode() + b"\0"
        links = 2 if e.mode & 0o170000 == 0o040000 else 1
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = (inode, e.mode, 0, 0, links, 0, len(e.data), 0, 0, e.major, e.minor, len(name), 0)
        put(b"070701" + b"".join(b"%08X" % f for f in fields) + name)
        put(e.data)
    return bytes(out)


def archive(entries: Iterable[Entry]) -> bytes:
    """The gzip'ed archive, ready for `--initrd`."""
    return gzip.compress(cpio(entries), 9, mtime=0)


def busybox(binary: bytes, init: str) -> bytes:
    """A whole initramfs: `init` as /init, the busybox program, its applet links, /dev/console."""
    folders = [directory(d) for d in ("bin", "dev", "proc", "root", "sys", "tmp")]
    programs = [file("bin/busybox", binary, 0o755)] + [link(f"bin/{a}", "busybox") for a in APPLETS]
    return archive([*folders, device("dev/console", 5, 1), *programs, file("init", init.encode(), 0o755)])

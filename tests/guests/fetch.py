#!/usr/bin/env python3
"""Fetch the real guests of Hartwell's tests from Debian's packages.

    python3 tests/guests/fetch.py            fetch what is missing; print name, version and path
    python3 tests/guests/fetch.py --json     the same as JSON on standard output
    python3 tests/guests/fetch.py --check    fetch nothing; status 1 if something is missing or damaged

What there is (`NAME`, then where it comes from):

    bookworm/fw_jump.bin, bookworm/fw_dynamic.bin          OpenSBI 1.1, Debian 12       (optional)
    bookworm/u-boot-smode.bin, bookworm/u-boot-mmode.bin   U-Boot 2023.01, Debian 12    (optional)
    trixie/fw_jump.bin, trixie/fw_dynamic.bin              OpenSBI 1.6, Debian 13
    trixie/u-boot-smode.bin, trixie/u-boot-mmode.bin       U-Boot 2025.01, Debian 13
    trixie/Image                                           Linux 6.12, a plain `Image`, Debian 13
    trixie/busybox                                         busybox 1.37, static, Debian 13
    initramfs-shell.cpio.gz                                /init: BOOT-OK, then a shell, prompt `guest# `
    initramfs-bench.cpio.gz                                /init: BOOT-OK, uname, harts, power off

They land in `tests/guests/.cache`, or in the folder that the environment variable HARTWELL_GUESTS
names, with a `manifest.json` that holds version and SHA-256 of each. A file that is there and has its
SHA-256 is not fetched again, so running this twice costs 0.4 s and no network. An
interrupted run goes on with the first package that is not unpacked yet. Optional ones are left out,
with a line on standard error, if the mirror does not carry Debian 12 (any more). Two runs at a time
wait for each other.

How: apt with a private configuration, state and cache inside the folder. The mirror is the one in the
machine's own apt sources, as apt itself reads them (`.list` or `.sources`); its settings for proxies
and passwords hold too. The machine's own apt set-up is neither changed nor locked, so this runs as
any user. apt checks every package against Debian's signed index with debian-archive-keyring.

Tests use `guests()`:

    from tests.guests import fetch
    image = fetch.guests()["trixie/Image"].path      # raises FetchError if never fetched
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

sys.path.insert(0, str(Path(__file__).resolve().parent))
import initramfs  # noqa: E402

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "apt-cache", "dpkg-deb")

_UBOOT = "usr/lib/u-boot/qemu-riscv64"
_OPENSBI = "usr/lib/riscv64-linux-gnu/opensbi/generic"
_FIRMWARE = {
    "opensbi": {f"{_OPENSBI}/fw_jump.bin": "fw_jump.bin", f"{_OPENSBI}/fw_dynamic.bin": "fw_dynamic.bin"},
    "u-boot-qemu": {f"{_UBOOT}_smode/u-boot.bin": "u-boot-smode.bin", f"{_UBOOT}/u-boot.bin": "u-boot-mmode.bin"},
}


class FetchError(Exception):
    """Why guests cannot be had, in one line."""


@dataclass(frozen=True)
class Suite:
    """A Debian release: the architecture asked for, and per package {regular expression or path in the
    package: file name in the cache}. Architecture-independent packages come with any architecture."""

    name: str
    architecture: str
    required: bool
    packages: Mapping[str, Mapping[str, str]]


SUITES = (
    Suite("bookworm", "amd64", False, _FIRMWARE),
    Suite(
        "trixie",
        "riscv64",
        True,
        {
            **_FIRMWARE,
            "busybox-static": {"usr/bin/busybox": "busybox"},
            "linux-image-riscv64": {r"boot/vmlinux-.*": "Image"},
        },
    ),
)


@dataclass(frozen=True)
class Guest:
    """One fetched file: its absolute path, the package and version it is from, SHA-256 and size."""

    path: str
    package: str
    version: str
    sha256: str
    size: int


def cache() -> Path:
    """The folder of the guests: $HARTWELL_GUESTS, else `.cache` beside this file."""
    return Path(os.environ.get("HARTWELL_GUESTS") or Path(__file__).resolve().parent / ".cache").absolute()


def guests() -> dict[str, Guest]:
    """The guests that are fetched and whose SHA-256 is right, by name. No network.

    FetchError if a required one is not among them.
    """
    found = _verified(cache())
    names = [f"{s.name}/{f}" for s in SUITES if s.required for files in s.packages.values() for f in files.values()]
    for name in [*names, "initramfs-shell.cpio.gz", "initramfs-bench.cpio.gz"]:
        if name not in found:
            raise FetchError(f"guest {name} is not in {cache()} (or is damaged): run tests/guests/fetch.py")
    return found


def fetch() -> dict[str, Guest]:
    """Fetch what is missing and return every guest by name. FetchError says why it could not."""
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            (folder / ".gitignore").write_text("*\n")
            found = _verified(folder)
            for suite in SUITES:
                _fetch_suite(folder, suite, found)
            box = found["trixie/busybox"]
            for name, init in (("shell", initramfs.SHELL_INIT), ("bench", initramfs.BENCH_INIT)):
                data = initramfs.busybox(Path(box.path).read_bytes(), init)
                name = f"initramfs-{name}.cpio.gz"
                if name not in found or found[name].sha256 != hashlib.sha256(data).hexdigest():
                    found[name] = _store(folder / name, data, "busybox-static", box.version)
                    _save(folder, found)
            shutil.rmtree(folder / "apt", ignore_errors=True)
    except OSError as e:
        raise FetchError(f"cannot write {e.filename or folder}: {e.strerror or e}") from e
    return guests()


# ---------------------------------------------------------------- one suite


def _fetch_suite(folder: Path, suite: Suite, found: dict[str, Guest]) -> None:
    """Add the files of `suite` to `found`, package by package, saving the manifest after each."""
    missing = {
        package: files
        for package, files in suite.packages.items()
        if any(f"{suite.name}/{f}" not in found for f in files.values())
    }
    if not missing:
        return
    try:
        apt = _Apt(folder / "apt" / suite.name, suite)
    except FetchError as e:
        if suite.required:
            raise
        _say(f"left out {', '.join(missing)} of {suite.name}: {e}")
        return
    for package, files in missing.items():
        _say(f"fetching {package} from {suite.name}")
        deb, version = apt.download(apt.real(package))
        for name, data in _unpack(deb, files).items():
            found[f"{suite.name}/{name}"] = _store(folder / suite.name / name, data, package, version)
        _save(folder, found)
        deb.unlink()


class _Apt:
    """apt with everything private to the folder `root`, knowing one suite of the machine's own mirror."""

    def __init__(self, root: Path, suite: Suite) -> None:
        """Read the index of `suite`. FetchError if no mirror of this machine has it."""
        self.root = root
        for tool in TOOLS:
            if not shutil.which(tool):
                raise FetchError(f"{tool} is not installed: this needs a Debian-like machine")
        if not KEYRING.is_file():
            raise FetchError(f"{KEYRING} is missing: install the package debian-archive-keyring")
        if re.search(r"[\s\"]", str(root)):
            raise FetchError(f"apt cannot use a folder with a space or quote in its name: {root}")
        for sub in ("lists/partial", "cache/archives/partial", "mirrors/partial"):
            (root / sub).mkdir(parents=True, exist_ok=True)
        (root / "status").touch()
        self._configure("mirrors", sources="", architecture="")
        mirrors = self._mirrors()
        if not mirrors:
            raise FetchError("the machine's apt sources name no mirror (/etc/apt/sources.list, sources.list.d)")
        why: list[str] = []
        for mirror in mirrors:
            (root / "sources.list").write_text(
                f"deb [arch={suite.architecture} signed-by={KEYRING}] {mirror} {suite.name} main\n"
            )
            self._configure("lists", sources=str(root / "sources.list"), architecture=suite.architecture)
            done = self._run("apt-get", "update")
            if done.returncode == 0:
                return
            why.append(f"{mirror}: {_reason(done)}")
        raise FetchError(f"no mirror in the machine's apt sources has {suite.name}: {'; '.join(why)}")

    def _configure(self, lists: str, sources: str, architecture: str) -> None:
        """Write the configuration apt reads after the machine's own (so that proxies hold). With no
        `sources`, the machine's sources stay."""
        options = {
            "Dir::State::Lists": f"{self.root}/{lists}",
            "Dir::Cache": f"{self.root}/cache",
            "Dir::State::status": f"{self.root}/status",
            "APT::Update::Error-Mode": "any",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        if sources:
            options |= {
                "Dir::Etc::SourceList": sources,
                "Dir::Etc::SourceParts": "-",
                "Dir::Etc::Preferences": "-",
                "Dir::Etc::PreferencesParts": "-",
                "APT::Architecture": architecture,
                "APT::Architectures": architecture,
            }
        hooks = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success")
        lines = [f"#clear {name};" for name in ("APT::Architectures", *hooks)[0 if sources else 1 :]]
        lines += [f'{name} "{value}";' for name, value in options.items()]
        (self.root / "apt.conf").write_text("\n".join(lines) + "\n")

    def _mirrors(self) -> list[str]:
        """The base addresses of the machine's own sources, Debian's main archive before the others."""
        done = self._run("apt-get", "--print-uris", "update")
        found = re.findall(r"^'(\S+?)/dists/([^\s']+)/InRelease'", done.stdout, re.M)
        names = [mirror for mirror, _ in sorted(found, key=lambda m: (not m[0].endswith("/debian"), "/" in m[1]))]
        return list(dict.fromkeys(names))

    def real(self, package: str) -> str:
        """`package`, or for a kernel's metapackage the versioned package that it depends on."""
        if not package.startswith("linux-image-"):
            return package
        depends = re.search(r"^Depends:.*?(linux-image-\d\S*)", self._show(package), re.M)
        if not depends:
            raise FetchError(f"package {package} depends on no kernel")
        return depends[1]

    def download(self, package: str) -> tuple[Path, str]:
        """Download `package`, checked by apt; its .deb and version. One that is there whole is kept."""
        found = re.search(r"^Version: (\S+)", self._show(package), re.M)
        version = found[1] if found else ""
        done = self._run("apt-get", "download", f"{package}={version}")
        debs = list(self.root.glob(f"{package}_{version.replace(':', '%3a')}_*.deb"))
        if done.returncode != 0 or not debs:
            raise FetchError(f"cannot download {package}: {_reason(done)}")
        return debs[0], version

    def _show(self, package: str) -> str:
        done = self._run("apt-cache", "show", "--no-all-versions", package)
        if done.returncode != 0:
            raise FetchError(f"no package {package}: {_reason(done)}")
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A tool of apt in the private folder, in English."""
        return subprocess.run(
            [command[0], "-q", "-c", str(self.root / "apt.conf"), *command[1:]],
            check=False,
            cwd=self.root,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The first error of a run of apt as one line."""
    lines = [line for line in done.stderr.splitlines() if line[:2] in ("E:", "W:", "Er")]
    return lines[0][2:].strip() if lines else f"{done.args[0]} ended with status {done.returncode}"


def _unpack(deb: Path, files: Mapping[str, str]) -> dict[str, bytes]:
    """{name in the cache: content} of the wanted files of a package, read as a stream."""
    got: dict[str, bytes] = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as p:
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", p.stdout), mode="r|") as tar:
                for member in tar:
                    for pattern, name in files.items():
                        if member.isfile() and re.fullmatch(pattern, member.name.removeprefix("./")):
                            got[name] = cast("IO[bytes]", tar.extractfile(member)).read()
                    if len(got) == len(files):
                        break
        except tarfile.TarError as e:
            raise FetchError(f"package {deb.name} is damaged: {e}") from e
        finally:
            p.kill()
    for pattern, name in files.items():
        if name not in got:
            raise FetchError(f"package {deb.name} has no {pattern}")
    return got


# ---------------------------------------------------------------- the folder


def _verified(folder: Path) -> dict[str, Guest]:
    """The guests of the manifest whose files are there with their SHA-256."""
    try:
        entries = json.loads((folder / "manifest.json").read_text())
        known = {name: Guest(**{**entry, "path": str(folder / name)}) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        _say(f"{folder / 'manifest.json'} is damaged: fetching everything")
        return {}
    except OSError as e:
        raise FetchError(f"cannot read {e.filename}: {e.strerror}") from e
    return {name: guest for name, guest in known.items() if _sha256(Path(guest.path)) == guest.sha256}


def _sha256(path: Path) -> str:
    """The SHA-256 of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError:
        return ""


def _store(path: Path, data: bytes, package: str, version: str) -> Guest:
    """Put `data` at `path`: all of it or nothing."""
    _write(path, data)
    return Guest(str(path), package, version, hashlib.sha256(data).hexdigest(), len(data))


def _save(folder: Path, found: Mapping[str, Guest]) -> None:
    """Write manifest.json."""
    entries = {name: {k: v for k, v in asdict(g).items() if k != "path"} for name, g in sorted(found.items())}
    _write(folder / "manifest.json", json.dumps(entries, indent=1).encode() + b"\n")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    new.replace(path)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else fetches into `folder` meanwhile."""
    with (folder / ".lock").open("w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(f"fetch: {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """The command; 0 if every required guest is there, 1 if not, 2 for a wrong option."""
    text = (__doc__ or "").split("How:")[0]
    first, rest = text.split("\n", 1)
    parser = argparse.ArgumentParser(
        "fetch.py", description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON: name -> path, version, sha256")
    parser.add_argument("--check", action="store_true", help="fetch nothing, only verify what is there")
    options = parser.parse_args(argv)
    try:
        found = guests() if options.check else fetch()
    except FetchError as e:
        print(f"fetch: error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fetch: interrupted; run it again to go on", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps({name: asdict(guest) for name, guest in sorted(found.items())}, indent=2))
    else:
        for name, guest in sorted(found.items()):
            print(f"{name:26} {guest.version:24} {guest.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Build everything that is handed out, into dist/: ``python -m deploy.package``.

The same tree gives the same packages, octet for octet, wherever it is built: times are ``SOURCE_DATE_EPOCH``, which is
the last commit's unless it is given.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.package import bill, environment, manuals
from fastpath import __version__

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BUILD = ROOT / "build" / "package"
DIST = ROOT / "dist"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Debian says it

# Where in the package a folder or file of the project is.
PLACES = {
    "systemd/*.service": "usr/lib/systemd/system",
    "deploy/examples": "usr/share/doc/legwatch/examples",
    "deploy/prometheus/*.yml": "usr/share/legwatch/prometheus",
    "deploy/alertmanager/*.yml": "usr/share/legwatch/alertmanager",
    "deploy/grafana/dashboards": "usr/share/legwatch/grafana/dashboards",
    "deploy/grafana/provisioning": "usr/share/legwatch/grafana/provisioning",
    "deploy/appliance/ansible": "usr/share/legwatch/appliance",
    "docs/*.md": "usr/share/doc/legwatch",
    "docs/runbooks": "usr/share/doc/legwatch/runbooks",
    "docs/schema": "usr/share/legwatch/schema",
    "README.md": "usr/share/doc/legwatch",
    "deploy/package/copyright": "usr/share/doc/legwatch",
}
RENAMED = {
    "systemd/legwatch.sysusers.conf": "usr/lib/sysusers.d/legwatch.conf",
    "systemd/legwatch.tmpfiles.conf": "usr/lib/tmpfiles.d/legwatch.conf",
    "CHANGELOG.md": "usr/share/doc/legwatch/changelog",
    "deploy/package/lintian-overrides": "usr/share/lintian/overrides/legwatch",
}


def main() -> None:
    """Build the packages; a step that fails ends it."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", _last_commit())
    shutil.rmtree(BUILD, ignore_errors=True)
    root, wheels = BUILD / "root", BUILD / "wheels"
    wheels.mkdir(parents=True)

    # First the sdist, then the wheel from what is in it.
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ".")
    (wheel,) = DIST.glob(f"legwatch-{__version__}-*.whl")
    environment.fetch(wheels)
    environment.make(root, [wheel, *wheels.iterdir()])
    _lay_out(root)
    manuals.write(root / "usr/share", __version__)
    bill.write(root, DIST / f"legwatch-{__version__}.cdx.json")
    _normalise(root)
    _pack(root)


def _last_commit() -> str:
    command = ("git", "log", "-1", "--format=%ct")
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _run(*command: str | Path) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


def _lay_out(root: Path) -> None:
    for pattern, place in PLACES.items():
        for source in sorted(ROOT.glob(pattern)):
            if source.is_dir():
                shutil.copytree(source, root / place)
            else:
                _copy(source, root / place / source.name)
    for name, place in RENAMED.items():
        _copy(ROOT / name, root / place)
    link = root / "usr/bin/legwatch"
    link.parent.mkdir()
    link.symlink_to(environment.PREFIX / "bin" / "legwatch")
    _copy(ROOT / "deploy" / "legwatch.yaml", BUILD / "legwatch.yaml")
    _copy(HERE / "default", BUILD / "default")


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def _normalise(root: Path) -> None:
    """Let nothing in the package depend on who built it, and when."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in [root, *root.rglob("*"), BUILD / "legwatch.yaml", BUILD / "default"]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _pack(root: Path) -> None:
    architecture = ARCHITECTURES[platform.machine()]
    os.environ |= {
        "ARCH": architecture,
        "VERSION": __version__,
        "GLIBC": environment.needed_glibc(root),
        "PYTHON_FROM": f"3.{sys.version_info.minor}",
        "PYTHON_BEFORE": f"3.{sys.version_info.minor + 1}",
    }
    names = (f"legwatch_{__version__}_{architecture}.deb", f"legwatch-{__version__}-1.{platform.machine()}.rpm")
    for name in names:
        nfpm = Path(sys.executable).with_name("nfpm")
        _run(nfpm, "package", "--config", HERE / "nfpm.yaml", "--packager", name[-3:], "--target", DIST / name)


if __name__ == "__main__":
    main()

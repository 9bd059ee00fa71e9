"""Build everything that is handed out, into dist/: ``python -m deploy.package``.

The same tree gives the same packages, octet for octet, wherever it is built: times are ``SOURCE_DATE_EPOCH``, which is
the last commit's unless it is given.
"""

from __future__ import annotations

import gzip
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.package import bill, completions, environment, manuals, tools
from deploy.package.tools import ROOT
from fastpath import __version__

HERE = Path(__file__).parent
BUILD = ROOT / "build" / "package"
DIST = ROOT / "dist"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Debian says it

# What of the project is where in the package.
PLACES = {
    "systemd/*.service": "usr/lib/systemd/system",
    "systemd/legwatch.sysusers.conf": "usr/lib/sysusers.d/legwatch.conf",
    "systemd/legwatch.tmpfiles.conf": "usr/lib/tmpfiles.d/legwatch.conf",
    "deploy/alertmanager/*.yml": "usr/share/legwatch/alertmanager",
    "deploy/appliance/ansible": "usr/share/legwatch/appliance",
    "deploy/grafana/dashboards/*": "usr/share/legwatch/grafana/dashboards",
    "deploy/prometheus/legwatch.rules.yml": "usr/share/legwatch/prometheus/legwatch.rules.yml",
    "deploy/prometheus/prometheus.yml": "usr/share/legwatch/prometheus/prometheus.yml",
    "deploy/prometheus/web-config.example.yml": "usr/share/legwatch/prometheus/web-config.example.yml",
    "docs/schema/*": "usr/share/legwatch/schema",
    "deploy/examples/*": "usr/share/doc/legwatch/examples",
    "docs/*.md": "usr/share/doc/legwatch",
    "docs/runbooks/*": "usr/share/doc/legwatch/runbooks",
    "README.md": "usr/share/doc/legwatch/README.md",
    "deploy/package/copyright": "usr/share/doc/legwatch/copyright",
    "deploy/package/lintian-overrides": "usr/share/lintian/overrides/legwatch",
}


def main() -> None:
    """Build the packages; a step that fails ends it."""
    if not Path("/usr/bin", environment.PYTHON).exists():
        sys.exit(f"legwatch: a package is for the system's Python; apt-get install {environment.PYTHON}")
    if "SOURCE_DATE_EPOCH" not in os.environ:
        os.environ["SOURCE_DATE_EPOCH"] = _last_commit()
    for folder in (BUILD, DIST):
        shutil.rmtree(folder, ignore_errors=True)
    root, wheels = BUILD / "root", BUILD / "wheels"

    # An sdist, the wheel from what is in it, and its name by the systems that it runs on.
    tools.run("python", "-m", "build", "--quiet", "--no-isolation", "--outdir", DIST, ".")
    (built,) = DIST.glob("*.whl")
    tools.run("auditwheel", "repair", "--wheel-dir", DIST, built)
    built.unlink()
    tools.run("twine", "check", "--strict", *DIST.iterdir())
    environment.fetch(wheels)
    here = environment.make(root, next(DIST.glob("*.whl")), wheels)
    _lay_out(root)
    manuals.write(root / "usr/share", __version__)
    completions.write(root / "usr/share")
    text = bill.make(here, __version__)
    for place in (DIST / f"legwatch-{__version__}.cdx.json", root / "usr/share/legwatch/sbom.cdx.json"):
        place.write_text(text)
    _normalise(root)
    _pack(here)
    print(*sorted(path.relative_to(ROOT) for path in DIST.iterdir()), sep="\n")


def _last_commit() -> str:
    command = ("git", "log", "-1", "--format=%ct")
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _lay_out(root: Path) -> None:
    for pattern, place in PLACES.items():
        sources = list(ROOT.glob(pattern))
        if not sources:
            sys.exit(f"legwatch: there is no {pattern} to put into the package")
        for source in sources:
            target = root / place / source.name if "*" in pattern else root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    changes = (ROOT / "CHANGELOG.md").read_bytes()
    (root / "usr/share/doc/legwatch/changelog.gz").write_bytes(gzip.compress(changes, mtime=0))
    (root / "usr/bin").mkdir()
    (root / "usr/bin/legwatch").symlink_to(environment.PREFIX / "bin" / "legwatch")
    # nfpm takes the times of its files as they are.
    shutil.copyfile(ROOT / "deploy" / "legwatch.yaml", BUILD / "legwatch.yaml")
    shutil.copyfile(HERE / "default", BUILD / "default")


def _normalise(root: Path) -> None:
    """Let nothing in the package depend on who built it, and when."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in [root, *root.rglob("*"), BUILD / "legwatch.yaml", BUILD / "default"]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _pack(here: Path) -> None:
    architecture = ARCHITECTURES[platform.machine()]
    told = {
        "ARCH": architecture,
        "VERSION": __version__,
        "GLIBC": environment.needed_glibc(here),
        "PYTHON_FROM": f"3.{sys.version_info.minor}",
        "PYTHON_BEFORE": f"3.{sys.version_info.minor + 1}",
    }
    names = (f"legwatch_{__version__}_{architecture}.deb", f"legwatch-{__version__}-1.{platform.machine()}.rpm")
    for name in names:
        options = ("--config", HERE / "nfpm.yaml", "--packager", name[-3:], "--target", DIST / name)
        tools.run("nfpm", "package", *options, **told)


if __name__ == "__main__":
    main()

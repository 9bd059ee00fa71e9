"""What is handed out: built twice, the same; what is in it, and what is not; what the distributions' own tools say."""

import csv
import gzip
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from fastpath import __version__
from tests.hardening import weaknesses
from tests.live.lab import ROOT
from tests.test_docs import configuration_keys, subcommands

pytestmark = pytest.mark.live

EPOCH = 1_700_000_000
SITE = f"opt/legwatch/lib/python3.{sys.version_info.minor}/site-packages"
DEMO = ROOT / "deploy" / "demo" / "clinic.pcap"
# Debian's package of each library of the system that something in the environment is linked with.
LIBRARIES = dict.fromkeys(("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"), "libc6")
LIBRARIES |= {"libgcc_s.so.1": "libgcc-s1", "libstdc++.so.6": "libstdc++6"}
OF_RPM = {"libc6": "glibc", "libgcc-s1": "libgcc", "libstdc++6": "libstdc++"}  # where rpm is at home


def said(*command: str | Path) -> str:
    """Run a tool that has to be content; return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(folder: Path) -> Path:
    """Copy the project's files, those that are not committed yet, too."""
    names = said("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders of packages: built at the same time, by users who share nothing but the machine."""
    homes = [tmp_path_factory.mktemp(name) for name in ("here", "somewhere-else")]
    told = [{"TZ": "UTC", "LC_ALL": "C.UTF-8"}, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}]
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "deploy.package"],
            cwd=copied(home / "project"),
            env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH), "HOME": str(home)} | environment,
            umask=umask,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for home, environment, umask in zip(homes, told, (0o022, 0o077), strict=True)
    ]
    complaints = [build.communicate()[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], b"\n".join(complaints).decode()
    return [home / "project" / "dist" for home in homes]


@pytest.fixture(scope="session")
def dist(both: list[Path]) -> Path:
    return both[0]


@pytest.fixture(scope="session")
def deb(dist: Path) -> Path:
    (package,) = dist.glob(f"legwatch_{__version__}_*.deb")
    return package


@pytest.fixture(scope="session")
def rpm(dist: Path) -> Path:
    (package,) = dist.glob(f"legwatch-{__version__}-1.*.rpm")
    return package


@pytest.fixture(scope="session")
def members(deb: Path) -> dict[str, tarfile.TarInfo]:
    """Every file of the .deb by its name."""
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {member.name.removeprefix("./"): member for member in archive}


@pytest.fixture(scope="session")
def root(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb's files, unpacked."""
    folder = tmp_path_factory.mktemp("root")
    said("dpkg-deb", "--extract", deb, folder)
    return folder


@pytest.fixture(scope="session")
def locked() -> dict[str, str]:
    lock = (ROOT / "deploy" / "package" / "requirements.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))


def manual(root: Path, name: str) -> str:
    return gzip.decompress((root / "usr/share/man" / name).read_bytes()).decode()


def plain(text: str) -> str:
    """A manual page's words, without what troff is told about them."""
    return re.sub(r"\\f\w|\\[,/&]", "", text).replace(r"\-", "-")


def test_built_elsewhere_by_another_user_is_the_same(both: list[Path]) -> None:
    names = [sorted(path.name for path in folder.iterdir()) for folder in both]
    assert names[0] == names[1]
    same = [name for name in names[0] if name.endswith((".deb", ".rpm", ".json"))]
    assert len(same) == 3
    assert [name for name in same if (both[0] / name).read_bytes() != (both[1] / name).read_bytes()] == []


@pytest.mark.parametrize(
    ("name", "mode", "group"),
    [
        ("opt/legwatch/bin/legwatch", 0o755, "root"),
        ("usr/lib/systemd/system/legwatch.service", 0o644, "root"),
        ("usr/lib/systemd/system/legwatch@.service", 0o644, "root"),
        ("usr/lib/sysusers.d/legwatch.conf", 0o644, "root"),
        ("usr/lib/tmpfiles.d/legwatch.conf", 0o644, "root"),
        ("etc/legwatch", 0o755, "root"),
        ("etc/legwatch/legwatch.yaml", 0o640, "legwatch"),
        ("etc/default/legwatch", 0o644, "root"),
        ("usr/share/doc/legwatch/copyright", 0o644, "root"),
        ("usr/share/doc/legwatch/runbooks/media-clear.md", 0o644, "root"),
        ("usr/share/doc/legwatch/examples/clinic-hosted-3cx.yaml", 0o644, "root"),
        ("usr/share/legwatch/prometheus/legwatch.rules.yml", 0o644, "root"),
        ("usr/share/legwatch/schema/config.schema.json", 0o644, "root"),
    ],
)
def test_file_is_there_with_its_mode(members: dict[str, tarfile.TarInfo], name: str, mode: int, group: str) -> None:
    member = members[name]
    assert (oct(member.mode), member.uname, member.gname) == (oct(mode), "root", group)


def test_only_root_writes_to_what_is_installed(members: dict[str, tarfile.TarInfo]) -> None:
    assert {member.uname for member in members.values()} == {"root"}
    assert [name for name, member in members.items() if not member.issym() and member.mode & 0o6022] == []


def test_what_an_administrator_edits_is_a_conffile(deb: Path, members: dict[str, tarfile.TarInfo]) -> None:
    conffiles = said("dpkg-deb", "--info", deb, "conffiles").split()
    assert conffiles == ["/etc/default/legwatch", "/etc/legwatch/legwatch.yaml"]
    assert {f"/{name}" for name, member in members.items() if name.startswith("etc/") and member.isfile()} == set(
        conffiles
    )


def test_delivered_configuration_watches_nothing_and_is_valid(root: Path) -> None:
    assert "\nLEGWATCH_INTERFACE=\n" in (root / "etc/default/legwatch").read_text()
    said(sys.executable, "-m", "sensor", "check-config", root / "etc/legwatch/legwatch.yaml")


def test_environment_is_of_the_systems_python(deb: Path, root: Path) -> None:
    minor = sys.version_info.minor
    here = root / "opt/legwatch"
    assert str((here / "bin/python3").readlink()) == f"/usr/bin/python3.{minor}"
    assert (here / "bin/legwatch").read_text().startswith("#!/opt/legwatch/bin/python3\n")
    assert str((root / "usr/bin/legwatch").readlink()) == "/opt/legwatch/bin/legwatch"
    assert sorted(path.name for path in (here / "bin").iterdir()) == ["legwatch", "python", "python3"]
    depends = said("dpkg-deb", "--field", deb, "Depends").strip().split(", ")
    assert {f"python3 (>= 3.{minor})", f"python3 (<< 3.{minor + 1})", "systemd"} <= set(depends)


def test_environment_has_what_is_locked_and_nothing_else(root: Path, locked: dict[str, str]) -> None:
    found = {
        path.name.removesuffix(".dist-info").replace("_", "-").lower() for path in (root / SITE).glob("*.dist-info")
    }
    assert found == {f"{name}-{version}" for name, version in {**locked, "legwatch": __version__}.items()}


def test_nothing_of_the_build_is_left_in_it(root: Path) -> None:
    own = {path.suffix for name in ("fastpath", "sensor") for path in (root / SITE / name).rglob("*") if path.is_file()}
    assert {".py", ".pyc", ".so"} <= own
    assert own & {".pyx", ".pxd", ".c", ".h", ".o"} == set()
    records = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    assert [path for path in (root / SITE).glob("*.dist-info/*") if path.name in records] == []


def test_no_trace_of_the_machine_that_built(both: list[Path], root: Path) -> None:
    """Its paths are in no file, nor in the byte code, nor in what is compressed."""
    traces = [str(both[0].parent.parent), str(ROOT), sys.prefix]
    traces += [sys.base_prefix] if sys.base_prefix != "/usr" else []

    def content(path: Path) -> bytes:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()

    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 2000
    assert [(path, trace) for path in files for trace in traces if trace.encode() in content(path)] == []


def test_byte_code_is_complete_and_never_held_against_its_source(root: Path) -> None:
    sources = set((root / "opt").rglob("*.py"))
    compiled = {path: path.read_bytes()[4:8] for path in (root / "opt").rglob("*.pyc")}
    assert {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in compiled} == sources
    assert set(compiled.values()) == {(1).to_bytes(4, "little")}  # PEP 552: by hash, unchecked


def test_extensions_are_hardened(root: Path) -> None:
    own = list((root / SITE / "fastpath").glob("*.so"))
    assert len(own) > 10
    assert {path.name: found for path in own if (found := weaknesses(path))} == {}


def test_packages_depend_on_what_their_objects_are_linked_with(deb: Path, rpm: Path, root: Path) -> None:
    objects = {path.name: path for path in (root / "opt").rglob("*.so*")}
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", said("readelf", "--wide", "--dynamic", *objects.values())))
    of_system = {name for name in needed - set(objects) if not name.startswith("ld-linux")}
    depends = {depend.split()[0] for depend in said("dpkg-deb", "--field", deb, "Depends").split(", ")}
    assert {LIBRARIES[name] for name in of_system} <= depends
    requires = {line.split()[0] for line in said("rpm", "-qp", "--requires", rpm).splitlines()}
    assert {OF_RPM[LIBRARIES[name]] for name in of_system} <= requires


def test_environment_runs_where_nothing_else_of_the_project_is(root: Path) -> None:
    """In /opt of a mount namespace, without a network and without one variable of this environment."""
    program = f"""
        set -e
        mount -t tmpfs none /opt
        cp -a {root}/opt/legwatch /opt
        cd /
        env -i /opt/legwatch/bin/python3 -I -c 'import fastpath.engine; print(fastpath.engine.__file__)'
        env -i /opt/legwatch/bin/legwatch selftest >&2
        env -i /opt/legwatch/bin/legwatch scan --json {DEMO} || test $? -eq 1
    """
    where, *lines = said("unshare", "--mount", "--net", "sh", "-c", program).splitlines()
    assert where.startswith(f"/{SITE}/fastpath/")
    assert "media-clear-despite-srtp" in {json.loads(line).get("code") for line in lines}


def test_lintian_is_content_and_every_override_is_needed(deb: Path) -> None:
    command = ("lintian", "--allow-root", "--display-info", deb)
    tags = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert tags  # of mere information
    assert [tag for tag in tags if tag.startswith(("E:", "W:")) or "unused-override" in tag] == []


@pytest.mark.parametrize("name", ["man1/legwatch.1.gz", "man5/legwatch.yaml.5.gz"])
def test_manual_page_has_no_lint(root: Path, name: str, tmp_path: Path) -> None:
    page = tmp_path / name.removesuffix(".gz").rpartition("/")[2]
    page.write_text(manual(root, name))
    assert said("mandoc", "-T", "lint", "-W", "warning", page) == ""
    assert ' "2023-11-14" ' in page.read_text()  # EPOCH


def test_manual_has_every_command_and_option(root: Path) -> None:
    text = plain(manual(root, "man1/legwatch.1.gz"))
    assert [
        (name, option)
        for name, options in subcommands().items()
        for option in options
        if option not in "".join(re.findall(rf"\n\.SS legwatch {name}(?: \S+)?\n(.*?)(?=\n\.SS |\Z)", text, re.DOTALL))
    ] == []


def test_manual_has_every_key_of_the_configuration(root: Path) -> None:
    text = plain(manual(root, "man5/legwatch.yaml.5.gz"))
    assert [key for key in sorted(configuration_keys()) if not re.search(rf"\b{key}\b", text)] == []


def completed(root: Path, *words: str) -> set[str]:
    """What bash offers for the last word of a command line."""
    program = """
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
        $(complete -p legwatch | sed 's/.*-F \\([^ ]*\\).*/\\1/') legwatch "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    script = root / "usr/share/bash-completion/completions/legwatch"
    return {line.strip() for line in said("bash", "-c", program, "bash", script, "legwatch", *words).splitlines()}


def test_bash_completes_commands_options_choices_and_interfaces(root: Path) -> None:
    commands = subcommands()
    assert set(commands) <= completed(root, "")
    assert commands["scan"] <= completed(root, "scan", "--")
    assert completed(root, "scan", "--fail-on", "c") == {"critical"}
    assert "lo" in completed(root, "doctor", "--interface", "")


def test_bill_of_materials_has_what_is_in_the_environment(dist: Path, root: Path, locked: dict[str, str]) -> None:
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415  (comes with the tools of packages)
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    text = (dist / f"legwatch-{__version__}.cdx.json").read_text()
    assert (root / "usr/share/legwatch/sbom.cdx.json").read_text() == text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    parts = {part["name"].lower().replace("_", "-"): part for part in bill["components"]}
    assert {name: part["version"] for name, part in parts.items()} == locked
    assert bill["metadata"]["component"]["version"] == __version__
    assert bill["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")  # EPOCH
    assert "serialNumber" not in bill
    assert "libpcap" in {part["name"] for part in parts["pcapy-ng"]["components"]}
    assert "openssl" in {part["name"] for part in parts["cryptography"]["components"]}


def test_rpm_has_the_same_files_with_the_same_rights(rpm: Path, members: dict[str, tarfile.TarInfo]) -> None:
    form = r"[%{FILENAMES}\t%{FILEMODES:perms}\t%{FILEUSERNAME}\t%{FILEGROUPNAME}\n]"
    rows = {
        name[1:]: rest for name, *rest in csv.reader(said("rpm", "-qp", "--qf", form, rpm).splitlines(), delimiter="\t")
    }
    files = {name: member for name, member in members.items() if not member.isdir()}
    linked = "usr/share/zsh/site-functions/_legwatch"  # where zsh looks elsewhere
    folders = {name for name, row in rows.items() if row[0].startswith("d")}
    assert set(rows) - folders - {linked} == set(files)
    assert rows["etc/legwatch/legwatch.yaml"] == ["-rw-r-----", "root", "legwatch"]
    modes = {name: stat.filemode(stat.S_IFREG | member.mode) for name, member in files.items() if member.isfile()}
    assert {name for name, mode in modes.items() if rows[name][0] != mode} == set()


def test_rpm_asks_for_the_python_that_it_is_for_and_keeps_what_was_edited(rpm: Path) -> None:
    assert f"/usr/bin/python3.{sys.version_info.minor}" in said("rpm", "-qp", "--requires", rpm).split()
    assert said("rpm", "-qp", "--configfiles", rpm).split() == ["/etc/default/legwatch", "/etc/legwatch/legwatch.yaml"]
    assert said("rpm", "-qp", "--qf", "%{BUILDHOST} %{BUILDTIME}", rpm) == f"legwatch {EPOCH}"


def test_wheel_and_sdist_have_what_they_are_for(dist: Path) -> None:
    (wheel,) = dist.glob("*-manylinux_*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".c"))]
    with tarfile.open(dist / f"legwatch-{__version__}.tar.gz") as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    core = {str(path.relative_to(ROOT)) for path in (ROOT / "fastpath").glob("*.p[yx][xd]")}
    assert core <= inside
    assert not [name for name in inside if name.endswith((".c", ".so"))]


def test_wheels_are_for_every_python_that_is_promised() -> None:
    tool = Path(sys.executable).with_name("cibuildwheel")
    printed = subprocess.run(
        [tool, "--print-build-identifiers", "--platform", "linux", ROOT], capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {f"cp3{minor}-manylinux_{machine}" for minor in (11, 12, 13, 14) for machine in ("x86_64", "aarch64")}
    assert set(printed) == expected
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11"


def test_audit_without_an_answer_fails() -> None:
    recipe = said("make", "--no-print-directory", "-C", ROOT, "-n", "audit", f"VENV={sys.prefix}").splitlines()[-1]
    assert "pip-audit" in recipe
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", recipe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0

"""Where the authorities of the operating system are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.commands import trust
from tests.unit.fastpath.pki import Pki


def test_file_that_the_environment_names_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_text(Pki().root_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert len(trust.system_roots() or ()) == 1


def test_bundle_of_the_distribution_is_found_where_openssl_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_text(Pki().root_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setattr(trust, "_BUNDLES", (str(tmp_path / "other.pem"), str(bundle)))
    assert len(trust.system_roots() or ()) == 1


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"])
def test_without_any_nothing_is_trusted_and_nothing_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / "bad.pem").write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bad.pem"))
    monkeypatch.setattr(trust, "_BUNDLES", ())
    assert trust.system_roots() is None

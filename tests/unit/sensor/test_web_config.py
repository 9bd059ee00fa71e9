"""The web configuration file: what it takes, what is said of every mistake, and when an address may be others'."""

from __future__ import annotations

import ssl
from pathlib import Path

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from sensor.cli import main
from sensor.config.load import ConfigError, parse_config, to_yaml
from sensor.config.web_config import MAX_COST, WebConfig, load_web_config
from tests.process import STAY_ROOT, run_to_end
from tests.unit.sensor.web import HASH, MTLS, TLS, USERS, Authority

CIPHERS = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a server's certificate, and files that are none."""
    folder = tmp_path_factory.mktemp("web")
    authority = Authority(folder)
    authority.sign("server")
    authority.sign("other")
    (folder / "junk.pem").write_text("junk\n")
    (folder / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\naGFsbG8K\n-----END CERTIFICATE-----\n")
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    (folder / "secret.key").write_bytes(secret)
    return folder


def write(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


def load(folder: Path, text: str) -> WebConfig:
    return load_web_config(write(folder, text))


def tls(more: str) -> str:
    """Return a file with a certificate and more settings, all in its first line."""
    return f"tls_server_config: {{cert_file: server.crt, key_file: server.key, {more}}}\n"


AT = 66  # the column of the first of them
ONE_FAULT = {
    "unknown-section": ("tls_server: {}\n", '1:1: tls_server: unknown key; did you mean "tls_server_config"?'),
    "unknown-key": (tls("min_versoin: TLS12"), (f"1:{AT}: tls_server_config.min_versoin: unknown key; "
                    'did you mean "min_version"?')),
    "no-mapping": ("- a\n", "1:1: configuration: must be a mapping"),
    "tls-no-mapping": ("tls_server_config: 5\n", "1:20: tls_server_config: must be a mapping"),
    "key-missing": (
        "tls_server_config: {cert_file: server.crt}\n",
        "1:20: tls_server_config.key_file: is required and missing",
    ),
    "file-missing": (
        "tls_server_config: {cert_file: none, key_file: server.key}\n",
        "1:32: tls_server_config.cert_file: {folder}/none cannot be read: No such file or directory",
    ),
    "file-nothing": (
        "tls_server_config: {cert_file: '', key_file: server.key}\n",
        "1:32: tls_server_config.cert_file: must be the path of a file in PEM",
    ),
    "file-no-certificate": (
        "tls_server_config: {cert_file: junk.pem, key_file: server.key}\n",
        "1:32: tls_server_config.cert_file: {folder}/junk.pem has no certificate in PEM",
    ),
    "file-damaged": (
        "tls_server_config: {cert_file: damaged.pem, key_file: server.key}\n",
        "1:32: tls_server_config.cert_file: {folder}/damaged.pem cannot be used: a certificate in it is damaged",
    ),
    "file-no-key": (
        "tls_server_config: {cert_file: server.crt, key_file: junk.pem}\n",
        "1:54: tls_server_config.key_file: {folder}/junk.pem has no private key in PEM",
    ),
    "key-of-another": (
        "tls_server_config: {cert_file: server.crt, key_file: other.key}\n",
        "1:54: tls_server_config.key_file: {folder}/other.key is not the key of the certificate in cert_file",
    ),
    "key-encrypted": (
        "tls_server_config: {cert_file: server.crt, key_file: secret.key}\n",
        "1:54: tls_server_config.key_file: {folder}/secret.key is encrypted; nobody can be asked for its passphrase",
    ),
    "authority-none": (
        tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: junk.pem"),
        "1:128: tls_server_config.client_ca_file: {folder}/junk.pem has no certificate in PEM",
    ),
    "certificate-inside": (tls("cert: x"), "1:72: tls_server_config.cert: must be in a file; name it in cert_file"),
    "key-in-the-file": (tls("key: x"), "1:71: tls_server_config.key: must be in a file; name it in key_file"),
    "authority-in-the-file": (
        tls("client_ca: x"),
        "1:77: tls_server_config.client_ca: must be in a file; name it in client_ca_file",
    ),
    "clients-unknown": (
        tls("client_auth_type: RequireAndVerify"),
        ("1:84: tls_server_config.client_auth_type: must be NoClientCert, VerifyClientCertIfGiven or "
        'RequireAndVerifyClientCert; did you mean "RequireAndVerifyClientCert"?'),
    ),
    "clients-list": (
        tls("client_auth_type: [a]"),
        ("1:84: tls_server_config.client_auth_type: must be NoClientCert, VerifyClientCertIfGiven or "
        "RequireAndVerifyClientCert"),
    ),
    **{
        f"clients-{kind}": (
            tls(f"client_auth_type: {kind}"),
            (f"1:84: tls_server_config.client_auth_type: {kind} takes certificates that nobody verified, which ssl "
            "cannot do; use RequireAndVerifyClientCert"),
        )
        for kind in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    },
    "clients-without-authority": (
        tls("client_auth_type: VerifyClientCertIfGiven"),
        "1:84: tls_server_config.client_auth_type: VerifyClientCertIfGiven needs client_ca_file",
    ),
    "authority-without-clients": (
        tls("client_ca_file: ca.crt"),
        "1:82: tls_server_config.client_ca_file: verifies nobody; set client_auth_type: RequireAndVerifyClientCert",
    ),
    "names-without-clients": (
        tls("client_allowed_sans: [a]"),
        "1:87: tls_server_config.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert",
    ),
    "name-number": (
        tls("client_allowed_sans: [5]"),
        "1:88: tls_server_config.client_allowed_sans[0]: must be a name, an address, a mail address or a URI, as text",
    ),
    **{
        f"version-{version}": (
            tls(f"min_version: {version}"),
            f"1:79: tls_server_config.min_version: {version} is broken (RFC 8996); must be TLS12 or TLS13",
        )
        for version in ("TLS10", "TLS11")
    },
    "version-number": (tls("max_version: 1.3"), "1:79: tls_server_config.max_version: must be TLS12 or TLS13"),
    "versions-crossed": (
        tls("min_version: TLS13, max_version: TLS12"),
        "1:99: tls_server_config.max_version: must not be below min_version",
    ),
    "cipher-unknown": (
        tls(f"cipher_suites: [{CIPHERS}6]"),
        ("1:82: tls_server_config.cipher_suites[0]: must be a cipher suite of TLS 1.2 by Go's name; "
        f'did you mean "{CIPHERS}"?'),
    ),
    "cipher-of-1.3": (
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"),
        ("1:82: tls_server_config.cipher_suites[0]: TLS_AES_128_GCM_SHA256 is of TLS 1.3, of which all suites are "
        "always offered; leave it out"),
    ),
    "cipher-without-secrecy": (
        tls("cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]"),
        ("1:82: tls_server_config.cipher_suites[0]: TLS_RSA_WITH_AES_128_GCM_SHA256 has no forward secrecy; "
        "use one of TLS_ECDHE_…"),
    ),
    "ciphers-no-list": (tls("cipher_suites: a"), "1:81: tls_server_config.cipher_suites: must be a list"),
    "preference-maybe": (
        tls("prefer_server_cipher_suites: maybe"),
        "1:95: tls_server_config.prefer_server_cipher_suites: must be true or false",
    ),
    "curve-unknown": (
        tls("curve_preferences: [P256]"),
        ("1:86: tls_server_config.curve_preferences[0]: must be CurveP256, CurveP384, CurveP521 or X25519; "
        'did you mean "CurveP256"?'),
    ),
    "curves-in-order": (
        tls("curve_preferences: [X25519, CurveP256]"),
        "1:85: tls_server_config.curve_preferences: must be one curve, for no order can be set here; or leave it out",
    ),
    "http2": (
        "http_server_config: {http2: true}\n",
        ("1:29: http_server_config.http2: HTTP/2 is not spoken here, and no scraper needs it; leave it out, or write "
        "false"),
    ),
    "http2-maybe": ("http_server_config: {http2: maybe}\n", "1:29: http_server_config.http2: must be true or false"),
    "headers-list": (
        "http_server_config: {headers: [a]}\n",
        "1:31: http_server_config.headers: must be a mapping of headers to their values",
    ),
    "header-unknown": (
        "http_server_config: {headers: {X-Frame-Option: deny}}\n",
        ("1:48: http_server_config.headers.X-Frame-Option: cannot be set; must be one of Strict-Transport-Security, "
        "X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, Content-Security-Policy; "
        'did you mean "X-Frame-Options"?'),
    ),
    "header-of-two-lines": (
        'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nb: c"}}\n',
        "1:57: http_server_config.headers.Content-Security-Policy: must be text in printable ASCII",
    ),
    "header-value": (
        "http_server_config: {headers: {X-Frame-Options: DENY}}\n",
        "1:49: http_server_config.headers.X-Frame-Options: must be deny or sameorigin",
    ),
    "users-list": ("basic_auth_users: [a]\n", "1:19: basic_auth_users: must be a mapping of users to bcrypt hashes"),
    "user-with-a-colon": (
        f"basic_auth_users: {{a:{HASH}}}\n",
        "1:19: basic_auth_users: a user needs a name without a colon (RFC 7617 section 2), and a space before the hash",
    ),
    "user-without-name": (
        f"basic_auth_users: {{'': '{HASH}'}}\n",
        "1:19: basic_auth_users: a user needs a name without a colon (RFC 7617 section 2), and a space before the hash",
    ),
    "password-itself": (
        "basic_auth_users: {a: hunter2}\n",
        "1:23: basic_auth_users.a: must be a bcrypt hash, as `htpasswd -nBC 10 ''` makes it",
    ),
    "hash-too-dear": (
        f"basic_auth_users: {{a: $2y${MAX_COST + 1}{HASH[6:]}}}\n",
        "1:23: basic_auth_users.a: must be a bcrypt hash of a cost from 4 to 14",
    ),
    "rate-limit": ("rate_limit: {burst: 5}\n", ("1:13: rate_limit: is not done here; a few requests at a time are the "
                   "limit")),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_file_with_one_fault_is_refused_with_its_place_and_what_is_wrong(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(folder, text)
    assert refused.value.lines == [f"{folder}/web.yml:{message.replace('{folder}', str(folder))}"]


def test_file_with_many_faults_is_refused_with_all_of_them_in_the_order_of_the_file(folder: Path) -> None:
    text = (
        "basic_auth_users:\n  a: b\n  c: d\ntls_server_config:\n  cert_file: none\n  key_file: none\n"
        "  min_version: TLS10\nhttp_server_config: {http2: true}\nrate: 1\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(folder, text)
    places = [line.removeprefix(f"{folder}/web.yml:").split(": ")[0] for line in refused.value.lines]
    assert places == ["2:6", "3:6", "5:14", "6:13", "7:16", "8:29", "9:1"]


def test_file_that_cannot_be_opened_is_one_line(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"/none\.yml: cannot be read: No such file or directory$"):
        load_web_config(folder / "none.yml")


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth_users: {a: hunter2}\n",
        "basic_auth_users: {a: !hunter2 x}\n",
        "basic_auth_users: {a: *hunter2 }\n",
        "basic_auth_users: {'a:hunter2': }\n",
        "basic_auth_users: {? [hunter2] : x}\n",
        "basic_auth_users: a:hunter2\n",
        "{'a:hunter2': 1}\n",
        'basic_auth_users: {a: "hunter2}\n',
        "tls_server_config: {cert_file: server.crt, key_file: '-----BEGIN PRIVATE KEY-----hunter2'}\n",
        "tls_server_config: {cert_file: server.crt, key_file: server.key, key: hunter2}\n",
    ],
)
def test_secret_at_the_wrong_place_is_never_quoted(folder: Path, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(folder, text)
    assert refused.value.lines
    assert "hunter2" not in str(refused.value) + repr(refused.value)


def test_configuration_shows_no_hash(folder: Path) -> None:
    config = load(folder, USERS)
    assert config.basic_auth_users
    site = parse_config(f"metrics: {{web_config_file: {folder}/web.yml}}\n", "site.yaml")
    assert HASH not in repr(config) + repr(site) + to_yaml(site)


@pytest.mark.parametrize("text", ["", "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n", "{}"])
def test_file_that_sets_nothing_protects_nothing(folder: Path, text: str) -> None:
    assert load(folder, text) == WebConfig()
    assert not WebConfig().protects


@pytest.mark.parametrize("minor", "aby")
def test_hash_of_any_maker_is_taken(folder: Path, minor: str) -> None:
    assert load(folder, f"basic_auth_users: {{a: $2{minor}{HASH[3:]}}}\n").basic_auth_users


def test_everything_that_can_be_set_reaches_the_context(folder: Path) -> None:
    config = load(
        folder,
        f"""
tls_server_config:
  cert_file: server.crt
  key_file: {folder}/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [a.example, 192.0.2.1]
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [{CIPHERS}, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers: {{X-Frame-Options: deny, X-XSS-Protection: "", Content-Security-Policy: default-src 'none'}}
""",
    )
    assert config.http_server_config.headers == {
        "X-Frame-Options": "deny",
        "Content-Security-Policy": "default-src 'none'",
    }
    assert config.tls_server_config
    context = config.tls_server_config.context()
    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert names == {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"}
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_every_cipher_and_curve_that_is_taken_is_one_of_openssl(folder: Path) -> None:
    from sensor.config import server_tls  # noqa: PLC0415  (its tables)

    for name in server_tls._CIPHERS:
        assert load(folder, tls(f"cipher_suites: [{name}]")).tls_server_config
    for name in server_tls._CURVES:
        assert load(folder, tls(f"curve_preferences: [{name}]")).tls_server_config


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_give_a_configuration_or_faults_with_their_place(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"))
    faults = [f"{path}: none"]
    try:
        load_web_config(path)
    except ConfigError as refused:
        faults = refused.lines
    assert faults
    assert all(fault.startswith(f"{path}:") for fault in faults)


NO_LOOPBACK = (
    "1:19: metrics.listen: 192.0.2.1:9767 is no loopback address: name a web_config_file with TLS and with users or "
    "verified client certificates, or set allow_unprotected: true"
)


@pytest.mark.parametrize(
    ("web", "protects"),
    [(TLS + USERS, True), (MTLS, True), (TLS, False), (USERS, False), ("", False)],
    ids=["tls-users", "mtls", "tls", "users", "nothing"],
)
def test_address_for_others_needs_tls_and_proof_of_who_comes(folder: Path, web: str, *, protects: bool) -> None:
    path = write(folder, web)
    text = f"metrics: {{listen: '192.0.2.1:9767', web_config_file: {path}}}\n"
    if protects:
        file = parse_config(text, "site.yaml").metrics.web_config_file
        assert file
        assert file.config.protects
    else:
        with pytest.raises(ConfigError) as refused:
            parse_config(text, "site.yaml")
        assert refused.value.lines == [f"site.yaml:{NO_LOOPBACK}"]


def test_certificate_that_is_optional_is_no_proof(folder: Path) -> None:
    web = MTLS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    assert not load(folder, web).protects
    assert load(folder, web + USERS).protects


@pytest.mark.parametrize("listen", ["127.0.0.1:9767", "[::1]:9767"])
def test_loopback_needs_nothing(listen: str) -> None:
    assert str(parse_config(f"metrics: {{listen: '{listen}'}}\n", "f").metrics.listen) == listen


def test_operator_who_wants_no_protection_gets_none() -> None:
    config = parse_config("metrics: {listen: '[::]:9767', allow_unprotected: true}\n", "f")
    assert config.metrics.web_config_file is None


def test_configuration_with_a_web_file_loads_to_itself(folder: Path) -> None:
    path = write(folder, TLS + USERS)
    config = parse_config(f"metrics: {{listen: '192.0.2.1:1', web_config_file: {path}}}\n", "f")
    assert f"web_config_file: {path}\n" in to_yaml(config)
    assert parse_config(to_yaml(config), "g") == config


def test_check_config_tells_the_faults_of_the_web_file_in_their_order(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder, "basic_auth_users:\n" + "".join(f"  user{i}: x\n" for i in range(10)))
    site = tmp_path / "legwatch.yaml"
    site.write_text(f"metrics:\n  web_config_file: {path}\n")
    assert main(["check-config", str(site)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split(": ")[2].split(":")[1] for line in lines] == [str(line) for line in range(2, 12)]
    assert lines[0].startswith(f"{site}:2:20: metrics.web_config_file: {path}:2:10: basic_auth_users.user0: must be")


def test_web_file_that_is_a_number_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config("metrics: {web_config_file: 5}\n", "f")
    assert refused.value.lines == ["f:1:28: metrics.web_config_file: must be the path of a web configuration file"]


def test_listen_option_follows_the_same_rule(folder: Path, tmp_path: Path) -> None:
    arguments = ("run", *STAY_ROOT, "-i", "nosuch0", "--listen")
    status, said = run_to_end(*arguments, "192.0.2.1:9767")
    assert status == 2
    assert "allow_unprotected: true" in said
    site = tmp_path / "legwatch.yaml"
    site.write_text(f"metrics: {{web_config_file: {write(folder, MTLS)}}}\n")
    status, said = run_to_end(*arguments, "0.0.0.0:0", "--config", str(site))
    assert status == 2
    assert "nosuch0" in said


def test_dearest_hash_that_is_taken_is_one_of_bcrypt() -> None:
    assert bcrypt.gensalt(MAX_COST).startswith(b"$2b$14$")

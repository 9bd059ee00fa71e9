"""The web configuration file held against the originals: promtool reads it, a real Prometheus scrapes by it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sensor.config.web_config import load_web_config
from tests.live.lab import LEGWATCH, ROOT, STAY_ROOT, Mirror, namespaces, program, wait_for
from tests.live.test_prometheus import Prometheus
from tests.unit.sensor.web import MTLS, PASSWORD, TLS, USER, USERS, Authority

pytestmark = pytest.mark.live

EXAMPLE = ROOT / "deploy" / "prometheus" / "web-config.example.yml"
MORE = """
  client_auth_type: VerifyClientCertIfGiven
  client_ca_file: ca.crt
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: "0"
    Content-Security-Policy: default-src 'none'"""
BASIC_AUTH = {"basic_auth": {"username": USER, "password": PASSWORD}}


@pytest.mark.parametrize("more", ["", MORE], ids=["as-delivered", "with-everything"])
def test_promtool_and_the_sensor_accept_the_example(tmp_path: Path, more: str) -> None:
    Authority(tmp_path).sign("server")
    path = tmp_path / "web-config.yml"
    if more:
        text = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key" + more + "\n" + USERS
        path.write_text(text)
    else:
        shutil.copy(EXAMPLE, path)
    done = subprocess.run(["promtool", "check", "web-config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_web_config(path).protects


@pytest.mark.parametrize(
    ("web", "scrape"),
    [
        (TLS + USERS, BASIC_AUTH),
        (MTLS, {}),
        (MTLS + USERS, BASIC_AUTH),
    ],
    ids=["tls-and-password", "client-certificate", "both"],
)
def test_prometheus_scrapes_what_only_it_may_see(tmp_path: Path, web: str, scrape: dict[str, object]) -> None:
    authority = Authority(tmp_path)
    authority.sign("server")
    certificate, key = authority.sign("client", client=True)
    (tmp_path / "web.yml").write_text(web)
    (tmp_path / "legwatch.yaml").write_text(
        f"metrics: {{listen: '127.0.0.1:9767', web_config_file: {tmp_path}/web.yml}}\n"
    )
    right = {"ca_file": str(tmp_path / "ca.crt"), "cert_file": str(certificate), "key_file": str(key)}
    wrong = {"ca_file": str(tmp_path / "ca.crt")}  # neither a certificate nor a password
    targets = [{"targets": ["127.0.0.1:9767"]}]
    jobs = [
        {"job_name": "right", "scheme": "https", "tls_config": right, "static_configs": targets, **scrape},
        {"job_name": "wrong", "scheme": "https", "tls_config": wrong, "static_configs": targets},
        {"job_name": "clear", "scheme": "http", "static_configs": targets, **scrape},
    ]
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with namespaces("web") as (namespace,):
        mirror = Mirror(namespace)
        sensor = namespace.command(
            *LEGWATCH, "run", *STAY_ROOT, "-i", "span0", "--config", str(tmp_path / "legwatch.yaml")
        )
        server = namespace.command(
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            "--web.listen-address=127.0.0.1:9090",
        )
        with program(sensor, tmp_path / "sensor.txt"), program(server, tmp_path / "server.txt"):
            prometheus = Prometheus(mirror)
            wait_for(lambda: prometheus.value('up{job="right"}') == 1, "a scrape", 30)
            wait_for(lambda: prometheus.value('up{job="wrong"}') == 0, "a refusal", 30)
            wait_for(lambda: prometheus.value('up{job="clear"}') == 0, "a refusal", 30)
            assert prometheus.value('legwatch_capture_up{job="right"}') == 1
        mirror.close()
        said = (tmp_path / "sensor.txt").read_text() + (tmp_path / "sensor.err").read_text()
        assert "Traceback" not in said
        assert not [secret for secret in (PASSWORD, "$2b$") if secret in said]

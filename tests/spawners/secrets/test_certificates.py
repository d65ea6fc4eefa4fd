"""Which certificates travel to a job, and what they are good for."""

from __future__ import annotations

import base64
import json
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from batchspawner import SlurmSpawner, TorqueSpawner
from batchspawner.client.batch_client import BatchClient
from batchspawner.schedulers import scheduler_class
from batchspawner.spawners.secrets.certificates import CERTIFICATES, PATHS, server_certificate
from batchspawner.spawners.secrets.package import pack
from tests.spawners.site import make_spawner

BOTH = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """What a Hub with internal_ssl gives to its spawners."""
    certipy = pytest.importorskip("certipy")
    folder = str(tmp_path_factory.mktemp("internal-ssl"))
    graph = {"hub-ca": ["notebooks-ca"], "notebooks-ca": ["hub-ca"]}
    bundles = certipy.Certipy(store_dir=folder).trust_from_graph(graph)
    return {
        "internal_ssl": True,
        "internal_certs_location": folder,
        "internal_trust_bundles": bundles,
        "cert_paths": {"keyfile": "/hub/key", "certfile": "/hub/cert", "cafile": "/hub/ca"},
    }


def spawner_of(cls, authority, **config):
    return make_spawner(cls, {"BatchSpawnerBase": config}, req_homedir="/home/ada", **authority)


async def packed(spawner):
    scheduler = scheduler_class(spawner.scheduler_name)()
    return await pack(spawner, scheduler, BatchClient(scheduler).leave)


def opened(word: str) -> tuple[dict, x509.Certificate]:
    files = json.loads(base64.b64decode(word))
    return files, x509.load_pem_x509_certificate(files["CERTFILE"].encode())


def usages(certificate) -> set:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def names(certificate) -> list:
    return [
        name.value
        for name in certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    ]


async def test_what_travels_with_a_job_lets_it_in_and_makes_it_no_server(authority):
    package = await packed(spawner_of(SlurmSpawner, authority))
    files, certificate = opened(package.environment[CERTIFICATES])
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert names(certificate) == ["entry.invalid"]
    bundle = authority["internal_trust_bundles"]["notebooks-ca"]
    with open(bundle) as file:
        assert files["CLIENT_CA"] == file.read()
    assert CERTIFICATES in package.script
    assert not any(name in package.script or name in package.environment for name in PATHS)


async def test_it_travels_in_the_script_where_the_code_does(authority):
    package = await packed(spawner_of(TorqueSpawner, authority))
    assert CERTIFICATES not in package.environment
    start = f"export {CERTIFICATES}="
    (line,) = (one for one in package.script.splitlines() if one.startswith(start))
    assert usages(opened(line.split("'")[1])[1]) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert "PRIVATE KEY" not in package.shown


async def test_a_servers_own_certificate_is_for_its_host_and_no_other(authority):
    spawner = spawner_of(SlurmSpawner, authority, ssl_alt_names=["DNS:*.cluster", "IP:10.1.1.1"])
    _, certificate = opened(await server_certificate(spawner, "fe80::1"))
    assert usages(certificate) == BOTH
    assert [str(name) for name in names(certificate)] == [
        "fe80::1",
        "*.cluster",
        "10.1.1.1",
    ]


async def test_key_and_certificate_fit_and_the_authority_vouches_for_them(authority, tmp_path):
    word = await server_certificate(spawner_of(SlurmSpawner, authority), "node7")
    files, certificate = opened(word)
    pair = tmp_path / "pair.pem"
    pair.write_text(files["KEYFILE"] + files["CERTFILE"])
    ssl.create_default_context().load_cert_chain(pair)
    with open(f"{authority['internal_certs_location']}/notebooks-ca/notebooks-ca.crt", "rb") as one:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(one.read()))


class OwnSpawner(SlurmSpawner):
    async def move_certs(self, paths):
        return paths


@pytest.mark.parametrize(
    ("cls", "config"),
    [(OwnSpawner, {}), (SlurmSpawner, {"secret_transport": "environment"})],
)
async def test_a_site_that_brings_certificates_itself_is_left_to_do_so(authority, cls, config):
    package = await packed(spawner_of(cls, authority, **config))
    assert CERTIFICATES not in package.environment
    assert [package.environment[name] for name in PATHS] == ["/hub/key", "/hub/cert", "/hub/ca"]

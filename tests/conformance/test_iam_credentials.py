"""Passwords, second factors, certificates and keys of other kinds, and the report of them all."""

import csv
import io

import pytest

from wharf_server import ACCOUNT, Server

ARN = f"arn:aws:iam::{ACCOUNT}:"
PASSWORD = "Correct-horse-7"


@pytest.fixture
def user(iam, name):
    iam.create_user(UserName=name)
    return name


@pytest.fixture(scope="module")
def offers(server):
    """Whether an operation is offered; a test of one that is not has nothing to judge."""
    from wire import query_request, send

    def asked(operation):
        if send(server, query_request("iam", operation)).code == "UnsupportedOperation":
            pytest.skip(f"{operation} is not offered yet")

    return asked


def test_changing_ones_own_password(server, iam, user, offers, refused):
    offers("ChangePassword")
    iam.create_login_profile(UserName=user, Password=PASSWORD)
    iam.attach_user_policy(
        UserName=user, PolicyArn="arn:aws:iam::aws:policy/IAMUserChangePassword")
    key = iam.create_access_key(UserName=user)["AccessKey"]
    mine = server.client("iam", key["AccessKeyId"], key["SecretAccessKey"])
    mine.change_password(OldPassword=PASSWORD, NewPassword="Another-horse-8")
    with refused("AccessDenied"):
        mine.change_password(OldPassword=PASSWORD, NewPassword="Third-horse-9")
    with refused("InvalidUserType", status=400):
        iam.change_password(OldPassword="a", NewPassword="Third-horse-9")


def test_the_credential_report(iam, user, offers, refused):
    offers("GenerateCredentialReport")
    iam.create_access_key(UserName=user)
    assert iam.generate_credential_report()["State"] in ("STARTED", "INPROGRESS", "COMPLETE")
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    report = iam.get_credential_report()
    assert report["ReportFormat"] == "text/csv"
    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(report["Content"].decode()))}
    assert rows["<root_account>"]["arn"] == f"{ARN}root"
    assert rows[user]["access_key_1_active"] == "true"
    assert rows[user]["access_key_2_active"] == "false"
    assert rows[user]["mfa_active"] == "false"


def test_virtual_second_factor(iam, name, offers, refused):
    offers("CreateVirtualMFADevice")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
    serial = made["SerialNumber"]
    assert serial == f"{ARN}mfa/{name}"
    assert len(made["Base32StringSeed"]) >= 16
    listed = iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"]
    assert serial in [d["SerialNumber"] for d in listed]
    with refused("EntityAlreadyExists", status=409):
        iam.create_virtual_mfa_device(VirtualMFADeviceName=name)
    iam.create_user(UserName=name)
    with refused("InvalidAuthenticationCode", status=403):
        iam.enable_mfa_device(UserName=name, SerialNumber=serial, AuthenticationCode1="000000",
                              AuthenticationCode2="000001")
    iam.delete_virtual_mfa_device(SerialNumber=serial)
    with refused("NoSuchEntity", status=404):
        iam.delete_virtual_mfa_device(SerialNumber=serial)


def codes(seed, count, now):
    """What an authenticator shows in this and the next half minutes (RFC 6238)."""
    import base64
    import hashlib
    import hmac

    key = base64.b32decode(seed + b"=" * (-len(seed) % 8))
    for step in range(count):
        mac = hmac.new(key, (int(now) // 30 + step).to_bytes(8, "big"), hashlib.sha1).digest()
        at = mac[-1] & 15
        number = int.from_bytes(mac[at:at + 4], "big") & 0x7FFFFFFF
        yield f"{number % 1_000_000:06}"


def test_a_second_factor_in_use(server, iam, user, offers, refused):
    import time

    offers("EnableMFADevice")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=user)["VirtualMFADevice"]
    serial, seed = made["SerialNumber"], made["Base32StringSeed"]
    first, second = codes(seed, 2, time.time() - 30)
    iam.enable_mfa_device(UserName=user, SerialNumber=serial, AuthenticationCode1=first,
                          AuthenticationCode2=second)
    [device] = iam.list_mfa_devices(UserName=user)["MFADevices"]
    assert device["SerialNumber"] == serial
    with refused("DeleteConflict", status=409):
        iam.delete_user(UserName=user)
    got = iam.get_mfa_device(UserName=user, SerialNumber=serial)
    assert (got["UserName"], got["SerialNumber"]) == (user, serial)
    iam.tag_mfa_device(SerialNumber=serial, Tags=[{"Key": "a", "Value": "b"}])
    assert iam.list_mfa_device_tags(SerialNumber=serial)["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.untag_mfa_device(SerialNumber=serial, TagKeys=["a"])
    first, second = codes(seed, 2, time.time())
    iam.resync_mfa_device(UserName=user, SerialNumber=serial, AuthenticationCode1=first,
                          AuthenticationCode2=second)
    iam.deactivate_mfa_device(UserName=user, SerialNumber=serial)
    assert iam.list_mfa_devices(UserName=user)["MFADevices"] == []
    iam.delete_virtual_mfa_device(SerialNumber=serial)


def ssh_key(bits=2048):
    """A public key of the right form; nobody has the other half."""
    import base64
    import secrets

    def field(data):
        return len(data).to_bytes(4, "big") + data

    number = (secrets.randbits(bits) | 1 << (bits - 1) | 1).to_bytes(bits // 8 + 1, "big")
    blob = field(b"ssh-rsa") + field(b"\1\0\1") + field(number)
    return f"ssh-rsa {base64.b64encode(blob).decode()} someone@somewhere"


def test_ssh_public_keys(iam, user, offers, refused):
    offers("UploadSSHPublicKey")
    made = iam.upload_ssh_public_key(UserName=user, SSHPublicKeyBody=ssh_key())["SSHPublicKey"]
    key = made["SSHPublicKeyId"]
    assert key.startswith("APKA") and made["Status"] == "Active"
    got = iam.get_ssh_public_key(UserName=user, SSHPublicKeyId=key, Encoding="SSH")["SSHPublicKey"]
    assert got["SSHPublicKeyBody"].split()[1] == made["SSHPublicKeyBody"].split()[1]
    assert got["Fingerprint"] == made["Fingerprint"]
    iam.update_ssh_public_key(UserName=user, SSHPublicKeyId=key, Status="Inactive")
    [listed] = iam.list_ssh_public_keys(UserName=user)["SSHPublicKeys"]
    assert (listed["SSHPublicKeyId"], listed["Status"]) == (key, "Inactive")
    with refused("InvalidPublicKey", status=400):
        iam.upload_ssh_public_key(UserName=user, SSHPublicKeyBody="ssh-rsa nonsense")
    iam.delete_ssh_public_key(UserName=user, SSHPublicKeyId=key)
    with refused("NoSuchEntity", status=404):
        iam.get_ssh_public_key(UserName=user, SSHPublicKeyId=key, Encoding="SSH")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate and its key: the CA that a server makes for its own TLS."""
    running = Server(tmp_path_factory.mktemp("ca") / "data", "--tls", "local").start()
    running.kill()
    return [(running.data_dir / file).read_text() for file in ("ca.pem", "ca-key.pem")]


def test_server_certificates(iam, name, certificate, offers, refused):
    offers("UploadServerCertificate")
    body, key = certificate
    made = iam.upload_server_certificate(
        ServerCertificateName=name, Path="/c/", CertificateBody=body, PrivateKey=key,
        Tags=[{"Key": "a", "Value": "b"}],
    )["ServerCertificateMetadata"]
    assert made["Arn"] == f"{ARN}server-certificate/c/{name}"
    assert made["ServerCertificateId"].startswith("ASCA")
    with refused("EntityAlreadyExists", status=409):
        iam.upload_server_certificate(
            ServerCertificateName=name, CertificateBody=body, PrivateKey=key)
    got = iam.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]
    assert got["CertificateBody"].strip() == body.strip()
    assert "PrivateKey" not in got
    listed = iam.list_server_certificates(PathPrefix="/c/")["ServerCertificateMetadataList"]
    assert [c["ServerCertificateName"] for c in listed] == [name]
    iam.tag_server_certificate(ServerCertificateName=name, Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_server_certificate(ServerCertificateName=name, TagKeys=["a"])
    tags = iam.list_server_certificate_tags(ServerCertificateName=name)["Tags"]
    assert tags == [{"Key": "c", "Value": "d"}]
    iam.update_server_certificate(ServerCertificateName=name, NewServerCertificateName=name + "-2")
    iam.delete_server_certificate(ServerCertificateName=name + "-2")
    with refused("NoSuchEntity", f"The Server Certificate with name {name} cannot be found.", 404):
        iam.get_server_certificate(ServerCertificateName=name)
    with refused("MalformedCertificate", status=400):
        iam.upload_server_certificate(ServerCertificateName=name, CertificateBody="nonsense",
                                      PrivateKey="nonsense")


def test_signing_certificates(iam, user, certificate, offers, refused):
    offers("UploadSigningCertificate")
    made = iam.upload_signing_certificate(UserName=user, CertificateBody=certificate[0])
    which = made["Certificate"]["CertificateId"]
    iam.update_signing_certificate(UserName=user, CertificateId=which, Status="Inactive")
    [listed] = iam.list_signing_certificates(UserName=user)["Certificates"]
    assert (listed["CertificateId"], listed["Status"]) == (which, "Inactive")
    with refused("DeleteConflict", status=409):
        iam.delete_user(UserName=user)
    iam.delete_signing_certificate(UserName=user, CertificateId=which)
    with refused("NoSuchEntity", status=404):
        iam.delete_signing_certificate(UserName=user, CertificateId=which)
    with refused("MalformedCertificate", status=400):
        iam.upload_signing_certificate(UserName=user, CertificateBody="nonsense")


def test_open_id_connect_provider(iam, name, offers, refused):
    offers("CreateOpenIDConnectProvider")
    arn = iam.create_open_id_connect_provider(
        Url=f"https://{name}.example.com/issuer", ClientIDList=["sts.amazonaws.com"],
        ThumbprintList=["a" * 40], Tags=[{"Key": "a", "Value": "b"}],
    )["OpenIDConnectProviderArn"]
    assert arn == f"{ARN}oidc-provider/{name}.example.com/issuer"
    who = {"OpenIDConnectProviderArn": arn}
    with refused("EntityAlreadyExists", status=409):
        iam.create_open_id_connect_provider(
            Url=f"https://{name}.example.com/issuer", ThumbprintList=["a" * 40])
    iam.add_client_id_to_open_id_connect_provider(**who, ClientID="other")
    iam.remove_client_id_from_open_id_connect_provider(**who, ClientID="sts.amazonaws.com")
    iam.update_open_id_connect_provider_thumbprint(**who, ThumbprintList=["b" * 40])
    got = iam.get_open_id_connect_provider(**who)
    assert (got["ClientIDList"], got["ThumbprintList"]) == (["other"], ["b" * 40])
    assert got["Url"] == f"{name}.example.com/issuer"
    listed = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert {"Arn": arn} in listed
    iam.tag_open_id_connect_provider(**who, Tags=[{"Key": "c", "Value": ""}])
    iam.untag_open_id_connect_provider(**who, TagKeys=["a"])
    assert iam.list_open_id_connect_provider_tags(**who)["Tags"] == [{"Key": "c", "Value": ""}]
    iam.delete_open_id_connect_provider(**who)
    with refused("NoSuchEntity", status=404):
        iam.get_open_id_connect_provider(**who)
    for url in ("http://plain.example.com", "nonsense", ""):
        with refused("ValidationError", status=400):
            iam.create_open_id_connect_provider(Url=url, ThumbprintList=["a" * 40])


def metadata(certificate):
    lines = "".join(certificate.splitlines()[1:-1])
    return (
        '<?xml version="1.0"?><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
        'entityID="https://idp.example.com"><md:IDPSSODescriptor '
        'protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor '
        'use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>'
        f'<ds:X509Certificate>{lines}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>'
        '</md:KeyDescriptor><md:SingleSignOnService '
        'Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        'Location="https://idp.example.com/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>'
        + "<!-- " + "padding " * 150 + "-->"
    )


def test_saml_provider(iam, name, certificate, offers, refused):
    offers("CreateSAMLProvider")
    document = metadata(certificate[0])
    arn = iam.create_saml_provider(
        Name=name, SAMLMetadataDocument=document, Tags=[{"Key": "a", "Value": "b"}]
    )["SAMLProviderArn"]
    assert arn == f"{ARN}saml-provider/{name}"
    with refused("EntityAlreadyExists", status=409):
        iam.create_saml_provider(Name=name, SAMLMetadataDocument=document)
    assert iam.get_saml_provider(SAMLProviderArn=arn)["SAMLMetadataDocument"] == document
    assert arn in [p["Arn"] for p in iam.list_saml_providers()["SAMLProviderList"]]
    iam.update_saml_provider(SAMLProviderArn=arn, SAMLMetadataDocument=document + "\n")
    iam.tag_saml_provider(SAMLProviderArn=arn, Tags=[{"Key": "c", "Value": ""}])
    iam.untag_saml_provider(SAMLProviderArn=arn, TagKeys=["a"])
    tags = iam.list_saml_provider_tags(SAMLProviderArn=arn)["Tags"]
    assert tags == [{"Key": "c", "Value": ""}]
    iam.delete_saml_provider(SAMLProviderArn=arn)
    with refused("NoSuchEntity", status=404):
        iam.get_saml_provider(SAMLProviderArn=arn)
    with refused("InvalidInput", status=400):
        iam.create_saml_provider(Name=name, SAMLMetadataDocument="x" * 2000)


def test_service_specific_credentials(iam, user, offers, refused):
    """None of the services that have such credentials is here; tools still ask for the list."""
    offers("CreateServiceSpecificCredential")
    with refused("NotSupportedService", "No such service codecommit.amazonaws.com is supported for "
                 "Service Specific Credentials", 404):
        iam.create_service_specific_credential(
            UserName=user, ServiceName="codecommit.amazonaws.com")
    got = iam.list_service_specific_credentials(UserName=user)
    assert got["ServiceSpecificCredentials"] == []


def test_token_preferences(iam, offers):
    offers("SetSecurityTokenServicePreferences")
    iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v2Token")
    assert iam.get_account_summary()["SummaryMap"]["GlobalEndpointTokenVersion"] == 2

//! TLS: with the CA that wharf makes, and with files that are replaced while the server runs.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use plane_gateway::Outbound;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::Value;

use crate::world::{Home, run, text, wait_for};

fn fetch(url: &str, ca: &Path) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Outbound::new(Some(ca), Duration::from_secs(20)).map_err(|e| e.to_string())?;
        let request = Request::get(format!("{url}/healthz")).body(Bytes::new()).unwrap();
        let answer = client.send(request).await.map_err(|e| e.to_string())?;
        Ok(text(answer.body()))
    })
}

#[test]
fn the_local_ca_is_made_once_and_trusted_by_name_and_address() {
    let home = Home::new();
    let dir = home.dir();
    let env = || -> Value {
        let words = ["env", "--json", "--data-dir", dir.to_str().unwrap()];
        serde_json::from_slice(&run(&words).stdout).unwrap()
    };
    let server = home.server(&["--tls", "local"]);
    assert!(server.url.starts_with("https://127.0.0.1:"));
    let ca = dir.join("ca.pem");
    assert_eq!(env()["AWS_CA_BUNDLE"], ca.to_str().unwrap());
    assert_eq!(fetch(&server.url, &ca).unwrap(), "ok\n");
    for name in ["localhost", "bucket.localhost"] {
        let url = server.url.replace("127.0.0.1", name);
        match fetch(&url, &ca) {
            Ok(said) => assert_eq!(said, "ok\n"),
            // Not every machine resolves names below localhost; a certificate is not at fault.
            Err(error) => assert!(error.contains("dns"), "{name}: {error}"),
        }
    }
    let made = std::fs::read_to_string(&ca).unwrap();
    let key = std::fs::metadata(dir.join("ca-key.pem")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
    // The command line trusts it too.
    assert!(run(&["check", "--data-dir", dir.to_str().unwrap()]).status.success());
    server.stop();
    let server = home.server(&["--tls", "local"]);
    assert_eq!(std::fs::read_to_string(&ca).unwrap(), made);
    assert_eq!(fetch(&server.url, &ca).unwrap(), "ok\n");
    server.stop();
    // Lost by accident, it is signed again with the same key.
    std::fs::remove_file(&ca).unwrap();
    let server = home.server(&["--tls", "local"]);
    assert_eq!(fetch(&server.url, &ca).unwrap(), "ok\n");
    let stranger = Home::new();
    let other = stranger.server(&["--tls", "local"]);
    assert!(fetch(&other.url, &ca).is_err());
}

/// A certificate that is its own CA.
fn certificate(dir: &Path, name: &str) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn a_replaced_certificate_is_taken_without_a_restart() {
    let home = Home::new();
    let temp = home.temp.path();
    certificate(temp, "old");
    certificate(temp, "new");
    let (cert, key) = (temp.join("use.pem"), temp.join("use.key"));
    let put = |name: &str| {
        for (kind, to) in [("pem", &cert), ("key", &key)] {
            let fresh = temp.join("fresh");
            std::fs::copy(temp.join(format!("{name}.{kind}")), &fresh).unwrap();
            std::fs::rename(fresh, to).unwrap();
        }
    };
    put("old");
    let [cert_flag, key_flag] = [&cert, &key].map(|path| path.to_str().unwrap());
    let server = home.server(&["--tls-cert", cert_flag, "--tls-key", key_flag]);
    let (old, new) = (temp.join("old.pem"), temp.join("new.pem"));
    assert_eq!(fetch(&server.url, &old).unwrap(), "ok\n");
    assert!(fetch(&server.url, &new).is_err());
    put("new");
    wait_for("the new certificate is shown", || fetch(&server.url, &new).is_ok());
    // A pair that does not load leaves the one in use alone.
    std::fs::write(&key, "nonsense").unwrap();
    let log = home.dir().with_extension("log");
    wait_for("the fault is told", || {
        assert!(fetch(&server.url, &new).is_ok());
        std::fs::read_to_string(&log).unwrap().contains("the old certificate stays in use")
    });
}

#[test]
fn files_that_hold_no_certificate_are_named() {
    let home = Home::new();
    let temp = home.temp.path();
    certificate(temp, "good");
    certificate(temp, "other");
    std::fs::write(temp.join("empty"), "").unwrap();
    let at = |name: &str| temp.join(name).to_str().unwrap().to_owned();
    for (cert, key, said) in [
        ("missing", "good.key", "missing"),
        ("empty", "good.key", "holds no certificate"),
        ("good.pem", "empty", "holds no private key"),
        ("good.pem", "other.key", "do not work"),
    ] {
        let dir = home.dir();
        let told = run(&[
            "server",
            "--data-dir",
            dir.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            &at(cert),
            "--tls-key",
            &at(key),
        ]);
        assert_eq!(told.status.code(), Some(1));
        assert!(text(&told.stderr).contains(said), "{}", text(&told.stderr));
    }
}

/// Over HTTP/2 the signed host is the request's authority.
#[test]
fn http_2_is_offered_and_signed() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::client::legacy::Client as Pool;
    use hyper_util::rt::TokioExecutor;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let home = Home::new();
    let server = home.server(&["--tls", "local"]);
    assert_eq!(run(&["check", "--data-dir", home.dir().to_str().unwrap()]).status.code(), Some(0));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(home.dir().join("ca.pem")).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut headers = server.client().headers("ListClusters", "{}");
    headers.remove("host");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (version, said) = runtime.block_on(async {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http2()
            .build();
        let client = Pool::builder(TokioExecutor::new()).http2_only(true).build(connector);
        let mut request =
            Request::post(format!("{}/", server.url)).body(Full::<Bytes>::from("{}")).unwrap();
        *request.headers_mut() = headers;
        let answer: http::Response<hyper::body::Incoming> = client.request(request).await.unwrap();
        let version = answer.version();
        let body: Bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (version, text(&body))
    });
    assert_eq!((version, &*said), (http::Version::HTTP_2, r#"{"clusterArns":[]}"#));
}

//! Tokens and certificates.

use super::*;
use crate::client::{Admin, ClientError};
use crate::config::{ClientTls, Identity, PeltonBroker, Secret, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nobody_is_let_in() {
    let tokens = ["first-token", "second-token"].map(|t| Secret::new(t).unwrap()).to_vec();
    let fixture = Fixture::with(GrpcConfig { tokens, ..config() }).await;
    let list = async |token: Option<&str>| {
        let token = token.and_then(Secret::new);
        let broker = PeltonBroker { addresses: vec![fixture.address()], token, ..PeltonBroker::default() };
        Admin::new(Connection::new(broker)).list().await
    };
    assert_eq!(list(Some("first-token")).await, Ok(vec![]));
    assert_eq!(list(Some("second-token")).await, Ok(vec![]));
    let none = list(None).await.unwrap_err();
    assert!(matches!(&none, ClientError::Unauthenticated(text) if text.contains("Bearer TOKEN")), "{none:?}");
    for wrong in ["first-toke", "first-token-", "FIRST-TOKEN"] {
        let error = list(Some(wrong)).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Unauthenticated(text) if text.contains("ask for a valid one")),
            "{error:?}"
        );
    }
}

/// A certificate authority of one's own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = directory.join(format!("{name}.ca.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Authority { issuer, file }
    }

    fn identity(&self, directory: &Path, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let files = [format!("{name}.cert.pem"), format!("{name}.key.pem")].map(|file| directory.join(file));
        std::fs::write(&files[0], cert.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        let [cert, key] = files;
        Identity { cert, key }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_right_authority_are_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (ours, theirs) = (Authority::new(at, "ours"), Authority::new(at, "theirs"));
    let tls = ServerTls { identity: ours.identity(at, "server"), client_ca: Some(ours.file.clone()) };
    let fixture = Fixture::with(GrpcConfig { tls: Some(tls), ..config() }).await;
    fixture.stream("orders", 1);
    let list = async |tls: Option<ClientTls>| {
        let broker = PeltonBroker { addresses: vec![fixture.address()], tls, ..PeltonBroker::default() };
        Admin::new(Connection::new(broker)).list().await
    };
    let client = |ca: &Authority, identity: Option<Identity>| {
        Some(ClientTls { ca: ca.file.clone(), identity, domain: Some("localhost".into()) })
    };
    let good = ours.identity(at, "client");
    assert_eq!(list(client(&ours, Some(good.clone()))).await.unwrap(), ["orders"]);
    let bad = [
        ("another authority's server", client(&theirs, Some(good))),
        ("another authority's client", client(&ours, Some(theirs.identity(at, "stranger")))),
        ("no client certificate", client(&ours, None)),
        ("in the clear", None),
    ];
    for (what, tls) in bad {
        let error = list(tls).await.expect_err(what);
        let refused =
            matches!(error, ClientError::Unreachable { .. } | ClientError::Unavailable(_) | ClientError::Protocol(_));
        assert!(refused, "{what}: {error:?}");
    }
}

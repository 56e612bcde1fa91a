//! Tokens and certificates. Nothing that is said here shows a token.

use std::path::PathBuf;

use super::files::Files;
use crate::config::error::Problem;
use crate::config::fields::Fields;
use crate::config::model::{ClientTls, Identity, Secret, ServerTls};
use crate::config::read::Value;

pub(super) fn secret(value: &Value<'_>) -> Option<Secret> {
    value.parsed("a token", |text| {
        let problem = if text.is_empty() { "the token is empty" } else { "the token cannot be sent in a header" };
        let wrong = || Problem::new(problem).expected("printable ASCII characters, without spaces");
        Secret::new(text).ok_or_else(wrong)
    })
}

/// A list of tokens; `None` where one of them is wrong.
pub(super) fn secrets(value: &Value<'_>) -> Option<Vec<Secret>> {
    let read: Vec<Option<Secret>> = value.items("a list of tokens")?.iter().map(secret).collect();
    read.into_iter().collect()
}

pub(super) fn client_tls(value: &Value<'_>, files: &Files<'_>) -> Option<ClientTls> {
    let fields = value.fields(&["ca", "cert", "key", "domain"])?;
    let ca = fields.required("ca", "the certificates to trust, in PEM");
    let given = |key| fields.optional(key);
    let identity = match (given("cert"), given("key")) {
        (None, None) => None,
        _ => identity(&fields, files),
    };
    let domain = fields.optional("domain").and_then(|domain| domain.text("a host's name"));
    Some(ClientTls { ca: files.readable(&ca?)?, identity, domain: domain.map(ToOwned::to_owned) })
}

pub(super) fn server_tls(value: &Value<'_>, files: &Files<'_>) -> Option<ServerTls> {
    let fields = value.fields(&["cert", "key", "client_ca"])?;
    let client_ca = fields.optional("client_ca").and_then(|ca| files.readable(&ca));
    Some(ServerTls { identity: identity(&fields, files)?, client_ca })
}

/// `cert` and `key`, both of which must be there.
fn identity(fields: &Fields<'_>, files: &Files<'_>) -> Option<Identity> {
    let read = |key, expected| -> Option<PathBuf> { files.readable(&fields.required(key, expected)?) };
    let cert = read("cert", "a certificate in PEM, beside its 'key'");
    let key = read("key", "the certificate's private key, in PEM");
    Some(Identity { cert: cert?, key: key? })
}

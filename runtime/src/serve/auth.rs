//! Who may call: bearer tokens.

use crate::config::Secret;
use std::sync::Arc;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Lets calls through that show one of the tokens; all of them, where there are none.
#[derive(Clone)]
pub(super) struct Tokens(Arc<[blake3::Hash]>);

impl Tokens {
    pub(super) fn new(tokens: &[Secret]) -> Tokens {
        Tokens(tokens.iter().map(|token| blake3::hash(token.reveal().as_bytes())).collect())
    }
}

impl Interceptor for Tokens {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.0.is_empty() {
            return Ok(request);
        }
        let Some(header) = request.metadata().get("authorization") else {
            let text = "this server wants a token; send the metadata 'authorization: Bearer TOKEN'";
            return Err(Status::unauthenticated(text));
        };
        let given = blake3::hash(header.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default());
        // Hashes are compared in constant time, and all of them: how long it takes tells nothing about the tokens.
        let known = self.0.iter().fold(false, |known, token| known | (*token == given));
        match known {
            true => Ok(request),
            false => Err(Status::unauthenticated("the token is not one that this server knows; ask for a valid one")),
        }
    }
}

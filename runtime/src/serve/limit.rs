//! A request that is too large to be read.

use super::proto::SERVICE;
use super::status;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

/// Answers RESOURCE_EXHAUSTED where the decoder refuses a `Produce` for its size. Tonic itself answers OUT_OF_RANGE, which
/// says something else in this protocol, and which `Produce` never answers by itself.
#[derive(Clone)]
pub(super) struct Limited<S> {
    pub(super) inner: S,
    /// The largest message.
    pub(super) max_message: u64,
}

impl<S> NamedService for Limited<S> {
    const NAME: &'static str = SERVICE;
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<S> Service<http::Request<Body>> for Limited<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_produce = request.uri().path().ends_with("/Produce");
        let answer = self.inner.call(request);
        let max_message = self.max_message;
        Box::pin(async move {
            let response = answer.await?;
            let code = Status::from_header_map(response.headers()).map(|status| status.code());
            match code {
                Some(Code::OutOfRange) if is_produce => Ok(status::request_too_large(max_message).into_http()),
                _ => Ok(response),
            }
        })
    }
}

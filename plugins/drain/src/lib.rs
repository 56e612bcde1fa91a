//! Looks at every message and emits nothing: what a call costs when the handler costs nothing.

use pelton_sdk::{Failure, Message, handler};
use serde::Deserialize;
use std::hint::black_box;

#[derive(Deserialize)]
pub struct Settings {
    /// Whether to look at every header as well.
    #[serde(default)]
    pub headers: bool,
}

/// Rejects an empty body, so that a test can see that it did look.
pub fn handle(message: Message<'_>, settings: &Settings) -> Result<(), Failure> {
    if settings.headers {
        black_box(message.headers().count());
    }
    match message.body().first() {
        Some(first) => {
            black_box(first);
            Ok(())
        }
        None => Err(Failure::reject("empty body")),
    }
}

handler!(handle, config = Settings);

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_sdk::testing;

    #[test]
    fn an_empty_body_is_rejected() {
        let settings = Settings { headers: true };
        assert!(handle(testing::message().body("b").message(), &settings).is_ok());
        assert!(handle(testing::message().body("").message(), &settings).is_err());
    }
}

//! Looks at every message's body, and emits nothing: what a call costs when the handler costs nothing.

use pelton_sdk::{Failure, Message, handler};
use std::hint::black_box;

/// Rejects an empty body, so that a test can see that it did look.
pub fn handle(message: Message<'_>) -> Result<(), Failure> {
    match message.body().first() {
        Some(first) => {
            black_box(first);
            Ok(())
        }
        None => Err(Failure::reject("empty body")),
    }
}

handler!(handle);

#[cfg(test)]
mod tests {
    use pelton_sdk::testing;

    #[test]
    fn an_empty_body_is_rejected() {
        assert!(super::handle(testing::message().body("b").message()).is_ok());
        assert!(super::handle(testing::message().body("").message()).is_err());
    }
}

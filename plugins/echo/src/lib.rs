//! Forwards every message as it came.

use pelton_sdk::{Failure, Message, Output, handler};

/// Nothing is given, so no byte crosses back.
pub fn handle(_message: Message<'_>) -> Result<Output, Failure> {
    Ok(Output::forward())
}

handler!(handle);

#[cfg(test)]
mod tests {
    use pelton_sdk::testing;

    #[test]
    fn what_comes_in_goes_out() {
        let message = testing::message().subject("s").body("b");
        let output = super::handle(message.message());
        assert!(output.is_ok_and(|output| output.given().is_forward()));
    }
}

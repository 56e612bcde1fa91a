//! STOMP frames, of versions 1.0, 1.1 and 1.2, without input and output: [`encode`] makes bytes of a [`Frame`], a
//! [`Decoder`] makes frames of bytes that come in any pieces. [`Version`] and [`HeartBeats`] are what two ends agree on.
//!
//! # Grammar
//!
//! After [the specification](https://stomp.github.io/stomp-specification-1.2.html), "Augmented BNF":
//!
//! ```text
//! stream  = *( EOL | frame )                  an EOL between frames is a heart-beat ("Heart-beating")
//! frame   = command EOL *( header EOL ) EOL *OCTET NUL
//! header  = 1*name-octet ":" *value-octet
//! EOL     = LF | CR LF                        in 1.1 LF alone, and a CR is data
//! ```
//!
//! | of | is so | section |
//! |---|---|---|
//! | escapes | 1.0 has none; 1.1 `\n` `\c` `\\`; 1.2 `\r` too. Any other is an error. CONNECT, STOMP and CONNECTED have none in any version | Value Encoding |
//! | bodies | only in SEND, MESSAGE and ERROR; 1.0 does not say so, and there they are read in every frame | Body |
//! | `content-length` | so many bytes, NUL or not, then a NUL; without it the body ends at the first NUL | Header content-length |
//! | a header twice | the first counts, the others are its history | Repeated Header Entries |
//! | limits | [`Limits`] | Size Limits |
//!
//! Reading is more generous than writing where brokers are: a colon or a CR may stand in a value as it is, and a value
//! need not be UTF-8, as it may have come to the broker by AMQP. One such message would otherwise end the connection each
//! time it is delivered. What is written keeps to what no end can read in two ways.
//!
//! # A client's loop
//!
//! A client begins with [`Version::V1_0`], which understands every broker's answer to CONNECT, and goes on in the version
//! that CONNECTED names.
//!
//! ```
//! use pelton::broker::stomp::{Command, Decoder, Event, Frame, Limits, Version, encode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let offered = [Version::V1_1, Version::V1_2];
//! let connect = Frame::new(Command::Connect)
//!     .with_header("accept-version", Version::list(&offered))
//!     .with_header("host", "/");
//! let mut out = bytes::BytesMut::new();
//! encode(&connect, Version::V1_0, &mut out)?;
//! assert_eq!(&out[..], b"CONNECT\naccept-version:1.1,1.2\nhost:/\n\n\0");
//!
//! let mut decoder = Decoder::new(Version::V1_0, Limits::default());
//! decoder.feed(b"CONNECTED\nversion:1.2\n\n\0\nMESSAGE\nmessage-id:a\\c1\n");
//! let Some(Event::Frame(connected)) = decoder.decode()? else { panic!("it is whole") };
//! decoder.set_version(Version::chosen(&connected.headers, &offered)?);
//!
//! assert_eq!(decoder.decode()?, Some(Event::HeartBeat));
//! assert_eq!(decoder.decode()?, None); // more bytes are needed
//! decoder.feed(b"content-length:3\n\na\0b\0");
//! let Some(Event::Frame(message)) = decoder.decode()? else { panic!("now it is whole") };
//! assert_eq!(message.headers.text("message-id"), Some("a:1"));
//! assert_eq!(message.body, &b"a\0b"[..]);
//! # Ok(())
//! # }
//! ```

mod decode;
mod encode;
mod error;
mod escape;
mod frame;
mod head;
mod headers;
mod heartbeat;
#[cfg(test)]
mod tests;
mod version;

pub use decode::{Decoder, Event, Limits};
pub use encode::{HEART_BEAT, encode};
pub use error::{DecodeError, EncodeError, Limit, NegotiationError};
pub use frame::{Command, Frame};
pub use headers::Headers;
pub use heartbeat::{Beats, HeartBeats};
pub use version::Version;

const CONTENT_LENGTH: &str = "content-length";

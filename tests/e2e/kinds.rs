//! Messages of every kind through guests of both worlds: what is not text comes through unharmed.

use pelton::config::HandlerConfig;
use pelton::handler::Handler;
use pelton::message::{Batch, Entry, KEY, Message, Position, Value};
use pelton::wasm::{Cache, EngineOptions, Module, ModuleOptions, WasmEngine, WasmHandler};
use pelton_tests::guest;
use std::sync::Arc;

/// One message of each make.
fn messages() -> Vec<Message> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut builder = Message::builder();
    let mut all = vec![builder.build(b"").unwrap(), builder.build(&every_byte).unwrap()];
    all.push(builder.timestamp(-1).build(&vec![0xa5; 1 << 20]).unwrap());
    all.push(builder.subject("страна/東京.🌍").key(&every_byte).build(b"keyed").unwrap());
    all.push(builder.key(b"").build(b"an empty key is one").unwrap());
    builder.subject("orders.new").key(b"\xff\x00").timestamp(i64::MAX);
    builder.header("bytes", &*every_byte).header("bytes", &b""[..]).header("text", "naïve 🌍").header("text", "");
    builder.header("bool", Value::Bool(true)).header("bool", Value::Bool(false));
    builder.header("integer", i64::MIN).header("integer", i64::MAX).header("float", Value::Float(f64::MIN_POSITIVE));
    builder.header("float", Value::Float(f64::NEG_INFINITY)).header("time", Value::Timestamp(-1));
    builder.header("null", Value::Null).header("opaque", Value::Opaque(16, b"\xfe")).header("", "no name");
    builder.header("opaque", Value::Opaque(255, b"")).header(":content-type", "a/b").header("größe", "unicode name");
    all.push(builder.build(b"\0").unwrap());
    all
}

async fn handled(module: &str, messages: &[Message]) -> Vec<Message> {
    let mut config = HandlerConfig::new("kinds", &guest(module), "in");
    config.output = Some("out".into());
    let engine = WasmEngine::new(EngineOptions { instances: 4, memory: config.limits.memory }).unwrap();
    let cache = Cache::open(&pelton_tests::cache()).unwrap();
    let module = Module::load(&engine, Some(&cache), &config.module, ModuleOptions::new(&config)).await.unwrap();
    let mut handler = WasmHandler::new(module).await.unwrap();
    let entries = messages.iter().zip(1..).map(|(message, seq)| {
        let at = Position { partition: 0, seq };
        Entry::new(at, 1, message.clone())
    });
    let batch = Batch { stream: Arc::from("in"), entries: entries.collect() };
    let handled = handler.handle(&batch).await.unwrap();
    assert_eq!((handled.considered, handled.failures.as_slice()), (messages.len(), [].as_slice()));
    let inputs: Vec<usize> = handled.outputs.iter().map(|output| output.input).collect();
    assert_eq!(inputs, Vec::from_iter(0..messages.len()));
    handled.outputs.into_iter().map(|output| output.message).collect()
}

/// Everything but identifier and time: subject, key, the other headers, body.
type Content<'a> = (&'a str, Option<&'a [u8]>, Vec<(&'a str, Value<'a>)>, &'a [u8]);

fn content(message: &Message) -> Content<'_> {
    let headers = message.headers().filter(|(name, _)| *name != KEY).collect();
    (message.subject(), message.key(), headers, message.body())
}

#[tokio::test]
async fn an_echo_by_columns_is_the_same_message() {
    let messages = messages();
    let back = handled("echo", &messages).await;
    assert!(back == messages, "{back:?}");
}

#[tokio::test]
async fn an_echo_by_records_keeps_every_field() {
    let messages = messages();
    let back = handled("records", &messages).await;
    for (message, back) in messages.iter().zip(&back) {
        assert_eq!(content(back), content(message));
    }
}

#[tokio::test]
async fn headers_that_are_taken_over_keep_their_kinds() {
    let messages = messages();
    let back = handled("stamp", &messages).await;
    for (message, back) in messages.iter().zip(&back) {
        let (subject, key, mut headers, body) = content(back);
        headers.retain(|(name, _)| !["version", "stamp"].contains(name));
        assert_eq!((subject, key, headers, body), content(message));
        assert_eq!(back.header("stamp"), Some(Value::Text("PELTON-STAMP-000")));
        assert_eq!(back.timestamp(), message.timestamp());
    }
}

use super::*;
use crate::config::Environment;
use crate::message::Message;

fn parse(text: &str) -> Config {
    Config::parse(text, "test.yaml", &Environment::default()).unwrap()
}

/// Once they are in it they count as safe, so whoever gave them has settled what they came of.
#[tokio::test]
async fn messages_in_a_log_in_memory_are_handled_before_a_host_has_shut_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let (from, to) = (directory.path().join("in"), path.display());
    std::fs::write(&from, "").unwrap();
    let from = from.display();
    let config = format!(
        "streams: {{ alerts: {{ from: {{ file: {from} }}, storage: {{ type: memory }}, to: {{ file: {to} }} }} }}"
    );
    let host = Host::start(parse(&config)).await.unwrap();
    let messages = (0..10).map(|n| Message::new(n.to_string().as_bytes()).unwrap()).collect();
    host.stream("alerts").unwrap().log().unwrap().append(messages).await.unwrap();
    let (_, left) = host.shutdown(Duration::from_secs(60)).await;
    assert_eq!((left, std::fs::read_to_string(path).unwrap().lines().count()), (0, 10));
}

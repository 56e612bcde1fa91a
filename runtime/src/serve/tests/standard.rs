//! The standard services, addresses in turn, and stopping.

use super::*;
use crate::client::{Admin, ClientError, Consumer, ConsumerOptions};
use crate::config::PeltonBroker;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_service_and_health_says_serving() {
    let fixture = Fixture::new().await;
    let channel = Channel::from_shared(format!("http://{}", fixture.address())).unwrap().connect().await.unwrap();
    for service in ["", "pelton.v1.Broker"] {
        let request = HealthCheckRequest { service: service.into() };
        let response = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "'{service}'");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|s| s.name.as_str()).collect();
    assert!(names.contains(&"pelton.v1.Broker") && names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_tried_in_turn() {
    let fixture = Fixture::new().await;
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let broker = PeltonBroker { addresses: vec![nobody.clone(), fixture.address()], ..PeltonBroker::default() };
    assert_eq!(Admin::new(Connection::new(broker)).list().await, Ok(vec![]));
    let error = Connection::to(&nobody).connect().await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { addresses, .. } if *addresses == nobody), "{error:?}");
    let error = Connection::to("no address").connect().await.unwrap_err();
    assert!(matches!(&error, ClientError::InvalidConfiguration(text) if text.contains("use host:port")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_and_a_producer_outlive_a_restart_of_the_server() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("orders", 1);
    let options = ConsumerOptions { auto_commit: None, ..ConsumerOptions::group("orders", "g") };
    let mut consumer = Consumer::new(fixture.connection(), options);
    let producer =
        Producer::new(fixture.connection(), ProducerOptions { retries: 100, ..ProducerOptions::new("orders") });
    producer.send(message("before")).await.unwrap();
    producer.flush().await.unwrap();
    let batch = within("the first", consumer.next_batch()).await.unwrap();
    consumer.settle(&batch).await;
    let address = fixture.server.address();
    // Waits for both clients to hang up: it ends the subscription by itself.
    within("the server stops", fixture.server.shutdown()).await;
    let server = Server::start(GrpcConfig { address, ..config() }, fixture.streams.clone()).await.unwrap();
    producer.send(message("after")).await.unwrap();
    producer.shutdown().await.unwrap();
    let after = within("the second", async {
        loop {
            let batch = consumer.next_batch().await.unwrap();
            if let Some(entry) = batch.into_iter().find(|e| e.message.body() == b"after") {
                return entry;
            }
        }
    });
    consumer_settles(after.await, &log);
    server.shutdown().await;
}

fn consumer_settles(entry: crate::message::Entry, log: &SequenceLog) {
    assert_eq!(entry.at.seq, 2);
    assert_eq!(log.messages(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_be_as_large_as_it_gets() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("one", 1);
    let options = ProducerOptions { batch: usize::MAX, ..ProducerOptions::new("one") };
    let producer = Producer::new(fixture.connection(), options);
    producer.send(message("x")).await.unwrap();
    within("delivery", producer.shutdown()).await.unwrap();
    assert_eq!(log.messages(), 1);
}

//! Streams that clients make.

use super::*;
use crate::client::{Admin, ClientError, NewStream};
use crate::serve::made::MadeWith;
use tonic::Code;

fn on(directory: &tempfile::TempDir) -> GrpcConfig {
    GrpcConfig { directory: Some(directory.path().join("made")), ..config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_there_again_after_a_restart_until_they_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(on(&directory)).await;
    let admin = Admin::new(fixture.connection());
    let retention = Some(Duration::from_secs(3600));
    admin.create("kept", NewStream { partitions: 3, retention, ..NewStream::default() }).await.unwrap();
    admin.create("gone", NewStream::default()).await.unwrap();
    admin.create("brief", NewStream { memory: true, ..NewStream::default() }).await.unwrap();
    fixture.produce("kept", (0..10).map(|i| message(&i.to_string()))).await;
    fixture.produce("gone", [message("x")]).await;
    assert_eq!(admin.list().await.unwrap(), ["brief", "gone", "kept"]);
    admin.delete("gone").await.unwrap();
    let twice = admin.delete("gone").await.unwrap_err();
    assert!(matches!(twice, ClientError::NotFound(_)), "{twice:?}");
    admin.create("gone", NewStream::default()).await.unwrap();
    assert_eq!(admin.describe("gone").await.unwrap().partitions[0].next_offset, 1, "a new one is empty");
    admin.delete("gone").await.unwrap();
    let server = fixture.server;
    drop(fixture.streams);
    server.shutdown().await;

    let fixture = Fixture::with(on(&directory)).await;
    let admin = Admin::new(fixture.connection());
    assert_eq!(admin.list().await.unwrap(), ["kept"]);
    let partitions = admin.describe("kept").await.unwrap().partitions;
    assert_eq!(partitions.len(), 3);
    assert_eq!(partitions.iter().map(|p| p.next_offset - p.first_offset).sum::<i64>(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_or_deleted_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(on(&directory)).await;
    fixture.stream("own", 1);
    let admin = Admin::new(fixture.connection());
    let long = "x".repeat(201);
    for name in ["", ".", "..", "../x", "a/b", "/etc", ".new-x", "a b", "ü", "a\0b", &long] {
        let error = admin.create(name, NewStream::default()).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::InvalidRequest(text) if text.contains("use letters")),
            "{name}: {error:?}"
        );
        let error = admin.delete(name).await.unwrap_err();
        assert!(matches!(error, ClientError::NotFound(_)), "{name}: {error:?}");
    }
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "nothing was made");
    let error = admin.create("own", NewStream::default()).await.unwrap_err();
    assert!(matches!(&error, ClientError::AlreadyExists(text) if text.contains("take another name")), "{error:?}");
    let many = NewStream { partitions: u32::MAX, ..NewStream::default() };
    let error = admin.create("many", many).await.unwrap_err();
    assert!(matches!(&error, ClientError::InvalidRequest(text) if text.contains("1024 at most")), "{error:?}");
    let error = admin.delete("own").await.unwrap_err();
    assert!(matches!(&error, ClientError::FailedPrecondition(text) if text.contains("host's own")), "{error:?}");

    let bare = Fixture::new().await;
    let error = Admin::new(bare.connection()).create("x", NewStream::default()).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::FailedPrecondition(text) if text.contains("serve.grpc.directory")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_ends_its_readers() {
    let fixture = Fixture::new().await;
    let admin = Admin::new(fixture.connection());
    admin.create("brief", NewStream { memory: true, ..NewStream::default() }).await.unwrap();
    let options = crate::client::ConsumerOptions { poll: LIMIT, ..crate::client::ConsumerOptions::group("brief", "g") };
    let mut consumer = crate::client::Consumer::new(fixture.connection(), options);
    let log = fixture.streams.get("brief").unwrap();
    let reading = tokio::spawn(async move { consumer.next_batch().await });
    within("the reader joins", async {
        while log.group_stats("g").map_or(0, |g| g.members) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    admin.delete("brief").await.unwrap();
    let error = within("the reader ends", reading).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::NotFound(_)), "{error:?}");
}

/// As when the client hangs up: the call is dropped where it first waits.
async fn given_up<T>(call: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = call => panic!("it did not wait"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_stream_half_made_or_half_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(on(&directory)).await;
    let made = MadeWith { partitions: 1, retention_bytes: 0, retention_ms: 0 };
    given_up(fixture.streams.create("orders", false, made)).await;
    let again = within("making it again", fixture.streams.create("orders", false, made)).await;
    assert_eq!(again.err().map(|e| e.code()), Some(Code::AlreadyExists));
    given_up(fixture.streams.delete("orders")).await;
    let again = within("deleting it again", fixture.streams.delete("orders")).await;
    assert_eq!(again.err().map(|e| e.code()), Some(Code::NotFound));
}

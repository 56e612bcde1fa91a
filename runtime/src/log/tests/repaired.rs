//! A damaged log that is repaired, and where its readers stand afterwards.

use super::*;

/// Damages the log of a partition at the body of its message with this number.
fn damage(directory: &TempDir, partition: &str, body: &str) {
    let path = directory.path().join(partition).join(format!("{:020}.seg", 1));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(body.len()).position(|w| w == body.as_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

async fn settled_up_to(directory: &TempDir, seq: u64) {
    let log = disk(directory);
    for i in 1..=9 {
        log.publish(message(&format!("body {i}"))).await.unwrap();
    }
    let reader = log.consumer("r", ConsumerOptions::default()).unwrap();
    reader.settle_run(0, 1..seq, false).unwrap();
    drop(reader);
    log.close().await;
}

#[tokio::test]
async fn what_comes_at_a_sequence_that_was_cut_is_not_settled() {
    let directory = tempfile::tempdir().unwrap();
    settled_up_to(&directory, 10).await;
    damage(&directory, "0", "body 4");
    let found = repair(directory.path(), Repair::Cut).unwrap();
    let [(0, damage)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(damage.seq, 4);
    assert_eq!(inspect(directory.path()).unwrap(), []);
    // Opened, appended to, settled from, and opened again before it has come as far as it was.
    let log = disk(&directory);
    fill(&log, 2).await;
    assert_eq!(log.lag("r").unwrap(), 2);
    log.commit("r", Position { partition: 0, seq: 5 }).unwrap();
    fill(&log, 2).await;
    drop(log);
    let log = disk(&directory);
    assert_eq!((log.bounds(0).unwrap(), log.lag("r").unwrap()), ((1, 8), 3));
}

#[tokio::test]
async fn what_was_skipped_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    settled_up_to(&directory, 3).await;
    damage(&directory, "0", "body 4");
    let refused = SequenceLog::open("s", directory.path(), LogOptions::default()).err().unwrap().to_string();
    let segment = directory.path().join("0").join(format!("{:020}.seg", 1));
    for part in [&segment.display().to_string(), "at byte ", "sequence 4", "`pelton log repair`"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(inspect(directory.path()).unwrap(), repair(directory.path(), Repair::Skip).unwrap());
    let log = disk(&directory);
    let mut reader = log.consumer("r", ConsumerOptions::default()).unwrap();
    let rest = reader.next_batch(ALL).await.unwrap();
    assert_eq!(rest.iter().map(|e| e.at.seq).collect::<Vec<_>>(), [3, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_log_that_is_in_use_or_is_none_is_not_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let none = repair(directory.path(), Repair::Skip).unwrap_err().to_string();
    assert!(none.contains("there is no log in"), "{none}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let log = disk(&directory);
    fill(&log, 2).await;
    let used = repair(directory.path(), Repair::Skip).unwrap_err().to_string();
    assert!(used.contains("another process"), "{used}");
    assert_eq!(inspect(directory.path()).unwrap(), []);
}

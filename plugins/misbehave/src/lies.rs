//! Answers that break the contract, each in one way.
//!
//! | `columns …` | the lie |
//! |---|---|
//! | (nothing), `ends` | the ends of the bodies fall |
//! | `outside` | an end lies beyond the data |
//! | `length` | a column is longer than there are outputs |
//! | `index` | a subject is not in the strings |
//! | `text` | the strings are not UTF-8 |
//! | `inputs` | an output comes from a message that the batch does not have |
//! | `order` | the inputs of the outputs fall |
//! | `considered` | more messages were considered than came |
//! | `failures` | a failure is told twice |
//! | `kinds` | a boolean header has two bytes |

use pelton_sdk::raw::{Blobs, Failure, Handled, Outputs};

pub(crate) fn tell(lie: &str, handled: &mut Handled, count: u32) {
    let outputs = |outputs: Outputs| Outputs { inputs: vec![0, 0], ..outputs };
    let bodies = |data: &[u8], ends: Vec<u32>| {
        outputs(Outputs { bodies: Blobs { data: data.to_vec(), ends }, ..Outputs::default() })
    };
    match lie {
        "outside" => handled.outputs = bodies(b"abc", vec![3, 4]),
        "length" => handled.outputs = bodies(b"abc", vec![1, 2, 3]),
        "index" => handled.outputs = outputs(Outputs { subjects: vec![0, 7], ..Outputs::default() }),
        "text" => {
            let strings = Blobs { data: vec![0xff], ends: vec![0, 1] };
            handled.outputs = outputs(Outputs { subjects: vec![0, 1], strings, ..Outputs::default() });
        }
        "inputs" => handled.outputs = Outputs { inputs: vec![count], ..Outputs::default() },
        "order" => handled.outputs = Outputs { inputs: vec![1, 0], ..Outputs::default() },
        "considered" => handled.considered = count.saturating_add(1),
        "failures" => {
            let failure = Failure { reason: "on command".to_owned(), ..Failure::default() };
            handled.failures = vec![failure.clone(), failure];
        }
        "kinds" => {
            let mut lying = outputs(Outputs::default());
            lying.strings = Blobs { data: b"n".to_vec(), ends: vec![0, 1] };
            lying.headers.ends = vec![1, 1];
            lying.headers.names = vec![1];
            lying.headers.kinds = vec![2];
            lying.headers.values = Blobs { data: b"\x01\x01".to_vec(), ends: vec![2] };
            handled.outputs = lying;
        }
        _ => handled.outputs = bodies(b"abc", vec![3, 1]),
    }
}

//! Outputs become columns.

use crate::columns::{Dictionary, end_headers, offset, put, put_blob, put_header};
use crate::output::Output;
use crate::raw::Outputs;

/// The outputs of one batch, as they are collected.
#[derive(Default)]
pub(crate) struct Encoder {
    dictionary: Dictionary,
    outputs: Outputs,
}

impl Encoder {
    /// Adds an output of message `input`, which is at least that of the output before.
    pub(crate) fn add(&mut self, input: u32, output: Output) {
        let outputs = &mut self.outputs;
        let index = outputs.inputs.len();
        outputs.inputs.push(input);
        put(&mut outputs.inherit, index, output.inherit, 0);
        put(&mut outputs.targets, index, self.dictionary.index(&output.target), 0);
        put(&mut outputs.subjects, index, self.dictionary.index(&output.subject), 0);

        let before = outputs.headers.names.len();
        for (name, value) in output.entries() {
            put_header(&mut outputs.headers, self.dictionary.index(name), value);
        }
        end_headers(&mut outputs.headers, index, before);

        if outputs.bodies.data.is_empty() && !output.body.is_empty() {
            // The first body is moved, not copied: for a batch of one that is all there is.
            outputs.bodies.ends.resize(index, 0);
            outputs.bodies.data = output.body;
            outputs.bodies.ends.push(offset(outputs.bodies.data.len()));
        } else {
            put_blob(&mut outputs.bodies, index, &output.body);
        }
    }

    pub(crate) fn finish(self) -> Outputs {
        Outputs { strings: self.dictionary.strings, ..self.outputs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Blobs;

    fn encode(outputs: impl IntoIterator<Item = (u32, Output)>) -> Outputs {
        let mut encoder = Encoder::default();
        for (input, output) in outputs {
            encoder.add(input, output);
        }
        encoder.finish()
    }

    #[test]
    fn forwarding_costs_no_strings_and_no_bytes() {
        let outputs = encode([(0, Output::forward()), (2, Output::forward())]);
        assert_eq!(outputs, Outputs { inputs: vec![0, 2], inherit: vec![31, 31], ..Outputs::default() });
    }

    #[test]
    fn columns_line_up_though_each_output_sets_others() {
        let outputs = encode([
            (0, Output::empty()),
            (1, Output::new("one").subject("s").header("n", "v").header("m", true)),
            (1, Output::new("two").to("audit").key(b"k")),
            (4, Output::new("").subject("s").header("n", 1)),
        ]);
        assert_eq!(outputs.inputs, [0, 1, 1, 4]);
        assert!(outputs.inherit.is_empty());
        assert_eq!(outputs.bodies, Blobs { data: b"onetwo".to_vec(), ends: vec![0, 3, 6, 6] });
        // "", s, n, m, audit, :key
        assert_eq!(outputs.strings, Blobs { data: b"snmaudit:key".to_vec(), ends: vec![0, 1, 2, 3, 8, 12] });
        assert_eq!(outputs.subjects, [0, 1, 0, 1]);
        assert_eq!(outputs.targets, [0, 0, 4, 0]);
        assert_eq!(outputs.headers.ends, [0, 2, 3, 4]);
        assert_eq!(outputs.headers.names, [2, 3, 5, 2]);
        assert_eq!(outputs.headers.kinds, [1, 2, 0, 3]);
        assert_eq!(outputs.headers.values.data, b"v\x01k\x01\0\0\0\0\0\0\0");
        assert_eq!(outputs.headers.values.ends, [1, 2, 3, 11]);
    }
}

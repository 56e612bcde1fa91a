//! What a guest takes, the host does not lose.

use pelton_tests::{Dir, guest, pelton};

#[test]
fn greedy_guests_stay_within_their_limit() {
    let dir = Dir::new();
    let tricks = ["allocate\n", "output\n", "output 40000000\n"].concat().repeat(8);
    dir.write("in.txt", format!("{tricks}end\n"));
    let config = dir.write(
        "greedy.yaml",
        format!(
            "streams:\n  \
               in: {{ from: {{ file: {dir}/in.txt, follow: true }} }}\n  \
               out: {{ to: {{ file: {dir}/out.txt }} }}\n  \
               dead: {{ to: {{ file: {dir}/dead.txt }} }}\n\
             handlers:\n  \
               greedy: {{ module: {}, stream: in, output: out, dead_letter: dead, retry: {{ max_attempts: 1 }} }}\n",
            guest("misbehave").display(),
            dir = dir.root().display(),
        ),
    );
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    running.until("24 dead letters", || (dir.lines("dead.txt").len() == 24).then_some(()));
    running.until("the message after them", || (dir.lines("out.txt") == ["end"]).then_some(()));
    let peak = running.peak_memory();
    running.signal("TERM");
    running.end().expect(0);
    // One worker's 64 MiB, what crosses the border, and the program itself.
    assert!(peak < 400 << 20, "{} MiB at the peak", peak >> 20);
    assert!(peak > 64 << 20, "{} MiB: nothing was allocated, so nothing was tested", peak >> 20);
}

//! An error's text, taken apart: what it says, where in the function's own files it was thrown, and the frames below that.

/// The parts of an error's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Thrown<'a> {
    /// What it says, before the first frame.
    pub(crate) message: String,
    /// The first frame in the function's own files.
    pub(crate) place: Option<&'a str>,
    /// The frames, and whatever stands between and below them, without those of Node and the worker.
    pub(crate) rest: Vec<&'a str>,
}

impl<'a> Thrown<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut lines = text.lines();
        let message: Vec<&str> = lines.by_ref().take_while(|line| !is_frame(line)).collect();
        let rest = text.lines().skip(message.len());
        let rest: Vec<&str> = rest.filter(|line| !is_frame(line) || !is_ours(line)).collect();
        let place = rest
            .iter()
            .find(|line| is_frame(line) && !line.contains("/node_modules/") && line.contains('/'));
        Self {
            message: message.join("\n").trim_end().to_owned(),
            place: place.map(|line| place_of(line)),
            rest,
        }
    }
}

/// Whether it is a frame, which is indented: a text may begin with the same word.
fn is_frame(line: &str) -> bool {
    line.starts_with(char::is_whitespace) && line.trim_start().starts_with("at ")
}

/// Whether it says nothing of the function: Node's own files, and those of the worker, which lie in a folder named by their hash.
fn is_ours(line: &str) -> bool {
    let is_hash = |name: &str| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let of_worker = |(_, rest): (&str, &str)| rest.split_once('/').is_some_and(|(name, _)| is_hash(name));
    line.contains("node:internal/") || line.split_once("/worker-").is_some_and(of_worker)
}

/// The file with line and column: what stands between brackets, or behind `at`.
fn place_of(line: &str) -> &str {
    let line = line.trim().trim_start_matches("at ").trim_start_matches("async ");
    let inside = line
        .rsplit_once('(')
        .map(|(_, inside)| inside.trim_end_matches(')'));
    inside.unwrap_or(line).trim_start_matches("file://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_own_frame_is_found_and_the_workers_are_left_out() {
        let text = "TypeError: no\n  such thing\n    at fail (/p/cloudfunctions/a/node_modules/x/index.js:1:2)\n    \
                    at exports.main (/p/cloudfunctions/a/index.js:3:9)\n    at process (node:internal/process/task_queues:95:5)\n    \
                    at async Worker.run (/home/u/.cache/yunqiao/worker-0123456789abcdef/call.js:4:1)\n  [cause]: Error: why";
        let thrown = Thrown::parse(text);
        assert_eq!(thrown.message, "TypeError: no\n  such thing");
        assert_eq!(thrown.place, Some("/p/cloudfunctions/a/index.js:3:9"));
        assert_eq!(thrown.rest.len(), 3, "{thrown:?}");
        assert_eq!(thrown.rest[2], "  [cause]: Error: why");
    }

    #[test]
    fn other_texts_are_messages() {
        for text in [
            "",
            "Invoking task timed out after 3 seconds",
            "at first\nat second",
        ] {
            let thrown = Thrown::parse(text);
            assert_eq!((thrown.place, thrown.rest.len()), (None, 0));
            assert_eq!(thrown.message, text);
        }
        let thrown = Thrown::parse("E\n    at async file:///p/a/index.mjs:3:9");
        assert_eq!(thrown.place, Some("/p/a/index.mjs:3:9"));
    }
}

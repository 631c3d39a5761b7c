//! How a function came to be called: `SOURCE` of `getWXContext()`, one word for each hop.

use std::{borrow::Cow, fmt};

/// A chain of words, the first of which says where the chain began: `wx_client`, `wx_client,scf`.
///
/// The words are those of WeChat's document "getWXContext". A chain is always made here, of what the server knows, and
/// never read from a request: the SDK sends one along, which a function may have set itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSource(Cow<'static, str>);

/// The beginnings of a chain from which cloud calls may be made: a Mini Program (also in WeChat's developer tools), the
/// HTTP API and timers (a statement of WeChat's staff), and message push (the documented way to answer a customer).
/// Whatever else calls a function is refused.
const MAY_CALL_CLOUD: [&str; 5] = ["wx_client", "wx_devtools", "wx_http", "wx_trigger", "wx_push"];

impl CallSource {
    /// A Mini Program's client.
    pub const CLIENT: Self = Self(Cow::Borrowed("wx_client"));
    /// A client that speaks CloudBase's own wire. **Choice**: WeChat's document has no word for it, and cloud calls are not for it.
    pub const WEB: Self = Self(Cow::Borrowed("web_client"));
    /// WeChat's HTTP API for calling functions.
    pub const HTTP: Self = Self(Cow::Borrowed("wx_http"));
    /// A timer.
    pub const TIMER: Self = Self(Cow::Borrowed("wx_trigger"));
    /// A message push. **Choice**: the document has no word for it.
    pub const PUSH: Self = Self(Cow::Borrowed("wx_push"));

    /// A chain that begins with this word: one of the document's, such as `wx_http`, or another.
    #[must_use]
    pub fn new(word: impl Into<Cow<'static, str>>) -> Self {
        Self(word.into())
    }

    /// The chain of a function that is called by a function of this one.
    #[must_use]
    pub fn then_function(&self) -> Self {
        Self(Cow::Owned(format!("{},scf", self.0)))
    }

    /// Whether a function called so may make cloud calls; if not, each is answered -604104, illegal source of invocation.
    /// A function that a function calls may do what its caller may.
    #[must_use]
    pub fn may_call_cloud(&self) -> bool {
        let first = self.0.split(',').next().unwrap_or_default();
        MAY_CALL_CLOUD.contains(&first)
    }

    /// The chain, as `TCB_SOURCE` has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides() {
        for (word, allowed) in [
            ("wx_client", true),
            ("wx_devtools", true),
            ("wx_http", true),
            ("wx_trigger", true),
            ("wx_push", true),
            ("wx_paycallback", false),
            ("wx_crawler", false),
            ("wx_unknown", false),
            ("web_client", false),
            ("scf", false),
            ("", false),
        ] {
            let source = CallSource::new(word);
            let nested = source.then_function().then_function();
            assert_eq!(nested.as_str(), format!("{word},scf,scf"));
            assert_eq!(
                [source.may_call_cloud(), nested.may_call_cloud()],
                [allowed; 2],
                "{word}"
            );
        }
    }
}

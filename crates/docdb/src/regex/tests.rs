#![allow(clippy::unwrap_used, clippy::panic)]

use super::Pattern;

fn matches(pattern: &str, options: &str, text: &str) -> bool {
    Pattern::new(pattern, options).unwrap().matches(text).unwrap()
}

#[test]
fn pcre_where_the_engine_differs() {
    // ASCII classes
    assert!(matches(r"^\w+$", "", "abc_1"));
    assert!(!matches(r"^\w+$", "", "中"));
    assert!(matches(r"(*UCP)^\w+$", "", "中"));
    assert!(!matches(r"\d", "", "٣"));
    assert!(matches(r"\bcat\b", "", "a cat"));
    assert!(!matches(r"\bcat\b", "", "concat"));
    assert!(matches(r"cat\b", "", "cat中"));
    // `$` before the last line break
    assert!(matches("abc$", "", "abc\n"));
    assert!(!matches("abc$", "", "abc\nd"));
    assert!(matches("abc$", "m", "abc\nd"));
    assert!(matches("(?m)abc$", "", "abc\nd"));
    // brackets and braces that are themselves
    assert!(matches("[[]x", "", "[x"));
    assert!(matches("[]x]", "", "]"));
    assert!(matches("[a&&b]", "", "&"));
    assert!(matches("a{,3}", "", "a{,3}"));
    assert!(matches("{x}", "", "{x}"));
    assert!(matches("a]", "", "a]"));
    assert!(matches("[[:alpha:]]", "", "b"));
    assert!(matches(r"[\w-]+@", "", "a-b@"));
    assert!(matches(r"[^\D]", "", "5"));
    assert!(!matches(r"[^\D]", "", "x"));
    // what only PCRE has
    assert!(matches("foo(?=bar)", "", "foobar"));
    assert!(matches("(?<!x)y", "", "ay"));
    assert!(matches("a++b", "", "aaab"));
    assert!(!matches("a++ab", "", "aaab"));
    assert!(matches(r"(?<c>.)\k<c>", "", "xx"));
    assert!(matches(r"(.)\1", "", "abb"));
    assert!(matches(r"\Qa.b\E", "", "a.b"));
    assert!(!matches(r"\Qa.b\E", "", "axb"));
    assert!(matches(r"\h", "", "\t"));
}

#[test]
fn options_and_javascript() {
    assert!(matches("ABC", "i", "xabcx"));
    assert!(matches("ä", "i", "Ä"));
    assert!(matches("a.b", "s", "a\nb"));
    assert!(!matches("a.b", "", "a\nb"));
    assert!(matches("a b # comment", "x", "ab"));
    assert!(matches("[a b]", "x", " "));
    assert!(matches(r"\u4e2d", "", "中"));
    assert!(matches(r"\uD83D\uDE00", "", "😀"));
    assert!(matches(r"\/x\-y", "", "/x-y"));
    assert_eq!(Pattern::new("a", "g").unwrap_err().code, 51108);
    for invalid in ["[a", "(a", "a\\", "*a", "[z-a]", r"\u{110000}"] {
        assert_eq!(Pattern::new(invalid, "").unwrap_err().code, 51091, "{invalid}");
    }
}

#[test]
fn too_many_steps_are_an_error() {
    let pattern = Pattern::new("^(?:(?:a|aa)(?!b))+c$", "").unwrap();
    assert_eq!(pattern.matches(&"a".repeat(2000)).unwrap_err().code, 51156);
    assert!(Pattern::new(&"(".repeat(5000), "").is_err());
    assert!(Pattern::new(&format!("{}a{}", "(".repeat(5000), ")".repeat(5000)), "").is_err());
}

#[test]
fn anchored_literals_are_prefixes() {
    let prefix = |pattern: &str, options: &str| Pattern::new(pattern, options).unwrap().prefix();
    assert_eq!(prefix("^abc", "").as_deref(), Some("abc"));
    assert_eq!(prefix("^ab+c", "").as_deref(), Some("ab"));
    assert_eq!(prefix("^abc*", "").as_deref(), Some("ab"));
    assert_eq!(prefix(r"^a\.b.*", "").as_deref(), Some("a.b"));
    assert_eq!(prefix("^abc", "i"), None);
    assert_eq!(prefix("abc", ""), None);
    assert_eq!(prefix("^ab|c", ""), None);
}

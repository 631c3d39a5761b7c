#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, Document, Regex, doc};

use super::{Asked, Pattern, refuse_large};
use crate::{pipeline::Pipeline, query::Filter};

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

fn literal(pattern: &str) -> Bson {
    Bson::RegularExpression(Regex {
        pattern: pattern.try_into().unwrap(),
        options: "".try_into().unwrap(),
    })
}

#[test]
fn patterns_are_counted_wherever_they_stand() {
    let of = |document: Document| Asked::of(&document).patterns;
    assert_eq!(of(doc! {"a": literal("x"), "b": {"$not": literal("x")}}), 2);
    assert_eq!(of(doc! {"a": {"$regex": "x", "$options": "i"}}), 1);
    assert_eq!(of(doc! {"a": {"$regex": literal("x")}}), 1);
    assert_eq!(
        of(doc! {"$or": [{"a": {"$in": [literal("x"), literal("y"), 1]}}, {"b": {"$all": [literal("x")]}}]}),
        3
    );
    assert_eq!(of(doc! {"a": {"$elemMatch": {"b": {"$regex": "x"}}}}), 1);
    for regex in [
        Bson::from("x"),
        literal("x"),
        doc! {"$literal": "x"}.into(),
        "$b".into(),
    ] {
        let search = doc! {"input": "$a", "regex": regex};
        assert_eq!(of(doc! {"$expr": {"$regexMatch": search.clone()}}), 1);
        assert_eq!(
            of(doc! {"$project": {"n": {"$size": {"$regexFindAll": search}}}}),
            1
        );
    }
    assert_eq!(of(doc! {"a": "x", "b": {"$gt": 1}}), 0);
    assert_eq!(
        Filter::parse(&doc! {"$expr": {"$regexMatch": {"input": "$a", "regex": "x"}}})
            .unwrap()
            .patterns(),
        1
    );
}

#[test]
fn too_many_patterns_are_refused_before_one_is_compiled() {
    let filter = |count: usize, pattern: &str| {
        doc! {"$or": vec![Bson::from(doc! {"a": {"$regex": pattern}}); count]}
    };
    assert!(Filter::parse(&filter(1000, "x")).is_ok());
    // One that is compiled would be refused as none.
    assert_eq!(Filter::parse(&filter(1001, "(")).unwrap_err().code, 2);
    assert_eq!(Filter::parse(&filter(1000, "(")).unwrap_err().code, 51091);
    let long = Filter::parse(&filter(20, &"(".repeat(20_000))).unwrap_err();
    assert!(long.message.contains("400000 bytes"), "{long}");
    let stages = [
        doc! {"$match": filter(600, "(")}.into(),
        doc! {"$match": filter(401, "(")}.into(),
    ];
    assert_eq!(Pipeline::parse(&stages).unwrap_err().code, 2);
}

#[test]
fn large_patterns_are_refused_wherever_they_stand() {
    let large = r"\pL{30}";
    assert!(Pattern::new(large, "").is_ok());
    for document in [
        doc! {"a": literal(large)},
        doc! {"$or": [{"a": {"$regex": large}}]},
        doc! {"$expr": {"$regexMatch": {"input": "$a", "regex": large}}},
        doc! {"$expr": {"$regexMatch": {"input": "$a", "regex": {"$literal": large}}}},
    ] {
        assert_eq!(refuse_large(&document).unwrap_err().code, 51091, "{document}");
    }
    for pattern in [
        "云桥",
        r"^1[3-9]\d{9}$",
        r"[\u4e00-\u9fa5]{2,20}",
        r"^\w+([-+.]\w+)*@\w+([-.]\w+)*\.\w+$",
    ] {
        refuse_large(&doc! {"a": {"$regex": pattern, "$options": "i"}}).unwrap();
    }
}

//! Commands that somebody is told to type.

/// A word of a command that is to be typed into a shell. Where it may begin with `-`, the command has `--` before it.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./=:@".contains(char);
    // zsh takes `=name` for the place of a program.
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Words at the end of a command, which are no options whatever they begin with.
#[must_use]
pub fn shell_words<T: AsRef<str>>(texts: &[T]) -> String {
    let words: Vec<_> = texts.iter().map(|text| shell_word(text.as_ref())).collect();
    let guard = match texts.iter().any(|text| text.as_ref().starts_with('-')) {
        true => "-- ",
        false => "",
    };
    format!("{guard}{}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_is_one_word_there() {
        for (text, word) in [
            ("users", "users"),
            ("用户", "用户"),
            ("a b", "'a b'"),
            ("a;b", "'a;b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("=ls", "'=ls'"),
            ("$(id)", "'$(id)'"),
            ("`id`", "'`id`'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn words_that_look_like_options_stand_behind_two_hyphens() {
        assert_eq!(shell_words(&["posts", "a b"]), "posts 'a b'");
        assert_eq!(shell_words(&["posts", "-v"]), "-- posts -v");
    }
}
